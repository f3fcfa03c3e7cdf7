"""The tab *Advanced*: any photograph and any painting, the optimisation of Gatys et al. 2015, and its losses live."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from nst_core.errors import NSTError
from nst_core.images import fit, open_picture
from nst_core.method import METHODS, Method
from nst_core.text import plain
from ui.errors import PageError
from ui.events import dropping, one_at_a_time, refusals
from ui.files import received
from ui.gallery import EXAMPLES, drawn, examples
from ui.links import copies, fills_in, first_settings, recipe_of, remembers
from ui.optimization_service import (
    MAX_SIDE,
    MAX_STEPS,
    OptimizationRequest,
    OptimizationRun,
    OptimizationService,
    read_layers,
    write_layers,
)
from ui.sliders import slider, within
from ui.viewer import download, follow, shown, stop_button, viewer_for
from ui.watched import duration
from ui.wish import Wish
from ui.words import LOSSES, counted, say, spoken, translator_for

MAX_FURTHER = 3
"""How many paintings there may be besides the first."""
PAINTINGS = drawn(".jpg")


class Preset(NamedTuple):
    """A choice for somebody who knows nothing of layers."""

    label: str
    words: str


PRESETS = {
    "quick": Preset("Quick look", "Repaints the photograph from coarse to fine: the quickest way to a picture."),
    "noise": Preset("From noise", "The same, but starting from random dots: the most to watch."),
    "paper": Preset(
        "The paper", "From noise, with the layers that Gatys, Ecker and Bethge used in 2015; takes its time."
    ),
    "neural-style": Preset(
        "Neural-style", "As in jcjohnson's neural-style: from noise, with a weight on smoothness; takes the longest."
    ),
    "tutorial": Preset("Tutorial", "As in PyTorch's tutorial: shallow layers and a heavy weight on style."),
}
"""By their ids in ``METHODS``, which has the numbers."""

FEATURES = {"compact": "Compact, quick", "vgg19": "VGG19, the paper's"}
"""What the feature networks are called."""
FAST = "fast"
"""The choice of start that stands for a picture of one of the registry's styles."""
STARTS = {"content": "The photograph", "noise": "Noise", "style": "The painting", FAST: "A fast style's picture"}
COLORS = {"style": "Painting", "photo": "Photograph", "matched": "Photograph, roughly"}
PLAN = (
    "{size} px, at most {steps} of {optimizer} from {start}; {more}. <b>Up to about {time}</b> on this machine "
    "at its current load, less if the losses stop falling."
)
SCALES, WEIGHTS, SMOOTH, STAND_IN = (
    "over up to {} sizes, from coarse to fine",
    "content {content:g} to style {style:g}",
    "smoothness {:g}",
    "{other} in place of {layer}",
)
AS_BEGUN = "Continue keeps the settings this run started with; Run starts over with the new ones."
COLORED = {"photo": "in the photograph’s colours", "matched": "in colours like the photograph’s"}
OPTIMIZERS = {"lbfgs": "L-BFGS", "adam": "Adam", "sgd": "SGD"}

LAYERS = "conv1_1 to conv5_4, or relu…; conv4_1=0.5 halves a layer's weight."
MASKS = "A mask is white where its painting applies and black elsewhere; without one, the painting applies everywhere."
HINT = (
    "<b>Watch a picture being painted</b>Choose a photograph and a painting, then press Run.<br>The losses are "
    "plotted below as they fall."
)


class Widgets(NamedTuple):
    """What the handlers and events need of the tab."""

    content: gr.Image
    painting: gr.Image
    preset: gr.Radio
    plan: gr.HTML
    run: gr.Button
    link: gr.Button
    fast: gr.Dropdown
    features: gr.Radio
    settings: dict[str, Any]
    """Components, by their names in ``Method``; Gradio's annotations do not know their events."""
    further: list[gr.components.Component]
    """Mask and weight of the first painting, then picture, mask and weight of each further one."""
    viewer: gr.HTML
    leave: gr.Button
    stop: gr.Button
    go_on: gr.Button
    png: gr.DownloadButton
    table: gr.DownloadButton

    @property
    def linked(self) -> dict[str, Any]:
        """The settings that a link holds."""
        return {"preset": self.preset, "features": self.features, "fast": self.fast, **self.settings}


