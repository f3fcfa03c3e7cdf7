"""The command line: ``python -m nst_core``."""

import json
import logging
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from nst_core.errors import NSTError
from nst_core.memory import keep_freed_memory
from nst_core.recipe import Recipe
from nst_core.registry import Registry

# Commands import what they need when they run: torch takes seconds, and --help needs none of it.

app = typer.Typer(
    help="Neural style transfer: repaint photographs, and train networks that do.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
RECIPE = Recipe()
"""Where the defaults of ``train`` come from."""
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Color(str, Enum):
    """Whose colours the result has."""

    style = "style"
    photo = "photo"


RegistryOption = Annotated[
    Path | None, typer.Option("--registry", help="A registry.yaml, or a folder with one, instead of the bundled.")
]


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,
    )


@app.command()
def styles(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for programs.")] = False,
    registry: RegistryOption = None,
) -> None:
    """List the styles."""
    entries = list(Registry.load(registry))
    if as_json:
        print(
            json.dumps(
                [entry.model_dump(mode="json", exclude={"path"}, exclude_none=True) for entry in entries], indent=2
            )
        )
        return
    table = Table("id", "title", "artist", "licence", "tags", box=None, header_style="bold")
    for entry in entries:
        table.add_row(entry.id, entry.title, entry.artist, entry.license, ", ".join(entry.tags))
    Console(markup=False).print(table)


