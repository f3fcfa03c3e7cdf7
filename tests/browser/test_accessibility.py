"""Everybody can use the page: axe (Deque Systems' checker) finds nothing serious, and a keyboard is enough."""

import re
from typing import TYPE_CHECKING

import pytest
from picking import unfold

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")


@pytest.mark.parametrize(
    ("blank", "scheme"),
    [("desktop", "light"), pytest.param("phone", "dark", marks=pytest.mark.slow)],
    indirect=["blank"],
)
def test_axe_finds_nothing_serious(blank: "Page", app_url: str, scheme: str) -> None:
    page = blank
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(f"{app_url}?second=second-style")
    page.locator("#examples button").first.click()
    expect(page.locator("#mask canvas")).to_be_visible()
    expect(page.get_by_role("tab")).to_have_count(6)
    for tab in page.get_by_role("tab").all():
        tab.click()
        # What fades in has less contrast until it is there.
        page.evaluate("document.getAnimations().forEach((animation) => animation.finish())")
        violations = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        serious = [
            f"{tab.inner_text()}: {violation['help']}: {node['html']:.200}"
            for violation in violations
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]
        assert not serious, "\n".join(serious)


def test_forced_colours_show_what_is_chosen(page: "Page") -> None:
    page.emulate_media(forced_colors="active")
    for chosen in ("#styles label:has(:checked)", "[role=tab][aria-selected=true]"):
        expect(page.locator(chosen)).to_have_css("outline-style", "solid")
    for other in ("#styles label:not(:has(:checked))", "[role=tab][aria-selected=false]"):
        expect(page.locator(other).first).to_have_css("outline-style", "none")
    assert page.locator("#strength [type=range]").evaluate("range => getComputedStyle(range).appearance") == "auto"


def test_the_field_with_the_focus_is_seen(page: "Page") -> None:
    page.locator("#second input").focus()
    page.keyboard.press("Escape")  # the list
    expect(page.locator("#second .wrap:has(> .wrap-inner)")).to_have_css("outline-style", "solid")
    page.get_by_role("tab", name="Advanced").click()
    unfold(page, "Weights, optimiser")
    for label in ("Content weight", "Content layers"):
        field = page.get_by_label(label)
        field.focus()
        expect(field).to_have_css("outline-style", "solid")


CONTRASTS = """() => {
    const field = document.createElement("p"), card = document.querySelector("#styles label.selected");
    field.style = "color: var(--input-placeholder-color); background: var(--input-background-fill)";
    card.after(field);
    const contrast = (text, ground) => {
        const [shown, behind] = [text.color, ground.backgroundColor].map((said) => said.match(/\\d+/g).map(Number));
        const light = (colour) => 0.05 + colour.reduce((sum, value, place) => {
            const part = value / 255, linear = part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
            return sum + [0.2126, 0.7152, 0.0722][place] * linear;
        }, 0);
        const seen = shown.map((value, place) => value * text.opacity + behind[place] * (1 - text.opacity));
        const [less, more] = [light(seen), light(behind)].sort((one, other) => one - other);
        return more / less;
    };
    return [[field, ""], [card, "::after"]].map(([element, part]) =>
        contrast(getComputedStyle(element, part), getComputedStyle(element)));
}"""


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_ios_need_not_zoom_in_on_any_field(page: "Page") -> None:
    expect(page.get_by_role("tab")).to_have_count(6)
    for tab in page.get_by_role("tab").all():
        tab.click()
        folds = page.locator(".gr-accordion > .label-wrap:not(.open):visible")
        folds.evaluate_all("folds => folds.forEach((fold) => fold.click())")
        expect(folds).to_have_count(0)
        fields = page.locator(":is(input:not([type=radio], [type=checkbox], [type=range]), select, textarea):visible")
        sizes = fields.evaluate_all("fields => fields.map((field) => parseFloat(getComputedStyle(field).fontSize))")
        assert min(sizes, default=16) >= 16, tab.inner_text()


def test_both_themes_are_of_one_piece(blank: "Page", app_url: str) -> None:
    """What the browser draws is as dark as the page, and what axe does not look at has WCAG's contrast too."""
    page = blank
    for theme, scheme in (("light", "normal"), ("dark", "dark")):
        page.goto(f"{app_url}/?__theme={theme}")
        expect(page.locator("#strength [type=number]")).to_have_css("color-scheme", scheme)
        assert min(page.evaluate(CONTRASTS)) >= 4.5


