"""A person draws where the second style is seen: with a mouse, a finger, or the keyboard, and finds it again."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from made_registry import MAX_SIDE
from picking import pick_option
from waiting import wait_until

from nst_core.images import open_picture, read_note
from nst_core.registry import Registry
from nst_core.stylization import stylize
from ui.gallery import EXAMPLES
from ui.links import read_recipe
from ui.masks import MAX_MASK_LENGTH, read_mask

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

TOWER = next(path for path in EXAMPLES if path.name == "tower.jpg")


@pytest.fixture
def two(page: "Page") -> "Page":
    """The page with a photograph in two styles."""
    pick_option(page.get_by_label("A second style").first, "Second")
    expect(page.get_by_text("Where it shows", exact=True)).to_be_visible()  # there is nothing to draw on
    page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#info")).to_contain_text(" + ")
    expect(page.locator("#mask canvas")).to_be_visible()
    expect(page.get_by_role("button", name="Download PNG")).to_be_enabled()  # nothing moves the page any more
    page.locator("#mask canvas").scroll_into_view_if_needed()
    return page


def seen(page: "Page") -> str:
    return page.locator("#result img").last.get_attribute("src") or ""


def changed(page: "Page", before: str) -> None:
    expect(page.locator("#result img").last).not_to_have_attribute("src", before)


def draw(page: "Page", *points: tuple[float, float]) -> None:
    """A stroke over places in the picture, 0–1, with the mouse or, on a phone, a finger; waits for the picture."""
    if not page.locator("#mask :is(.draw, .erase)[aria-pressed=true]").count():
        page.get_by_role("button", name="Draw").click()
    before, box = seen(page), page.locator("#mask canvas").bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    if page.viewport_size and page.viewport_size["width"] < 500:
        finger = page.context.new_cdp_session(page)
        for number, (x, y) in enumerate(places):
            kind = "touchMove" if number else "touchStart"
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    else:
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=4)
        page.mouse.up()
    changed(page, before)


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_finger_scrolls_past_the_picture_until_it_is_told_to_draw(two: "Page") -> None:
    """What it draws stays in sight while the picture of an earlier stroke comes."""
    canvas, draws = two.locator("#mask canvas"), two.get_by_role("button", name="Draw")
    expect(canvas).to_have_css("touch-action", "auto")
    canvas.scroll_into_view_if_needed()
    canvas.tap()
    expect(two.get_by_role("button", name="Everywhere")).to_have_attribute("aria-pressed", "true")
    draws.tap()
    expect(canvas).to_have_css("touch-action", "none")
    draws.tap()
    expect(draws).to_have_attribute("aria-pressed", "false")
    expect(canvas).to_have_css("touch-action", "auto")
    draw(two, (0.2, 0.2), (0.8, 0.2))
    canvas.scroll_into_view_if_needed()
    before, box = seen(two), canvas.bounding_box()
    assert box
    finger = two.context.new_cdp_session(two)
    for kind, x in (
        ("touchStart", 0.2),
        ("touchMove", 0.8),
        ("touchEnd", None),
        ("touchStart", 0.2),
        ("touchMove", 0.5),
    ):
        place = {"x": box["x"] + (x or 0) * box["width"], "y": box["y"] + 0.6 * box["height"]}
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place] if x else []})
    changed(two, before)
    expect(canvas).to_have_css("opacity", "0.5")
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(canvas).to_have_css("opacity", "0")


def test_a_stroke_that_changes_nothing_leaves_a_ready_mask_as_a_link_says_it(two: "Page") -> None:
    page, canvas = two, two.locator("#mask canvas")
    press(page, "Left")
    expect(canvas).to_have_css("opacity", "0")
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.4 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.6 * box["height"], steps=4)
    expect(canvas).to_have_css("opacity", "0.5")
    page.mouse.up()
    page.mouse.move(0, 0)
    expect(canvas).to_have_css("opacity", "0")
    left = page.get_by_role("button", name="Left", exact=True)
    expect(left).to_have_attribute("aria-pressed", "true")
    link = copied(page)
    page.evaluate("localStorage.clear()")
    page.goto(link)
    expect(left).to_have_attribute("aria-pressed", "true")


def press(page: "Page", name: str) -> None:
    """A button of the mask that makes another picture."""
    before = seen(page)
    page.locator("#mask").get_by_role("button", name=name).click()
    changed(page, before)


def download(page: "Page", folder: Path) -> Path:
    button = page.get_by_role("link", name="Download PNG").or_(page.get_by_role("button", name="Download PNG")).first
    expect(button).to_be_enabled()
    with page.expect_download() as found:
        button.click()
    found.value.save_as(folder / "painted.png")
    return folder / "painted.png"


def drawn(page: "Page", folder: Path) -> "NDArray[np.float32]":
    """The mask of the picture that is there, in 0–1."""
    mask = read_mask(read_recipe(read_note(download(page, folder)))["mask"])
    assert mask
    return np.asarray(mask.convert("L")).astype(np.float32) / np.float32(255)


def copied(page: "Page") -> str:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Link to settings").first.click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    return page.evaluate("navigator.clipboard.readText()")


def test_the_second_style_is_seen_where_it_was_drawn(two: "Page", registry_file: Path, tmp_path: Path) -> None:
    page, scrolled = two, two.evaluate("scrollY")
    draw(page, (0.4, 0.25), (0.6, 0.25), (0.6, 0.35), (0.4, 0.35))
    assert page.evaluate("scrollY") == scrolled
    expect(page.get_by_role("button", name="As drawn")).to_have_attribute("aria-pressed", "true")
    file = download(page, tmp_path)
    mask = read_mask(read_recipe(read_note(file))["mask"])
    assert mask and max(mask.size) == 64
    registry, photo = Registry.load(registry_file), open_picture(TOWER)
    styles = registry.open("first-style"), registry.open("second-style")
    painted = np.asarray(open_picture(file))
    expected = stylize(photo, styles[0], second=styles[1], mask=mask, size=MAX_SIDE)
    np.testing.assert_array_equal(painted, np.asarray(expected))
    alone = np.asarray(stylize(photo, styles[0], size=MAX_SIDE))
    over = np.asarray(stylize(photo, styles[0], second=styles[1], size=MAX_SIDE))
    height, width, _ = painted.shape
    inside = np.s_[int(0.24 * height) : int(0.26 * height), int(0.45 * width) : int(0.55 * width)]
    np.testing.assert_array_equal(painted[inside], over[inside])
    assert (alone[inside] != over[inside]).any()
    outside = np.s_[int(0.55 * height) :]
    np.testing.assert_array_equal(painted[outside], alone[outside])
    page.locator("#styles label").nth(1).click()  # the second style over itself: there is nothing to choose
    expect(page.get_by_text("Where it shows")).to_be_hidden()
    expect(page.get_by_text("How much of it")).to_be_hidden()


@pytest.mark.parametrize("page", ["desktop", "phone"], indirect=True)
def test_draw_erase_invert_undo(two: "Page", tmp_path: Path) -> None:
    page = two
    width, scroll = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width
    panel, canvas = (page.locator(f"#mask {part}").bounding_box() for part in (".panel", "canvas"))
    assert panel and canvas and canvas["x"] >= panel["x"]
    assert canvas["x"] + canvas["width"] <= panel["x"] + panel["width"] <= width
    for name in ("Undo", "Invert"):
        expect(page.locator("#mask").get_by_role("button", name=name)).to_be_disabled()
    page.locator("#mask").get_by_label("Brush").fill("30")
    draw(page, (0.2, 0.5), (0.8, 0.5))
    band = drawn(page, tmp_path)
    rows = len(band)
    assert band[rows // 2].mean() > 0.7 and band[0].max() == band[-1].max() == 0
    edge = band[:, band.shape[1] // 2]
    assert ((edge > 0.1) & (edge < 0.9)).sum() >= 4  # soft
    press(page, "Invert")
    np.testing.assert_allclose(drawn(page, tmp_path), 1 - band, atol=0.08)
    press(page, "Undo")
    np.testing.assert_array_equal(drawn(page, tmp_path), band)
    page.locator("#mask").get_by_role("button", name="Erase").click()
    draw(page, (0.5, 0.4), (0.5, 0.6))
    erased = drawn(page, tmp_path)
    assert erased[rows // 2, band.shape[1] // 2] == 0 and erased[rows // 2, band.shape[1] // 4] > 0.9
    press(page, "Everywhere")
    draw(page, (0.5, 0.1), (0.5, 0.9))  # erases from all of it
    pierced = drawn(page, tmp_path)
    assert pierced[rows // 2, band.shape[1] // 2] == 0 and (pierced[:, 0] == 1).all()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_who_cannot_draw_chooses(two: "Page", tmp_path: Path) -> None:
    page = two
    before = seen(page)
    page.locator("#mask").get_by_role("button", name="Everywhere").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    changed(page, before)
    expect(page.locator("#mask").get_by_role("button", name="Left")).to_have_attribute("aria-pressed", "true")
    left = drawn(page, tmp_path)
    third = left.shape[1] // 3
    assert (left[:, :third] == 1).all() and (left[:, -third:] == 0).all()
    press(page, "Bottom")
    bottom = drawn(page, tmp_path)
    assert (bottom[: len(bottom) // 3] == 0).all() and (bottom[-len(bottom) // 3 :] == 1).all()
    press(page, "Centre")
    centre = drawn(page, tmp_path)
    assert centre[len(centre) // 2, centre.shape[1] // 2] == 1 and centre[0].max() == 0
    press(page, "Everywhere")
    assert read_recipe(read_note(download(page, tmp_path))).get("mask", "") == ""
    expect(page.get_by_role("button", name="As drawn")).to_be_hidden()
    press(page, "Undo")
    expect(page.get_by_role("button", name="Centre")).to_have_attribute("aria-pressed", "true")


def test_a_link_and_a_picture_bring_the_mask_back(two: "Page", app_url: str, tmp_path: Path) -> None:
    page = two
    draw(page, (0.3, 0.3), (0.5, 0.6))
    mask, file = drawn(page, tmp_path), tmp_path / "painted.png"
    link = copied(page)
    said = parse_qs(urlsplit(link).query)["mask"][0]
    assert len(link) < 4000 and said == read_recipe(read_note(file))["mask"]
    for bring in (lambda: page.goto(link), lambda: page.locator("#photo input[type=file]").set_input_files(file)):
        page.evaluate("localStorage.clear(), sessionStorage.clear()")  # nor is the photograph there again
        page.goto(f"{app_url}/?style=first-style")
        expect(page.locator("#styles input[value=first-style]")).to_be_checked()
        expect(page.locator("#mask .panel")).to_be_hidden()
        bring()
        expect(page.get_by_text("Where it shows")).to_be_visible()
        page.get_by_role("button", name="tower").first.click()
        expect(page.locator("#info")).to_contain_text(" + ")
        expect(page.locator("#mask").get_by_role("button", name="Invert")).to_be_enabled()
        (tmp_path / "again").mkdir(exist_ok=True)
        np.testing.assert_array_equal(drawn(page, tmp_path / "again"), mask)
        expect(page.get_by_role("button", name="Everywhere")).to_have_attribute("aria-pressed", "false")
    # And it is there to be drawn on.
    page.locator("#mask canvas").scroll_into_view_if_needed()
    draw(page, (0.7, 0.8), (0.8, 0.8))

    def stroke() -> float:
        more = drawn(page, tmp_path)
        return float(more[int(0.8 * len(more)), int(0.75 * more.shape[1])])

    wait_until(lambda: stroke() == 1)  # the picture that came first may have been the photograph's
    more = drawn(page, tmp_path)
    assert np.abs(more - mask)[: len(mask) // 2].max() < 0.2


@pytest.mark.parametrize("mask", ["<b>nothing</b>", "iVBORw0KGgo" + MAX_MASK_LENGTH * "A"], ids=["none", "long"])
def test_a_broken_mask_in_a_link_is_dropped_and_said(blank: "Page", app_url: str, mask: str) -> None:
    page = blank
    page.goto(f"{app_url}/?style=second-style&second=first-style&mix=0.7&mask={mask}")
    expect(page.get_by_test_id("toast-text")).to_contain_text("a PNG of at most 64 × 64 pixels")
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()
    expect(page.locator("#mix input[type=range]")).to_have_value("0.7")
    everywhere = page.locator("#mask").get_by_role("button", name="Everywhere")
    expect(everywhere).to_have_attribute("aria-pressed", "true")
