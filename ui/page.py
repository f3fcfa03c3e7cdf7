"""The page as a whole: its tabs, its looks, and how it is served."""

from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from nst_core.registry import Registry
from ui.about import about_tab
from ui.advanced import advanced_tab
from ui.api import add_api
from ui.repaint import repaint_tab
from ui.runs import Easel
from ui.studio import KEEP, Studio

KEEP_FILES = 2 * KEEP
"""Seconds after which uploads and results are deleted."""


def build_page(
    registry: Registry, *, max_side: int = 2048, features: str | Path = "compact", vgg19: bool = False
) -> gr.Blocks:
    """The page, ready to ``launch`` with ``ui.looks``; it paints at most ``max_side`` pixels to a side.

    ``features`` is the feature network of optimisations, as ``nst_core.load_features`` takes it; with ``vgg19``, VGG19
    itself is to be had beside it, which is fetched from the Hub if it is not on this machine.
    """
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    studio = Studio(registry, folder, max_side)
    easel = Easel(studio, {"compact": features} | ({"vgg19": "vgg19"} if vgg19 else {}))
    gr.set_static_paths([entry.preview for entry in registry if entry.preview])

    def leave(request: gr.Request) -> None:
        studio.forget(request.session_hash)
        easel.forget(request.session_hash)

    with gr.Blocks(title="Repaint", fill_width=False, delete_cache=(KEEP_FILES // 8, KEEP_FILES)) as page:
        gr.HTML("<h1>Repaint</h1><p>Your photograph, in the manner of a painting.</p>", elem_id="masthead")
        with gr.Tab("Repaint"):
            repaint_tab(studio)
        with gr.Tab("Advanced") as tab:
            advanced_tab(easel, tab)
        with gr.Tab("About"):
            about_tab(registry)
        add_api(studio, easel)
        page.unload(leave)
    return page.queue(max_size=32)
