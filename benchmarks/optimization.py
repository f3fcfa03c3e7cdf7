"""How soon does ``optimize`` reach the loss that the PyTorch tutorial's loop has after 300 steps?

That loop is the plain approach: float32, one scale, ``torch.optim.LBFGS``, from the photograph.
Ours gets the same feature network, the same losses, the same pictures. Each runs in a process of its own, in turns;
every picture of full size on the way is then measured in float32 by one and the same loss. Prints medians and the
ratio, and with ``-o`` draws both curves.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.nn import functional as F

from nst_core import METHODS, PerceptualLoss, load_features, open_picture, optimize
from nst_core.features import FeatureNetwork
from nst_core.images import to_tensor
from nst_core.losses import StyleTarget
from nst_core.memory import keep_freed_memory

SHARED = Path(__file__).resolve().parents[2] / "shared"
LOSSES = METHODS["tutorial"]


@dataclass(frozen=True)
class Task:
    """What both approaches are given."""

    features: str
    content: Path
    style: Path
    size: int
    steps: int

    def pictures(self) -> tuple[Image.Image, Image.Image]:
        """Content and style, squares of one size, as the tutorial needs them."""
        side = (self.size, self.size)
        content, style = (ImageOps.fit(open_picture(path), side) for path in (self.content, self.style))
        return content, style

    def tensors(self) -> tuple[Tensor, Tensor]:
        """The same, (1, 3, H, W), RGB in 0–1."""
        content, style = (to_tensor(picture) / 255 for picture in self.pictures())
        return content, style

    def network(self) -> FeatureNetwork:
        """The feature network, frozen."""
        return load_features(self.features if self.features == "vgg19" else Path(self.features))


Curve = list[tuple[float, Tensor]]
"""Seconds since the start, and the picture then."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--content", type=Path, default=SHARED / "photos" / "large" / "tuebingen-neckarfront.jpg")
    parser.add_argument("--style", type=Path, default=SHARED / "paintings" / "starry-night.jpg")
    parser.add_argument("--features", default=str(SHARED / "features"), help="vgg19, or a folder of feature networks")
    parser.add_argument("--size", type=int, default=512, help="side of the squares, pixels")
    parser.add_argument("--steps", type=int, default=300, help="of the plain approach")
    parser.add_argument("--ours", type=int, default=200, help="the most steps of ours, over all scales")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("-o", "--out", type=Path, help="where to draw both curves, a .webp")
    args = parser.parse_args()
    here = args.features == "vgg19" or Path(args.features).is_dir()
    if not (args.content.is_file() and args.style.is_file() and here):
        print("skipped: the pictures or the feature networks to measure with are not here")
        return

    task = Task(args.features, args.content, args.style, args.size, args.steps)
    measure = exact_loss(task)
    rows, curves = [], []
    for _ in range(args.repeats):
        plain, ours = (
            [(seconds, measure(picture)) for seconds, picture in apart(run, replace(task, steps=steps))]
            for run, steps in ((run_plain, args.steps), (run_ours, args.ours))
        )
        goal = plain[-1][1]
        reached = next((seconds for seconds, loss in ours if loss <= goal), float("inf"))
        rows.append((plain[-1][0], goal, reached, plain[-1][0] / reached, ours[-1][0], ours[-1][1]))
        curves = [plain, ours]
        print("plain: " + "  ".join(f"{seconds:.0f} s {loss:.4g}" for seconds, loss in plain), flush=True)
        print("ours:  " + "  ".join(f"{seconds:.0f} s {loss:.4g}" for seconds, loss in ours), flush=True)
    seconds, goal, reached, ratio, last, lowest = (statistics.median(column) for column in zip(*rows, strict=True))
    print(f"\n{args.size} px, {torch.get_num_threads()} threads, medians of {args.repeats}")
    print(f"plain, {args.steps} steps: {seconds:.1f} s, loss {goal:.4g}")
    print(
        f"ours, the same loss:  {reached:.1f} s: {ratio:.1f} times as fast; at the end {lowest:.4g} after {last:.1f} s"
    )
    if args.out:
        draw(curves, args.out, args.size)


