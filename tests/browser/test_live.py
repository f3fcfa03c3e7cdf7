"""A browser paints by itself: what the server would paint, what a camera sees, and nothing leaves it."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from dropping import drop
from made_optimization import made_picture
from made_page import served_page
from PIL import Image

from nst_core.registry import Registry
from nst_core.stylization import stylize
from ui.live import FILES, RUNTIME

if TYPE_CHECKING:
    from playwright.sync_api import Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect

REGISTRY = Path(__file__).parents[2] / "registry.yaml"
STYLE = "udnie-lite"
LIVE = re.compile(r"^[\d.]+ frames a second · \d+ ms behind · \d+ × \d+ px · by (this device's processor|the server)$")


@pytest.fixture(scope="module")
def runtime() -> Path:
    """A folder with what browsers fetch of onnxruntime-web, which npm fetches once."""
    folder = Path(tempfile.gettempdir(), f"onnxruntime-web-{RUNTIME}")
    names = [name for files in FILES.values() for name in files]
    if all((folder / name).is_file() for name in names):
        return folder
    if not shutil.which("npm"):
        pytest.skip("npm is not installed, which fetches onnxruntime-web (apt install npm)")
    with tempfile.TemporaryDirectory() as packed:
        command = ["npm", "pack", f"onnxruntime-web@{RUNTIME}", "--pack-destination", packed]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            pytest.skip("npm could not fetch onnxruntime-web")
        folder.mkdir(exist_ok=True)
        with tarfile.open(next(Path(packed).iterdir())) as archive:
            for name in names:
                member = archive.extractfile(f"package/dist/{name}")
                assert member is not None
                whole = folder / f"{name}.{os.getpid()}"
                whole.write_bytes(member.read())
                whole.replace(folder / name)
    return folder


@pytest.fixture(scope="module")
def app_url(runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """In place of the app: this page has the bundled styles, the runtime at hand, and one style made ready."""
    with served_page(REGISTRY, tmp_path_factory.mktemp("page"), runtime=runtime) as url:
        components = json.loads(urllib.request.urlopen(f"{url}/config").read())["components"]
        ours = next(one["id"] for one in components if one["props"].get("elem_id") == "live")
        body = {"component_id": ours, "fn_name": "weights", "data": STYLE, "session_hash": "a-test"}
        asked = urllib.request.Request(
            f"{url}/gradio_api/component_server/", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        assert json.loads(urllib.request.urlopen(asked, timeout=300).read())["url"].endswith(".onnx")
        yield url


@pytest.fixture
def live(page: "Page") -> "Page":
    page.get_by_role("tab", name="Live").click()
    expect(page.get_by_role("button", name="Start the camera")).to_be_visible()
    return page


def choose(page: "Page", photo: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a photograph").click()
    chooser.value.set_files(photo)


def taken_home(page: "Page") -> Image.Image:
    with page.expect_download() as found:
        page.locator("#live .download").click()
    assert found.value.suggested_filename == f"{STYLE}.png"
    with Image.open(BytesIO(found.value.path().read_bytes())) as picture:
        return picture.copy()


def psnr(painted: Image.Image, reference: Image.Image) -> float:
    difference = np.asarray(painted.convert("RGB"), float) - np.asarray(reference, float)
    return 10 * float(np.log10(255**2 / np.square(difference).mean()))


def test_it_paints_as_the_server_does_and_asks_for_nothing_more(live: "Page", tmp_path: Path) -> None:
    page = live
    style = Registry.load(REGISTRY).open(STYLE)
    first, second = made_picture(1, (203, 150)), made_picture(2, (90, 130))
    first.save(tmp_path / "first.png")
    second.save(tmp_path / "second.png")
    choose(page, tmp_path / "first.png")
    expect(page.locator("#live .line")).to_contain_text("203 × 150 px")
    assert psnr(taken_home(page), stylize(first, style, precision="exact")) > 40

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    choose(page, tmp_path / "second.png")
    expect(page.locator("#live .line")).to_contain_text("90 × 130 px")
    assert psnr(taken_home(page), stylize(second, style, precision="exact")) > 40
    assert not [url for url in asked if not url.startswith("blob:")]


@pytest.mark.slow
def test_the_camera_is_painted_live_until_it_is_left(live: "Page") -> None:
    page = live
    page.context.grant_permissions(["camera"])
    expect(page.get_by_text("Only the quick styles work")).to_be_hidden()
    page.locator("#live .styles input[value=the-scream]").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .rate")).to_have_text(LIVE)
    expect(page.locator("#live .styles input[value=the-scream-lite]")).to_be_checked()
    expect(page.get_by_text("Only the quick styles work")).to_be_visible()
    with page.expect_response("**/*.onnx"):  # what is asked for is looked at below, and this may take its time
        page.locator(f"#live .styles input[value={STYLE}]").click()
    titles = [label.inner_text() for label in page.locator("#live .styles label").all() if label.is_visible()]
    assert titles and all(title.endswith(", lite") for title in titles)
    width, scroll = page.evaluate("[innerWidth, document.documentElement.scrollWidth]")
    assert scroll <= width

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    canvas = page.locator("#live canvas")
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    page.wait_for_function("before => document.querySelector('#live canvas').toDataURL() !== before", arg=before)
    expect(page.locator("#live .download")).to_be_hidden()
    page.get_by_role("button", name="Take the picture").click()
    expect(page.locator("#live .line")).to_contain_text("512 × 384 px")  # the last frame, as a photograph
    assert taken_home(page).size == (512, 384)
    # Gradio may come to fetch another part of its own page.
    assert not [url for url in asked if not url.startswith("blob:") and "/assets/" not in url]

    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .rate")).to_have_text(LIVE)
    page.get_by_role("button", name="Turn the camera off").click()
    expect(page.locator("#live .line")).to_have_text("The camera is off.")
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .rate")).to_have_text(LIVE)
    page.get_by_role("tab", name="Repaint").click()
    page.get_by_role("tab", name="Live").click()
    expect(page.get_by_role("button", name="Start the camera")).to_be_enabled()
    expect(page.locator("#live .stop")).to_be_hidden()
    expect(page.locator("#live .line")).to_have_text("The camera is off: you left this tab.")
    expect(page.locator("#live .who")).to_be_hidden()
    page.locator("#live .styles input[value=the-scream]").click()  # the last frame is a photograph here as well
    expect(page.locator("#live .line")).to_contain_text("512 × 384 px")

    page.locator(f"#live .styles input[value={STYLE}]").click()
    gone = "navigator.mediaDevices.getUserMedia = async (wishes) => (window.given = await ask(wishes))"
    page.evaluate(f"() => {{ const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices); {gone}; }}")
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .rate")).to_have_text(LIVE)
    page.evaluate("given.getTracks()[0].dispatchEvent(new Event('ended'))")
    expect(page.locator("#live .line")).to_have_text("The camera was disconnected.")
    page.locator("#live .styles input[value=the-scream]").click()
    expect(page.locator("#live .line")).to_contain_text("512 × 384 px")


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_the_server_paints_the_camera_when_it_is_told_to(live: "Page") -> None:
    page = live
    page.context.grant_permissions(["camera"])
    expect(page.locator("#live .who")).to_be_hidden()
    expect(page.locator("#live .privacy")).to_contain_text("no picture leaves it")
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .rate")).to_contain_text("by this device's processor")
    page.locator("#live .who").select_option("the server")
    expect(page.locator("#live .privacy")).to_contain_text("is sent there and not kept")
    expect(page.locator("#live .rate")).to_contain_text("by the server")
    expect(page.locator("#live .rate")).to_have_text(LIVE)
    expect(page.locator("#live .stop")).to_be_in_viewport(ratio=0.9)
    page.locator("#live .stop").click()
    expect(page.locator("#live .line")).to_contain_text("px · by the server")  # the last frame
    expect(page.locator("#live .privacy")).to_contain_text("no picture leaves it")
    expect(page.locator("#live .who")).to_be_hidden()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.wait_for_timeout(1000)
    assert not asked


LATE = {
    "asked": """() => {
        const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        navigator.mediaDevices.getUserMedia = async (wishes) => {
            await new Promise((done) => { window.answer = done; });
            return window.given = await ask(wishes);
        };
    }""",
    "playing": """() => {
        const play = HTMLMediaElement.prototype.play;
        HTMLMediaElement.prototype.play = async function () {
            window.given = this.srcObject;
            await new Promise((done) => { window.answer = done; });
            return play.call(this);
        };
    }""",
}


@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_whoever_has_gone_to_another_tab_before_the_camera_starts_is_not_filmed(live: "Page", late: str) -> None:
    page = live
    page.context.grant_permissions(["camera"])
    page.evaluate(late)
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_function("!!window.answer")
    page.get_by_role("tab", name="About").click()
    page.evaluate("answer()")
    page.wait_for_function("window.given?.getTracks().every((track) => track.readyState === 'ended')")
    page.get_by_role("tab", name="Live").click()
    expect(page.get_by_role("button", name="Start the camera")).to_be_enabled()


def test_the_other_camera_is_another(live: "Page") -> None:
    page = live
    page.context.grant_permissions(["camera"])
    page.evaluate("""() => {
        const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        window.given = [];
        navigator.mediaDevices.getUserMedia = async (wishes) => {
            const stream = await ask(wishes);
            given.push(stream.getTracks()[0]);
            return stream;
        };
    }""")
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .rate")).to_have_text(LIVE)
    page.locator("#live").get_by_label("Size (longer side, px)").select_option("240")
    other = page.get_by_role("button", name="Switch camera")
    other.press("Enter")
    page.wait_for_function("given.length === 2")
    expect(page.locator("#live .rate")).to_contain_text("240 × 180 px")
    assert page.locator("#live").get_by_label("Size (longer side, px)").input_value() == "240"
    expect(other).to_be_focused()
    assert page.evaluate("new Set(given.map((track) => track.getSettings().deviceId)).size") == 2
    assert page.evaluate("given.map((track) => track.readyState)") == ["ended", "live"]
    page.get_by_role("button", name="Take the picture").click()
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_function("given.length === 3")
    assert page.evaluate("given[2].getSettings().deviceId === given[1].getSettings().deviceId"), "it stays"


def test_where_the_server_is_lost_the_last_picture_stays(live: "Page") -> None:
    page = live
    page.context.grant_permissions(["camera"])
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .rate")).to_have_text(LIVE)
    page.locator("#live .who").select_option("the server")
    expect(page.locator("#live .rate")).to_contain_text("by the server")
    page.route("**/component_server/**", lambda route: route.abort())
    expect(page.locator("#live .line")).to_contain_text("The server did not answer")
    page.wait_for_timeout(500)
    assert page.locator("#live canvas").evaluate("canvas => canvas.width") > 100
    assert page.locator("#live .camera").is_enabled()


def test_what_cannot_be_had_ends_nothing(live: "Page", tmp_path: Path) -> None:
    page, line = live, live.locator("#live .line")
    text = tmp_path / "photo.png"
    text.write_text("I am a text.")
    made_picture(1, (40, 30)).save(tmp_path / "small.png")
    page.evaluate("""() => {
        const post = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (message, transfer) {
            if (message.task === "paint") window.go = () => post.call(this, message, transfer);
            else post.call(this, message, transfer);
        };
        window.back = () => { Worker.prototype.postMessage = post; go(); };
    }""")
    choose(page, tmp_path / "small.png")
    page.wait_for_function("!!window.go")
    choose(page, text)
    expect(line).to_contain_text("This browser cannot read that file")
    page.get_by_role("button", name="Start the camera").click()
    expect(line).to_contain_text("Camera access was denied")
    page.evaluate("back()")
    expect(line).to_contain_text("40 × 30 px")

    page.context.grant_permissions(["camera"])
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#live .rate")).to_have_text(LIVE)
    choose(page, text)
    expect(line).to_contain_text("This browser cannot read that file")
    page.wait_for_timeout(500)
    expect(page.get_by_role("button", name="Take the picture")).to_be_visible()


def test_what_failed_once_is_tried_again(live: "Page", tmp_path: Path) -> None:
    page, line = live, live.locator("#live .line")
    made_picture(1, (40, 30)).save(tmp_path / "small.png")
    page.evaluate("""() => {
        const post = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (message, transfer) {
            if (message.task === "load") Worker.prototype.postMessage = post;
            post.call(this, message.task === "load" ? { ...message, weights: new ArrayBuffer(8) } : message, transfer);
        };
    }""")
    choose(page, tmp_path / "small.png")
    expect(line).to_contain_text("This device could not paint it")
    choose(page, tmp_path / "small.png")
    expect(line).to_contain_text("40 × 30 px")


def test_where_the_graphics_chip_is_not_to_be_had_the_processor_paints(live: "Page", tmp_path: Path) -> None:
    made_picture(1, (40, 30)).save(tmp_path / "small.png")
    chip = "{ value: { requestAdapter: async () => ({}) } }"
    live.evaluate(f"() => {{ Object.defineProperty(navigator, 'gpu', {chip}) }}")
    choose(live, tmp_path / "small.png")
    expect(live.locator("#live .line")).to_contain_text("by this device's processor")


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_what_cannot_be_is_one_sentence(live: "Page", tmp_path: Path) -> None:
    page, line = live, live.locator("#live .line")
    start = page.get_by_role("button", name="Start the camera")
    start.click()
    expect(line).to_have_text(
        "Camera access was denied: allow it next to the page's address, then start the camera again."
    )
    expect(page.locator("#live .rate")).to_be_in_viewport()  # which is below that
    for name in ("NotFoundError", "OverconstrainedError"):  # as Safari calls it
        none = f"async () => {{ throw new DOMException('', '{name}'); }}"
        page.evaluate(f"() => {{ navigator.mediaDevices.getUserMedia = {none}; }}")
        line.evaluate("line => line.replaceChildren()")
        start.click()
        expect(line).to_have_text("This device has no camera: choose a photograph instead.")
    page.evaluate("delete Navigator.prototype.mediaDevices")
    start.click()
    expect(line).to_contain_text("https")
    expect(page.get_by_label("Painted by")).to_be_visible()  # the server may where this device cannot

    text = tmp_path / "photo.png"
    text.write_text("I am a text.")
    drop(page, text, "image/png", "#masthead")
    expect(line).to_have_text("This browser cannot read that file: choose a PNG, JPEG or WebP.")
    drop(page, text, "video/mp4", "#masthead")
    expect(line).to_have_text("That is a film: films are painted on the tab Video.")
    photo = tmp_path / "small.png"
    made_picture(1, (40, 30)).save(photo)
    others = [b"\0asm, but another one"]
    # It stays: a request that is under way as a route is taken away may never be answered.
    page.route("**/*.wasm", lambda route: route.fulfill(body=others[0]) if others else route.fallback())
    choose(page, photo)
    expect(line).to_have_text("The painting program could not be downloaded: try again, or use the Repaint tab.")
    others.clear()
    whole = page.evaluate_handle("WebAssembly")
    page.evaluate("delete window.WebAssembly")
    choose(page, photo)
    expect(line).to_contain_text("Painting here needs WebAssembly")
    page.evaluate("whole => { window.WebAssembly = whole }", whole)
    choose(page, photo)
    expect(line).to_contain_text("40 × 30 px")
