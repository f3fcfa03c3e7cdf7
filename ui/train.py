"""*Train a style of your own*: on this server, where it can, or with a command that does it elsewhere."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import gradio as gr

from ui.advanced import PAINTINGS, picture
from ui.events import IN_LINE, dropping, one_at_a_time, refusals
from ui.files import received
from ui.gallery import RepaintWidgets, examples, offer_own
from ui.sliders import slider, within
from ui.training_service import CONTENT_WEIGHT_BOUNDS, STEPS, STYLE_SIZE_BOUNDS, TrainingRun, TrainingService
from ui.viewer import download, follow, labelled, shown, stop_button, viewer_for
from ui.words import say

HINT = (
    "<b>Watch a network learn to paint</b>Choose a painting, then press Train.<br>As it learns, the losses are "
    "plotted below and a photograph is repainted."
)
INTRODUCTION = (
    "A network that can already paint is trained further until it paints like a picture of your choice: most "
    "paintings are recognisable after a few hundred steps. The style is yours to download and, for an hour or until "
    "you leave this page, to paint with on *Repaint* and *Video*. To use it later, drop the download on "
    "*Contribute*, or give it to `nst_core`."
)
ELSEWHERE = (
    "A network that can already paint is trained further until it paints like a picture of your choice. This server "
    f"does not do that: it lacks a GPU, or photographs to learn from. On your own computer {STEPS} steps take half "
    "an hour on two processor cores and need a folder of photographs of anything; a thousand are enough. In a "
    "checkout of this project, with your picture as `painting.jpg`:"
)


def train_accordion(trainings: TrainingService, widgets: RepaintWidgets, film_style: gr.Dropdown) -> None:
    """Lay it out in the ``gr.Blocks`` around it and wire it up.

    A style that is trained can be taken to ``widgets`` and to the list ``film_style``.
    """
    if not trainings.starts:
        return
    with gr.Accordion(say("Train a style of your own"), open=False, elem_id="training"):
        if trainings.photos:
            _here(trainings, widgets, film_style)
        else:
            _elsewhere(trainings)


def _settings(trainings: TrainingService) -> list[Any]:
    """Title, the style to begin with, content weight, style size."""
    default = trainings.recipe
    title = gr.Textbox(label=say("Title"), placeholder=say("My style"), max_length=120, max_lines=1)
    start = gr.Dropdown(
        [(entry.title, entry.id) for entry in trainings.starts],
        value=trainings.starts[0].id,
        label=say("Start with the network of"),
    )
    weight = slider(
        *CONTENT_WEIGHT_BOUNDS,
        value=default.content_weight,
        step=0.1,
        label=say("Content weight"),
        info=say("Higher values keep more of the photograph."),
    )
    size = slider(
        *STYLE_SIZE_BOUNDS,
        value=default.style_size,
        step=32,
        label=say("Style size (px)"),
        info=say("The size at which the painting is studied: larger gives larger strokes."),
    )
    return [title, start, weight, size]


def _elsewhere(trainings: TrainingService) -> None:
    gr.Markdown(say(ELSEWHERE))
    with gr.Row():
        with gr.Column(scale=5, min_width=340):
            settings = _settings(trainings)
        with gr.Column(scale=7, min_width=340):
            shell = gr.Code(
                trainings.request(start=trainings.starts[0].id).command(),
                label=say("Command"),
                interactive=False,
                wrap_lines=True,
                show_line_numbers=False,
                elem_id="command",
            )

    def command(title: Any, start: Any, content_weight: Any, style_size: Any) -> str:
        with refusals():
            content_weight, style_size = within(settings[2:], [content_weight, style_size])
            request = trainings.request(
                title=title or "", start=start, content_weight=content_weight, style_size=style_size
            )
            return request.command()

    title, *others = settings
    # A text box fires no input event when something is pasted.
    gr.on(
        [title.change, *(setting.input for setting in others)],
        command,
        settings,
        shell,
        trigger_mode="always_last",
        queue=False,
        show_progress="hidden",
    )


class Widgets(NamedTuple):
    """What the handlers and events need of the accordion where styles are trained."""

    painting: gr.Image
    settings: list[Any]
    """As ``_settings`` makes them, and the minutes."""
    train: gr.Button
    viewer: gr.HTML
    leave: gr.Button
    stop: gr.Button
    use: gr.Button
    file: gr.DownloadButton
    before: gr.DownloadButton
    """The style trained before."""
    trial: gr.Row
    photo: gr.Image
    result: gr.ImageSlider
    own: gr.State
    """What the studio calls the style."""


def _lay_out(trainings: TrainingService) -> Widgets:
    own = gr.State("")
    gr.Markdown(say(INTRODUCTION))
    with gr.Row():
        with gr.Column(scale=5, min_width=340):
            painting = picture("Painting", elem_id="model")
            examples(PAINTINGS, painting, "models", "Or one of these")
            settings = _settings(trainings)
            minutes = slider(
                1,
                trainings.most_minutes,
                value=trainings.minutes,
                step=1,
                label=say("Maximum minutes"),
                info=say("As many steps are taken as fit into this time."),
            )
            train = gr.Button(say("Train"), elem_id="train")
        with gr.Column(scale=7, min_width=340):
            viewer = viewer_for("training-viewer", HINT)
            with gr.Row():
                leave, stop = stop_button("leave-training"), stop_button("stop-training")
                use = gr.Button(
                    say("Use it on Repaint and Video"), visible=False, size="md", elem_id="use-style", min_width=120
                )
                file, before = download("Style (ZIP)", "zip"), download("Previous style (ZIP)", "zip-before")
            with gr.Row(visible=False) as trial:
                photo = picture("Try it on a photograph", elem_id="own-photo", height=320)
                result = gr.ImageSlider(
                    label=say("Before and after"),
                    show_label=False,
                    interactive=False,
                    elem_id="own-result",
                    height=320,
                    min_width=280,
                )
    watched = viewer, leave, stop
    return Widgets(painting, [*settings, minutes], train, *watched, use, file, before, trial, photo, result, own)


class Handlers:
    """What the events call where styles are trained."""

    def __init__(self, trainings: TrainingService) -> None:
        self.trainings = trainings

    def start(
        self,
        painting: Any,
        title: Any,
        start: Any,
        content_weight: Any,
        style_size: Any,
        minutes: Any,
        request: gr.Request,
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Train."""
        with refusals():
            wish = self.trainings.request(
                title=title or "", start=start, content_weight=content_weight, style_size=style_size, minutes=minutes
            )
            yield from shown(self.trainings.watch(request.session_hash, received(painting, "painting"), wish))

    def left(self, run: TrainingRun | None) -> list[Any]:
        """What a training that has ended has left: its style, and the one before, to download and to try."""
        zips = [str(one.zip) if one else None for one in (run, run and run.before)]
        return [
            gr.DownloadButton(say("Style (ZIP)"), value=zips[0], visible=bool(zips[0])),
            gr.DownloadButton(value=zips[1], visible=bool(zips[1])),
            gr.Button(visible=bool(run)),
            gr.Row(visible=bool(run)),
            run.style if run else "",
        ]

    def paint(self, photo: Any, request: gr.Request) -> Any:
        """A photograph before and after, in the style that was trained."""
        if photo and self.trainings.ended(request.session_hash):
            with dropping():  # no error of Gradio's, with which whatever was chosen meanwhile would be lost
                return tuple(map(str, self.trainings.paint(request.session_hash, received(photo))))
        return None


def _here(trainings: TrainingService, widgets: RepaintWidgets, film_style: gr.Dropdown) -> None:
    ours, handlers = _lay_out(trainings), Handlers(trainings)
    train, viewer, file, before, photo = ours.train, ours.viewer, ours.file, ours.before, ours.photo
    watched = [viewer, ours.leave, ours.stop]
    train.click(None, ours.painting, [train, ours.leave, ours.stop, before], js="waiting('#training-viewer', 2)")
    # The style trained before can be downloaded and used meanwhile, and its label says that it is not this one.
    train.click(None, None, file, js=labelled("Previous style (ZIP)"))
    offer_own(ours.use, ours.own, trainings.studio, widgets, film_style)
    inputs = [ours.painting, *ours.settings]
    event = train.click(handlers.start, inputs, watched, **one_at_a_time("training", viewer))
    results = [file, before, ours.use, ours.trial, ours.own]
    [success] = follow([event], train, watched, results, handlers.left, trainings)
    # A photograph tried with an earlier style is tried with this one.
    painted = {"show_progress_on": ours.result, "trigger_mode": "always_last", **IN_LINE}
    success.then(handlers.paint, photo, ours.result, **painted)
    photo.change(handlers.paint, photo, ours.result, **painted)
