"""Files of a few megabytes that would keep a decoder busy for hours are refused at once; what is merely rich is not."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from nst_core.bombs import too_many_samples
from nst_core.images import PictureError, open_picture, read_note

SIZE = (64, 48)


def encoded(format: str, **options: object) -> bytes:
    file = BytesIO()
    Image.radial_gradient("L").resize(SIZE).convert("P" if format == "GIF" else "RGB").save(file, format, **options)
    return file.getvalue()


def png(kind: bytes, data: bytes, count: int) -> bytes:
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    whole = encoded("PNG")
    return whole[:33] + count * chunk + whole[33:]


def jpeg(segment: bytes, count: int) -> bytes:
    whole = encoded("JPEG")
    return whole[:2] + count * segment + whole[2:]


def scans(count: int) -> bytes:
    """A progressive JPEG, grey, all scans but the first of which say that nothing changes."""

    def scan(first: int, last: int) -> bytes:
        return b"\xff\xda" + struct.pack(">HB5B", 8, 1, 1, 0, first, last, 0)

    frame = b"\xff\xc2" + struct.pack(">HBHHB3B", 11, 8, SIZE[1], SIZE[0], 1, 1, 0x11, 0)
    # One code each: a difference of 0, and "the rest of 16,384 blocks is 0".
    codes = (
        b"\xff\xc4" + struct.pack(">HB16BB", 20, table, 1, *[0] * 15, code) for table, code in ((0, 0), (16, 0xE0))
    )
    first = b"\xff\xdb" + struct.pack(">HB", 67, 0) + 64 * b"\1" + frame + b"".join(codes) + scan(0, 0) + b"\0"
    return b"\xff\xd8" + first + (count - 1) * scan(1, 63) + b"\xff\xd9"


def gif(extension: bytes) -> bytes:
    whole = encoded("GIF")
    head = 13 + (3 << (whole[10] % 8 + 1) if whole[10] & 0x80 else 0)
    return whole[:head] + extension + whole[head:]


def tiff(rows: int, order: str = "<", large: bool = False, more: int = 0) -> bytes:
    """One column, a strip for each row, all of which are the same byte; of a BigTIFF, ``more`` tags say nothing."""
    number, head, count = ("Q", 16, "Q") if large else ("I", 8, "H")
    tags = [(256, 1), (257, rows), (258, 8), (259, 1), (262, 1), (273, None), (277, 1), (278, 1), (279, None)]
    start = head + struct.calcsize(order + count) + (len(tags) + more) * (20 if large else 12) + (8 if large else 4)
    one = struct.pack(order + "I", 1)
    entries = b""
    for tag, value in tags:
        many = rows if value is None else 1
        where = start if value is None else value
        entries += struct.pack(f"{order}HH{number}", tag, 4, many)
        entries += struct.pack(order + number, where) if many > 1 or large else struct.pack(order + "I", where)
    magic = b"II" if order == "<" else b"MM"
    begin = struct.pack(order + "HHHQ", 43, 8, 0, head) if large else struct.pack(order + "HI", 42, head)
    entries += more * struct.pack(order + "HHQQ", 65_000, 4, 1, 1)
    directory = struct.pack(order + count, len(tags) + more) + entries + struct.pack(order + number, 0)
    return magic + begin + directory + rows * one


def gif_without_colours(extension: bytes) -> bytes:
    whole = gif(extension)
    return whole[:10] + bytes([whole[10] & 0x7F]) + whole[11:13] + whole[13 + (3 << (whole[10] % 8 + 1)) :]


def gif_of_semicolons(extension: bytes) -> bytes:
    """A semicolon ends a GIF where a block may begin; here all colours are of them."""
    whole, size = gif(extension), 3 << (encoded("GIF")[10] % 8 + 1)
    return whole[:13] + size * b";" + whole[13 + size :]


BUILT = {
    "chunks": (lambda n: png(b"abCd", b"", n), 50_000, 140_000),
    "texts": (lambda n: png(b"tEXt", b"a\0b", n), 1_000, 140_000),
    "pieces of the picture": (lambda n: png(b"IDAT", b"", n), 1_000, 140_000),
    "comments": (lambda n: jpeg(b"\xff\xfe\0\3a", n), 500, 3_000),
    "filling": (lambda n: jpeg(b"\xff", n), 500, 3_000),
    "junk": (lambda n: jpeg(b"\xff\xfe\0\2" + n * b"\0", 1), 500, 3_000),
    "scans": (scans, 100, 300),
    "pieces of a comment": (lambda n: gif(b"!\xfe" + n * b"\1a" + b"\0"), 3_000, 5_000),
    "GIF's comments": (lambda n: gif(n * b"!\xfe\1a\0"), 1_000, 5_000),
    "GIF's junk": (lambda n: gif(n * b"\0"), 1_000, 5_000),
    "comments without colours": (lambda n: gif_without_colours(n * b"!\xfe\1;\0"), 1_000, 5_000),
    "comments after colours": (lambda n: gif_of_semicolons(n * b"!\xfe\1;\0"), 1_000, 5_000),
    "strips": (tiff, 100_000, 140_000),
    "strips, the other way round": (lambda n: tiff(n, ">"), 1_000, 140_000),
    "strips of BigTIFF": (lambda n: tiff(n, large=True), 1_000, 140_000),
    "tags of BigTIFF": (lambda n: tiff(1, large=True, more=n), 1_000, 140_000),
}


@pytest.mark.parametrize("what", BUILT)
def test_what_is_built_of_too_many_parts_is_refused(what: str) -> None:
    made, few, many = BUILT[what]
    picture = open_picture(made(few))
    assert min(picture.size) >= 1
    for read in (open_picture, read_note):
        with pytest.raises(
            PictureError, match="built of more parts than a picture needs: save it again as PNG or JPEG"
        ):
            read(made(many))


@pytest.mark.parametrize("size", [(1, 2**24 + 1), (2**24 + 1, 1)])
def test_a_picture_of_millions_of_rows_is_refused(size: tuple[int, int]) -> None:
    """One of 134 million took 6 GB, three times what a square takes."""
    file = BytesIO()
    Image.new("1", size).save(file, "PNG")
    with pytest.raises(PictureError, match="pixels: at most 16,777,216 per side are allowed"):
        open_picture(file)


CUT = {
    "PNG": encoded("PNG")[:37],
    "JPEG": encoded("JPEG")[:3],
    "GIF": gif(b"!\xfe\x05")[: gif(b"!\xfe\x05").index(b"!\xfe") + 2],
    "TIFF": tiff(1)[:9],
    "BigTIFF": b"II+\0\x08\0\0\0" + bytes(8 * [255]),
    "BigTIFF on a disk": b"II+\0\x08\0\0\0" + bytes([*7 * [255], 127]),
}


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
@pytest.mark.parametrize("what", CUT)
def test_what_was_cut_short_is_for_the_decoder_to_say(what: str, tmp_path: Path) -> None:
    (tmp_path / "cut.img").write_bytes(CUT[what])
    for source in (CUT[what], tmp_path / "cut.img"):
        with pytest.raises(PictureError, match="damaged"):
            open_picture(source)


def test_what_comes_after_the_end_is_no_part() -> None:
    assert open_picture(encoded("PNG") + bytes(2_000_000)).size == SIZE
    # As in a phone's picture that is a film, too.
    assert open_picture(encoded("JPEG", progressive=True) + 300 * b"\xff\xda").size == SIZE


@pytest.mark.parametrize(
    "between", [b"\xff\xfe\0\4\xff\xd9", b"\xff\1\xff\xff", b"\xff\xd0\xff\xff", b"\xff\0\xff\xff", b"\xff" * 2**16]
)
def test_no_scan_hides_behind_what_a_decoder_passes_over(between: bytes) -> None:
    """Such as a comment that reads like an end, and bytes that are no segment but might be taken for a long one."""
    head, *others = scans(300).split(b"\xff\xda")
    with pytest.raises(PictureError, match="built of more parts than a picture needs"):
        open_picture(head + b"".join(b"\xff\xda" + scan + between for scan in others))


def test_a_progressive_jpeg_with_a_large_profile_is_none_of_them() -> None:
    profile = bytes(5_000_000)
    picture = open_picture(encoded("JPEG", progressive=True, icc_profile=profile))
    assert picture.size == SIZE
    assert open_picture(encoded("TIFF", icc_profile=profile)).size == SIZE


def profile(steps: int) -> bytes:
    """A colour profile that converts by so many steps, all of which are the same."""
    step = b"matf" + struct.pack(">4xHH12f", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    conversion = b"mpet" + struct.pack(">4xHHI", 3, 3, steps)
    conversion += struct.pack(">II", 16 + 8 * steps, len(step)) * steps + step
    white = b"XYZ " + struct.pack(">4x3i", 0xF6D6, 0x10000, 0xD32D)
    tags = struct.pack(">I4sII4sII", 2, b"D2B0", 156, len(conversion), b"wtpt", 156 + len(conversion), len(white))
    head = struct.pack(">II", 156 + len(conversion) + len(white), 0) + b"\4\x30\0\0mntrRGB XYZ " + bytes(12) + b"acsp"
    return head.ljust(68, b"\0") + white[8:] + bytes(48) + tags + conversion + white


def test_a_colour_profile_of_many_steps_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    assert open_picture(encoded("TIFF", icc_profile=profile(10_000))).size == SIZE
    assert "has a colour profile that cannot be used (it may have any number of steps)" in caplog.text


def box(kind: bytes, *content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, content)), kind) + b"".join(content)


def full(kind: bytes, *numbers: int) -> bytes:
    return box(kind, bytes(4), struct.pack(f">{len(numbers)}I", *numbers))


def movie(
    samples: int,
    *,
    edits: int = 1,
    handlers: tuple[bytes, ...] = (b"vide",),
    runs: tuple[int, ...] = (),
    fragments: tuple[int, ...] = (),
    table: bytes = b"",
    begin: bytes = box(b"mdat", bytes(50)),
    beyond: int = 0,
) -> BytesIO:
    """What an MP4 says of one track, whose own table of samples may have more in it, and be said to be longer."""
    table = box(b"stbl", full(b"stsz", 1, samples), full(b"stts", len(runs) // 2, *runs), table)
    kinds = b"".join(box(b"hdlr", bytes(8), handler, bytes(12)) for handler in handlers)
    track = box(b"trak", box(b"edts", full(b"elst", edits)), box(b"mdia", kinds, box(b"minf", table)))
    more = b"".join(box(b"moof", box(b"traf", full(b"trun", count))) for count in fragments)
    whole = struct.pack(">I4s", 8 + len(track) + beyond, b"moov") + track
    return BytesIO(box(b"ftyp", b"isom") + begin + whole + more)


def long(kind: bytes, content: bytes) -> bytes:
    """A box whose length takes eight bytes, as in films of gigabytes."""
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


def nested(depth: int) -> bytes:
    whole = b""
    for _ in range(depth):
        whole = box(b"moov", whole)
    return whole


MANY = full(b"stsz", 1, 20_000_000)


@pytest.mark.parametrize(
    ("film", "many"),
    [
        (movie(2_000_000), False),
        (movie(20_000_000), True),
        (movie(1, runs=(80_000_000, 1)), True),
        (movie(1, runs=(5, 1, 7, 2)), False),
        (movie(200_000, edits=50), False),
        (movie(20_000, edits=20_000), True),
        (movie(1_000_000, edits=2_000), True),
        (movie(600_000_000, handlers=(b"soun",), runs=(600_000_000, 1)), False),  # three hours of samples at 48 kHz
        (movie(600_000_000, handlers=(b"soun",), runs=(600_000_000, 2)), True),
        (movie(1, fragments=(80_000_000,)), True),
        (movie(1, fragments=(6_000_000, 6_000_000)), True),
        # Each with the handler of its data, as QuickTime writes it.
        (movie(600_000_000, handlers=(b"soun", b"alis"), runs=(600_000_000, 1)), False),
        (movie(20_000_000, handlers=(b"vide", b"soun"), runs=(20_000_000, 1)), True),
        (movie(20_000_000, table=full(b"stsz", 1, 1)), True),
        (movie(1, table=full(b"stz2", 8, 20_000_000)), True),
        (movie(1, runs=(2**31, 2, 2**31, 2)), True),  # more than 32 bits hold
        (movie(1, table=full(b"stts", 1_000, 5, 1, 7)), False),  # less than it says
        (movie(1, table=full(b"stts", 1_000, 20_000_000, 1, 7)), True),
        (movie(20_000_000, begin=long(b"mdat", bytes(50))), True),
        (movie(20_000_000, beyond=1_000), True),  # it was cut short
        (BytesIO(box(b"ftyp") + struct.pack(">I4s", 0, b"moov") + box(b"trak", MANY)), True),  # 0: to the end
        (BytesIO(200_000 * b"\0\0\0\4free"), False),
        (BytesIO(nested(5_000)), False),
        (BytesIO(box(b"moov", box(b"cmov", bytes(100)))), True),
        (BytesIO(200_000 * box(b"free")), True),
        (BytesIO(b""), False),
        (BytesIO(b"\x1aE\xdf\xa3" + bytes(100)), False),
        (BytesIO(box(b"moov", box(b"trak", b"\0\0\0\x20hdlr"))), False),
        (BytesIO(box(b"moov", box(b"trak", b"\0\0\0\x20stsz"))), False),
    ],
)
def test_what_says_that_it_holds_more_than_a_film_does(film: BytesIO, many: bool) -> None:
    assert too_many_samples(film) == many
