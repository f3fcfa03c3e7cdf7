"""Distils ``nst_core/compact.safetensors``: a VGG19 a quarter as wide that predicts what the full one sees.

The teacher is a folder of feature networks (see ``nst_core.load_features``), the method Wang et al. 2020,
"Collaborative Distillation for Ultra-Resolution Universal Style Transfer": 1 × 1 heads map narrow activations to the
teacher's. Beside the activations the student learns their Gram matrices, for that is what a style is measured by, and
it learns on photographs, paintings and noisy mixtures of both, for an optimisation may begin anywhere.

    python scripts/distill.py --features FOLDER --photos FOLDER --paintings FOLDER
"""

import argparse
import math
import time
from collections.abc import Iterator
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

# Where the teacher is exact, what enters a ReLU says more than what leaves it; deeper, it learned the latter alone.
LEARNED = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "relu3_1", "relu4_1", "relu5_1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", type=Path, required=True, help="the teacher")
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--paintings", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--crop", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("-o", "--out", type=Path, default=COMPACT_WEIGHTS)
    args = parser.parse_args()

    keep_freed_memory()
    torch.manual_seed(0)
    teacher = load_features(args.features)
    student = compact_network()
    student.conv0.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in student.parameters() if p.requires_grad], lr=args.learning_rate)
    checkpoint, start = args.out.with_suffix(".checkpoint"), 0
    if not args.resume:
        with torch.no_grad():
            initialise(student, teacher, next(batches(args, 0)))
    else:
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        student.load_state_dict(state["student"])
        optimizer.load_state_dict(state["optimizer"])
    for network in (teacher, student):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    began, sums = time.perf_counter(), torch.zeros(len(LEARNED))
    for step, pictures in enumerate(batches(args, start), start):
        warm = min(1, (step + 1) / 200)
        for group in optimizer.param_groups:
            group["lr"] = args.learning_rate * warm * (0.5 + 0.5 * math.cos(math.pi * step / args.steps))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                seen = teacher(pictures, LEARNED)
            predicted = student(pictures, LEARNED)
            errors = torch.stack([error(predicted[layer], seen[layer], layer) for layer in LEARNED])
        errors.sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        sums += errors.detach()
        if (step + 1) % 50 == 0:
            shown = " ".join(f"{layer} {value:.3f}" for layer, value in zip(LEARNED, sums / 50, strict=True))
            print(f"{step + 1} {time.perf_counter() - began:.0f} s  {shown}", flush=True)
            sums.zero_()
            state = {"step": step + 1, "student": student.state_dict(), "optimizer": optimizer.state_dict()}
            torch.save(state, checkpoint)
            half = {name: tensor.half().contiguous() for name, tensor in student.state_dict().items()}
            save_file(half, args.out)


def initialise(student: VGG19, teacher: Hybrid | VGG19, pictures: Tensor) -> None:
    """Convolutions by He et al. 2015, so that activations neither fade nor grow; heads by least squares on pictures."""
    for name, module in student.named_modules():
        if isinstance(module, nn.Conv2d) and name.startswith("conv") and module is not student.conv0:
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    seen = teacher(pictures, student.layers)
    for place in student.heads:
        head = student.get_submodule(f"head{place}")
        assert isinstance(head, nn.Conv2d) and head.bias is not None
        entering: list[Tensor] = []
        hook = head.register_forward_hook(lambda _, inputs, __, kept=entering: kept.append(inputs[0]))
        student(pictures, [f"conv{place}"])
        hook.remove()
        narrow, wide = (x.transpose(0, 1).flatten(1).T for x in (entering[0], seen[f"conv{place}"]))
        narrow = torch.cat([narrow, torch.ones_like(narrow[:, :1])], 1)
        gram = narrow.T @ narrow
        solution = torch.linalg.solve(gram + 1e-4 * gram.trace() / len(gram) * torch.eye(len(gram)), narrow.T @ wide).T
        head.weight.copy_(solution[:, :-1, None, None])
        head.bias.copy_(solution[:, -1])


def error(predicted: Tensor, seen: Tensor, layer: str) -> Tensor:
    """What is unexplained of a layer's variance; of a deep one's, and of its Gram matrix."""
    spread = seen[:, :, ::4, ::4].float().var() if seen.shape[-1] > 32 else seen.float().var()
    unexplained = F.mse_loss(predicted, seen).float() / spread
    if layer.startswith("conv"):
        return unexplained
    gram, target = gram_matrix(predicted).float(), gram_matrix(seen).float()
    return unexplained + 0.2 * (gram - target).square().sum() / target.square().sum()


def batches(args: argparse.Namespace, start: int) -> Iterator[Tensor]:
    """(B, 3, crop, crop), RGB in 0–1: photographs and paintings, a few of them mixed or noisy."""
    recipe = Recipe(steps=args.steps, batch_size=args.batch_size, crop=args.crop)
    photographs = Photographs(args.photos, recipe)
    loader = DataLoader(
        photographs, sampler=range(start * args.batch_size, len(photographs)), batch_size=args.batch_size
    )
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
