"""Distils ``nst_core/compact.safetensors``: a narrow VGG19 that predicts what the full one sees.

The teacher is a folder of feature networks (see ``nst_core.load_features``), the method Wang et al. 2020,
"Collaborative Distillation for Ultra-Resolution Universal Style Transfer": 1 × 1 heads map narrow activations to the
teacher's. What is seen inside the teacher's own narrow part guides the student's convolutions, each through a 1 × 1
connector that is thrown away afterwards (Romero et al. 2014, "FitNets"). Half of the pictures are photographs and
paintings, some of them mixed or noisy; the other half are taken from optimisations under the student as it is just
then, for an optimisation goes where the student's mistakes lead it, and there it is corrected.

    python scripts/distill.py --features FOLDER --photos FOLDER --paintings FOLDER

What is shipped began with an earlier network of the kind, 16, 32, 64, 128 and 128 channels wide (``--start``), and
learned in three parts: 5,000 steps with Adam alone at a learning rate of 8e-4; then 4,500 as here at 5e-4, after
channels that no picture woke began anew, with the connectors of the first part; then 5,000 of blocks 3 to 5 alone
(``--keep 2``) at 2.5e-4, the Gram matrices of blocks 4 and 5 counted twice and once more after their ReLU, and the
exact network asked about two of the eight pictures.
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from nst_core.features import COMPACT_WEIGHTS, VGG19, Hybrid, compact_network, load_features
from nst_core.images import PHOTO_SUFFIXES, fit, open_picture, to_picture, to_tensor
from nst_core.losses import gram_matrix
from nst_core.memory import keep_freed_memory
from nst_core.muon import Muon
from nst_core.optimization import optimize
from nst_core.recipe import Recipe
from nst_core.training import Photographs

# Where the teacher is exact, what enters a ReLU says more than what leaves it.
LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "relu3_1", "conv4_1", "relu4_1", "conv5_1", "relu5_1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True, help="the teacher")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=3e-3, help="of Adam; Muon's updates are as large")
    parser.add_argument("--start", type=Path, help="weights of a network as narrow or narrower to begin with")
    parser.add_argument("--keep", type=int, default=0, help="first blocks to leave as they are: a step is quicker then")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("-o", "--out", type=Path, default=COMPACT_WEIGHTS)
    args = parser.parse_args()

    keep_freed_memory()
    torch.manual_seed(0)
    teacher = load_features(args.features)
    assert isinstance(teacher, Hybrid)
    distilled = teacher.networks[1]
    assert isinstance(distilled, VGG19)
    student = compact_network()
    for name, module in student.named_children():
        module.requires_grad_(int(name[4]) > args.keep)  # after conv or head comes the block; conv0 is of none
    for name, module in student.named_modules():
        if isinstance(module, nn.Conv2d) and name.startswith("conv") and module is not student.conv0:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(bias(module))
    connectors = nn.ModuleDict(
        {
            name: nn.Conv2d(convolution(student, name).out_channels, module.out_channels, 1)
            for name, module in distilled.named_children()
            if isinstance(module, nn.Conv2d) and name.startswith("conv") and int(name[4]) > args.keep
        }
    )
    for network in (teacher, student, connectors):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = Muon(nn.ModuleList([student, connectors]))
    checkpoint, start = args.out.with_suffix(".checkpoint"), 0
    if args.resume:
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        student.load_state_dict(state["student"])
        connectors.load_state_dict(state["connectors"])
        optimizer.load_state_dict(state["optimizer"])
    else:
        with torch.no_grad():
            pictures = next(batches(args, 0))
            if args.start:
                widen(student, load_file(args.start))
                revive(student, pictures)
            fit_heads(student, connectors, teacher, pictures)

    began = time.perf_counter()
    sums: dict[str, float] = {}
    optimised = Optimised(start)
    for step, pictures in enumerate(batches(args, start), start):
        if step % 16 == 0 or step == start:
            optimised.add(student, pictures[3:4], pictures[:1])
        pictures = torch.cat([pictures[::2], optimised.some(args.batch_size // 2)])
        errors = measure(student, connectors, teacher, pictures.contiguous(memory_format=torch.channels_last))
        torch.stack(list(errors.values())).sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        warm, fall = min(1, (step + 1) / 100), 0.5 + 0.5 * math.cos(math.pi * step / args.steps)
        optimizer.step(args.learning_rate * warm * fall)
        for name, value in errors.items():
            sums[name] = sums.get(name, 0.0) + value.item() / 50
        if (step + 1) % 50 == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in sums.items())
            print(f"{step + 1} {time.perf_counter() - began:.0f} s  {shown}", flush=True)
            sums = {}
        if (step + 1) % 250 == 0 or step + 1 == args.steps:
            torch.save(
                {
                    "step": step + 1,
                    "student": student.state_dict(),
                    "connectors": connectors.state_dict(),
                    "optimizer": optimizer.state_dict(),
                },
                checkpoint,
            )
            # Half precision is enough.
            save_file({name: tensor.half().contiguous() for name, tensor in student.state_dict().items()}, args.out)


def measure(student: VGG19, connectors: nn.ModuleDict, teacher: Hybrid, pictures: Tensor) -> dict[str, Tensor]:
    """By name, what is unexplained of the teacher's activations, of its inside, and of its Gram matrices."""
    distilled = teacher.networks[1]
    assert isinstance(distilled, VGG19)
    places, errors = [place for place in student.heads if learns(convolution(student, f"head{place}"))], {}
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            seen = teacher(pictures, [layer for layer in LAYERS if layer[4:] in places])
            seen_inside = inside(distilled, pictures)
        own = inside(student, pictures)
        hints = [
            unexplained(connector(F.relu(own[name])), F.relu(seen_inside[name]))
            for name, connector in connectors.items()
        ]
        errors["inside"] = torch.stack(hints).sum()
        for place in places:
            head, entering, wanted = (
                convolution(student, f"head{place}"),
                F.relu(own[f"conv{place}"]),
                seen[f"conv{place}"],
            )
            # The Gram matrix of what a head gives follows from that of what it gets.
            augmented = torch.cat([entering, torch.ones_like(entering[:, :1])], 1)
            weights = torch.cat([head.weight[:, :, 0, 0], bias(head)[:, None]], 1)
            with torch.autocast("cpu", enabled=False):
                predicted = weights @ gram_matrix(augmented).float() @ weights.mT
                target = gram_matrix(wanted).float()
                off = (predicted - target).square().sum((1, 2)) / target.square().sum((1, 2))
            errors[f"gram{place}"], errors[f"~gram{place}"] = (half.mean() for half in off.chunk(2))
            if place < "3":  # there are many positions: a quarter of them is enough
                down, across = torch.randint(2, (2,)).tolist()
                entering, wanted = (x[:, :, down::2, across::2] for x in (entering, wanted))
            predicted = head(entering)
            errors[f"conv{place}"] = unexplained(predicted, wanted)
            if place >= "3":
                errors[f"relu{place}"] = unexplained(F.relu(predicted), seen[f"relu{place}"])
    return errors


