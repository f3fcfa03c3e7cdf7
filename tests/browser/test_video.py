"""A person's film: its first frame, the whole of it, stopped, played and taken home; with the colours that it had."""

import re
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dropping import drop
from made_films import make_film, see
from picking import pick_option
from waiting import wait_long, wait_until

from nst_core.registry import Registry
from nst_core.video import stylize_video
from ui.files import KEEP_SECONDS
from ui.server import Page as Repaint

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

COLOURS = [(200, 40, 40), (40, 180, 60), (50, 60, 200), (128, 128, 128), (235, 235, 235), (16, 16, 16)]
PIXELS = """async (video) => {
    const shown = new Promise((done) => video.requestVideoFrameCallback(done));
    video.muted = true;
    await video.play();
    await shown;
    video.pause();
    const canvas = Object.assign(document.createElement("canvas"), {
        width: video.videoWidth, height: video.videoHeight });
    const drawing = canvas.getContext("2d");
    drawing.drawImage(video, 0, 0);
    const { data } = drawing.getImageData(0, 0, canvas.width, canvas.height);
    return [canvas.width, canvas.height, video.duration, ...data];
}"""


@pytest.fixture
def film(page: "Page") -> "Page":
    page.get_by_role("tab", name="Video").click()
    expect(page.locator("#film-viewer .hint")).to_be_visible()
    return page


