"""Draws docs/masked.webp: a photograph, where its second style is to be seen, and what becomes of it."""

from pathlib import Path

import gradio as gr
from PIL import Image, ImageDraw, ImageFilter

from nst_core import Registry, open_picture, stylize
from nst_core.images import fit
from nst_core.sheet import draw_sheet

PHOTO = Path(gr.__file__).parent / "media_assets" / "images" / "lion.jpg"
# By hand, around the lion in front: x and y in parts of the picture.
LION = (
    *((0.30, 0.06), (0.48, 0.00), (0.60, 0.06), (0.70, 0.16), (0.74, 0.34), (0.74, 0.50), (0.66, 0.62), (0.60, 0.70)),
    *((0.58, 0.88), (0.44, 0.90), (0.36, 0.74), (0.24, 0.72), (0.14, 0.90), (0.12, 1.00), (0.00, 1.00), (0.00, 0.92)),
    *((0.06, 0.78), (0.00, 0.68), (0.00, 0.50), (0.12, 0.42), (0.22, 0.36), (0.24, 0.20)),
)


def main() -> None:
    registry, photo = Registry.load(), fit(open_picture(PHOTO), 720)
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).polygon([(64 * x, 64 * y) for x, y in LION], fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(0.8))
    first, second = (registry.open(id) for id in ("great-wave", "the-scream"))
    pictures = [stylize(photo, first), mask.resize(photo.size), stylize(photo, second)]
    pictures.append(stylize(photo, first, second=second, mix=1, mask=mask))
    columns = [first.title, "the mask", second.title, "both"]
    draw_sheet([[photo, *pictures]], columns=["", *columns], height=320).save(
        Path(__file__).with_name("masked.webp"), quality=82
    )


if __name__ == "__main__":
    main()
