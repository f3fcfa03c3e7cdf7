"""Reads films as upright RGB frames with their times; formats that are not known to be safe are refused."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np

from nst_core.bombs import SCAN, SCANS, too_many_samples
from nst_core.errors import NSTError
from nst_core.images import PictureError, fitted_size, open_picture
from nst_core.text import quoted

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)
Input = TypeVar("Input")
Output = TypeVar("Output")

# The only demuxers that are used, by FFmpeg's names: none of them opens a second file.
_DEMUXERS = "mov,matroska,avi,mpegts,mpeg,flv,asf,ogg,gif,dv,ivf,nut,yuv4mpegpipe"
# The only video codecs that are decoded, by FFmpeg's names.
_CODECS = {
    "h261", "h263", "h263p", "h264", "hevc", "vvc", "av1", "vp3", "vp4", "vp5", "vp6", "vp6a", "vp6f", "vp7",
    "vp8", "vp9", "theora", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3", "wmv1",
    "wmv2", "wmv3", "vc1", "flv1", "flashsv", "flashsv2", "rv10", "rv20", "rv30", "rv40", "svq1", "svq3",
    "cinepak", "indeo2", "indeo3", "indeo4", "indeo5", "rpza", "qtrle", "smc", "msvideo1", "msrle", "mjpeg",
    "mjpegb", "prores", "dnxhd", "cfhd", "dvvideo", "ffv1", "ffvhuff", "huffyuv", "utvideo", "magicyuv",
    "lagarith", "rawvideo", "v210", "v410", "v408", "v308", "r210", "r10k", "png", "gif", "hap", "snow", "dirac",
}  # fmt: skip
_READABLE = "an MP4, MOV, MKV, WebM, AVI, MPEG, FLV, WMV, Ogg or GIF file"

# Of AVColorSpace.
BT709, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020, BT2020_CL = 1, 4, 5, 6, 7, 9, 10


ANEW = Fraction(1, 4)
"""Seconds: if times go back by more, the file's clock has restarted; if by less, they are inexact."""
LEAP = 3600
"""Seconds: if times leap ahead by more, it has restarted, too; a slide may be shown for less."""
# Where a film has no table of its tracks, FFmpeg looks at seven seconds by default, and misses later sound.
_LOOK = {"analyzeduration": "60000000", "probesize": "50000000"}  # microseconds, bytes
MAX_PIXELS = 2**25
"""The most pixels of a frame: 8K has as many."""
LOOKED_INTO, STREAMS, UNLISTED = 4, 64, 16
"""Of how many streams FFmpeg may decode a frame to see what they are, as none is freed before all are decoded; how many
a film may have; and how many where the file has no list of them, or PyAV is 19 or newer, so that a frame of each is
decoded."""
_LOOKING = threading.Lock()
"""Held while it does, so that one film's frames are in memory, and not those of everybody's."""
FASTEST = 240
"""The most frames a second that are accepted as a guess for a film that does not say."""
_MOST_DAMAGED = 1000
"""Packets; a truncated file would raise errors for ever."""
_MOST_UNSEEN = 2**32
"""Pixels that are decoded for no picture, as before a cut: two thousand frames of 1080p. Each may take 30 bytes."""


class Ratio(Protocol):
    """What PyAV gives for a ratio: Python's own ``Fraction``, or, since version 19, one that rounds."""

    @property
    def numerator(self) -> int: ...
    @property
    def denominator(self) -> int: ...


def exact(ratio: Ratio) -> Fraction:
    """A ratio of PyAV's as a fraction."""
    return Fraction(ratio.numerator, ratio.denominator)


def seconds_of(packet: "Packet") -> Fraction:
    """When it is decoded, in seconds."""
    assert packet.dts is not None and packet.time_base is not None
    return packet.dts * exact(packet.time_base)


class FilmError(NSTError):
    """A film that cannot be read, or cannot be written as asked."""


