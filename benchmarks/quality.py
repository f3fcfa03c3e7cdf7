"""How good are the styles? Losses against Gatys' optimisation, the subject's identity, stability, artefacts.

Scores are means over photographs:

- content, style: the loss that the style was trained on, its weights applied.
- from photo, from noise: how many L-BFGS steps on that loss bring the optimisation as low as the network's one pass
  (Johnson et al. 2016, section 4.1 report 50 to 100 for theirs).
- identity: structural similarity of the luminance with the photograph's, both 64 px large.
- shift, noise: how much the picture changes as the photograph moves by a pixel, or gets noise of a deviation of
  4/255, divided by the photograph's own change. What is high flickers in a film.
- border, spots: energy in the outer eight pixels against the rest, and the strongest round spot against what is
  usual, each divided by the photograph's own; over 2 is an artefact, and marked.
- grid: a regular pattern at the network's stride, its deviation in levels of 255 (photographs have 1); over 3 is one.

Another project's network, where there is one, is measured beside them. ``--write`` puts the scores into the styles.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from skimage.filters import difference_of_gaussians
from skimage.metrics import structural_similarity
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core import Registry, Style, open_picture
from nst_core.architectures.fast_style_transfer import FAST_STYLE_TRANSFER
from nst_core.errors import NSTError
from nst_core.features import load_features
from nst_core.images import fit, is_photograph, to_tensor
from nst_core.importing import read_ml5
from nst_core.losses import ContentTarget, LossTerms, PerceptualLoss
from nst_core.memory import keep_freed_memory
from nst_core.recipe import Recipe
from nst_core.style import CARD, CONFIG, Card
from nst_core.training import perceptual_loss

SHARED = Path(__file__).resolve().parents[2] / "shared"
ARTEFACTS = {"border": 2.0, "spots": 2.0, "grid": 3.0}
"""Scores above these are visible."""

Paint = Callable[[Tensor], Tensor]
"""Photographs (1, 3, H, W), RGB in 0–1, to pictures of the same shape and range."""


@dataclass(frozen=True)
class Look:
    """Scores of pictures that need no loss."""

    identity: float
    shift: float
    noise: float
    border: float
    spots: float
    grid: float


@dataclass(frozen=True)
class Closeness:
    """Scores against the optimisation; counts of steps that reach the most that was tried are lower bounds."""

    content: float
    style: float
    from_photo: float
    from_noise: float


def main() -> None:
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", nargs="*", help="their ids, or folders; by default all that are bundled")
    parser.add_argument("--photos", type=Path, default=SHARED / "photos" / "eval")
    parser.add_argument("--paintings", type=Path, default=SHARED / "paintings")
    parser.add_argument("--features", default=SHARED / "features", help="in place of a folder that a style names")
    parser.add_argument(
        "--other", type=Path, default=SHARED / "checkpoints" / "ml5-la-muse", help="as ml5.js shares it"
    )
    parser.add_argument("--count", type=int, default=3, help="how many photographs, evenly picked, to optimise")
    parser.add_argument("--size", type=int, default=256, help="longer side of all photographs, pixels")
    parser.add_argument("--most", type=int, default=120, help="L-BFGS steps to try; 0 for no optimisation")
    parser.add_argument("--write", action="store_true", help="write the scores into config.json and card")
    arguments = parser.parse_args()
    if not arguments.photos.is_dir():
        print(f"skipped: there is no folder {arguments.photos.name}/ of photographs to evaluate on")
        return

    files = filter(is_photograph, sorted(arguments.photos.iterdir()))
    photos = [to_tensor(fit(open_picture(path), arguments.size)) / 255 for path in files]
    optimised = photos[:: max(1, len(photos) // arguments.count)][: arguments.count]
    print(f"means over {len(photos)} photographs at {arguments.size} px;", end=" ")
    print(f"content, style and steps over {len(optimised)}, at most {arguments.most} steps")
    names = [field.name for kind in (Look, Closeness) for field in fields(kind)]
    print(f"{'style':<28}" + "".join(f"{name.replace('_', ' '):>12}" for name in names), flush=True)
    if arguments.other.is_dir():
        network = FAST_STYLE_TRANSFER.network()
        network.load_state_dict(read_ml5(arguments.other))
        show(arguments.other.name, asdict(look(painter(network.eval()), photos)))
    registry = Registry.load()
    for name in arguments.styles or [entry.id for entry in registry]:
        style = registry.open(Path(name) if Path(name).is_dir() else name)
        loss = None
        if arguments.most and "features" in style.config.training:  # an imported one's loss is not known
            try:
                loss = loss_of(style, arguments.features, arguments.paintings)
            except NSTError as error:
                parser.error(f"{error} (--paintings and --features say where they are)")
        scores = asdict(look(painter(style.network), photos))
        if loss:
            scores |= asdict(closeness(painter(style.network), loss, optimised, arguments.most))
        show(style.id, scores)
        if arguments.write:
            write(style, scores, len(photos), arguments)


def show(name: str, scores: dict[str, float]) -> None:
    """One line of the table."""
    marks = {score: "!" for score, most in ARTEFACTS.items() if scores[score] > most}
    print(f"{name:<28}" + "".join(f"{f'{marks.get(k, str())}{v:.3g}':>12}" for k, v in scores.items()), flush=True)


def painter(network: nn.Module) -> Paint:
    """A style's network as a function of pictures in 0–1."""

    def paint(photo: Tensor) -> Tensor:
        with torch.no_grad():
            return network(255 * photo)[..., : photo.shape[2], : photo.shape[3]].clamp(0, 255) / 255

    return paint


