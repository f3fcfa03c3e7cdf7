"""A real browser: Debian's Chromium, driven by playwright; tests skip where either is missing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from made_page import launched_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from ui.server import Page as Repaint

CHROMIUM = Path("/usr/bin/chromium")
TIMEOUT = 60_000
"""Milliseconds."""


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM} (apt install chromium)")
    sync_api.expect.set_options(timeout=TIMEOUT)
    with sync_api.sync_playwright() as playwright:
        # Its camera films a clock; who uses it is asked all the same.
        arguments = ["--no-sandbox", "--use-fake-device-for-media-stream=device-count=2"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(registry_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Repaint"]:
    """The page in this process, which tests can look into; a module that uses it says that ``app_url`` is its."""
    with launched_page(registry_file, tmp_path_factory.mktemp("page")) as page:
        yield page


SCREENS = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}


@pytest.fixture
def page(blank: "Page", app_url: str) -> "Page":
    """The page, loaded."""
    blank.goto(app_url)
    blank.wait_for_selector("#styles label")
    return blank


@pytest.fixture(scope="session")
def profiles(browser: "Browser") -> Iterator[Callable[[str], "BrowserContext"]]:
    """Gives what the tabs of a screen share: fetching what Gradio is made of takes longer than most of a test."""
    made: dict[str, BrowserContext] = {}

    def profile(screen: str) -> "BrowserContext":
        if screen not in made:
            phone = screen == "phone"
            made[screen] = browser.new_context(viewport=SCREENS[screen], is_mobile=phone, has_touch=phone)  # type: ignore[arg-type]
        return made[screen]

    yield profile
    for context in made.values():
        context.close()


SEEN: set[str] = set()
"""The origins that pages of tests came from, which may have left something in a browser."""


def forget(page: "Page") -> None:
    """Have nothing there that the tests before chose, made or allowed."""
    page.context.clear_permissions()
    page.context.set_offline(False)
    browser = page.context.new_cdp_session(page)
    for origin in SEEN:
        browser.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "all"})
    browser.detach()


@pytest.fixture
def blank(profiles: Callable[[str], "BrowserContext"], request: pytest.FixtureRequest) -> Iterator["Page"]:
    """A tab before it has gone anywhere; afterwards it must have asked nobody but the app, and have raised nothing.

    On a desktop's screen, or on those of SCREENS that a test is parametrized with, indirectly: where a finger or the
    width might make a difference.
    """
    said = getattr(request.node, "callspec", None)
    screen = next((said.params[name] for name in ("page", "blank") if said and name in said.params), "desktop")
    context = profiles(screen)
    page = context.new_page()
    forget(page)
    page.set_default_timeout(TIMEOUT)
    hosts: set[str | None] = set()
    raised: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.on("request", lambda request: SEEN.add("{0.scheme}://{0.netloc}".format(urlsplit(request.url))))
    page.on("pageerror", lambda error: raised.append(str(error)))
    yield page
    for tab in context.pages:
        tab.close()
    assert hosts <= {"127.0.0.1", None, ""}  # data: and blob: have no host
    assert not raised
