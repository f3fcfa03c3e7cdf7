"""A person watches an optimisation: the curves grow, it stops and goes on, its past is looked at, and taken home."""

import csv
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from made_page import served_page
from picking import pick, pick_for_good, unfold
from PIL import Image
from waiting import wait_long, wait_until

from browser.conftest import CHROMIUM, TIMEOUT
from nst_core.optimization import optimize
from ui import optimization_service
from ui.advanced import AS_BEGUN
from ui.files import KEEP_SECONDS
from ui.links import first_settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

TICKS: list[float] = []
"""When each step of the server's optimisations was made."""


@pytest.fixture(scope="module")
def app_url(registry_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """In place of the app: this page has feature networks, and counts its steps."""

    def counted(*args: Any, **options: Any) -> Iterator[Any]:
        for step in optimize(*args, **options):
            TICKS.append(time.monotonic())
            yield step

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimization_service, "optimize", counted)
        with served_page(registry_file, tmp_path_factory.mktemp("page")) as url:
            yield url


@pytest.fixture
def advanced(page: "Page") -> "Page":
    page.get_by_role("tab", name="Advanced").click()
    expect(page.locator("#plan")).to_contain_text("Up to about")
    return page


def choose(page: "Page", steps: int) -> None:
    page.locator("#contents button").first.click()
    page.locator("#paintings button").last.click()
    expect(page.locator("#content img")).to_be_visible()
    expect(page.locator("#painting img")).to_be_visible()
    page.get_by_label("128", exact=True).click()
    set_steps(page, steps)


def set_steps(page: "Page", steps: int) -> None:
    box = page.get_by_role("spinbutton", name="Maximum steps")
    box.fill(str(steps))
    box.press("Tab")
    expect(page.locator("#plan")).to_contain_text(f"at most {steps} steps")


PIXELS = """(image) => {
    const { naturalWidth: width, naturalHeight: height } = image;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL();
}"""


def steps_drawn(page: "Page") -> int:
    return int(page.locator("#optimization-viewer .legend .step span").inner_text())


def wait_until_it_rests(page: "Page", words: str) -> None:
    expect(page.locator("#optimization-viewer .line")).to_contain_text(words)
    expect(page.locator("#go-on")).to_be_visible()
    expect(page.locator("#stop")).to_be_hidden()
    expect(page.locator("#run")).to_be_enabled()


def download(page: "Page", button: str, folder: Path) -> Path:
    with page.expect_download() as found:
        page.locator(button).click()
    path = folder / found.value.suggested_filename
    found.value.save_as(path)
    return path


