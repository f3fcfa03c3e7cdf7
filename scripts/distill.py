"""Distils ``nst_core/compact.safetensors``: a VGG19 a quarter as wide that predicts what the full one sees.

The teacher is a folder of feature networks (see ``nst_core.load_features``), the method Wang et al. 2020,
"Collaborative Distillation for Ultra-Resolution Universal Style Transfer": 1 × 1 heads map narrow activations to the
teacher's. First the student learns the activations on photographs, paintings and noisy mixtures of both. Then its
deep convolutions begin anew, fitted one after another to what is seen inside the teacher (Romero et al. 2014,
"FitNets"), and it learns Gram matrices and, beside pictures as they are, pictures that are being optimised under
itself: there its mistakes are what an optimisation would exploit.

    python scripts/distill.py --features FOLDER --photos FOLDER --paintings FOLDER
"""

import argparse
import math
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from nst_core.features import COMPACT_WEIGHTS, VGG19, Hybrid, compact_network, load_features
from nst_core.images import fit, open_picture, to_tensor
from nst_core.losses import gram_matrix
from nst_core.memory import keep_freed_memory
from nst_core.recipe import Recipe
from nst_core.training import PHOTO_SUFFIXES, Photographs

# Where the teacher is exact, what enters a ReLU says more than what leaves it.
SHALLOW = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
DEEP = ("relu3_1", "conv4_1", "relu4_1", "conv5_1", "relu5_1")
INSIDE = tuple(f"conv{place}" for place in ("3_2", "3_3", "3_4", "4_1", "4_2", "4_3", "4_4", "5_1"))
CONTENT = "conv2_2"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True, help="the teacher")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5000, help="on pictures as they are")
    parser.add_argument("--more-steps", type=int, default=1550, help="and then with pictures that are being optimised")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("-o", "--out", type=Path, default=COMPACT_WEIGHTS)
    args = parser.parse_args()

    keep_freed_memory()
    torch.manual_seed(0)
    teacher = load_features(args.features)
    assert isinstance(teacher, Hybrid)
    student = compact_network()
    student.conv0.requires_grad_(False)
    checkpoint, start = args.out.with_suffix(".checkpoint"), 0
    state = torch.load(checkpoint, weights_only=True) if args.resume else None
    if state:
        start = state["step"]
        student.load_state_dict(state["student"])
    else:
        with torch.no_grad():
            initialise(student, teacher, next(batches(args, 0)))
    optimizer = torch.optim.Adam([p for p in student.parameters() if p.requires_grad], lr=args.learning_rate)
    if state and start not in (0, args.steps):
        optimizer.load_state_dict(state["optimizer"])
    for network in (teacher, student):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    began = time.perf_counter()
    sums: dict[str, float] = {}
    pool: Pool | None = None
    step = start
    for step, pictures in enumerate(batches(args, start), start):
        second = step >= args.steps
        if second and pool is None:
            if step == args.steps:
                with torch.no_grad():
                    deepen(student, teacher, torch.cat(list(islice(batches(args, step), 8))))
                optimizer = torch.optim.Adam([p for p in student.parameters() if p.requires_grad])
            pool = Pool(args, step)
        if pool:
            pictures = torch.cat([pictures[::2], pool.advance(student)]).contiguous(memory_format=torch.channels_last)
        begun, steps = (args.steps, args.more_steps) if second else (0, args.steps)
        for group in optimizer.param_groups:
            warm = min(1, (step - begun + 1) / 100)
            fall = 0.5 + 0.5 * math.cos(math.pi * (step - begun) / steps)
            # What was fitted is not to be shaken loose again.
            group["lr"] = args.learning_rate * (0.06 if second else 1.0) * warm * fall
        errors = measure(student, teacher, pictures, second)
        torch.stack(list(errors.values())).sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        for name, value in errors.items():
            sums[name] = sums.get(name, 0.0) + value.item() / 50
        if (step + 1) % 50 == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in sums.items())
            print(f"{step + 1} {time.perf_counter() - began:.0f} s  {shown}", flush=True)
            sums = {}
            torch.save(
                {"step": step + 1, "student": student.state_dict(), "optimizer": optimizer.state_dict()}, checkpoint
            )
            save(student, args.out)
    # Shallow enough to be exact in the teacher, deep enough to have suffered for what lies behind it.
    sharpen(student, teacher, torch.cat(list(islice(batches(args, step), 64))), "3_1")
    save(student, args.out)


