"""Styles on the Hub, when the Hub is slow, refuses, or has another file than the registry says: the page goes on."""

import hashlib
import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import serving
from loopback_hub import Failure, LoopbackHub
from made_styles import make_style
from PIL import Image
from waiting import wait_until

from nst_core.style import PREVIEW, WEIGHTS

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A page whose registry has a style of its own, and some of a Hub that is not at its best."""
    folder = make_style(tmp_path / "here", title="Here")
    sha256 = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    about = {"artist": "An Artist", "license": "mit", "tags": [], "sha256": sha256}
    with LoopbackHub() as hub:
        revisions = {
            "limited": hub.add("user/limited", folder, fails=HTTPStatus.TOO_MANY_REQUESTS),
            "other": hub.add("user/other", make_style(tmp_path / "other", seed=9)),
            "slow": hub.add("user/slow", folder, hangs=True),
        }
        hub.failures[f"/user/other/resolve/{revisions['other']}/{PREVIEW}"] = Failure(times=1)  # at the start
        entries = [{"id": "here", "title": "Here", "path": "here", **about}]
        for id, revision in revisions.items():
            entries.append({"id": id, "title": id.title(), "repo": f"user/{id}", "revision": revision, **about})
        registry = tmp_path / "registry.yaml"
        registry.write_text(json.dumps({"version": 1, "styles": entries}))
        environment = hub.environment(tmp_path / "home", NST_REGISTRY=str(registry), NST_MAX_SIDE="512")
        with serving(tmp_path, environment) as url:
            yield url


def opened(browser: "Browser", url: str) -> "Page":
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.goto(url)
    return page


def paint(page: "Page", photo: Path) -> None:
    """With the style that is chosen at first."""
    with page.expect_file_chooser() as chooser:
        page.locator("#photo").get_by_role("button").first.click()
    chooser.value.set_files(photo)
    expect(page.locator("#info")).to_contain_text("Here")


@pytest.mark.slow
def test_a_style_that_does_not_come_holds_up_nobody(browser: "Browser", url: str, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.radial_gradient("L").resize((120, 90)).convert("RGB").save(photo)
    page, others = opened(browser, url), opened(browser, url)
    paint(page, photo)
    labels = page.locator("#styles label")
    info = page.locator("#info")
    missing = info.get_by_text("The Hugging Face Hub could not be reached for user/slow")

    labels.filter(has_text="Slow").click()
    expect(info).to_have_text("Downloading the style from the Hugging Face Hub …")
    paint(others, photo)
    assert not missing.count()  # while somebody else's was painted
    expect(missing).to_be_visible()

    labels.filter(has_text="Limited").click()
    expect(info.get_by_text("The Hugging Face Hub answered 429 when asked for user/limited")).to_be_visible()
    labels.filter(has_text="Other").click()
    expect(info.get_by_text("model.safetensors is not the file that was promised")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 844})
    assert info.evaluate("info => [info, ...info.querySelectorAll('*')].every((one) => one.scrollWidth <= innerWidth)")
    labels.filter(has_text="Here").click()
    expect(page.locator("#info")).to_contain_text("Here")
    page.close()
    others.close()
    wait_until(lambda: [*(tmp_path / "files").glob("*/previews/other-*.webp")])
