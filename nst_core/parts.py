"""How many parts a picture's file is built of: a few bytes each, they can keep a decoder busy for hours.

Bounds of bytes and pixels do not help against that, so the parts are counted before anything is decoded.
"""

import os
from struct import error as StructError
from struct import unpack
from typing import BinaryIO

MANY = 2**17
"""Chunks of a PNG, numbers of one kind in a TIFF's directory: a row each of a large picture is fewer."""
SEGMENTS = 2_000
"""Of a JPEG before its first scan; the largest colour profile has 255."""
SCANS = 200
"""Of a JPEG, each of which goes through the whole picture; progressive ones have some ten."""
BLOCKS = 4_000
"""Of a GIF before its first picture, the bytes of which Pillow joins one by one."""


def too_many_parts(stream: BinaryIO, format: str) -> bool:
    """Whether a file is built of more parts than any that was made to be looked at; ``format`` is Pillow's name.

    What is damaged is for the decoder to say.
    """
    count = {"PNG": _chunks, "JPEG": _segments_and_scans, "GIF": _blocks, "TIFF": _numbers}.get(format)
    try:
        return bool(count and count(stream))
    except (StructError, IndexError, OSError, OverflowError):
        return False


def _chunks(stream: BinaryIO) -> bool:
    stream.seek(8)
    for _ in range(MANY):
        length, kind = unpack(">I4s", stream.read(8))
        if kind == b"IEND":
            return False
        stream.seek(length + 4, os.SEEK_CUR)
    return True


def _segments_and_scans(stream: BinaryIO) -> bool:
    stream.seek(2)
    for _ in range(SEGMENTS):
        start, kind = unpack("BB", stream.read(2))
        if start != 0xFF or kind == 0xFF:  # something in between, or to fill up with
            stream.seek(-1, os.SEEK_CUR)
        elif kind == 0xDA:
            break
        elif kind != 0x01 and not 0xD0 <= kind <= 0xD9:  # those are alone
            (length,) = unpack(">H", stream.read(2))
            stream.seek(length - 2, os.SEEK_CUR)
    else:
        return True
    # Within a scan no other two bytes look like the beginning of one.
    stream.seek(0)
    scans, last = 0, b""
    while piece := stream.read(2**20):
        scans += (last + piece).count(b"\xff\xda")
        last = piece[-1:]
    return scans > SCANS


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
    large = unpack(f"{order}H", stream.read(2)) == (43,)  # BigTIFF
    stream.seek(8 if large else 4)
    (directory,) = unpack(f"{order}{'Q' if large else 'I'}", stream.read(8 if large else 4))
    stream.seek(directory)
    (entries,) = unpack(f"{order}{'Q' if large else 'H'}", stream.read(8 if large else 2))
    for _ in range(min(entries, MANY)):
        _, kind, count = unpack(f"{order}HH{'Q' if large else 'I'}", stream.read(12 if large else 8))
        stream.seek(8 if large else 4, os.SEEK_CUR)
        if kind not in (1, 2, 6, 7) and count > MANY:  # bytes and texts are taken as they are
            return True
    return entries > MANY