def advanced_tab(optimizations: OptimizationService, tab: gr.Tab, page: gr.Blocks, remembered: gr.BrowserState) -> Any:
    """Lay the tab out in the ``gr.Blocks`` around it and wire it up; ``remembered`` is its ``ui.links.memory``.

    Returns the listener that fills it in as the page opens; opened after that, the tab says what a run would do.
    """
    widgets = lay_out(optimizations)
    return wire(widgets, Handlers(optimizations, widgets), tab, page, remembered)


def lay_out(optimizations: OptimizationService) -> Widgets:
    """Make the tab's widgets, in the order in which they stand."""
    default = METHODS["quick"]
    registry = optimizations.studio.registry
    settings: dict[str, Any] = {}
    with gr.Row():
        with gr.Column(scale=5, min_width=340):
            with gr.Row():
                with gr.Column(min_width=150):
                    content = picture("Photograph", elem_id="content")
                    examples(EXAMPLES, content, "contents", "Or one of these")
                with gr.Column(min_width=150):
                    painting = picture("Painting", elem_id="painting")
                    examples(PAINTINGS, painting, "paintings", "Or one of these")
            preset = gr.Radio(
                [(say(preset.label), id) for id, preset in PRESETS.items()],
                value="quick",
                label=say("How"),
                elem_id="presets",
            )
            plan = gr.HTML(elem_id="plan")
            with gr.Row():
                run = gr.Button(say("Run"), elem_id="run")
                link = gr.Button(say("Link to settings"), elem_classes="copy-link", scale=0, min_width=200)
            with gr.Row():
                sizes = sizes_of(optimizations)
                settings["size"] = gr.Radio(
                    sizes, value=min(default.size, sizes[-1]), label=say("Size (longer side, px)"), min_width=280
                )
                settings["steps"] = slider(
                    1, MAX_STEPS, value=default.steps, step=1, label=say("Maximum steps"), min_width=280
                )
            with gr.Row():
                starts = [(say(words), id) for id, words in STARTS.items()]
                settings["init"] = gr.Radio(
                    starts if len(registry) else starts[:-1],
                    value=default.init,
                    label=say("Start from"),
                    min_width=280,
                )
                fast = gr.Dropdown(
                    [(entry.title, entry.id) for entry in registry],
                    value=next((entry.id for entry in registry), None),
                    label=say("The fast style"),
                    visible=False,
                )
                settings["color"] = gr.Radio(
                    [(say(words), id) for id, words in COLORS.items()],
                    value=default.color,
                    label=say("Colours of the"),
                    min_width=280,
                )
            with gr.Accordion(say("Weights, optimiser, network, layers"), open=False):
                with gr.Row():
                    settings["content_weight"] = number(default.content_weight, "Content weight")
                    settings["style_weight"] = number(default.style_weight, "Style weight")
                    settings["total_variation"] = number(default.total_variation, "Smoothness (total variation)")
                with gr.Row():
                    settings["optimizer"] = gr.Radio(
                        [(words, id) for id, words in OPTIMIZERS.items()],
                        value=default.optimizer,
                        label=say("Optimiser"),
                    )
                    features = gr.Radio(
                        [(say(FEATURES[id]), id) for id in optimizations.features],
                        value=next(iter(optimizations.features)),
                        label=say("Feature network"),
                        visible=len(optimizations.features) > 1,
                    )
                    settings["seed"] = number(default.seed, "Seed of the noise")
                with gr.Row():
                    for name, label in ("content_layers", "Content layers"), ("style_layers", "Style layers"):
                        layers = write_layers(getattr(default, name))
                        settings[name] = gr.Textbox(layers, label=say(label), info=say(LAYERS), min_width=280)
            with gr.Accordion(say("More paintings, and where each applies"), open=False):
                further = further_paintings()
        with gr.Column(scale=7, min_width=340, elem_id="watch"):
            viewer = viewer_for("optimization-viewer", HINT)
            with gr.Row():
                leave, stop = stop_button("leave"), stop_button("stop")
                go_on = gr.Button(say("Continue"), visible=False, size="md", elem_id="go-on", min_width=120)
                png, table = download("Picture (PNG)", "png"), download("Losses (CSV)", "csv")
            with gr.Accordion(say("What the losses mean"), open=False):
                gr.Markdown(say(LOSSES))

    results = go_on, png, table
    return Widgets(
        content, painting, preset, plan, run, link, fast, features, settings, further, viewer, leave, stop, *results
    )


