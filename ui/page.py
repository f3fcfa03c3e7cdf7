"""The page as a whole: its tabs, and what they share."""

import json
import logging
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

import gradio as gr
from gradio.utils import get_upload_folder

from nst_core import hub
from nst_core.errors import NSTError
from nst_core.gate import check_file
from nst_core.images import fit, open_picture, save_picture
from nst_core.recipe import Recipe
from nst_core.registry import Entry, Registry
from nst_core.report import MAX_PREVIEW_SIDE
from nst_core.style import PREVIEW_SIZE, WEIGHTS
from ui.about import about_tab
from ui.advanced import advanced_tab
from ui.api import ENDPOINTS, add_api
from ui.contribute import contribute_tab
from ui.errors import PageError
from ui.files import claim
from ui.gallery import preview_of
from ui.limits import MAX_FILE, MAX_WAITING
from ui.links import memory
from ui.live import live_tab
from ui.optimization_service import OptimizationService
from ui.repaint import repaint_tab
from ui.restoring import restore
from ui.server import Page
from ui.studio import Studio
from ui.train import train_accordion
from ui.training_service import RECIPE, TrainingService
from ui.video import video_tab
from ui.video_service import VideoService
from ui.words import say

DROPS = Path(__file__).with_name("drops.js")
PAUSES = 0, 10, 60, 600, 3600
"""Seconds before each time that the Hub is asked for the previews which are still missing."""
AT_ONCE = 4
"""How many of them are fetched at the same time."""

logger = logging.getLogger(__name__)


def build_page(
    registry: Registry,
    *,
    max_side: int = 2048,
    features: str | Path = "compact",
    vgg19: bool = False,
    photos: Path | None = None,
    proposals: str | None = None,
    login: bool = False,
    runtime: Path | None = None,
    recipe: Recipe = RECIPE,
) -> Page:
    """The page, ready to ``launch`` with ``ui.looks``; it paints at most ``max_side`` pixels per side.

    ``features`` is the feature network of optimisations and trainings, as ``nst_core.load_features`` takes it; with
    ``vgg19``, VGG19 itself is offered beside it, and is fetched from the Hub if it is not on this machine. With
    ``photos``, a folder to learn on, styles are trained, as ``recipe`` says. ``proposals`` is the registry on the Hub
    that people's styles are proposed to, and with ``login`` they publish them from here. ``runtime`` is a folder with
    onnxruntime-web, see ``ui.live``.
    """
    folder = Path(get_upload_folder())
    previews = folder / "previews"
    try:
        claim(folder)
        previews.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=previews).close()
    except OSError as error:
        raise PageError(
            f"The page cannot write to {folder} ({error}): set GRADIO_TEMP_DIR to another folder."
        ) from error
    check_styles(registry)
    studio = Studio(registry, folder, max_side)
    optimizations = OptimizationService(studio, {"compact": features} | ({"vgg19": "vgg19"} if vgg19 else {}))
    trainings = TrainingService(studio, features, photos, recipe)
    videos = VideoService(studio)
    gr.set_static_paths([*(entry.preview for entry in registry if entry.preview), previews])
    for first in range(AT_ONCE):
        Thread(target=fetch_previews, args=[[*registry][first::AT_ONCE]], daemon=True).start()

    def leave(request: gr.Request) -> None:
        # Perhaps only the connection broke, as when a phone is locked: what is finished stays for a while.
        page.hung_up(str(request.session_hash))
        studio.forget(request.session_hash)

    with Page(studio, optimizations, trainings, videos, title="Repaint", fill_width=False) as page:
        masthead = gr.HTML(
            say("<h1>Repaint</h1><p>Your photograph, in the manner of a painting.</p>"),
            js_on_load=DROPS.read_text("utf-8"),
            elem_id="masthead",
            most=MAX_FILE,
            side=max_side,
        )
        # Asked for nothing, so that the browser hears what it missed, see ui/page.js.
        masthead.select(lambda: None, show_progress="hidden", concurrency_limit=None)
        remembered = {tab: memory(tab) for tab in ("repaint", "video", "advanced")}
        with gr.Tab(say("Repaint"), id="repaint"):
            widgets = repaint_tab(studio, remembered["repaint"])
        with gr.Tab(say("Live"), id="live"):
            live_tab(studio, runtime)
        with gr.Tab(say("Video"), id="video"):
            film_style = video_tab(videos, page, remembered["video"])
        with gr.Tab(say("Advanced"), id="advanced") as tab:
            filled_in = advanced_tab(optimizations, tab, page, remembered["advanced"])
            train_accordion(trainings, widgets, film_style)
        with gr.Tab(say("Contribute"), id="contribute"):
            contribute_tab(studio, widgets, film_style, registry=proposals, login=login)
        with gr.Tab(say("About"), id="about"):
            about_tab(registry)
        names = json.dumps(["tab", *widgets.settings])
        # Advanced is opened once it is filled in, and no other tab waits for that.
        page.load(js=f"() => openFirstTab({names}, (tab) => tab !== 'advanced')")
        filled_in.then(None, None, None, js=f"() => openFirstTab({names}, (tab) => tab === 'advanced')")
        page.load(js="completeGradio")
        add_api(studio, optimizations)
        restore(studio, widgets, page, remembered["repaint"])
        page.unload(leave)
    for event in page.fns.values():
        if event.api_name not in ENDPOINTS:  # else each would be an endpoint and a tool, even Gradio's for the sign-in
            event.api_visibility = "private"
            # Payloads come as they are, but for examples, which are numbers: gr.Image would open a photograph itself,
            # outside the library's gate, and sliders would refuse a number in other words than the library.
            event.preprocess = any(isinstance(block, gr.Dataset) for block in event.inputs)
    page.queue(max_size=MAX_WAITING, api_open=False)
    return page


def check_styles(registry: Registry) -> None:
    """Warn of styles in the registry's own folders whose weights are not there, or not those that it promises."""
    for entry in registry:
        if entry.path:
            try:
                check_file(entry.path / WEIGHTS, entry.sha256)
            except NSTError as error:
                logger.warning("The style %s cannot be opened: %s", entry.id, error)


def fetch_previews(entries: list[Entry]) -> None:
    """Get the pictures that the gallery shows of styles on the Hub, redrawn by us, one after the other."""
    missing = entries
    for pause in PAUSES:
        time.sleep(pause)
        with suppress(hub.HubBusy):  # it would refuse the others, too
            missing = [entry for entry in missing if not _has_preview(entry)]
            if not missing:
                return


def _has_preview(entry: Entry) -> bool:
    file = preview_of(entry)
    if entry.repo and entry.revision and not file.is_file():
        try:
            preview = open_picture(hub.fetch_preview(entry.repo, entry.revision), max_pixels=MAX_PREVIEW_SIDE**2)
            save_picture(fit(preview, PREVIEW_SIZE), file)
        except NSTError as error:
            logger.warning("The gallery shows %s without its preview: %s", entry.id, error)
            if isinstance(error, hub.HubBusy):
                raise
            return False
    return True
