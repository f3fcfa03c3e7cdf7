"""Distils ``nst_core/compact.safetensors``: a narrow VGG19 that predicts what the full one sees.

The teacher is a folder of feature networks (see ``nst_core.load_features``), the method Wang et al. 2020,
"Collaborative Distillation for Ultra-Resolution Universal Style Transfer": 1 × 1 heads map narrow activations to the
teacher's. What is seen inside the teacher's own narrow part guides the student's convolutions, each through a 1 × 1
connector that is thrown away afterwards (Romero et al. 2014, "FitNets"). Half of the pictures are photographs and
paintings, some of them mixed or noisy; the other half are taken from optimisations under the student as it is just
then, for an optimisation goes where the student's mistakes lead it, and there it is corrected. Convolutions learn where
their inputs are white (``WhitenedMuon``): what is left to learn lies in directions in which inputs hardly vary.

    python scripts/distill.py --features FOLDER --photos FOLDER --paintings FOLDER

What is shipped began with an earlier network of the kind, 16, 32, 64, 128 and 128 channels wide (``--start``), and
learned in four parts: 5,000 steps with Adam at a learning rate of 8e-4; 4,500 with Muon at 5e-4, after channels that no
picture woke began anew; 5,000 of blocks 3 to 5 alone (``--keep 2``) at 2.5e-4; and 4,700 as here: 1,600 at 8e-4, which
were broken off, 1,800 at 6e-4, both with conv1_1 as it was, and 1,300 at 5e-4.
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from nst_core.features import COMPACT_WEIGHTS, VGG19, Hybrid, compact_network, load_features
from nst_core.images import PHOTO_SUFFIXES, fit, open_picture, to_picture, to_tensor
from nst_core.losses import gram_matrix
from nst_core.memory import keep_freed_memory
from nst_core.muon import MOMENTUM, orthogonalised
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
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=5e-4, help="at its highest; see WhitenedMuon")
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
    optimizer = WhitenedMuon(nn.ModuleList([student, connectors]))
    checkpoint, start = args.out.with_suffix(".checkpoint"), 0
    if args.resume:
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        student.load_state_dict(state["student"])
        connectors.load_state_dict(state["connectors"])
        optimizer.load_state_dict(state["optimizer"])
    else:
        with torch.no_grad():
            pictures = torch.cat([batch for batch, _ in zip(batches(args, 0), range(4), strict=False)])
            if args.start:
                widen(student, load_file(args.start))
                revive(student, pictures)
            else:
                fit_heads(student, teacher, pictures)
            fit_connectors(connectors, student, distilled, pictures)

    began = time.perf_counter()
    sums: dict[str, float] = {}
    optimised = Optimised(start)
    for step, pictures in enumerate(batches(args, start), start):
        if step % 32 == 0 or step == start:
            optimised.add(student, pictures[3:4], pictures[:1])
        pictures = torch.cat([pictures[::2], optimised.some(args.batch_size // 2)])
        with optimizer.watching(step):
            errors = measure(student, connectors, teacher, pictures.contiguous(memory_format=torch.channels_last))
        torch.stack([weight_of(name) * error for name, error in errors.items()]).sum().backward()
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


def weight_of(error: str) -> float:
    """How much an error counts: what is deep goes wrong first when a picture is optimised."""
    if error == "inside":
        return 3.0
    return 0.3 if "gram" not in error and error[-3:] < "4" else 1.0


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
        with torch.no_grad():  # which under autocast is not called as a module, so that nobody could look at its inputs
            convolution(student, "conv1_1")(F.pad(student.conv0(pictures[:2]), (1, 1, 1, 1), mode="reflect"))
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


def fit_heads(student: VGG19, teacher: Hybrid, pictures: Tensor) -> None:
    """Set heads to the best, by least squares, for the convolutions as they are."""
    seen, own = teacher(pictures, LAYERS), inside(student, pictures)
    for place in student.heads:
        if learns(head := convolution(student, f"head{place}")):
            least_squares(head, F.relu(own[f"conv{place}"]), seen[f"conv{place}"])


def fit_connectors(connectors: nn.ModuleDict, student: VGG19, distilled: VGG19, pictures: Tensor) -> None:
    """Set connectors to the best, by least squares, for the convolutions as they are."""
    own, seen = inside(student, pictures), inside(distilled, pictures)
    for name in connectors:
        least_squares(convolution(connectors, name), F.relu(own[name]), F.relu(seen[name]))


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


class WhitenedMuon:
    """Muon (Jordan et al. 2024) for convolutions, kernel and bias as one matrix, where their inputs are white.

    A step changes what a convolution gives by about the learning rate times its root mean square, and as much in the
    directions in which its inputs hardly vary as in the others. For that it needs the second moments of the inputs,
    which it takes from the forward passes that it is ``watching``.
    """

    WATCHED, AGAIN, SIDE, POSITIONS, DAMPING = 4, 100, 34, 6000, 1e-3

    def __init__(self, network: nn.Module) -> None:
        self.layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d) and learns(layer)]
        widths = [layer.weight[0].numel() + 1 for layer in self.layers]
        self.momenta = [torch.zeros(len(layer.weight), width) for layer, width in zip(self.layers, widths, strict=True)]
        self.moments = [torch.zeros(width, width) for width in widths]
        self.sizes = [torch.zeros(()) for _ in widths]
        self.whiten: list[Tensor] = []
        self.watched, self.looks = 0, False
        for number, layer in enumerate(self.layers):
            layer.register_forward_pre_hook(partial(self._look, number))

    @contextmanager
    def watching(self, step: int) -> Iterator[None]:
        """Look at what enters the convolutions, at every fourth step."""
        self.looks = step % self.WATCHED == 0 or not self.whiten
        yield
        self.watched += self.looks
        if step % self.AGAIN == 0 or (self.looks and self.watched < 5):
            self.whiten = [whitening(moments, self.DAMPING) for moments in self.moments]
        self.looks = False

    @torch.no_grad()
    def _look(self, number: int, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        if self.looks:
            assert isinstance(layer, nn.Conv2d)
            with torch.autocast("cpu", enabled=False):
                down, across = (int(torch.randint(max(1, side - self.SIDE + 1), ())) for side in inputs[0].shape[2:])
                window = inputs[0][:, :, down : down + self.SIDE, across : across + self.SIDE].float()
                entered = F.unfold(window, layer.kernel_size).movedim(1, 2).flatten(0, 1)
                some = entered[torch.randint(len(entered), (self.POSITIONS,))]
                some = torch.cat([some, torch.ones_like(some[:, :1])], 1)
                given = F.conv2d(window, layer.weight, layer.bias).square().mean().sqrt()
                part = 1 / min(self.watched + 1, 20)
                self.moments[number].lerp_(some.T @ some / len(some), part)
                self.sizes[number].lerp_(given, part)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the convolutions and forget their gradients."""
        for number, layer in enumerate(self.layers):
            momentum, whiten, kernel, shift = self.momenta[number], self.whiten[number], layer.weight, bias(layer)
            assert kernel.grad is not None and shift.grad is not None
            gradient = torch.cat([kernel.grad.flatten(1), shift.grad[:, None]], 1)
            momentum.lerp_(gradient, 1 - MOMENTUM)
            change = orthogonalised(gradient.lerp(momentum, MOMENTUM) @ whiten) @ whiten
            change *= learning_rate * self.sizes[number]
            kernel.sub_(change[:, :-1].view_as(kernel))
            shift.sub_(change[:, -1])
            kernel.grad = shift.grad = None

    def state_dict(self) -> dict[str, Any]:
        return {"momenta": self.momenta, "moments": self.moments, "sizes": self.sizes, "watched": self.watched}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in ("momenta", "moments", "sizes"):
            for own, saved in zip(getattr(self, name), state[name], strict=True):
                own.copy_(saved)
        self.watched = state["watched"]


def whitening(moments: Tensor, damping: float) -> Tensor:
    """The inverse square root of second moments (N, N), whose diagonal is raised by ``damping`` times its mean."""
    values, vectors = torch.linalg.eigh(moments.double())
    values = values.clamp(min=0) + damping * values.mean()
    return (vectors * values.rsqrt() @ vectors.mT).float()


class Optimised:
    """Pictures from the middle of optimisations under the student, the newest ``KEPT`` of them."""

    KEPT, STEPS, TAKEN = 240, 200, (5, 20, 50, 80, 120, 160, 200)

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
