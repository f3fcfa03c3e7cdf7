"""Writes painted films: frames are encoded into parts as they come, and parts joined with the film's own sound."""

import heapq
import io
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from itertools import chain, pairwise
from math import ceil, floor, inf
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nst_core.files import replacing
from nst_core.text import quoted
from nst_core.video_reader import Clock, Film, FilmError, exact, exact_scaling, opened

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

log = logging.getLogger(__name__)

MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")
"""The sound codecs that MP4 can hold and players know in it."""
CLOSED = ".nut"
"""The suffix of a part that was closed."""
OPEN = ".open"
"""The suffix of a part that is not closed yet."""
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
SLOWEST = 4000
"""Sound with fewer samples a second is left out."""
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""The layouts that sound is recoded to, by number of channels."""


def suffix(*, lossless: bool) -> str:
    """The suffix of a painted film's file."""
    return ".mkv" if lossless else ".mp4"


def recoded(film: Film, *, lossless: bool) -> str:
    """What becomes of sound that cannot be copied: ``from mp2 to AAC``; empty if all of it can be."""
    with opened(film.path) as source:
        changed = (_codec_of(sound) for sound in _sounds_of(source) if not _is_held(sound, mp4=not lossless))
        codecs = [*dict.fromkeys(changed)]
    became = "FLAC" if lossless else "AAC"
    return f"from {' and '.join(codecs)} to {became}" if codecs else ""


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
    return round(_seconds(last) / film.time_base)


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
        sound = _sound(stack, film, out, mp4=mp4, end=None if complete else end, seconds=sound_seconds)
        shown = _lasting(chain([first], pictures), end * film.time_base, stream)
        for packet in heapq.merge(shown, sound, key=_seconds):
            try:
                out.mux(packet)
            except (av.InvalidDataError, av.PatchWelcomeError):
                if packet.stream is stream:
                    raise
                log.warning("A damaged piece of the sound is left out.")


def _seconds(packet: "Packet") -> Fraction:
    """When it is decoded, in seconds."""
    assert packet.dts is not None and packet.time_base is not None
    return packet.dts * exact(packet.time_base)


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
        begin, until = (round(time / clock) for time in (_seconds(before), _seconds(packet) if packet else end))
        before.pts = before.dts = begin
        before.time_base, before.duration = clock, max(1, until - begin)
        # Its own stream may be closed by now, and would be read after it is freed.
        before.stream = stream
        yield before
        if packet:
            before = packet


class _Track:
    """A track of the film's sound, on its way into the painted film."""

    def __init__(self, source: "AudioStream", to: "AudioStream", film: Film) -> None:
        assert source.time_base is not None
        self._source, self._to = source, to
        self._clock = Clock(film, exact(source.time_base))
        to.disposition = source.disposition
        to.metadata.update({name: words for name, words in source.metadata.items() if name in ("language", "title")})

    def place(self, packet: "Packet") -> None:
        """Change the times of a packet to those since the film's beginning."""
        assert packet.dts is not None
        dts = self._clock.time(packet.dts, packet.duration or 0)
        packet.dts, packet.pts = dts, dts if packet.pts is None else dts + packet.pts - packet.dts

    def packets(self, packet: "Packet") -> "Iterator[Packet]":
        """The packets to write for one that ``place`` has changed."""
        raise NotImplementedError

    def rest(self) -> "Iterator[Packet]":
        """The packets to write after the last."""
        yield from ()


class _Copied(_Track):
    """A track that is copied as it is."""

    def __init__(self, source: "AudioStream", out: "OutputContainer", film: Film, *, mp4: bool) -> None:
        super().__init__(source, out.add_stream_from_template(source), film)
        self._mp4 = mp4
        self._delayed = source.codec_context.delay
        self._last: int | None = None

    def packets(self, packet: "Packet") -> "Iterator[Packet]":
        assert packet.dts is not None and packet.pts is not None and packet.time_base is not None
        # Matroska can mark as not to be heard only what is before the beginning, and PyAV 19 has it do so.
        if packet.is_discard and not self._mp4 and not (self._delayed and packet.pts < 0):
            return
        # Where the clock goes back, one sample later: less would be the same time by MP4's own clock.
        sample = ceil(1 / (packet.time_base * (self._source.rate or 1)))
        self._last = packet.dts if self._last is None else max(packet.dts, self._last + sample)
        packet.dts, packet.pts, packet.stream = self._last, max(packet.pts, self._last), self._to
        yield packet