class Frame(NamedTuple):
    """One picture of a film."""

    pixels: np.ndarray
    """RGB, uint8 (H, W, 3), upright."""
    time: int
    """When it is shown, in the film's ``time_base``, from the film's beginning."""
    duration: int
    """How long it is shown, likewise, as far as the file says."""


@dataclass(frozen=True)
class Film:
    """What is known of a film before it is read through."""

    path: Path
    width: int
    """Upright, in pixels."""
    height: int
    pixel_aspect: Fraction
    """A pixel's width by its height, upright."""
    quarter_turns: int
    """Counter-clockwise turns that make its frames upright."""
    mirrored: bool
    """Whether its frames are flipped, top for bottom, before they are turned."""
    time_base: Fraction
    """Seconds."""
    start: Fraction
    """When its first sound or picture begins, in seconds on the file's clock."""
    rate: Fraction
    """Frames a second, on average."""
    frames: int | None
    """About how many there are; None where the file does not say."""
    matrix: int
    """The YCbCr matrix of it and of the painted film: FFmpeg's AVColorSpace."""
    primaries: int
    """FFmpeg's AVColorPrimaries; pixels are not converted, and the painted film has the same."""
    transfer: int
    """FFmpeg's AVColorTransferCharacteristic, likewise."""

    @property
    def step(self) -> int:
        """A frame's usual duration, in ``time_base``."""
        return max(1, round(1 / (self.rate * self.time_base)))

    def since_start(self, ticks: int, time_base: Fraction) -> int:
        """A time on the file's clock, in ``time_base``, counted from the film's beginning."""
        return ticks - round(self.start / time_base)

    def size(self, longer_side: int | None = None) -> tuple[int, int]:
        """Width and height of its frames with that longer side, by default their own."""
        size = self.width, self.height
        return size if longer_side is None else fitted_size(size, longer_side)


class Clock:
    """A track's times since the film's beginning; they go on where the file's clock restarts, as in joined films.

    Each track goes on from its own end, so that after a joint, tracks of unequal lengths are that much apart.
    """

    def __init__(self, film: Film, time_base: Fraction) -> None:
        self._film, self._time_base = film, time_base
        self._shift = self._next = 0
        self._latest: int | None = None

    def time(self, ticks: int, duration: int) -> int:
        """The time of a frame whose time in the file is ``ticks``, all in the track's ``time_base``."""
        time = self._film.since_start(ticks, self._time_base) + self._shift
        back, on = ANEW / self._time_base, LEAP / self._time_base
        if self._latest is not None and not self._latest - back <= time <= self._next + on:
            self._shift += self._next - time
            time = self._next
        self._latest, self._next = time, time + duration
        return time


def open_film(source: str | Path) -> Film:
    """Look at a film, decoding its first frame only.

    Raises:
        FilmError: there is no such file, it is no film, it is damaged, has no frame, or frames of too many pixels.
    """
    path = Path(source)
    subject = f"The film {quoted(path.name)}"
    if not os.path.isfile(path):
        fault = "is not a file" if os.path.exists(path) else "does not exist"
        raise FilmError(f"{subject} {fault}: give the path of a film.")
    with opened(path) as container:
        stream = pictures_of(container)
        if stream is None:
            raise FilmError(f"{subject} has no pictures, only sound: choose a film that has pictures.")
        coded = stream.codec_context
        if coded.codec.canonical_name not in _CODECS:
            coding = coded.codec.canonical_name
            raise FilmError(f"{subject} is encoded as {coding}, which cannot be read here: convert it to H.264.")
        if coded.width * coded.height > MAX_PIXELS:
            raise FilmError(
                f"{subject} has frames of {coded.width} × {coded.height} pixels: at most {MAX_PIXELS:,} in total are "
                "allowed."
            )
        frame = next(_decoded(stream), None)
        if frame is None:
            raise FilmError(
                f"{subject} has no frame that can be read: try a complete file, with frames of at most {MAX_PIXELS:,} "
                "pixels."
            )
        turns = round(frame.rotation / 90) % 4
        aspect = exact(stream.sample_aspect_ratio or 1)
        sides = frame.width, frame.height
        starts = [
            one.start_time * exact(one.time_base)
            for one in (stream, *container.streams.audio)
            if one.start_time is not None and one.time_base
        ]
        assert stream.time_base
        # For a film that a browser recorded, FFmpeg guesses the clock's rate: a thousand a second.
        guess = stream.guessed_rate if stream.guessed_rate and stream.guessed_rate <= FASTEST else None
        rate = exact(stream.average_rate or guess or 0)
        count = stream.frames or (rate and container.duration and round(container.duration * rate / 1_000_000))
        return Film(
            path=path,
            width=sides[turns % 2],
            height=sides[1 - turns % 2],
            pixel_aspect=1 / aspect if turns % 2 else aspect,
            quarter_turns=turns,
            mirrored=_is_mirrored(frame),
            time_base=exact(stream.time_base),
            start=min(starts, default=Fraction(0)),
            rate=rate or Fraction(30),
            frames=count or None,
            matrix=_matrix(frame),
            primaries=coded.color_primaries,
            transfer=coded.color_trc,
        )


