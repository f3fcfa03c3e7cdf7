"""The tab *Repaint*: a photograph and a style in, the repainted picture out at once."""

import re
from html import escape
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import gradio as gr

from nst_core.errors import NSTError
from nst_core.images import save_picture
from nst_core.registry import Registry
from nst_core.stylization import blend
from ui.studio import Painting, Studio, Wish, received

EXAMPLES = [
    Path(gr.__file__).parent / "media_assets" / "images" / name for name in ("lion.jpg", "tower.jpg", "cheetah1.jpg")
]
AS_IT_IS = 0
"""The choice of size that stands for the photograph's own (a radio button cannot have the value None)."""

SHOW_STYLES = """() => {
    if (innerWidth <= 768) document.querySelector("#styles").scrollIntoView({ behavior: "smooth" });
}"""


def repaint_tab(studio: Studio) -> None:
    """Lay the tab out in the ``gr.Blocks`` around it and wire it up."""
    with gr.Row():
        with gr.Column(scale=5, min_width=340):
            photo = gr.Image(
                label="Photograph",
                show_label=False,
                placeholder="Drop a photograph here, paste one\nor press to choose",
                sources=["upload", "clipboard"],
                buttons=[],
                height=220,
                elem_id="photo",
            )
            gr.Examples(EXAMPLES, photo, label="Or try one of these", elem_id="examples", api_visibility="private")
            style = gr.Radio(
                [(entry.title, entry.id) for entry in studio.registry],
                value=next((entry.id for entry in studio.registry), None),
                label="Style",
                elem_id="styles",
            )
        with gr.Column(scale=7, min_width=340):
            with gr.Column(elem_id="stage"):
                result = gr.ImageSlider(
                    label="Before and after",
                    show_label=False,
                    interactive=False,
                    buttons=["fullscreen"],
                    elem_id="result",
                )
                gr.HTML(
                    "<p><b>Your picture appears here</b>Choose a photograph, or try one of the examples.</p>",
                    elem_id="hint",
                )
            with gr.Row(elem_id="caption"):
                info = gr.HTML(elem_id="info")
                download = gr.DownloadButton("Download PNG", interactive=False, size="md", elem_id="download", scale=0)
            with gr.Row():
                strength = gr.Slider(0, 1, value=1, step=0.05, label="Strength", min_width=280, elem_id="strength")
                color = gr.Radio(
                    [("Painting", "style"), ("Photograph", "photo")],
                    value="style",
                    label="Colours of the",
                    min_width=280,
                )
            with gr.Row():
                sizes = [n for n in (512, 1024, 1536, 2048) if n <= studio.max_side]
                size = gr.Radio(
                    [("As it is", AS_IT_IS), *((str(n), n) for n in sizes)],
                    value=max((n for n in sizes if n <= 1024), default=AS_IT_IS),
                    label="Size (longer side, px)",
                    min_width=280,
                )
                stroke = gr.Radio(
                    [("Fine", 0.5), ("Medium", 1.0), ("Broad", 2.0), ("Bold", 4.0)],
                    value=1.0,
                    label="Brush strokes",
                    min_width=280,
                )

    def show(
        photo: dict[str, Any] | None,
        style: str,
        strength: float,
        color: Literal["style", "photo"],
        size: int,
        stroke: float,
        request: gr.Request,
    ) -> tuple[tuple[str, str] | None, str, Any]:
        if photo is None:
            return None, "", gr.DownloadButton(value=None, interactive=False)
        try:
            wish = Wish.of(style=style, strength=strength, color=color, size=size or None, stroke=stroke)
            path = received(photo)
            painting = studio.painting(request.session_hash, path, wish)
            picture = blend(painting.sitter.picture, painting.painted, strength=wish.strength, color=wish.color)
        except NSTError as error:
            # Gradio shows a message as markup.
            message = escape(str(error), quote=False)
            raise gr.Error(message, title="That did not work", print_exception=False) from error
        file = studio.file(f"{path.stem}-{wish.style}.png")
        save_picture(picture, file)
        return (
            (str(painting.sitter.file), str(file)),
            describe(painting),
            gr.DownloadButton(value=file, interactive=True),
        )

    # On a telephone the picture would be below the fold.
    gr.on([photo.change, style.input], js=SHOW_STYLES)

    wishes = [photo, style, strength, color, size, stroke]
    shown = [result, info, download]
    # Payloads come as they are, for two reasons: gr.Image would open the photograph itself, outside the library's
    # gate, and the sliders would refuse a number in other words than the library.
    gr.on(
        [photo.change, style.input, size.input, stroke.input],
        show,
        wishes,
        shown,
        preprocess=False,
        show_progress_on=result,
        trigger_mode="always_last",
        concurrency_id="network",
        concurrency_limit=1,
        api_visibility="private",
    )
    # These find the painting kept, so they need not queue behind other people's.
    gr.on(
        [strength.input, color.input],
        show,
        wishes,
        shown,
        preprocess=False,
        show_progress="hidden",
        trigger_mode="always_last",
        concurrency_id="blend",
        concurrency_limit=4,
        api_visibility="private",
    )


def describe(painting: Painting) -> str:
    """The line under the picture, as HTML."""
    style, (width, height) = painting.style, painting.painted.size
    facts = f"{width} × {height} px · painted in {painting.seconds:.2f} s · licence {escape(style.license)}"
    return f"<p><b>{escape(style.title)}</b>, {escape(style.artist)}</p><p>{facts}</p>"


def style_cards(registry: Registry) -> str:
    """CSS that puts its preview and its artist on each style's radio button."""
    rules = []
    for entry in registry:
        label = f'#styles label:has(input[value="{entry.id}"])'
        rules.append(f"{label}::after {{ content: {css_string(entry.artist)} }}")
        if entry.preview:
            url = css_string(f"gradio_api/file={quote(entry.preview.as_posix())}")
            rules.append(f"{label}::before {{ background-image: url({url}) }}")
    return "\n".join(rules)


def css_string(text: str) -> str:
    """A CSS string that looks exactly like this, whatever is in it."""
    # Gradio has the browser resolve the escapes, and then writes the sheet into the page as HTML: a space of no width
    # keeps "</style>" from being one.
    return '"' + re.sub(r"[^\w /.=%-]", lambda match: f"\\{ord(match[0]):x} ", text.replace("<", "<\u200b")) + '"'
