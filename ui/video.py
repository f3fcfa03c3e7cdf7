"""The tab *Video*: a film and a style in, its first frame at once, and the whole film, with its sound, in a while."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import gradio as gr

from nst_core.errors import NSTError
from ui.events import IN_LINE, one_at_a_time, refusals
from ui.files import received
from ui.gallery import drawn, examples, painting_settings, registry_choices
from ui.line import Ended
from ui.links import fills_in, first_settings, remembers
from ui.restoring import read
from ui.sliders import within
from ui.video_service import VideoRun, VideoService
from ui.viewer import download, follow, labelled, shown, stop_button, view, viewer_for
from ui.wish import Wish
from ui.words import say, translator_for

DEFAULT_SIZE = 480
"""The longer side chosen at first, in pixels."""
HINT = (
    "<b>Watch a film being painted</b>Choose a film: its first frame is painted straight away.<br>The rest, and the "
    "sound, follow when you press Paint."
)


class Widgets(NamedTuple):
    """What the handlers and events need of the tab."""

    film: gr.Video
    settings: dict[str, Any]
    """Components, by their names in a link; Gradio's annotations do not know their events."""
    paint: gr.Button
    result: gr.Video
    viewer: gr.HTML
    leave: gr.Button
    stop: gr.Button
    file: gr.DownloadButton
    whole: gr.DownloadButton
    """The last finished film, beside a later one that is not finished."""


def video_tab(videos: VideoService, page: gr.Blocks, remembered: gr.BrowserState) -> gr.Dropdown:
    """Lay the tab out in the ``gr.Blocks`` around it and wire it up; ``remembered`` is its ``ui.links.memory``.

    Returns its list of styles.
    """
    widgets = lay_out(videos)
    wire(widgets, Handlers(videos, widgets.settings), page, remembered)
    style: gr.Dropdown = widgets.settings["style"]
    return style


def lay_out(videos: VideoService) -> Widgets:
    """Make the tab's widgets, in the order in which they stand."""
    choices = registry_choices(videos.studio.registry)
    with gr.Row():
        with gr.Column(scale=5, min_width=340):
            film = gr.Video(
                label=say("Film"), sources=["upload"], buttons=[], height=260, elem_id="film", elem_classes="pick"
            )
            examples(drawn(".mp4"), film, "films")
            style = gr.Dropdown(
                choices, value=choices[0][1] if choices else None, label=say("Style"), elem_id="film-style"
            )
            paint = gr.Button(say("Paint"), elem_id="paint-film")
            sizes = [(str(one), one) for one in videos.sizes]
            size = max((one for one in videos.sizes if one <= DEFAULT_SIZE), default=videos.sizes[0])
            settings = {"style": style, **painting_settings(videos.studio.registry, "Film", sizes, size, "film-")}
        with gr.Column(scale=7, min_width=340, elem_id="screen"):
            result = gr.Video(
                label=say("Your film"),
                interactive=False,
                visible=False,
                buttons=[],
                autoplay=True,
                elem_id="painted-film",
                elem_classes="pick",
            )
            viewer = viewer_for("film-viewer", HINT, "Frame")
            with gr.Row():
                leave, stop = stop_button("leave-film"), stop_button("stop-film")
                file = download("Film (MP4)", "download-film")
                whole = download("Last finished film (MP4)", "whole-film")
    return Widgets(film, settings, paint, result, viewer, leave, stop, file, whole)


