"""How good are the styles? Each network's one pass against Gatys' optimisation of the very loss it was trained on.

For every photograph: the loss of the network's picture, and how many L-BFGS steps the optimisation needs to get as
low, from the photograph and from noise (Johnson et al. 2016, section 4.1 report 50 to 100 for theirs). Prints a table.
"""

import argparse
import statistics
from dataclasses import fields
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from nst_core import Registry, Style, open_picture
from nst_core.features import FeatureNetwork, load_features
from nst_core.images import fit, to_tensor
from nst_core.losses import LossTerms, PerceptualLoss
from nst_core.memory import keep_freed_memory
from nst_core.recipe import Recipe
from nst_core.training import perceptual_loss

SHARED = Path(__file__).resolve().parents[2] / "shared"


def main() -> None:
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=SHARED / "photos" / "eval")
    parser.add_argument("--paintings", type=Path, default=SHARED / "paintings")
    parser.add_argument("--features", default=SHARED / "features", help="a folder of feature networks, or vgg19")
    parser.add_argument("--count", type=int, default=3, help="how many photographs, evenly picked")
    parser.add_argument("--size", type=int, default=256, help="their longer side, pixels")
    parser.add_argument("--most", type=int, default=100, help="L-BFGS steps to try")
    arguments = parser.parse_args()
    if not arguments.photos.is_dir():
        raise SystemExit(f"skipped: there is no folder {arguments.photos.name}/ of photographs to evaluate on")

    features = load_features(arguments.features).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    paths = sorted(arguments.photos.iterdir())
    photos = [
        to_tensor(fit(open_picture(path), arguments.size)) / 255 for path in paths[:: len(paths) // arguments.count]
    ]
    photos = photos[: arguments.count]
    registry = Registry.load()
    print(f"{len(photos)} photographs at {arguments.size} px, at most {arguments.most} L-BFGS steps, medians")
    print(f"{'style':<16}{'photo':>8}{'network':>9}{'content':>9}{'style':>9}{'from photo':>12}{'from noise':>12}")
    for entry in registry:
        style = registry.open(entry.id)
        loss = loss_of(style, features, arguments.paintings)
        rows = [measure(style, loss, photo, arguments.most) for photo in photos]
        median = [statistics.median(column) for column in zip(*rows, strict=True)]
        steps = [f"{n:.0f}" if n <= arguments.most else f"> {arguments.most}" for n in median[4:]]
        print(
            f"{entry.id:<16}" + "".join(f"{v:>{w}.3f}" for v, w in zip(median[:4], (8, 9, 9, 9), strict=True)), end=""
        )
        print("".join(f"{text:>12}" for text in steps), flush=True)


def loss_of(style: Style, features: FeatureNetwork, paintings: Path) -> PerceptualLoss:
    """The loss that the style was trained on, from its ``config.json``."""
    training = style.config.training
    recipe = Recipe(**{field.name: training[field.name] for field in fields(Recipe)})
    painting = to_tensor(fit(open_picture(paintings / training["style_image"]), recipe.style_size)) / 255
    return perceptual_loss(recipe, features, painting)


def measure(style: Style, loss: PerceptualLoss, photo: Tensor, most: int) -> tuple[float, ...]:
    """Losses of the photograph and of the network's picture, its content and style part, and the two step counts."""
    targets = loss.content_targets(photo)
    with torch.no_grad():
        painted = style.network(255 * photo)[..., : photo.shape[2], : photo.shape[3]].clamp(0, 255) / 255
        terms, untouched = loss(painted, targets), loss(photo, targets)
    noise = torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
    steps = [steps_to(float(terms.total), loss, targets, start, most) for start in (photo, noise)]
    return float(untouched.total), float(terms.total), float(terms.content), float(terms.style), *steps


def steps_to(goal: float, loss: PerceptualLoss, targets: dict[str, Tensor], start: Tensor, most: int) -> int:
    """How many L-BFGS steps from ``start`` until the loss is ``goal``; more than ``most`` is not tried."""
    picture = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [picture], max_iter=1, history_size=20, tolerance_grad=0, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        terms: LossTerms = loss(picture, targets)
        terms.total.backward()
        return terms.total

    for step in count():
        # step() gives the loss before it moves.
        if optimizer.step(closure).item() <= goal or step > most:
            return step
    raise AssertionError("unreachable")


if __name__ == "__main__":
    main()
