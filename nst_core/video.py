"""A film → the film repainted, frame by frame: read, painted and written at a time, and nothing is lost on the way."""

import hashlib
import json
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from nst_core.ahead import ahead
from nst_core.errors import NSTError
from nst_core.film import Film, FilmError, Frame, open_film, read_frames
from nst_core.images import MAX_PIXELS
from nst_core.precision import Precision
from nst_core.reel import CLOSED, Part, count_frames, join, suffix
from nst_core.steady import Steady
from nst_core.style import Style
from nst_core.stylization import (
    blend_pixels,
    check_blend,
    check_precision,
    check_second,
    check_size,
    paint_pixels,
    shares,
)
from nst_core.text import few, quoted


@dataclass(frozen=True)
class VideoStep:
    """One more frame is done."""

    frame: int
    """How many are, with those of an earlier run that this one goes on with."""
    frames: int | None
    """How many there are in all, about; None where the film does not say."""
    seconds: float
    """Since the run began."""
    rate: float
    """Frames a second, of this run."""
    pixels: np.ndarray
    """The frame, RGB, uint8 (H, W, 3)."""

    @property
    def picture(self) -> Image.Image:
        return Image.fromarray(self.pixels)

    @property
    def remaining(self) -> float | None:
        """Seconds left, about."""
        return None if self.frames is None else max(0, self.frames - self.frame) / self.rate


def stylize_video(
    source: str | Path,
    style: Style,
    out: str | Path,
    *,
    size: int | None = None,
    strength: float = 1.0,
    color: Literal["style", "photo"] = "style",
    precision: Precision = "auto",
    steady: bool = True,
    lossless: bool = False,
    resume: bool = False,
    second: Style | None = None,
    mix: float = 0.5,
    mask: Image.Image | None = None,
) -> Generator[VideoStep, None, None]:
    """Repaint a film; gives a step for every frame.

    Every frame keeps its time, and the sound is copied, or becomes AAC where MP4 cannot hold it. ``out`` ends in .mp4
    and holds H.264, of even width and height (an odd column or row at the end is left out); with ``lossless`` it ends
    in .mkv and holds FFV1, every pixel as it was painted, and its times are whole milliseconds. With ``steady`` the
    painting follows what moves in the film (see ``nst_core.steady``). The other settings are those of ``stylize``;
    the ``mask`` is that of every frame.

    A film that is not finished has not the name ``out``. Whoever closes the generator early, or is interrupted, finds
    ``partial_film(out)``, which can be played, and with ``resume`` goes on from there with the same settings.

    Raises:
        NSTError: a setting is out of its range, or there is too little memory for a frame.
        FilmError: the film cannot be read, ``out`` cannot be written, or what is there cannot be gone on with.
    """
    check_blend(strength, color)
    check_second(second, mix, mask)
    check_precision(precision)
    size, out = check_size(size), Path(out)
    _check_name(out, Path(source), lossless=lossless)
    film = open_film(source)
    full = film.size(size)
    if full[0] * full[1] > MAX_PIXELS:
        raise NSTError(
            f"That is {full[0] * full[1]:,} pixels to paint, and at most {MAX_PIXELS:,} are painted: "
            "choose a smaller size."
        )
    width, height = full if lossless else (side - side % 2 for side in full)
    if not width or not height:
        raise FilmError(f"The film would have {full[0]} × {full[1]} pixels: at least 2 × 2 would be right.")

    settings = {
        "film": film.path.name,
        "bytes": film.path.stat().st_size,
        "style": style.id,
        "size": size,
        "strength": strength,
        "color": color,
        "precision": precision,
        "steady": steady,
        "lossless": lossless,
        "second": second and second.id,
        "mix": mix if second else None,
        "mask": mask and hashlib.sha256(shares(mask, mask.size).tobytes()).hexdigest(),
    }
    work = _Work(out, settings, resume=resume)
    done = work.frames
    part = Part(work.next_part(), film, (width, height), lossless=lossless)
    styles = [style, second] if second else [style]
    shown = shares(mask, full)[:height, :width] if mask else None
    # One for each style: what follows a motion across the mask's edge has to change its style there.
    calms = [Steady() for _ in styles] if steady else None
    end, complete = 0, False

    def painted() -> Iterator[tuple[Frame, list[np.ndarray]]]:
        nonlocal end
        frames = read_frames(film, full, skip=max(0, done - 1))
        if done and (last := next(frames, None)):
            end = last.time + last.duration
        for coming in ahead(lambda frames: next(frames, None), repeat(frames)):
            frame = coming.result()
            if frame is None:
                return
            frame = frame._replace(pixels=np.ascontiguousarray(frame.pixels[:height, :width]))
            yield frame, [paint_pixels(frame.pixels, one, precision) for one in styles]

    def finish(made: tuple[Frame, list[np.ndarray]]) -> np.ndarray:
        nonlocal end
        frame, paintings = made
        if calms:
            paintings = [calm(frame.pixels, pixels) for calm, pixels in zip(calms, paintings, strict=True)]
        pixels = paintings[0]
        if second:
            pixels = blend_pixels(pixels, paintings[1], mix, "style", shown)
        pixels = blend_pixels(frame.pixels, pixels, strength, color)
        part.add(pixels, frame.time)
        end = frame.time + frame.duration
        return pixels

    began = time.monotonic()
    try:
        with closing(ahead(finish, painted())) as finished:
            for number, coming in enumerate(finished, done + 1):
                pixels, seconds = coming.result(), time.monotonic() - began
                frames = film.frames and max(film.frames, number)
                yield VideoStep(number, frames, seconds, (number - done) / seconds, pixels)
        complete = True
    finally:
        part.close()
        work.close(film, end, complete=complete)


