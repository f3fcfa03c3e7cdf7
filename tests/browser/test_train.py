"""A person trains a style: the curves grow, it is stopped, taken home, and tried on a photograph."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
from made_optimization import made_picture
from made_page import served_page

from nst_core.recipe import Recipe
from nst_core.registry import Registry

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

RECIPE = Recipe(steps=300, reconstruction_steps=0, batch_size=1, crop=64)


@pytest.fixture(scope="module")
def app_url(registry_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """In place of the app: this page has photographs to train on."""
    photos = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        made_picture(seed, (90, 70)).save(photos / f"{seed}.png")
    with served_page(registry_file, tmp_path_factory.mktemp("page"), photos=photos, recipe=RECIPE) as url:
        yield url


@pytest.fixture
def training(page: "Page") -> "Page":
    page.get_by_role("tab", name="Advanced").click()
    page.get_by_role("button", name="Train a style of your own").click()
    expect(page.locator("#lesson .hint")).to_be_visible()
    return page


def choose(page: "Page", place: str, file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator(place).get_by_role("button").first.click()
    chooser.value.set_files(file)
    expect(page.locator(f"{place} img")).to_be_visible()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_train_stop_take_home_try(training: "Page", tmp_path: Path) -> None:
    page = training
    made_picture(9, (80, 60)).save(tmp_path / "blots.png")
    made_picture(7, (80, 60)).save(tmp_path / "holiday.png")
    choose(page, "#model", tmp_path / "blots.png")
    page.get_by_label("Title").fill("Blots & <i>Co</i>")
    page.get_by_label("number input for Style size (px)").fill("128")
    page.get_by_label("number input for Style size (px)").press("Tab")
    page.locator("#train").click()
    expect(page.locator("#train")).to_be_disabled()
    expect(page.locator("#lesson figure img")).to_be_visible()
    page.wait_for_function("+document.querySelector('#lesson .legend .step span')?.textContent > 5")
    for curve in ("total", "content", "style"):
        assert (page.locator(f"#lesson .curve.{curve}").get_attribute("d") or "").count("L") >= 3
    expect(page.locator("#lesson .legend select")).to_have_count(0)
    page.locator("#stop-lesson").click()
    expect(page.locator("#lesson .line")).to_contain_text("Stopped")
    expect(page.locator("#stop-lesson")).to_be_hidden()
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
    width, scroll = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width


def test_without_a_painting_it_says_so(training: "Page") -> None:
    page = training
    page.locator("#train").click()
    expect(page.get_by_test_id("toast-text").first).to_contain_text("There is no painting yet")
    expect(page.locator("#train")).to_be_enabled()
    expect(page.locator("#leave-lesson")).to_be_hidden()
    expect(page.locator("#zip")).to_be_hidden()
