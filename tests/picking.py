"""Choosing among Gradio's radio buttons, in its lists and in its accordions, in a browser."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page


def pick(button: "Locator") -> None:
    """Click, and wait: Playwright's ``check`` looks before a slow page has answered, and gives up."""
    from playwright.sync_api import expect

    button.click()
    expect(button).to_be_checked()


def pick_option(box: "Locator", name: str) -> None:
    """Open a list and choose from it, once the list that was open before is gone, which has the same names."""
    from playwright.sync_api import expect

    options = box.page.get_by_role("option")
    expect(options).to_have_count(0)
    box.click()
    options.filter(has_text=name).click()


def pick_for_good(button: "Locator", tab: str = "repaint") -> None:
    """And wait until the browser remembers it, a moment later."""
    before = button.page.evaluate("tab => localStorage[tab]", tab)
    pick(button)
    button.page.wait_for_function("([tab, before]) => localStorage[tab] !== before", arg=[tab, before])


def unfold(page: "Page", name: str) -> None:
    """Open an accordion, and wait: Gradio sets what is in it back to how it was, some frames after it is seen."""
    page.get_by_role("button", name=name).click()
    page.wait_for_timeout(1000)
