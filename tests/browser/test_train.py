"""A person trains a style: the curves grow, it is stopped, taken home, and tried on a photograph."""

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from made_optimization import made_picture
from made_page import launched_page
from picking import unfold
from waiting import wait_long, wait_until

from nst_core.recipe import Recipe
from nst_core.registry import Registry
from ui.files import KEEP_FILES_SECONDS
from ui.server import Page as Repaint

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

RECIPE = Recipe(steps=300, reconstruction_steps=0, batch_size=1, crop=64)


@pytest.fixture(scope="module")
def server(registry_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repaint]:
    """It has photographs to train on."""
    photos = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        made_picture(seed, (90, 70)).save(photos / f"{seed}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ui.training_service.TRIAL_STEPS", 2)
        patch.setattr("ui.training_service.TRIAL_SECONDS", 0.0)
        patch.setattr("nst_core.training_folder.PREVIEW_SIZE", 64)
        with launched_page(registry_file, tmp_path_factory.mktemp("page"), photos=photos, recipe=RECIPE) as page:
            yield page


@pytest.fixture(scope="module")
def app_url(server: Repaint) -> str:
    """In place of the app."""
    return str(server.local_url).rstrip("/")


@pytest.fixture
def training(page: "Page") -> "Page":
    page.get_by_role("tab", name="Advanced").click()
    unfold(page, "Train a style of your own")
    expect(page.locator("#training-viewer .hint")).to_be_visible()
    return page