def partial_film(out: str | Path) -> Path:
    """Where the film is that is not finished: ``painted.part.mp4`` for ``painted.mp4``."""
    out = Path(out)
    return out.with_suffix(f".part{out.suffix}")


class _Work:
    """The folder beside a film where its parts are until it is finished."""

    def __init__(self, out: Path, settings: dict[str, Any], *, resume: bool) -> None:
        """What is there already is gone on with.

        Raises:
            FilmError: it is not to be gone on with, or has other settings.
        """
        self._out, self._folder = out, out.with_name(f"{out.name}.part")
        file = self._folder / "settings.json"
        if not file.is_file():
            self._folder.mkdir(exist_ok=True)
            file.write_text(json.dumps(settings), encoding="utf-8")
        elif not resume:
            raise FilmError(
                f"The film {quoted(out.name)} was begun already: resume goes on with it, and once the folder "
                f"{quoted(self._folder.name)} is deleted it begins anew."
            )
        elif others := _differing(json.loads(file.read_text("utf-8")), settings):
            raise FilmError(
                f"The film {quoted(out.name)} was begun with another {few(others)}: the same would be right."
            )
        self._parts = sorted(path for path in self._folder.iterdir() if path != file)
        self.frames = sum(map(count_frames, self._parts))
        """How many are done."""

    def next_part(self) -> Path:
        """Where the frames go that are painted now."""
        path = self._folder / f"{self.frames:09}{CLOSED}"
        self._parts = [part for part in self._parts if part.stem != path.stem]  # that has none
        self._parts.append(path)
        return path

    def close(self, film: Film, end: int, *, complete: bool) -> None:
        """Make a film of the parts, the last frame of which is shown until ``end``.

        Raises:
            FilmError: it cannot be written.
        """
        partial = partial_film(self._out)
        if any(map(count_frames, self._parts)):
            join(self._parts, film, self._out if complete else partial, end=end, complete=complete)
        if complete:
            partial.unlink(missing_ok=True)
        if complete or not partial.exists():
            shutil.rmtree(self._folder)


def _differing(begun: dict[str, Any], settings: dict[str, Any]) -> list[str]:
    """Names of settings; those that there were not yet when a film was begun, were None."""
    return [name for name, value in settings.items() if begun.get(name) != value]


def _check_name(out: Path, film: Path, *, lossless: bool) -> None:
    right = suffix(lossless=lossless)
    subject = f"A{' lossless' if lossless else ''} film cannot be written as {quoted(out.name)}"
    if out.suffix.lower() != right:
        raise FilmError(f"{subject}: its suffix should be {right}.")
    if out.is_dir():
        raise FilmError(f"{subject}: a folder has that name.")
    if not out.parent.is_dir():
        raise FilmError(
            f"A film cannot be written to the folder {quoted(out.parent.name)}, which does not exist: "
            "make it first or name another."
        )
    if out.exists() and film.exists() and out.samefile(film):
        raise FilmError(f"{subject}: that is the film to repaint.")
