"""Files that are dropped beside their place, or on one that takes others."""

import base64
import re
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pillow_heif
import pytest
from dropping import drop, drop_folder, settle
from made_films import make_film
from picking import pick_option
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


DROP_PROMISE = """() => ["dragover", "drop"].map((name) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.setData("application/x-moz-file-promise", "picture.png");
    const event = new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer });
    return !document.querySelector("#masthead").dispatchEvent(event);
})"""
"""A picture that Firefox does not pass on; the page must tell it not to open that."""


def test_a_photograph_finds_its_place_and_nothing_else_takes_it(page: "Page", tmp_path: Path) -> None:
    settle(page)
    (tmp_path / "note.txt").write_text("I am a text.")
    places = {"first": "#stage", "second": "#styles", "third": "#photo", "fourth": "#photo [aria-label='Remove Image']"}
    for name, place in ((f"{name}.png", place) for name, place in places.items()):
        Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB").save(tmp_path / name)
        drop(page, tmp_path / name, "image/png", place)
        expect(page.locator("#result img").first).to_have_attribute("src", re.compile(name.removesuffix(".png")))
    # Not by Playwright's clock, which every later tab of the profile would have.
    page.evaluate("setTimeout = ((wait) => (done, ms, ...more) => wait(done, Math.min(ms, 100), ...more))(setTimeout)")
    drop(page, tmp_path / "note.txt", "text/plain", "#photo")
    page.wait_for_timeout(300)
    expect(page.get_by_role("alert").get_by_text("That is not a picture")).to_be_visible()
    drop_folder(page, tmp_path, "#photo")
    expect(page.get_by_role("alert").get_by_text("That is a folder: drop a single file.")).to_be_visible()
    drop(page, tmp_path / "first.png", "image/png", "#masthead")
    expect(page.get_by_text("That is a folder")).to_be_hidden()
    expect(page.locator("#result img").first).to_have_attribute("src", re.compile("first"))
    expect(page.locator("#result img")).to_have_count(2)
    expect(page.locator("#photo img")).to_be_visible()
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "note.txt")
    expect(page.get_by_role("alert").get_by_text("That is not a picture")).to_be_visible()
    assert not page.get_by_test_id("toast-body").count()
    expect(page.locator("#photo img")).to_be_visible()
    drop(page, tmp_path / "note.txt", "video/mp4", "#photo")
    expect(page.get_by_role("alert")).to_have_text("That is a film: films are painted on the tab Video.")
    page.get_by_role("tab", name="Repaint").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    # Gradio's button for that says nothing where there is no picture to paste.
    expect(page.get_by_label("Paste from clipboard")).to_have_count(0)
    assert page.evaluate(DROP_PROMISE) == [True, True]
    expect(page.get_by_role("alert").get_by_text("copy the picture there, and paste it here")).to_be_visible()
    page.get_by_role("tab", name="About").click()
    drop(page, tmp_path / "second.png", "image/png", "#about")
    expect(page.locator("#result img").first).to_have_attribute("src", re.compile("second"))
    expect(page.locator("#result img").first).to_be_visible()
    page.set_viewport_size({"width": 1280, "height": 400})
    drop(page, tmp_path / "note.txt", "video/mp4", "#history")
    expect(page.get_by_role("alert")).to_be_in_viewport()


def test_a_heavy_photograph_goes_up_as_large_as_it_can_be_painted(page: "Page", tmp_path: Path) -> None:
    settle(page)
    picture = Image.effect_noise((1500, 1000), 90).convert("RGB")
    picture.paste("orange", (0, 0, 700, 500))
    exif = Image.Exif()
    exif[274] = 6  # the top of the picture is to the right
    picture.save(tmp_path / "my holiday.jpg", exif=exif, quality=97)
    assert (tmp_path / "my holiday.jpg").stat().st_size > 2**20
    drop(page, tmp_path / "my holiday.jpg", "image/jpeg", "#photo")
    image = page.locator("#photo img")
    expect(image).to_have_attribute("src", re.compile("/my%20holiday.jpg$"))
    with Image.open(BytesIO(page.request.get(image.get_attribute("src") or "").body())) as sent:
        assert sent.format == "JPEG" and sent.size == (341, 512) and not sent.getexif()
        expected = picture.transpose(Image.Transpose.ROTATE_270).resize(sent.size)
        assert np.abs(np.asarray(sent, float) - np.asarray(expected, float)).mean() < 10
    expect(page.locator("#info")).to_contain_text("341 × 512 px")


STRIPES = "CanvasRenderingContext2D.prototype.getImageData = (x, y, w, h) => new ImageData(w, h);"


def test_where_canvases_cannot_be_read_photographs_are_left_alone_and_no_mask_is_drawn(
    blank: "Page", app_url: str, tmp_path: Path
) -> None:
    page = blank
    page.add_init_script(STRIPES)
    page.goto(app_url)
    Image.effect_noise((1500, 1000), 90).save(tmp_path / "noise.jpg", quality=97)
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "noise.jpg")
    image = page.locator("#photo img")
    expect(image).to_have_attribute("src", re.compile("/noise.jpg$"))
    assert page.request.get(image.get_attribute("src") or "").body() == (tmp_path / "noise.jpg").read_bytes()
    pick_option(page.get_by_label("A second style").first, "Second")
    expect(page.locator("#info")).to_contain_text(" + ")
    expect(page.locator("#mask .panel")).to_be_hidden()
    page.get_by_role("tab", name="Live").click()
    page.locator("#live input[type=file]").set_input_files(tmp_path / "noise.jpg")
    expect(page.locator("#live .line")).to_contain_text("This browser hides from pages what they draw")


