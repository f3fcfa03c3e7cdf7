"""An impatient person: what they do while something else is under way, or right after it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest
from made_registry import TITLES
from picking import pick, pick_for_good
from PIL import Image
from waiting import wait_until

from nst_core.images import save_picture
from ui import repaint
from ui.server import Page as Repaint
from ui.wish import Wish

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


@pytest.fixture(scope="module")
def app_url(server: Repaint) -> str:
    """In place of the app."""
    return str(server.local_url).rstrip("/")


@contextmanager
def somebody_else(server: Repaint) -> Iterator[None]:
    """Whose picture takes its time; whoever asks for one meanwhile waits in line."""
    done = Event()
    server.studio.line.join("eve", lambda progress: done.wait(60))
    try:
        yield
        assert server.studio.line.waiting() == 1
    finally:
        done.set()


def test_who_waits_in_line_finds_their_settings_again(page: "Page", server: Repaint, tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "photo.png")
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "photo.png")
    expect(page.locator("#result img")).to_have_count(2)
    with somebody_else(server):
        pick_for_good(page.locator("#styles input[value=second-style]"))
        wait_until(lambda: server.studio.line.waiting())


def test_whoever_asks_as_the_stream_of_answers_closes_is_answered(blank: "Page", app_url: str) -> None:
    page = blank
    page.add_init_script("""
        window.late = 0;  // milliseconds that each piece of the stream is on its way
        const fetched = fetch;
        const transform = async (piece, controller) => {
            await new Promise((done) => setTimeout(done, late));
            controller.enqueue(piece);
        };
        window.fetch = async (...given) => {
            const answer = await fetched(...given);
            if (!answer.url.includes("/queue/data")) return answer;
            return new Response(answer.body.pipeThrough(new TransformStream({ transform })), answer);
        };
    """)
    page.goto(app_url)
    page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#result img").last).to_have_attribute("src", re.compile("first-style"))
    page.wait_for_timeout(1000)  # until it is closed
    page.evaluate("late = 500")
    pick(page.locator("#styles input[value=second-style]"))
    page.wait_for_timeout(500)  # by now the server has closed the next one
    pick(page.locator("#styles input[value=first-style]"))
    expect(page.locator("#result img").last).to_have_attribute("src", re.compile("second-style"))
    expect(page.locator("#result img").last).to_have_attribute("src", re.compile("first-style"))


def test_a_picture_that_was_made_here_waits_in_line_as_it_was_made(
    page: "Page", server: Repaint, tmp_path: Path
) -> None:
    """What somebody chooses while it waits stays so."""
    made = Wish(style="second-style", strength=0.5).recipe()
    save_picture(Image.linear_gradient("L").convert("RGB"), tmp_path / "made.png", note=made)
    strength = page.locator("#strength input[type=range]")
    with somebody_else(server):
        page.locator("#photo input[type=file]").set_input_files(tmp_path / "made.png")
        expect(page.locator("#styles input[value=second-style]")).to_be_checked()
        expect(strength).to_have_value("0.5")
        strength.fill("0.8")
        wait_until(lambda: server.studio.line.waiting())
    expect(page.locator("#info")).to_contain_text("Second")
    expect(strength).to_have_value("0.8")


@contextmanager
def slow(page: "Page") -> Iterator[None]:
    """A network on which nothing reaches the server's queue until afterwards."""
    answers, held = Event(), list["Route"]()
    page.route("**/queue/join*", lambda route: route.continue_() if answers.is_set() else held.append(route))
    yield
    answers.set()
    for route in held:
        route.continue_()


def test_what_a_link_says_is_not_undone_by_who_presses_too_early(blank: "Page", app_url: str) -> None:
    page = blank
    example = page.get_by_role("button", name="tower").first
    with slow(page):
        page.goto(f"{app_url}/?style=second-style&size=512")
        box = example.bounding_box()
        assert box
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.wait_for_timeout(500)  # the photograph would come
        expect(page.locator("#photo img")).to_have_count(0)
    example.click()
    expect(page.locator("#info")).to_contain_text(TITLES["second-style"][0])


def test_who_was_refused_what_a_link_says_can_go_on(blank: "Page", app_url: str) -> None:
    page = blank
    page.route("**/queue/join*", lambda route: route.fulfill(status=503, json={"detail": "The server is full."}))
    page.goto(f"{app_url}/?style=second-style")
    expect(page.get_by_test_id("toast-text").first).to_be_visible()
    page.route("**/queue/join*", lambda route: route.continue_())  # the latest counts
    page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#info")).to_contain_text(TITLES["first-style"][0])


def test_a_newcomer_need_not_wait(blank: "Page", app_url: str) -> None:
    page = blank
    with slow(page):
        page.goto(app_url)
        page.get_by_role("button", name="tower").first.click()
        expect(page.locator("#photo img")).to_be_visible()
    expect(page.locator("#info")).to_contain_text(TITLES["first-style"][0])


