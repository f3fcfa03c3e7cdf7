"""Counts the parts of a picture or film file: even a small file can have enough to occupy a decoder for hours.

Limits on bytes and pixels do not help against that, so the parts are counted before anything is decoded.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from struct import calcsize, error as StructError, unpack
from typing import Any, BinaryIO

import numpy as np

MANY = 2**17
"""The most chunks in a PNG, and numbers in a TIFF directory entry: one per row of a large picture is fewer."""
SEGMENTS = 2_000
"""The most segments of a JPEG before its first scan, and from there on; the largest colour profile has 255."""
SCAN, SCANS = b"\xff\xda", 200
"""How a JPEG's scan begins, and the most scans: each covers the whole picture; a progressive JPEG has some ten."""
MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")
"""The markers at which a JPEG decoder ends a scan, even a damaged one; a length follows all but the end marker."""
BLOCKS = 4_000
"""The most blocks of a GIF before its first picture: Pillow joins their bytes one by one."""
SAMPLES, EDITED = 10_000_000, 20_000_000
"""The most samples (pictures, sound packets) of an MP4, and samples × edits of a track: FFmpeg keeps 50 bytes each."""
_CONTAINERS = (b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"moof", b"traf")


def too_many_parts(stream: BinaryIO, format: str) -> bool:
    """Whether a file has more parts than any real picture; ``format`` is Pillow's name.

    False for a damaged file, which the decoder will refuse.
    """
    count = {"PNG": _chunks, "JPEG": _segments_and_scans, "GIF": _blocks, "TIFF": _numbers}.get(format)
    try:
        return bool(count and count(stream))
    except (StructError, IndexError, OSError, OverflowError, ValueError):  # the last two: an offset out of range
        return False


def _take(stream: BinaryIO, form: str) -> tuple[Any, ...]:
    """The next values of a stream, in ``struct``'s notation."""
    return unpack(form, stream.read(calcsize(form)))


def _chunks(stream: BinaryIO) -> bool:
    stream.seek(8)
    for _ in range(MANY):
        length, kind = _take(stream, ">I4s")
        if kind == b"IEND":
            return False
        stream.seek(length + 4, os.SEEK_CUR)
    return True


def _segments_and_scans(stream: BinaryIO) -> bool:
    stream.seek(2)
    for _ in range(SEGMENTS):
        start, kind = _take(stream, "BB")
        if start != 0xFF or kind == 0xFF:  # stray or fill bytes
            stream.seek(-1, os.SEEK_CUR)
        elif kind == 0xDA:
            break
        elif kind != 0x01 and not 0xD0 <= kind <= 0xD9:  # those have no length
            (length,) = _take(stream, ">H")
            stream.seek(length - 2, os.SEEK_CUR)
    else:
        return True
    scans = 1
    for _ in range(SEGMENTS):
        (length,) = _take(stream, ">H")
        stream.seek(length - 2, os.SEEK_CUR)
        kind = _next_marker(stream)
        if kind == 0xD9:  # the picture's end: a phone may have a film behind it
            return False
        scans += kind == 0xDA
        if scans > SCANS:
            return True
    return True


def _next_marker(stream: BinaryIO) -> int:
    """The kind of a JPEG's next marker after a segment or within a scan; at the file's end, the end marker's."""
    while piece := stream.read(2**16):
        if found := MARKER.search(piece):
            stream.seek(found.end() - len(piece), os.SEEK_CUR)
            return piece[found.end() - 1]
        if len(piece) > 1 and piece[-1] == 0xFF:
            stream.seek(-1, os.SEEK_CUR)
    return 0xD9


def _blocks(stream: BinaryIO) -> bool:
    stream.seek(10)
    flags = stream.read(1)[0]
    stream.seek(13 + (3 << (flags % 8 + 1) if flags & 0x80 else 0))
    blocks = 0
    while blocks < BLOCKS:
        blocks += 1
        kind = stream.read(1)
        if kind in (b"", b",", b";"):
            return False
        if kind == b"!":
            stream.seek(1, os.SEEK_CUR)
            while blocks < BLOCKS and (size := stream.read(1)[0]):
                blocks += 1
                stream.seek(size, os.SEEK_CUR)
    return True


def _numbers(stream: BinaryIO) -> bool:
    stream.seek(0)
    order = "<" if stream.read(2) == b"II" else ">"
    large = _take(stream, f"{order}H") == (43,)  # BigTIFF
    offset, how_many = ("Q", "Q") if large else ("I", "H")
    stream.seek(8 if large else 4)
    (directory,) = _take(stream, order + offset)
    stream.seek(directory)
    (entries,) = _take(stream, order + how_many)
    for _ in range(min(entries, MANY)):
        _, kind, count = _take(stream, f"{order}HH{offset}")
        stream.seek(8 if large else 4, os.SEEK_CUR)
        if kind not in (1, 2, 6, 7) and count > MANY:  # bytes and texts are taken as they are
            return True
    return entries > MANY


def too_many_samples(stream: BinaryIO) -> bool:
    """Whether an MP4 or MOV claims to hold more pictures and sound than a film does; False for other files."""
    try:
        return _too_many_samples(stream)
    except (StructError, OSError):
        return False  # for the demuxer to say


@dataclass
class _Track:
    """What the boxes of a track say, so far."""

    samples: int = 0
    edits: int = 0
    is_sound: bool = False
    has_pictures: bool = False
    is_even: bool = False
    """Whether each sample lasts one tick: for such sound, FFmpeg keeps only chunks."""


def _too_many_samples(stream: BinaryIO) -> bool:
    size = stream.seek(0, os.SEEK_END)
    tracks, in_fragments = [_Track()], 0
    for number, (kind, begin, end) in enumerate(_boxes(stream, 0, size)):
        track = tracks[-1]
        if kind == b"cmov" or number > MANY:  # a compressed header might hold anything
            return True
        stream.seek(begin + 4)
        if kind == b"trak":
            tracks.append(_Track())
        elif kind == b"hdlr":
            about = stream.read(8)[4:]
            track.is_sound |= about == b"soun"
            track.has_pictures |= about == b"vide"
        elif kind in (b"stsz", b"stz2"):
            (count,) = _take(stream, ">4xI")
            track.samples = max(track.samples, count)
        elif kind == b"stts":
            (runs,) = _take(stream, ">I")
            table = stream.read(min(8 * runs, max(0, end - begin - 8) // 8 * 8))
            counts, lengths = np.frombuffer(table, ">u4").reshape(-1, 2).T
            track.samples = max(track.samples, int(counts.sum(dtype=np.int64)))
            track.is_even = len(lengths) == 1 and lengths[0] == 1
        elif kind == b"elst":
            (track.edits,) = _take(stream, ">I")
        elif kind == b"trun":
            in_fragments += _take(stream, ">I")[0]
    indexed = [one for one in tracks if one.has_pictures or not (one.is_sound and one.is_even)]
    many = sum(one.samples for one in indexed) + in_fragments > SAMPLES
    return many or any(one.edits * one.samples > EDITED for one in indexed)


def _boxes(stream: BinaryIO, begin: int, end: int, depth: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Name, beginning and end of each box's content, from the outermost inwards."""
    while begin + 8 <= end:
        stream.seek(begin)
        size, kind = _take(stream, ">I4s")
        head = 8
        if size == 1:
            (size,), head = _take(stream, ">Q"), 16
        size = size or end - begin
        if size < head:
            return
        content = begin + head, min(begin + size, end)
        yield kind, *content
        if kind in _CONTAINERS and depth < 8:
            yield from _boxes(stream, *content, depth + 1)
        begin += size