@app.command()
def stylize(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO…", help="Photographs to repaint.")],
    style: Annotated[str, typer.Option(help="An id of the registry, a folder, or user/repo on the Hugging Face Hub.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The file to write; of several photographs, the folder.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Longer side of the result in pixels; by default the photograph's.")
    ] = None,
    strength: Annotated[float, typer.Option(help="0 gives the photograph back, 1 the network's picture.")] = 1.0,
    color: Annotated[Color, typer.Option(help="The painting's colours, or the photograph's.")] = Color.style,
    stroke: Annotated[float, typer.Option(help="Size of the strokes, 0.25 to 4: 2 paints them twice as large.")] = 1.0,
    registry: RegistryOption = None,
) -> None:
    """Repaint photographs in a style."""
    from nst_core.images import check_suffix, open_picture, save_picture
    from nst_core.stylization import stylize as repaint_and_blend

    one_file = out is not None and len(photos) == 1 and bool(out.suffix) and not out.is_dir()
    if out is not None and one_file:
        check_suffix(out)
    opened = Registry.load(registry).open(style)
    if out is not None and one_file:
        targets = [out]
    else:
        folder = out or Path()
        targets = [folder / f"{photo.stem}-{opened.id.replace('/', '-')}.png" for photo in photos]
        if twice := [target.name for target in targets if targets.count(target) > 1]:
            raise NSTError(f"Several photographs would be written as {twice[0]!r}: give them different names.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError as error:
            raise NSTError(f"{str(out)!r} cannot be the folder of several results: a file has that name.") from error
        except OSError as error:
            raise NSTError(f"The folder {str(out)!r} cannot be made: {error.strerror}.") from error
    failed: list[NSTError] = []
    with _progress() as progress:
        for photo, target in progress.track(list(zip(photos, targets, strict=True)), description=opened.title):
            try:
                began = time.perf_counter()
                picture = repaint_and_blend(
                    open_picture(photo), opened, strength=strength, color=color.value, size=size, stroke=stroke
                )
                save_picture(picture, target)
            except NSTError as error:
                failed.append(error)
                continue
            seconds = time.perf_counter() - began
            progress.console.print(f"{target}  {picture.width} × {picture.height} px, {seconds:.1f} s", markup=False)
    for refusal in failed:
        errors.print(str(refusal), markup=False)
    if failed:
        raise typer.Exit(1)


@app.command()
def check(
    what: Annotated[str, typer.Argument(metavar="FOLDER|FILE|USER/REPO", help="A style, or its weights alone.")],
) -> None:
    """Check a style as it is checked before it is used, and report what it is."""
    from nst_core.architectures import ARCHITECTURES
    from nst_core.gate import load_network

    table = Table(show_header=False, box=None)
    if Path(what).is_file():
        architecture = ARCHITECTURES["johnson"]
        network = load_network(Path(what), architecture)
    else:
        opened = Registry(()).open(Path(what) if Path(what).is_dir() else what)
        architecture, network = opened.architecture, opened.network
        for name, value in (("title", opened.title), ("artist", opened.artist), ("licence", opened.license)):
            table.add_row(name, value or "not said")
    table.add_row("architecture", f"{architecture.id}, version {architecture.version}")
    table.add_row("tensors", f"{len(architecture.shapes)}, {sum(p.numel() for p in network.parameters()):,} parameters")
    Console(markup=False).print(table)
    print(f"{what} is sound.")


@app.command()
def train(
    style_image: Annotated[Path, typer.Argument(help="The painting to learn.")],
    photos: Annotated[Path, typer.Option(help="A folder of photographs to learn on; a thousand are enough.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="FOLDER", help="The style folder to write.")],
    title: Annotated[str, typer.Option(help="Of the painting.")] = "",
    artist: Annotated[str, typer.Option(help="Who painted it.")] = "",
    painting: Annotated[str, typer.Option(help="Its year, where it hangs, its licence: a line for the card.")] = "",
    license: Annotated[
        str, typer.Option(help="Of the style, as the Hub writes it: cc0-1.0, cc-by-4.0, apache-2.0.")
    ] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A word to find the style by; may be repeated.")] = None,
    steps: Annotated[int, typer.Option(min=1)] = RECIPE.steps,
    reconstruction_steps: Annotated[
        int, typer.Option(min=0, help="Of these, the first, that learn to give the photograph back.")
    ] = RECIPE.reconstruction_steps,
    batch_size: Annotated[int, typer.Option(min=1, help="Photographs a step.")] = RECIPE.batch_size,
    crop: Annotated[
        int, typer.Option(min=64, help="Side of the squares cut from the photographs, pixels.")
    ] = RECIPE.crop,
    style_size: Annotated[
        int, typer.Option(min=64, help="Longer side at which the painting is looked at: larger, larger strokes.")
    ] = RECIPE.style_size,
    content_weight: Annotated[
        float, typer.Option(min=0, help="Larger keeps more of the photograph.")
    ] = RECIPE.content_weight,
    style_weight: Annotated[
        float, typer.Option(min=0, help="Larger keeps more of the painting.")
    ] = RECIPE.style_weight,
    total_variation: Annotated[
        float, typer.Option(min=0, help="Larger gives smoother pictures.")
    ] = RECIPE.total_variation,
    convention: Annotated[
        str, typer.Option(help="Of the losses: relative, johnson, gatys, tutorial or article.")
    ] = RECIPE.convention,
    learning_rate: Annotated[float, typer.Option(min=0)] = RECIPE.learning_rate,
    seed: Annotated[int, typer.Option(min=0)] = RECIPE.seed,
    features: Annotated[
        str, typer.Option(help="vgg19 (fetched from the Hub once), or a folder of feature networks.")
    ] = "vgg19",
    architecture: Annotated[str, typer.Option(help="Of the network.")] = RECIPE.architecture,
    warm_start: Annotated[str | None, typer.Option(metavar="STYLE", help="Begin with this style's network.")] = None,
    sample: Annotated[
        Path | None,
        typer.Option(metavar="PHOTO", help="Shown while it trains, and the preview; by default one of PHOTOS."),
    ] = None,
    sample_every: Annotated[int, typer.Option(min=1, help="Steps between samples.")] = 200,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
) -> None:
    """Train a network to paint like a picture, and write it as a style folder."""
    import torch

    from nst_core.architectures import ARCHITECTURES
    from nst_core.features import load_features
    from nst_core.images import open_picture
    from nst_core.training import Photographs, TrainingError
    from nst_core.training import train as train_network
    from nst_core.training_folder import TrainingFolder

    recipe = Recipe(
        architecture=architecture,
        steps=steps,
        reconstruction_steps=0 if warm_start else reconstruction_steps,
        batch_size=batch_size,
        crop=crop,
        style_size=style_size,
        content_weight=content_weight,
        style_weight=style_weight,
        total_variation=total_variation,
        convention=convention,
        learning_rate=learning_rate,
        seed=seed,
    )
    if architecture not in ARCHITECTURES:
        raise TrainingError(f"There is no architecture {architecture!r}; there are {', '.join(ARCHITECTURES)}.")
    torch.manual_seed(seed)
    network = ARCHITECTURES[architecture].network()
    if warm_start is not None:
        start = Registry.load().open(warm_start)
        if start.architecture.id != architecture:
            raise TrainingError(
                f"{warm_start} is a {start.architecture.id} network, and a {architecture} one is to be trained."
            )
        network.load_state_dict(start.network.state_dict())
    photographs = Photographs(photos, recipe)
    shown = photographs.first_readable(photographs.paths) if sample is None else open_picture(sample)
    folder = TrainingFolder(out, shown)
    training = train_network(
        recipe, style_image, photos, network, load_features(features), folder.checkpoint, resume=resume
    )
    with _progress() as progress:
        task = progress.add_task("training", total=steps)
        for step in folder.record(training, resume=resume):
            progress.update(
                task,
                completed=step.step,
                description=f"content {step.content:.3f}  style {step.style:.3f}  total {step.total:.3f}",
            )
            if step.step % sample_every == 0:
                folder.show(network, step.step)
    folder.finish(
        network,
        ARCHITECTURES[architecture],
        recipe,
        style_image=style_image,
        features=Path(features).name,
        warm_start=warm_start and Path(warm_start).name,
        title=title or out.name,
        artist=artist,
        painting=painting,
        license=license,
        tags=tuple(tag or ()),
    )
    print(f"{out} is a style now: python -m nst_core stylize PHOTO --style {out}")


def main() -> None:
    """Run; what is refused is one line on stderr and exit status 1."""
    logging.basicConfig(format="%(message)s")
    keep_freed_memory()
    try:
        app(prog_name="python -m nst_core")
    except NSTError as error:
        errors.print(str(error), markup=False)
        sys.exit(1)
