"""The page speaks the language of the browser, where it knows it."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import serving
from made_optimization import made_picture
from picking import pick

from ui.words import SPANISH

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


def test_a_browser_that_asks_for_spanish_gets_it(browser: "Browser", app_url: str) -> None:
    page = browser.new_page(locale="es-MX", viewport={"width": 360, "height": 740})
    page.goto(app_url)
    expect(page.get_by_text("a la manera de un cuadro")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    expect(page.get_by_text("Suelte aquí una fotografía, péguela")).to_be_visible()
    page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#info")).to_contain_text("First")
    expect(page.locator("#info")).to_contain_text("pintado en")
    for width in (438, 360):
        page.set_viewport_size({"width": width, "height": 740})
        page.wait_for_timeout(500)
        expect(page.get_by_role("tab")).to_have_count(6)  # all, and none in a menu
    page.set_viewport_size({"width": 1280, "height": 720})
    pick(page.get_by_role("radio", name="Anchas"))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Enlace a los ajustes").click()
    expect(page.get_by_role("button", name="Enlace copiado")).to_be_visible()
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    expect(page.get_by_role("radio", name="Anchas")).to_be_checked()
    page.get_by_role("tab", name="Avanzado").click()
    expect(page.get_by_role("button", name="Empezar")).to_be_visible()
    expect(page.get_by_role("radio", name="Desde ruido")).to_be_visible()
    for name in ("Fotografía", "Cuadro"):
        expect(page.get_by_role("button", name=f"{name}: Suelte, pegue o elija")).to_be_visible()
    # It is known after a trial, which gives way to whatever else this machine does.
    planned = "como máximo 120 pasos de L-BFGS desde la fotografía; en hasta 3 tamaños"
    expect(page.locator("#plan")).to_contain_text(planned, timeout=180_000)
    page.locator("#contents button").first.click()
    page.locator("#paintings button").last.click()
    page.get_by_label("128", exact=True).click()
    steps = page.get_by_role("spinbutton", name="Pasos como máximo")
    steps.fill("3")
    steps.press("Tab")
    expect(page.locator("#plan")).to_contain_text("como máximo 3 pasos")
    page.get_by_role("button", name="Empezar").click()
    expect(page.locator("#optimization-viewer .line")).to_contain_text("Terminado · 3 pasos · ")
    page.reload()
    expect(page.get_by_role("tab", name="Avanzado")).to_be_visible()
    page.get_by_role("tab", name="Acerca de").click()
    expect(page.get_by_text("Un estilo es una pequeña red convolucional")).to_be_visible()
    page.get_by_role("tab").first.click()
    marks_a_style_of_ones_own(page, "suyo, solo usted lo ve")
    page.close()


def marks_a_style_of_ones_own(page: "Page", said: str) -> None:
    label = page.locator("#styles label").first
    label.locator("input").evaluate("input => input.setAttribute('value', 'own:1')")  # as one's own is called
    page.wait_for_function(
        "([label, said]) => getComputedStyle(label, '::after').content === JSON.stringify(said)",
        arg=[label.element_handle(), said],
    )


@pytest.mark.slow
@pytest.mark.parametrize("trains", [False, True], ids=["told how to train", "trains"])
def test_who_contributes_or_trains_gets_it_too(
    browser: "Browser", registry_file: Path, tmp_path: Path, trains: bool
) -> None:
    made_picture(1, (90, 70)).save(tmp_path / "photo.png")
    settings = {"NST_REGISTRY": str(registry_file), "HF_HUB_OFFLINE": "1"}
    settings |= {"NST_TRAIN": "1", "NST_PHOTOS": str(tmp_path)} if trains else {}
    with serving(tmp_path, os.environ | settings) as url:
        page = browser.new_page(locale="es")
        page.goto(url)
        page.get_by_role("tab", name="Avanzado").click()
        expect(page.locator("#optimization-viewer .hint")).to_contain_text("Vea cómo se pinta una imagen")
        page.get_by_role("button", name="Más cuadros, y dónde se aplica cada uno").click()
        expect(page.get_by_text("Una máscara es blanca donde se aplica su cuadro")).to_be_visible()
        page.get_by_role("button", name="Entrenar un estilo propio").click()
        expect(page.get_by_label("Comenzar con la red de")).to_be_visible()
        expect(page.get_by_placeholder("Mi estilo")).to_be_visible()
        if trains:
            expect(page.get_by_role("button", name="Entrenar", exact=True)).to_be_visible()
            expect(page.locator("#training-viewer .hint")).to_contain_text("Vea cómo una red aprende a pintar")
        else:
            expect(page.get_by_text("En su propio ordenador")).to_be_visible()
        no_english(page.inner_text("#training"))
        page.get_by_role("tab", name="Contribuir").click()
        expect(page.get_by_text("Ha entrenado un estilo")).to_be_visible()
        page.evaluate(
            "document.querySelectorAll('#offer').forEach((offer) => offer.classList.remove('hidden', 'hide'))"
        )
        no_english(page.inner_text("#contribute"))
        page.close()


def no_english(text: str) -> None:
    """Check that nothing in it has a Spanish translation."""
    assert text and "__i18n__" not in text
    left = [words for words, spanish in SPANISH.items() if words != spanish and words in text]
    assert not [words for words in left if re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text)]


def test_any_other_browser_gets_english(browser: "Browser", app_url: str) -> None:
    page = browser.new_page(locale="ja-JP")
    page.goto(app_url)
    expect(page.get_by_text("in the manner of a painting")).to_be_visible()
    expect(page.get_by_role("button", name="Link to settings")).to_be_visible()
    expect(page.get_by_text("Or try one of these")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    marks_a_style_of_ones_own(page, "your own, seen only by you")
    page.get_by_role("tab", name="Video").click()
    expect(page.get_by_text("Drop Video Here")).to_be_visible()
    assert "__i18n__" not in page.inner_text("body")
    page.close()