def held_and_pressed_again(page: "Page", then: str) -> None:
    """Hold Enter until the focus has moved, and press it once more, with no time in between."""
    stand_still, go_on = "performance.now = () => 0", "delete performance.now"
    page.evaluate(stand_still)
    for _ in range(3):
        page.keyboard.down("Enter")
    expect(page.locator(then)).to_be_focused()
    page.evaluate(go_on)
    page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    page.evaluate(stand_still)
    page.keyboard.press("Enter")
    page.evaluate(go_on)


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_watch_stop_go_on_look_back_take_home(advanced: "Page", tmp_path: Path) -> None:
    page = advanced
    choose(page, 1500)
    page.locator("#run").focus()
    held_and_pressed_again(page, "#stop")
    picture = page.locator("#optimization-viewer figure img")
    expect(picture).to_be_visible()
    expect(page.locator("#optimization-viewer .line")).to_contain_text("left")
    expect(page.locator("#run")).to_be_disabled()
    expect(page.locator("#stop")).to_be_focused()
    curve = (page.locator("#optimization-viewer .curve.total").get_attribute("d") or "").count("L")
    grown = (
        "n => document.querySelector('#optimization-viewer .curve.total').getAttribute('d').split('L').length > n + 5"
    )
    page.wait_for_function(grown, arg=curve)
    assert steps_drawn(page) > curve

    page.locator("#stop").click()
    wait_until_it_rests(page, "Stopped")
    expect(picture).to_be_visible()
    done = len(rows(download(page, "#csv", tmp_path)))

    set_steps(page, 30)
    page.locator("#go-on").dblclick()
    wait_until_it_rests(page, f"{done + 30} steps")
    expect(page.get_by_text(AS_BEGUN)).to_have_count(0)
    table = rows(download(page, "#csv", tmp_path))
    assert [int(row["step"]) for row in table] == list(range(1, done + 31))
    assert all(float(row["total"]) > 0 and float(row["style"]) > 0 for row in table)
    assert {"width", "seconds", "content", "total_variation", "content/conv2_2", "style/conv1_2"} <= set(table[0])
    file = download(page, "#png", tmp_path)
    assert file.name.startswith("lion-stained-glass-quick-size-128-steps-")
    with Image.open(file) as taken:
        assert taken.format == "PNG" and max(taken.size) == 128

    pick(page.get_by_role("radio", name="From noise"))
    expect(page.locator("#plan")).to_contain_text("L-BFGS from noise")
    page.locator("#content input[type=file]").set_input_files(file)
    expect(page.locator("#plan")).to_contain_text(f"at most {done + 30} steps of L-BFGS from the photograph")
    expect(page.get_by_role("radio", name="Quick look")).to_be_checked()

    scrub = page.locator("#optimization-viewer .scrub")
    last = picture.get_attribute("src") or ""
    scrub.fill("0")
    expect(picture).not_to_have_attribute("src", last)
    step = steps_drawn(page)
    assert step < done
    total = page.locator("#optimization-viewer .legend .total span").inner_text()
    assert float(total) == pytest.approx(float(table[step - 1]["total"]), rel=0.01)
    expect(picture).to_have_js_property("naturalWidth", 64)  # the first scale
    scrub.fill(scrub.get_attribute("max") or "")
    expect(picture).to_have_attribute("src", last)

    page.get_by_label("The curve of a layer").select_option("style/conv1_2")
    expect(page.locator("#optimization-viewer .curve.layer")).to_have_count(1)
    width, scroll = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width


@pytest.mark.slow
def test_a_run_is_seen_beside_the_one_before(advanced: "Page") -> None:
    page = advanced
    choose(page, 12)
    page.locator("#run").click()
    wait_until_it_rests(page, "12 steps")
    picture, back = page.locator("#optimization-viewer figure img"), page.get_by_role("button", name="Previous run")
    assert back.count() == 0
    first, total = picture.evaluate(PIXELS), page.locator("#optimization-viewer .curve.total")
    alone = total.get_attribute("d")

    unfold(page, "Weights, optimiser")
    page.get_by_label("Style layers").fill("conv1_1, conv2_1=0.5 conv9_1")
    page.get_by_label("Style layers").press("Tab")
    expect(page.locator("#plan")).to_contain_text("conv9_1")
    page.get_by_label("Style layers").fill("conv1_1, conv2_1=0.5")
    page.get_by_label("Style layers").press("Tab")
    expect(page.locator("#plan")).to_contain_text("at most 12 steps")
    page.locator("#run").click()
    expect(back).to_be_visible()
    wait_until_it_rests(page, "12 steps")
    layers = (
        page.get_by_label("The curve of a layer").locator("option").evaluate_all("all => all.map((one) => one.value)")
    )
    assert layers == ["", "content/conv2_2", "style/conv1_1", "style/conv2_1"]
    expect(total).to_have_count(2)
    assert (total.nth(0).get_attribute("d") or "").count("L") == (alone or "").count("L")
    second = picture.evaluate(PIXELS)
    assert second != first
    line = page.locator("#optimization-viewer .line")
    back.click()
    expect(line).to_have_text(re.compile("^Previous run · Finished · 12 steps"))
    page.wait_for_function(f"([image, first]) => ({PIXELS})(image) === first", arg=[picture.element_handle(), first])
    back.click()
    expect(line).to_have_text(re.compile("^Finished · 12 steps"))
    page.wait_for_function(f"([image, second]) => ({PIXELS})(image) === second", arg=[picture.element_handle(), second])

    page.get_by_label("Style layers").fill("conv1_1")
    page.get_by_label("Style layers").press("Tab")
    page.locator("#go-on").click()
    expect(page.get_by_text(AS_BEGUN)).to_be_visible()
    wait_until_it_rests(page, "24 steps")

    page.context.set_offline(True)
    page.locator("#go-on").click()
    lost = page.get_by_test_id("toast-text").last
    expect(lost).to_contain_text("Connection to the server was lost")
    page.locator("#optimization-viewer .legend button").first.click()
    page.wait_for_timeout(300)  # another toast would close
    expect(lost).to_be_visible()
    # No question, as Gradio loads the page again, and there is the run.
    page.on("dialog", lambda question: question.dismiss())
    with page.expect_event("load"):
        page.context.set_offline(False)
    wait_until_it_rests(page, "24 steps")


