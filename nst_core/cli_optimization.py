"""The command ``optimize``."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.progress import TextColumn

from nst_core.console import (
    EVERY,
    RegistryOption,
    check_apart,
    make_folder,
    progress_bar,
    stderr,
    weighted_files,
    weighted_layers,
)
from nst_core.errors import NSTError
from nst_core.files import check_place
from nst_core.history import HistoryWriter, row
from nst_core.method import METHODS, Color, Init, OptimizerName
from nst_core.precision import Precision
from nst_core.registry import Registry
from nst_core.text import count, quoted

if TYPE_CHECKING:
    from nst_core.optimization import OptimizationStep

    MethodName = str
else:
    MethodName = Literal[tuple(METHODS)]

FINISHED = {"saturated": "saturated", "steps": "all steps taken", "time": "time is up", None: "stopped"}
"""Why an optimisation ended, in words."""


def optimize(
    content: Annotated[Path, typer.Argument(help="The photograph to repaint.")],
    style_image: Annotated[Path, typer.Argument(help="The painting.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="The file to write.")],
    method: Annotated[MethodName, typer.Option(help="The preset for all settings that are not given.")] = "quick",
    steps: Annotated[int | None, typer.Option(help="Maximum number of steps.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Maximum time, in seconds.")] = None,
    saturation: Annotated[
        float | None, typer.Option(help="Stop when ten steps lower the loss by less than this fraction; 0 never stops.")
    ] = None,
    size: Annotated[int | None, typer.Option(help="Longer side of the result in pixels; 512 by default.")] = None,
    style_size: Annotated[
        float | None,
        typer.Option(help="Longer side of the painting, relative to the result's: larger gives larger strokes."),
    ] = None,
    scales: Annotated[
        int | None,
        typer.Option(
            help="How many sizes to work through, from coarse to fine, each half the next; 1 is full size only."
        ),
    ] = None,
    init: Annotated[Init | None, typer.Option(help="What to start from.")] = None,
    start: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Start from this picture instead of --init's.")
    ] = None,
    start_style: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Start from what this style makes of the photograph; named as for stylize --style."
        ),
    ] = None,
    optimizer: Annotated[OptimizerName | None, typer.Option(help="What changes the pixels.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Roughly how much the first step changes, where 1 is from black to white.")
    ] = None,
    features: Annotated[
        str, typer.Option(help="compact, vgg19 (fetched from the Hub once), or a folder of feature networks.")
    ] = "compact",
    draft: Annotated[
        str | None,
        typer.Option(
            help="A cheaper feature network, compact, to bring the picture close before --features takes over."
        ),
    ] = None,
    pooling: Annotated[
        Literal["max", "average"] | None, typer.Option(help="Pooling between the blocks of the feature network.")
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(
            help="Form of the losses: relative, johnson, gatys, tutorial, or article (pictures of one size, no masks).",
            metavar="NAME",
        ),
    ] = None,
    content_weight: Annotated[float | None, typer.Option(help="Higher values keep more of the photograph.")] = None,
    style_weight: Annotated[float | None, typer.Option(help="Higher values keep more of the painting.")] = None,
    total_variation: Annotated[float | None, typer.Option(help="Higher values give smoother pictures.")] = None,
    content_layer: Annotated[
        list[str] | None,
        typer.Option(
            help="A layer to use instead of the method's, as in conv2_2=0.5; may be repeated.", metavar="NAME[=WEIGHT]"
        ),
    ] = None,
    style_layer: Annotated[
        list[str] | None,
        typer.Option(
            help="A layer to use instead of the method's, as in conv4_1=0.5; may be repeated.", metavar="NAME[=WEIGHT]"
        ),
    ] = None,
    color: Annotated[
        Color | None,
        typer.Option(help="The painting's colours, the photograph's, or with matched colours like the photograph's."),
    ] = None,
    precision: Annotated[
        Precision | None, typer.Option(help="auto computes in bfloat16 where that is faster; exact never does.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the noise.")] = None,
    more_style: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE[=WEIGHT]",
            help="Another painting, weighted 1 by default, as STYLE_IMAGE is; may be repeated.",
        ),
    ] = None,
    mask: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A picture that is white where STYLE_IMAGE applies in the result, and black elsewhere; further masks "
            "are for each --more-style in turn. Paintings without a mask apply everywhere.",
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Write the losses of every step to this file: replacing it, or appending to it with --resume.",
        ),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Save intermediate pictures to this folder, as step-000010.png."),
    ] = None,
    every: Annotated[int, typer.Option(min=1, help="Number of steps between the pictures in --frames.")] = 10,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Save the run to this file, now and then and at the end; if it holds a run already, give --resume.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue from --state, if that file exists; only --steps, --seconds and --saturation may differ.",
        ),
    ] = False,
    registry: RegistryOption = None,
) -> None:
    """Repaint a photograph after any painting by optimising its pixels: slow, but without any training.

    Ctrl-C, or SIGTERM, ends the run early: the best picture so far is written, and the exit status is 130.
    """
    if sum(beginning is not None for beginning in (init, start, start_style)) > 1:
        raise typer.BadParameter("--init, --start and --start-style exclude each other: give only one.")
    if resume and state is None:
        raise typer.BadParameter("--resume needs --state, the file to continue from.")
    changes: dict[str, Any] = {
        "content_layers": weighted_layers(content_layer) or None,
        "style_layers": weighted_layers(style_layer) or None,
        "content_weight": content_weight,
        "style_weight": style_weight,
        "total_variation": total_variation,
        "convention": convention,
        "pooling": pooling,
        "init": init,
        "optimizer": optimizer,
        "learning_rate": learning_rate,
        "steps": steps,
        "seconds": seconds,
        "saturation": saturation,
        "size": size,
        "style_size": style_size,
        "scales": scales,
        "color": color,
        "precision": precision,
        "seed": seed,
    }
    settings = replace(METHODS[method], **{name: value for name, value in changes.items() if value is not None})
    for file in (history, state):
        if file is not None:
            check_place(file)
    further = weighted_files(more_style)
    read = [content, style_image, *(Path(name) for name, _ in further), *(mask or []), start]
    check_apart({"--out": out, "--history": history, "--state": state}, read)

    from nst_core.images import check_suffix, open_picture
    from nst_core.optimization import OptimizationState, optimize as optimize_pixels
    from nst_core.stylization import repaint

    photo = open_picture(content)
    check_suffix(out, photo, settings.size)
    paintings = [open_picture(style_image), *(open_picture(name) for name, _ in further)]
    masks = [open_picture(path) for path in mask or []]
    saved = OptimizationState.load(state) if state is not None and os.path.exists(state) else None
    if saved and not resume:
        raise NSTError(
            f"{quoted(state)} holds a run at step {saved.step}: --resume continues it; to begin a new one, give "
            "another name or delete it."
        )
    if frames is not None:
        make_folder(frames)
    begin = None
    if start is not None:
        begin = open_picture(start)
    elif start_style is not None:
        begin = repaint(photo, Registry.load(registry).open(start_style), size=settings.size)
    run = optimize_pixels(
        photo,
        paintings,
        settings,
        features=features,
        weights=[1.0, *(weight for _, weight in further)],
        masks=[*masks, *[None] * (len(paintings) - len(masks))],
        start=begin,
        draft=draft,
        resume=saved,
    )
    _follow(
        run,
        out,
        size=settings.size,
        steps=settings.steps,
        losses=None if history is None else HistoryWriter(history, resume=saved is not None),
        frames=frames,
        every=every,
        state=state,
    )


def _follow(
    run: Iterator["OptimizationStep"],
    out: Path,
    *,
    size: int,
    steps: int,
    losses: HistoryWriter | None,
    frames: Path | None,
    every: int,
    state: Path | None,
) -> None:
    """Show and record an optimisation until it ends or is interrupted, and write its best picture."""
    from nst_core.images import save_picture

    step: OptimizationStep | None = None
    interrupted, saved = False, time.monotonic()
    try:
        with progress_bar(TextColumn("{task.fields[left]}", markup=False)) as progress:
            task = progress.add_task("optimizing", total=steps, left="")
            for reached in run:
                # Before ``step`` is set, so that no state is saved of a step that the history lacks.
                if losses:
                    losses.write(row(reached))
                step = reached
                if state is not None and time.monotonic() - saved > EVERY:
                    step.state.save(state)
                    saved = time.monotonic()
                if frames is not None and step.step % every == 0:
                    save_picture(step.picture, frames / f"step-{step.step:06d}.png")
                progress.update(
                    task,
                    completed=step.step,
                    description=f"content {step.content:.4g}  style {step.style:.4g}  total {step.total:.4g}",
                    left=str(timedelta(seconds=round(step.remaining))),
                )
    except KeyboardInterrupt:
        interrupted = True
    finally:
        # However it ended, the result so far is kept.
        if step is not None:
            try:
                if state is not None:
                    step.state.save(state)
            finally:
                save_picture(step.best, out)
            why = "interrupted" if interrupted else FINISHED[step.finished]
            if max(step.size) < size:
                why += " before it reached its full size"
            print(
                f"{out}  {step.best.width} × {step.best.height} px, {count(step.step, 'step')}, {step.seconds:.1f} s, "
                f"loss {step.state.best.total:.4g}, {why}"
            )
    if interrupted:
        kept = "nothing was written" if step is None else "the best picture so far was written"
        stderr.print(f"Interrupted: {kept}.")
        raise typer.Exit(130)