def test_heic_is_a_photograph_though_neither_system_nor_browser_know_it(page: "Page", tmp_path: Path) -> None:
    settle(page)
    picture = pillow_heif.from_pillow(Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB"))
    for name, place in (("dropped.HEIC", "#photo"), ("beside.HEIC", "#stage"), ("chosen.HEIC", None)):
        picture.save(tmp_path / name)
        if place:
            drop(page, tmp_path / name, "", place)
        else:
            page.locator("#photo input[type=file]").set_input_files(tmp_path / name)
        expect(page.locator("#result img").first).to_have_attribute("src", re.compile(name.removesuffix(".HEIC")))
        expect(page.locator("#photo")).to_have_attribute("data-unseen", f"{name}: no preview here.")
    page.locator("#examples button").first.click()
    expect(page.locator("#photo img")).to_be_visible()
    expect(page.locator("#photo")).not_to_have_attribute("data-unseen", re.compile("."))


def test_a_film_takes_the_place_of_another(browser: "Browser", app_url: str, tmp_path: Path) -> None:
    page = browser.new_page(locale="es")
    page.goto(app_url)
    page.get_by_role("tab", name=re.compile("V[ií]deo")).click()
    settle(page)
    first = "el primero de {} fotogramas"
    for frames, place in ((3, "#masthead"), (5, "#film")):
        drop(page, make_film(tmp_path / f"{frames}.mp4", frames=frames), "video/mp4", place)
        expect(page.locator("#film-viewer .line")).to_contain_text(first.format(frames))
    expect(page.locator("#film-viewer figure img")).to_have_attribute("alt", re.compile("Fotograma"))
    drop(page, make_film(tmp_path / "old.mp4", codec="mpeg4", frames=4), "video/mp4", "#film")
    expect(page.locator("#film-viewer .line")).to_contain_text(first.format(4))
    expect(page.locator("#film")).to_have_attribute("data-unseen", re.compile("^old.mp4: "))
    assert not page.get_by_test_id("toast-body").count()
    drop(page, tmp_path / "3.mp4", "video/mp4", "#film")
    expect(page.locator("#film")).not_to_have_attribute("data-unseen", re.compile("."))
    drop(page, tmp_path / "3.mp4", "image/png", "#film")
    expect(page.get_by_role("alert").get_by_text("pestaña Repintar")).to_be_visible()
    expect(page.locator("#film video")).to_be_visible()
    moves = [Image.new("RGB", (60, 40), color) for color in ("teal", "maroon")]
    moves[0].save(tmp_path / "moves.gif", save_all=True, append_images=moves[1:])
    drop(page, tmp_path / "moves.gif", "image/gif", "#film-viewer")
    expect(page.locator("#film-viewer .line")).to_contain_text("60 × 40 px · " + first.format(2))
    assert not page.get_by_test_id("toast-body").count()
    page.close()


PASTE = """([data, name, type, text]) => {
    const files = new DataTransfer(), bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    files.items.add(new File([bytes], name, { type }));
    if (text) files.setData("text/plain", text);
    const paste = new ClipboardEvent("paste", { bubbles: true, cancelable: true, clipboardData: files });
    return !document.activeElement.dispatchEvent(paste);
}"""


def paste(page: "Page", file: Path, text: str = "") -> bool:
    """Paste a picture, as text, too, where the focus is; returns whether the page took it."""
    data = base64.b64encode(file.read_bytes()).decode()
    return bool(page.evaluate(PASTE, [data, file.name, "image/png", text]))


def test_what_is_pasted_is_the_photograph_or_goes_where_the_focus_is(page: "Page", tmp_path: Path) -> None:
    settle(page)
    for color in ("teal", "maroon"):  # also in place of another
        Image.new("RGB", (90, 60), color).save(tmp_path / f"{color}.png")
        assert paste(page, tmp_path / f"{color}.png")
        expect(page.locator("#result img").first).to_have_attribute("src", re.compile(color))
    page.evaluate(PASTE, [base64.b64encode(b"I am a text.").decode(), "text.txt", "text/plain"])
    expect(page.get_by_role("alert")).to_contain_text("That is not a picture")
    expect(page.locator("#result img").first).to_have_attribute("src", re.compile("maroon"))
    page.get_by_role("tab", name="Advanced").click()
    settle(page)
    page.locator("#painting").get_by_role("button").first.focus()
    assert paste(page, tmp_path / "teal.png")
    expect(page.locator("#painting img")).to_have_attribute("src", re.compile("teal"))
    expect(page.locator("#content img")).to_have_count(0)
    # A cell of a spreadsheet is both a text and a picture.
    steps = page.get_by_role("spinbutton", name="Maximum steps")
    steps.focus()
    assert not paste(page, tmp_path / "maroon.png", "40")
    assert paste(page, tmp_path / "maroon.png")
    expect(page.locator("#content img")).to_have_attribute("src", re.compile("maroon"))
