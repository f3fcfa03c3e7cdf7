"""Films for tests, drawn here, and what is read of a film."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import Interpolation

SIZE = (96, 64)
RATE = 25
SOUND_RATE = 48000


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """RGB, uint8: soft stripes that move by two pixels a frame, so soft that halved chroma shows them."""
    y, x = np.mgrid[: size[1], : size[0]]
    waves = [np.sin((x - 2 * number) / 17), np.cos(y / 19 + number / 9), np.sin((x + y + 2 * number) / 23)]
    return np.stack([128 + 100 * wave for wave in waves], -1).astype(np.uint8)


def make_film(
    path: Path,
    *,
    frames: int = 12,
    size: tuple[int, int] = SIZE,
    times: Sequence[int] | None = None,
    clock: Fraction = Fraction(1, 12800),
    codec: str = "libx264",
    pixels: str = "yuv420p",
    sound: str | None = None,
    sound_rate: int = SOUND_RATE,
    language: str | None = None,
    title: str | None = None,
    pictures: Sequence[np.ndarray] | None = None,
    options: dict[str, str] | None = None,
    rotation: int = 0,
    **colors: Any,
) -> Path:
    """Write a film of so many frames; ``times`` are theirs, by the clock. Sound is a tone, as long as the film."""
    with av.open(str(path), "w") as film:
        if title:
            film.metadata["title"] = title
        if codec:
            stream = film.add_stream(codec, rate=RATE)
            stream.width, stream.height = size
            stream.pix_fmt = pixels
            stream.codec_context.time_base = stream.time_base = clock
            stream.codec_context.options = options or {}
            for name, value in colors.items():
                setattr(stream.codec_context, name, value)
            if rotation:
                stream.set_display_rotation(rotation)
        track = film.add_stream(sound, rate=sound_rate, layout="mono") if sound else None
        if track and language:
            track.metadata["language"] = language
        seconds = max(1, frames) / RATE
        for number in range(frames if codec else 0):
            drawn = pictures[number] if pictures else picture(number, size)
            frame = av.VideoFrame.from_ndarray(drawn, format="rgb24")
            frame.colorspace = colors.get("colorspace", frame.colorspace)
            frame = frame.reformat(format=pixels, dst_color_range=colors.get("color_range", 1))
            frame.pts = times[number] if times else round(number / RATE / clock)
            frame.time_base = clock
            film.mux(stream.encode(frame))
        if codec:
            film.mux(stream.encode(None))
        if track:
            wave = 8000 * np.sin(np.arange(round(seconds * sound_rate)) / 20)
            tone = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
            tone.rate, tone.pts = sound_rate, 0
            film.mux(track.encode(tone))
            film.mux(track.encode(None))
    return path


class Seen(NamedTuple):
    """A film as another program would see it."""

    container: str
    codec: str
    pixels: str
    pictures: list[np.ndarray]
    times: list[Fraction]
    """Seconds."""
    seconds: Fraction
    """When the last frame ends."""
    sound: list[tuple[str, list[bytes], list[Fraction]]]
    """Of each track the codec, the packets, and their times in seconds."""


def see(path: Path) -> Seen:
    with av.open(str(path)) as film:
        stream = film.streams.video[0]
        frames = list(film.decode(stream))
        assert stream.time_base is not None
        times = [frame.pts * stream.time_base for frame in frames if frame.pts is not None]
        last = frames[-1].duration * stream.time_base
        exactly = Interpolation.BICUBIC | 0x46000  # ACCURATE_RND, FULL_CHR_H_INT, FULL_CHR_H_INP
        pictures = [frame.to_ndarray(format="rgb24", interpolation=exactly) for frame in frames]
        codec = stream.codec_context
        seen = film.format.name, codec.name, codec.pix_fmt or "", pictures, times, times[-1] + last
        tracks = [track.index for track in film.streams.audio]
    sound = []
    for index in tracks:
        with av.open(str(path)) as film:
            track = film.streams[index]
            packets = [packet for packet in film.demux(track) if packet.size]
            times = [packet.pts * packet.time_base for packet in packets if packet.pts is not None]
            sound.append((track.codec_context.codec.canonical_name, [bytes(packet) for packet in packets], times))
    return Seen(*seen, sound)
