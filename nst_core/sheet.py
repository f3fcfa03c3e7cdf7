"""Draws a sheet of pictures to compare."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

HEIGHT, GAP, TEXT = 420, 8, 18  # pixels
WIDEST = 3
"""A picture is at most so many times as wide as a row is high: a wider one is scaled down."""
LARGEST = 16383
"""The most pixels of a WebP's side."""


def draw_sheet(
    rows: Sequence[Sequence[Image.Image]],
    *,
    column_labels: Sequence[str] = (),
    row_labels: Sequence[str] = (),
    height: int = HEIGHT,
) -> Image.Image:
    """Pictures in rows, each ``height`` pixels high, on white, with labels above the columns and left of the rows.

    A very wide picture is less high, and a sheet that no WebP could hold is scaled down to one.
    """
    font = ImageFont.load_default(TEXT)
    scaled = [[ImageOps.contain(picture.convert("RGB"), (WIDEST * height, height)) for picture in row] for row in rows]
    count = max(map(len, scaled))
    widths = [max(row[place].width for row in scaled if place < len(row)) for place in range(count)]
    for place, text in enumerate(column_labels):
        widths[place] = max(widths[place], round(font.getlength(text)))
    left = round(max(map(font.getlength, row_labels), default=-GAP)) + GAP
    top = TEXT + 2 * GAP if column_labels else 0
    size = (left + sum(widths) + GAP * (count - 1), top + (height + GAP) * len(scaled) - GAP)
    sheet = Image.new("RGB", size, "white")
    canvas = ImageDraw.Draw(sheet)
    lefts = [left + sum(widths[:place]) + GAP * place for place in range(count)]
    for place, text in enumerate(column_labels):
        canvas.text((lefts[place] + widths[place] // 2, GAP // 2), text, "black", font, anchor="ma")
    for number, row in enumerate(scaled):
        y = top + number * (height + GAP)
        if row_labels:
            canvas.text((0, y + height // 2), row_labels[number], "black", font, anchor="lm")
        for place, picture in enumerate(row):
            sheet.paste(
                picture, (lefts[place] + (widths[place] - picture.width) // 2, y + (height - picture.height) // 2)
            )
    sheet.thumbnail((LARGEST, LARGEST))
    return sheet