def exact_loss(task: Task) -> Callable[[Tensor], float]:
    """The tutorial's loss of a picture, in float32, by which both are measured."""
    content, style = task.tensors()
    loss = PerceptualLoss(
        task.network(),
        [StyleTarget(style)],
        content_layers={layer: LOSSES.content_weight * part for layer, part in LOSSES.content_layers.items()},
        style_layers={layer: LOSSES.style_weight * part for layer, part in LOSSES.style_layers.items()},
        convention=LOSSES.convention,
    )
    targets = loss.content_targets(content)

    def measure(picture: Tensor) -> float:
        with torch.no_grad():
            return loss(picture, targets).total.item()

    return measure


def run_plain(task: Task, out: Connection) -> None:
    """What a student writes after the tutorial."""

    def gram(features: Tensor) -> Tensor:
        batch, channels, height, width = features.shape
        flat = features.view(batch * channels, height * width)
        return torch.mm(flat, flat.t()) / features.numel()

    content, style = task.tensors()
    network = task.network()
    layers = {**LOSSES.content_layers, **LOSSES.style_layers}
    with torch.no_grad():
        contents = network(content, LOSSES.content_layers)
        grams = {layer: gram(features) for layer, features in network(style, LOSSES.style_layers).items()}
    picture = content.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([picture])
    began, run = time.perf_counter(), 0
    while run < task.steps:

        def closure() -> Tensor:
            nonlocal run
            with torch.no_grad():
                picture.clamp_(0, 1)
            optimizer.zero_grad()
            features = network(picture, layers)
            score = torch.zeros(())
            for layer, target in contents.items():
                score = score + LOSSES.content_weight * F.mse_loss(features[layer], target)
            for layer, target in grams.items():
                score = score + LOSSES.style_weight * F.mse_loss(gram(features[layer]), target)
            score.backward()
            run += 1
            if run % 25 == 0:
                out.send((time.perf_counter() - began, picture.detach().numpy().copy()))
            return score

        optimizer.step(closure)
    out.send((time.perf_counter() - began, picture.detach().clamp(0, 1).numpy()))


def run_ours(task: Task, out: Connection) -> None:
    """``nst_core.optimize`` with the same losses, coarse to fine."""
    keep_freed_memory()
    method = replace(LOSSES, size=task.size, steps=task.steps, scales=3, saturation=0)
    began = time.perf_counter()
    content, style = task.pictures()
    for step in optimize(content, style, method, features=task.network()):
        if max(step.size) == task.size and (step.step % 3 == 0 or step.finished):
            out.send((time.perf_counter() - began, step.state.point.picture.cpu().numpy()))


def apart(run: Callable[[Task, Connection], None], task: Task) -> Curve:
    """A run in a process of its own, as ``keep_freed_memory`` changes the whole process."""
    here, there = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=run, args=(task, there))
    process.start()
    there.close()
    curve: Curve = []
    try:
        while True:
            seconds, pixels = here.recv()  # as an array: a tensor would be shared with a process that may be gone
            curve.append((seconds, torch.from_numpy(pixels)))
    except EOFError:
        process.join()
    return curve


def draw(curves: list[list[tuple[float, float]]], out: Path, size: int) -> None:
    """Both losses over time, on logarithmic axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for curve, name in zip(curves, ("the PyTorch tutorial's loop", "nst_core.optimize"), strict=True):
        axes.loglog(*zip(*curve, strict=True), label=name)
    axes.axhline(curves[0][-1][1], color="grey", linewidth=0.8, linestyle="--")
    axes.set(xlabel="seconds", ylabel="loss", title=f"The same loss, {size} px, on a CPU")
    axes.legend()
    figure.savefig(out, dpi=110, pil_kwargs={"quality": 85})


if __name__ == "__main__":
    main()
