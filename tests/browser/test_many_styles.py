"""A page with more styles than one can look through."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from made_page import launched_page
from made_styles import make_style
from PIL import Image

from nst_core.registry import Registry
from nst_core.style import PREVIEW, WEIGHTS
from ui.gallery import style_cards, words_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

MANY = 120


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Styles of the same weights, each with its preview."""
    folder = tmp_path_factory.mktemp("many")
    first = make_style(folder / "style-0")
    sha256 = hashlib.sha256((first / WEIGHTS).read_bytes()).hexdigest()
    entries = []
    for number in range(MANY):
        id = f"style-{number}"
        (folder / id).mkdir(exist_ok=True)
        for file in first.iterdir():
            if number and file.name != PREVIEW:
                os.link(file, folder / id / file.name)
        Image.new("RGB", (64, 48), (number, 90, 90)).save(folder / id / PREVIEW)
        artist = {50: "José Guadalupe Posada", 99: "Hilma af Klint"}.get(number, "Nobody")
        entry = {"id": id, "title": f"Title {number}", "artist": artist, "license": "mit", "sha256": sha256}
        entries.append(entry | {"path": id, "tags": ["woodcut" if number in (41, 99) else "oil"]})
    file = folder / "registry.yaml"
    file.write_text(json.dumps({"version": 1, "styles": entries}))
    return file


@pytest.fixture(scope="module")
def app_url(registry: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with launched_page(registry, tmp_path_factory.mktemp("page")) as page:
        yield str(page.local_url).rstrip("/")


def test_their_cards_take_no_rules_that_are_slow(registry: Path) -> None:
    assert style_cards(Registry.load(registry)).count(":has(") == style_cards(Registry(())).count(":has(")


@pytest.mark.parametrize("blank", ["desktop", "phone"], indirect=True)
def test_previews_that_nobody_sees_are_not_fetched(blank: "Page", app_url: str) -> None:
    fetched: set[str] = set()
    blank.on("request", lambda request: fetched.add(request.url) if request.url.endswith(PREVIEW) else None)
    blank.goto(app_url)
    blank.wait_for_selector("#styles label")
    blank.wait_for_timeout(1000)
    assert 0 < len(fetched) < MANY / 2
    last = blank.locator("#styles label").last
    with blank.expect_request(f"**/style-{MANY - 1}/{PREVIEW}"):
        last.scroll_into_view_if_needed()
    blank.get_by_role("tab", name="Live").click()
    blank.wait_for_timeout(500)
    assert len(fetched) < MANY


@pytest.mark.parametrize("blank", ["desktop", "phone"], indirect=True)
def test_a_link_scrolls_to_a_style_that_is_far_down(blank: "Page", app_url: str) -> None:
    blank.goto(f"{app_url}?style=style-50")
    expect(blank.locator("#styles label.selected")).to_be_in_viewport(ratio=0.5)
    expect(blank.locator("#styles label.selected")).to_have_text("Title 50")


def test_a_style_is_found_by_its_title_artist_and_tags(blank: "Page", app_url: str) -> None:
    blank.goto(app_url)
    for tab, list in (("Repaint", "#styles"), ("Live", "#live .styles")):
        blank.get_by_role("tab", name=tab).click()
        field, cards = blank.get_by_role("searchbox"), blank.locator(f"{list} label")
        expect(cards).to_have_count(MANY)
        for words, found in (
            ("title 117", ["Title 117"]),
            ("jose", ["Title 50"]),
            ("woodcut", ["Title 41", "Title 99"]),
            (" HILMA  woodcut", ["Title 99"]),
            ("nothing of the kind", []),
        ):
            field.fill(words)
            expect(cards.filter(visible=True)).to_have_text(["Title 0", *found])  # what is chosen, and they
            expect(blank.locator(".finder p:visible")).to_have_text(f"Styles found: {len(found)}")
        field.fill("")
        expect(cards.filter(visible=True)).to_have_count(MANY)


# Something is searched for before the page has filled in what it remembers, and perhaps before the cards are there.
EARLY = """new MutationObserver((_, observer) => {
  const field = document.querySelector("#find input");
  if (!field) return;
  observer.disconnect();
  field.value = "woodcut";
  field.dispatchEvent(new Event("input"));
}).observe(document, { childList: true, subtree: true });"""


def test_a_style_that_is_chosen_elsewhere_is_seen_whatever_was_searched_for(blank: "Page", app_url: str) -> None:
    blank.add_init_script(EARLY)
    blank.goto(app_url)
    cards = blank.locator("#styles label")
    cards.filter(has_text="Title 41").click()
    expect(cards.filter(visible=True)).to_have_text(["Title 41", "Title 99"])
    cards.nth(7).locator("input").evaluate("input => input.click()")
    expect(cards.filter(visible=True)).to_have_text(["Title 7", "Title 41", "Title 99"])
    expect(cards.nth(7)).to_be_in_viewport()
    blank.wait_for_timeout(1000)
    expect(blank.get_by_role("searchbox")).to_have_value("woodcut")


def test_few_styles_need_no_finding(registry_file: Path) -> None:
    assert not words_of(Registry.load(registry_file)) and not words_of(Registry.load())
