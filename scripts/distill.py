"""Distils ``nst_core/compact.safetensors``: of low rank and with a narrow part, it predicts what VGG19 sees.

The teacher is a folder of feature networks (see ``nst_core.load_features``), exact to conv3_1. What its exact part
sees, the convolutions of low rank predict, each found by least squares from what enters it there (Zhang et al. 2015,
"Accelerating Very Deep Convolutional Networks for Classification and Detection").

The narrow part learns from the teacher's own, the network of Wang et al. 2020, "Collaborative Distillation for
Ultra-Resolution Universal Style Transfer". It begins with random weights and learns one convolution after the other:
each, from what the finished ones before it give, to see what the teacher's sees there, through a 1 × 1 connector that
is thrown away afterwards (Romero et al. 2014, "FitNets"). The heads, which map narrow activations to the full width,
are the connectors of the convolutions before them, and learn what the teacher's heads give. In the end, all but the
first learn together. They learn where their inputs are white (``WhitenedMuon``): most of what there is to learn lies in
directions in which inputs hardly vary.

Half of the pictures are photographs and paintings, some of them mixed or noisy; the other half are from the middle of
optimisations, where activations are as no photograph's.

The two deepest blocks of the one that is shipped had learned before, in an earlier student; from random weights they
take longer than the others.

    python scripts/distill.py --features FOLDER --photos FOLDER --paintings FOLDER
"""

import argparse
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from nst_core.features import COMPACT_WEIGHTS, VGG19, FeatureNetwork, Hybrid, compact_network, load_features
from nst_core.images import fit, is_photograph, open_picture, to_picture, to_tensor
from nst_core.memory import keep_freed_memory
from nst_core.muon import MOMENTUM, orthogonalised
from nst_core.optimization import optimize
from nst_core.recipe import Recipe
from nst_core.training import Photographs