def unexplained(predicted: Tensor, seen: Tensor) -> Tensor:
    """The share of the variance of ``seen`` that is not predicted."""
    sparse = seen[:, :, ::4, ::4] if seen.shape[-1] > 32 else seen
    return F.mse_loss(predicted, seen).float() / sparse.float().var()


def inside(network: VGG19, pictures: Tensor) -> dict[str, Tensor]:
    """The outputs of a narrow network's convolutions, instead of its heads'."""
    heads, network.heads = network.heads, ()
    try:
        return network(pictures, [name for name in network.layers if name.startswith("conv")])
    finally:
        network.heads = heads


def widen(student: VGG19, weights: dict[str, Tensor]) -> None:
    """Take over a narrower network's weights; its channels get nothing from the further ones yet."""
    for name, own in student.state_dict().items():
        narrow = weights[name]
        if own.dim() > 1:
            own[: len(narrow), narrow.shape[1] :] = 0
            own[: len(narrow), : narrow.shape[1]] = narrow
        else:
            own[: len(narrow)] = narrow


def revive(student: VGG19, pictures: Tensor) -> None:
    """Initialise channels that no picture activates anew; those after them get nothing from them yet."""
    own = inside(student, pictures)
    for name, following in zip(own, [*own, None][1:], strict=True):
        dead = own[name].amax((0, 2, 3)) <= 0
        layer = convolution(student, name)
        if not learns(layer):
            continue
        fresh = nn.init.kaiming_normal_(torch.empty_like(layer.weight), nonlinearity="relu")
        layer.weight[dead], bias(layer)[dead] = fresh[dead], 0.0
        if following:
            convolution(student, following).weight[:, dead] = 0


