"""Makes and reads links that open the page as it is, and the same settings in browsers and pictures."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import gradio as gr

from nst_core.errors import NSTError
from ui.events import QUIET
from ui.sliders import within_in_browser
from ui.words import say

SAY_AGAIN = f"""() => new Promise((done) => setTimeout(done, 2500, {json.dumps(str(say("Link to settings")))}))"""

SPACE = f"https://huggingface.co/spaces/{os.environ['SPACE_ID']}" if "SPACE_ID" in os.environ else ""
"""Where this page is shown in a frame, if it is a Space."""


TABS = ["repaint", "live", "video", "advanced", "contribute", "about"]
"""The tabs' ids, in the order in which they stand."""


def opens(id: str) -> str:
    """JavaScript that opens the tab that an expression names."""
    # Tabs that do not fit are in a menu, and have no ids there, but come in the same order.
    tabs = 'document.querySelectorAll("[role=tab], .overflow-dropdown button")'
    return f"{tabs}[{json.dumps(TABS)}.indexOf({id})]?.click();"


def copies(button: gr.Button, settings: Mapping[str, gr.components.Component], tab: str) -> None:
    """Have a button copy a link to a tab with these settings, by their names in it, to the clipboard."""
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
            if (!copied) return {json.dumps(str(say("Could not copy")))};
        }}
        return own ? {without} : {copied};
    }}"""
    button.click(None, [*settings.values()], button, js=copy, **QUIET).then(None, None, button, js=SAY_AGAIN, **QUIET)


# A browser may keep a page inside another one from remembering anything.
EDITED = """(known) => {
    try { return sessionStorage.edited === location.search ? { ...known, edited: true } : known; }
    catch { return known; }
}"""
"""Tells ``said_at_first`` that what a browser remembers is newer than its address."""


def memory(tab: str) -> gr.BrowserState:
    """What a browser remembers of a tab; laid out outside all tabs, as what is inside one loads when that is opened."""
    return gr.BrowserState({}, storage_key=tab, secret="no secret")


def remembers(tab: str, settings: Mapping[str, gr.components.Component]) -> str:
    """JavaScript that turns the values of a tab's settings into what the browser remembers of it."""
    # They are removed from the address, which would override them when the page is loaded again. So would that of a
    # page around this one, a Space's, which cannot be changed from here: what it said is remembered.
    return f"""(...given) => {{
        const values = ({within_in_browser(settings.values())})(...given);
        const names = {json.dumps([*settings])}, address = new URL(location);
        if ((address.searchParams.get("tab") ?? "repaint") === {json.dumps(tab)})
            names.forEach((name) => address.searchParams.delete(name));
        // The tab that was left is found again, unless something is said of this one.
        if (address.searchParams.size === 1) address.searchParams.delete("tab");
        if (address.href !== location.href) {{
            try {{ if (parent !== window) sessionStorage.edited = location.search; }} catch {{}}
            history.replaceState(history.state, "", address);
        }}
        const all = names.map((name, place) => [name, values[place]]).filter(([, value]) => value !== null);
        const said = all.map(([name, value]) => [name, String(value)]);
        return Object.fromEntries(said.filter(([, words]) => !words.startsWith("own:")));
    }}"""


def said_at_first(tab: str, settings: Iterable[str], remembered: Any, request: gr.Request) -> dict[str, str]:
    """What the address says of a tab's settings as the page opens, or else what its browser remembers of them."""
    known = dict(remembered) if isinstance(remembered, dict) else {}
    said = {name: words for name, words in of_tab(tab, dict(request.query_params)).items() if name in settings}
    return known if known.pop("edited", False) else said or known


def recipe(tab: str, settings: Mapping[str, Any]) -> str:
    """How a picture was made, as ``nst_core.save_picture`` notes it: what a link would say."""
    said = {name: value for name, value in settings.items() if value is not None}
    if str(said.get("style", "")).startswith("own:"):  # which nobody else can ask for
        del said["style"]
    return urlencode({"tab": tab} | said)


def read_recipe(recipe: str) -> dict[str, str]:
    """The settings in what ``recipe`` wrote, or somebody else."""
    return dict(parse_qsl(recipe, keep_blank_values=True))  # no second style, no mask


def of_tab(tab: str, said: dict[str, str]) -> dict[str, str]:
    """What is said, if it is for that tab; without one, it is for *Repaint*."""
    return said if said.get("tab", "repaint") == tab else {}


def unless_again(place: str) -> str:
    """JavaScript that passes on no picture that is in its place again (ui/drops.js): its recipe was followed before."""
    return f"""(picture, ...others) => {{
        return ["again" in document.querySelector("#{place}").dataset ? null : picture, ...others];
    }}"""


@contextmanager
def dropping() -> Iterator[None]:
    """Drop from a link whatever is refused here, and say so."""
    try:
        yield
    except NSTError as error:
        gr.Warning(escape(str(error), quote=False))
