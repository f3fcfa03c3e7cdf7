"""Sheets of pictures: each where it belongs, none cut, the words beside them."""

import numpy as np
from PIL import Image

from nst_core.sheet import GAP, LARGEST, draw_sheet


def test_pictures_stand_in_columns_and_rows() -> None:
    red, green = Image.new("RGB", (200, 100), "red"), Image.new("RGB", (50, 100), "green")
    sheet = draw_sheet([[red, green], [green, green]], height=100)
    assert sheet.size == (200 + GAP + 50, 200 + GAP)
    assert sheet.getpixel((0, 0)) == sheet.getpixel((199, 99)) == (255, 0, 0)
    assert sheet.getpixel((200 + GAP, 0)) == (0, 128, 0)
    # Narrower than its column, and in the middle of it.
    assert sheet.getpixel((74, 150)) == sheet.getpixel((125, 150)) == (255, 255, 255)
    assert sheet.getpixel((76, 150)) == sheet.getpixel((123, 150)) == (0, 128, 0)


def test_words_make_room_for_themselves() -> None:
    picture = Image.new("RGB", (40, 40), "red")
    plain = draw_sheet([[picture, picture]], height=40)
    sheet = draw_sheet([[picture, picture]], column_labels=["a long heading", "b"], row_labels=["row"], height=40)
    assert sheet.height > plain.height and sheet.width > plain.width
    words = sheet.crop((0, 0, sheet.width, sheet.height - 40)).convert("L")
    assert np.asarray(words).min() < 60
    assert (np.asarray(sheet) == (255, 0, 0)).all(-1).sum() == 2 * 40 * 40


def test_rows_may_be_of_different_lengths() -> None:
    picture = Image.new("RGB", (40, 40), "red")
    assert draw_sheet([[picture], [picture, picture]], height=40).size == (2 * 40 + GAP, 2 * 40 + GAP)


def test_what_is_very_wide_or_many_fits_on_a_sheet() -> None:
    panorama, picture = Image.new("RGB", (2048, 20), "red"), Image.new("RGB", (20, 20), "green")
    sheet = draw_sheet([[panorama, picture]], height=20)
    assert sheet.size == (60 + GAP + 20, 20)
    assert sheet.getpixel((30, 9)) == (255, 0, 0) and sheet.getpixel((30, 1)) == (255, 255, 255)
    assert draw_sheet([[picture]] * 100, height=200).height == LARGEST