def read_frames(
    film: Film, size: tuple[int, int], skip: int = 0, *, should_stop: Callable[[], bool] = lambda: False
) -> Iterator[Frame]:
    """Every frame but the first ``skip``, scaled to width and height, whatever size each has in the file.

    Damaged parts are left out, which is logged. Times increase, even where the file's do not. Once
    ``should_stop`` returns True, no further frame is decoded, not even one to be skipped.

    Raises:
        FilmError: the file is no longer there, or can no longer be read.
    """
    with opened(film.path) as container:
        import av

        stream = pictures_of(container)
        assert stream is not None
        # If a program has PyAV log, as torchvision 0.24 does, a thread that decodes ahead may wait for Python's lock to
        # log an error, while who leaves the film has the lock and waits for the thread.
        stream.thread_type = "AUTO" if av.logging.get_level() is None else "SLICE"
        clock, last = Clock(film, film.time_base), -1
        for number, frame in enumerate(_decoded(stream)):
            duration = frame.duration or film.step
            time = last + film.step if frame.pts is None else clock.time(frame.pts, duration)
            last = max(time, last + 1)
            if should_stop():
                return
            if number >= skip:
                yield Frame(upright(frame, film, size), last, duration)


@contextmanager
def opened(path: Path) -> "Iterator[InputContainer]":
    """The file as a PyAV container, opened by one of the safe demuxers.

    Raises:
        FilmError: it is not a film, or PyAV is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise FilmError('Films need PyAV: pip install "nst-core[video]" installs it.') from error
    subject = f"The film {quoted(path.name)}"
    try:
        file = path.open("rb")
    except OSError as error:
        raise FilmError(f"{subject} cannot be read: {error.strerror}.") from error
    try:
        with file:
            if too_many_samples(file):
                raise FilmError(f"{subject} is built of more parts than a film needs: save it again.")
        options = {"format_whitelist": _DEMUXERS, "protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)} | _LOOK
        listed, unlisted = (options | {"max_streams": str(most)} for most in (STREAMS, UNLISTED))
        looked_into: list[dict[str, str]] = [{}] * LOOKED_INTO + [{"codec_whitelist": "none"}] * (STREAMS - LOOKED_INTO)
        opening: Any = partial(av.open, f"file:{path}")
        titles = {"metadata_errors": "replace"}  # old films may have them in any encoding
        with _LOOKING:
            try:
                container = opening(options=listed, stream_options=looked_into, **titles)
            except ValueError:  # PyAV's word for there being no list
                container = opening(options=unlisted, **titles)
            except TypeError:  # PyAV 19 cannot be told which streams to look into, and takes all titles
                container = opening(options=unlisted)
    except (av.FFmpegError, OSError) as error:
        if _is_picture(path):
            raise FilmError(f"{subject} is a picture, not a film: repaint it as a picture.") from error
        raise FilmError(f"{subject} is damaged, incomplete or not a film: use {_READABLE}.") from error
    with container:
        for stream in container.streams.video:
            if stream.codec_context:
                stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}  # for each frame: sizes may differ
        yield container


def pictures_of(container: "InputContainer") -> "VideoStream | None":
    """The stream of the film's pictures; the cover of a song is not a film."""
    from av.stream import Disposition

    covers = Disposition.attached_pic | Disposition.still_image
    streams = [one for one in container.streams.video if not one.disposition & covers and one.codec_context]
    return max(streams, key=lambda one: bool(one.disposition & Disposition.default), default=None)


