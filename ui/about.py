"""The tab *About*: what this is, where the styles come from, what happens to a photograph."""

import re
from contextlib import suppress
from html import escape

import gradio as gr

from nst_core.errors import NSTError
from nst_core.registry import Entry, Registry
from nst_core.style import Card, read_card
from nst_core.text import plain
from ui.words import ABOUT, say

HEADER = "<tr><th>Title, painting</th><th>Artist</th><th>The style’s licence</th></tr>"
PAINTING = re.compile(r"^The painting: *(\S.*)", re.MULTILINE)
"""The line of a card's text that says what picture the style was trained on."""


def about_tab(registry: Registry) -> None:
    """Lay the tab out in the ``gr.Blocks`` around it."""
    rows = "".join(
        f"<tr><td><b>{escape(entry.title)}</b><br>{escape(painting_of(entry))}</td><td>{escape(entry.artist)}</td>"
        f"<td>{escape(entry.license)}</td></tr>"
        for entry in registry
    )
    with gr.Column(elem_id="about"):
        gr.Markdown(say(ABOUT))
        gr.HTML(f"<table>{say(HEADER)}{rows}</table>")


def painting_of(entry: Entry) -> str:
    """What a style's card says of the picture that it was trained on; empty for a style on the Hub."""
    card = Card()
    if entry.path:
        with suppress(NSTError):  # told when the style is opened
            card = read_card(entry.path)
    line = PAINTING.search(card.text)
    return plain(line[1][:1].upper() + line[1][1:], 300) if line else ""
