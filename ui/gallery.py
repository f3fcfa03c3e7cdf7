"""The gallery: the registry's styles, their cards, a person's guests among them, pictures to try them on, and how."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.context import get_blocks_context
from gradio.events import Dependency
from gradio.utils import get_upload_folder

from nst_core.registry import Entry, Registry
from ui.errors import PageError
from ui.events import refusals
from ui.files import address_of
from ui.sliders import slider
from ui.studio import Studio
from ui.words import SPANISH, say

EXAMPLES = [
    Path(gr.__file__).parent / "media_assets" / "images" / name for name in ("lion.jpg", "tower.jpg", "cheetah1.jpg")
]
MAX_GUESTS = 8
"""How many choices there may be besides the registry's."""
MANY = 30
"""With more styles than these, there is a field to find one."""
SEEN = "seen.webp"
"""The file in the folder of a person's own style that its card in the gallery shows."""


class RepaintWidgets(NamedTuple):
    """What other parts of the page need from the tab *Repaint*."""

    photo: gr.Image
    style: gr.Radio
    guests: gr.State
    """Choices besides the registry's, as a list of title and name: ``Studio.style`` knows these names."""
    history: gr.HTML
    """The pictures made before; its ``select`` is for one of them, and gives its ``recipe``."""
    settings: Mapping[str, gr.components.Component]
    """The settings, by their names in a link."""
    cards: gr.HTML
    """The CSS of the cards of a person's own styles."""
    found: gr.State
    """When settings were found elsewhere: as it changes, they are remembered, and the photograph is painted with them.

    If an event outside the queue changes a state, Gradio does not report the change.
    """
    paint_after: Callable[[Any], Any]
    """Takes a listener, such as an event's ``success``, and has the photograph painted when that fires."""


def with_guest(registry: Registry, guests: list[tuple[str, str]], title: str, name: str) -> tuple[Any, Any]:
    """The gallery and its guests, with one more, which is chosen."""
    guests = [*(guest for guest in guests if guest[1] != name), (title, name)][-MAX_GUESTS:]
    return gr.Radio(choices=[*registry_choices(registry), *guests], value=name), guests


def offer_own(
    press: gr.Button, own: gr.State, studio: Studio, widgets: RepaintWidgets, film_style: gr.Dropdown
) -> None:
    """Have a button choose the person's own style that ``own`` names in the gallery, and paint with it.

    The style is offered in the list ``film_style``, too.
    """

    def offered(name: str, guests: list[tuple[str, str]], request: gr.Request) -> tuple[Any, ...]:
        with refusals():
            style = studio.style(request.session_hash, name)
        gallery, guests = with_guest(studio.registry, guests, style.title, name)
        theirs, rules = [], []
        for title, guest in guests:
            if guest.startswith("own:"):
                theirs.append((title, guest))
                with suppress(PageError):  # its hour is over
                    rules.append(guest_card(guest, studio.style(request.session_hash, guest).folder / SEEN))
        films = gr.Dropdown(choices=[*registry_choices(studio.registry), *theirs])
        return gallery, guests, films, f"<style>{''.join(rules)}</style>"

    widgets.paint_after(
        press.click(
            offered,
            [own, widgets.guests],
            [widgets.style, widgets.guests, film_style, widgets.cards],
        )
        # The focus is moved, as the button that was pressed is out of sight then.
        .success(None, None, None, js="() => openTab('repaint').focus()")
        .success
    )


def guest_card(name: str, preview: Path) -> str:
    """CSS that puts the preview of a person's own style, which may be missing, on its radio button."""
    url = css_string(address_of(preview))
    # Twice, to outweigh the classes that Gradio puts before the rules of the page's own sheet.
    return f"#styles#styles label:has(input[value={css_string(name)}])::before {{ background-image: url({url}) }}"


def drawn(suffix: str) -> list[Path]:
    """Examples that ``scripts/draw.py`` drew: paintings (``.jpg``) or films (``.mp4``)."""
    return sorted(Path(__file__).with_name("drawn").glob(f"*{suffix}"))


