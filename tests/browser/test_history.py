"""What somebody made and chose is found again in their browser, and nowhere else."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from picking import pick, pick_for_good, pick_option
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


def paint(page: "Page", style: str, pictures: int) -> None:
    pick(page.locator(f"#styles input[value={style}]"))
    if not page.locator("#photo img").count():
        page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#history .strip button")).to_have_count(pictures)


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_pictures_are_found_again_opened_used_and_forgotten(page: "Page") -> None:
    expect(page.get_by_text("Your latest pictures")).to_be_hidden()
    pick(page.get_by_role("radio", name="Broad"))
    paint(page, "first-style", 1)
    pick(page.locator("#styles input[value=second-style]"))
    page.locator("#history .strip button").click()
    expect(page.locator("#history .strip button")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(page.locator("#history .strip button").last).to_be_focused()  # which it was opened by, before the other came
    pick_for_good(page.get_by_role("radio", name="Photograph", exact=True))  # touched up, and no other picture
    expect(page.locator("#info")).to_contain_text("Second")
    page.reload()
    expect(page.locator("#history .strip button")).to_have_count(2)
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()
    for name in ("Photograph", "Broad"):
        expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()

    page.locator("#history .strip button").last.click()
    dialog = page.locator("#history dialog")
    expect(dialog).to_contain_text("First Style")
    expect(dialog.locator("img")).to_have_js_property("naturalHeight", 512)
    saved = list[str]()
    page.on("download", lambda one: saved.append(one.suggested_filename))
    dialog.get_by_role("link", name="Download PNG").dblclick()  # which is once
    page.wait_for_timeout(500)  # a second would come
    assert saved == ["tower-first-style.png"]
    dialog.get_by_role("button", name="Close").click()
    pick_option(page.get_by_label("A second style").first, "Second")
    expect(page.get_by_label("A second style").first).not_to_have_value("None")
    page.locator("#history .strip button").last.click()
    before = page.evaluate("localStorage.repaint")
    dialog.get_by_role("button", name="Use its settings").click()
    expect(page.locator("#stage")).to_be_focused()
    expect(page.locator("#stage")).to_be_in_viewport()
    expect(page.locator("#styles input[value=first-style]")).to_be_checked()
    expect(page.get_by_label("A second style").first).to_have_value("None")  # so it was made
    expect(page.get_by_role("radio", name="Painting", exact=True)).to_be_checked()
    page.wait_for_function("before => localStorage.repaint !== before", arg=before)
    page.reload()  # its settings are those of the browser, too
    expect(page.locator("#styles input[value=first-style]")).to_be_checked()
    expect(page.locator("#history .strip button")).to_have_count(2)

    other = page.context.new_page()
    other.goto(page.url)
    other.locator("#history .strip button").first.click()
    page.bring_to_front()
    page.locator("#history .strip button").first.click()
    dialog.get_by_role("button", name="Forget it").click()
    expect(page.locator("#history .strip button")).to_have_count(1)
    expect(page.locator("#history .strip button")).to_be_focused()
    page.get_by_role("button", name="Forget them").dblclick()  # which is once
    expect(page.get_by_role("status").filter(has_text="All of them?")).to_have_count(1)
    page.wait_for_timeout(500)
    expect(page.locator("#history .strip button")).to_have_count(1)
    expect(other.locator("#history .strip button")).to_have_count(1)
    expect(other.locator("#history dialog")).to_be_hidden()
    page.get_by_role("button", name="All of them?").click()
    expect(page.get_by_text("Your latest pictures")).to_be_hidden()
    expect(page.locator("#history")).to_be_focused()
    page.reload()
    expect(page.locator("#styles label").first).to_be_visible()
    expect(page.get_by_text("Your latest pictures")).to_be_hidden()
    expect(other.get_by_text("Your latest pictures")).to_be_hidden()
    known = [tab.evaluate("sessionStorage.forgotten") for tab in (page, other)]  # what no reload brings back
    assert known[0] and known[0] == known[1]


def shares(page: "Page", allowed: str) -> None:
    """A browser with a dialog to share files, which tells the page's ``shared`` of them; this one has none."""
    page.add_init_script(f"""
        navigator.canShare = ({{ files }}) => files.length === 1 && files[0].type.startsWith("image/");
        navigator.share = async ({{ files: [file] }}) => {{
            if (!{allowed}) throw new DOMException("no", {allowed} === null ? "AbortError" : "NotAllowedError");
            const {{ width, height }} = await createImageBitmap(file);
            window.shared = [file.name, file.type, width, height];
        }};
    """)


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_picture_is_shared_where_the_browser_can(page: "Page", app_url: str) -> None:
    paint(page, "first-style", 1)
    expect(page.locator("#download")).to_be_visible()
    expect(page.locator("#share")).to_be_hidden()
    shares(page, "true")
    page.goto(app_url)
    expect(page.locator("#share")).to_be_hidden()  # there is nothing yet
    paint(page, "second-style", 2)
    page.locator("#share").click()
    page.wait_for_function("window.shared")
    assert page.evaluate("shared") == ["tower-second-style.jpg", "image/jpeg", 322, 512]
    page.evaluate("window.shared = null")
    page.locator("#history .strip button").last.click()
    page.locator("#history dialog").get_by_role("button", name="Share").click()
    page.wait_for_function("window.shared")
    assert page.evaluate("shared") == ["tower-first-style.png", "image/png", 322, 512]


