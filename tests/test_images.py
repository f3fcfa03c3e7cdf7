"""Pictures in and out: real files of every format, what is made of them, and what is refused how."""

import contextlib
import errno
import io
import logging
import math
import mmap
import os
import struct
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
import torch
from full_disk import no_room
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, ImageCms, PngImagePlugin

from nst_core.errors import NSTError
from nst_core.images import (
    LONGEST_NOTE,
    NOTE,
    PictureError,
    bare_webp,
    check_suffix,
    fit,
    is_photograph,
    mask_greys,
    open_picture,
    read_file,
    read_note,
    save_picture,
    to_picture,
    to_tensor,
)

Pixels = NDArray[Any]
pillow_heif.register_heif_opener()  # it writes what the package only reads


@pytest.fixture
def rgb() -> Image.Image:
    """6 × 4 pixels, all different."""
    return Image.fromarray(np.random.default_rng(0).permutation(72).astype(np.uint8).reshape(4, 6, 3) * 3)


@pytest.fixture
def rgba(rgb: Image.Image) -> Image.Image:
    picture = rgb.copy()
    picture.putalpha(Image.fromarray(np.linspace(0, 255, 24).astype(np.uint8).reshape(4, 6)))
    return picture


@pytest.fixture
def smooth() -> Image.Image:
    """64 × 48 pixels that lossy formats keep well."""
    y, x = np.mgrid[:48, :64]
    return Image.fromarray(np.stack([x * 4, y * 5, 255 - 2 * x - y], axis=-1).astype(np.uint8))


def encoded(picture: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture).astype(int)


def refusal(source: Any, **options: Any) -> str:
    """The sentence with which a picture is refused."""
    with pytest.raises(PictureError) as caught:
        open_picture(source, **options)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and ". " not in message, message
    return message


# Files by hand, where Pillow writes none


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], depth: int, colour_type: int, rows: list[bytes], *extra: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", header), *extra, chunk(b"IDAT", data), chunk(b"IEND", b"")])


def tiff(tags: dict[int, tuple[str, list[int]]], *parts: bytes) -> bytes:
    """Of strips, or tiles; ``tags`` are of struct's types B, H and I, beside those of the layout."""
    place, length = (324, 325) if 322 in tags else (273, 279)
    lengths = [len(part) for part in parts]
    tags = {259: ("H", [1]), place: ("I", lengths), length: ("I", lengths), **tags}
    behind = 8 + 2 + 12 * len(tags) + 4
    data = behind + sum(4 * len(values) for _, values in tags.values())
    tags[place] = ("I", [data + sum(lengths[:number]) for number in range(len(parts))])
    entries, values_behind = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(f"<{len(values)}{kind}", *values)
        if len(packed) > 4:
            packed, values_behind = struct.pack("<I", behind + len(values_behind)), values_behind + packed
        entries += struct.pack("<HHI", tag, {"B": 7, "H": 3, "I": 4}[kind], len(values)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return b"".join([head + values_behind.ljust(data - behind, b"\0"), *parts])


def grey_tiff(samples: Pixels, bits: int, *, data: bytes | None = None, photometric: int = 1, kind: int = 1) -> bytes:
    height, width = samples.shape
    tags = {256: width, 257: height, 258: bits, 262: photometric, 277: 1, 278: height, 339: kind}
    return tiff({tag: ("H", [value]) for tag, value in tags.items()}, samples.tobytes() if data is None else data)


def profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile, version 2.4."""
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += struct.pack(">4sII", name, 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    white = xyz(0xF6D6, 0x10000, 0xD32D)[8:]
    size = 128 + len(table) + len(body)
    header = struct.pack(">I4sI4s4s4s12s4s", size, bytes(4), 0x02400000, kind, space, connection, bytes(12), b"acsp")
    return (header.ljust(68, b"\0") + white).ljust(128, b"\0") + table + body


def srgb_curve(linear: Pixels) -> Pixels:
    """IEC 61966-2-1: light in 0–1 to samples in 0–255."""
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def swapped_primaries() -> bytes:
    """A profile whose red is sRGB's blue, and whose blue is sRGB's red."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    table = srgb.replace(b"rXYZ", b"????", 1).replace(b"bXYZ", b"rXYZ", 1).replace(b"????", b"bXYZ", 1)
    assert table != srgb
    return table


def xyz(x: int, y: int, z: int) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">iii", x, y, z)


GAMMA = b"curv" + struct.pack(">4xIH", 1, 0x180)
"""1.5: with such a profile, samples look brighter than in sRGB."""


def bright_grey() -> bytes:
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": xyz(0xF6D6, 0x10000, 0xD32D), b"kTRC": GAMMA})


def bright_rgb() -> bytes:
    """sRGB's primaries, as it has them for D50."""
    red, green, blue = xyz(0x6FA2, 0x38F5, 0x0390), xyz(0x6299, 0xB785, 0x18DA), xyz(0x24A0, 0x0F84, 0xB6CF)
    tags = {b"wtpt": xyz(0xF6D6, 0x10000, 0xD32D), b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue}
    return profile(b"mntr", b"RGB ", b"XYZ ", {**tags, b"rTRC": GAMMA, b"gTRC": GAMMA, b"bTRC": GAMMA})


def cyan_is_darkness() -> bytes:
    """A CMYK profile of L* = 100 − cyan in per cent, whatever the other inks: unlike any mixing of inks."""
    identity = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x10000)
    ramp = bytes(range(256))
    grid = b"".join(bytes([0 if corner & 8 else 255, 128, 128]) for corner in range(16))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + identity + ramp * 4 + grid + ramp * 3
    return profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": xyz(0xF6D6, 0x10000, 0xD32D), b"A2B0": table})


# Sources


def test_every_kind_of_source_is_read(rgb: Image.Image, tmp_path: Path) -> None:
    data = encoded(rgb, "PNG")
    path = tmp_path / "a picture.png"
    path.write_bytes(data)
    read, write = os.pipe()
    os.write(write, data)
    os.close(write)
    stream = io.BytesIO(data)
    stream.seek(20)
    with (
        path.open("rb") as file,
        open(read, "rb") as pipe,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
    ):
        contents: tuple[Any, ...] = data, bytearray(data), memoryview(data), stream, file, pipe, mapped
        for source in (path, str(path), *contents, Image.open(path), rgb, data, stream, file, mapped):  # some again
            assert np.array_equal(pixels(open_picture(source)), pixels(rgb))
    assert not stream.closed


