"""Writes painted films: frames are encoded into parts as they come, and parts joined with the film's own sound."""

import heapq
import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import chain, pairwise
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nst_core.files import replacing
from nst_core.text import quoted
from nst_core.video_reader import Film, FilmError, exact_scaling, seconds_of
from nst_core.video_sound import sound_of

if TYPE_CHECKING:
    from av import Packet
    from av.stream import Stream

log = logging.getLogger(__name__)

CLOSED = ".nut"
"""The suffix of a part that was closed."""
OPEN = ".open"
"""The suffix of a part that is not closed yet."""


def suffix(*, lossless: bool) -> str:
    """The suffix of a painted film's file."""
    return ".mkv" if lossless else ".mp4"


class Part:
    """A file of painted frames; if it breaks off, it can be read up to there.

    It is FFV1 if lossless, and else H.264 without B-frames, so that each packet is a frame, in the order shown, and
    parts can be joined.
    """

    def __init__(self, path: Path, film: Film, size: tuple[int, int], *, lossless: bool, threads: int = 0) -> None:
        """``path`` ends in ``CLOSED``, and exists once the part is closed. With 0 ``threads`` the encoder chooses.

        Raises:
            FilmError: the file cannot be written.
        """
        import av

        self.path, self._film, self._lossless = path, film, lossless
        self.frames = self.end = 0
        """How many frames there are, and when the last one ends, in the film's ``time_base``."""
        self._open = path.with_suffix(OPEN)
        with _writing(path):
            self._container = av.open(f"file:{self._open}", "w", format="nut")
        self._stream = self._container.add_stream("ffv1" if lossless else "libx264", rate=film.rate)
        codec = self._stream.codec_context
        codec.width, codec.height = size
        codec.sample_aspect_ratio = film.pixel_aspect
        codec.pix_fmt = "bgr0" if lossless else "yuv420p"
        codec.thread_count = threads
        codec.time_base = self._stream.time_base = film.time_base
        codec.color_primaries, codec.color_trc = film.primaries, film.transfer
        if not lossless:
            codec.options = {"crf": "17", "preset": "veryfast", "bf": "0"}
            codec.color_range, codec.colorspace = 1, film.matrix  # 1 is limited

    def add(self, pixels: np.ndarray, time: int, duration: int) -> None:
        """Encode RGB pixels, uint8 (H, W, 3), as the frame of that time.

        Raises:
            FilmError: the file cannot be written.
        """
        import av
        from av.video.reformatter import ColorRange

        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        if self._lossless:
            frame = frame.reformat(format="bgr0")
        else:
            frame.colorspace = self._film.matrix
            frame = frame.reformat(
                format="yuv420p",
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
                interpolation=exact_scaling(),
            )
        frame.pts, frame.time_base = time, self._film.time_base
        with _writing(self.path):
            self._container.mux(self._stream.encode(frame))
        self.frames, self.end = self.frames + 1, time + duration

    def close(self) -> None:
        """Write what the encoder still holds; a part without frames leaves no file, or an empty one.

        Raises:
            FilmError: the file cannot be written.
        """
        with _writing(self.path):
            with self._container:
                self._container.mux(self._stream.encode(None))
            if self.frames:
                self._open.replace(self.path)


def count_frames(part: Path) -> int:
    """How many frames a part has; if it broke off, complete ones only."""
    return sum(1 for _ in _pictures([part]))


def save_part(data: bytes, path: Path) -> None:
    """Write the content of a part from another machine; ``path`` ends in ``CLOSED``, and exists once it is complete.

    Raises:
        FilmError: the file cannot be written.
    """
    with _writing(path):
        path.with_suffix(OPEN).write_bytes(data)
        path.with_suffix(OPEN).replace(path)


def last_time(parts: Sequence[Path], film: Film) -> int:
    """When the last frame of the parts, which have at least one, is shown, in the film's ``time_base``."""
    [last] = deque(_pictures(parts), maxlen=1)
    return round(seconds_of(last) / film.time_base)


def join(
    parts: Sequence[Path], film: Film, target: Path, *, end: int, complete: bool, sound_seconds: float = inf
) -> None:
    """Make one film from the frames of all parts and the film's sound, in the format of the target's suffix.

    The last frame is shown until ``end``, in the film's ``time_base``; unless the film is ``complete``, its sound ends
    there, too. What is left of it after ``sound_seconds`` is left out. The file is written whole or not at all, and
    an MP4 has its index first.

    Raises:
        FilmError: the file cannot be written.
    """
    import av

    mp4 = target.suffix.lower() == suffix(lossless=False)
    # The edit lists, which hold delays, count in this clock.
    options = {"movflags": "+faststart", "movie_timescale": str(film.time_base.denominator)} if mp4 else {}
    with _writing(target), replacing(target) as new, ExitStack() as stack:
        pictures = _pictures(parts)
        first = next(pictures)
        kind = "mp4" if mp4 else "matroska"
        out = stack.enter_context(av.open(f"file:{new}", "w", format=kind, options=options))
        stream = out.add_stream_from_template(first.stream, opaque=True)
        stream.time_base = film.time_base
        if not mp4:  # H.264 itself says so
            stream.codec_context.color_primaries = film.primaries
            stream.codec_context.color_trc = film.transfer
        sound = sound_of(stack, film, out, mp4=mp4, end=None if complete else end, seconds=sound_seconds)
        shown = _lasting(chain([first], pictures), end * film.time_base, stream)
        for packet in heapq.merge(shown, sound, key=seconds_of):
            try:
                out.mux(packet)
            except (av.InvalidDataError, av.PatchWelcomeError):
                if packet.stream is stream:
                    raise
                log.warning("A damaged piece of the sound is left out.")


def _pictures(parts: Sequence[Path]) -> "Iterator[Packet]":
    import av

    for part in parts:
        try:
            container = av.open(f"file:{part}", format="nut")
        except av.InvalidDataError:  # it broke off before its first frame
            continue
        with container:
            packets: Iterator[Packet] = (packet for packet in container.demux(video=0) if packet.size)
            if part.suffix != CLOSED:  # the last packet of one that broke off may be cut short
                packets = (packet for packet, _ in pairwise(packets))
            for packet in packets:
                if packet.dts is None:  # FFmpeg does not say for some parts, such as those of seven frames
                    packet.dts = packet.pts  # none is decoded out of order
                yield packet


def _lasting(packets: "Iterator[Packet]", end: Fraction, stream: "Stream") -> "Iterator[Packet]":
    """The packets for ``stream``, in its time base (a NUT file's is finer), each lasting until the next."""
    clock, before = stream.time_base, next(packets)
    assert clock is not None
    for packet in chain(packets, [None]):
        begin, until = (round(time / clock) for time in (seconds_of(before), seconds_of(packet) if packet else end))
        before.pts = before.dts = begin
        before.time_base, before.duration = clock, max(1, until - begin)
        # Its own stream may be closed by now, and would be read after it is freed.
        before.stream = stream
        yield before
        if packet:
            before = packet


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    import av

    try:
        yield
    except (av.FFmpegError, OSError) as error:
        reason = error.strerror or error
        # A part's name is ours, and its folder has the film's.
        name = path.parent.name.removesuffix(".part") if path.suffix == CLOSED else path.name
        raise FilmError(f"The film {quoted(name)} could not be written: {reason}.") from error