def test_a_tab_that_is_opened_before_the_page_has_filled_another_in_stays_open(blank: "Page", app_url: str) -> None:
    page = blank
    with slow(page):
        page.goto(f"{app_url}/?tab=advanced&preset=paper")
        page.get_by_role("tab", name="Video").click()
        expect(page.locator("#film")).to_be_visible()
    page.wait_for_timeout(1000)  # the other would be opened
    expect(page.locator("#film")).to_be_visible()
    page.get_by_role("tab", name="Advanced").click()
    expect(page.get_by_role("radio", name="The paper")).to_be_checked()


def test_presets_one_after_another(page: "Page", server: Repaint, monkeypatch: pytest.MonkeyPatch) -> None:
    page.get_by_role("tab", name="Advanced").click()
    expect(page.locator("#plan")).to_contain_text("512 px, at most 120 steps")
    # Run may be pressed before the server has answered.
    answers, held = Event(), list["Route"]()
    page.route("**/gradio_api/**", lambda route: route.continue_() if answers.is_set() else held.append(route))
    pick(page.get_by_role("radio", name="From noise"))
    expect(page.get_by_role("spinbutton", name="Maximum steps")).to_have_value("200")
    answers.set()
    for route in held:
        route.continue_()
    expect(page.locator("#plan")).to_contain_text("512 px, at most 200 steps")

    seconds, tried = server.optimizations.seconds, Event()
    monkeypatch.setattr(server.optimizations, "seconds", lambda *said: tried.wait(60) and seconds(*said))
    pick_for_good(page.get_by_role("radio", name="256"), "advanced")
    pick(page.get_by_role("radio", name="The paper"))
    pick(page.get_by_role("radio", name="Tutorial"))
    assert "at most 200 steps" in page.locator("#plan").inner_text()
    tried.set()
    expect(page.locator("#plan")).to_contain_text("512 px, at most 300 steps")


def test_a_picture_that_is_seen_can_be_taken_home_whatever_is_refused_next(
    page: "Page", server: Repaint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal comes while its PNG is written."""
    Image.linear_gradient("L").save(tmp_path / "photo.png")
    written = Event()

    def write(picture: Image.Image, file: Path, **options: str) -> None:
        assert file.suffix != ".png" or written.wait(60)
        save_picture(picture, file, **options)

    monkeypatch.setattr(repaint, "save_picture", write)
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "photo.png")
    expect(page.locator("#result img")).to_have_count(2)
    page.get_by_role("radio", name="Fine").click()
    expect(page.locator("#info .wrong")).to_contain_text("this server paints at most 256 px, not 512")
    expect(page.locator("#download")).to_be_disabled()
    written.set()
    expect(page.locator("#download")).to_be_enabled()
    expect(page.locator("#history button img")).to_have_count(1)
    expect(page.locator("#result img")).to_have_count(2)


def test_a_picture_that_is_taken_home_too_late_is_said_to_be_gone(page: "Page", server: Repaint) -> None:
    page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#download")).to_be_enabled()
    for file in server.studio.folder.rglob("tower-first-style.png"):
        file.unlink()  # as the server does after an hour
    page.locator("#download").click()
    expect(page.get_by_role("alert")).to_have_text(
        "That file is no longer on the server, which keeps files for an hour: make it again."
    )


def test_an_example_that_comes_late_is_not_what_a_reload_finds(page: "Page", tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "photo.png")
    held = list["Route"]()

    def late(route: "Route") -> None:
        if route.request.resource_type == "fetch":
            held.append(route)
        else:
            route.continue_()

    page.route(re.compile("file=.*tower"), late)
    page.get_by_role("button", name="tower").first.click()
    expect(page.locator("#photo img")).to_be_visible()
    example = page.locator("#photo img").get_attribute("src") or ""
    assert "tower" in example and len(held) == 1
    page.locator("#photo").get_by_label("Remove Image").click()
    page.locator("#photo input[type=file]").set_input_files(tmp_path / "photo.png")
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("photo.png"))
    with page.expect_response(re.compile("file=.*tower")):
        held[0].continue_()
    page.wait_for_timeout(300)  # it would be kept
    page.reload()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("photo.png"))


def test_of_two_examples_the_last_comes(page: "Page") -> None:
    """Though the first takes its time."""
    answers, held = Event(), list["Route"]()
    page.route("**/gradio_api/run/**", lambda route: route.continue_() if answers.is_set() else held.append(route))
    page.get_by_role("button", name="tower").first.click()
    page.get_by_role("button", name="cheetah").first.click()
    answers.set()
    assert held
    for route in held:
        route.continue_()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("cheetah"))
    expect(page.locator("#info")).to_contain_text(TITLES["first-style"][0])
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("cheetah"))