def test_what_holds_no_picture_is_told_what_would(rgb: Image.Image, tmp_path: Path) -> None:
    for wrong in (["PNG"], None):
        with pytest.raises(
            PictureError, match=rf"^A picture cannot be read from {type(wrong).__name__}: give a path, "
        ):
            open_picture(wrong)  # type: ignore[arg-type]
    (tmp_path / "picture.png").write_bytes(encoded(rgb, "PNG"))
    with (
        (tmp_path / "picture.png").open() as file,
        pytest.raises(PictureError, match=r"'picture\.png' was opened as text"),
    ):
        open_picture(file)  # type: ignore[arg-type]
    with (
        (tmp_path / "new.png").open("wb") as file,
        pytest.raises(PictureError, match=r"'new\.png' was opened for writ"),
    ):
        open_picture(file)


class Unplugged(io.RawIOBase):
    """A file that can no longer be read."""

    def read(self, size: int = -1, /) -> bytes:
        raise OSError(errno.EIO, "Input/output error")


def test_a_source_that_fails_is_refused_with_its_reason() -> None:
    with pytest.raises(PictureError, match=r"^The picture cannot be read: Input/output error\.$"):
        open_picture(Unplugged())  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_an_array_of_bytes_is_a_picture(rgba: Image.Image, mode: str) -> None:
    picture = rgba.convert(mode)
    opened = open_picture(np.asarray(picture)[::-1])
    assert np.array_equal(pixels(opened), pixels(picture.convert("RGB" if mode == "L" else mode))[::-1])


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
@pytest.mark.parametrize("of", [np.asarray, torch.from_numpy])
def test_an_array_of_another_type_is_refused(of: Callable[[np.ndarray], Any], dtype: str) -> None:
    with pytest.raises(PictureError, match=rf"^A picture is .* array of uint8 .*, not \w+ of {dtype}, \(5, 6, 3\): "):
        open_picture(of(np.zeros((5, 6, 3), dtype)))


@pytest.mark.parametrize(("before", "after"), [("P", "1"), ("P", "L"), ("RGB", "I"), ("RGB", "L")])
def test_a_picture_may_have_kept_another_mode_s_transparency(rgb: Image.Image, before: str, after: str) -> None:
    file = io.BytesIO()
    rgb.convert(before).save(file, "PNG", transparency=bytes([0, 128, 255]) if before == "P" else (1, 2, 3))
    kept = Image.open(file).convert(after)
    if after == "I":
        kept = kept.point(lambda level: level * 257)
    expected = kept.convert(after)
    expected.info = {}
    kept.info["transparency"] = Image.open(file).info["transparency"]
    assert np.array_equal(pixels(open_picture(kept)), pixels(open_picture(expected)))
    assert "transparency" in kept.info


def test_a_picture_is_written_to_a_path(rgb: Image.Image) -> None:
    with pytest.raises(PictureError, match=r"^A picture is written to a path such as .*, not to BytesIO\.$"):
        save_picture(rgb, io.BytesIO())  # type: ignore[arg-type]


def test_an_array_that_nobody_can_make_a_picture_of_is_told_what_one_is() -> None:
    for shape in [(3,), (5, 6, 2), (3, 5, 6), (1, 5, 6, 3)]:
        with pytest.raises(PictureError, match=rf"^A picture is .* \(H, W, 4\), not ndarray .*{shape[-1]},?\): "):
            open_picture(np.zeros(shape, np.uint8))
    with pytest.raises(PictureError, match="no pixels"):
        open_picture(np.zeros((0, 6, 3), np.uint8))


def test_a_pillow_image_is_left_as_it_was(rgba: Image.Image) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    given = Image.open(io.BytesIO(encoded(rgba, "PNG", exif=exif, dpi=(72, 72))))
    given.load()
    info, before = dict(given.info), given.tobytes()
    opened = open_picture(given)
    assert opened.size == (4, 6) and given.size == (6, 4)
    opened.paste("red", (0, 0, 4, 6))
    assert (given.info, given.tobytes()) == (info, before)

    clean = open_picture(rgba)
    clean.paste("red", (0, 0, 6, 4))
    assert pixels(clean).tolist() != pixels(rgba).tolist()


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "WEBP", "JPEG", "MPO", "AVIF", "HEIF", "GIF"])
def test_every_format_is_read(smooth: Image.Image, format: str) -> None:
    options: dict[str, Any] = {}
    if format not in ("PNG", "TIFF", "BMP", "GIF"):
        options = {"lossless": True} if format == "WEBP" else {"quality": 95}
    data = encoded(smooth, format, **options)
    picture = open_picture(data)
    assert (picture.mode, picture.size, type(picture)) == ("RGB", smooth.size, Image.Image)
    error = np.abs(pixels(picture) - pixels(smooth))
    limit = {"JPEG": 4, "MPO": 4, "AVIF": 4, "HEIF": 4, "GIF": 40}.get(format, 0)
    assert error.mean() <= limit / 2 and error.max() <= 4 * limit


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF", "HEIF", "TIFF", "MPO"])
def test_the_first_frame_is_taken(format: str) -> None:
    red, blue = Image.new("RGB", (16, 16), "red"), Image.new("RGB", (16, 16), "blue")
    data = encoded(red, format, save_all=True, append_images=[blue])
    with Image.open(io.BytesIO(data)) as frames:
        assert getattr(frames, "n_frames", 1) == 2
    assert np.abs(pixels(open_picture(data)) - [255, 0, 0]).max() <= 8


def test_heic_s_general_name_is_avif_s_as_well(smooth: Image.Image) -> None:
    for format in ("HEIF", "AVIF"):
        data = encoded(smooth, format, quality=95)
        assert np.array_equal(pixels(open_picture(data[:8] + b"mif1" + data[12:])), pixels(open_picture(data)))


def test_heic_of_ten_bits() -> None:
    samples = np.random.default_rng(0).integers(2**16, size=(8, 8, 3), dtype=np.uint16).repeat(8, 0).repeat(8, 1)
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (64, 64), samples.tobytes()).save(file, quality=-1, chroma=444)
    assert np.abs(pixels(open_picture(file)) - samples // 256).max() <= 3


# Modes


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "YCbCr", "HSV", "CMYK"])
def test_modes_without_alpha_become_rgb(rgb: Image.Image, mode: str) -> None:
    picture = rgb.convert(mode)
    opened = open_picture(picture)
    assert (opened.mode, opened.info) == ("RGB", {})
    assert np.array_equal(pixels(opened), pixels(picture.convert("RGB")))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP", "AVIF"])
def test_alpha_is_kept_by_every_format_that_has_it(rgba: Image.Image, format: str) -> None:
    options: dict[str, dict[str, Any]]
    options = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
    opened = open_picture(encoded(rgba, format, **options.get(format, {})))
    assert opened.mode == "RGBA"
    assert np.array_equal(pixels(opened)[..., 3], pixels(rgba)[..., 3])
    assert np.abs(pixels(opened) - pixels(rgba)).max() <= (4 if format == "AVIF" else 0)


