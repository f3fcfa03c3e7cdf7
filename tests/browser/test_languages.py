"""The page speaks the language of the browser, where it knows it."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


def test_a_browser_that_asks_for_spanish_gets_it(browser: "Browser", app_url: str) -> None:
    page = browser.new_page(locale="es-MX")
    page.goto(app_url)
    expect(page.get_by_text("a la manera de un cuadro")).to_be_visible()
    expect(page.get_by_text("Suelte aquí una fotografía, péguela")).to_be_visible()
    page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#info")).to_contain_text("First")
    page.get_by_role("radio", name="Anchas").check()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copiar enlace").click()
    expect(page.get_by_role("button", name="Enlace copiado")).to_be_visible()
    page.goto(page.evaluate("navigator.clipboard.readText()"))
    expect(page.get_by_role("radio", name="Anchas")).to_be_checked()
    page.get_by_role("tab", name="Avanzado").click()
    expect(page.get_by_role("button", name="Empezar")).to_be_visible()
    expect(page.get_by_role("radio", name="Desde ruido")).to_be_visible()
    page.reload()
    expect(page.get_by_role("tab", name="Avanzado")).to_be_visible()
    page.close()


def test_any_other_browser_gets_english(browser: "Browser", app_url: str) -> None:
    page = browser.new_page(locale="ja-JP")
    page.goto(app_url)
    expect(page.get_by_text("in the manner of a painting")).to_be_visible()
    expect(page.get_by_role("button", name="Copy link")).to_be_visible()
    expect(page.get_by_text("Or try one of these")).to_be_visible()
    assert "__i18n__" not in page.inner_text("body")
    page.close()
