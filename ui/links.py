"""Links that open the page as it is, and pictures that say the same of themselves: what makes and reads either."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from nst_core.errors import NSTError
from ui.words import say

SAY_AGAIN = f"""() => new Promise((done) => setTimeout(done, 2500, {json.dumps(str(say("Copy link")))}))"""

SPACE = f"https://huggingface.co/spaces/{os.environ['SPACE_ID']}" if "SPACE_ID" in os.environ else ""
"""Where this page is shown in a frame, if it is a Space."""


TABS = ["repaint", "live", "video", "advanced", "contribute", "about"]
"""Their ids, in the order in which they stand."""


def opens(id: str) -> str:
    """JavaScript that opens the tab that an expression names."""
    # Those that there is no room for are in a menu, and have no ids there, but come in the same order.
    tabs = 'document.querySelectorAll("[role=tab], .overflow-dropdown button")'
    return f"{tabs}[{json.dumps(TABS)}.indexOf({id})]?.click();"


def copies(button: gr.Button, settings: Mapping[str, gr.components.Component], tab: str) -> None:
    """Have a button put a link to a tab with these settings, by their names in it, into the clipboard."""
    copied, without = (json.dumps(str(say(words))) for words in ("Link copied", "Copied, without your style"))
    copy = f"""async (...values) => {{
        const all = {json.dumps([*settings])}.map((name, place) => [name, values[place]]);
        const said = Object.fromEntries(all.filter(([, value]) => value !== null));  // a field may be empty
        if (!said.second) delete said.mask;  // which says where that is seen
        const own = said.style?.startsWith("own:");  // which nobody else can ask for
        if (own) delete said.style;
        const query = new URLSearchParams({{ tab: {json.dumps(tab)}, ...said }});
        const framed = parent !== window && {json.dumps(SPACE)};  // where the address is that people see
        const link = `${{framed || location.origin + location.pathname}}?${{query}}`;
        try {{
            await navigator.clipboard.writeText(link);
        }} catch {{  // a frame may lack the permission, and an address without TLS the clipboard
            const text = Object.assign(document.createElement("textarea"), {{ value: link }});
            document.body.appendChild(text).select();
            const copied = document.execCommand("copy");
            text.remove();
            if (!copied) return {json.dumps(str(say("No clipboard here")))};
        }}
        return own ? {without} : {copied};
    }}"""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    button.click(None, [*settings.values()], button, js=copy, **quiet).then(None, None, button, js=SAY_AGAIN, **quiet)


def said_of(tab: str, request: gr.Request) -> dict[str, str]:
    """What the page's address says of a tab."""
    return of_tab(tab, dict(request.query_params))


def recipe(tab: str, settings: Mapping[str, Any]) -> str:
    """How a picture was made, as ``nst_core.save_picture`` notes it: what a link would say."""
    said = {name: value for name, value in settings.items() if value is not None}
    if str(said.get("style", "")).startswith("own:"):  # which nobody else can ask for
        del said["style"]
    return urlencode({"tab": tab} | said)


def read_recipe(recipe: str) -> dict[str, str]:
    """What ``recipe`` wrote, or somebody else."""
    return dict(parse_qsl(recipe, keep_blank_values=True))  # no second style, no mask


def of_tab(tab: str, said: dict[str, str]) -> dict[str, str]:
    """What is said of a tab, which is *Repaint* if that does not say."""
    return said if said.get("tab", "repaint") == tab else {}


@contextmanager
def dropping() -> Iterator[None]:
    """Whatever is refused here is dropped from the link, and that is said."""
    try:
        yield
    except NSTError as error:
        gr.Warning(escape(str(error), quote=False), title="A part of it was left out")
