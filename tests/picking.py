"""Choosing among Gradio's radio buttons in a browser."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator


def pick(button: "Locator") -> None:
    """Click, and wait: Playwright's ``check`` looks before a slow page has answered, and gives up."""
    from playwright.sync_api import expect

    button.click()
    expect(button).to_be_checked()


def pick_for_good(button: "Locator", tab: str = "repaint") -> None:
    """And wait until the browser remembers it, a moment later."""
    before = button.page.evaluate("tab => localStorage[tab]", tab)
    pick(button)
    button.page.wait_for_function("([tab, before]) => localStorage[tab] !== before", arg=[tab, before])
