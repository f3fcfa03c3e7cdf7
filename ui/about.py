"""The tab *About*: what this is, where the styles come from, what happens to a photograph."""

from html import escape

import gradio as gr

from nst_core.registry import Registry
from ui.words import ABOUT, say


def about_tab(registry: Registry) -> None:
    """Lay the tab out in the ``gr.Blocks`` around it."""
    rows = "".join(
        f"<tr><td>{escape(entry.title)}</td><td>{escape(entry.artist)}</td><td>{escape(entry.license)}</td></tr>"
        for entry in registry
    )
    with gr.Column(elem_id="about"):
        gr.Markdown(say(ABOUT))
        gr.HTML(f"<table>{rows}</table>")
