"""Draws docs/masked.webp: a photograph, where a second style is to be seen in it, and the picture in both."""

from pathlib import Path

import gradio as gr
from PIL import Image, ImageDraw, ImageFilter

from nst_core import Registry, open_picture, stylize
from nst_core.images import fit
from nst_core.sheet import draw_sheet

PHOTO = Path(gr.__file__).parent / "media_assets" / "images" / "lion.jpg"
SIDE = 512
LION = (
    (150, 20), (210, 2), (290, 4), (340, 40), (368, 95), (374, 160), (366, 230), (350, 300), (338, 345), (300, 345),
    (300, 340), (264, 368), (248, 424), (222, 448), (186, 442), (176, 410), (196, 362), (150, 366), (90, 372),
    (64, 430), (60, 490), (40, 508), (6, 508), (8, 440), (34, 366), (24, 352), (0, 372), (0, 262), (56, 216),
    (110, 206), (136, 200), (140, 120), (130, 70),
)  # fmt: skip
"""The outline of the one in front, x and y of ``SIDE``; by hand."""


def main() -> None:
    registry, photo = Registry.load(), fit(open_picture(PHOTO), 720)
    drawn = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(drawn).polygon(LION, fill=255)
    # As the page's brush leaves it.
    mask = drawn.filter(ImageFilter.GaussianBlur(5)).resize((64, 64), Image.Resampling.BOX)
    first, second = (registry.open(id) for id in ("great-wave", "the-scream"))
    both = stylize(photo, first, second=second, mix=1, mask=mask)
    columns = ["photograph", "mask", f"{first.title} + {second.title}"]
    sheet = draw_sheet([[photo, mask.resize(photo.size, Image.Resampling.BILINEAR), both]], column_labels=columns)
    sheet.save(Path(__file__).with_name("masked.webp"), quality=82)


if __name__ == "__main__":
    main()