@pytest.mark.parametrize(("allowed", "words"), [("null", "Share"), ("false", "Could not share")])
def test_whoever_does_not_share_is_told_why_or_has_their_way(
    blank: "Page", app_url: str, allowed: str, words: str
) -> None:
    page = blank
    shares(page, allowed)
    page.goto(app_url)
    paint(page, "first-style", 1)
    page.locator("#share").click()
    expect(page.locator("#share")).to_have_text(words)


def test_a_link_counts_for_more_than_what_the_browser_remembers(page: "Page", app_url: str) -> None:
    pick_for_good(page.locator("#styles input[value=second-style]"))
    pick_for_good(page.get_by_role("radio", name="Bold"))
    page.goto(f"{app_url}/?__theme=dark&utm_source=x")
    expect(page.get_by_role("radio", name="Bold")).to_be_checked()
    page.goto(f"{app_url}/?stroke=2")
    expect(page.get_by_role("radio", name="Broad")).to_be_checked()
    expect(page.locator("#styles input[value=first-style]")).to_be_checked()
    # It does not once something was changed.
    pick_for_good(page.get_by_role("radio", name="Fine"))
    expect(page).to_have_url(f"{app_url}/")
    page.reload()
    expect(page.get_by_role("radio", name="Fine")).to_be_checked()


def choose(page: "Page", place: str, file: Path) -> None:
    page.locator(f"#{place} input[type=file]").set_input_files(file)
    expect(page.locator(f"#{place} img")).to_have_attribute("src", re.compile(file.name))


@pytest.mark.slow
def test_what_was_chosen_is_there_again_in_its_tab_alone(page: "Page", app_url: str, tmp_path: Path) -> None:
    colors = {name: tmp_path / f"{name}.png" for name in ("teal", "maroon", "navy")}
    for name, file in colors.items():
        Image.new("RGB", (90, 60), name).save(file)
    choose(page, "photo", colors["maroon"])
    choose(page, "photo", colors["teal"])
    expect(page.locator("#result img").last).to_have_attribute("src", re.compile("teal-first-style"))
    page.goto(f"{app_url}/?style=second-style")
    expect(page.locator("#result img").last).to_have_attribute("src", re.compile("teal-second-style"))
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("teal"))
    other = page.context.new_page()
    other.goto(app_url)
    expect(other.locator("#styles label").first).to_be_visible()

    page.get_by_role("tab", name="Advanced").click()
    page.locator("#contents button").first.click()
    expect(page.locator("#content img")).to_have_attribute("src", re.compile("lion"))
    choose(page, "painting", colors["navy"])
    page.wait_for_timeout(500)
    page.reload()
    page.get_by_role("tab", name="Advanced").click()
    expect(page.locator("#content img")).to_have_attribute("src", re.compile("lion"))
    expect(page.locator("#painting img")).to_have_attribute("src", re.compile("navy"))
    page.get_by_role("tab", name="Repaint").click()
    expect(page.locator("#result img").last).to_have_attribute("src", re.compile("teal"))
    assert other.locator("#photo img, #result img").count() == 0

    page.locator("#photo").get_by_label("Remove Image").click()
    expect(page.locator("#result img")).to_have_count(0)
    page.reload()
    page.get_by_role("tab", name="Advanced").click()
    expect(page.locator("#painting img")).to_have_attribute("src", re.compile("navy"))
    assert page.locator("#photo img, #result img").count() == 0

    page.get_by_role("tab", name="Repaint").click()
    (tmp_path / "my photo (1).png").write_text("I am a text.")
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "my photo (1).png")
    expect(page.locator("#info .wrong")).to_contain_text("'my photo (1).png'")
    page.reload()  # what was refused would be again
    page.get_by_role("tab", name="Advanced").click()
    expect(page.locator("#painting img")).to_have_attribute("src", re.compile("navy"))
    assert page.locator("#photo img").count() == 0


def test_a_browser_that_stores_no_blobs_keeps_pictures_as_well(blank: "Page", app_url: str, tmp_path: Path) -> None:
    page = blank
    page.add_init_script("""
        const put = IDBObjectStore.prototype.put;
        IDBObjectStore.prototype.put = function (value) {
            if (value.file instanceof Blob) throw new DOMException("no", "DataCloneError");
            return put.call(this, value);
        };
    """)
    page.goto(app_url)
    Image.new("RGB", (90, 60), "teal").save(tmp_path / "teal.png")
    choose(page, "photo", tmp_path / "teal.png")
    expect(page.locator("#history .strip button")).to_have_count(1)
    page.reload()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("teal.png"))
    page.locator("#history .strip button").click()
    expect(page.locator("#history dialog")).to_contain_text("First Style")
    expect(page.locator("#history dialog img")).to_have_js_property("naturalWidth", 512)
    page.locator("#history dialog .close").click()
    page.locator("#photo").get_by_label("Remove Image").click()
    expect(page.locator("#result img")).to_have_count(0)
    page.reload()
    expect(page.locator("#history .strip button")).to_have_count(1)
    assert page.locator("#photo img").count() == 0


