"""A style's way from one person's page to another's: contributed, reviewed, merged, found, used by link, kept."""

import base64
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from conftest import ROOT, serving
from dropping import drop, drop_folder, settle
from loopback_hub import LoopbackHub
from made_films import make_film
from made_styles import make_style
from picking import pick_option
from PIL import Image

from nst_core.style import PREVIEW

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
ALL_FILES = """([weights, place]) => {
    const files = new DataTransfer(), bytes = Uint8Array.from(atob(weights), (letter) => letter.charCodeAt(0));
    files.items.add(new File(["# Udnie"], "README.md"));  // which not every system knows
    files.items.add(new File(["{}"], "config.json", { type: "application/json" }));
    files.items.add(new File([bytes], "model.safetensors"));
    const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: files });
    document.querySelector(place).dispatchEvent(event);
}"""
LARGE = """(place) => {
    const files = new DataTransfer();
    files.items.add(new File([new Uint8Array(2 ** 26 + 1)], "large.zip", { type: "application/zip" }));
    const event = new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: files });
    document.querySelector(place).dispatchEvent(event);
}"""
SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        for name in ("ada", "bob", "eve"):
            hub.account(name)
        hub.new("bob/registry", {"registry.yaml": b"version: 1\nstyles: []\n"})
        yield hub


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.radial_gradient("L").resize((120, 90)).convert("RGB").save(path)
    return path


@contextmanager
def page_of(
    browser: "Browser", hub: LoopbackHub, folder: Path, name: str, screen: str, query: str = ""
) -> Iterator["Page"]:
    """Someone's own page, in a browser of their own; Ada's lets her sign in."""
    settings = {"NST_REGISTRY": "bob/registry", "NST_MAX_SIDE": "512", "HF_TOKEN": f"hf_{name}_write"}
    settings["NST_LOGIN"] = str(int(name == "ada"))
    environment = hub.environment(folder / f"home-{name}", **settings)
    (folder / f"app-{name}").mkdir(exist_ok=True)
    with serving(folder / f"app-{name}", environment) as url:
        context = browser.new_context(viewport=SIZES[screen])  # type: ignore[arg-type]
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{url}/{query}")
        yield page
        context.close()


def choose_photo(page: "Page", photo: Path) -> None:
    with page.expect_file_chooser() as chooser:
        page.locator("#photo").get_by_role("button").first.click()
    chooser.value.set_files(photo)


def picture(page: "Page", title: str, but_not: str = "") -> bytes:
    """What the page shows as painted by the style of that title."""
    expect(page.locator("#info")).to_contain_text(title)
    painted = page.locator("#result img").last
    expect(painted).not_to_have_attribute("src", but_not)
    return page.request.get(painted.get_attribute("src") or "").body()