def test_whoever_has_not_taken_a_run_home_is_asked(advanced: "Page", tmp_path: Path) -> None:
    page, asked = advanced, list[str]()
    choose(page, 3)
    page.locator("#run").click()
    wait_until_it_rests(page, "3 steps")
    page.once("dialog", lambda question: question.accept())
    page.reload()
    wait_until_it_rests(page, "3 steps")
    page.on("dialog", lambda question: asked.append(question.type))
    page.on("dialog", lambda question: question.dismiss())
    page.get_by_role("tab", name="Video").click()
    page.locator("#paint-film").click()
    expect(page.get_by_test_id("toast-text")).to_contain_text("There is no film yet")  # whatever else goes wrong
    with page.expect_event("dialog"):
        page.close(run_before_unload=True)
    page.get_by_role("tab", name="Advanced").click()
    download(page, "#png", tmp_path)
    for _ in range(2):
        page.reload()
        wait_until_it_rests(page, "Finished · 3 steps")
        page.locator("#presets label").first.click()  # else no browser would ask
    assert asked == ["beforeunload"]


def test_a_run_is_there_again_when_the_page_is(advanced: "Page", tmp_path: Path) -> None:
    page = advanced
    page.on("dialog", lambda question: question.accept())
    choose(page, 2000)
    page.locator("#run").click()
    page.wait_for_function("document.querySelector('#optimization-viewer .scrub').max > 1")
    page.reload()
    wait_until_it_rests(page, "Stopped")
    done = steps_drawn(page)
    assert done > 1
    set_steps(page, 5)
    page.locator("#go-on").click()
    wait_until_it_rests(page, f"{done + 5} steps")

    with page.expect_popup() as opened:
        page.evaluate("open(location.href)")  # with what this tab remembers, as if it were duplicated
    expect(opened.value.get_by_role("tab", name="Advanced")).to_have_attribute("aria-selected", "true")
    expect(opened.value.locator("#content img")).to_have_attribute("src", re.compile("lion"))
    opened.value.locator("#contents button").last.click()
    expect(opened.value.locator("#content img")).to_have_attribute("src", re.compile("cheetah"))
    opened.value.wait_for_timeout(2000)
    expect(opened.value.locator("#optimization-viewer [data-state=empty]")).to_be_visible()
    opened.value.close()

    page.reload()
    expect(page.locator("#content img")).to_have_attribute("src", re.compile("lion"))
    wait_until_it_rests(page, f"{done + 5} steps")
    assert len(rows(download(page, "#csv", tmp_path))) == done + 5
    with Image.open(download(page, "#png", tmp_path)) as picture:
        assert max(picture.size) == 128
    page.locator("#go-on").click()
    wait_until_it_rests(page, f"{done + 10} steps")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_who_waits_is_told_so_in_their_language(advanced: "Page", browser: "Browser", app_url: str) -> None:
    choose(advanced, 2000)
    advanced.locator("#run").click()
    expect(advanced.locator("#optimization-viewer .line")).to_contain_text("left")
    second, third = (browser.new_context(locale=locale).new_page() for locale in ("en", "es"))
    for page, tab, told in ((second, "Advanced", "You are in the queue"), (third, "Avanzado", "Está en la cola")):
        page.goto(app_url)
        page.get_by_role("tab", name=tab).click()
        page.locator("#contents button").first.click()
        page.locator("#paintings button").last.click()
        expect(page.locator("#content img")).to_be_visible()
        expect(page.locator("#painting img")).to_be_visible()
        page.locator("#run").click()
        expect(page.locator("#optimization-viewer .hint b")).to_have_text(told)
        expect(page.locator("#optimization-viewer [data-testid=status-tracker]")).to_be_hidden()
    expect(second.locator("#optimization-viewer .hint")).to_contain_text("Somebody else is ahead of you; you are next.")
    expect(third.locator("#optimization-viewer .hint")).to_contain_text(
        "como mucho 2 personas antes que usted. Pulse Parar"
    )
    second.locator("#leave").click()
    expect(second.locator("#optimization-viewer .hint")).to_contain_text("Watch a picture being painted")
    advanced.locator("#stop").click()
    expect(third.locator("#optimization-viewer figure img")).to_be_visible()
    for page in (second, third):
        page.context.close()


