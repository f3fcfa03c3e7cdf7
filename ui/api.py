"""The HTTP API: named endpoints with the library's parameter names, for ``gradio_client`` and plain HTTP."""

from typing import Any, Literal

import gradio as gr
from gradio.events import api

from nst_core.errors import NSTError
from nst_core.images import open_picture, save_picture
from ui.studio import Studio, Wish, received


def add_api(studio: Studio) -> None:
    """Add the endpoints to the ``gr.Blocks`` around it."""

    def stylize(
        photo: gr.FileData,
        style: str,
        strength: float = 1.0,
        color: Literal["style", "photo"] = "style",
        size: int | None = None,
        stroke: float = 1.0,
    ) -> gr.FileData:
        """Repaint a photograph in a style; returns a PNG file."""
        try:
            wish = Wish.of(style=style, strength=strength, color=color, size=size, stroke=stroke)
            path = received(photo)  # type: ignore[arg-type]  # it comes as a dict
            picture = studio.stylize(open_picture(path), wish)
        except NSTError as error:
            raise gr.Error(str(error), print_exception=False) from error
        file = studio.file(f"{path.stem}-{wish.style}.png")
        save_picture(picture, file)
        return gr.FileData(path=str(file), orig_name=file.name)

    def styles() -> list[dict[str, Any]]:
        """The styles there are: id, title, artist, license and tags of each."""
        return [entry.model_dump(include={"id", "title", "artist", "license", "tags"}) for entry in studio.registry]

    api(stylize, api_name="stylize", concurrency_id="network", concurrency_limit=1)
    api(styles, api_name="styles", queue=False)