FITTED_POSITIONS = 700
"""How many positions of each picture are used for least squares."""
SHALLOW, DEEP, LAST = (3e-2, 1e-3), (1e-2, 0.2), (3e-3, 1e-3)
"""Learning rate, at its highest, and damping, see ``WhitenedMuon``: of single convolutions, and of all but the first in
the end. A batch has few positions in deep blocks, and what hardly varies in one batch may vary in another."""
OPTIMIZATION_STEPS, TAKEN = 200, (5, 20, 50, 80, 120, 160, 200)
"""The steps of an optimisation, and those whose pictures are learned from."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True, help="the teacher")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800, help="for each convolution")
    parser.add_argument("--optimizations", type=int, default=30, help="so many to take pictures from")
    parser.add_argument("--fitted", type=int, default=48, help="batches for least squares")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--last-steps", type=int, default=1500, help="for all but the first together")
    parser.add_argument("-o", "--out", type=Path, default=COMPACT_WEIGHTS)
    args = parser.parse_args()

    keep_freed_memory()
    torch.manual_seed(0)
    teacher, student = load_features(args.features), compact_network().requires_grad_(False)
    assert isinstance(teacher, Hybrid)
    distilled = teacher.networks[1]
    wide, narrow = student.networks
    assert isinstance(distilled, VGG19) and isinstance(wide, VGG19) and isinstance(narrow, VGG19)

    pictures = batches(args)
    pictures = half(pictures, optimised(teacher, pictures, args.optimizations))
    first = [next(pictures) for _ in range(args.fitted)]
    fit_ranks(wide, teacher, first)
    narrow.heads = distilled.heads = ()  # the activations inside, instead of what heads make of them
    for network in (narrow, distilled):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    names, connectors = [name for name in narrow.layers if name.startswith("conv")], nn.ModuleDict()
    for name in names:
        connectors[name] = begin(narrow, distilled, name, next(pictures))
        learn(narrow, distilled, [name], connectors, pictures, args.steps, *(DEEP if name >= "conv4" else SHALLOW))
    learn(narrow, distilled, names[1:], connectors, pictures, args.last_steps, *LAST)
    # Half precision is enough.
    save_file({name: tensor.half().contiguous() for name, tensor in student.state_dict().items()}, args.out)


def begin(narrow: VGG19, distilled: VGG19, name: str, pictures: Tensor) -> nn.Conv2d:
    """Random weights for a convolution of the narrow part, and its connector or head, by least squares."""
    layer, relu = convolution(narrow, name), name.replace("conv", "relu")
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(bias(layer))
    wanted = guide(narrow, distilled, name, distilled(pictures, [relu])[relu])
    head = f"head{name[4:]}"
    is_head = hasattr(narrow, head)
    connector = convolution(narrow, head) if is_head else nn.Conv2d(layer.out_channels, wanted.shape[1], 1)
    least_squares(connector.requires_grad_(False), narrow(pictures, [relu])[relu], wanted)
    return connector


def guide(narrow: VGG19, distilled: VGG19, name: str, seen: Tensor) -> Tensor:
    """The target of a convolution: what the teacher's gives, or its head's output where there is a head."""
    head = f"head{name[4:]}"
    return convolution(distilled, head)(seen) if hasattr(narrow, head) else seen


def learn(
    narrow: VGG19,
    distilled: VGG19,
    names: list[str],
    connectors: nn.ModuleDict,
    pictures: Iterator[Tensor],
    steps: int,
    learning_rate: float,
    damping: float,
) -> None:
    """Convolutions of the narrow part learn to see, through connectors, what the teacher's see."""
    relus = {name: name.replace("conv", "relu") for name in names}
    learned = nn.ModuleList([*(convolution(narrow, name) for name in names), *(connectors[name] for name in names)])
    learned.requires_grad_(True)
    optimizer = WhitenedMuon(learned, damping)
    began, sums = time.perf_counter(), dict.fromkeys(names, 0.0)
    for step, some in zip(range(steps), pictures, strict=False):
        # Under autocast, conv1_1 is not called as a module, so it could not be watched.
        with torch.autocast("cpu", torch.bfloat16, enabled="conv1_1" not in names), optimizer.watching(step):
            own = narrow(some, relus.values())
            with torch.no_grad():
                seen = distilled(some, relus.values())
                wanted = {name: guide(narrow, distilled, name, seen[relu]) for name, relu in relus.items()}
            errors = {name: unexplained(connectors[name](own[relu]), wanted[name]) for name, relu in relus.items()}
        torch.stack(list(errors.values())).sum().backward()
        warm, fall = min(1, (step + 1) / 100), 0.5 + 0.5 * math.cos(math.pi * step / steps)
        optimizer.step(learning_rate * warm * fall)
        sums = {name: sums[name] + error.item() / 100 for name, error in errors.items()}
        if (step + 1) % 100 == 0:
            shown = " ".join(f"{name} {error:.5f}" for name, error in sums.items())
            print(f"{step + 1} {time.perf_counter() - began:.0f} s  unexplained of {shown}", flush=True)
            sums = dict.fromkeys(names, 0.0)
    learned.requires_grad_(False)


def unexplained(predicted: Tensor, seen: Tensor) -> Tensor:
    """The share of the variance of ``seen`` that is not predicted."""
    return F.mse_loss(predicted.float(), seen.float()) / seen.float().var()


def fit_ranks(wide: VGG19, teacher: FeatureNetwork, batches: list[Tensor]) -> None:
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


def convolution(network: nn.Module, name: str) -> nn.Conv2d:
    module = network.get_submodule(name)
    assert isinstance(module, nn.Conv2d)
    return module


def bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


def least_squares(layer: nn.Conv2d, entering: Tensor, wanted: Tensor) -> None:
    """Give a 1 × 1 convolution the weights that turn (B, I, H, W) into (B, O, H, W) best."""
    entering, wanted = (x.movedim(1, -1).flatten(0, -2).double() for x in (entering, wanted))
    entering = torch.cat([entering, torch.ones_like(entering[:, :1])], 1)
    gram = entering.T @ entering
    slight = 1e-7 * gram.trace() / len(gram) * torch.eye(len(gram))
    solution = torch.linalg.solve(gram + slight, entering.T @ wanted).T
    layer.weight.copy_(solution[:, :-1, None, None])
    bias(layer).copy_(solution[:, -1])


