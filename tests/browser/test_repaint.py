"""A person at the page: choose, look, change their mind, download."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from gradio_client import Client, handle_file
from made_registry import MAX_SIDE, TITLES
from PIL import Image, ImageDraw

from nst_core.images import open_picture
from nst_core.registry import Registry
from nst_core.stylization import stylize

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page, Route

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    picture = Image.linear_gradient("L").resize((200, 140)).convert("RGB")
    ImageDraw.Draw(picture).ellipse((40, 20, 120, 120), fill="orange", outline="navy")
    exif = Image.Exif()
    exif[274] = 6  # the top of the picture is to the right
    path = tmp_path / "my holiday.jpg"
    picture.save(path, exif=exif)
    return path


def choose(page: "Page", photo: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#photo").get_by_role("button").first.click()
    chooser.value.set_files(photo)


def download(page: "Page", folder: Path) -> Path:
    with page.expect_download() as found:
        page.locator("#download").click()
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    return path


def wait_for(page: "Page", words: str, but_not: str | None = None) -> str:
    """The line under the picture, once it says so and the picture is there."""
    expect(page.locator("#info")).to_contain_text(words)
    expect(page.locator("#result img")).to_have_count(2)
    return page.locator("#info").inner_text()


def set_strength(page: "Page", value: float) -> str:
    """Move the slider; gives the address of the picture that is shown after."""
    picture = page.locator("#result img").last
    before = picture.get_attribute("src")
    page.locator("#strength input[type=range]").fill(str(value))
    expect(picture).not_to_have_attribute("src", before or "")
    return picture.get_attribute("src") or ""


@pytest.mark.parametrize("page", ["desktop", "phone"], indirect=True)
def test_repaint_change_download(page: "Page", photo: Path, registry_file: Path, tmp_path: Path) -> None:
    registry = Registry.load(registry_file)
    original = open_picture(photo)

    choose(page, photo)
    wait_for(page, f"{MAX_SIDE} px")
    page.get_by_label("Original", exact=True).click()
    wait_for(page, "140 × 200 px")  # upright
    before = page.locator("#result img").first.get_attribute("src")

    page.locator("#styles label").nth(1).click()
    line = wait_for(page, TITLES["second-style"][0])
    assert TITLES["second-style"][1] in line  # as text, not as markup
    assert page.locator("#result img").first.get_attribute("src") == before
    seconds = re.findall(r"painted in [\d.]+ s", line)

    style = registry.open("second-style")
    for strength in (0.4, 0.0):
        set_strength(page, strength)
        assert re.findall(r"painted in [\d.]+ s", page.locator("#info").inner_text()) == seconds, (
            "the network ran again"
        )
        file = download(page, tmp_path)
        assert file.name == "my-holiday-second-style.png"
        expected = stylize(original, style, strength=strength)
        np.testing.assert_array_equal(np.asarray(Image.open(file)), np.asarray(expected))

    for choice in ("Photograph", "Broad"):
        earlier = page.locator("#result img").last.get_attribute("src") or ""
        page.get_by_label(choice, exact=True).click()
        expect(page.locator("#result img").last).not_to_have_attribute("src", earlier)
    expected = stylize(original, style, strength=0.0, color="photo", stroke=2.0)
    np.testing.assert_array_equal(np.asarray(Image.open(download(page, tmp_path))), np.asarray(expected))
    saved = list[str]()
    page.on("download", lambda one: saved.append(one.suggested_filename))
    page.locator("#download").dblclick()
    page.wait_for_timeout(500)  # a second would come
    assert len(saved) == 1

    for tab in ("About", "Repaint"):
        page.get_by_role("tab", name=tab).click()
        width, scroll = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
        assert scroll <= width


def test_a_second_style_is_laid_over_the_first(page: "Page", photo: Path, registry_file: Path, tmp_path: Path) -> None:
    choose(page, photo)
    wait_for(page, TITLES["first-style"][0])
    page.get_by_label("A second style").click()
    page.get_by_role("option").nth(2).click()
    wait_for(page, f"{TITLES['first-style'][0]}, {TITLES['first-style'][1]} + {TITLES['second-style'][0]}")
    registry = Registry.load(registry_file)
    first, second = registry.open("first-style"), registry.open("second-style")
    file = download(page, tmp_path)
    expected = stylize(open_picture(photo), first, second=second, size=MAX_SIDE)
    np.testing.assert_array_equal(np.asarray(Image.open(file)), np.asarray(expected))


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_an_example_is_one_click(page: "Page") -> None:
    page.locator("#examples button").first.click()
    wait_for(page, f"{MAX_SIDE} × {MAX_SIDE} px")
    expect(page.locator("#result img").last).to_have_js_property("naturalWidth", MAX_SIDE)
    page.locator("#photo").get_by_label("Clear").or_(page.locator("#photo").get_by_label("Remove Image")).click()
    expect(page.locator("#result img")).to_have_count(0)
    expect(page.locator("#info")).to_be_empty()
    expect(page.get_by_role("button", name="Download PNG")).to_be_disabled()


def test_the_picture_is_in_sight_on_a_low_screen(page: "Page", photo: Path) -> None:
    choose(page, photo)
    wait_for(page, TITLES["first-style"][0])
    for style, width, height in (("second-style", 667, 375), ("first-style", 640, 400)):
        page.set_viewport_size({"width": width, "height": height})
        page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
        page.locator(f"#styles input[value={style}]").locator("..").click()
        wait_for(page, TITLES[style][0])
        page.wait_for_timeout(1000)  # a page that scrolls takes its time
        expect(page.locator("#result")).to_be_in_viewport(ratio=0.7)


def test_the_handle_is_whole_on_a_strip(page: "Page", tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((2000, 50)).convert("RGB").save(tmp_path / "strip.png")
    choose(page, tmp_path / "strip.png")
    wait_for(page, TITLES["first-style"][0])
    page.wait_for_function("""() => {
        const handle = document.querySelector("#result .icon-wrap"), { x, y, width } = handle.getBoundingClientRect();
        return handle.parentElement.contains(document.elementFromPoint(x + width / 2, y + 2));
    }""")


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_refusal_is_shown_as_a_sentence_and_nothing_is_lost(page: "Page", photo: Path, tmp_path: Path) -> None:
    choose(page, photo)
    wait_for(page, TITLES["first-style"][0])
    page.locator("#styles label").nth(2).click()
    wrong = page.locator("#info .wrong")
    expect(wrong).to_contain_text("model.safetensors")
    expect(wrong).to_be_in_viewport()
    expect(page.locator("#photo img")).to_be_visible()
    page.locator("#styles label").nth(1).click()
    wait_for(page, TITLES["second-style"][0])
    text = tmp_path / "<b>holiday.jpg"
    text.write_text("I am a text.")
    page.locator("#photo input[type=file]").set_input_files(text)
    # No other photograph's picture is there to be taken for this one's.
    expect(wrong).to_have_text(re.compile(r"^[^/]+\.$"))  # a sentence, and no path
    expect(wrong).to_be_in_viewport()
    expect(wrong.locator("b")).to_have_count(0)
    page.wait_for_timeout(1000)
    assert not page.get_by_test_id("toast-text").count()  # it is said once
    assert not page.get_by_text("Error", exact=True).is_visible()
    expect(page.locator("#photo img")).to_be_hidden()  # no broken picture
    expect(page.locator("#result img")).to_have_count(0)
    expect(page.get_by_role("button", name="Download PNG")).to_be_disabled()
    page.locator("#examples button").first.click()
    expect(page.locator("#photo img")).to_be_visible()


def test_styles_say_their_names(page: "Page") -> None:
    labels = page.locator("#styles label")
    assert labels.all_inner_texts() == [title for title, _ in TITLES.values()]
    said = "e => JSON.parse(getComputedStyle(e, '::after').content)"
    artists = [label.evaluate(said).replace("\u200b", "") for label in labels.all()]
    assert artists == [artist for _, artist in TITLES.values()]
    for label in labels.all():
        url = label.evaluate("e => getComputedStyle(e, '::before').backgroundImage.slice(5, -2)")
        assert page.request.get(url).headers["content-type"] == "image/webp"


def test_on_a_slow_network_it_is_seen_that_the_picture_is_of_another_style(page: "Page", photo: Path) -> None:
    choose(page, photo)
    wait_for(page, TITLES["first-style"][0])
    held: list[Route] = []
    page.route("**/*-second-style.*", lambda route: held.append(route))
    page.locator("#styles label").nth(1).click()
    wait_for(page, TITLES["second-style"][0])
    expect(page.locator("#result img.coming")).to_have_count(1)
    page.wait_for_timeout(1000)
    assert [route.request.url.rpartition(".")[2] for route in held] == ["jpg"]  # the history's comes after it
    with page.expect_request("**/*-second-style.png"):
        held[0].fallback()
    expect(page.locator("#result img.coming")).to_have_count(0)
    for route in held[1:]:  # what is held to the end is complained about in whatever runs by then
        route.fallback()


def test_who_waits_sees_the_line_and_may_change_their_mind(page: "Page", app_url: str, photo: Path) -> None:
    others = [Client(app_url, verbose=False) for _ in range(2)]  # a session has half of the places at most
    wish = {"style": "first-style", "size": MAX_SIDE, "api_name": "/stylize"}
    jobs = [other.submit(handle_file(photo), **wish) for _ in range(6) for other in others]
    while not jobs[-1].status().progress_data:
        page.wait_for_timeout(50)
    choose(page, photo)
    expect(page.locator("#info")).to_contain_text(re.compile(r"\d (person is|people are) ahead of you"))
    page.locator("#styles label").nth(1).click()
    wait_for(page, TITLES["second-style"][0])
    for job in jobs:
        job.result()
    page.wait_for_timeout(500)
    assert TITLES["second-style"][0] in page.locator("#info").inner_text()


def test_a_number_beyond_the_slider_is_its_end(page: "Page", photo: Path) -> None:
    choose(page, photo)
    wait_for(page, TITLES["first-style"][0])
    picture = page.locator("#result img").last
    whole = picture.get_attribute("src") or ""
    half = set_strength(page, 0.5)
    page.locator("#strength input[type=number]").fill("99")
    expect(picture).not_to_have_attribute("src", half)
    again = picture.get_attribute("src") or ""
    assert page.request.get(again).body() == page.request.get(whole).body()
    expect(page.locator("#info .wrong, [data-testid=toast-text]")).to_have_count(0)


def test_a_number_that_is_emptied_is_there_again(page: "Page", photo: Path) -> None:
    choose(page, photo)
    wait_for(page, TITLES["first-style"][0])
    half = set_strength(page, 0.5)
    strength = page.locator("#strength input[type=number]")
    strength.fill("")
    page.wait_for_timeout(1000)  # it would be painted
    expect(page.locator("#result img").last).to_have_attribute("src", half)
    strength.press("Tab")
    expect(strength).to_have_value("0.5")
    strength.fill("0")
    expect(page.locator("#result img").last).not_to_have_attribute("src", half)
    strength.fill("")
    strength.press("Enter")
    expect(strength).to_have_value("0.5")
    expect(page.locator("#strength input[type=range]")).to_have_value("0.5")


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_finger_on_the_picture_or_a_slider_scrolls_the_page_and_changes_nothing(page: "Page", photo: Path) -> None:
    if not page.evaluate("navigator.maxTouchPoints"):
        pytest.skip("no fingers here")
    choose(page, photo)
    wait_for(page, TITLES["first-style"][0])
    page.wait_for_timeout(1000)  # it scrolls to the styles by itself
    strength = page.locator("#strength input[type=range]")
    page.locator("#strength").evaluate("slider => slider.scrollIntoView({ block: 'center', behavior: 'instant' })")
    strength.evaluate("slider => slider.addEventListener('input', () => slider.dataset.moved = true)")
    swipe_up(page, strength)
    expect(strength).to_have_attribute("data-moved", "true")  # by the browser, as the finger came down
    expect(page.locator("#strength input[type=number]")).to_have_value("1")
    page.evaluate("document.querySelector('#stage').scrollIntoView({ behavior: 'instant' })")
    swipe_up(page, page.locator("#result img").last)


def swipe_up(page: "Page", place: "Locator") -> None:
    """Scroll the page with a finger that comes down on a place, a quarter of its width from its left."""
    before, box = page.evaluate("scrollY"), place.bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 2
    fingers = page.context.new_cdp_session(page)
    for number in range(11):
        point = {"x": x, "y": y - 12 * number}
        kind = "touchMove" if number else "touchStart"
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [point]})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function("before => scrollY > before + 50", arg=before)
