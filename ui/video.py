"""The tab *Video*: a film and a style in, its first frame at once, and the whole film, with its sound, in a while."""

import json
from collections.abc import Iterator
from typing import Any

import gradio as gr

from ui.gallery import drawn, examples, registry_choices
from ui.line import Ended
from ui.links import EDITED, remembers, said_at_first
from ui.repaint import SHOW_MIX
from ui.restoring import read
from ui.sliders import slider, within
from ui.studio import PEOPLE, Wish, received
from ui.video_service import VideoRun, VideoService
from ui.viewer import follow, refusals, shown, stop_button, view, viewer_for, waiting
from ui.words import say, words_of

SIZE = 480
"""The longer side chosen at first, in pixels."""
HINT = (
    "<b>Watch a film being painted</b>Choose a film: its first frame is painted straight away.<br>The rest, and the "
    "sound, follow when you press Paint."
)

EARLIER = f"""() => ({{ __type__: "update", label: {json.dumps(str(say("Previous film (MP4)")))} }})"""

# On a telephone the first frame would be below the fold.
SHOW_STAGE = """() => {
    if (innerWidth <= 768) document.querySelector("#film-viewer").scrollIntoView();
}"""


def video_tab(videos: VideoService, page: gr.Blocks, remembered: gr.BrowserState) -> gr.Dropdown:
    """Lay the tab out in the ``gr.Blocks`` around it and wire it up; ``remembered`` is its ``ui.links.memory``.

    Returns its list of styles.
    """
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
            size = gr.Radio(
                [(str(one), one) for one in videos.sizes],
                value=max((one for one in videos.sizes if one <= SIZE), default=videos.sizes[0]),
                label=say("Size (longer side, px)"),
            )
            with gr.Row():
                strength = slider(0, 1, value=1, step=0.05, label=say("Strength"), min_width=280)
                color = gr.Radio(
                    [(say("Painting"), "style"), (say("Film"), "photo")],
                    value="style",
                    label=say("Colours of the"),
                    min_width=280,
                )
            with gr.Row():
                second = gr.Dropdown(
                    [(say("None"), ""), *choices],
                    value="",
                    label=say("A second style on top"),
                    min_width=280,
                )
                mix = slider(0, 1, value=0.5, step=0.05, label=say("How much of it"), visible=False, min_width=280)
            paint = gr.Button(say("Paint"), elem_id="paint-film")
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
                file = gr.DownloadButton(
                    say("Film (MP4)"), visible=False, size="md", elem_id="download-film", min_width=120
                )
                whole = gr.DownloadButton(
                    say("Last finished film (MP4)"), visible=False, size="md", elem_id="whole-film", min_width=120
                )

    named: dict[str, gr.components.Component] = {"style": style, "size": size, "strength": strength}
    named |= {"color": color, "second": second, "mix": mix}
    settings = [*named.values()]

    def asked(*said: Any) -> Wish:
        return Wish.of(**dict(zip(named, within(settings, said), strict=True)))

    def found_open(remembered: Any, request: gr.Request) -> list[Any]:
        said = said_at_first("video", named, remembered, request)
        values = read(videos.studio, named, {"size": videos.sizes}, said)
        return [values.get(name, gr.skip()) for name in named]

    def chosen(request: gr.Request, film: Any, *said: Any) -> tuple[Any, Any, Any]:
        videos.choose(request.session_hash, bool(film))
        return first(request, film, *said)

    def first(request: gr.Request, film: Any, *said: Any) -> tuple[Any, Any, Any]:
        # The film painted before can still be downloaded, and its label says that it is not this one.
        earlier = gr.Video(label=say("Previous film")), gr.DownloadButton(say("Previous film (MP4)"))
        if not film:
            return None, *earlier
        painted = videos.running.get(request.session_hash, None)
        if painted and painted.running:
            if not painted.told:
                painted.told = True
                gr.Info(
                    words_of(request)("The film being painted keeps its settings; Paint starts over with the new ones.")
                )
            return gr.skip(), *earlier
        with refusals():
            try:
                return view(videos.first(request.session_hash, received(film, "film"), asked(*said))), *earlier
            except Ended:  # a later request is answered instead, whatever Gradio's order
                return gr.skip(), *earlier

    def start(request: gr.Request, film: Any, *said: Any) -> Iterator[tuple[Any, Any, Any]]:
        with refusals():
            yield from shown(videos.watch(request.session_hash, received(film, "film"), asked(*said)))

    def left(run: VideoRun | None) -> list[Any]:
        made = str(run.film) if run else None
        finished = str(run.before.film) if run and run.before else None
        return [
            gr.DownloadButton(say("Film (MP4)"), value=made, visible=bool(made)),
            gr.DownloadButton(value=finished, visible=bool(finished)),
            gr.Video(label=say("Your film"), value=made, visible=bool(made)),
        ]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    page.load(found_open, remembered, settings, **quiet, js=EDITED)
    # For one choice from a list, Gradio starts two events.
    pressed, dragged = [one.input for one in (style, size, color, second)], [strength.input, mix.input]
    gr.on([*pressed, *dragged], None, settings, remembered, js=remembers("video", named), **quiet)
    previewed: dict[str, Any] = {
        "inputs": [film, *settings],
        "outputs": [viewer, result, file],
        "preprocess": False,
        "show_progress_on": viewer,
        "concurrency_id": "network",
        "concurrency_limit": PEOPLE,
        "api_visibility": "private",
    }
    film.change(chosen, **previewed, trigger_mode="multiple")
    gr.on(pressed, first, **previewed, trigger_mode="multiple")
    gr.on(dragged, first, **previewed, trigger_mode="always_last")
    film.change(js=SHOW_STAGE)
    gr.on([style.change, second.change], None, [style, second], mix, js=SHOW_MIX)
    paint.click(None, film, [paint, leave, stop, result], js=waiting("film-viewer", 2))
    paint.click(None, None, file, js=EARLIER)
    event = paint.click(
        start,
        [film, *settings],
        [viewer, leave, stop],
        preprocess=False,
        show_progress_on=viewer,
        concurrency_id="film",
        concurrency_limit=1,
        api_visibility="private",
    )
    watched = [viewer, leave, stop]
    follow([event], paint, watched, [file, whole, result], left, videos.ended, videos.running, videos.shown)
    return style
