"""Repaints the frames of a film on this machine, or those of a piece of it on another one."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from nst_core.cores import compute_on, pictures_at_once
from nst_core.precision import Precision
from nst_core.prefetch import ahead
from nst_core.style import Style
from nst_core.stylization import BlendColor, blend_pixels, pixels_seen, repaint
from nst_core.temporal_consistency import Steady
from nst_core.video_reader import Film, Frame
from nst_core.video_segments import Piece
from nst_core.video_writer import CLOSED, Part


@dataclass(frozen=True, kw_only=True)
class FramePainter:
    """Paints the frames of a film with one or two styles; sent to other machines as it is."""

    full: tuple[int, int]
    """Width and height at which frames are read."""
    size: tuple[int, int]
    """Width and height of what is painted: columns and rows beyond are cut off."""
    strength: float
    color: BlendColor
    stroke: float
    precision: Precision
    steady: bool
    lossless: bool
    mix: float = 0.5
    """How much of the second style is seen, where there are two."""
    mask: np.ndarray | None = None
    """Where the second style is seen, (H, W, 1) in 0–1; everywhere by default."""

    def paint(
        self,
        frames: Iterator[Frame],
        styles: Sequence[Style],
        part: Part,
        *,
        begin: int = 0,
        stop: Callable[[], object] | None = None,
    ) -> Generator[np.ndarray, None, None]:
        """Paint frames and add them to ``part``; yields the pixels of each that was added.

        Frames with a time before ``begin`` are painted but not added: a steady painting goes on from them.
        ``stop`` is called once no more frames are wanted, even if one is still awaited.
        """
        width, height = self.size
        # One for each style: what moves across the mask's edge has to change style there.
        calms = [Steady() for _ in styles] if self.steady else None

        cores = torch.get_num_threads()
        at_once = pictures_at_once(styles, pixels_seen(self.size, None, self.stroke))

        def decoded() -> Generator[Frame, None, None]:
            with closing(ahead(lambda frames: next(frames, None), repeat(frames), stop=stop)) as read:
                for coming in read:
                    frame = coming.result()
                    if frame is None:
                        return
                    yield frame._replace(pixels=np.ascontiguousarray(frame.pixels[:height, :width]))

        def paint(frame: Frame) -> tuple[Frame, list[np.ndarray]]:
            compute_on(cores // at_once, cores)
            photo = Image.fromarray(frame.pixels)
            paintings = (repaint(photo, style, stroke=self.stroke, precision=self.precision) for style in styles)
            return frame, [*map(np.asarray, paintings)]

        def finish(made: tuple[Frame, list[np.ndarray]]) -> np.ndarray | None:
            frame, paintings = made
            if calms:
                paintings = [calm(frame.pixels, pixels) for calm, pixels in zip(calms, paintings, strict=True)]
            if frame.time < begin:
                return None
            pixels = paintings[0]
            for second in paintings[1:]:
                pixels = blend_pixels(pixels, second, self.mix, "style", self.mask)
            pixels = blend_pixels(frame.pixels, pixels, self.strength, self.color)
            part.add(pixels, frame.time, frame.duration)
            return pixels

        with (
            closing(decoded()) as seen,
            closing(ahead(paint, seen, at_once)) as painted,
            closing(ahead(finish, (coming.result() for coming in painted))) as finished,
        ):
            for coming in finished:
                if (pixels := coming.result()) is not None:
                    yield pixels


class PaintedPiece(NamedTuple):
    """A piece of a film, painted."""

    data: bytes
    """The file of a ``Part``."""
    frames: int
    end: int
    """The time at which its last frame ends."""
    pixels: np.ndarray | None
    """Of its last frame; None if all its frames are damaged."""


def paint_piece(film: Film, painter: FramePainter, styles: Sequence[Style], piece: Piece) -> PaintedPiece:
    """Paint a piece of a film on one core, without the film's own file.

    Raises:
        NSTError: there is too little memory for a frame, or nothing to decode, compare or encode it with.
    """
    begin = film.since_start(piece.begin, piece.time_base)
    with TemporaryDirectory() as folder:
        part = Part(Path(folder, f"piece{CLOSED}"), film, painter.size, lossless=painter.lossless, threads=1)
        try:
            shown = deque(painter.paint(piece.frames(film, painter.full), styles, part, begin=begin), maxlen=1)
        finally:
            part.close()
        data = part.path.read_bytes() if shown else b""
        return PaintedPiece(data, part.frames, part.end, shown[0] if shown else None)
