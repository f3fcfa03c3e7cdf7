"""Carries a film's sound into the painted film: copied where its file can hold it, and else recoded."""

import io
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from math import ceil, floor
from typing import TYPE_CHECKING

from nst_core.video_reader import Clock, Film, exact, opened, seconds_of

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer, OutputContainer

log = logging.getLogger(__name__)

MP4_SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")
"""The sound codecs that MP4 can hold and players know in it."""
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
SLOWEST = 4000
"""Sound with fewer samples a second is left out."""
_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""The layouts that sound is recoded to, by number of channels."""


def recoded(film: Film, *, lossless: bool) -> str:
    """What becomes of sound that cannot be copied: ``from mp2 to AAC``; empty if all of it can be."""
    with opened(film.path) as source:
        changed = (_codec_of(sound) for sound in _sounds_of(source) if not _is_held(sound, mp4=not lossless))
        codecs = [*dict.fromkeys(changed)]
    became = "FLAC" if lossless else "AAC"
    return f"from {' and '.join(codecs)} to {became}" if codecs else ""


def sound_of(
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
        if end is not None and seconds_of(packet) > end * film.time_base:
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
