"""The tab *About*: what this is, where the styles come from, what happens to a photograph."""

from html import escape

import gradio as gr

from nst_core.registry import Registry

TEXT = """
A style is a small convolutional network, trained once on one painting to repaint any photograph in its manner
([Johnson, Alahi and Fei-Fei, 2016](https://arxiv.org/abs/1603.08155), after
[Gatys, Ecker and Bethge, 2015](https://arxiv.org/abs/1508.06576)). One pass through it makes the picture. *Strength*
and *Colours* blend that picture with the photograph and do not need the network again; keeping the photograph's colours
transfers the painting's light and dark alone ([Gatys et al., 2016](https://arxiv.org/abs/1606.05897)).

On the tab *Advanced* there is no such network: the optimisation of Gatys et al. changes the picture's own pixels, step
by step, until a network that was trained to recognise things sees the photograph's content and the painting's style in
it. It takes any painting, and a hundred times as long. The network that looks is one of this project's own, a narrow
VGG19, distilled from the wide one.

On the tab *Live* your own device does all of it, with your camera too, and no picture leaves it.

**Your photograph** is kept on this server for about an hour, for you alone, and used for nothing else. The picture
you download is a lossless PNG that holds nothing else but how it was made: dropped here again, it sets everything so.
Your last twenty pictures and your settings are remembered by your browser alone, which forgets them when you say so.

**From a program**, the endpoints `/stylize`, `/optimize` and `/styles` do the same: see *Use via API* at the foot of
the page.
"""


def about_tab(registry: Registry) -> None:
    """Lay the tab out in the ``gr.Blocks`` around it."""
    rows = "".join(
        f"<tr><td>{escape(entry.title)}</td><td>{escape(entry.artist)}</td><td>{escape(entry.license)}</td></tr>"
        for entry in registry
    )
    with gr.Column(elem_id="about"):
        gr.Markdown(TEXT)
        gr.HTML(f"<table><tr><th>Style</th><th>Artist</th><th>Licence</th></tr>{rows}</table>")
