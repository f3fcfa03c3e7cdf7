"""How fast is training, what does it reach, and what takes the time?

Two trainings of the same network on the same loss and photographs from the same start take turns: ``train``'s, and the
loop of pytorch/examples' fast_neural_style (Adam at a constant 1e-3, float32, PyTorch's own layers). Once ``train`` has
done its steps, the other gets as many seconds. Prints pictures a second (medians of the steps), and the loss of both
networks on squares that neither saw. Then one step's parts.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from nst_core import Registry, open_picture
from nst_core.features import load_features
from nst_core.layers import lay_out
from nst_core.losses import PerceptualLoss
from nst_core.memory import keep_freed_memory
from nst_core.muon import Muon
from nst_core.precision import best_device, fast_bfloat16
from nst_core.recipe import Recipe
from nst_core.training import Photographs, perceptual_loss, train

SHARED = Path(__file__).resolve().parents[2] / "shared"


def main() -> None:
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--painting", type=Path, default=SHARED / "paintings" / "udnie.jpg")
    parser.add_argument("--photos", type=Path, default=SHARED / "photos" / "train")
    parser.add_argument("--unseen", type=Path, default=SHARED / "photos" / "eval")
    parser.add_argument("--warm-start", default="starry-night")
    parser.add_argument("--features", default="compact")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=Recipe.batch_size)
    arguments = parser.parse_args()
    for needed in (arguments.painting, arguments.photos, arguments.unseen):
        if not needed.exists():
            print(f"skipped: there is no {needed.name} to train on")
            return

    device = best_device()
    recipe = Recipe(steps=arguments.steps, reconstruction_steps=0, batch_size=arguments.batch_size)
    start = Registry.load().open(arguments.warm_start)
    ours, theirs = start.architecture.network(), start.architecture.network()
    for network in (ours, theirs):
        network.load_state_dict(start.network.state_dict())
    loss = perceptual_loss(recipe, load_features(arguments.features).to(device), open_picture(arguments.painting))
    seconds: dict[str, list[float]] = {"train": [], "pytorch/examples": []}
    with tempfile.TemporaryDirectory() as folder:
        features = load_features(arguments.features)
        runs: dict[str, Iterator[object]] = {
            "train": train(recipe, arguments.painting, arguments.photos, ours, features, Path(folder) / "checkpoint"),
            "pytorch/examples": examples(theirs.to(device), loss, arguments.photos, recipe),
        }
        while len(seconds["train"]) < recipe.steps:
            turn(runs, seconds, device)
        while sum(seconds["pytorch/examples"]) < sum(seconds["train"]):
            turn({"pytorch/examples": runs["pytorch/examples"]}, seconds, device)
    print(
        f"{torch.get_num_threads()} threads, {device.type}, bfloat16 {'used' if fast_bfloat16(device) else 'not used'}"
    )
    squares = Photographs(arguments.unseen, replace(recipe, batch_size=1, steps=24, seed=1))
    unseen = torch.stack([squares[index] for index in range(24)]).to(device)
    for (name, times), network in zip(seconds.items(), (ours, theirs), strict=True):
        rate = recipe.batch_size / statistics.median(times)
        print(
            f"{name:<18}{rate:6.2f} pictures/s  {len(times):5} steps in {sum(times):6.1f} s  "
            f"loss on unseen photographs {loss_on(network, loss, unseen):.4f}"
        )
    print(f"a step's parts, seconds: {parts(deepcopy(ours), loss, arguments.photos, recipe, device)}")


def turn(runs: dict[str, Iterator[object]], seconds: dict[str, list[float]], device: torch.device) -> None:
    """One step of each."""
    for name, run in runs.items():
        began = time.perf_counter()
        next(run)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds[name].append(time.perf_counter() - began)


def examples(network: nn.Module, loss: PerceptualLoss, photos: Path, recipe: Recipe) -> Iterator[None]:
    """The loop of pytorch/examples' neural_style.py, on our loss."""
    device = next(network.parameters()).device
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    photographs = Photographs(photos, replace(recipe, steps=10**6))
    step = 0
    while True:
        batch = torch.stack([photographs[step * recipe.batch_size + index] for index in range(recipe.batch_size)])
        batch = batch.to(device)
        optimizer.zero_grad()
        loss(network(255 * batch) / 255, loss.content_targets(batch)).total.backward()
        optimizer.step()
        step += 1
        yield


@torch.no_grad()
def loss_on(network: nn.Module, loss: PerceptualLoss, squares: Tensor) -> float:
    """Mean total loss over squares (N, 3, H, W), RGB in 0–1."""
    totals = []
    for square in squares.split(1):
        totals.append(float(loss(network(255 * square) / 255, loss.content_targets(square)).total))
    return statistics.fmean(totals)


def parts(network: nn.Module, loss: PerceptualLoss, photos: Path, recipe: Recipe, device: torch.device) -> str:
    """Medians of five steps' parts."""
    lay_out(network, device)
    loss.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    optimizer, photographs = Muon(network), Photographs(photos, recipe)
    times: dict[str, list[float]] = {}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.setdefault(name, []).append(time.perf_counter() - began)

    for step in range(5):
        with timed("photographs"):
            indices = range(step * recipe.batch_size, (step + 1) * recipe.batch_size)
            batch = torch.stack([photographs[index] for index in indices]).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_bfloat16(device)):
            with timed("network"):
                output = network(255 * batch) / 255
            with timed("losses"):
                total = loss(output, loss.content_targets(batch)).total
        with timed("their gradient"):
            (gradient,) = torch.autograd.grad(total, output)
        with timed("the network's"):
            output.backward(gradient)
        with timed("Muon"):
            optimizer.step(0.0)
    return ", ".join(f"{name} {statistics.median(one):.3f}" for name, one in times.items())


if __name__ == "__main__":
    main()