class WhitenedMuon:
    """Muon (Jordan et al. 2024) for convolutions, kernel and bias as one matrix, where their inputs are white.

    A step changes a convolution's output by about the learning rate times its first root mean square, as much in
    directions in which its inputs hardly vary, down to the ``damping``, as in others. For that it needs the second
    moments of the inputs, which it takes from the forward passes that it is ``watching``.
    """

    FIRST, WATCHED, AGAIN, SIDE, POSITIONS = 40, 20, 200, 34, 6000

    def __init__(self, network: nn.Module, damping: float) -> None:
        self.damping = damping
        self.layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
        widths = [layer.weight[0].numel() + 1 for layer in self.layers]
        self.momenta = [torch.zeros(len(layer.weight), width) for layer, width in zip(self.layers, widths, strict=True)]
        self.moments = [torch.zeros(width, width) for width in widths]
        self.sizes = [torch.zeros(()) for _ in widths]
        self.whiten: list[Tensor] = []
        self.watched = 0

    @contextmanager
    def watching(self, step: int) -> Iterator[None]:
        """Look at what enters the convolutions: at first, and now and then."""
        looks = []
        if step < self.FIRST or step % self.WATCHED == 0:
            looks = [
                layer.register_forward_pre_hook(partial(self._look, number)) for number, layer in enumerate(self.layers)
            ]
        yield
        for look in looks:
            look.remove()
        self.watched += bool(looks)
        if step % self.AGAIN == 0 or step in (4, 9, 19, 39):
            self.whiten = [whitening(moments, self.damping) for moments in self.moments]

    @torch.no_grad()
    def _look(self, number: int, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(layer, nn.Conv2d)
        with torch.autocast("cpu", enabled=False):
            down, across = (int(torch.randint(max(1, side - self.SIDE + 1), ())) for side in inputs[0].shape[2:])
            window = inputs[0][:, :, down : down + self.SIDE, across : across + self.SIDE].float()
            entered = F.unfold(window, layer.kernel_size).movedim(1, 2).flatten(0, 1)
            some = entered[torch.randint(len(entered), (self.POSITIONS,))]
            some = torch.cat([some, torch.ones_like(some[:, :1])], 1)
            given = F.conv2d(window, layer.weight, layer.bias).square().mean().sqrt()
            part = 1 / min(self.watched + 1, 40)
            self.moments[number].lerp_(some.T @ some / len(some), part)
            if self.watched < self.FIRST:
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


def whitening(moments: Tensor, damping: float) -> Tensor:
    """The inverse square root of second moments (N, N), whose diagonal is raised by ``damping`` times its mean."""
    values, vectors = torch.linalg.eigh(moments.double())
    values = values.clamp(min=0) + damping * values.mean()
    return (vectors * values.rsqrt() @ vectors.mT).float()


def optimised(teacher: Hybrid, pictures: Iterator[Tensor], runs: int) -> Tensor:
    """(N, 3, crop, crop) from optimisations towards the content of one picture and the style of another."""
    found, choose = [], random.Random(0)
    for some, _ in zip(pictures, range(runs), strict=False):
        run = optimize(
            to_picture(255 * some[3:4]),
            to_picture(255 * some[:1]),
            features=teacher,
            init=choose.choice(["content", "content", "noise"]),
            content_weight=choose.choice([0.02, 0.05, 0.2]),
            size=some.shape[-1],
            scales=1,
            steps=OPTIMIZATION_STEPS,
            saturation=0,
        )
        found += [step.state.point.picture for step in run if step.step in TAKEN]
    return torch.cat(found)


def half(pictures: Iterator[Tensor], others: Tensor) -> Iterator[Tensor]:
    """Every second picture of each batch is one of the others."""
    for some in pictures:
        some[1::2] = others[torch.randint(len(others), (len(some[1::2]),))]
        yield some


def batches(args: argparse.Namespace) -> Iterator[Tensor]:
    """(B, 3, crop, crop), RGB in 0–1, without end: photographs and paintings, a few of them mixed or noisy."""
    recipe = Recipe(steps=10**6, batch_size=args.batch_size, crop=args.crop)
    photographs = Photographs(args.photos, recipe)
    loader = DataLoader(photographs, sampler=count(), batch_size=args.batch_size)
    paths = filter(is_photograph, sorted(args.paintings.iterdir()))
    paintings = [to_tensor(fit(open_picture(path), side)) / 255 for path in paths for side in (300, 512, 800)]
    generator = torch.Generator().manual_seed(0)

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