def choose(page: "Page", place: str, file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator(place).get_by_role("button").first.click()
    chooser.value.set_files(file)
    expect(page.locator(f"{place} img")).to_be_visible()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_train_stop_take_home_try(training: "Page", server: Repaint, tmp_path: Path) -> None:
    page = training
    made_picture(9, (80, 60)).save(tmp_path / "blots.png")
    made_picture(7, (80, 60)).save(tmp_path / "holiday.png")
    choose(page, "#model", tmp_path / "blots.png")
    page.get_by_label("Title").fill("Blots & <i>Co</i>")
    page.get_by_role("spinbutton", name="Style size (px)").fill("128")
    page.get_by_role("spinbutton", name="Style size (px)").press("Tab")
    page.locator("#train").click()
    expect(page.locator("#train")).to_be_disabled()
    expect(page.locator("#training-viewer figure img")).to_be_visible()
    page.wait_for_function("+document.querySelector('#training-viewer .legend .step span')?.textContent > 5")
    for curve in ("total", "content", "style"):
        assert (page.locator(f"#training-viewer .curve.{curve}").get_attribute("d") or "").count("L") >= 3
    expect(page.locator("#training-viewer .legend select")).to_have_count(0)
    page.locator("#stop-training").click()
    expect(page.locator("#training-viewer .line")).to_contain_text("Stopped")
    expect(page.locator("#stop-training")).to_be_hidden()
    expect(page.locator("#train")).to_be_enabled()

    with page.expect_download() as found:
        page.locator("#zip").click()
    assert found.value.suggested_filename == "blots-i-co-i.zip"
    found.value.save_as(tmp_path / "style.zip")
    with ZipFile(tmp_path / "style.zip") as archive:
        archive.extractall(tmp_path)
    style = Registry.load().open(tmp_path / "blots-i-co-i")
    assert style.title == "Blots & <i>Co</i>" and style.config.training["style_size"] == 128

    choose(page, "#own-photo", tmp_path / "holiday.png")
    expect(page.locator("#own-result img")).to_have_count(2)
    # One that cannot be read, and another in its place while somebody else's is painted.
    (tmp_path / "broken.png").write_text("I am a text.")
    done, photo = Event(), page.locator("#own-photo")
    server.studio.line.join("eve", lambda progress: done.wait(60))
    for name in ("broken", "blots"):
        photo.locator(".icon-button-wrapper button").last.click()
        photo.locator("input[type=file]").set_input_files(tmp_path / f"{name}.png")
        expect(photo.locator("img")).to_have_attribute("src", re.compile(name))
        wait_until(lambda: server.studio.line.waiting())
    done.set()
    expect(page.get_by_test_id("toast-text")).to_contain_text("'broken.png' is not of a kind that can be read")
    expect(page.locator("#own-result img").first).to_have_attribute("src", re.compile("blots"))
    width, scroll = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width


@pytest.mark.slow
def test_a_second_one_keeps_the_first_and_both_paint_elsewhere(training: "Page", tmp_path: Path) -> None:
    page = training
    train, made = page.locator("#train"), page.locator("#zip")
    for name in ("red", "green", "blue"):
        made_picture(9, (80, 60)).save(tmp_path / f"{name}.png")

    def begin(name: str) -> None:
        page.locator("#model input[type=file]").set_input_files(tmp_path / f"{name}.png")
        expect(page.locator("#model img")).to_have_attribute("src", re.compile(name))
        train.click()
        expect(page.locator("#training-viewer [data-state=running]")).to_be_visible()

    def zips() -> list[str]:
        buttons = page.get_by_role("link", name=re.compile(r"\(ZIP\)$")).or_(
            page.get_by_role("button", name=re.compile(r"\(ZIP\)$"))
        )
        names = []
        for button in buttons.all():
            with page.expect_download() as found:
                button.click()
            names.append(f"{button.inner_text()}: {found.value.suggested_filename}")
        return names

    def stop() -> None:
        page.wait_for_function("+document.querySelector('#training-viewer .legend .step span')?.textContent > 0")
        page.locator("#stop-training").click()
        expect(train).to_be_enabled()

    page.get_by_role("spinbutton", name="Style size (px)").fill("128")
    page.get_by_role("spinbutton", name="Style size (px)").press("Tab")
    begin("red")
    page.once("dialog", lambda question: question.dismiss())
    with page.expect_event("dialog"):
        page.close(run_before_unload=True)
    stop()
    assert zips() == ["Style (ZIP): red.zip"]
    begin("green")
    expect(made).to_have_text("Previous style (ZIP)")
    assert zips() == ["Previous style (ZIP): red.zip"]
    stop()
    assert zips() == ["Style (ZIP): green.zip", "Previous style (ZIP): red.zip"]
    begin("blue")
    expect(made).to_have_text("Previous style (ZIP)")
    stop()
    assert zips()[-1] == "Previous style (ZIP): green.zip"

    page.reload()
    unfold(page, "Train a style of your own")
    expect(page.locator("#training-viewer .line")).to_contain_text("Stopped")
    assert zips() == ["Style (ZIP): blue.zip", "Previous style (ZIP): green.zip"]
    page.locator("#use-style").click()
    expect(page.get_by_role("tab", name="Repaint")).to_be_focused()
    own = page.locator("#styles label.selected")
    expect(own).to_contain_text("blue")
    shown = own.evaluate("label => getComputedStyle(label, '::before').backgroundImage.slice(5, -2)")
    assert page.request.get(shown).ok
    page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#info")).to_contain_text("blue")
    page.get_by_role("tab", name="Video").click()
    page.locator("#film-style input").click()
    expect(page.get_by_role("option", name="blue")).to_be_visible()


def test_a_style_whose_hour_is_over_is_said_to_be_gone(
    training: "Page", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = training
    made_picture(9, (80, 60)).save(tmp_path / "blots.png")
    choose(page, "#model", tmp_path / "blots.png")
    page.get_by_role("spinbutton", name="Style size (px)").fill("128")
    page.get_by_role("spinbutton", name="Style size (px)").press("Tab")
    page.locator("#train").click()
    page.wait_for_function("+document.querySelector('#training-viewer .legend .step span')?.textContent > 0")
    page.locator("#stop-training").click()
    expect(page.locator("#use-style")).to_be_visible()
    wait_long(monkeypatch, KEEP_FILES_SECONDS + 1)
    page.locator("#use-style").click()
    expect(page.get_by_test_id("toast-text")).to_have_text("Your own style is no longer here: drop its file again.")
    expect(page.get_by_role("tab", name="Advanced")).to_have_attribute("aria-selected", "true")


def test_without_a_painting_it_says_so(training: "Page") -> None:
    page = training
    page.locator("#train").click()
    expect(page.get_by_test_id("toast-text").first).to_contain_text("There is no painting yet")
    expect(page.locator("#train")).to_be_enabled()
    expect(page.locator("#leave-training")).to_be_hidden()
    expect(page.locator("#zip")).to_be_hidden()