@pytest.mark.slow
def test_a_second_run_is_read_out_as_the_first(advanced: "Page") -> None:
    page = advanced
    choose(page, 3)
    for _ in range(2):
        page.locator("#run").click()
        expect(page.locator("#run")).to_be_disabled()
        wait_until_it_rests(page, "Finished · 3 steps")
        expect(page.locator("#optimization-viewer .legend")).to_contain_text("Style")
        assert steps_drawn(page) == 3


def wait_until_no_step_is_made(since: float) -> None:
    wait_until(lambda: time.monotonic() - max(TICKS[-1], since) > 1.5)


def test_who_stays_keeps_the_run_and_a_page_that_is_left_or_closed_ends_it(browser: "Browser", app_url: str) -> None:
    # As people's browsers do, this one keeps a page that is left alive for a while.
    browser = browser.browser_type.launch(
        executable_path=CHROMIUM, args=["--no-sandbox"], ignore_default_args=["--disable-back-forward-cache"]
    )
    context = browser.new_context()
    for end in ("left", "closed"):
        page = context.new_page()
        page.set_default_timeout(TIMEOUT)
        page.goto(app_url)
        page.get_by_role("tab", name="Advanced").click()
        expect(page.locator("#plan")).to_contain_text("Up to about")
        choose(page, 2000)
        page.locator("#run").click()
        expect(page.locator("#optimization-viewer figure img")).to_be_visible()
        page.once("dialog", lambda question: question.dismiss())
        with page.expect_event("dialog"):
            page.close(run_before_unload=True)
        first = steps_drawn(page)
        page.wait_for_function(
            "n => +document.querySelector('#optimization-viewer .legend .step span').textContent > n + 9", arg=first
        )
        ended = time.monotonic()
        if end == "left":
            page.once("dialog", lambda question: question.accept())
            page.goto(f"{app_url}/health")
        else:
            browser.close()
        wait_until_no_step_is_made(since=ended)
        assert TICKS[-1] - ended < 4, end


LOOK_BACK = """() => {
    const scrub = document.querySelector("#optimization-viewer .scrub");
    if (scrub.max < 8) return false;
    scrub.value = 4; // an even one, which stays when every second one goes
    scrub.dispatchEvent(new Event("input"));
    return [document.querySelector("#optimization-viewer figure img").alt, scrub.max];
}"""


