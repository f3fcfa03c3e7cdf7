"""A link says how the page opens; what is wrong in it is dropped, and that is said."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import serving
from picking import pick, pick_for_good, pick_option, unfold

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
STRENGTH = "#strength input[type=range]"


def test_a_link_sets_what_it_says(blank: "Page", app_url: str) -> None:
    page = blank
    page.goto(f"{app_url}/?style=second-style&strength=0.35&color=photo&size=512&stroke=2")
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()
    expect(page.locator(STRENGTH)).to_have_value("0.35")
    for name in ("Photograph", "512", "Broad"):
        expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()


@pytest.mark.parametrize("blank", ["desktop", "phone"], indirect=True)
def test_the_style_of_a_link_is_in_sight(blank: "Page", app_url: str) -> None:
    page = blank
    wide = "@media (max-width: 768px) { .contain #styles#styles label { flex-basis: 340px } }"
    tall = "@media (min-width: 769px) { .contain #styles#styles .wrap { grid: auto / 120px; max-height: 200px } }"
    sheet = f"document.body.insertAdjacentHTML('beforeend', '<style>{wide} {tall}</style>')"
    page.add_init_script(f"addEventListener('DOMContentLoaded', () => {sheet})")
    page.goto(f"{app_url}/?style=second-style")
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()
    expect(page.locator("#styles label", has_text="Second")).to_be_in_viewport(ratio=0.7)
    assert page.evaluate("scrollY") == 0


def test_what_is_wrong_in_a_link_is_dropped_and_said(blank: "Page", app_url: str) -> None:
    page = blank
    page.goto(f"{app_url}/?style=secnd-style&second=nobody&strength=7&size=513&stroke=2&color=<b>red</b>&other=1")
    expect(page.get_by_role("radio", name="Broad", exact=True)).to_be_checked()
    for words in (
        "There is no style 'secnd-style'; did you mean second-style",
        "There is no style 'nobody'",
        "There is no size 513: choose one of 512.",
        "'style' or 'photo'",
        "The strength should be a number from 0 to 1, not 7",
    ):
        expect(page.get_by_text(words).first).to_be_visible()
    expect(page.locator("#styles input[value=first-style]")).to_be_checked()
    expect(page.locator(STRENGTH)).to_have_value("1")
    assert page.locator("b", has_text="red").count() == 0


def test_a_number_beyond_the_end_of_a_slider_is_its_end_and_remembered_so(page: "Page") -> None:
    assert page.locator("[aria-label*=Reset i]").count() == 0  # of which nothing here would hear
    pick_for_good(page.locator("#styles input[value=second-style]"))
    before = page.evaluate("localStorage.repaint")
    page.get_by_role("spinbutton", name="Strength").first.fill("5")
    page.wait_for_timeout(300)
    page.keyboard.press("Tab")
    page.wait_for_function("before => localStorage.repaint !== before", arg=before)
    page.reload()
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()  # all that is remembered is there
    expect(page.locator(STRENGTH)).to_have_value("1")
    page.wait_for_timeout(1000)
    assert page.get_by_test_id("toast-text").count() == 0


def test_a_tab_that_was_linked_to_does_not_come_back_once_it_was_left(blank: "Page", app_url: str) -> None:
    page = blank
    page.goto(f"{app_url}/?tab=video&strength=0.5")
    expect(page.get_by_role("tab", name="Video")).to_have_attribute("aria-selected", "true")
    pick_for_good(page.get_by_role("radio", name="Film", exact=True), "video")
    page.get_by_role("tab", name="Repaint").click()
    page.reload()
    expect(page.get_by_role("tab", name="Repaint")).to_have_attribute("aria-selected", "true")
    page.wait_for_timeout(1000)
    expect(page.get_by_role("tab", name="Repaint")).to_have_attribute("aria-selected", "true")


def test_a_safari_of_iphones_that_get_no_newer_one_is_enough(blank: "Page", app_url: str) -> None:
    blank.add_init_script("delete Element.prototype.checkVisibility; delete URLSearchParams.prototype.size")
    blank.goto(f"{app_url}/?tab=repaint&strength=0.5")
    pick_for_good(blank.get_by_role("radio", name="Photograph", exact=True))
    expect(blank).to_have_url(f"{app_url}/")
    blank.evaluate("delete Navigator.prototype.clipboard")
    blank.get_by_role("button", name="Link to settings").click()
    expect(blank.get_by_role("status").filter(has_text="Link copied")).to_have_count(1)


def test_a_tab_that_there_is_not_is_said(blank: "Page", app_url: str) -> None:
    page = blank
    page.goto(f"{app_url}/?tab=nowhere<b>")
    words = "There is no tab 'nowhere<b>': the tabs are repaint, live, video, advanced, contribute, about."
    expect(page.get_by_test_id("toast-text")).to_have_text(words)
    expect(page.get_by_role("tab", name="Repaint")).to_have_attribute("aria-selected", "true")


def test_a_link_that_is_copied_opens_the_page_as_it_was(page: "Page", app_url: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    pick(page.locator("#styles input[value=second-style]"))
    for name in ("Photograph", "512", "Broad"):
        pick(page.get_by_role("radio", name=name, exact=True))
    pick_option(page.get_by_label("A second style"), "First")
    page.get_by_role("button", name="Link to settings").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Link copied")).to_have_count(1)
    link = page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(f"{app_url}/?tab=repaint&style=second-style&")
    expect(page.get_by_role("button", name="Link to settings")).to_be_visible()
    page.goto(link)
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()
    expect(page.get_by_label("A second style")).to_have_value(re.compile("First"))
    for name in ("Photograph", "512", "Broad"):
        expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()


def test_a_link_to_the_other_tab_has_its_whole_recipe(page: "Page", app_url: str) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("tab", name="Advanced").click()
    pick(page.get_by_role("radio", name="From noise"))
    expect(page.get_by_text("steps of L-BFGS from noise")).to_be_visible()
    pick(page.get_by_role("radio", name="a fast style"))
    pick_option(page.get_by_label("The fast style"), "Second")
    unfold(page, "Weights, optimiser")
    pick(page.get_by_role("radio", name="Adam"))
    page.get_by_label("Seed of the noise").fill("7")
    page.get_by_role("button", name="Link to settings").locator("visible=true").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    expect(page.get_by_role("tab", name="Advanced")).to_have_attribute("aria-selected", "true")
    unfold(page, "Weights, optimiser")
    for name in ("From noise", "a fast style", "Adam"):
        expect(page.get_by_role("radio", name=name)).to_be_checked()
    expect(page.get_by_label("Seed of the noise")).to_have_value("7")
    expect(page.get_by_label("The fast style")).to_have_value(re.compile("Second"))
    expect(page.get_by_text("steps of Adam from a fast style")).to_be_visible()


def test_a_link_opens_a_preset(blank: "Page", app_url: str) -> None:
    page = blank
    page.goto(f"{app_url}/?tab=advanced&preset=neural-style")
    expect(page.get_by_role("radio", name="Neural-style")).to_be_checked()
    expect(page.get_by_text("at most 1000 steps of L-BFGS from noise; content 5 to style 100000")).to_be_visible()


def test_the_browser_remembers_the_settings_of_the_other_tab(blank: "Page", app_url: str) -> None:
    page = blank
    page.goto(f"{app_url}/?tab=advanced&preset=paper&optimizer=adam&strength=0.5")
    expect(page.get_by_role("radio", name="The paper")).to_be_checked()
    pick_for_good(page.get_by_role("radio", name="From noise"), "advanced")
    unfold(page, "Weights, optimiser")
    expect(page.get_by_role("radio", name="L-BFGS")).to_be_checked()  # as the preset has it
    pick_for_good(page.get_by_role("radio", name="SGD"), "advanced")
    assert page.url == f"{app_url}/?tab=advanced&strength=0.5"  # of what the address said, no other tab's is forgotten
    page.reload()
    expect(page.get_by_role("radio", name="From noise")).to_be_checked()
    unfold(page, "Weights, optimiser")
    expect(page.get_by_role("radio", name="SGD")).to_be_checked()
    expect(page.get_by_text("steps of SGD from noise")).to_be_visible()


def test_the_browser_remembers_how_films_are_painted(blank: "Page", app_url: str) -> None:
    page = blank
    page.goto(f"{app_url}/?tab=video&style=secnd-style&strength=0.5")
    expect(page.get_by_text("There is no style 'secnd-style'; did you mean second-style").first).to_be_visible()
    expect(page.get_by_role("spinbutton", name="Strength").locator("visible=true")).to_have_value("0.5")
    pick_option(page.locator("#film-style input"), "Second")
    pick_option(page.get_by_label("A second style").locator("visible=true"), "First")
    mix = page.get_by_role("spinbutton", name="How much of it").locator("visible=true")
    mix.fill("0.2")
    mix.press("Tab")
    page.wait_for_timeout(500)
    pick_for_good(page.get_by_role("radio", name="320", exact=True), "video")
    assert page.url == f"{app_url}/"
    page.get_by_role("tab", name="Repaint").click()
    page.goto(app_url)  # the tab is laid out when it is opened
    page.get_by_role("tab", name="Video").click()
    expect(page.locator("#film-style input")).to_have_value(re.compile("Second"))
    expect(page.get_by_role("radio", name="320", exact=True)).to_be_checked()
    expect(page.get_by_label("A second style").locator("visible=true")).to_have_value(re.compile("First"))
    expect(mix).to_have_value("0.2")
    expect(page.get_by_role("spinbutton", name="Strength").locator("visible=true")).to_have_value("0.5")


def test_what_is_wrong_in_a_link_to_the_other_tab_is_dropped_and_said(blank: "Page", app_url: str) -> None:
    page = blank
    wrong = "size=100&steps=many&init=nothing&features=vgg&fast=nobody&content_weight=-1&optimizer=adam"
    page.goto(f"{app_url}/?tab=advanced&preset=speedy&{wrong}")
    for words in (
        "There is no preset 'speedy': choose one of quick",
        "There is no size 100: choose one of 128",
        "The steps on this server should be a whole number from 1",
        "not 'nothing'",
        "no feature network 'vgg'",
        "There is no style 'nobody'",
        "The content weight should be a number of at least 0, not -1",
    ):
        expect(page.get_by_text(words).first).to_be_visible()
    unfold(page, "Weights, optimiser")
    expect(page.get_by_role("radio", name="Adam")).to_be_checked()
    expect(page.get_by_role("radio", name="Quick look")).to_be_checked()


def test_a_link_is_copied_without_the_clipboard_that_http_lacks(page: "Page") -> None:
    page.evaluate("delete Navigator.prototype.clipboard")
    page.evaluate("addEventListener('copy', () => { window.copied = document.activeElement.value })")
    page.get_by_role("button", name="Link to settings").click()
    expect(page.get_by_role("button", name="Link copied")).to_be_visible()
    assert "style=first-style" in page.evaluate("window.copied")


def test_the_tab_that_was_left_is_found_again(page: "Page", app_url: str) -> None:
    page.get_by_role("tab", name="About").click()
    expect(page.get_by_role("tab", name="About")).to_have_attribute("aria-selected", "true")
    page.reload()
    expect(page.get_by_role("tab", name="About")).to_have_attribute("aria-selected", "true")
    page.goto(f"{app_url}/?fbclid=IwAR0&__theme=light")  # which others add to an address
    expect(page.get_by_role("tab", name="About")).to_have_attribute("aria-selected", "true")
    page.goto(f"{app_url}/?style=second-style")
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()
    expect(page.get_by_role("tab", name="Repaint")).to_have_attribute("aria-selected", "true")


@pytest.mark.parametrize("tab", ["live", "video"])
def test_a_link_opens_the_tab_that_it_names(blank: "Page", app_url: str, tab: str) -> None:
    page = blank
    page.goto(f"{app_url}/?tab={tab}&style=second-style&strength=0,5")
    expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
    if tab == "live":
        expect(page.locator("#live .styles input:checked")).to_have_value("second-style")
        page.goto(f"{app_url}/?tab=live&style=nobody")
        expect(page.get_by_test_id("toast-text")).to_contain_text("nobody")
    if tab == "video":
        said = "'strength' in this link should be a valid number."
        expect(page.get_by_test_id("toast-text")).to_have_text(said)
        expect(page.locator("#film-style input")).to_have_value(re.compile("Second"))


def test_a_tab_that_there_is_no_room_for_is_found_again(blank: "Page", app_url: str) -> None:
    page = blank
    page.set_viewport_size({"width": 320, "height": 640})
    page.goto(app_url)
    expect(page.locator("#styles label")).to_have_count(3)
    expect(page.get_by_role("tab")).to_have_count(6)
    page.set_viewport_size({"width": 280, "height": 640})
    page.locator(".overflow-menu > button").click()
    page.locator(".overflow-dropdown button", has_text="About").click()
    expect(page.get_by_text("A style is a small convolutional network")).to_be_visible()
    page.reload()
    expect(page.get_by_text("A style is a small convolutional network")).to_be_visible()


def test_a_picture_that_was_made_here_sets_the_page_as_it_was(page: "Page", tmp_path: Path) -> None:
    pick(page.locator("#styles input[value=second-style]"))
    for name in ("Photograph", "512", "Broad"):
        pick(page.get_by_role("radio", name=name, exact=True))
    page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#info")).to_contain_text("Second")
    download = page.get_by_role("link", name="Download PNG").or_(page.get_by_role("button", name="Download PNG"))
    expect(download.first).to_be_enabled()
    with page.expect_download() as downloaded:
        download.first.click()
    downloaded.value.save_as(tmp_path / "painted.png")
    page.evaluate("localStorage.clear(), sessionStorage.clear()")  # where settings and photographs are remembered
    page.reload()
    expect(page.locator("#styles input[value=first-style]")).to_be_checked()
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "painted.png")
    expect(page.get_by_text("The settings are now those")).to_be_visible()
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()
    for name in ("Photograph", "512", "Broad"):
        expect(page.get_by_role("radio", name=name, exact=True)).to_be_checked()
    expect(page.locator("#info")).to_contain_text("Second")


def test_within_another_page_a_link_does_not_have_its_way_twice(blank: "Page", app_url: str) -> None:
    page = blank
    page.goto(f"{app_url}/theme.css")  # a browser lets a page of nowhere frame nothing of this machine
    around = f'<iframe src="{app_url}/?style=second-style&strength=0.5" width="1280" height="800"></iframe>'
    page.set_content(around)
    frame = page.frame_locator("iframe")
    expect(frame.locator("#styles input[value=second-style]")).to_be_checked()
    page.wait_for_timeout(1000)
    pick(frame.locator("#styles input[value=first-style]"))
    page.wait_for_function("frames[0].location.search === ''")
    page.wait_for_timeout(500)
    page.set_content("<p>In between.</p>")
    page.set_content(around)  # as it is loaded again: the page around it has its address still
    expect(frame.locator("#styles input[value=first-style]")).to_be_checked()
    expect(frame.locator("#strength input[type=number]")).to_have_value("0.5")
    page.set_content(around.replace("0.5", "0.6"))  # another link
    expect(frame.locator("#styles input[value=second-style]")).to_be_checked()


@pytest.mark.slow
def test_within_the_page_of_a_space_the_link_is_that_of_the_space(
    browser: "Browser", registry_file: Path, tmp_path: Path
) -> None:
    settings = {"NST_REGISTRY": str(registry_file), "SPACE_ID": "someone/repaint", "HF_HUB_OFFLINE": "1"}
    with serving(tmp_path, os.environ | settings) as url:
        page = browser.new_page()
        page.goto(f"{url}/theme.css")  # a browser lets a page of nowhere frame nothing of this machine
        page.set_content(f'<iframe src="{url}" allow="clipboard-write" width="1280" height="800"></iframe>')
        frame = page.frame_locator("iframe")
        button = frame.get_by_role("button", name="Link to settings")
        expect(button).to_be_visible()
        inside = page.frames[1]
        inside.evaluate("delete Navigator.prototype.clipboard")
        inside.evaluate("addEventListener('copy', () => { window.copied = document.activeElement.value })")
        button.click()
        expect(frame.get_by_role("button", name="Link copied")).to_be_visible()
        link = inside.evaluate("window.copied")
        page.close()
    assert link.startswith("https://huggingface.co/spaces/someone/repaint?tab=repaint&style=first-style")
