"""Cuts a film into pieces of a few seconds, still compressed, each of which another machine can decode alone."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from nst_core.text import quoted
from nst_core.video_reader import LEAP, Film, FilmError, Frame, exact, opened, pictures_of, undamaged, upright

if TYPE_CHECKING:
    import av

FRAMES = 120
"""Frames of a piece; the last may have fewer."""
BEFORE = 12
"""Frames before a piece, painted with it but not shown, so that the fresh start of a steady painting is not seen."""
MOST_BYTES = 2**27
"""Bytes of packets at which a piece ends, even if it has fewer frames."""

_SETTINGS = ("width", "height", "pix_fmt", "extradata", "codec_tag", "bits_per_coded_sample", "color_range")
"""Settings of a decoder that are in the file, but not in its packets."""
_EVER = -(2**63)


class _Packet(NamedTuple):
    data: bytes
    pts: int
    dts: int | None
    duration: int | None
    keyframe: bool
    hidden: bool
    """Whether it is decoded only because others need it, and not shown."""


@dataclass(frozen=True)
class Piece:
    """Some frames of a film, and what it takes to decode them. Times are those of the file, in its ``time_base``."""

    before: int
    """Time of the first frame that is painted with it and not shown; if there is none, of its own first frame."""
    begin: int
    """Time of its own first frame."""
    end: int | None
    """Time of the next piece's first frame; None if this piece is the last."""
    packets: list[_Packet] = field(repr=False)
    """In decoding order, from a keyframe on."""
    codec: str
    settings: dict[str, object] = field(repr=False)
    time_base: Fraction

    def frames(self, film: Film, size: tuple[int, int]) -> Iterator[Frame]:
        """Its frames and those before it, as ``read_frames`` gives them."""
        import av

        decoder = av.CodecContext.create(self.codec, "r")
        assert isinstance(decoder, av.VideoCodecContext)
        for name, value in self.settings.items():
            if value is not None:
                setattr(decoder, name, value)
        last, hidden = -1, {packet.pts for packet in self.packets if packet.hidden}
        for frame in undamaged(chain(map(self._packet, self.packets), [None]), decoder.decode):
            if (
                frame.pts is None
                or frame.pts in hidden
                or frame.pts < self.before
                or (self.end is not None and frame.pts >= self.end)
            ):
                continue
            last = max(film.since_start(frame.pts, self.time_base), last + 1)
            yield Frame(upright(frame, film, size), last, frame.duration or film.step)

    def _packet(self, saved: _Packet) -> "av.Packet":
        import av

        # Made from the data itself, it would lack the trailing zeros that decoders rely on.
        packet = av.Packet(len(saved.data))
        packet.update(saved.data)
        packet.pts, packet.dts, packet.time_base = saved.pts, saved.dts, self.time_base
        packet.duration, packet.is_keyframe = saved.duration, saved.keyframe
        return packet


def cut(film: Film, *, after: int | None = None, before: int = BEFORE) -> Iterator[Piece]:
    """The pieces of a film, in order: every frame is in one of them.

    With ``after``, a finished frame's time since the film's beginning, they begin with the next frame. ``before`` is
    how many frames are painted with a piece but not shown.

    Raises:
        FilmError: the film's clock goes back, leaps ahead or says too little, or its keyframes are too far apart.
    """
    refused = f"The film {quoted(film.path.name)} cannot be cut into pieces for several machines:"
    with opened(film.path) as container:
        stream = pictures_of(container)
        assert stream is not None and stream.time_base is not None
        codec, time_base = stream.codec_context, exact(stream.time_base)
        # AVI has no times, and FFmpeg makes some up for H.264: in packet order, which is not the order shown.
        if container.format.name == "avi" and codec.codec.canonical_name == "h264" and codec.has_b_frames:
            raise FilmError(f"{refused} it does not say when its frames are shown. Only a single machine can paint it.")
        settings = {name: getattr(codec, name) for name in _SETTINGS}
        packets: list[_Packet] = []
        times: list[int] = []  # of the frames in these packets, in order
        begin = _EVER if after is None else after + round(film.start / time_base) + 1
        decoded, lasting, size = _EVER, 0, 0

        def piece(end: int | None) -> Piece:
            place = bisect_left(times, begin)
            own = [packet for packet in packets if end is None or packet.dts is None or packet.dts < end]
            return Piece(times[max(0, place - before)], times[place], end, own, codec.name, settings, time_base)

        for packet in undamaged(container.demux(stream), lambda packet: [packet]):
            time = packet.dts if packet.pts is None else packet.pts
            if not packet.size or time is None:
                continue
            if packet.dts is not None:
                if packet.dts < decoded:
                    raise FilmError(f"{refused} its clock jumps back. Only a single machine can paint it.")
                if decoded > _EVER and packet.dts > decoded + lasting + LEAP / time_base:
                    raise FilmError(f"{refused} its clock jumps ahead. Only a single machine can paint it.")
                decoded, lasting = packet.dts, packet.duration or 0
            kinds = packet.is_keyframe, packet.is_discard
            packets.append(_Packet(bytes(packet), time, packet.dts, packet.duration, *kinds))
            if not packet.is_discard:
                insort(times, time)
            size += packet.size
            end = _next_begin(times, begin, decoded, FRAMES if size < MOST_BYTES else 1)
            if end is not None:
                yield piece(end)
                begin = end
            if times and (end is not None or packet.is_keyframe):
                packets, times = _needed(packets, times, begin, before)
                size = sum(len(one.data) for one in packets)
            if size > 2 * MOST_BYTES:
                raise FilmError(
                    f"{refused} {len(packets)} frames have no keyframe. Only a single machine can paint it."
                )
        while times and times[-1] >= begin:
            end = _next_begin(times, begin, times[-1] + 1, FRAMES)
            yield piece(end)
            begin = times[-1] + 1 if end is None else end
            packets, times = _needed(packets, times, begin, before)


def _next_begin(times: list[int], begin: int, decoded: int, most: int) -> int | None:
    """Time of the first frame after a piece of ``most`` frames; None while others may still come before it.

    All frames before ``decoded`` are among ``times``.
    """
    first, last = bisect_left(times, begin), _EVER
    known = times[first : bisect_left(times, decoded)]
    if len(known) > most:
        for number, time in enumerate(known):
            # Frames with the same time are shown one tick after another.
            if number >= most and time > last:
                return time
            last = max(time, last + 1)
    return None


def _needed(packets: list[_Packet], times: list[int], begin: int, before: int) -> tuple[list[_Packet], list[int]]:
    """The packets, and their frames' times, that are needed for a piece that begins at ``begin``."""
    first = times[min(max(0, bisect_left(times, begin) - before), len(times) - 1)]
    keyframes = [place for place, packet in enumerate(packets) if packet.keyframe and packet.pts <= first]
    return packets[max(keyframes, default=0) :], times[bisect_left(times, first) :]