def sharpen(student: VGG19, teacher: Hybrid, pictures: Tensor, place: str, steps: int = 600) -> None:
    """Train one head alone, for what its ReLU lets through: the narrow activations stay as they are."""
    head = student.get_submodule(f"head{place}")
    with torch.no_grad(), Inside(student) as own:
        wanted = teacher(pictures, [f"relu{place}"])[f"relu{place}"].movedim(1, -1).flatten(0, -2)
        student(pictures, [f"relu{place}"])
        entering = F.relu(own[f"conv{place}"]).movedim(1, -1).flatten(0, -2)
    optimizer = torch.optim.Adam(head.parameters(), lr=2e-3)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 2e-3 * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        some = torch.randint(len(entering), (16384,))
        predicted = F.relu(head(entering[some].T[None, :, :, None]))[0, :, :, 0].T
        F.mse_loss(predicted, wanted[some]).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def save(student: VGG19, out: Path) -> None:
    """In half precision, which is enough."""
    save_file({name: tensor.half().contiguous() for name, tensor in student.state_dict().items()}, out)


def measure(student: VGG19, teacher: Hybrid, pictures: Tensor, second: bool) -> dict[str, Tensor]:
    """By name, what is unexplained of the teacher's activations; later of Gram matrices and of its inside too."""
    distilled = teacher.networks[1]
    assert isinstance(distilled, VGG19)
    layers = (*SHALLOW, *DEEP)
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad(), Inside(distilled) as seen_inside:
            seen = teacher(pictures, layers)
        with Inside(student) as predicted_inside:
            predicted = student(pictures, layers)
    errors = {layer: unexplained(predicted[layer], seen[layer]) for layer in layers}
    if second:
        inside = [unexplained(predicted_inside[name], seen_inside[name]) for name in INSIDE]
        errors["inside"] = 0.5 * torch.stack(inside).sum()
        grams = []
        for layer in layers:
            gram, target = gram_matrix(predicted[layer]).float(), gram_matrix(seen[layer]).float()
            grams.append((gram - target).square().sum((1, 2)) / target.square().sum((1, 2)))
        errors["grams"] = 0.5 * torch.stack(grams).sum(0).mean()
    return errors


def unexplained(predicted: Tensor, seen: Tensor) -> Tensor:
    """Part of the variance."""
    sparse = seen[:, :, ::4, ::4] if seen.shape[-1] > 32 else seen
    return F.mse_loss(predicted, seen).float() / sparse.float().var()


class Inside:
    """While it is entered, catches what the convolutions of a network give, by name."""

    def __init__(self, network: VGG19) -> None:
        self.network = network
        self.seen: dict[str, Tensor] = {}

    def __enter__(self) -> dict[str, Tensor]:
        self.hooks = [
            module.register_forward_hook(lambda _, __, given, name=name: self.seen.__setitem__(name, given))
            for name, module in self.network.named_children()
        ]
        return self.seen

    def __exit__(self, *error: object) -> None:
        for hook in self.hooks:
            hook.remove()


def initialise(student: VGG19, teacher: Hybrid, pictures: Tensor) -> None:
    """Convolutions by He et al. 2015, so that activations neither fade nor grow; heads by least squares on pictures."""
    for name, module in student.named_modules():
        if isinstance(module, nn.Conv2d) and name.startswith("conv") and module is not student.conv0:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    fit_heads(student, teacher, pictures)


def deepen(student: VGG19, teacher: Hybrid, pictures: Tensor) -> None:
    """Fit what is deeper than conv3_1 to the inside of the teacher, one convolution after another, then the heads."""
    distilled = teacher.networks[1]
    assert isinstance(distilled, VGG19)
    with Inside(distilled) as seen:
        distilled(pictures, distilled.layers)
    for name in INSIDE:
        with Inside(student) as own:
            student(pictures, student.layers)
        before = student.plan[student.plan.index(name) - 1]
        entering = F.relu(own[student.plan[student.plan.index(name) - (3 if before.startswith("pool") else 2)]])
        entering = F.max_pool2d(entering, 2) if before.startswith("pool") else entering
        patches = F.unfold(F.pad(entering, (1, 1, 1, 1), mode="reflect"), 3).transpose(1, 2).flatten(0, 1)
        least_squares(student.get_submodule(name), patches, seen[name].flatten(2).transpose(1, 2).flatten(0, 1))
    fit_heads(student, teacher, pictures)


def fit_heads(student: VGG19, teacher: Hybrid, pictures: Tensor) -> None:
    seen = teacher(pictures, student.layers)
    with Inside(student) as own:
        student(pictures, student.layers)
    for place in student.heads:
        entering = F.relu(own[f"conv{place}"]).flatten(2).transpose(1, 2).flatten(0, 1)
        wanted = seen[f"conv{place}"].flatten(2).transpose(1, 2).flatten(0, 1)
        least_squares(student.get_submodule(f"head{place}"), entering, wanted)


def least_squares(convolution: nn.Module, entering: Tensor, wanted: Tensor) -> None:
    """Give a convolution the weights that turn patches (N, I) into (N, O) best, all but those that mean nothing."""
    assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
    entering = torch.cat([entering, torch.ones_like(entering[:, :1])], 1)
    gram = entering.T @ entering
    slight = 1e-4 * gram.trace() / len(gram) * torch.eye(len(gram))
    solution = torch.linalg.solve(gram + slight, entering.T @ wanted).T
    convolution.weight.copy_(solution[:, :-1].view_as(convolution.weight))
    convolution.bias.copy_(solution[:, -1])


