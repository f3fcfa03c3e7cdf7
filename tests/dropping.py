"""Drops a file on the page, as a hand would."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

DROP = """([data, name, type, place]) => {
    const files = new DataTransfer(), bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    files.items.add(new File([bytes], name, { type }));
    const box = document.querySelector(place);
    box.scrollIntoView({ block: "center", behavior: "instant" });
    const { x, y, width, height } = box.getBoundingClientRect();
    const target = document.elementFromPoint(x + width / 2, y + height / 2);
    return ["dragover", "drop"].map((name) =>
        !target.dispatchEvent(new DragEvent(name, { bubbles: true, cancelable: true, dataTransfer: files })));
}"""


def drop(page: "Page", file: Path, kind: str, place: str) -> None:
    """Drop it; the page must tell the browser each time not to open the file."""
    data = base64.b64encode(file.read_bytes()).decode()
    assert page.evaluate(DROP, [data, file.name, kind, place]) == [True, True]


def drop_folder(page: "Page", folder: Path, place: str) -> None:
    """Drop a folder, which no script can make."""
    box = page.locator(place).bounding_box()
    assert box
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    browser = page.context.new_cdp_session(page)
    for name in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        browser.send("Input.dispatchDragEvent", {"type": name, **at, "data": data})


SETTLED = """() => new Promise((done) => {
    let before = "", since = performance.now();
    const look = () => {
        const boxes = [...document.querySelectorAll("[id]")].map((element) => element.getBoundingClientRect());
        const now = JSON.stringify(boxes);
        if (now !== before) { before = now; since = performance.now(); }
        if (performance.now() - since > 700) done(); else setTimeout(look, 50);
    };
    look();
})"""


def settle(page: "Page") -> None:
    """Wait until Gradio, which lays its boxes out anew while a page begins, has left them alone for a while."""
    page.evaluate(SETTLED)