READ_OUT = """() => {
    window.said = "";
    const look = () => document.querySelectorAll("[role=status], .sr-only").forEach((e) => (said += e.textContent));
    new MutationObserver(look).observe(document.body, { childList: true, subtree: true, characterData: true });
}"""


NAMES = {
    "en": [
        "group: Style",
        "group: Brush strokes",
        "img: lion",
        "img: Before: lion",
        "img: After: lion-first-style",
        "spinbutton: Strength",
        "slider: Strength",
        "button: Remove Image",
        "button: Fullscreen",
    ],
    "es": [
        "group: Estilo",
        "group: Pinceladas",
        "img: lion",
        "img: Antes: lion",
        "img: Después: lion-first-style",
        "spinbutton: Intensidad",
        "slider: Intensidad",
        "button: Quitar la imagen",
        "button: Pantalla completa",
    ],
}


def test_what_there_is_and_what_goes_on_is_read_out(browser: "Browser", app_url: str) -> None:
    pages = {language: browser.new_page(locale=language) for language in NAMES}
    for page in pages.values():
        page.goto(app_url)
        expect(page.locator("#info")).to_have_role("status")  # before it says anything
        page.evaluate(READ_OUT)
        page.locator("#examples button").first.click()
    for language, words in (("en", ["Done", "First"]), ("es", ["Listo", "pintado en"])):
        page = pages[language]
        for said in words:
            page.wait_for_function("words => said.includes(words)", arg=said)
        assert "common." not in page.evaluate("said")
        for role, _, name in (name.partition(": ") for name in NAMES[language]):
            expect(page.get_by_role(role, name=name, exact=True)).to_be_visible()  # type: ignore[arg-type]
        page.close()


def test_a_keyboard_is_enough(page: "Page") -> None:
    page.get_by_role("button", name="tower").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#info")).to_contain_text("First")
    page.locator("#styles input:checked").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#styles input[value=second-style]")).to_be_checked()
    expect(page.locator("#info")).to_contain_text("Second")
    slider, cut = page.get_by_role("slider", name="Before and after"), list[float]()
    slider.focus()
    for key, value in (("Home", 0), ("ArrowLeft", 0), ("ArrowRight", 5), ("End", 100), ("ArrowRight", 100)):
        page.keyboard.press(key)
        expect(slider).to_have_attribute("aria-valuenow", str(value))
        style = page.locator("#result img").last.evaluate("image => image.style.clipPath")
        cut += map(float, re.findall(r"inset\(0px 0px 0px ([\d.]+)%\)", style))
    assert cut == sorted(cut) and cut[1] < cut[2] < cut[3] and max(cut[1] - cut[0], cut[4] - cut[3]) < 0.2, cut
    fold = page.get_by_role("button", name="Community styles", exact=True)
    fold.press("Enter")
    expect(fold).to_have_attribute("aria-expanded", "true")
    page.locator("#community-choice input").click()
    page.locator("#masthead").click()  # nothing is chosen
    fold.press("Enter")
    expect(fold).to_have_attribute("aria-expanded", "false")
    second = page.get_by_label("A second style on top")
    second.focus()
    expect(second).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    page.wait_for_timeout(300)  # it closed at once, and came back
    expect(second).to_have_attribute("aria-expanded", "false")
    download = page.get_by_role("button", name="Download PNG").or_(page.get_by_role("link", name="Download PNG")).first
    expect(download).to_be_enabled()
    download.focus()
    with page.expect_download():
        page.keyboard.press("Enter")
    assert page.get_by_test_id("toast-text").count() == 0
    whole, part = (page.get_by_role("button", name=name, exact=True) for name in ("Exit fullscreen mode", "Fullscreen"))
    for key in ("Enter", "Escape"):
        part.press("Enter")
        expect(whole).to_be_focused()
        whole.press(key)
        expect(part).to_be_focused()
    page.get_by_label("Remove Image").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("press to choose")).to_be_focused()
    second.click()  # as after Tab
    page.keyboard.type("sec")
    expect(page.get_by_role("option")).to_have_text([re.compile("Second")])
    page.keyboard.press("Tab")
    expect(second).to_have_value("None")
