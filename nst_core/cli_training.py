"""The commands ``train`` and ``search``."""

import os
import signal
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated

import typer

from nst_core.console import RegistryOption, check_apart, progress_bar, stderr, style_word, weighted_layers
from nst_core.errors import NSTError
from nst_core.processes import is_alone, is_first
from nst_core.recipe import MAX_SEED, MAX_SIDE, Recipe
from nst_core.registry import Registry
from nst_core.text import count, quoted

if TYPE_CHECKING:
    from PIL import Image

RECIPE = Recipe()
"""Where the defaults come from."""
NoiseOption = Annotated[
    float,
    typer.Option(min=0, help="Noise on what the network sees, in levels of 255: more makes films flicker less."),
]
ContentFocusOption = Annotated[
    float, typer.Option(min=0, help="Higher values keep faces and leave skies to the painting; 1 is usual.")
]
TotalVariationOption = Annotated[float, typer.Option(min=0, help="Higher values give smoother pictures.")]
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""What tells a training to end: Ctrl-C, a stopped container, a closed terminal, which Windows has no signal for."""


def train(
    style_image: Annotated[Path, typer.Argument(help="The painting to learn.")],
    photos: Annotated[Path, typer.Option(help="A folder of photographs to learn from; a thousand are enough.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The style folder to write.")],
    title: Annotated[str, typer.Option(help="Title of the painting.")] = "",
    artist: Annotated[str, typer.Option(help="Who painted it.")] = "",
    painting: Annotated[
        str, typer.Option(help="The painting's year, where it hangs and its licence: a line for the card.")
    ] = "",
    license: Annotated[
        str, typer.Option(help="The style's licence, as the Hub writes it: cc0-1.0, cc-by-4.0, apache-2.0.")
    ] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag to find the style by; may be repeated.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="How many steps to train, each on a batch.")] = RECIPE.steps,
    reconstruction_steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="How many of these, at the start, learn to reproduce the photograph.",
            show_default=f"{RECIPE.reconstruction_steps}, or 0 with --warm-start",
        ),
    ] = None,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Photographs per step, over all processes together.")
    ] = RECIPE.batch_size,
    crop: Annotated[
        int, typer.Option(min=64, max=MAX_SIDE, help="Side of the squares cut from the photographs, in pixels.")
    ] = RECIPE.crop,
    zoom: Annotated[
        float,
        typer.Option(min=1, help="Photographs are enlarged at random up to this factor: more shows smoother areas."),
    ] = RECIPE.zoom,
    noise: NoiseOption = RECIPE.noise,
    style_size: Annotated[
        int,
        typer.Option(
            min=64,
            max=MAX_SIDE,
            help="Longer side at which the painting is studied, in pixels: larger gives larger strokes.",
        ),
    ] = RECIPE.style_size,
    content_layer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=WEIGHT]",
            help="A layer to use instead of the default ones, as in relu3_1=0.5; may be repeated.",
            show_default=", ".join(RECIPE.content_layers),
        ),
    ] = None,
    style_layer: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=WEIGHT]",
            help="A layer to use instead of the default ones, as in relu4_1=0.5; may be repeated.",
            show_default=", ".join(RECIPE.style_layers),
        ),
    ] = None,
    content_weight: Annotated[
        float, typer.Option(min=0, help="Higher values keep more of the photograph.")
    ] = RECIPE.content_weight,
    content_focus: ContentFocusOption = RECIPE.content_focus,
    style_weight: Annotated[
        float, typer.Option(min=0, help="Higher values keep more of the painting.")
    ] = RECIPE.style_weight,
    total_variation: TotalVariationOption = RECIPE.total_variation,
    convention: Annotated[
        str, typer.Option(help="Form of the losses: relative, johnson, gatys, tutorial or article.")
    ] = RECIPE.convention,
    learning_rate: Annotated[float, typer.Option(min=0, help="Muon's, at its highest.")] = RECIPE.learning_rate,
    warm_up: Annotated[
        float,
        typer.Option(min=0, max=1, help="Share of the steps after reconstruction over which the learning rate rises."),
    ] = RECIPE.warm_up,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Of everything random.")] = RECIPE.seed,
    features: Annotated[
        str, typer.Option(help="vgg19 (fetched from the Hub once), compact, or a folder of feature networks.")
    ] = "vgg19",
    architecture: Annotated[
        str | None,
        typer.Option(
            help="Architecture of the network.", show_default=f"that of --warm-start, or else {RECIPE.architecture}"
        ),
    ] = None,
    warm_start: Annotated[str | None, typer.Option(metavar="STYLE", help="Start from this style's network.")] = None,
    sample: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTO", help="The photograph shown during training and in the preview; by default, one of PHOTOS."
        ),
    ] = None,
    sample_every: Annotated[int, typer.Option(min=1, help="Number of steps between samples.")] = 200,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the folder's last checkpoint.")] = False,
    registry: RegistryOption = None,
) -> None:
    """Train a network to paint like a picture, and write it as a style folder.

    Ctrl-C, or SIGTERM, ends the training after the current step: --resume continues from there, and the exit status is
    130. A second one ends it at once.

    Several GPUs, or machines, share each batch: accelerate launch -m nst_core train …
    """
    from nst_core.architectures import ARCHITECTURES
    from nst_core.features import load_features
    from nst_core.style import check_new
    from nst_core.training import check_architecture, new_network, train as train_network
    from nst_core.training_folder import TrainingFolder

    if architecture is not None:
        check_architecture(architecture)
    if warm_start and reconstruction_steps:
        raise typer.BadParameter(
            "--reconstruction-steps is for a network that begins at random: leave it out with --warm-start."
        )
    if reconstruction_steps is None:
        reconstruction_steps = 0 if warm_start else RECIPE.reconstruction_steps
    if not resume:
        check_new(out)
    recipe = Recipe(
        architecture=architecture or RECIPE.architecture,
        steps=steps,
        reconstruction_steps=reconstruction_steps,
        batch_size=batch_size,
        crop=crop,
        zoom=zoom,
        noise=noise,
        style_size=style_size,
        content_layers=weighted_layers(content_layer) or RECIPE.content_layers,
        style_layers=weighted_layers(style_layer) or RECIPE.style_layers,
        content_weight=content_weight,
        content_focus=content_focus,
        style_weight=style_weight,
        total_variation=total_variation,
        convention=convention,
        learning_rate=learning_rate,
        warm_up=warm_up,
        seed=seed,
    )
    start = Registry.load(registry).open(warm_start) if warm_start else None
    if start and architecture is None:
        recipe = replace(recipe, architecture=start.architecture.id)
    network = new_network(recipe, start)
    shown = _sample(sample, photos, recipe)
    folder = TrainingFolder(out, style_image, shown)
    finished = resume and folder.is_finished()
    if resume and not finished:
        check_new(out)  # files may have come there since
    interrupted = Event()
    training = train_network(
        recipe,
        style_image,
        photos,
        network,
        load_features(features),
        folder.checkpoint,
        resume=resume,
        should_stop=interrupted.is_set,
    )
    if not is_first():
        deque(training, maxlen=0)
        return
    done = steps
    print(f"{folder.working} shows the losses and samples as training goes on.", flush=True)
    with _deferring(interrupted), progress_bar() as progress:
        task = progress.add_task("training", total=steps)
        for step in folder.record(training, resume=resume):
            progress.update(
                task,
                completed=step.step,
                description=f"content {step.content:.3f}  style {step.style:.3f}  total {step.total:.3f}",
            )
            if step.step % sample_every == 0:
                folder.show(network, step.step)
            done = step.step
    if done < steps:
        stderr.print(
            f"Interrupted after {done:,} of {count(steps, 'step')}: --resume continues from there, and import makes a "
            f"style of {folder.checkpoint} as it is, in another folder."
        )
        raise typer.Exit(130)
    if finished:
        print(f"{out} is already a style, and is left as it is.")
        return
    folder.finish(
        network,
        ARCHITECTURES[recipe.architecture],
        recipe,
        features=Path(features).name,
        warm_start=_told(warm_start),
        registry=_told(registry),
        title=title or Path(os.path.abspath(out)).name,
        artist=artist,
        painting=painting,
        license=license,
        tags=tuple(tag or ()),
    )
    print(f"{out} is now a style: python -m nst_core stylize PHOTO --style {style_word(out)}")


def search(
    style_image: Annotated[Path, typer.Argument(help="The painting to learn.")],
    photos: Annotated[Path, typer.Option(help="A folder of photographs to learn from.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="SHEET", help="The picture to write.")],
    content_weight: Annotated[
        list[float] | None, typer.Option(min=0, help="A value to try; may be repeated.", show_default="0.3, 1 and 3")
    ] = None,
    style_size: Annotated[
        list[int] | None,
        typer.Option(min=64, max=MAX_SIDE, help="A value to try; may be repeated.", show_default="300 and 500"),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each training.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Photographs per step.")] = 2,
    crop: Annotated[int, typer.Option(min=64, max=MAX_SIDE, help="Side of the squares, in pixels.")] = RECIPE.crop,
    noise: NoiseOption = RECIPE.noise,
    content_focus: ContentFocusOption = RECIPE.content_focus,
    total_variation: TotalVariationOption = RECIPE.total_variation,
    features: Annotated[str, typer.Option(help="As for train.")] = "vgg19",
    warm_start: Annotated[
        str | None, typer.Option(metavar="STYLE", help="Start from this style's network.", show_default="the first")
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(metavar="PHOTO", help="The photograph that the sheet shows; by default, one of PHOTOS."),
    ] = None,
    registry: RegistryOption = None,
) -> None:
    """Train briefly with several weights and sizes of the painting, and draw what each gives on one sheet."""
    from nst_core.features import load_features
    from nst_core.images import check_suffix, fit, open_picture, save_picture
    from nst_core.sheet import draw_sheet
    from nst_core.style import PREVIEW_SIZE
    from nst_core.training import new_network, painted, train

    check_suffix(out)
    check_apart({"--out": out}, [style_image, sample])
    if photos.resolve() in out.resolve().parents:
        raise NSTError(
            f"The sheet {quoted(out)} would be among the photographs of {quoted(photos)}: choose another folder."
        )
    known = Registry.load(registry)
    if warm_start is None and not len(known):
        raise typer.BadParameter("The registry has no style to start from: name one with --warm-start.")
    start = known.open(warm_start or next(iter(known)).id)
    weights = list(dict.fromkeys(content_weight or [0.3, 1.0, 3.0]))  # a value given twice is tried once
    sizes = list(dict.fromkeys(style_size or [300, 500]))
    base = replace(
        RECIPE,
        architecture=start.architecture.id,
        steps=steps,
        reconstruction_steps=0,
        batch_size=batch_size,
        crop=crop,
        noise=noise,
        content_focus=content_focus,
        total_variation=total_variation,
    )
    recipes = [[replace(base, content_weight=weight, style_size=size) for weight in weights] for size in sizes]
    shown, feature_network = fit(_sample(sample, photos, base), PREVIEW_SIZE), load_features(features)
    rows, tries = [], len(weights) * len(sizes)
    with progress_bar() as progress:
        task = progress.add_task("searching", total=tries * steps)
        for size, alternatives in zip(sizes, recipes, strict=True):
            rows.append([fit(open_picture(style_image), size)])
            for recipe in alternatives:
                network = new_network(recipe, start)
                tried = f"weight {recipe.content_weight:g}, size {size}"
                for step in train(recipe, style_image, photos, network, feature_network):
                    progress.update(task, advance=1, description=f"{tried}: {step.total:.3f}")
                rows[-1].append(painted(network, shown))
    columns = ["the painting", *(f"--content-weight {weight:g}" for weight in weights)]
    save_picture(draw_sheet(rows, column_labels=columns, row_labels=[f"--style-size {size}" for size in sizes]), out)
    what = f"{count(tries, 'alternative')} after {count(steps, 'step')}"
    print(f"{out} shows {what}; give those options to train.")


def _told(source: str | None) -> str | None:
    """A source as a card names it: for a path, its last part alone."""
    return Path(os.path.abspath(source)).name if source and os.path.exists(source) else source


def _sample(sample: Path | None, photos: Path, recipe: Recipe) -> "Image.Image":
    """The photograph to show progress on, by default the first of the folder."""
    from nst_core.images import open_picture
    from nst_core.training import Photographs

    if sample is not None:
        return open_picture(sample).convert("RGB")
    photographs = Photographs(photos, recipe)
    return photographs.first_readable(photographs.paths).convert("RGB")


@contextmanager
def _deferring(interrupted: Event) -> Iterator[None]:
    """The first Ctrl-C, or other signal to end, only sets ``interrupted``, so that a step is completed; a second one
    interrupts at once."""
    # Where one is ignored, it stays so. No process of several may end alone: the others would wait for it.
    before = {number: handler for number in ENDING if callable(handler := signal.getsignal(number)) and is_alone()}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def defer(*_: object) -> None:
        restore()
        interrupted.set()

    for number in before:
        signal.signal(number, defer)
    try:
        yield
    finally:
        restore()
