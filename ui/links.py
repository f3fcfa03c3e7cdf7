"""Links that open the page as it is: what copies one, and what the tabs have in common that read one."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any

import gradio as gr

from nst_core.errors import NSTError

SAY_AGAIN = """() => new Promise((done) => setTimeout(done, 2500, "Copy link"))"""


def copies(button: gr.Button, settings: Mapping[str, gr.components.Component], tab: str) -> None:
    """Have a button put a link to a tab with these settings, by their names in it, into the clipboard."""
    copy = f"""async (...values) => {{
        const all = {json.dumps([*settings])}.map((name, place) => [name, values[place]]);
        const said = Object.fromEntries(all.filter(([, value]) => value !== null));  // a field may be empty
        const own = said.style?.startsWith("own:");  // which nobody else can ask for
        if (own) delete said.style;
        const query = new URLSearchParams({{ tab: {json.dumps(tab)}, ...said }});
        const link = `${{location.origin}}${{location.pathname}}?${{query}}`;
        try {{
            await navigator.clipboard.writeText(link);
        }} catch {{  // a frame may lack the permission, and an address without TLS the clipboard
            const text = Object.assign(document.createElement("textarea"), {{ value: link }});
            document.body.appendChild(text).select();
            const copied = document.execCommand("copy");
            text.remove();
            if (!copied) return "No clipboard here";
        }}
        return own ? "Copied, without your style" : "Link copied";
    }}"""
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    button.click(None, [*settings.values()], button, js=copy, **quiet).then(None, None, button, js=SAY_AGAIN, **quiet)


def said_of(tab: str, request: gr.Request) -> dict[str, str]:
    """What the page's address says of a tab."""
    said = dict(request.query_params)
    return said if said.get("tab", "repaint") == tab else {}


@contextmanager
def dropping() -> Iterator[None]:
    """Whatever is refused here is dropped from the link, and that is said."""
    try:
        yield
    except NSTError as error:
        gr.Warning(escape(str(error), quote=False), title="A part of the link was dropped")