def look(paint: Paint, photos: list[Tensor]) -> Look:
    """Means over the photographs."""
    rows = []
    for photo in photos:
        painted = paint(photo)
        rows.append(
            (
                identity(photo, painted),
                shift_change(paint, photo),
                noise_change(paint, photo, painted),
                *(measure(painted) / measure(photo) for measure in (border, spots)),
                grid(painted),
            )
        )
    return Look(*(statistics.fmean(column) for column in zip(*rows, strict=True)))


def identity(photo: Tensor, painted: Tensor) -> float:
    """SSIM (Wang et al. 2004) of the luminances at 64 px."""
    scale = 64 / max(photo.shape[2:])
    coarse = [F.interpolate(_luminance(one), scale_factor=scale, mode="area")[0, 0].numpy() for one in (photo, painted)]
    return float(structural_similarity(*coarse, data_range=1.0, gaussian_weights=True, use_sample_covariance=False))


def shift_change(paint: Paint, photo: Tensor) -> float:
    """Σ |f(Sx) − S f(x)| / Σ |Sx − x|, S a shift by one pixel."""
    here, there = photo[..., :-1], photo[..., 1:]
    return float((paint(here)[..., 1:] - paint(there)[..., :-1]).abs().mean() / (here - there).abs().mean())


def noise_change(paint: Paint, photo: Tensor, painted: Tensor) -> float:
    """Σ |f(x + n) − f(x)| / Σ |n|, n Gaussian of a deviation of 4/255."""
    noise = 4 / 255 * torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    return float((paint(photo + noise) - painted).abs().mean() / noise.abs().mean())


def border(picture: Tensor, width: int = 8) -> float:
    """Energy of differences between neighbours in the outer pixels, against the rest's."""
    luminance = _luminance(picture)
    energy = luminance.diff(dim=2)[..., 1:].square() + luminance.diff(dim=3)[..., 1:, :].square()
    middle = energy[..., width:-width, width:-width]
    return float((energy.sum() - middle.sum()) / (energy.numel() - middle.numel()) / (middle.mean() + 1e-6))


def spots(picture: Tensor) -> float:
    """The strongest response to round spots of some two to eight pixels, in its own deviations."""
    luminance = _luminance(picture)[0, 0].numpy()
    responses = (np.abs(difference_of_gaussians(luminance, deviation)) for deviation in (2.0, 4.0, 8.0))
    return max(float(response.max() / (np.sqrt(np.square(response).mean()) + 1e-6)) for response in responses)