class Pool:
    """Pictures that are being optimised under the student, each for a while."""

    SIZE, AT_ONCE, LIFE = 12, 4, 80

    def __init__(self, args: argparse.Namespace, step: int) -> None:
        self.fresh = batches(args, step + 100_000)
        self.generator = torch.Generator().manual_seed(step)
        self.entries: list[dict[str, Tensor]] = []
        self.ages: list[int] = []
        self.turn = 0

    def advance(self, student: VGG19) -> Tensor:
        """A step for the next few, (AT_ONCE, 3, crop, crop)."""
        while len(self.entries) < self.SIZE:
            batch = next(self.fresh)
            picture = torch.rand(batch[2].shape, generator=self.generator) if len(self.entries) % 3 == 0 else batch[3]
            entry = {"content": batch[3], "style": batch[0], "picture": picture, "momentum": torch.zeros_like(picture)}
            self.entries.append(entry)
            # The first ones are as good as older than they are, so that not all go at once.
            self.ages.append(0 if self.turn else len(self.entries) * self.LIFE // self.SIZE)
        now = [(self.turn + offset) % self.SIZE for offset in range(self.AT_ONCE)]
        self.turn += self.AT_ONCE
        content, style, picture, momentum = (
            torch.stack([self.entries[i][name] for i in now]).contiguous(memory_format=torch.channels_last)
            for name in ("content", "style", "picture", "momentum")
        )
        layers = [layer for layer in (*SHALLOW, *DEEP) if layer.startswith("conv")]
        student.requires_grad_(False)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                grams = {layer: gram_matrix(features) for layer, features in student(style, layers).items()}
                kept = student(content, [CONTENT])[CONTENT]
            features = student(picture.requires_grad_(), layers)
        loss = 0.3 * (features[CONTENT] - kept).float().square().mean((1, 2, 3)) / kept.float().square().mean((1, 2, 3))
        for layer, target in grams.items():
            distance = (gram_matrix(features[layer]) - target).square().sum((1, 2))
            loss = loss + distance / target.square().sum((1, 2))
        (gradient,) = torch.autograd.grad(loss.sum(), picture)
        student.requires_grad_(True).conv0.requires_grad_(False)
        size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-12
        momentum = 0.8 * momentum + gradient / size
        picture = (picture.detach() - 0.01 * momentum).clamp(0, 1)
        for place, i in enumerate(now):
            self.entries[i]["picture"], self.entries[i]["momentum"] = picture[place], momentum[place]
            self.ages[i] += 1
        for i in sorted(now, reverse=True):
            if self.ages[i] >= self.LIFE:
                del self.entries[i], self.ages[i]
        return picture


def batches(args: argparse.Namespace, start: int) -> Iterator[Tensor]:
    """(B, 3, crop, crop), RGB in 0–1: photographs and paintings, a few of them mixed or noisy."""
    recipe = Recipe(steps=10**6, batch_size=args.batch_size, crop=args.crop)
    photographs = Photographs(args.photos, recipe)
    places = range(start * args.batch_size, (args.steps + args.more_steps) * args.batch_size)
    if start >= args.steps + args.more_steps:
        places = range(start * args.batch_size, len(photographs))
    loader = DataLoader(photographs, sampler=places, batch_size=args.batch_size)
    paths = sorted(path for path in args.paintings.iterdir() if path.suffix.lower() in PHOTO_SUFFIXES)
    paintings = [to_tensor(fit(open_picture(path), side)) / 255 for path in paths for side in (300, 512, 800)]
    generator = torch.Generator().manual_seed(start)

    def random(*size: int) -> Tensor:
        return torch.rand(size, generator=generator)

    for batch in loader:
        for picture in batch[: args.batch_size // 4]:
            canvas = paintings[int(random(1) * len(paintings))][0]
            top, left = ((random(2) * (torch.tensor(canvas.shape[1:]) - args.crop).clamp(min=0)).long()).tolist()
            patch = canvas[:, top : top + args.crop, left : left + args.crop]
            if patch.shape == picture.shape:
                picture.copy_(patch)
        mixed = batch[args.batch_size // 4 - 1 : args.batch_size // 4 + 1]
        mixed.lerp_(mixed.flip(0).flip(-1), 0.4 * random(1).item())
        noisy = batch[-args.batch_size // 4 :]
        noisy.add_(0.25 * random(1).item() * torch.randn(noisy.shape, generator=generator)).clamp_(0, 1)
        yield batch.contiguous(memory_format=torch.channels_last)


if __name__ == "__main__":
    main()
