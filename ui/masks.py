"""Masks as the page draws them and links hold them: small grey PNGs, in base64, which the library enlarges smoothly."""

import base64
import binascii
import re
from io import BytesIO

from PIL import Image

from nst_core.errors import NSTError
from nst_core.images import PictureError, open_picture
from nst_core.stylization import shares

MASK_SIDE = 64
"""The most pixels per side."""
MAX_MASK_LENGTH = 8000
"""The most characters; the noisiest grey PNG of so many pixels has fewer."""
PNG_START = base64.b64encode(b"\x89PNG\r\n\x1a\n")[:10].decode()
"""What the text of every PNG begins with."""


class MaskError(NSTError):
    """A text that is not a mask."""


def read_mask(text: str) -> Image.Image | None:
    """The mask that a text stands for; None if it is empty.

    Raises:
        MaskError: it is not a PNG, in base64 for addresses, of at most ``MASK_SIDE`` pixels per side.
    """
    if not text:
        return None
    right = f"send a PNG of at most {MASK_SIDE} × {MASK_SIDE} pixels in base64, as this page draws it"
    if len(text) > MAX_MASK_LENGTH:
        raise MaskError(f"The mask has more than {MAX_MASK_LENGTH:,} characters: {right}.")
    if not re.fullmatch(rf"{PNG_START}[\w-]+", text, re.ASCII):
        raise MaskError(f"The text is not a mask: {right}.")
    try:
        return open_picture(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), max_pixels=MASK_SIDE**2)
    except (PictureError, binascii.Error) as error:
        raise MaskError(f"The mask cannot be read: {right}.") from error


def write_mask(mask: Image.Image) -> str:
    """The text that stands for a mask, which is reduced to ``MASK_SIDE``."""
    scale = min(1.0, MASK_SIDE / max(mask.size))
    size = max(1, round(mask.width * scale)), max(1, round(mask.height * scale))
    grey = Image.fromarray((shares(mask, size)[..., 0] * 255).round().astype("uint8"))
    made = BytesIO()
    grey.save(made, "PNG", optimize=True)
    return base64.urlsafe_b64encode(made.getvalue()).decode().rstrip("=")