@pytest.mark.slow
def test_who_looks_back_sees_the_same_step_though_pictures_are_thinned_out(
    advanced: "Page", monkeypatch: pytest.MonkeyPatch
) -> None:
    page = advanced
    monkeypatch.setattr("ui.watched.MAX_SNAPSHOTS", 12)
    choose(page, 2000)
    page.locator("#run").click()
    step, most = page.wait_for_function(LOOK_BACK).json_value()
    page.wait_for_function("most => +document.querySelector('#optimization-viewer .scrub').max < most", arg=int(most))
    expect(page.locator("#optimization-viewer .scrub")).to_have_value("2")
    expect(page.locator("#optimization-viewer figure img")).to_have_attribute("alt", step)
    stop = page.locator("#stop")
    page.set_viewport_size({"width": 1280, "height": 640})
    page.evaluate("scrollTo({ top: 600, behavior: 'instant' })")
    expect(stop).to_be_in_viewport(ratio=1)  # beside the settings
    page.set_viewport_size({"width": 960, "height": 480})  # zoom
    bring = "stop => scrollBy({ top: stop.getBoundingClientRect().bottom - innerHeight, behavior: 'instant' })"
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' })")
    stop.evaluate(bring)
    expect(stop).to_be_in_viewport(ratio=1)
    stop.click()
    wait_until_it_rests(page, "Stopped")


def test_what_is_pressed_as_the_page_opens_stays(advanced: "Page", monkeypatch: pytest.MonkeyPatch) -> None:
    page, noise = advanced, advanced.get_by_role("radio", name="From noise")
    pick_for_good(page.get_by_role("radio", name="Tutorial"), "advanced")
    page.get_by_role("tab", name="Repaint").click()

    def after_a_while(*asked: Any) -> dict[str, str]:  # as on a busy server
        time.sleep(1)
        return first_settings(*asked)

    monkeypatch.setattr("ui.advanced.first_settings", after_a_while)
    page.reload()
    page.get_by_role("tab", name="Advanced").click()
    pick(noise)
    page.wait_for_timeout(1500)
    expect(noise).to_be_checked()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_without_pictures_it_says_what_is_lacking(advanced: "Page") -> None:
    page = advanced
    page.locator("#run").click()
    expect(page.get_by_test_id("toast-text").first).to_contain_text("There is no photograph yet")
    page.wait_for_timeout(1000)  # a page that scrolls away takes its time
    expect(page.locator("#run")).to_be_in_viewport()
    expect(page.locator("#run")).to_be_enabled()
    expect(page.locator("#leave")).to_be_hidden()
    expect(page.locator("#optimization-viewer .hint")).to_be_visible()
    page.locator("#contents button").first.click()
    expect(page.locator("#content img")).to_be_visible()
    page.locator("#run").click()
    expect(page.get_by_test_id("toast-text").last).to_contain_text("There is no painting yet")
    expect(page.locator("#content img")).to_be_visible()


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_a_refusal_loses_nothing(advanced: "Page", tmp_path: Path) -> None:
    page = advanced
    choose(page, 12)
    page.locator("#run").click()
    wait_until_it_rests(page, "12 steps")
    text = tmp_path / "<b>painting.jpg"
    text.write_text("I am a text.")
    page.locator("#painting").get_by_label("Remove Image").or_(page.locator("#painting [aria-label='Clear']")).click()
    with page.expect_file_chooser() as chooser:
        page.locator("#painting").get_by_role("button").first.click()
    chooser.value.set_files(text)
    page.wait_for_timeout(500)
    page.locator("#run").click()
    toast = page.get_by_test_id("toast-text")
    expect(toast).to_have_text(re.compile(r"^[^/]+\.$"))
    expect(toast.locator("b")).to_have_count(0)
    wait_until_it_rests(page, "12 steps")
    expect(page.locator("#optimization-viewer figure img")).to_be_visible()
    expect(page.locator("#png")).to_be_visible()
    page.locator("#paintings button").last.click()
    expect(toast).to_have_count(0, timeout=3000)  # by itself, it goes after ten seconds