class _Recoded(_Track):
    """A track that is recoded as AAC, or as FLAC if the film is lossless."""

    def __init__(self, source: "AudioStream", out: "OutputContainer", film: Film, *, lossless: bool) -> None:
        known = lossless or source.rate in _AAC_RATES
        rate = source.rate if known else 48000
        self._layout = _LAYOUTS.get(source.layout.nb_channels, "stereo")
        to = out.add_stream("flac" if lossless else "aac", rate=rate, layout=self._layout)
        if not lossless:
            to.bit_rate = 96_000 * to.layout.nb_channels
        elif source.format.name not in ("u8", "u8p", "s16", "s16p"):
            to.codec_context.format = "s32"
        super().__init__(source, to, film)
        self._kind: tuple[str, str, int] | None = None
        self._next: int | None = None

    def packets(self, packet: "Packet") -> "Iterator[Packet]":
        import av

        try:
            frames = packet.decode()
        except (av.InvalidDataError, av.PatchWelcomeError):
            log.warning("A damaged piece of the sound is left out.")
            return
        for frame in frames:
            yield from self._encoded(frame)  # type: ignore[arg-type]  # it is sound

    def rest(self) -> "Iterator[Packet]":
        for frame in self._source.codec_context.decode(None):
            yield from self._encoded(frame)
        yield from self._resampled(None)
        yield from self._to.encode(None)

    def _encoded(self, frame: "AudioFrame") -> "Iterator[Packet]":
        import av

        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind != self._kind:  # even in the middle of joined films
            yield from self._resampled(None)
            to = self._to.codec_context
            self._kind, self._resampler = kind, av.AudioResampler(to.format, self._layout, to.sample_rate)
        if frame.pts is not None and frame.time_base is not None:
            # No encoder takes overlapping sound.
            frame.pts = max(frame.pts, frame.pts if self._next is None else self._next)
            self._next = frame.pts + floor(frame.samples / (frame.sample_rate * frame.time_base))
        yield from self._resampled(frame)

    def _resampled(self, frame: "AudioFrame | None") -> "Iterator[Packet]":
        if self._kind:
            for resampled in self._resampler.resample(frame):
                yield from self._to.encode(resampled)


def _is_held(sound: "AudioStream", *, mp4: bool) -> bool:
    """Whether an MP4, or else a Matroska file, can hold the sound as it is, and players know it there."""
    import av

    if mp4 and _codec_of(sound) not in MP4_SOUND:
        return False
    trial = av.open(io.BytesIO(), "w", format="mp4" if mp4 else "matroska")
    try:
        trial.add_stream_from_template(sound)
        trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    finally:
        with suppress(av.FFmpegError):  # for some codecs, it wants a packet first
            trial.close()
    return True


def _codec_of(sound: "AudioStream") -> str:
    """The name of its codec, whichever decoder there is for it."""
    return sound.codec_context.codec.canonical_name


def _sounds_of(film: "InputContainer") -> "list[AudioStream]":
    sounds = [stream for stream in film.streams.audio if stream.codec_context]
    # A rate too low for any sound would become a thousand times as much data.
    kept = [sound for sound in sounds if (sound.rate or 0) >= SLOWEST]
    if len(kept) < len(sounds):
        log.warning(
            "Sound with fewer than %s samples a second, or an unknown number of them, is left out.", f"{SLOWEST:,}"
        )
    return kept


def _sound(
    stack: ExitStack, film: Film, out: "OutputContainer", *, mp4: bool, end: int | None, seconds: float
) -> "Iterator[Packet]":
    """Add the film's sound tracks to ``out``, and return their packets in the order of the file, until ``end`` or until
    so many seconds have gone by."""
    source = stack.enter_context(opened(film.path))
    tracks = {
        sound.index: (
            _Copied(sound, out, film, mp4=mp4)
            if _is_held(sound, mp4=mp4)
            else _Recoded(sound, out, film, lossless=not mp4)
        )
        for sound in _sounds_of(source)
    }
    return _packets(source, tracks, film, end, time.monotonic() + seconds) if tracks else iter(())


def _packets(
    source: "InputContainer", tracks: "Mapping[int, _Track]", film: Film, end: int | None, until: float
) -> "Iterator[Packet]":
    import av

    going_on = set(tracks)
    packets = source.demux([source.streams[index] for index in tracks])
    while going_on:
        if time.monotonic() > until:
            log.warning("The film's sound takes too long: it ends early.")
            break
        try:
            packet = next(packets, None)
        except (av.FFmpegError, IndexError):
            log.warning("The film's sound is damaged from some point on; it ends there.")
            break
        if packet is None:
            break
        index = packet.stream.index
        if packet.dts is None or index not in going_on:
            continue
        tracks[index].place(packet)
        if end is not None and _seconds(packet) > end * film.time_base:
            going_on.remove(index)
        else:
            try:
                yield from tracks[index].packets(packet)
            except av.FFmpegError:
                log.warning("One of the film's sound tracks cannot be converted: it is left out from there on.")
                going_on.remove(index)
    for track in tracks.values():
        try:
            yield from track.rest()
        except av.FFmpegError:
            log.warning("The end of one of the film's sound tracks cannot be converted: it is left out.")


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
