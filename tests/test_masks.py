"""A mask is a short text: what stands for one, and that nothing else does."""

import base64
import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from nst_core.errors import NSTError
from ui.errors import PageError
from ui.masks import MASK_SIDE, MAX_MASK_LENGTH, MaskError, read_mask, write_mask
from ui.wish import Wish


def png(picture: Image.Image, kind: str = "PNG") -> str:
    made = BytesIO()
    picture.save(made, kind)
    return base64.urlsafe_b64encode(made.getvalue()).decode().rstrip("=")


def bomb() -> str:
    """A few bytes that say that they are 30,000 pixels to a side."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(4000), 9)) + chunk(b"IEND", b"")
    return base64.urlsafe_b64encode(b"\x89PNG\r\n\x1a\n" + data).decode().rstrip("=")


@pytest.mark.parametrize("size", [(64, 64), (64, 48), (31, 64), (1, 1), (500, 400)])
def test_a_mask_is_a_text_and_back(size: tuple[int, int]) -> None:
    mask = Image.radial_gradient("L").resize(size)
    text = write_mask(mask)
    assert len(text) < 2000
    back = read_mask(text)
    assert (
        back
        and max(back.size) == min(MASK_SIDE, max(size))
        and abs(back.width / back.height - size[0] / size[1]) < 0.02
    )
    difference = np.asarray(back.convert("L").resize(size), float) - np.asarray(mask)
    assert np.abs(difference).mean() < 1.5


def test_the_noisiest_mask_fits() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (MASK_SIDE, MASK_SIDE), dtype=np.uint8)
    text = write_mask(Image.fromarray(noise))
    assert len(text) < MAX_MASK_LENGTH
    np.testing.assert_array_equal(np.asarray(read_mask(text))[..., 0], noise)


def test_nothing_is_no_mask() -> None:
    assert read_mask("") is None and Wish.of(style="udnie").mask == ""


@pytest.mark.parametrize(
    "make",
    [
        lambda: "nothing",
        lambda: "iVBORw0KGg",
        lambda: "iVBORw0KGgo" + "A" * (MAX_MASK_LENGTH - 11),
        lambda: "iVBORw0KGgo" + "A" * 10**6,
        lambda: png(Image.radial_gradient("L").resize((MASK_SIDE, MASK_SIDE)))[:400],
        lambda: png(Image.new("L", (MASK_SIDE, MASK_SIDE))) + "\n",
        lambda: png(Image.new("L", (MASK_SIDE, MASK_SIDE))).replace("A", "\u0661"),
        lambda: "data:image/png;base64," + png(Image.new("L", (8, 8))),
        lambda: png(Image.new("L", (MASK_SIDE + 1, MASK_SIDE))),
        lambda: png(Image.new("RGB", (8, 8)), "JPEG"),
        lambda: png(Image.new("RGB", (8, 8)), "GIF"),
        bomb,
    ],
)
def test_what_is_no_mask_is_refused(make: Callable[[], str]) -> None:
    for read in (read_mask, lambda text: Wish.of(style="udnie", mask=text)):
        with pytest.raises(MaskError, match=r"^[^/]+ mask[^/]*: send a PNG of at most [^/]+\.$") as caught:
            read(make())
        assert isinstance(caught.value, NSTError) and "\n" not in str(caught.value)


@pytest.mark.parametrize("mask", [7, None, ["iVBORw0KGgo"], {"path": "mask.png"}, True])
def test_what_is_no_text_is_refused(mask: object) -> None:
    with pytest.raises(PageError, match="'mask' in the request should be a valid string"):
        Wish.of(style="udnie", mask=mask)
