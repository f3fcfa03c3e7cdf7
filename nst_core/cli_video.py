"""The command ``video``."""

import os
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import TextColumn

from nst_core.console import (
    MaskOption,
    MixOption,
    PrecisionOption,
    RayOption,
    RegistryOption,
    SecondOption,
    StrokeOption,
    StyleOption,
    progress_bar,
    stderr,
)
from nst_core.registry import Registry
from nst_core.text import count


def video(
    film: Annotated[Path, typer.Argument(help="The film to repaint.")],
    style: StyleOption,
    out: Annotated[Path, typer.Option("-o", "--out", help="The .mp4 to write; with --lossless, the .mkv.")],
    size: Annotated[
        int | None, typer.Option(help="Longer side of the result in pixels; by default, the film's.")
    ] = None,
    strength: Annotated[float, typer.Option(help="0 returns the film, 1 the network's pictures.")] = 1.0,
    color: Annotated[Literal["style", "photo"], typer.Option(help="The painting's colours, or the film's.")] = "style",
    stroke: StrokeOption = 1.0,
    second: SecondOption = None,
    mix: MixOption = None,
    mask: MaskOption = None,
    precision: PrecisionOption = "auto",
    steady: Annotated[bool, typer.Option(help="Let the painting follow what moves, to reduce flicker.")] = True,
    lossless: Annotated[bool, typer.Option("--lossless", help="Every pixel as painted: FFV1 in Matroska.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
    ray: RayOption = False,
    registry: RegistryOption = None,
) -> None:
    """Repaint a film in a style, every frame of it, with its sound.

    Ctrl-C ends the run early: what was painted so far is a film that can be played, --resume continues from there, and
    the exit status is 130.
    """
    from nst_core.images import open_picture
    from nst_core.video import partial_film, stylize_video, work_folder
    from nst_core.video_reader import open_film
    from nst_core.video_sound import recoded

    styles = Registry.load(registry)
    opened = styles.open(style)
    run = stylize_video(
        film,
        opened,
        out,
        strength=strength,
        color=color,
        size=size,
        stroke=stroke,
        second=styles.open(second) if second else None,
        mix=mix,
        mask=open_picture(mask) if mask else None,
        precision=precision,
        steady=steady,
        lossless=lossless,
        resume=resume,
        ray=ray,
    )
    step = None
    try:
        with closing(run), progress_bar(TextColumn("{task.fields[left]}", markup=False)) as bar:
            task = bar.add_task(opened.title, total=None, left="")
            for step in run:
                left = "" if step.remaining is None else f"{timedelta(seconds=round(step.remaining))} left"
                bar.update(task, completed=step.frame, total=step.frames, left=f"{step.rate:.1f} frames/s  {left}")
    except KeyboardInterrupt:
        kept = "nothing has been painted yet."
        if os.path.isfile(partial_film(out)):
            kept = f"{partial_film(out)} has what was painted so far; --resume continues."
        elif os.path.isdir(work_folder(out)):
            kept = "there is no film yet; --resume continues."
        stderr.print(f"Interrupted: {kept}", markup=False)
        raise typer.Exit(130) from None
    if step is None:
        print(f"{out} was already finished except for its sound.")
        return
    height, width, _ = step.pixels.shape
    frames = count(step.frame, "frame")
    print(f"{out}  {width} × {height} px, {frames}, {step.seconds:.1f} s, {step.rate:.2f} frames/s")
    if changed := recoded(open_film(film), lossless=lossless):
        print(f"Its sound was converted {changed}: a file of this kind cannot hold it as it was.")