def examples(
    files: list[Path], place: gr.components.Component, id: str, label: str = "Or try one of these"
) -> Dependency:
    """Lay out files to try in a ``place``; returns the listener that puts the pressed one there."""
    event = gr.Examples(files, place, label=say(label), elem_id=id).load_input_event
    blocks = get_blocks_context()
    assert blocks
    # As Gradio has it, whatever is pressed while another one is on its way is ignored.
    blocks.fns[event["id"]].trigger_mode = "always_last"
    return event


def painting_settings(
    registry: Registry, original: str, sizes: list[tuple[Any, int]], size: int, prefix: str = ""
) -> dict[str, Any]:
    """Lay out how a photograph or a film, an ``original``, is to be painted, besides the style; by the names in a link.

    ``sizes`` are the choices of its longer side, ``size`` is the first, and ``prefix`` begins the elements' ids.
    """
    settings: dict[str, Any] = {}
    with gr.Row():
        settings["strength"] = slider(
            0, 1, value=1, step=0.05, label=say("Strength"), min_width=280, elem_id=f"{prefix}strength"
        )
        colors = [(say("Painting"), "style"), (say(original), "photo")]
        settings["color"] = gr.Radio(colors, value="style", label=say("Colours of the"), min_width=280)
    with gr.Row():
        settings["size"] = gr.Radio(sizes, value=size, label=say("Size (longer side, px)"), min_width=280)
        strokes = [(say("Fine"), 0.5), (say("Medium"), 1.0), (say("Broad"), 2.0), (say("Bold"), 4.0)]
        settings["stroke"] = gr.Radio(strokes, value=1.0, label=say("Brush strokes"), min_width=280)
    with gr.Row():
        styles = [(say("None"), ""), *registry_choices(registry)]
        settings["second"] = gr.Dropdown(
            styles, value="", label=say("A second style on top"), min_width=280, elem_id=f"{prefix}second"
        )
        settings["mix"] = slider(
            0,
            1,
            value=0.5,
            step=0.05,
            label=say("How much of it"),
            visible=False,
            min_width=280,
            elem_id=f"{prefix}mix",
        )
    return settings


def registry_choices(registry: Registry) -> list[tuple[str, str]]:
    """Title and id of every style."""
    return [(entry.title, entry.id) for entry in registry]


def words_of(registry: Registry) -> dict[str, str]:
    """What each style is found by, if there are many: its title, artist and tags."""
    if len(registry) <= MANY:
        return {}
    return {entry.id: " ".join([entry.title, entry.artist, *entry.tags]) for entry in registry}


def style_cards(registry: Registry) -> str:
    """CSS that puts each style's preview and artist on its radio button."""
    rules = []
    for value, words in (('*="/"', "community, unreviewed"), ('^="own:"', "your own, seen only by you")):
        for language, text in ("", words), (":lang(es)", SPANISH[words]):
            rules.append(f"#styles label{language}:has(input[value{value}])::after {{ content: {css_string(text)} }}")
    for place, entry in enumerate(registry, start=1):
        # By :has(), every rule would be tried on every label: with a thousand styles, that takes ten seconds.
        label = f"#styles label:nth-child({place})"
        rules.append(f"{label}::after {{ content: {css_string(entry.artist)} }}")
        url = css_string(address_of(preview_of(entry)))
        rules.append(f"{label}::before {{ background-image: url({url}) }}")
    return "\n".join(rules)


def preview_of(entry: Entry) -> Path:
    """The file that the gallery shows; that of a style on the Hub is there once it has been fetched."""
    return entry.preview or Path(get_upload_folder(), "previews", f"{entry.id}-{entry.sha256[:8]}.webp")


def css_string(text: str) -> str:
    """A CSS string that looks exactly like this, whatever is in it."""
    # Gradio has the browser resolve the escapes, and then writes the sheet into the page as HTML: a zero-width space
    # keeps "</style>" from ending it.
    return '"' + re.sub(r"[^\w /.=%-]", lambda match: f"\\{ord(match[0]):x} ", text.replace("<", "<\u200b")) + '"'