def test_grey_with_alpha() -> None:
    samples = np.array([[[10, 0], [20, 128], [30, 255]]], dtype=np.uint8)
    expected = [[[10, 10, 10, 0], [20, 20, 20, 128], [30, 30, 30, 255]]]
    grey = Image.fromarray(samples, "LA")
    assert pixels(open_picture(encoded(grey, "PNG"))).tolist() == expected
    assert pixels(open_picture(grey)).tolist() == expected
    # 16 bits a sample
    rows = [(samples.astype(">u2") * 257).tobytes()]
    assert pixels(open_picture(png((3, 1), 16, 4, rows))).tolist() == expected


def test_premultiplied_alpha_is_divided_out() -> None:
    opened = open_picture(Image.fromarray(np.array([[[50, 20, 0, 51], [9, 9, 9, 255]]], dtype=np.uint8), "RGBa"))
    assert pixels(opened).tolist() == [[[250, 100, 0, 51], [9, 9, 9, 255]]]
    opened = open_picture(Image.merge("LA", [Image.new("L", (1, 1), 50), Image.new("L", (1, 1), 51)]).convert("La"))
    assert np.abs(pixels(opened) - [50, 50, 50, 51]).max() <= 3


def test_alpha_that_lets_nothing_through_is_none(rgba: Image.Image, tmp_path: Path) -> None:
    screenshot = rgba.convert("RGB").convert("RGBA")
    opened = open_picture(encoded(screenshot, "PNG"))
    assert opened.mode == "RGB" and np.array_equal(pixels(opened), pixels(screenshot)[..., :3])
    save_picture(opened, tmp_path / "out.jpg")


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_palette_with_one_transparent_entry(format: str) -> None:
    picture = Image.new("P", (3, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.putdata([0, 1, 2])
    opened = open_picture(encoded(picture, format, transparency=1))
    assert opened.mode == "RGBA"
    assert pixels(opened)[0, :, 3].tolist() == [255, 0, 255]
    assert pixels(opened)[0, ::2, :3].tolist() == [[255, 0, 0], [0, 0, 255]]


def test_palette_with_alpha_for_each_entry() -> None:
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
    data = png((3, 1), 8, 3, [bytes([0, 1, 2])], palette, chunk(b"tRNS", bytes([0, 100])))
    expected = [[[255, 0, 0, 0], [0, 255, 0, 100], [0, 0, 255, 255]]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pixels(open_picture(data)).tolist() == expected
    with Image.open(io.BytesIO(data)) as picture:
        assert pixels(open_picture(picture.convert("PA"))).tolist() == expected


@pytest.mark.parametrize(
    ("depth", "colour_type", "row", "key", "alpha"),
    [
        (8, 2, bytes([1, 2, 3, 1, 2, 4]), [1, 2, 3], [0, 255]),
        (16, 2, struct.pack(">6H", 1000, 2000, 3000, 1000, 2000, 4000), [1000, 2000, 3000], [0, 255]),
        (1, 0, bytes([0b0110_0000]), [1], [255, 0, 0, 255]),
        (2, 0, bytes([0b00_01_10_11]), [2], [255, 255, 0, 255]),
        (4, 0, bytes([0x0F, 0x70]), [7], [255, 255, 0, 255]),
        (8, 0, bytes([7, 8]), [8], [255, 0]),
        (16, 0, struct.pack(">3H", 300, 301, 65535), [301], [255, 0, 255]),
    ],
)
def test_one_transparent_colour_in_png(
    depth: int, colour_type: int, row: bytes, key: list[int], alpha: list[int]
) -> None:
    transparent = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    opened = open_picture(png((len(alpha), 1), depth, colour_type, [row], transparent))
    assert opened.mode == "RGBA"
    assert pixels(opened)[0, :, 3].tolist() == alpha


# More than 8 bits


def test_16_bit_grey_is_scaled() -> None:
    samples = np.array([[0, 128, 129, 257, 1000, 32768, 65278, 65535]], dtype=np.uint16)
    expected = np.rint(samples / 257).astype(int)
    assert expected[0, -3] == 128  # saturated it would be 255
    files = [
        png((8, 1), 16, 0, [samples.astype(">u2").tobytes()]),
        grey_tiff(samples, 16),
        encoded(Image.fromarray(samples), "TIFF", compression="tiff_lzw"),
    ]
    sources: list[bytes | Image.Image] = [*files, Image.fromarray(samples), Image.fromarray(samples.astype(">u2"))]
    for source in sources:
        opened = open_picture(source)
        assert opened.mode == "RGB"
        assert pixels(opened).tolist() == np.stack([expected] * 3, axis=-1).tolist()
    inverted = open_picture(grey_tiff(samples, 16, photometric=0))
    assert np.abs(pixels(inverted)[..., 0] - (255 - samples / 257)).max() <= 0.5


def test_12_bit_grey_is_scaled() -> None:
    opened = open_picture(grey_tiff(np.zeros((1, 2)), 12, data=bytes([0xFF, 0xF8, 0x00])))  # 4095, 2048
    assert pixels(opened)[0, :, 0].tolist() == [255, 128]


def test_16_bit_rgb_is_scaled() -> None:
    samples = np.array([[[0, 257, 1000], [32768, 65278, 65535]]], dtype=np.uint16)
    tags = {256: [2], 257: [1], 258: [16] * 3, 262: [2], 277: [3], 278: [1]}
    files = [
        png((2, 1), 16, 2, [samples.astype(">u2").tobytes()]),
        tiff({tag: ("H", values) for tag, values in tags.items()}, samples.tobytes()),
    ]
    for data in files:
        assert np.abs(pixels(open_picture(data)) - samples / 257).max() < 1


def test_16_bit_planes_are_read_or_refused() -> None:
    samples = np.array([[[0, 257, 1000], [32768, 65278, 65535]]], dtype=np.uint16)
    tags = {256: [2], 257: [1], 258: [16] * 3, 262: [2], 277: [3], 278: [1], 284: [2]}
    layout = {tag: ("H", values) for tag, values in tags.items()}
    planes = [samples[..., channel].tobytes() for channel in range(3)]
    # Pillow decodes those that are not compressed as noise.
    assert "save it again as PNG or interleaved TIFF" in refusal(tiff(layout, *planes))
    compressed = tiff({**layout, 259: ("H", [8])}, *map(zlib.compress, planes))
    assert np.abs(pixels(open_picture(compressed)) - samples / 257).max() < 1
    shallow = tiff({**layout, 258: ("H", [8] * 3)}, *(plane[1::2] for plane in planes))
    assert np.array_equal(pixels(open_picture(shallow)), samples >> 8)


@pytest.mark.parametrize("compression", ["jpeg", "group3", "group4", "tiff_ccitt"])
def test_what_a_tiff_lacks_is_not_taken_from_memory(compression: str) -> None:
    """Of a large strip that holds a small JPEG, the decoder would leave the rest as it was."""
    small = encoded(Image.new("L", (16, 16)), "JPEG")
    tags = {256: 800, 257: 600, 258: 8, 259: 7, 262: 1, 277: 1, 278: 600}
    made_up = tiff({tag: ("H", [value]) for tag, value in tags.items()}, small)
    picture = Image.new("L" if compression == "jpeg" else "1", (40, 30))
    for data in (made_up, encoded(picture, "TIFF", compression=compression)):
        assert "is a TIFF that is compressed as JPEG, as a fax or in a rare way: " in refusal(data)


@pytest.mark.parametrize("kind", [0, 1, 3])
def test_a_preview_is_not_taken_for_the_picture(kind: int) -> None:
    tags = {254: [kind], 256: [2], 257: [1], 258: [8] * 3, 262: [2], 277: [3], 278: [1]}
    data = tiff({tag: ("H" if tag > 254 else "I", values) for tag, values in tags.items()}, bytes(6))
    if kind & 1:
        assert "begins with a preview, as raw files do: " in refusal(data)
    else:
        assert open_picture(data).size == (2, 1)


def test_floats_in_0_to_1_and_integers_of_16_bits_are_scaled() -> None:
    floats = np.array([[0, 0.25, 0.5, 1]], dtype=np.float32)
    for source in (grey_tiff(floats, 32, kind=3), encoded(Image.fromarray(floats), "TIFF"), Image.fromarray(floats)):
        assert pixels(open_picture(source))[0, :, 0].tolist() == [0, 64, 128, 255]
    integers = np.array([[0, 16384, 65535]], dtype=np.int32)
    for source in (encoded(Image.fromarray(integers), "TIFF"), Image.fromarray(integers)):
        assert pixels(open_picture(source))[0, :, 0].tolist() == [0, 64, 255]


@pytest.mark.parametrize("sample", [-0.5, 1.5, math.nan, math.inf])
def test_floats_of_no_known_white_are_refused(sample: float) -> None:
    samples = np.array([[0.5, sample]], dtype=np.float32)
    assert "8 or 16 bits" in refusal(encoded(Image.fromarray(samples), "TIFF"))


@pytest.mark.parametrize("sample", [-1, 65536])
def test_integers_of_no_known_white_are_refused(sample: int) -> None:
    assert "8 or 16 bits" in refusal(encoded(Image.fromarray(np.array([[0, sample]], dtype=np.int32)), "TIFF"))


@pytest.mark.parametrize("mode", ["I", "I;16"])
def test_integers_that_are_meant_for_8_bits_are_not_made_black(mode: str) -> None:
    grey = Image.linear_gradient("L")
    with pytest.raises(PictureError, match=r"no sample above 255: use picture\.convert\('L'\) if"):
        open_picture(grey.convert(mode))
    assert pixels(open_picture(encoded(grey.convert(mode), "TIFF"))).max() == 1  # a file says how bright it is
    assert pixels(open_picture(Image.new(mode, (2, 2)))).max() == 0


def test_what_was_closed_is_not_called_damaged(rgb: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    rgb.save(path)
    with Image.open(path) as unread, path.open("rb") as file:
        elsewhere = Image.open(file)
    made, loaded = rgb.copy(), Image.open(path)
    made.close()
    loaded.load()
    loaded.close()
    for closed in (unread, elsewhere, made, loaded, file):
        with pytest.raises(PictureError, match=r"^The picture( 'picture\.png')? was closed: give an open (one|file)"):
            open_picture(closed)
    with Image.open(path) as read:
        read.load()
    assert np.array_equal(pixels(open_picture(read)), pixels(rgb))


# Colour


def test_an_srgb_profile_changes_nothing(rgb: Image.Image) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert np.array_equal(pixels(open_picture(encoded(rgb, "PNG", icc_profile=srgb))), pixels(rgb))


@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_a_profile_is_converted_to_srgb(rgb: Image.Image, rgba: Image.Image, format: str) -> None:
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    opened = open_picture(encoded(rgb, format, icc_profile=swapped_primaries(), **options))
    assert np.abs(pixels(opened) - pixels(rgb)[..., ::-1]).max() <= 1
    opened = open_picture(encoded(rgba, format, icc_profile=swapped_primaries(), **options))
    assert np.array_equal(pixels(opened)[..., 3], pixels(rgba)[..., 3])
    assert np.abs(pixels(opened)[..., :3] - pixels(rgba)[..., 2::-1]).max() <= 1


@pytest.mark.parametrize("format", ["JPEG", "AVIF", "HEIF"])
def test_a_profile_of_a_lossy_format_is_converted_to_srgb(smooth: Image.Image, format: str) -> None:
    opened = open_picture(encoded(smooth, format, quality=95, icc_profile=swapped_primaries()))
    assert np.abs(pixels(opened) - pixels(smooth)[..., ::-1]).mean() < 3


def test_a_palette_with_a_profile(rgb: Image.Image) -> None:
    picture = rgb.quantize(24)
    opened = open_picture(encoded(picture, "PNG", icc_profile=swapped_primaries()))
    assert np.abs(pixels(opened) - pixels(picture.convert("RGB"))[..., ::-1]).max() <= 1


def test_grey_with_a_profile() -> None:
    samples = np.arange(0, 256, 5, dtype=np.uint8)[None]
    grey = Image.fromarray(samples)
    alpha = Image.fromarray(255 - samples)
    expected = srgb_curve((samples / 255) ** 1.5)
    for picture in (grey, Image.merge("LA", [grey, alpha]), Image.fromarray(samples.astype(np.uint16) * 257)):
        opened = open_picture(encoded(picture, "PNG", icc_profile=bright_grey()))
        for band in range(3):
            assert np.abs(pixels(opened)[..., band] - expected).max() <= 2
        if picture.mode == "LA":
            assert np.array_equal(pixels(opened)[..., 3], pixels(alpha))


def test_grey_with_a_profile_of_rgb() -> None:
    samples = np.arange(0, 256, 5, dtype=np.uint8)[None]
    opened = open_picture(encoded(Image.fromarray(samples), "PNG", icc_profile=bright_rgb()))
    assert np.abs(pixels(opened) - srgb_curve((samples / 255) ** 1.5)[..., None]).max() <= 2


def test_cmyk_without_a_profile() -> None:
    inks = np.zeros((16, 16, 4), dtype=np.uint8)
    inks[:8, :, 0] = 255  # cyan above, bare paper below
    for format in ("TIFF", "JPEG"):  # as Adobe does, JPEG holds the inks inverted
        opened = pixels(open_picture(encoded(Image.fromarray(inks, "CMYK"), format)))
        assert np.abs(opened[:8] - [0, 255, 255]).max() <= 8 and np.abs(opened[8:] - 255).max() <= 8


def test_cmyk_with_a_profile() -> None:
    cyan = np.array([0, 51, 102, 153, 204, 255])
    inks = np.zeros((1, 6, 4), dtype=np.uint8)
    inks[..., 0], inks[..., 1] = cyan, 200
    lightness = 100 * (1 - cyan / 255)
    light = np.where(lightness > 8, ((lightness + 16) / 116) ** 3, lightness / 903.3)
    opened = open_picture(encoded(Image.fromarray(inks, "CMYK"), "TIFF", icc_profile=cyan_is_darkness()))
    assert np.abs(pixels(opened)[0] - srgb_curve(light)[:, None]).max() <= 2


def test_lab() -> None:
    # Of L* = 50, b* = 0 and a* = 40 or 0: by CIE 15 and sRGB's matrix for D50.
    lab = np.array([[[128, 0, 0], [128, 40, 0], [255, 0, 0]]], dtype=np.uint8)
    tags = {256: [3], 257: [1], 258: [8] * 3, 262: [8], 277: [3], 278: [1]}
    layout = {tag: ("H", values) for tag, values in tags.items()}
    opened = open_picture(tiff(layout, lab.tobytes()))
    y = (128 / 255 * 100 + 16) / 116
    xyz = np.array([[y, y, y], [y + 40 / 500, y, y], [1, 1, 1]]) ** 3 * [0.9642, 1, 0.8249]
    to_linear = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    expected = srgb_curve((xyz @ np.array(to_linear).T).clip(0, 1))
    assert np.abs(pixels(opened)[0] - expected).max() <= 2
    # A profile of RGB does not apply to it.
    layout[34675] = ("B", list(swapped_primaries()))
    assert np.array_equal(pixels(open_picture(tiff(layout, lab.tobytes()))), pixels(opened))


@pytest.mark.parametrize(
    "icc",
    [
        b"not a profile",
        swapped_primaries().replace(b"RGB ", b"\xffGB ", 1),
        swapped_primaries()[:400],
        bright_grey(),
        cyan_is_darkness(),
    ],
    ids=["text", "unknown", "cut short", "of grey", "of CMYK"],
)
def test_a_profile_that_cannot_be_used_is_left_out(
    rgb: Image.Image, icc: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        opened = open_picture(encoded(rgb, "PNG", icc_profile=icc))
    assert np.array_equal(pixels(opened), pixels(rgb))
    assert [record.levelname for record in caplog.records if record.name == "nst_core.images"] == ["WARNING"]


# Orientation and metadata

# What EXIF says about where the first row and column are, as what a viewer does to show the picture upright.
UPRIGHT: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("PNG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("WEBP", {"lossless": True, "exact": True}),
    ],
)
def test_exif_orientation_is_applied(rgba: Image.Image, format: str, options: dict[str, Any], orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = encoded(rgba, format, exif=exif, **options)
    expected = UPRIGHT[orientation](pixels(rgba))
    for source in (data, Image.open(io.BytesIO(data))):
        assert np.array_equal(pixels(open_picture(source)), expected)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("format", ["JPEG", "MPO", "AVIF"])
def test_exif_orientation_of_lossy_formats_is_applied(smooth: Image.Image, format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    opened = open_picture(encoded(smooth, format, quality=95, exif=exif))
    expected = UPRIGHT[orientation](pixels(smooth))
    assert pixels(opened).shape == expected.shape
    assert np.abs(pixels(opened) - expected).mean() < 3


def test_a_jpeg_comes_reduced_to_whom_that_is_enough(smooth: Image.Image) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    whole = smooth.resize((800, 600), Image.Resampling.BICUBIC)
    data = encoded(whole, "JPEG", quality=95, exif=exif)
    for at_least, size in ((None, (600, 800)), (301, (600, 800)), (300, (300, 400)), (80, (150, 200)), (75, (75, 100))):
        opened = open_picture(data, at_least=at_least)
        assert opened.size == size
        expected = fit(whole.transpose(Image.Transpose.ROTATE_270), max(opened.size))
        assert np.abs(pixels(opened) - pixels(expected)).mean() < 2
    assert open_picture(encoded(whole, "PNG"), at_least=75).size == whole.size
    callers = Image.open(io.BytesIO(data))
    assert open_picture(callers, at_least=75).size == (600, 800)
    with pytest.raises(PictureError, match="800 × 600 pixels: at most 479,999"):
        open_picture(data, max_pixels=479_999, at_least=75)
    with pytest.raises(PictureError, match="is damaged or incomplete"):
        open_picture(data[: len(data) // 2], at_least=75)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_heic_is_turned_once(smooth: Image.Image, orientation: int) -> None:
    """The file says twice how to turn it, in a property of its own and in EXIF data."""
    file, exif = pillow_heif.from_pillow(smooth), Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    file[0].info["exif"], content = exif.tobytes(), io.BytesIO()
    file.save(content, quality=95)
    expected = UPRIGHT[orientation](pixels(smooth))
    assert pixels(open_picture(content)).shape == expected.shape
    assert np.abs(pixels(open_picture(content)) - expected).mean() < 3


def test_an_orientation_that_does_not_exist_is_none(rgb: Image.Image) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 9
    assert np.array_equal(pixels(open_picture(encoded(rgb, "PNG", exif=exif))), pixels(rgb))


def test_exif_of_megabytes_is_not_looked_through(rgb: Image.Image, caplog: pytest.LogCaptureFixture) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    turned = open_picture(encoded(rgb, "PNG", exif=exif.tobytes()))
    assert turned.size == rgb.size[::-1] and not caplog.records
    upright = open_picture(encoded(rgb, "PNG", exif=exif.tobytes() + bytes(2_000_000)))
    assert upright.size == rgb.size and "too large" in caplog.text


def test_broken_exif_is_left_out(rgb: Image.Image, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        opened = open_picture(encoded(rgb, "WEBP", lossless=True, exif=b"Exif\0\0nonsense, at length"))
    assert np.array_equal(pixels(opened), pixels(rgb))
    assert "EXIF" in caplog.text


def with_metadata(picture: Image.Image, format: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "SECRET artist"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSMapDatum] = "SECRET place"
    options: dict[str, Any] = {"exif": exif.tobytes()}
    if format == "PNG":
        options["pnginfo"] = PngImagePlugin.PngInfo()
        options["pnginfo"].add_text("Comment", "SECRET comment")
    elif format == "GIF":
        options = {"comment": b"SECRET comment"}
    if format in ("JPEG", "WEBP", "PNG", "AVIF", "HEIF"):
        options["xmp"] = b"<x:xmpmeta>SECRET</x:xmpmeta>"
    if format == "JPEG":
        options["comment"] = b"SECRET comment"
    data = encoded(picture, format, icc_profile=swapped_primaries(), dpi=(300, 300), **options)
    assert b"SECRET" in data
    return data


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF", "GIF"])
def test_no_metadata_is_carried_over(smooth: Image.Image, format: str, tmp_path: Path) -> None:
    data = with_metadata(smooth, format)
    opened = open_picture(data)
    assert opened.info == {} and not opened.getexif()
    bare = bare_webp(data)
    assert b"SECRET" not in bare and np.array_equal(pixels(open_picture(bare)), pixels(opened))
    assert bare_webp(bare) is bare and bare_webp(bare + data) == bare
    # Not from a Pillow image either, which still has it all.
    given = Image.open(io.BytesIO(data))
    given.load()
    for suffix in (".png", ".jpg", ".webp", ".avif", ".tif", ".bmp"):
        path = tmp_path / f"clean{suffix}"
        save_picture(given, path)
        assert b"SECRET" not in path.read_bytes()
        with Image.open(path) as saved:
            saved.load()
            kept = {"icc_profile", "exif", "xmp", "XML:com.adobe.xmp", "comment", "Comment"} & set(saved.info)
            tags = set(saved.getexif()) - set(range(254, 300)) - {317, 339}  # TIFF's own, of its layout
            assert not kept and not tags, (suffix, kept, tags)


# Bounds


@pytest.mark.parametrize("limit", [1, 1000, None])
def test_pillows_own_bound_does_not_get_in_the_way(
    rgb: Image.Image, limit: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = Image.new("RGB", (100, 100))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for format in ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF"):
            data = encoded(big, format)
            with monkeypatch.context() as patch:
                patch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
                assert open_picture(data).size == (100, 100)
                assert open_picture(data, max_pixels=10_000).size == (100, 100)
                assert "100 × 100" in refusal(data, max_pixels=9_999)


def test_large_heic_is_refused(smooth: Image.Image) -> None:
    data = encoded(smooth, "HEIF")
    assert open_picture(data, max_pixels=3072).size == (64, 48)
    assert "at most 3,071 in total" in refusal(data, max_pixels=3071)


def test_no_module_is_imported_from_the_folder_of_a_strangers_heic(
    smooth: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pi_heif.py", "struct.py"):
        (tmp_path / name).write_text("open('exploded', 'w')")
    monkeypatch.chdir(tmp_path)
    assert open_picture(encoded(smooth, "HEIF")).size == (64, 48)
    assert not (tmp_path / "exploded").exists()


def test_a_huge_picture_is_refused_by_its_header() -> None:
    side = 30_000
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    frame = b"\x21\xf9\x04\x08" + bytes(4) + b"," + struct.pack("<4HB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\0;"
    tags = {256: [side], 257: [side], 258: [8] * 3, 262: [2], 277: [3], 278: [side]}
    jpeg = encoded(Image.new("RGB", (16, 16)), "JPEG").replace(
        struct.pack(">HH", 16, 16), struct.pack(">HH", side, side), 1
    )
    bmp = b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
    files = [
        png((side, side), 8, 2, []),
        tiff({tag: ("I" if tag < 258 else "H", values) for tag, values in tags.items()}, b""),
        jpeg,
        bmp,
        screen + frame,
    ]
    for data in files:
        message = refusal(data)
        assert "pixels" in message and "134,217,728" in message, message


def test_a_small_picture_of_a_huge_tile_is_refused() -> None:
    side = 30_000
    tags = {256: [16], 257: [16], 258: [8] * 3, 259: [8], 262: [2], 277: [3], 322: [side], 323: [side]}
    data = tiff({tag: ("H", values) for tag, values in tags.items()}, zlib.compress(bytes(1000)))
    assert "30000 × 30000" in refusal(data)


def test_an_image_without_pixels_is_refused() -> None:
    assert "no pixels" in refusal(Image.new("RGB", (0, 5)))


# Refusals


def test_files_that_are_not_there_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path / "missing.jpg")
    assert "'missing.jpg'" in message and str(tmp_path) not in message
    (tmp_path / "album").mkdir()
    message = refusal(tmp_path / "album")
    assert "'album'" in message and "not a file" in message and str(tmp_path) not in message
    assert refusal(f"{tmp_path}/album/") == message
    for address in (
        "https://example.org/cat.jpg",
        Path("http://example.org/cat.jpg"),
        "data:image/png;base64,iVBORw0K",
    ):
        assert "not fetched from an address" in refusal(address)
    assert "does not exist" in refusal(tmp_path / ("long" * 1000))
    assert "does not exist" in refusal("a\0b.png")
    refusal(None)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes have no path there")
def test_what_comes_through_a_pipe_is_a_picture(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for data in (encoded(Image.new("RGB", (9, 7), "teal"), "PNG"), encoded(Image.new("L", (9, 7)), "TIFF")):
        threading.Thread(target=pipe.write_bytes, args=[data]).start()
        assert open_picture(pipe).tobytes() == open_picture(data).tobytes()
    threading.Thread(target=pipe.write_bytes, args=[b""]).start()
    assert "'pipe' is an empty file" in refusal(pipe)
    assert "'null' is not a file" in refusal("/dev/null")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"I am not a picture, only called one.",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        b"%PDF-1.7\n1 0 obj\n<< >>\nendobj\n",
        b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(100),
        encoded(Image.new("RGB", (4, 4)), "PPM"),
        encoded(Image.new("RGB", (4, 4)), "ICO"),
        encoded(Image.new("RGB", (4, 4)), "PCX"),
    ],
    ids=["empty", "text", "svg", "pdf", "jxl", "ppm", "ico", "pcx"],
)
def test_what_is_no_picture_of_ours_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpg"
    path.write_bytes(content)
    message = refusal(path)
    assert "'holiday.jpg'" in message and "JPEG" in message and str(tmp_path) not in message
    with path.open("rb") as file:
        assert refusal(file) == message
    assert "The picture is" in refusal(content)


def test_a_name_cannot_break_the_sentence(tmp_path: Path) -> None:
    path = tmp_path / "two\nlines\x1b[31m.png"
    path.write_bytes(b"text")
    message = refusal(path)
    assert "\x1b" not in message


def test_an_unreadable_file_is_refused(rgb: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(encoded(rgb, "PNG"))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("the superuser reads every file")
    assert "'locked.png'" in refusal(path)


def test_a_file_that_breaks_off_while_it_is_read_is_refused() -> None:
    """As on a stick that was pulled out; this file opens, and there is nothing at its beginning to read."""
    broken = Path("/proc/self/mem")
    sentence = "The picture 'mem' cannot be read: Input/output error."
    assert refusal(broken) == sentence
    for read in (read_note, read_file):
        with pytest.raises(PictureError) as caught:
            read(broken)
        assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a.jpg", True),
        ("A.JPG", True),
        ("a.b.Tiff", True),
        ("a.HEIC", True),
        ("a.jxl", True),
        ("._a.jpg", False),
        (".jpg", False),
        ("jpg", False),
        ("a.txt", False),
        ("album.jpg", False),
    ],
)
def test_a_photograph_is_known_by_its_name(name: str, known: bool, tmp_path: Path) -> None:
    if name.startswith("album"):
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).touch()
    assert is_photograph(tmp_path / name) == known


def test_of_a_mask_what_is_transparent_is_black() -> None:
    mask = Image.new("RGBA", (2, 1), "white")
    mask.putpixel((1, 0), (255, 255, 255, 0))
    assert mask_greys(mask).tobytes() == b"\xff\0"
    assert mask_greys(Image.new("RGB", (1, 1), "red")).tobytes() == b"\x4c"


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
@pytest.mark.parametrize("format", ["PNG", "JPEG", "MPO", "WEBP", "AVIF", "HEIF", "TIFF", "BMP", "GIF"])
def test_a_truncated_picture_is_refused(format: str, tmp_path: Path) -> None:
    photo = Image.effect_noise((64, 64), 60).convert("RGB")
    data = encoded(photo, format)
    path = tmp_path / "holiday.img"
    for length in (17, len(data) // 8, len(data) // 2, len(data) * 3 // 4):
        path.write_bytes(data[:length])
        message = refusal(path)
        assert "'holiday.img'" in message and "complete" in message


def test_a_truncated_picture_that_pillow_has_opened_is_refused(smooth: Image.Image) -> None:
    data = encoded(smooth, "PNG")
    with Image.open(io.BytesIO(data[: len(data) // 2])) as picture:
        assert "damaged" in refusal(picture)


def odd_files() -> dict[str, bytes]:
    """Files on which Pillow's decoders raise what is neither OSError nor SyntaxError."""
    small = Image.new("RGB", (16, 16))
    tif = encoded(small, "TIFF")
    directory = struct.unpack("<I", tif[4:8])[0]
    strips = tif.index(struct.pack("<H", 273), directory)
    mpo = encoded(small, "MPO", save_all=True, append_images=[small])
    entries = mpo.index(b"MPF\0") + 34
    avif = encoded(small, "AVIF", save_all=True, append_images=[Image.new("RGB", (16, 16), "red")])
    timescale = avif.index(b"mdhd") + 24
    return {
        "TypeError": tif[: strips + 2] + struct.pack("<H", 11) + tif[strips + 4 :],
        "ValueError": b"II+\0\x08\0\0\0" + bytes([255] * 8),
        "struct.error": mpo[:entries] + b"\xff" + mpo[entries + 1 :],
        "ZeroDivisionError": avif[:timescale] + bytes(4) + avif[timescale + 4 :],
    }


@pytest.mark.parametrize("raises", ["TypeError", "ValueError", "struct.error", "ZeroDivisionError"])
def test_a_decoder_that_stumbles_gives_a_refusal(raises: str) -> None:
    assert "complete" in refusal(odd_files()[raises])


def test_heic_that_crashes_its_decoder_is_refused(smooth: Image.Image) -> None:
    """pi-heif 1.4 ends the process over a kind of metadata that is no text."""
    crashing = with_metadata(smooth, "HEIF").replace(b"application/rdf+xml", b"\xb6pplication/rdf+xml")
    assert "damaged" in refusal(crashing)


@pytest.mark.filterwarnings("ignore:.*:UserWarning:PIL")
@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "AVIF", "HEIF", "TIFF", "BMP", "GIF"])
def test_damage_gives_a_picture_or_a_refusal(smooth: Image.Image, format: str) -> None:
    random = np.random.default_rng(0)
    data = with_metadata(smooth, format) if format != "BMP" else encoded(smooth, format)
    for _ in range(30):
        damaged = bytearray(data)
        for position in random.integers(0, min(len(data), 800), size=3):
            damaged[position] = random.integers(256)
        with contextlib.suppress(PictureError):
            assert open_picture(bytes(damaged), max_pixels=2**20).info == {}


# Writing


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".tiff", ".bmp", ".PNG"])
def test_lossless_formats_keep_every_pixel(rgb: Image.Image, rgba: Image.Image, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out{suffix}"
    for picture in (rgb,) if suffix == ".bmp" else (rgb, rgba):
        save_picture(picture, path)
        opened = open_picture(path)
        assert opened.mode == picture.mode
        assert np.array_equal(pixels(opened), pixels(picture))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".avif"])
def test_lossy_formats_are_nearly_exact(smooth: Image.Image, suffix: str, tmp_path: Path) -> None:
    save_picture(smooth, tmp_path / f"out{suffix}")
    assert np.abs(pixels(open_picture(tmp_path / f"out{suffix}")) - pixels(smooth)).mean() < 1.5


def test_jpeg_keeps_colour_at_full_resolution(tmp_path: Path) -> None:
    stripes = np.zeros((32, 32, 3), dtype=np.uint8)
    stripes[:, ::2] = [255, 0, 0]
    stripes[:, 1::2] = [0, 0, 255]
    save_picture(Image.fromarray(stripes), tmp_path / "stripes.jpg")
    assert np.abs(pixels(open_picture(tmp_path / "stripes.jpg")) - stripes).mean() < 8


def test_avif_keeps_alpha(rgba: Image.Image, tmp_path: Path) -> None:
    save_picture(rgba, tmp_path / "out.avif")
    opened = open_picture(tmp_path / "out.avif")
    assert opened.mode == "RGBA" and np.abs(pixels(opened)[..., 3] - pixels(rgba)[..., 3]).max() <= 4


def test_any_picture_is_cleaned_before_it_is_written(tmp_path: Path) -> None:
    grey = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    save_picture(grey, tmp_path / "out.bmp")
    assert pixels(open_picture(tmp_path / "out.bmp"))[0, :, 0].tolist() == [0, 128, 255]


def test_png_is_written_fast_but_not_raw(tmp_path: Path) -> None:
    save_picture(Image.linear_gradient("L").resize((512, 512)), tmp_path / "out.png")
    assert (tmp_path / "out.png").stat().st_size < 512 * 512


def refused_writing(path: Path, picture: Image.Image) -> str:
    """What saving says, and checking beforehand says too."""
    before = sorted(path.parent.iterdir()) if path.parent.is_dir() else None
    with pytest.raises(PictureError) as saving:
        save_picture(picture, path)
    with pytest.raises(PictureError) as checking:
        check_suffix(path, picture)
    message = str(saving.value)
    assert message == str(checking.value) and message.endswith(".") and "\n" not in message
    assert str(path.parent) not in message
    assert before == (sorted(path.parent.iterdir()) if path.parent.is_dir() else None)
    return message


@pytest.mark.parametrize("name", ["out.gif", "out", "out.jpg.txt", "png", "out.pdf"])
def test_unknown_suffixes_are_refused(rgb: Image.Image, name: str, tmp_path: Path) -> None:
    message = refused_writing(tmp_path / name, rgb)
    assert repr(name) in message and ".png" in message
    with pytest.raises(PictureError):
        check_suffix(tmp_path / name)


@pytest.mark.parametrize("name", ["out.jpg", "out.JPEG", "out.bmp"])
def test_alpha_is_never_lost_silently(rgb: Image.Image, rgba: Image.Image, name: str, tmp_path: Path) -> None:
    palette = rgb.quantize(4)
    palette.info["transparency"] = 0
    for picture in (rgba, palette, rgba.convert("LA")):
        message = refused_writing(tmp_path / name, picture)
        assert "transparency" in message and ".png" in message and ".bmp" not in message.split("should be")[1]
    check_suffix(tmp_path / name)
    check_suffix(tmp_path / name, rgb)


def test_a_photograph_is_decoded_beforehand_only_if_the_format_may_not_hold_it(
    rgba: Image.Image, tmp_path: Path
) -> None:
    rgba.save(tmp_path / "photo.png")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "photo.png").read_bytes()[:60])
    for name in ("out.png", "out.tif"):
        check_suffix(tmp_path / name, tmp_path / "damaged.png")
    for photo, wrong in (("photo", "have no transparency"), ("damaged", "is damaged or incomplete")):
        with pytest.raises(PictureError, match=wrong):
            check_suffix(tmp_path / "out.jpg", tmp_path / f"{photo}.png")


@pytest.mark.parametrize(("suffix", "longest"), [(".webp", 16383), (".jpg", 65500), (".avif", 32768)])
def test_formats_are_used_up_to_their_largest_size(suffix: str, longest: int, tmp_path: Path) -> None:
    save_picture(Image.new("RGB", (longest, 1)), tmp_path / f"long{suffix}")
    assert open_picture(tmp_path / f"long{suffix}").size == (longest, 1)
    assert str(longest) in refused_writing(tmp_path / f"too-long{suffix}", Image.new("RGB", (1, longest + 1)))


def test_places_that_cannot_be_written_are_refused(rgb: Image.Image, tmp_path: Path) -> None:
    assert "'nowhere'" in refused_writing(tmp_path / "nowhere" / "out.png", rgb)
    (tmp_path / "folder.png").mkdir()
    assert "'folder.png'" in refused_writing(tmp_path / "folder.png", rgb)


def test_a_failed_writing_leaves_what_was_there(rgb: Image.Image, tmp_path: Path) -> None:
    path = tmp_path / ("n" * 251 + ".png")  # as long as a file's name may be
    save_picture(rgb, path)
    before = path.read_bytes()
    path.write_bytes(before)
    with pytest.raises(PictureError, match="could not be written"):
        save_picture(rgb, tmp_path / ("n" * 252 + ".png"))
    for name in ("a\0b.png", "a\ud800b.png"):
        with pytest.raises(PictureError, match=r"cannot be written as .*: its name contains a character that no file"):
            save_picture(rgb, tmp_path / name)
    assert sorted(tmp_path.iterdir()) == [path] and path.read_bytes() == before


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_full_disk_is_told_in_one_sentence_alone(
    rgb: Image.Image, tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        no_room(),
        pytest.raises(PictureError, match=r"^The picture 'out\....' could not be written: File too large\.$"),
    ):
        save_picture(rgb.resize((300, 200)), tmp_path / f"out{suffix}")
    assert capfd.readouterr().err == "" and list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_whole_and_readable_like_any_other(rgb: Image.Image, tmp_path: Path) -> None:
    path, other = tmp_path / "out.png", tmp_path / "other"
    other.touch()
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        save_picture(rgb, path)
        assert reader.read() == b"old"
    assert path.stat().st_mode == other.stat().st_mode
    assert sorted(tmp_path.iterdir()) == [other, path]


# Sizes and tensors


@pytest.mark.parametrize(
    ("size", "side", "expected"),
    [
        ((60, 40), 30, (30, 20)),
        ((40, 60), 30, (20, 30)),
        ((60, 40), 120, (120, 80)),
        ((60, 40), 60, (60, 40)),
        ((1000, 1), 10, (10, 1)),
        ((3, 1000), 16, (1, 16)),
        ((101, 67), 50, (50, 33)),
        ((3, 2), 100, (100, 67)),
    ],
)
def test_fit(size: tuple[int, int], side: int, expected: tuple[int, int]) -> None:
    for mode in ("RGB", "RGBA"):
        fitted = fit(Image.new(mode, size), side)
        assert (fitted.size, fitted.mode) == (expected, mode)


def test_fit_gives_the_same_pixels_at_the_same_size_and_smooth_ones_elsewhere(rgba: Image.Image) -> None:
    assert np.array_equal(pixels(fit(rgba, 6)), pixels(rgba))
    board = Image.fromarray((np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)).convert("RGB")
    assert np.abs(pixels(fit(board, 16))[4:-4, 4:-4] - 127.5).max() < 8  # picking pixels would give 0 or 255


def test_tensors(rgba: Image.Image) -> None:
    tensor = to_tensor(rgba)
    assert (tensor.dtype, tensor.shape, tensor.is_contiguous()) == (torch.float32, (1, 3, 4, 6), True)
    for x, y, band in np.ndindex(6, 4, 3):
        assert tensor[0, band, y, x] == rgba.getpixel((x, y))[band]  # type: ignore[index]
    for back in (to_picture(tensor), to_picture(tensor[0]), to_picture(tensor.half())):
        assert ImageChops.difference(back, rgba.convert("RGB")).getbbox() is None


def test_tensors_are_rounded_and_clamped() -> None:
    values = torch.tensor([-1e9, -0.6, 0.4, 0.6, 254.4, 254.6, 255.4, 300, 1e9]).reshape(1, 1, 1, 9).repeat(1, 3, 1, 1)
    values.requires_grad_()
    assert pixels(to_picture(values))[0, :, 0].tolist() == [0, 0, 0, 1, 254, 255, 255, 255, 255]


def test_a_refusal_is_one_of_the_librarys() -> None:
    assert issubclass(PictureError, NSTError)


def test_a_png_says_what_was_noted_in_it_and_no_other_file_does(tmp_path: Path) -> None:
    picture = Image.new("RGB", (3, 2), "teal")
    for suffix in ("png", "jpg", "webp", "tiff", "bmp"):
        path = tmp_path / f"noted.{suffix}"
        save_picture(picture, path, note="style=great-wave&title=Woge · 波")
        assert read_note(path) == ("style=great-wave&title=Woge · 波" if suffix == "png" else ""), suffix
    with Image.open(tmp_path / "noted.png") as noted:
        assert set(noted.info) == {NOTE}
    assert open_picture(tmp_path / "noted.png").info == {}
    save_picture(picture, tmp_path / "plain.png")
    assert read_note(tmp_path / "plain.png") == ""
    with Image.open(tmp_path / "plain.png") as plain:
        assert not plain.info


def test_a_note_of_anybody_is_text_of_a_bounded_length(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text(NOTE, "x" * 500_000, zip=True)
    Image.new("RGB", (3, 2)).save(tmp_path / "long.png", pnginfo=texts)
    assert read_note(tmp_path / "long.png") == "x" * LONGEST_NOTE
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(PictureError, match="not of a kind that can be read"):
        read_note(tmp_path / "text.png")