def undamaged(packets: "Iterator[Input]", decode: "Callable[[Input], Iterable[Output]]") -> "Iterator[Output]":
    """Decode packets; those that cannot be read or decoded are left out, and their number is logged."""
    import av

    damaged = 0
    end = object()
    while True:
        try:
            packet = next(packets, end)
            if packet is end:
                break
            decoded = decode(packet)  # type: ignore[arg-type]
        except (av.FFmpegError, OSError, IndexError):  # the last for a stream that began later
            damaged += 1
            if damaged > _MOST_DAMAGED:
                break
            continue
        yield from decoded
    if damaged:
        log.warning("Damaged parts of the film that are left out: %d.", damaged)


def _decoded(stream: "VideoStream") -> "Iterator[VideoFrame]":
    coded, unseen = stream.codec_context, 0
    of_scans = coded.codec.canonical_name.startswith("mjpeg")

    def decode(packet: "Packet[VideoStream]") -> "list[VideoFrame]":
        nonlocal unseen
        if unseen > _MOST_UNSEEN or (of_scans and bytes(packet).count(SCAN) > SCANS):
            raise OSError("It would keep the decoder busy for minutes.")
        frames = packet.decode()
        unseen = 0 if frames else unseen + max(2**16, coded.width * coded.height)
        return frames

    return undamaged(stream.container.demux(stream), decode)  # type: ignore[attr-defined]


def upright(frame: "VideoFrame", film: Film, size: tuple[int, int]) -> np.ndarray:
    """One of the film's frames as RGB, uint8 (H, W, 3), scaled to width and height."""
    from av.video.reformatter import ColorRange

    turned = film.quarter_turns % 2
    name = frame.format.name
    full = frame.color_range == ColorRange.JPEG or frame.format.is_rgb or name.startswith(("yuvj", "gray"))
    # Set on the frame itself, the matrix reaches FFmpeg's scaler by the same number in every version of PyAV.
    frame.colorspace = film.matrix
    pixels = frame.reformat(
        width=size[turned],
        height=size[1 - turned],
        format="rgb24",
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
        interpolation=exact_scaling(),
    ).to_ndarray()
    if film.mirrored:
        pixels = pixels[::-1]
    return np.ascontiguousarray(np.rot90(pixels, film.quarter_turns))


def exact_scaling() -> int:
    """Flags for FFmpeg's scaler: no shortcuts that would make colours less exact than rounding does."""
    from av.video.reformatter import Interpolation

    # Of swscale.h; PyAV 17 has no names for the last three.
    full_chroma_h_int, full_chroma_h_inp, accurate_rounding = 0x2000, 0x4000, 0x40000
    return int(Interpolation.BICUBIC) | full_chroma_h_int | full_chroma_h_inp | accurate_rounding


def _is_mirrored(frame: "VideoFrame") -> bool:
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")  # PyAV calls it an "object" before version 19
    if matrix is None:
        return False
    a, b, _, c, d = map(int, np.frombuffer(matrix, np.int32)[:5])
    return a * d < b * c


def _matrix(frame: "VideoFrame") -> int:
    """A frame's YCbCr matrix, or the one that players assume where it does not say."""
    if frame.colorspace == BT2020_CL:
        return BT2020
    if not frame.format.is_rgb and frame.colorspace in (BT709, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020):
        return frame.colorspace
    return BT709 if max(frame.width, frame.height) >= 1280 or min(frame.width, frame.height) > 576 else SMPTE170M


def _is_picture(path: Path) -> bool:
    try:
        open_picture(path)
    except PictureError:
        return False
    return True
