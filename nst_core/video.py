"""Repaints films, frame by frame; what was painted before an interruption is kept, and a run can be resumed."""

import hashlib
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst_core.cluster import ClusterError, spread
from nst_core.errors import NSTError, check_choice
from nst_core.features import fingerprint
from nst_core.files import check_place, locked
from nst_core.frames import FramePainter, paint_piece
from nst_core.images import Source, open_picture
from nst_core.precision import Precision
from nst_core.style import Style, check_style
from nst_core.stylization import (
    BlendColor,
    check_blend,
    check_pixels,
    check_second,
    check_size,
    check_stroke,
    pixels_seen,
    shares,
)
from nst_core.text import few, quoted
from nst_core.video_reader import Film, FilmError, Frame, open_film, read_frames
from nst_core.video_segments import BEFORE, Piece, cut
from nst_core.video_writer import CLOSED, OPEN, Part, count_frames, join, last_time, save_part, suffix


@dataclass(frozen=True, eq=False)
class VideoStep:
    """What ``stylize_video`` yields when a frame is done, or with ``ray`` a piece of the film."""

    frame: int
    """How many frames are done, those of a resumed run included."""
    frames: int | None
    """About how many the film has; None where it does not say."""
    seconds: float
    """Since the run began."""
    rate: float
    """Frames a second, of this run."""
    pixels: np.ndarray = field(repr=False)
    """The frame, RGB, uint8 (H, W, 3)."""
    last: bool
    """Whether nothing is left but to write the film's file, with its sound."""

    @property
    def picture(self) -> Image.Image:
        """The frame, RGB."""
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
    strength: float = 1.0,
    color: BlendColor = "style",
    size: int | None = None,
    stroke: float = 1.0,
    second: Style | None = None,
    mix: float | None = None,
    mask: Source | None = None,
    precision: Precision = "auto",
    steady: bool = True,
    lossless: bool = False,
    resume: bool = False,
    ray: bool = False,
    sound_seconds: float = math.inf,
) -> Generator[VideoStep, None, None]:
    """Repaint a film, a step for every frame; stop asking, close it, and it stops.

    Settings and film are checked at once, what there is of an earlier run with the first step.

    Every frame keeps its time, and the sound is copied; where the file cannot hold it, it becomes AAC or, with
    ``lossless``, FLAC. Where the clock restarts, as in joined films, the pictures and each sound track go on from their
    own ends: after that, they are apart by the difference of their lengths. ``out`` ends in .mp4 and holds H.264, of
    even width and height (an odd column or row at the end is left out); with ``lossless`` it ends in .mkv and holds
    FFV1, every pixel as it was painted, and its times are whole milliseconds. With ``steady`` the painting follows what
    moves in the film (see ``nst_core.temporal_consistency``). The other settings are those of ``stylize``; the ``mask``
    applies to every frame.

    What is left of the sound after ``sound_seconds`` of copying and converting it is left out: a small file can have
    years of silence.

    The file ``out`` is there once it is finished. If the generator is closed early or interrupted,
    ``partial_film(out)`` has what was painted and can be played; ``resume`` goes on from there with the same settings.

    With ``ray`` the cores of a Ray cluster paint (see ``nst_core.cluster``), each a piece of five seconds or so at a
    time, and there is a step for every piece. A steady painting starts ``nst_core.video_segments.BEFORE`` frames before
    its piece.

    Raises:
        NSTError: a setting is out of its range, or there is too little memory for a frame.
        FilmError: the film cannot be read, ``out`` cannot be written, or what is there cannot be resumed; with
            ``ray``, the film cannot be cut into pieces.
        ClusterError: as ``nst_core.cluster.spread``.
    """
    strength, share = check_blend(strength, color), check_second(second, mix, mask)
    check_choice(NSTError, "precision", precision, Precision)
    styles = [style, second] if second else [style]
    for one in styles:
        check_style(one)
    mask = None if mask is None else open_picture(mask)
    for done, path in (("read from", source), ("written to", out)):
        if not isinstance(path, str | os.PathLike):
            raise FilmError(f"A film is {done} a path such as 'film.mp4', not {type(path).__name__}.")
    size, stroke, out = check_size(size), check_stroke(stroke), Path(out)
    _check_name(out, Path(source), lossless=lossless)
    film = open_film(source)
    if lossless and film.pixel_aspect != 1:  # PyAV cannot write that in Matroska
        film = replace(film, width=round(film.width * film.pixel_aspect), pixel_aspect=Fraction(1))
    full = film.size(size)
    check_pixels(pixels_seen(full, None, stroke), stroke)
    width, height = full if lossless else (side - side % 2 for side in full)
    if not width or not height:
        raise FilmError(f"The film would have {full[0]} × {full[1]} pixels: it should have at least 2 × 2.")

    settings = {
        "film": film.path.name,
        "bytes": film.path.stat().st_size,
        "style": _known_again(style),
        "strength": strength,
        "color": color,
        "size": size,
        "stroke": stroke if stroke != 1 else None,  # earlier versions had none
        "precision": precision,
        "steady": steady,
        "lossless": lossless,
        "second": second and _known_again(second),
        "mix": share if second else None,
        "mask": mask and hashlib.sha256(str(mask.size).encode() + shares(mask, mask.size).tobytes()).hexdigest(),
    }
    painter = FramePainter(
        full=full,
        size=(width, height),
        strength=strength,
        color=color,
        stroke=stroke,
        precision=precision,
        steady=steady,
        lossless=lossless,
        mix=share,
        mask=shares(mask, full)[:height, :width] if mask else None,
    )
    return _steps(film, painter, styles, out, settings, resume=resume, ray=ray, sound_seconds=sound_seconds)