def test_a_run_that_is_too_old_to_continue_is_there_all_the_same(
    advanced: "Page", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = advanced
    choose(page, 12)
    page.locator("#run").click()
    wait_until_it_rests(page, "12 steps")
    wait_long(monkeypatch, KEEP_SECONDS + 1)
    page.locator("#go-on").click()
    expect(page.get_by_test_id("toast-text")).to_contain_text("There is no longer a run to continue")
    expect(page.locator("#run")).to_be_enabled()
    expect(page.locator("#go-on")).to_be_hidden()
    expect(page.locator("#optimization-viewer .line")).to_contain_text("12 steps")
    assert len(rows(download(page, "#csv", tmp_path))) == 12
    with Image.open(download(page, "#png", tmp_path)) as taken:
        assert max(taken.size) == 128
    picture = page.locator("#optimization-viewer figure img")
    last = picture.get_attribute("src") or ""
    page.locator("#optimization-viewer .scrub").fill("0")
    expect(picture).not_to_have_attribute("src", last)
    expect(picture).to_have_js_property("naturalWidth", 64)  # the first scale


def test_a_mask_without_a_painting_is_named(advanced: "Page", tmp_path: Path) -> None:
    page = advanced
    choose(page, 2)
    Image.new("L", (9, 9)).save(tmp_path / "mask.png")
    unfold(page, "More paintings, and where each applies")
    for place, sentence in ((0, "The mask is black all over"), (1, "Mask 2 has no painting")):
        row = page.locator(".further").nth(place)
        row.locator("input[type=file]").last.set_input_files(tmp_path / "mask.png")
        expect(row.locator("img")).to_be_visible()
        page.locator("#run").click()
        expect(page.get_by_test_id("toast-text").last).to_contain_text(sentence)
        row.locator("[aria-label='Remove Image'], [aria-label='Clear']").click()


def test_presets_fill_in_the_settings_and_absurd_ones_are_named(advanced: "Page") -> None:
    page = advanced
    page.get_by_label("From noise").click()
    expect(page.locator("#plan")).to_contain_text("from noise")
    unfold(page, "Weights, optimiser")
    page.get_by_label("Content weight").fill("-3")
    page.get_by_label("Content weight").press("Tab")
    expect(page.locator("#plan .wrong")).to_contain_text("content weight")
    page.get_by_label("From noise").click()
    expect(page.locator("#plan .wrong")).to_have_count(0)
    expect(page.get_by_label("Content weight")).to_have_value("0.15")
    page.get_by_label("The paper").click()
    # A number beyond the slider's ends becomes the end, and so it is planned.
    for typed, taken in (("99999", "2000"), ("0", "1")):
        steps = page.get_by_role("spinbutton", name="Maximum steps")
        steps.fill(typed)
        steps.press("Tab")
        expect(steps).to_have_value(taken)
    expect(page.locator("#plan")).to_contain_text("Up to about")
    expect(page.locator("#plan .wrong")).to_have_count(0)
    expect(page.get_by_label("Content weight")).to_have_value("1")
    page.get_by_label("A fast style's picture").click()
    expect(page.get_by_label("The fast style")).to_be_visible()
    expect(page.locator("#plan")).to_contain_text("a fast style's picture")
    width, scroll = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width


def test_where_nothing_is_trained_there_is_a_command(advanced: "Page") -> None:
    page = advanced
    unfold(page, "Train a style of your own")
    command = page.locator("#command .cm-content")
    expect(command).to_contain_text("python -m nst_core train painting.jpg")
    page.get_by_role("spinbutton", name="Content weight").fill("2.5")
    page.get_by_role("spinbutton", name="Content weight").press("Tab")
    expect(command).to_contain_text("--content-weight 2.5")
    page.get_by_role("spinbutton", name="Style size (px)").fill("384")
    page.get_by_role("spinbutton", name="Style size (px)").press("Tab")
    expect(command).to_contain_text("--style-size 384")
    page.get_by_label("Title").fill("It's <b>mine</b> $(id)")
    expect(command).to_contain_text("--title 'It'\"'\"'s <b>mine</b> $(id)'")
    expect(command).to_contain_text("-o styles/it-s-b-mine-b-id")
    expect(command.locator("b")).to_have_count(0)
    width, scroll = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width