@pytest.mark.slow
def test_from_ada_by_bob_to_eve(browser: "Browser", hub: LoopbackHub, tmp_path: Path, photo: Path) -> None:
    folder = make_style(tmp_path / "wave", title="", artist="", license="")
    (folder / PREVIEW).unlink()
    archive = shutil.make_archive(str(tmp_path / "my style"), "zip", tmp_path, "wave")

    with page_of(browser, hub, tmp_path, "ada", "phone") as page:
        page.get_by_role("tab", name="Contribute").click()
        with page.expect_navigation():
            page.locator("#login").click()
        expect(page.locator("#login")).to_contain_text("ada")
        expect(page.locator("#login")).to_be_visible()
        page.locator("#upload input[type=file]").set_input_files(archive)
        expect(page.locator("#report")).to_contain_text("It can be used.")
        expect(page.locator("#report .wrong")).to_have_count(0)  # the fields ask for title, artist and licence
        expect(page.get_by_role("img", name="What it paints")).to_be_visible()
        expect(page.locator("#sample button")).to_have_count(0)  # it would do nothing

        page.locator("#try").click()
        choose_photo(page, photo)
        own = picture(page, "Your style")
        assert len(own) > 1000
        assert page.locator("#styles input[value^='own:']").count() == 1

        page.get_by_role("tab", name="Contribute").click()
        publish = page.locator("#publish")
        publish.click()
        expect(page.get_by_role("alert").get_by_text("first confirm that you are allowed to")).to_be_in_viewport()
        page.get_by_label("Title").last.fill("The <b>Wave</b>")
        page.get_by_label("Artist of the picture").fill("Ada")
        page.get_by_label("Licence").click()
        page.get_by_role("option", name=re.compile("MIT")).click()
        page.get_by_label("Repository").fill("https://huggingface.co/ada/wave")
        page.get_by_label(re.compile("I made this style")).check()
        publish.click()
        links = page.locator("#published a")
        expect(links).to_have_count(2)
        expect(page.locator("#published p").last).to_be_in_viewport()
        addresses = [links.nth(place).get_attribute("href") for place in range(2)]
        assert addresses == [f"{hub.endpoint}/ada/wave", f"{hub.endpoint}/bob/registry/discussions/1"]
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"]["width"]
    revision = hub.repos["ada/wave"].branches["main"]
    assert {"README.md", "config.json", "model.safetensors", "preview.webp"} <= hub.repos["ada/wave"].commits[
        revision
    ].keys()

    words = ("review", "bob/registry", "1", "--photo", str(photo), "-o", str(tmp_path / "sheet.png"), "--merge")
    [(status, _, refusal)] = hub.commands(("hf_bob_write", *words), home=tmp_path / "home-bob")
    assert status == 0, refusal

    with page_of(browser, hub, tmp_path, "eve", "desktop") as page:
        wave = page.locator("#styles label").filter(has_text="The <b>Wave</b>")
        expect(wave).to_have_count(1)
        choose_photo(page, photo)
        first = picture(page, "The <b>Wave</b>")
        preview = wave.evaluate("label => getComputedStyle(label, '::before').backgroundImage.slice(5, -2)")
        with Image.open(BytesIO(page.request.get(preview).body())) as seen:
            assert seen.format == "WEBP"

        before = page.evaluate("localStorage.repaint")
        page.get_by_text("Community styles").click()
        choice = page.locator("#community-choice input")
        choice.click()
        page.get_by_role("option", name="The <b>Wave</b> by Ada · ada/wave · mit").click()
        expect(page.locator("#styles label.selected input")).to_have_value(f"ada/wave@{revision}")
        assert picture(page, "The <b>Wave</b>") == first
        page.wait_for_function("before => localStorage.repaint !== before", arg=before)
        page.locator("#styles label").first.click()
        expect(page.locator("#styles label.selected input")).not_to_have_value(f"ada/wave@{revision}")
        expect(choice).to_have_value("")
        pick_option(choice, "ada/wave")  # which is no other one
        expect(page.locator("#styles label.selected input")).to_have_value(f"ada/wave@{revision}")
        page.reload()
        expect(page.locator("#styles label.selected input")).to_have_value(f"ada/wave@{revision}")
    with page_of(browser, hub, tmp_path, "eve", "desktop", f"?style=ada/wave@{revision}&size=512") as page:
        expect(page.locator("#styles label.selected")).to_contain_text("ada/wave")
        choose_photo(page, photo)
        assert len(picture(page, "The <b>Wave</b>")) > 1000
    with page_of(browser, hub, tmp_path, "eve", "desktop", f"?style=ada/wave@{revision}") as page:
        choose_photo(page, photo)
        linked = picture(page, "The <b>Wave</b>")
        shown = page.locator("#result img").last.get_attribute("src") or ""
        hub.close()  # the gallery's own style is kept here
        page.locator("#styles label").filter(has_text="The <b>Wave</b>").first.click()
        assert picture(page, "The <b>Wave</b>", but_not=shown) == linked == first


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_what_is_dropped_is_examined_and_shown_as_text(page: "Page", tmp_path: Path) -> None:
    hostile = '<img src=x onerror="document.title = 1"> ${1+1} \u202e'
    make_style(tmp_path / "your; style", title=hostile, artist="<b>A</b>", license="mit")
    taken = Image.Exif()
    taken[0x010F] = "A camera"
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "your; style" / PREVIEW, exif=taken)
    archive = shutil.make_archive(str(tmp_path / "style"), "zip", tmp_path, "your; style")
    page.get_by_role("tab", name="Contribute").click()
    (tmp_path / "note.bin").write_text("I am a text.")
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "note.bin")
    expect(page.locator("#report")).to_contain_text("The file is of an unknown kind: upload weights as .safeten")
    page.locator("#upload").get_by_label("Clear").click()
    with page.expect_file_chooser() as chooser:
        page.locator("#upload").get_by_role("button").first.click()
    chooser.value.set_files(archive)
    report = page.locator("#report")
    expect(report).to_contain_text('<img src=x onerror="document.title = 1"> ${1+1}, <b>A</b>, mit.')
    assert report.locator("img, b b").count() == 0 and page.title() == "Repaint"
    # Nobody signs in on this server.
    assert page.locator("#login, #publish").count() == 0
    expect(page.get_by_label("Artist of the picture")).to_have_count(0)
    page.get_by_label("Repository").fill("my style; rm -rf /")
    expect(page.locator("#published pre")).to_have_text(
        "hf auth login\npython -m nst_core publish 'your; style' --repo YOUR-NAME/'my style; rm -rf /'"
    )
    inside = "pre => pre.getBoundingClientRect().right <= innerWidth && pre.scrollWidth <= pre.clientWidth"
    assert page.locator("#published pre").evaluate(inside)
    page.locator("#try").click()
    expect(page.get_by_role("tab", name="Repaint")).to_be_focused()
    own = page.locator("#styles label.selected")
    expect(own).to_contain_text("<img src=x")
    address = own.evaluate("label => getComputedStyle(label, '::before').backgroundImage.slice(5, -2)")
    with Image.open(BytesIO(page.request.get(address).body())) as seen:
        assert seen.size == (512, 384) and not seen.getexif()  # redrawn
    page.get_by_role("tab", name="Video").click()
    page.locator("#film-style input").click()
    expect(page.get_by_role("option", name="<img src=x")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Contribute").click()

    torn = tmp_path / "torn.zip"
    torn.write_bytes(Path(archive).read_bytes()[:1000])
    # A file dropped before the server heard that the one before is gone counts too.
    held: list[Route] = []
    page.route("**/queue/join*", lambda route: held.append(route), times=1)
    page.locator("#upload").get_by_label("Clear").click()
    with page.expect_response("**/upload*"):
        page.locator("#upload input[type=file]").set_input_files(torn)
    expect(page.locator("#upload")).to_contain_text("torn")
    [said] = held
    said.continue_()
    expect(report).to_contain_text("It cannot be used as it is.")
    expect(report.locator(".wrong").first).to_have_css("color", "rgb(179, 38, 30)")
    expect(page.locator("#sample")).to_be_hidden()


def test_what_is_dropped_anywhere_on_the_tab_is_taken(browser: "Browser", app_url: str, tmp_path: Path) -> None:
    page = browser.new_page(locale="es")
    page.goto(app_url)
    page.get_by_role("tab", name=re.compile("^Contrib")).click()
    settle(page)
    weights = base64.b64encode((ROOT / "styles" / "udnie-lite" / "model.safetensors").read_bytes()).decode()
    page.evaluate(ALL_FILES, [weights, "#contribute-hint"])
    expect(page.locator("#report")).to_contain_text("Se puede usar.")
    expect(page.locator("#sample img")).to_be_visible()
    drop_folder(page, ROOT / "styles" / "udnie-lite", "#sample")
    expect(page.get_by_role("alert")).to_contain_text("Eso es una carpeta: haga de ella un archivo .zip")
    # It takes the place of what is there; what can be no style takes nothing away.
    drop(page, make_film(tmp_path / "film.mp4", frames=3), "video/mp4", "#masthead")
    expect(page.get_by_role("alert")).to_contain_text("Eso no es un estilo: use sus pesos")
    with (tmp_path / "large.zip").open("wb") as file:
        file.truncate(2**26 + 1)
    page.evaluate(LARGE, "#sample")
    expect(page.get_by_role("alert")).to_contain_text("Ese archivo es demasiado grande")
    expect(page.locator("#sample img")).to_be_visible()
    torch.save({"weight": torch.ones(3)}, tmp_path / "other.pth")
    drop(page, tmp_path / "other.pth", "", "#report")
    expect(page.locator("#report")).to_contain_text("The file is a checkpoint of PyTorch, which is a pickle")
    expect(page.locator("#sample")).to_be_hidden()
    page.locator("#upload").get_by_label(re.compile("Limpiar|Borrar")).click()
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "film.mp4")
    expect(page.get_by_role("alert")).to_contain_text("Eso no es un estilo: use sus pesos")
    page.locator("#upload input[type=file]").set_input_files(tmp_path / "large.zip")
    expect(page.get_by_role("alert")).to_contain_text("Ese archivo es demasiado grande")
    assert not page.get_by_test_id("toast-body").count()
    page.close()