def _steps(
    film: Film,
    painter: FramePainter,
    styles: Sequence[Style],
    out: Path,
    settings: dict[str, Any],
    *,
    resume: bool,
    ray: bool,
    sound_seconds: float,
) -> Generator[VideoStep, None, None]:
    work = _Work(out, settings, resume=resume)  # locked: not before somebody asks for frames, and so closes it
    shown = (_painted_on_ray if ray else _painted_here)(film, painter, styles, work)
    done, began, complete = work.frames, time.monotonic(), False
    try:
        with closing(shown):
            coming = next(shown, None)
            while coming:
                number, pixels = coming
                seconds, frames = time.monotonic() - began, film.frames and max(film.frames, number)
                coming = next(shown, None)  # a step says whether it is the last
                complete = coming is None
                yield VideoStep(number, frames, seconds, (number - done) / seconds, pixels, complete)
        complete = True  # even if nothing was left to paint
    finally:
        work.close(film, complete=complete, sound_seconds=sound_seconds)


def _known_again(style: Style) -> str:
    """A style's id and a checksum of its weights, which may have changed before a film is resumed."""
    return f"{style.id} {fingerprint(style.network):08x}"


def _painted_here(
    film: Film, painter: FramePainter, styles: Sequence[Style], work: "_Work"
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Paint on this machine; yields how many frames are done, and the last one's pixels."""
    done = work.frames
    begin, stopped = 0, threading.Event()
    if done:
        begin = last_time(work.parts, film) + 1
        work.end = begin - 1 + film.step  # until frames that are done are read again
    part = Part(work.next_part(), film, painter.size, lossless=painter.lossless)

    def frames() -> Iterator[Frame]:
        # A steady painting must not visibly start afresh.
        skip = max(0, done - (BEFORE if painter.steady else 1))
        for frame in read_frames(film, painter.full, skip=skip, should_stop=stopped.is_set):
            if frame.time < begin:
                work.end = frame.time + frame.duration
            yield frame

    try:
        with closing(painter.paint(frames(), styles, part, begin=begin, stop=stopped.set)) as shown:
            yield from enumerate(shown, done + 1)
    finally:
        part.close()
        work.end = max(work.end, part.end)
        if part.frames:
            work.parts.append(part.path)


def _painted_on_ray(
    film: Film, painter: FramePainter, styles: Sequence[Style], work: "_Work"
) -> Generator[tuple[int, np.ndarray], None, None]:
    """Paint on a Ray cluster, piece by piece; yields the same after each piece."""
    after = None
    if work.frames:
        after = last_time(work.parts, film)
        work.end = after + film.step
    pieces = cut(film, after=after, before=BEFORE if painter.steady else 0)

    def name(piece: Piece) -> str:
        begin = film.since_start(piece.begin, piece.time_base) * film.time_base
        return f"the film's frames from {float(begin):.1f} s on"

    with closing(spread(partial(paint_piece, film, painter), styles, pieces, name)) as painted:
        for piece in painted:
            if isinstance(piece, ClusterError):  # nothing can follow without the piece
                raise piece
            if piece.pixels is not None:
                path = work.next_part()
                save_part(piece.data, path)
                work.parts.append(path)
                work.frames += piece.frames
                work.end = piece.end
                yield work.frames, piece.pixels


def partial_film(out: str | Path) -> Path:
    """The file of an unfinished film: ``painted.part.mp4`` for ``painted.mp4``."""
    out = Path(out)
    return out.with_suffix(f".part{out.suffix}")


def work_folder(out: str | Path) -> Path:
    """The folder of an unfinished film's painted parts: ``painted.mp4.part`` for ``painted.mp4``."""
    out = Path(out)
    return out.with_name(f"{out.name}.part")


class _Work:
    """The folder beside a film that holds its parts until it is finished."""

    def __init__(self, out: Path, settings: dict[str, Any], *, resume: bool) -> None:
        """Make the folder, or ``resume`` with the one that is there.

        Raises:
            FilmError: it is there without ``resume``, has other settings or other files, belongs to a run that is still
                going on, or cannot be written; or, with ``resume``, the film is finished.
        """
        self._out, self._folder, self._unfinished = out, work_folder(out), partial_film(out)
        self._subject = f"The film {quoted(out.name)}"
        file = self._folder / "settings.json"
        begun = os.path.isfile(file)
        if not begun:
            if resume and os.path.lexists(out):
                raise FilmError(
                    f"{self._subject} is there already, and nothing of it is left to paint: without resume, it is "
                    "painted again."
                )
            self._begin(file, settings)
        busy = FilmError(f"{self._subject} is being painted by another run: once that has ended, resume continues it.")
        with ExitStack() as lock:
            try:
                lock.enter_context(locked(file, busy))
            except OSError as error:  # that run was just finished
                raise FilmError(f"The folder {quoted(self._folder.name)} cannot be read: {error.strerror}.") from error
            if begun and not resume:
                raise FilmError(
                    f"{self._subject} was begun already: resume continues it, or delete {quoted(self._folder.name)} "
                    f"and {quoted(self._unfinished.name)} to start over."
                )
            saved = _saved_settings(file)
            # One that an older version did not save counts as None.
            if others := [name for name, value in settings.items() if saved.get(name) != value]:
                raise FilmError(f"{self._subject} was begun with another {few(others)}: use the same.")
            self._lock = lock.pop_all()
        counts = {part: count_frames(part) for part in self._files()}
        self.parts = [part for part in counts if counts[part]]
        """The parts that have frames."""
        self.frames = sum(counts.values())
        """How many frames are done."""
        self.end = 0
        """When the last of them ends, in the film's ``time_base``."""

    def _begin(self, file: Path, settings: dict[str, Any]) -> None:
        """Make the folder, with the ``settings``."""
        if os.path.lexists(self._unfinished):
            raise FilmError(
                f"{self._subject} would be in {quoted(self._unfinished.name)} until it is finished, but that file "
                "exists already: choose another name, or move that file."
            )
        try:
            self._folder.mkdir(exist_ok=True)
            if any(self._folder.iterdir()):
                raise FilmError(
                    f"{self._subject} would be in the folder {quoted(self._folder.name)} until it is finished, but "
                    "that holds other things: choose another name."
                )
            file.write_text(json.dumps(settings), encoding="utf-8")
        except OSError as error:
            raise FilmError(
                f"The folder {quoted(self._folder.name)}, where the film {quoted(self._out.name)} is until it is "
                f"finished, could not be written: {error.strerror}."
            ) from error

    def _files(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("*") if path.suffix in (CLOSED, OPEN))

    def next_part(self) -> Path:
        """The file of a new part, for the frames of this run or piece."""
        return self._folder / f"{self.frames:09}{CLOSED}"

    def close(self, film: Film, *, complete: bool, sound_seconds: float) -> None:
        """Join the parts into a film.

        Raises:
            FilmError: it cannot be written, or a part is gone.
        """
        with self._lock:
            files = self._files()
            if gone := [part.name for part in self.parts if part not in files]:
                raise FilmError(
                    f"{self._subject} cannot be put together: {quoted(self._folder.name)} lacks {few(gone)}, which "
                    "should stay there until the film is finished."
                )
            if painted := any(map(count_frames, files)):
                if not complete and (last := last_time(files, film)) >= self.end:  # the last part broke off
                    self.end = last + film.step
                target = self._out if complete else self._unfinished
                join(files, film, target, end=self.end, complete=complete, sound_seconds=sound_seconds)
            if complete:
                self._unfinished.unlink(missing_ok=True)
        # Not while its file is open: NFS keeps that in the folder.
        if (complete or not painted) and os.path.isdir(self._folder):
            shutil.rmtree(self._folder)


def _saved_settings(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise FilmError(
            f"What was begun in {quoted(file.parent.name)} cannot be continued, as its settings cannot be read: "
            "delete that folder to start the film over."
        ) from error


def _check_name(out: Path, film: Path, *, lossless: bool) -> None:
    right = suffix(lossless=lossless)
    what = f"A{' lossless' if lossless else ''} film"
    subject = f"{what} cannot be written as {quoted(out.name)}"
    if out.suffix.lower() != right:
        raise FilmError(f"{subject}: its suffix should be {right}.")
    check_place(out, what, FilmError)
    unfinished = partial_film(out)
    for path, words in ((out, "that is"), (unfinished, f"{quoted(unfinished.name)}, its part that is done first, is")):
        if os.path.exists(path) and os.path.exists(film) and path.samefile(film):
            raise FilmError(f"{subject}: {words} the film to repaint.")