def fit_heads(student: VGG19, connectors: nn.ModuleDict, teacher: Hybrid, pictures: Tensor) -> None:
    """Set heads and connectors to the best, by least squares, for the convolutions as they are."""
    distilled = teacher.networks[1]
    assert isinstance(distilled, VGG19)
    seen, seen_inside, own = teacher(pictures, LAYERS), inside(distilled, pictures), inside(student, pictures)
    for place in student.heads:
        if learns(head := convolution(student, f"head{place}")):
            least_squares(head, F.relu(own[f"conv{place}"]), seen[f"conv{place}"])
    for name in connectors:
        least_squares(convolution(connectors, name), F.relu(own[name]), F.relu(seen_inside[name]))


def convolution(network: nn.Module, name: str) -> nn.Conv2d:
    module = network.get_submodule(name)
    assert isinstance(module, nn.Conv2d)
    return module


def learns(layer: nn.Conv2d) -> bool:
    return layer.weight.requires_grad


def bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def least_squares(layer: nn.Conv2d, entering: Tensor, wanted: Tensor) -> None:
    """Give a 1 × 1 convolution the weights that turn (B, I, H, W) into (B, O, H, W) best."""
    entering, wanted = (x.movedim(1, -1).flatten(0, -2) for x in (entering, wanted))
    entering = torch.cat([entering, torch.ones_like(entering[:, :1])], 1)
    gram = entering.T @ entering
    slight = 1e-4 * gram.trace() / len(gram) * torch.eye(len(gram))
    solution = torch.linalg.solve(gram + slight, entering.T @ wanted).T
    layer.weight.copy_(solution[:, :-1, None, None])
    bias(layer).copy_(solution[:, -1])


class Optimised:
    """Pictures from the middle of optimisations under the student, the newest ``KEPT`` of them."""

    KEPT, STEPS, TAKEN = 96, 80, (5, 15, 30, 50, 65, 80)

    def __init__(self, seed: int) -> None:
        self.pictures: list[Tensor] = []
        self.random = random.Random(seed)

    def add(self, student: VGG19, content: Tensor, painting: Tensor) -> None:
        """Optimise (1, 3, H, W) towards the content of one picture and the style of another, and keep some steps."""
        learned = [parameter for parameter in student.parameters() if parameter.requires_grad]
        student.requires_grad_(False)
        run = optimize(
            to_picture(255 * content),
            to_picture(255 * painting),
            features=student,
            init=self.random.choice(["content", "content", "noise"]),
            content_weight=self.random.choice([0.02, 0.05, 0.2]),
            size=content.shape[-1],
            scales=1,
            steps=self.STEPS,
            saturation=0,
        )
        self.pictures += [step.state.point.picture for step in run if step.step in self.TAKEN]
        del self.pictures[: -self.KEPT]
        for parameter in learned:
            parameter.requires_grad_(True)

    def some(self, count: int) -> Tensor:
        """So many of them at random, (count, 3, H, W)."""
        return torch.cat(self.random.choices(self.pictures, k=count))


def batches(args: argparse.Namespace, start: int) -> Iterator[Tensor]:
    """(B, 3, crop, crop), RGB in 0–1: photographs and paintings, a few of them mixed or noisy."""
    recipe = Recipe(steps=10**6, batch_size=args.batch_size, crop=args.crop)
    photographs = Photographs(args.photos, recipe)
    places = range(start * args.batch_size, args.steps * args.batch_size)
    loader = DataLoader(photographs, sampler=places, batch_size=args.batch_size)
    paths = sorted(path for path in args.paintings.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
    paintings = [to_tensor(fit(open_picture(path), side)) / 255 for path in paths for side in (300, 512, 800)]
    generator = torch.Generator().manual_seed(start)

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=generator)

    for batch in loader:
        for picture in batch[: args.batch_size // 4]:
            canvas = paintings[int(uniform(1) * len(paintings))][0]
            top, left = ((uniform(2) * (torch.tensor(canvas.shape[1:]) - args.crop).clamp(min=0)).long()).tolist()
            patch = canvas[:, top : top + args.crop, left : left + args.crop]
            if patch.shape == picture.shape:
                picture.copy_(patch)
        mixed = batch[args.batch_size // 4 - 1 : args.batch_size // 4 + 1]
        mixed.lerp_(mixed.flip(0).flip(-1), 0.4 * uniform(1).item())
        noisy = batch[-args.batch_size // 4 :]
        noisy.add_(0.25 * uniform(1).item() * torch.randn(noisy.shape, generator=generator)).clamp_(0, 1)
        yield batch.contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