def further_paintings() -> list[gr.components.Component]:
    """The first painting's mask and weight, and rows for more paintings."""
    gr.Markdown(say(MASKS))
    widgets: list[gr.components.Component] = []
    for place in range(1, 2 + MAX_FURTHER):
        mask, weight = "Mask for the painting above", "Weight of the painting above"
        with gr.Row(elem_classes="further"):
            if place > 1:
                mask, weight = "Mask", "Its weight"
                widgets.append(picture(f"Painting {place}", "Drop or choose", height=130))
            widgets.append(picture(mask, "Drop or choose", height=130))
            widgets.append(number(1, weight))
    return widgets


class Handlers:
    """What the tab's events call."""

    def __init__(self, optimizations: OptimizationService, widgets: Widgets) -> None:
        self.optimizations = optimizations
        self.settings, self.linked = widgets.settings, widgets.linked

    def fill(self, preset: str) -> list[Any]:
        """A preset's values of the settings."""
        method = self.optimizations.method(preset)
        values = [getattr(method, name) for name in self.settings]
        return [write_layers(value) if isinstance(value, Mapping) else value for value in values]

    def found_open(self, remembered: Any, request: gr.Request) -> list[Any]:
        """Fill the tab in as the page opens."""
        return self._fill_in(first_settings("advanced", self.linked, remembered, request))

    def restore(self, photo: Any, request: gr.Request) -> list[Any]:
        """Fill the tab in as a dropped picture says that it was made."""
        return self._fill_in(recipe_of(photo, "advanced", translator_for(request)))

    def describe(self, request: gr.Request, preset: str, features: str, *values: Any) -> tuple[str, Any]:
        """What a run would do, and whether a fast style has to be chosen for it."""
        translate = translator_for(request)
        settings = dict(zip(self.settings, within(self.settings.values(), values), strict=True))
        try:
            method = self._method(preset, settings)
            seconds = self.optimizations.seconds(method, features)
            stand_ins = self.optimizations.stand_ins(method, features)
            words = plan_in_words(method, settings["init"], seconds, stand_ins, translate)
        except NSTError as error:
            words = f'<span class="wrong">{escape(str(error))}</span>'
        chosen = PRESETS.get(preset) if isinstance(preset, str) else None  # anything may come over the wire
        about = escape(translate(chosen.words)) if chosen else ""
        return f"<p>{about}</p><p>{words}</p>", gr.Dropdown(visible=settings["init"] == FAST)

    def start(
        self,
        request: gr.Request,
        content: Any,
        painting: Any,
        preset: str,
        features: str,
        fast: str,
        *rest: Any,
    ) -> Iterator[tuple[Any, Any, Any]]:
        """Run: ``rest`` are the values of the settings, and then of the further paintings."""
        with refusals():
            values, more = rest[: len(self.settings)], rest[len(self.settings) :]
            settings = dict(zip(self.settings, values, strict=True))
            method = self._method(preset, settings)
            self.optimizations.network(features)
            paths = received(content), received(painting, "painting")
            photo = open_fitted(paths[0])
            rows = [(painting, *more[:2]), *zip(more[2::3], more[3::3], more[4::3], strict=False)]
            for place, (another, mask, _) in enumerate(rows, start=1):
                if mask and not another:
                    raise PageError(f"Mask {place} has no painting: add one next to it, or remove the mask.")
            styles, masks, weights = zip(*(row for row in rows if row[0]), strict=True)
            areas = [open_fitted(received(mask, "mask")) if mask else None for mask in masks]
            # Named for people who compare the files of several runs.
            usual = zip(settings.items(), self.fill(preset), strict=True)
            differs = [f"{name}-{value}" for (name, value), default in usual if value != default]
            wish = OptimizationRequest(
                "-".join([paths[0].stem, paths[1].stem, preset, *differs]),
                photo,
                [open_fitted(received(style, "painting")) for style in styles],
                method,
                features,
                [*weights],
                areas,
                settings={"preset": preset, "features": features, "fast": fast, **settings},
            )
            if settings["init"] == FAST:
                original = fit(photo, method.size)
                turn = self.optimizations.studio.stylize(request.session_hash, original, Wish.of(style=fast))
                wish = replace(wish, start=turn.result())
            yield from shown(self.optimizations.watch(request.session_hash, wish))

    def again(self, request: gr.Request, *values: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Continue the session's last run."""
        with refusals():
            now = dict(zip(self.linked, values, strict=True))
            began = self.optimizations.begun_with(request.session_hash)
            if any(began.get(name, value) != value for name, value in now.items() if name != "steps"):
                gr.Info(translator_for(request)(AS_BEGUN))
            yield from shown(self.optimizations.go_on(request.session_hash, now["steps"]))

    def left(self, run: OptimizationRun | None) -> list[Any]:
        """What a run that has ended has left, for the buttons below the viewer."""
        files = [run.picture, run.table] if run else [None, None]
        return [
            gr.Button(visible=bool(run and self.optimizations.goes_on(run))),
            *(gr.DownloadButton(value=file and str(file), visible=bool(file)) for file in files),
        ]

    def _method(self, preset: str, settings: dict[str, Any]) -> Method:
        usual = self.optimizations.method(preset)
        for name, value in settings.items():
            if value is None and getattr(usual, name) is not None:
                raise PageError(f"The {name.replace('_', ' ')} should be a number.")
        changes: dict[str, Any] = {name: read_layers(settings[name]) for name in settings if name.endswith("_layers")}
        if settings["init"] == FAST:
            changes["init"] = "content"
        return self.optimizations.method(preset, **settings | changes)

    def _fill_in(self, recipe: dict[str, str]) -> list[Any]:
        """Values for all that is linked: a preset's, and what a recipe, from a link or a picture, says differs."""
        if not recipe:
            return [gr.skip()] * len(self.linked)
        preset = recipe.get("preset", "quick")
        with dropping():
            if preset not in PRESETS:
                raise PageError(f"There is no preset '{plain(preset, 20)}': choose one of {', '.join(PRESETS)}.")
        preset = preset if preset in PRESETS else "quick"
        values = {"preset": preset} | dict(zip(self.settings, self.fill(preset), strict=True))
        for name in self.linked:
            if name in recipe and name != "preset":
                with dropping():
                    values[name] = self._read(preset, name, recipe[name], type(values.get(name)))
        return [values.get(name, gr.skip()) for name in self.linked]

    def _read(self, preset: str, name: str, words: str, kind: type) -> Any:
        """A setting's value from a recipe; of that kind, if it can be.

        Raises:
            NSTError: the setting cannot have this value.
        """
        if name == "features":
            self.optimizations.network(words)
        elif name == "fast":
            self.optimizations.studio.registry[words]
        elif name.endswith("_layers"):
            self.optimizations.method(preset, **{name: read_layers(words)})
        elif name != "init" or words != FAST:
            value: Any = words
            with suppress(ValueError):  # the method says what would be right
                value = kind(words)
            self.optimizations.method(preset, **{name: value})
            if name == "size" and value not in (sizes := sizes_of(self.optimizations)):
                raise PageError(f"There is no size {value}: choose one of {', '.join(map(str, sizes))}.")
            return value
        return words


def wire(
    widgets: Widgets, handlers: Handlers, tab: gr.Tab, page: gr.Blocks, remembered: gr.BrowserState
) -> gr.events.Dependency:
    """Make the tab's events; returns the one that fills it in as the page opens."""
    preset, plan, run, fast = widgets.preset, widgets.plan, widgets.run, widgets.fast
    settings, linked = [*widgets.settings.values()], [*widgets.linked.values()]
    quiet: dict[str, Any] = {"show_progress": "hidden"}
    copies(widgets.link, widgets.linked, "advanced")
    filled_in = fills_in(page, handlers.found_open, remembered, linked)
    # One at a time and none skipped, so that the last plan shown is that of the last choice.
    planning: dict[str, Any] = {
        "fn": handlers.describe,
        "inputs": [preset, widgets.features, *settings],
        "outputs": [plan, fast],
        **quiet,
        "concurrency_limit": 1,
        "concurrency_id": "plan",
        "trigger_mode": "always_last",
    }
    tab.select(**planning)
    # A layer's name is not valid until it is complete.
    chosen = [
        setting.blur if isinstance(setting, gr.Textbox) else setting.input for setting in (widgets.features, *settings)
    ]
    # First: Gradio calls the listeners of one event one after the other, and nothing is to wait for a trial to be kept.
    remembering: dict[str, Any] = {
        "fn": None,
        "inputs": linked,
        "outputs": remembered,
        "js": remembers("advanced", widgets.linked),
        **quiet,
    }
    gr.on([fast.input, *chosen], **remembering)
    gr.on(chosen, **planning)
    restored = widgets.content.upload(handlers.restore, widgets.content, linked, js="unlessAgain('#content')", **quiet)
    restored.then(**planning)
    # In the browser, at once: another preset, or Run, may be pressed right after this one.
    filling = f"(preset) => ({json.dumps({id: handlers.fill(id) for id in PRESETS})})[preset]"
    filled = preset.input(None, preset, settings, **quiet, js=filling)
    filled.then(**planning)
    filled.then(**remembering)
    restored.then(**remembering)

    running = one_at_a_time("optimization", widgets.viewer)
    pictures, results = [widgets.content, widgets.painting], [widgets.go_on, widgets.png, widgets.table]
    beginning, buttons = [run.click, widgets.go_on.click], [run, widgets.leave, widgets.stop, *results]
    gr.on(beginning, None, pictures, buttons, js="waiting('#optimization-viewer', 4)")
    watched = [widgets.viewer, widgets.leave, widgets.stop]
    inputs = [*pictures, *linked, *widgets.further]
    events = [
        run.click(handlers.start, inputs, watched, **running),
        widgets.go_on.click(handlers.again, linked, watched, **running),
    ]
    for rested in follow(events, run, watched, results, handlers.left, handlers.optimizations):
        rested.then(**planning)  # by now it is known how long a step takes
    return filled_in


def sizes_of(optimizations: OptimizationService) -> list[int]:
    """The sizes to choose from."""
    most = optimizations.max_side
    return [*(size for size in (128, 256, 384, 512, 768, MAX_SIDE) if size < most), most]


def plan_in_words(
    method: Method, init: str, seconds: float, stand_ins: Mapping[str, str], translate: Callable[[str], str]
) -> str:
    """What a run would do and how long it would take, in a sentence or two, as HTML."""
    more = [translate(SCALES).format(method.scales)] if method.scales > 1 else []
    more += [translate(WEIGHTS).format(content=method.content_weight, style=method.style_weight)]
    more += [translate(SMOOTH).format(method.total_variation)] if method.total_variation else []
    more += [translate(COLORED[method.color])] if method.color in COLORED else []
    more += [translate(STAND_IN).format(layer=layer, other=other) for layer, other in stand_ins.items()]
    start = translate(STARTS[init])
    return translate(PLAN).format(
        size=method.size,
        steps=spoken([counted("1 step", "{} steps", method.steps)], translate),
        optimizer=OPTIMIZERS[method.optimizer],
        start=start[0].lower() + start[1:],
        more="; ".join(more),
        time=duration(seconds),
    )


def picture(label: str, placeholder: str = "Drop, paste\nor choose", **options: Any) -> gr.Image:
    return gr.Image(
        label=say(label),
        placeholder=say(placeholder),
        sources=["upload"],
        buttons=[],
        min_width=120,
        elem_classes="pick",
        **options,
    )


def number(value: float, label: str) -> gr.Number:
    return gr.Number(value, label=say(label), minimum=0, min_width=120)


def open_fitted(path: Path) -> Image.Image:
    """A picture, no larger than is of use: several are kept while somebody watches."""
    picture = open_picture(path)
    return fit(picture, 2 * MAX_SIDE) if max(picture.size) > 2 * MAX_SIDE else picture