@pytest.mark.slow
def test_what_is_there_again_changes_nothing_else(page: "Page", tmp_path: Path) -> None:
    page.locator("#examples button").first.click()
    with page.expect_download() as downloaded:
        page.locator("#download").click()
    downloaded.value.save_as(file := tmp_path / "made.png")
    choose(page, "photo", file)
    expect(page.get_by_test_id("toast-text")).to_contain_text("The settings are now those")
    expect(page.locator("#history .strip button")).to_have_count(2)
    pick_for_good(page.locator("#styles input[value=second-style]"))
    expect(page.locator("#history .strip button")).to_have_count(3)
    page.get_by_role("button", name="Forget them").click()
    page.get_by_role("button", name="All of them?").click()
    page.reload()
    expect(page.locator("#result img").last).to_have_attribute("src", re.compile("made-second-style"))
    page.wait_for_timeout(2000)
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()
    expect(page.get_by_test_id("toast-text")).to_have_count(0)
    expect(page.locator("#history .strip button")).to_have_count(0)
    pick_for_good(page.get_by_role("radio", name="Broad"))
    expect(page.locator("#history .strip button")).to_have_count(1)


@pytest.mark.slow
def test_what_is_forgotten_does_not_come_back(page: "Page") -> None:
    """Neither when it is on its way, nor when the page is loaded again."""
    paint(page, "first-style", 1)
    held: list[Route] = []
    page.route(re.compile(r"second-style\.png"), lambda route: held.append(route))
    with page.expect_request(re.compile(r"second-style\.png")):
        pick(page.locator("#styles input[value=second-style]"))
    page.get_by_role("button", name="Forget them").click()
    page.get_by_role("button", name="All of them?").click()
    expect(page.get_by_text("Your latest pictures")).to_be_hidden()
    held[0].continue_()
    page.wait_for_timeout(1000)  # it would come
    expect(page.get_by_text("Your latest pictures")).to_be_hidden()

    page.unroute(re.compile(r"second-style\.png"))
    page.get_by_role("radio", name="Broad").click()
    expect(page.locator("#history .strip button")).to_have_count(1)
    paint(page, "first-style", 2)
    for left in (1, 0):
        page.locator("#history .strip button").first.click()
        page.locator("#history dialog").get_by_role("button", name="Forget it").click()
        expect(page.locator("#history .strip button")).to_have_count(left)
    page.reload()
    expect(page.locator("#result img")).to_have_count(2)
    page.wait_for_timeout(2000)
    expect(page.get_by_text("Your latest pictures")).to_be_hidden()


def test_pictures_stand_in_the_order_of_making_not_of_arriving(page: "Page") -> None:
    held: list[Route] = []
    page.route(re.compile(r"first-style\.png"), lambda route: held.append(route))
    with page.expect_request(re.compile(r"first-style\.png")):
        page.get_by_role("button", name="tower").first.click()
    paint(page, "second-style", 1)
    held[0].continue_()
    pictures = page.locator("#history .strip img")
    expect(pictures).to_have_count(2)
    expect(pictures.first).to_have_attribute("alt", re.compile("Second"))


def test_where_nothing_can_be_kept_nothing_is_said_of_it(blank: "Page", app_url: str) -> None:
    page = blank
    page.add_init_script("BroadcastChannel = class { constructor() { throw new DOMException('', 'SecurityError'); } };")
    for memory in ("localStorage", "sessionStorage", "indexedDB"):
        refuse = "() { throw new DOMException('', 'SecurityError'); }"
        page.add_init_script(f"Object.defineProperty(window, '{memory}', {{ configurable: true, get{refuse} }})")
    page.goto(app_url)
    page.locator("#examples button").first.click()
    expect(page.locator("#result img")).to_have_count(2)
    expect(page.get_by_text("Your latest pictures")).to_be_hidden()


def test_what_is_transparent_is_on_white_and_a_broken_connection_raises_nothing(page: "Page", tmp_path: Path) -> None:
    Image.new("RGBA", (90, 60)).save(tmp_path / "clear.png")
    choose(page, "photo", tmp_path / "clear.png")
    small = page.locator("#history .strip img")
    expect(small).to_have_count(1)
    assert small.evaluate("""async (image) => {
        await image.decode();
        const drawing = document.createElement("canvas").getContext("2d");
        drawing.drawImage(image, 0, 0);
        return drawing.getImageData(9, 9, 1, 1).data.every((value) => value > 250);
    }""")
    broken: list[str] = []

    def lost(route: "Route") -> None:
        broken.append(route.request.url)
        route.abort()

    page.route(re.compile(r"second-style\.png"), lost)
    pick(page.locator("#styles input[value=second-style]"))
    expect(page.locator("#result img").last).to_have_attribute("src", re.compile("second-style"))
    page.wait_for_timeout(1000)
    assert broken
    expect(small).to_have_count(1)