def grid(picture: Tensor, stride: int = 4) -> float:
    """Deviation, in levels of 255, of the components at multiples of 1/stride of the sampling frequency.

    Those at nearby frequencies are subtracted: texture is everywhere, a grid only there.
    """
    luminance = 255 * _luminance(picture)[0, 0].double().numpy()
    height, width = luminance.shape
    window = np.outer(np.hanning(height), np.hanning(width))
    power = np.abs(np.fft.fft2((luminance - luminance.mean()) * window)) ** 2 / window.size / np.square(window).sum()
    across, down = np.meshgrid(np.fft.fftfreq(width), np.fft.fftfreq(height))
    excess = 0.0
    for x in range(stride // 2 + 1):
        for y in range(stride // 2 + 1):
            if x or y:
                away = np.maximum(np.abs(np.abs(across) - x / stride), np.abs(np.abs(down) - y / stride))
                around = np.mean(power[(away > 0.02) & (away < 0.06)])
                excess += max(0.0, float((power[away < 0.012] - around).sum()))
    return excess**0.5


def _luminance(picture: Tensor) -> Tensor:
    """(1, 3, H, W) to (1, 1, H, W)."""
    return (picture * picture.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)


def loss_of(style: Style, features: str | Path, paintings: Path) -> PerceptualLoss:
    """The loss that the style was trained on, from its ``config.json``; ``features`` stand for a folder's."""
    training = style.config.training
    recipe = Recipe(**{field.name: training[field.name] for field in fields(Recipe) if field.name in training})
    network = load_features(training["features"] if training["features"] in ("vgg19", "compact") else features)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
    return perceptual_loss(recipe, network, open_picture(paintings / training["style_image"]))


def closeness(paint: Paint, loss: PerceptualLoss, photos: list[Tensor], most: int) -> Closeness:
    """Means over the photographs."""
    rows = []
    for photo in photos:
        targets = loss.content_targets(photo)
        with torch.no_grad():
            terms = loss(paint(photo), targets)
        noise = torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
        steps = [steps_to(float(terms.total), loss, targets, start, most) for start in (photo, noise)]
        rows.append((float(terms.content), float(terms.style), *steps))
    return Closeness(*(statistics.fmean(column) for column in zip(*rows, strict=True)))


def steps_to(goal: float, loss: PerceptualLoss, targets: dict[str, ContentTarget], start: Tensor, most: int) -> int:
    """How many L-BFGS steps from ``start`` until the loss is ``goal``; more than ``most`` is not tried."""
    picture = start.clone().requires_grad_()
    # By default, it allows as many evaluations as iterations, which leaves none to shorten a step that made the loss
    # worse: it would then never take another step.
    optimizer = torch.optim.LBFGS(
        [picture],
        max_iter=1,
        max_eval=26,
        history_size=20,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        terms: LossTerms = loss(picture, targets)
        terms.total.backward()
        return terms.total

    for step in range(most):
        if optimizer.step(closure).item() <= goal:  # the loss before it moves
            return step
    return most


def write(style: Style, scores: dict[str, float], photos: int, arguments: argparse.Namespace) -> None:
    """Put the scores into the style's ``config.json`` and its card."""
    rounded = {name: round(score, 3) for name, score in scores.items()}
    config = style.config.model_copy(update={"metrics": {**style.config.metrics, **rounded}})
    (style.folder / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    card = Card.parse((style.folder / CARD).read_text(encoding="utf-8"))
    table = "".join(f"| {name.replace('_', ' ')} | {score:g} |\n" for name, score in rounded.items())
    fewer = f"content, style and L-BFGS steps (at most {arguments.most} were tried)"
    if not arguments.most:
        fewer = "content and style"
    means = f"Means over {photos} photographs at {arguments.size} px; {fewer} over {arguments.count}."
    text = f"""{card.text.partition("## Scores")[0].rstrip()}

## Scores

{means} `benchmarks/quality.py` says what they mean.

| score | |
| --- | --- |
{table}"""
    (style.folder / CARD).write_text(card.model_copy(update={"text": text}).render(), encoding="utf-8")


if __name__ == "__main__":
    main()
