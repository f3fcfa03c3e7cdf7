"""Draws ui/card.jpg, which messengers show of a link: a photograph that ships with Gradio, painted strip by strip.

python docs/card.py
"""

from pathlib import Path

import gradio as gr
from PIL import Image, ImageDraw, ImageFont

from nst_core import Registry, open_picture, stylize
from nst_core.images import fit

SIZE = (1200, 630)
STYLES = ("great-wave", "woman-with-a-hat", "starry-night", "the-scream")
PHOTO = "media_assets/images/tower.jpg"
LEFT = 372
"""Pixels: how much the words have for themselves."""
SLANT = 44
"""Pixels by which a strip's foot stands left of its head."""
PAPER, INK, SOFT = "#faf6ee", "#22303c", "#5c6670"
SCALE = 2
"""The strips' edges are drawn larger than they will be."""


def main() -> None:
    registry = Registry.load()
    width, height = SIZE
    photo = fit(open_picture(Path(gr.__file__).parent / PHOTO), height + 20)
    pictures = [photo, *(stylize(photo, registry.open(style)) for style in STYLES)]
    card = Image.new("RGB", SIZE, PAPER)
    step = (width - LEFT) / len(pictures)
    for number, picture in enumerate(pictures):
        left, right = (LEFT + step * place for place in (number, number + 1))
        mask = Image.new("L", (width * SCALE, height * SCALE))
        corners = [(left + SLANT, 0), (right + SLANT - 3, 0), (right - 3, height), (left, height)]
        if number == len(pictures) - 1:
            corners[1:3] = [(width, 0), (width, height)]
        ImageDraw.Draw(mask).polygon([(x * SCALE, y * SCALE) for x, y in corners], 255)
        # The tower's axis stands in the middle of each strip.
        place = round((left + right + SLANT) / 2 - 0.55 * picture.width)
        layer = Image.new("RGB", SIZE)
        layer.paste(picture, (place, -10))
        card.paste(layer, mask=mask.resize(SIZE, Image.Resampling.LANCZOS))
    canvas = ImageDraw.Draw(card)
    canvas.text((52, 262), "Repaint", INK, ImageFont.load_default(78), anchor="ls", stroke_width=1)
    words = "Your photograph,\nin the manner\nof a painting"
    canvas.multiline_text((54, 308), words, SOFT, ImageFont.load_default(35), spacing=12)
    card.save(Path(__file__).parents[1] / "ui" / "card.jpg", quality=72, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