def choose(page: "Page", file: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#film").get_by_role("button").first.click()
    chooser.value.set_files(file)
    expect(page.locator("#film video")).to_be_attached()  # one that cannot be played is hidden


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_first_frame_paint_play_download(film: "Page", tmp_path: Path) -> None:
    page = film
    make_film(tmp_path / "my holiday.mp4", frames=20, sound="aac")
    choose(page, tmp_path / "my holiday.mp4")
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    expect(page.locator("#film-viewer figure img")).to_have_js_property("naturalWidth", 96)
    expect(page.locator("#film-viewer .line")).to_contain_text(
        "96 × 64 px · the first of 20 frames · painting all of them takes about"
    )
    page.locator("#paint-film").click()
    expect(page.locator("#film-viewer .line")).to_contain_text("Finished · 20 frames")
    video = page.locator("#painted-film video")
    expect(video).to_be_visible()
    expect(video).to_have_attribute("poster", re.compile(r"\.jpe?g$"))  # iOS does not begin it by itself
    examples = page.locator("#films video").evaluate_all("films => films.map((film) => [film.autoplay, film.paused])")
    assert examples == [[True, True]] * 3  # which is how iOS, too, shows their first frames
    width, height, seconds, *_ = video.evaluate(PIXELS)
    assert (width, height) == (96, 64) and seconds == pytest.approx(0.8, abs=0.05)
    with page.expect_download() as found:
        page.locator("#download-film").click()
    assert found.value.suggested_filename == "my-holiday-first-style.mp4"
    found.value.save_as(tmp_path / "taken.mp4")
    assert see(tmp_path / "taken.mp4").times == see(tmp_path / "my holiday.mp4").times
    # What comes next is seen, and nothing is promised that does not come.
    expect(page.locator("#film-viewer figure")).to_be_hidden()
    pick_option(page.locator("#film-style input"), "Second")
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    expect(page.locator("#download-film")).to_have_text("Previous film (MP4)")
    much = page.get_by_label("How much of it").locator("visible=true")
    expect(much).to_have_count(0)
    pick_option(page.get_by_label("A second style").locator("visible=true"), "First")
    expect(much.first).to_be_visible()
    page.locator("#film").get_by_label("Clear").click()
    expect(page.locator("#film-viewer .hint")).to_contain_text("Watch a film being painted")
    width, scroll = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width


def test_a_film_that_is_taken_away_leaves_no_frame(film: "Page", server: Repaint, tmp_path: Path) -> None:
    """Not even the one that was being painted for a setting changed just before."""
    page = film
    make_film(tmp_path / "film.mp4")
    choose(page, tmp_path / "film.mp4")
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    let = Event()
    server.studio.line.join("eve", lambda progress: let.wait(60))
    pick_option(page.locator("#film-style input"), "Second")
    wait_until(lambda: server.studio.line.waiting())
    page.locator("#film").get_by_label("Clear").click()
    expect(page.locator("#film-viewer .hint")).to_be_visible()
    let.set()
    wait_until(lambda: not server.studio.line.waiting())
    page.wait_for_timeout(500)  # its frame would come
    expect(page.locator("#film-viewer .hint")).to_be_visible()


def test_a_list_that_is_closed_unchanged_changes_nothing(film: "Page", tmp_path: Path) -> None:
    page = film
    make_film(tmp_path / "film.mp4", frames=3)
    choose(page, tmp_path / "film.mp4")
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    page.locator("#paint-film").click()
    expect(page.locator("#film-viewer .line")).to_contain_text("Finished")
    expect(page.locator("#download-film")).to_have_text("Film (MP4)")
    with page.expect_response("**/queue/join*"):
        page.locator("#film-style input").click()
        page.keyboard.press("Tab")
    page.wait_for_timeout(1000)
    expect(page.locator("#film-viewer .line")).to_contain_text("Finished")
    expect(page.locator("#download-film")).to_have_text("Film (MP4)")


def test_a_frame_that_does_not_come_leaves_the_one_before(film: "Page", tmp_path: Path) -> None:
    make_film(tmp_path / "film.mp4")
    choose(film, tmp_path / "film.mp4")
    frame, lost = film.locator("#film-viewer figure img"), list[str]()
    expect(frame).to_be_visible()

    def lose(route: "Route") -> None:
        lost.append(route.request.url)
        route.abort()

    film.route(re.compile(r"/file=.*\.jpeg"), lose)
    pick_option(film.locator("#film-style input"), "Second")
    wait_until(lambda: film.evaluate("1") and lost)
    film.wait_for_timeout(300)
    assert frame.evaluate("image => image.complete && image.naturalWidth") == 96


def test_a_setting_that_arrives_after_its_film_was_taken_away_paints_nothing(film: "Page", tmp_path: Path) -> None:
    """Gradio tells of a choice once more as its list loses the focus, which is when something else is pressed."""
    page, held, released = film, list["Route"](), Event()
    make_film(tmp_path / "film.mp4")
    choose(page, tmp_path / "film.mp4")
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    asked = re.compile('"film.mp4"')  # of the two, only the setting's has a film

    def late(route: "Route") -> None:
        if released.is_set() or not asked.search(route.request.post_data or ""):
            route.continue_()
        else:
            held.append(route)

    page.route("**/queue/join*", late)
    pick_option(page.locator("#film-style input"), "Second")
    page.locator("#film").get_by_label("Clear").click()
    expect(page.locator("#film-viewer .hint")).to_be_visible()
    assert held
    released.set()
    for route in held:
        route.continue_()
    page.wait_for_timeout(1000)  # its frame would come
    expect(page.locator("#film-viewer .hint")).to_be_visible()
    choose(page, tmp_path / "film.mp4")
    expect(page.locator("#film-viewer figure img")).to_be_visible()


def test_on_a_wide_screen_the_frames_stay_in_sight(film: "Page", tmp_path: Path) -> None:
    page = film
    make_film(tmp_path / "film.mp4", frames=20)
    choose(page, tmp_path / "film.mp4")
    frame = page.locator("#film-viewer figure")
    expect(frame.locator("img")).to_be_visible()
    page.evaluate("document.querySelector('#paint-film').scrollIntoView({ block: 'start', behavior: 'instant' })")
    expect(frame).to_be_in_viewport(ratio=0.95)
    page.locator("#paint-film").click()
    expect(page.locator("#film-viewer .line")).to_contain_text("Finished · 20 frames")
    expect(page.locator("#painted-film video")).to_be_visible()
    page.evaluate("scrollTo(0, 0)")
    pick_option(page.locator("#film-style input"), "Second")
    expect(page.locator("#painted-film")).to_contain_text("Previous film")
    expect(frame).to_be_in_viewport(ratio=0.95)
    (tmp_path / "text.mp4").write_text("I am a text.")
    page.locator("#film").get_by_label("Clear").click()
    choose(page, tmp_path / "text.mp4")
    expect(page.locator("#film-viewer .wrong")).to_contain_text("text.mp4")
    tops = [page.locator(place).evaluate("box => box.offsetTop") for place in ("#film-viewer", "#painted-film")]
    assert tops == sorted(tops)


def test_stop_leaves_a_film(film: "Page", tmp_path: Path) -> None:
    page = film
    make_film(tmp_path / "long.mp4", frames=2000)
    choose(page, tmp_path / "long.mp4")
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    page.locator("#paint-film").dblclick()
    expect(page.locator("#film-viewer .line")).to_contain_text(re.compile(r"Frame \d+ of 2000"))
    pick_option(page.locator("#film-style input"), "Second")
    expect(page.get_by_test_id("toast-text")).to_contain_text("press Stop, and then Paint")
    expect(page.locator("#paint-film")).to_be_disabled()
    (tmp_path / "text.mp4").write_text("I am a text.")
    drop(page, tmp_path / "text.mp4", "video/mp4", "#film")
    expect(page.get_by_test_id("toast-text").filter(has_text="text.mp4")).to_be_visible()
    expect(page.locator("#film-viewer .line")).to_contain_text(re.compile(r"Frame \d+ of 2000"))
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    page.locator("#stop-film").click()
    expect(page.locator("#film-viewer .line")).to_contain_text("Stopped")
    expect(page.locator("#painted-film video")).to_be_visible()
    expect(page.locator("#paint-film")).to_be_enabled()
    page.wait_for_timeout(500)  # a second film would begin, and show its line
    expect(page.locator("#film-viewer .line")).to_contain_text("Stopped")


def test_a_finished_film_stays_until_the_next_is_finished(film: "Page", tmp_path: Path) -> None:
    page = film
    make_film(tmp_path / "whole.mp4", frames=20)
    make_film(tmp_path / "long.mp4", frames=2000)
    choose(page, tmp_path / "whole.mp4")
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    page.locator("#paint-film").click()
    expect(page.locator("#film-viewer .line")).to_contain_text("Finished · 20 frames")
    expect(page.locator("#download-film")).to_have_text("Film (MP4)")
    expect(page.locator("#whole-film")).to_be_hidden()
    with page.expect_file_chooser() as chooser:
        page.locator("#film").get_by_label("Clear").click()
        page.locator("#film").get_by_role("button").first.click()
    chooser.value.set_files(tmp_path / "long.mp4")
    expect(page.locator("#film-viewer .line")).to_contain_text("the first of 2000 frames")
    page.locator("#paint-film").click()
    expect(page.locator("#film-viewer .line")).to_contain_text(re.compile(r"Frame \d+ of 2000"))
    expect(page.locator("#painted-film video")).to_be_hidden()
    expect(page.locator("#download-film")).to_have_text("Previous film (MP4)")
    assert frames(page, "#download-film") == 20
    page.locator("#stop-film").click()
    expect(page.locator("#film-viewer .line")).to_contain_text("Stopped")
    expect(page.locator("#download-film")).to_have_text("Film (MP4)")
    assert 0 < frames(page, "#download-film") < 2000
    page.on("dialog", lambda question: question.accept())
    page.reload()
    expect(page.locator("#film-viewer .line")).to_contain_text("Stopped")
    expect(page.locator("#painted-film video")).to_be_visible()
    expect(page.locator("#whole-film")).to_have_text("Last finished film (MP4)")
    assert frames(page, "#whole-film") == 20


def test_a_film_of_half_an_hour_ago_stays_though_another_is_refused(
    film: "Page", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = film
    make_film(tmp_path / "film.mp4", frames=20)
    choose(page, tmp_path / "film.mp4")
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    page.locator("#paint-film").click()
    expect(page.locator("#film-viewer .line")).to_contain_text("Finished · 20 frames")
    wait_long(monkeypatch, KEEP_SECONDS + 1)
    page.locator("#film").get_by_label("Clear").click()
    expect(page.locator("#film-viewer .hint")).to_be_visible()
    for _ in range(2):
        page.locator("#paint-film").click()
        page.wait_for_timeout(800)
        expect(page.locator("#paint-film")).to_be_enabled()
    expect(page.get_by_test_id("toast-text")).to_have_text("There is no film yet: choose or drop one.")  # once
    expect(page.locator("#painted-film video")).to_be_visible()
    assert frames(page, "#download-film") == 20


def frames(page: "Page", button: str) -> int:
    """In the film that is taken home."""
    with page.expect_download() as found:
        page.locator(button).click()
    return len(see(found.value.path()).pictures)


@pytest.mark.slow
def test_who_waits_for_another_film_is_told_so(film: "Page", browser: "Browser", app_url: str, tmp_path: Path) -> None:
    page = film
    make_film(tmp_path / "long.mp4", frames=2000)
    other = browser.new_context().new_page()
    other.goto(f"{app_url}/?tab=video")
    for one in (other, page):
        choose(one, tmp_path / "long.mp4")
        expect(one.locator("#film-viewer .line")).to_contain_text("the first of 2000 frames")
        one.locator("#paint-film").click()
        told = re.compile(r"Frame \d+" if one == other else "Somebody else is ahead of you; you are next. Press Stop")
        expect(one.locator("#film-viewer .line")).to_contain_text(told)
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    page.locator("#leave-film").click()
    expect(page.locator("#film-viewer [data-waits]")).to_have_count(0)
    expect(page.locator("#paint-film")).to_be_enabled()
    other.context.close()


def test_stopped_before_its_first_frame_it_is_over(film: "Page", server: Repaint, tmp_path: Path) -> None:
    page = film
    make_film(tmp_path / "film.mp4")
    choose(page, tmp_path / "film.mp4")
    expect(page.locator("#film-viewer figure img")).to_be_visible()
    done = Event()
    server.studio.line.join("eve", lambda progress: done.wait(60))
    page.locator("#paint-film").click()
    expect(page.locator("#film-viewer .line")).to_have_text("1 person is ahead of you")
    page.locator("#stop-film").click()
    expect(page.get_by_text("The film was stopped before its first frame was finished.")).to_be_visible()
    expect(page.locator("#paint-film")).to_be_enabled()
    expect(page.locator("#film-viewer [data-state]")).to_have_attribute("data-state", "first")
    expect(page.locator("#film-viewer .line")).to_contain_text("the first of")
    done.set()


def test_a_text_file_is_no_film(film: "Page", tmp_path: Path) -> None:
    page = film
    (tmp_path / "text.mp4").write_text("I am a text.")
    choose(page, tmp_path / "text.mp4")
    wrong = page.locator("#film-viewer .wrong")
    expect(wrong).to_have_text(re.compile(r"^[^/]+: use an MP4[^/]+\.$"))
    expect(wrong).to_have_role("status")  # it is read out
    assert not page.get_by_test_id("toast-text").count()  # it is said once
    expect(page.locator("#film-viewer .error")).to_be_hidden()
    page.locator("#film").get_by_label("Clear").click()
    expect(wrong).to_have_count(0)
    expect(page.locator("#film-viewer .hint")).to_contain_text("Watch a film being painted")


def test_the_browser_sees_the_colours_and_the_turn(page: "Page", tmp_path: Path) -> None:
    """Chromium decodes what the library writes, and finds upright what was on its side."""
    drawn = np.zeros((64, 96, 3), np.uint8)
    for number, colour in enumerate(COLOURS):
        drawn[:, 16 * number : 16 * number + 16] = colour
    source = make_film(tmp_path / "film.mp4", frames=3, pictures=[drawn] * 3, rotation=90, options={"crf": "0"})
    list(stylize_video(source, Registry.load().open("udnie-lite"), tmp_path / "out.mp4", strength=0.0))
    page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('video'), { id: 'seen', muted: true }))"
    )
    for name in ("film.mp4", "out.mp4"):
        data = list((tmp_path / name).read_bytes())
        page.evaluate(
            "(data) => { seen.src = URL.createObjectURL(new Blob([new Uint8Array(data)], { type: 'video/mp4' })) }",
            data,
        )
        width, height, _, *values = page.locator("#seen").evaluate(PIXELS)
        assert (width, height) == (64, 96)
        seen = np.array(values).reshape(96, 64, 4)[..., :3]
        upright = np.rot90(drawn)
        for number in range(6):
            rows = slice(16 * number + 4, 16 * number + 12)
            assert np.abs(seen[rows] - upright[rows].astype(int)).max() <= 6, (name, number)


@pytest.fixture(scope="module")
def app_url(server: Repaint) -> str:
    """In place of the app."""
    return str(server.local_url).rstrip("/")