class Handlers:
    """What the tab's events call."""

    def __init__(self, videos: VideoService, settings: dict[str, Any]) -> None:
        self.videos, self.settings = videos, settings

    def found_open(self, remembered: Any, request: gr.Request) -> list[Any]:
        """Fill the settings in as the page opens."""
        recipe = first_settings("video", self.settings, remembered, request)
        values = read(self.videos.studio, self.settings, recipe)
        return [values.get(name, gr.skip()) for name in self.settings]

    def chosen(self, request: gr.Request, film: Any, *values: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Another film, or none."""
        self.videos.choose(request.session_hash, bool(film))
        try:
            yield self._first(request, film, *values)
        except NSTError as error:
            if self._painted(request):
                with refusals():
                    raise
            # Where its frame would be: a toast would say it twice, and go.
            yield {"refusal": str(error)}, *_previous()

    def first(self, request: gr.Request, film: Any, *values: Any) -> tuple[Any, Any, Any]:
        """Paint the first frame with other settings."""
        with refusals():
            return self._first(request, film, *values)

    def _first(self, request: gr.Request, film: Any, *values: Any) -> tuple[Any, Any, Any]:
        if not film:
            return None, *_previous()
        path, wish = received(film, "film"), self._wish(values)
        if self.videos.shows(request.session_hash, path, wish):
            return gr.skip(), gr.skip(), gr.skip()  # Gradio tells of a choice whenever its list loses the focus
        if painted := self._painted(request):
            self.videos.checked(request.session_hash, path, wish)
            if not painted.explained:
                painted.explained = True
                gr.Info(
                    translator_for(request)(
                        "The film being painted goes on as it began: to start over, press Stop, and then Paint."
                    )
                )
            return gr.skip(), *_previous()
        try:
            return view(self.videos.first(request.session_hash, path, wish)), *_previous()
        except Ended:  # a later request is answered instead, whatever Gradio's order
            return gr.skip(), *_previous()

    def start(self, request: gr.Request, film: Any, *values: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Paint the whole film."""
        with refusals():
            yield from shown(self.videos.watch(request.session_hash, received(film, "film"), self._wish(values)))

    def left(self, run: VideoRun | None) -> list[Any]:
        """What a run that has ended has left: the film, the last finished one, and the film to look at."""
        made = str(run.film) if run else None
        finished = str(run.before.film) if run and run.before else None
        return [
            gr.DownloadButton(say("Film (MP4)"), value=made, visible=bool(made)),
            gr.DownloadButton(value=finished, visible=bool(finished)),
            gr.Video(label=say("Your film"), value=made, visible=bool(made)),
        ]

    def _painted(self, request: gr.Request) -> VideoRun | None:
        """The film that is being painted."""
        run = self.videos.running.get(request.session_hash)
        return run if run and run.running else None

    def _wish(self, values: Sequence[Any]) -> Wish:
        return Wish.of(**dict(zip(self.settings, within(self.settings.values(), values), strict=True)))


def _previous() -> tuple[gr.Video, gr.DownloadButton]:
    """The film painted before, which can still be downloaded; its label says that it is not this one."""
    return gr.Video(label=say("Previous film")), gr.DownloadButton(say("Previous film (MP4)"))


def wire(widgets: Widgets, handlers: Handlers, page: gr.Blocks, remembered: gr.BrowserState) -> None:
    """Make the tab's events."""
    film, viewer, result, file = widgets.film, widgets.viewer, widgets.result, widgets.file
    paint, watched = widgets.paint, [viewer, widgets.leave, widgets.stop]
    named, settings = widgets.settings, [*widgets.settings.values()]
    fills_in(page, handlers.found_open, remembered, settings)
    # For one choice from a list, Gradio starts two events.
    pressed = [named[name].input for name in ("style", "color", "size", "stroke", "second")]
    dragged = [named[name].input for name in ("strength", "mix")]
    gr.on([*pressed, *dragged], None, settings, remembered, js=remembers("video", named))
    previewed = {"inputs": [film, *settings], "outputs": [viewer, result, file], "show_progress_on": viewer, **IN_LINE}
    film.change(handlers.chosen, **previewed, trigger_mode="multiple")
    gr.on(pressed, handlers.first, **previewed, trigger_mode="multiple")
    gr.on(dragged, handlers.first, **previewed, trigger_mode="always_last")
    film.change(js="() => scrollOnPhone(document.querySelector('#film-viewer'))")
    styles = [named["style"], named["second"]]
    gr.on([style.change for style in styles], None, styles, named["mix"], js="showMix")
    paint.click(None, film, [paint, widgets.leave, widgets.stop, result], js="waiting('#film-viewer', 2)")
    paint.click(None, None, file, js=labelled("Previous film (MP4)"))
    event = paint.click(handlers.start, [film, *settings], watched, **one_at_a_time("film", viewer))
    results = [file, widgets.whole, result]
    follow([event], paint, watched, results, handlers.left, handlers.videos)
