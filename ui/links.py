"""Makes and reads links that open the page as it is, and the same settings in browsers and pictures; see links.js."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr
from gradio.events import Dependency

from nst_core.images import PictureError, read_note
from ui.errors import PageError
from ui.files import received
from ui.sliders import ends

SPACE = f"https://huggingface.co/spaces/{os.environ['SPACE_ID']}" if "SPACE_ID" in os.environ else ""
"""Where this page is shown in a frame, if it is a Space."""


def copies(button: gr.Button, settings: Mapping[str, gr.components.Component], tab: str) -> None:
    """Have a button copy a link to a tab with these settings, by their names in it, to the clipboard."""
    copy = f"copyLink({json.dumps(tab)}, {json.dumps([*settings])}, {json.dumps(SPACE)})"
    copied = button.click(None, [*settings.values()], button, js=copy)
    copied.then(None, None, button, js="labelLinkAgain")


def memory(tab: str) -> gr.BrowserState:
    """What a browser remembers of a tab; laid out outside all tabs, as what is inside one loads when that is opened."""
    return gr.BrowserState({}, storage_key=tab, secret="no secret")


def fills_in(page: gr.Blocks, found_open: Any, remembered: gr.BrowserState, settings: list[Any]) -> Dependency:
    """Have a tab's settings filled in as the page opens, by what a function makes of what the browser remembers.

    Nothing can be pressed before those of all tabs are.
    """
    filled_in = page.load(found_open, remembered, settings, show_progress="hidden", js="markEdited")
    for after in (filled_in.success, filled_in.failure):  # Gradio's browser side has no ``then`` after a failure
        after(None, None, None, js="settle")
    return filled_in


def remembers(tab: str, settings: Mapping[str, gr.components.Component]) -> str:
    """JavaScript that turns the values of a tab's settings into what the browser remembers of it."""
    return f"rememberSettings({json.dumps(tab)}, {json.dumps([*settings])}, {json.dumps(ends(settings.values()))})"


def first_settings(tab: str, settings: Iterable[str], remembered: Any, request: gr.Request) -> dict[str, str]:
    """What the address says of a tab's settings as the page opens, or else what its browser remembers of them."""
    saved = dict(remembered) if isinstance(remembered, dict) else {}
    linked = {name: words for name, words in of_tab(tab, dict(request.query_params)).items() if name in settings}
    return saved if saved.pop("edited", False) else linked or saved


def recipe(tab: str, settings: Mapping[str, Any]) -> str:
    """How a picture was made, as ``nst_core.save_picture`` notes it: what a link would say."""
    written = {name: value for name, value in settings.items() if value is not None}
    if str(written.get("style", "")).startswith("own:"):  # which nobody else can ask for
        del written["style"]
    return urlencode({"tab": tab} | written)


def read_recipe(recipe: str) -> dict[str, str]:
    """The settings in what ``recipe`` wrote, or somebody else."""
    return dict(parse_qsl(recipe, keep_blank_values=True))  # no second style, no mask


def of_tab(tab: str, settings: dict[str, str]) -> dict[str, str]:
    """The settings of a link or a picture, if they are for that tab; without one, they are for *Repaint*."""
    return settings if settings.get("tab", "repaint") == tab else {}


def recipe_of(photo: dict[str, Any] | None, tab: str, translate: Callable[[str], str] = str) -> dict[str, str]:
    """How a dropped picture says that it was made on a tab, if it does; the person is told so."""
    with suppress(PageError, PictureError):  # told by whatever needs more of it than its recipe
        if photo and (recipe := of_tab(tab, read_recipe(read_note(received(photo))))):
            gr.Info(
                translate(
                    "The settings are now those this picture was made with: drop a photograph to paint it the same way."
                )
            )
            return recipe
    return {}
