"""Distils ``nst_core/compact.safetensors``: of low rank and with a narrow branch, it predicts what VGG19 sees.

The teacher is a folder of feature networks (see ``nst_core.load_features``), exact to conv3_1. What this part sees, the
convolutions of low rank predict, each found by least squares from what enters it there (Zhang et al. 2015,
"Accelerating Very Deep Convolutional Networks for Classification and Detection").

The narrow branch learns from the teacher's own narrow part, by the method of Wang et al. 2020, "Collaborative
Distillation for Ultra-Resolution Universal Style Transfer": 1 × 1 heads map narrow activations to the full width. What
is seen inside the teacher guides its convolutions, each through a 1 × 1 connector that is thrown away afterwards
(Romero et al. 2014, "FitNets"). Half of the pictures are photographs and paintings, some of them mixed or noisy; the
other half are taken from optimisations under the student as it is just then, for an optimisation goes where the
student's mistakes lead it, and there it is corrected. Convolutions learn where their inputs are white
(``WhitenedMuon``): what is left to learn lies in directions in which inputs hardly vary.

    python scripts/distill.py --features FOLDER --photos FOLDER --paintings FOLDER

The branch that is shipped began with blocks 3 to 5 of an earlier, narrow student of the same teacher; from random
weights it takes many more steps.
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

WEIGHTS = {"inside": 9.0, "mean": 30.0}
"""How much an error of that kind counts, if not once."""
FITTED_POSITIONS = 700
"""Of each picture, so many are taken for least squares."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True, help="the teacher")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--fitted", type=int, default=32, help="batches for the convolutions of low rank")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=7e-4, help="at its highest; see WhitenedMuon")
    parser.add_argument("--start", type=Path, help="weights of an earlier one, whose narrow part learns on")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("-o", "--out", type=Path, default=COMPACT_WEIGHTS)
    args = parser.parse_args()

    keep_freed_memory()
    torch.manual_seed(0)
    teacher = load_features(args.features)
    assert isinstance(teacher, Hybrid)
    distilled = teacher.networks[1]
    assert isinstance(distilled, VGG19)
    student = compact_network().requires_grad_(False)
    wide, narrow = student.networks
    assert isinstance(wide, VGG19) and isinstance(narrow, VGG19) and narrow.begins
    narrow.requires_grad_(True)
    connectors = nn.ModuleDict()
    for name in narrow.plan:
        if name.startswith("conv"):
            layer = convolution(narrow, name)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(bias(layer))
            connectors[name] = nn.Conv2d(layer.out_channels, convolution(distilled, name).out_channels, 1)
    for network in (teacher, student, connectors):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = WhitenedMuon(nn.ModuleList([narrow, connectors]))
    checkpoint, start = args.out.with_suffix(".checkpoint"), 0
    if args.resume:
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        student.load_state_dict(state["student"])
        connectors.load_state_dict(state["connectors"])
        optimizer.load_state_dict(state["optimizer"])
    else:
        with torch.no_grad():
            first = [batch for batch, _ in zip(batches(args, 0), range(args.fitted), strict=False)]
            if args.start:
                student.load_state_dict(load_file(args.start))
            else:
                fit_ranks(wide, teacher, first)
            fit_heads(student, connectors, distilled, torch.cat(first[:4]))

    began = time.perf_counter()
    sums: dict[str, float] = {}
    optimised = Optimised(start)
    for pictures, _ in zip(batches(args, start), range(12), strict=False):
        optimised.add(student, pictures[3:4], pictures[:1])
    for step, pictures in enumerate(batches(args, start), start):
        if step % 60 == 0:
            optimised.add(student, pictures[3:4], pictures[:1])
        pictures = torch.cat([pictures[::2], optimised.some(args.batch_size // 2)])
        with optimizer.watching(step):
            errors = measure(student, connectors, distilled, pictures.contiguous(memory_format=torch.channels_last))
        torch.stack([WEIGHTS.get(name.strip("~_145"), 1.0) * error for name, error in errors.items()]).sum().backward()
        warm, fall = min(1, (step + 1) / 100), 0.5 + 0.5 * math.cos(math.pi * step / args.steps)
        optimizer.step(args.learning_rate * warm * fall)
        for name, value in errors.items():
            sums[name] = sums.get(name, 0.0) + value.item() / 50
        if (step + 1) % 50 == 0:
            shown = " ".join(f"{name} {value:.4f}" for name, value in sums.items())
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


def measure(student: Hybrid, connectors: nn.ModuleDict, distilled: VGG19, pictures: Tensor) -> dict[str, Tensor]:
    """By name, what is unexplained of the teacher's activations, of its inside, and of its Gram matrices."""
    narrow, errors = student.networks[1], {}
    assert isinstance(narrow, VGG19)
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad():
            seen, entering = inside(distilled, pictures), branching(student, pictures)
        own = inside(narrow, entering)
        errors["inside"] = torch.stack(
            [unexplained(connector(F.relu(own[name])), F.relu(seen[name])) for name, connector in connectors.items()]
        ).sum()
        for place in narrow.heads:
            head, entering = convolution(narrow, f"head{place}"), F.relu(own[f"conv{place}"])
            with torch.no_grad():
                wanted = convolution(distilled, f"head{place}")(F.relu(seen[f"conv{place}"]))
            # The Gram matrix of what a head gives follows from that of what it gets.
            augmented = torch.cat([entering, torch.ones_like(entering[:, :1])], 1)
            weights = torch.cat([head.weight[:, :, 0, 0], bias(head)[:, None]], 1)
            with torch.autocast("cpu", enabled=False):
                predicted = weights @ gram_matrix(augmented).float() @ weights.mT
                target = gram_matrix(wanted).float()
                off = (predicted - target).square().sum((1, 2)) / target.square().sum((1, 2))
            errors[f"gram{place}"], errors[f"~gram{place}"] = (half.mean() for half in off.chunk(2))
            predicted = head(entering)
            # Most of what Gram matrices are wrong by is of their pictures' means.
            off = (predicted.float().mean((2, 3)) - wanted.float().mean((2, 3))).square().sum(1)
            errors[f"mean{place}"] = (off / wanted.float().mean((2, 3)).square().sum(1)).mean()
            errors[f"conv{place}"] = unexplained(predicted, wanted)
            errors[f"relu{place}"] = unexplained(F.relu(predicted), F.relu(wanted))
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


def branching(student: Hybrid, pictures: Tensor) -> Tensor:
    """What enters a student's narrow branch."""
    wide, narrow = student.networks
    assert isinstance(wide, VGG19) and isinstance(narrow, VGG19) and narrow.begins
    return wide.activations(pictures, [narrow.begins])[narrow.begins]


def fit_ranks(wide: VGG19, teacher: VGG19 | Hybrid, batches: list[Tensor]) -> None:
    """Set the convolutions of low rank, and their heads, to the best for what enters them: reduced-rank regression.

    Least squares give the weights that turn patches of 3 × 3 into the teacher's activations; of what these give, the
    principal components are kept, as many as the rank.
    """
    for place in wide.ranks:
        name, before = f"conv{place}", wide.plan[: wide.plan.index(f"conv{place}")]
        moments = products = torch.zeros((), dtype=torch.float64)
        for pictures in batches:
            x = wide.conv0(pictures)
            if relus := [layer for layer in before if layer.startswith("relu")]:
                x = wide(pictures, relus[-1:])[relus[-1]]
            x = F.max_pool2d(x, 2) if before and before[-1].startswith("pool") else x
            patches = F.unfold(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3).movedim(1, 2).flatten(0, 1)
            wanted = teacher(pictures, [name])[name].movedim(1, -1).flatten(0, 2)
            some = torch.randperm(len(patches))[: len(pictures) * FITTED_POSITIONS]
            patches = torch.cat([patches, torch.ones_like(patches[:, :1])], 1)[some].double()
            moments, products = moments + patches.T @ patches, products + patches.T @ wanted[some].double()
        moments, products = moments / moments[-1, -1], products / moments[-1, -1]
        slight = 1e-9 * moments.trace() / len(moments) * torch.eye(len(moments))
        full = torch.linalg.solve(moments + slight, products)
        mean = moments[-1] @ full
        layer, head = convolution(wide, name), convolution(wide, f"head{place}")
        components = torch.linalg.eigh(full.T @ moments @ full - mean.outer(mean))[1][:, -layer.out_channels :]
        layer.weight.copy_((full @ components)[:-1].T.unflatten(1, (-1, 3, 3)))
        bias(layer).copy_((full @ components)[-1])
        head.weight.copy_(components[:, :, None, None])
        bias(head).copy_(mean - components @ (components.T @ mean))


def fit_heads(student: Hybrid, connectors: nn.ModuleDict, distilled: VGG19, pictures: Tensor) -> None:
    """Set the narrow branch's heads and connectors to the best, by least squares, for its convolutions as they are."""
    narrow = student.networks[1]
    assert isinstance(narrow, VGG19)
    own, seen = inside(narrow, branching(student, pictures)), inside(distilled, pictures)
    for name in connectors:
        least_squares(convolution(connectors, name), F.relu(own[name]), F.relu(seen[name]))
    for place in narrow.heads:
        wanted = convolution(distilled, f"head{place}")(F.relu(seen[f"conv{place}"]))
        least_squares(convolution(narrow, f"head{place}"), F.relu(own[f"conv{place}"]), wanted)


def convolution(network: nn.Module, name: str) -> nn.Conv2d:
    module = network.get_submodule(name)
    assert isinstance(module, nn.Conv2d)
    return module


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

    WATCHED, AGAIN, SIDE, POSITIONS, DAMPING = 20, 200, 34, 6000, 1e-3

    def __init__(self, network: nn.Module) -> None:
        self.layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
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
        if step % self.AGAIN == 0 or not self.whiten or (self.looks and self.watched < 5):
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

    def add(self, student: Hybrid, content: Tensor, painting: Tensor) -> None:
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
