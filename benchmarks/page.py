"""How long does a person wait for a picture, from the press of a button, and how much of it is the network?

    python benchmarks/page.py
    python benchmarks/page.py --size 2048 --rounds 5

A real Chromium (Debian's, driven by Playwright) at the real server: a photograph of noise and shapes is chosen, and
style after style is pressed, each of them opened before. The clock runs from the click to the moment at which the new
picture is decoded. Reported are medians: that time, the network's own as the page says it, what is left between the
two, the same for the first picture of a photograph, and what a move of the strength's slider takes, which needs no
network.
"""

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inference import photograph

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = "/usr/bin/chromium"
ROOT = Path(__file__).parent.parent
STYLES = ("great-wave", "starry-night")
SHOWN = """async ([before, words]) => {
    for (;;) {
        const image = [...document.querySelectorAll("#result img")].pop();
        if (image && image.src !== before && document.querySelector("#info").innerText.includes(words)) {
            const source = image.src;
            await image.decode().catch(() => {});
            if (image.src === source && image.complete && image.naturalWidth) return;
        }
        await new Promise(requestAnimationFrame);
    }
}"""
"""Returns once another picture than before is there, and the line under it says so."""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, int]]:
    """``python app.py``, which keeps its files in ``folder``; yields its address and the number of its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "files")}
    url = f"http://127.0.0.1:{port}"
    app = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except (urllib.error.URLError, TimeoutError):
                if app.poll() is not None:
                    sys.exit("The app ended before it answered.")
                time.sleep(0.1)
        yield url, app.pid
    finally:
        app.terminate()
        app.wait(10)


def timed(page: "Page", press: str, words: str) -> tuple[float, float]:
    """Press what the selector finds; seconds until the picture is there, and those of them that the network took."""
    last = page.locator("#result img").last
    before = last.get_attribute("src") if page.locator("#result img").count() else None
    began = time.perf_counter()
    page.locator(press).first.click()
    page.evaluate(SHOWN, [before, words])
    return time.perf_counter() - began, network_seconds(page)


def network_seconds(page: "Page") -> float:
    """How long the network took, as the page says."""
    found = re.search(r"painted in ([\d.]+) s", page.locator("#info").inner_text())
    assert found
    return float(found[1])


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, action="append", choices=(512, 1024, 1536, 2048))
    parser.add_argument("--rounds", type=int, default=7, help="pictures of each kind")
    arguments = parser.parse_args()
    if not Path(CHROMIUM).is_file():
        print(f"skipped: there is no {CHROMIUM}")
        return
    print(f"{'px':>5} {'press s':>8} {'network s':>10} {'rest s':>7} {'first s':>8} {'rest s':>7} {'strength s':>11}")
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as (url, _), sync_playwright() as playwright:
        files = [Path(name, f"photo-{number}.jpg") for number in range(arguments.rounds + 1)]
        for file in files:
            photograph(1200, 1600).save(file, quality=90)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.wait_for_selector("#styles label")
        style = '#styles label:has(input[value="{}"])'.format
        for size in arguments.size or (512, 1024):
            first, again, touched = [], [], []
            for number, file in enumerate(files):
                if page.locator("#photo img").count():
                    page.locator("#photo").get_by_label("Remove Image").click()
                page.get_by_label(str(size), exact=True).check()
                page.locator("#result img").first.wait_for(state="detached")
                began = time.perf_counter()
                page.locator("#photo input[type=file]").set_input_files(file)
                page.evaluate(SHOWN, [None, "painted in"])
                took, network = time.perf_counter() - began, network_seconds(page)
                chosen = page.locator("#styles input:checked").get_attribute("value")
                other = next(style for style in STYLES if style != chosen)
                pressed = timed(page, style(other), "painted in")
                source = page.locator("#result img").last.get_attribute("src")
                began = time.perf_counter()
                page.locator("#strength input[type=range]").fill(str(0.9 - 0.05 * (number % 3)))
                page.evaluate(SHOWN, [source, "painted in"])
                if number:  # the first is slow for other reasons: the styles are opened
                    first.append((took, network))
                    again.append(pressed)
                    touched.append(time.perf_counter() - began)
            row = []
            for pairs in (again, first):
                times, networks = zip(*pairs, strict=True)
                rests = [took - network for took, network in pairs]
                row.append((statistics.median(times), statistics.median(networks), statistics.median(rests)))
            (press, network_, rest), (one, _, one_rest) = row
            print(
                f"{size:>5} {press:8.3f} {network_:10.3f} {rest:7.3f} {one:8.3f} {one_rest:7.3f} "
                f"{statistics.median(touched):11.3f}",
                flush=True,
            )
        browser.close()


if __name__ == "__main__":
    main()
