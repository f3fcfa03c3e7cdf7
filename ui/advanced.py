"""The tab *Advanced*: any photograph and any painting, the optimisation of Gatys et al. 2015, and its losses live."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from html import escape
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from PIL import Image

from nst_core.errors import NSTError
from nst_core.images import fit, open_picture
from nst_core.method import METHODS, Method
from nst_core.text import plain
from ui.gallery import EXAMPLES, drawn, examples
from ui.links import EDITED, copies, dropping, remembers, said_at_first, unless_again
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
from ui.studio import PageError, Wish, received, recipe_of
from ui.viewer import follow, refusals, shown, stop_button, viewer_for, waiting
from ui.watched import duration
from ui.words import LOSSES, say, words_of

FURTHER = 3
"""How many paintings there may be beside the first."""
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
STARTS = {"content": "the photograph", "noise": "noise", "style": "the painting", FAST: "a fast style's picture"}
COLORS = {"style": "Painting", "photo": "Photograph", "luminance": "Photograph, exactly"}
PLAN = (
    "{size} px, at most {steps} steps of {optimizer} from {start}; {more}. <b>Up to about {time}</b> on this machine "
    "at its current load, less if the losses stop falling."
)
SCALES, WEIGHTS, SMOOTH, STAND_IN = (
    "over up to {} sizes, from coarse to fine",
    "content {content:g} to style {style:g}",
    "smoothness {:g}",
    "{other} in place of {layer}",
)
AS_BEGUN = "Continue keeps the settings this run started with; Run starts over with the new ones."
COLORED = {"photo": "in the photograph’s colours", "luminance": "changing only light and dark"}
OPTIMIZERS = {"lbfgs": "L-BFGS", "adam": "Adam", "sgd": "SGD"}

LAYERS = "conv1_1 to conv5_4, or relu…; conv4_1=0.5 halves a layer's weight."
MASKS = "A mask is white where its painting applies and black elsewhere; without one, the painting applies everywhere."
HINT = (
    "<b>Watch a picture being painted</b>Choose a photograph and a painting, then press Run.<br>The losses are "
    "plotted below as they fall."
)


def advanced_tab(optimizations: OptimizationService, tab: gr.Tab, page: gr.Blocks, remembered: gr.BrowserState) -> Any:
    """Lay the tab out in the ``gr.Blocks`` around it and wire it up; ``remembered`` is its ``ui.links.memory``.

    Returns the listener that fills it in as the page opens; opened after that, the tab says what a run would do.
    """
    default, drop = METHODS["quick"], say("Drop, paste\nor choose")
    with gr.Row():
        with gr.Column(scale=5, min_width=340):
            with gr.Row():
                with gr.Column(min_width=150):
                    content = picture(say("Photograph"), drop, elem_id="content")
                    examples(EXAMPLES, content, "contents", "Or one of these")
                with gr.Column(min_width=150):
                    painting = picture(say("Painting"), drop, elem_id="painting")
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
                sizes = [n for n in (128, 256, 384, 512, 768, MAX_SIDE) if n < optimizations.max_side] + [
                    optimizations.max_side
                ]
                size = gr.Radio(
                    sizes, value=min(default.size, sizes[-1]), label=say("Size (longer side, px)"), min_width=280
                )
                steps = slider(1, MAX_STEPS, value=default.steps, step=1, label=say("Maximum steps"), min_width=280)
            with gr.Row():
                starts = [(say(words[0].upper() + words[1:]), id) for id, words in STARTS.items()]
                init = gr.Radio(
                    starts if len(optimizations.studio.registry) else starts[:-1],
                    value=default.init,
                    label=say("Start from"),
                    min_width=280,
                )
                fast = gr.Dropdown(
                    [(entry.title, entry.id) for entry in optimizations.studio.registry],
                    value=next((entry.id for entry in optimizations.studio.registry), None),
                    label=say("The fast style"),
                    visible=False,
                )
                color = gr.Radio(
                    [(say(words), id) for id, words in COLORS.items()],
                    value=default.color,
                    label=say("Colours of the"),
                    min_width=280,
                )
            with gr.Accordion(say("Weights, optimiser, network, layers"), open=False):
                with gr.Row():
                    content_weight = number(default.content_weight, say("Content weight"), 0)
                    style_weight = number(default.style_weight, say("Style weight"), 0)
                    total_variation = number(default.total_variation, say("Smoothness (total variation)"), 0)
                with gr.Row():
                    optimizer = gr.Radio(
                        [(words, id) for id, words in OPTIMIZERS.items()],
                        value=default.optimizer,
                        label=say("Optimiser"),
                    )
                    features = gr.Radio(
                        [(say(FEATURES[id]), id) for id in optimizations.features],
                        value=next(iter(optimizations.features)),
                        label=say("Feature network"),
                    )
                    seed = number(default.seed, say("Seed of the noise"), 0)
                with gr.Row():
                    content_layers, style_layers = (
                        gr.Textbox(write_layers(layers), label=say(label), info=say(LAYERS), min_width=280)
                        for layers, label in (
                            (default.content_layers, "Content layers"),
                            (default.style_layers, "Style layers"),
                        )
                    )
            with gr.Accordion(say("More paintings, and where each applies"), open=False):
                gr.Markdown(say(MASKS))
                further: list[gr.components.Component] = []
                for place in range(1, 2 + FURTHER):
                    mask, weight = "Mask for the painting above", "Weight of the painting above"
                    with gr.Row(elem_classes="further"):
                        if place > 1:
                            mask, weight = "Mask", "Its weight"
                            further.append(picture(say(f"Painting {place}"), say("Drop or choose"), height=130))
                        further.append(picture(say(mask), say("Drop or choose"), height=130))
                        further.append(number(1, say(weight), 0))
        with gr.Column(scale=7, min_width=340, elem_id="watch"):
            viewer = viewer_for("optimization-viewer", HINT)
            with gr.Row():
                leave, stop = stop_button("leave"), stop_button("stop")
                go_on = gr.Button(say("Continue"), visible=False, size="md", elem_id="go-on", min_width=120)
                png = gr.DownloadButton(say("Picture (PNG)"), visible=False, size="md", elem_id="png", min_width=120)
                table = gr.DownloadButton(say("Losses (CSV)"), visible=False, size="md", elem_id="csv", min_width=120)
            with gr.Accordion(say("What the losses mean"), open=False):
                gr.Markdown(say(LOSSES))

    settings: dict[str, gr.components.Component] = {
        "size": size,
        "steps": steps,
        "init": init,
        "color": color,
        "content_weight": content_weight,
        "style_weight": style_weight,
        "total_variation": total_variation,
        "optimizer": optimizer,
        "seed": seed,
        "content_layers": content_layers,
        "style_layers": style_layers,
    }
    results = [go_on, png, table]

    def method_of(preset: str, values: Sequence[Any]) -> Method:
        said = dict(zip(settings, values, strict=True))
        usual = optimizations.method(preset)
        for name, value in said.items():
            if value is None and getattr(usual, name) is not None:
                raise PageError(f"The {name.replace('_', ' ')} is empty: it should be a number.")
        said |= {name: read_layers(said[name]) for name in said if name.endswith("_layers")}
        return optimizations.method(preset, **said | ({"init": "content"} if said["init"] == FAST else {}))

    def fill(preset: str) -> list[Any]:
        method = optimizations.method(preset)
        values = [getattr(method, name) for name in settings]
        return [write_layers(value) if isinstance(value, Mapping) else value for value in values]

    def found_open(remembered: Any, request: gr.Request) -> list[Any]:
        return fill_in(said_at_first("advanced", linked, remembered, request))

    def restore(photo: Any, request: gr.Request) -> list[Any]:
        return fill_in(recipe_of(photo, "advanced", words_of(request)))

    def fill_in(said: dict[str, str]) -> list[Any]:
        """What a link or a picture says about this tab: the preset, and what differs from it."""
        if not said:
            return [gr.skip()] * len(linked)
        preset = said.pop("preset", "quick")
        with dropping():
            if preset not in PRESETS:
                raise PageError(f"There is no preset '{plain(preset, 20)}': choose one of {', '.join(PRESETS)}.")
        preset = preset if preset in PRESETS else "quick"
        values = {"preset": preset} | dict(zip(settings, fill(preset), strict=True))

        def read(name: str, words: str) -> Any:
            if name == "features":
                optimizations.network(words)
            elif name == "fast":
                optimizations.studio.registry[words]
            elif name.endswith("_layers"):
                optimizations.method(preset, **{name: read_layers(words)})
            elif name != "init" or words != FAST:
                value: Any = words
                with suppress(ValueError):  # the method says what would be right
                    value = type(values[name])(words)
                optimizations.method(preset, **{name: value})
                if name == "size" and value not in sizes:
                    raise PageError(f"There is no size {value}: choose one of {', '.join(map(str, sizes))}.")
                return value
            return words

        for name in linked:
            if name in said:
                with dropping():
                    values[name] = read(name, said[name])
        return [values.get(name, gr.skip()) for name in linked]

    def describe(request: gr.Request, preset: str, features: str, *values: Any) -> tuple[str, Any]:
        worded = words_of(request)
        try:
            method = method_of(preset, within(settings.values(), values))
            seconds, stand_ins = optimizations.seconds(method, features), optimizations.stand_ins(method, features)
            words = plan_in_words(method, values[2], seconds, stand_ins, worded)
        except NSTError as error:
            words = f'<span class="wrong">{escape(str(error))}</span>'
        chosen = known(preset)
        about = escape(worded(chosen.words)) if chosen else ""
        return f"<p>{about}</p><p>{words}</p>", gr.Dropdown(visible=values[2] == FAST)

    def start(
        request: gr.Request,
        content: Any,
        painting: Any,
        preset: str,
        features: str,
        fast: str,
        *rest: Any,
    ) -> Iterator[tuple[Any, Any, Any]]:
        with refusals():
            values, more = rest[: len(settings)], rest[len(settings) :]
            method = method_of(preset, values)
            optimizations.network(features)
            paths = received(content), received(painting, "painting")
            photo = opened(paths[0])
            masks, weights, styles = [more[0]], [more[1]], [painting]
            for place, another, mask, weight in zip(count(2), more[2::3], more[3::3], more[4::3], strict=False):
                if mask and not another:
                    raise PageError(f"Mask {place} has no painting: add one next to it, or remove the mask.")
                if another:
                    styles.append(another)
                    masks.append(mask)
                    weights.append(weight)
            areas = [opened(received(mask, "mask")) if mask else None for mask in masks]
            # Named for people who compare the files of several runs.
            usual = zip(settings, values, fill(preset), strict=True)
            differs = [f"{name}-{value}" for name, value, default in usual if value != default]
            wish = OptimizationRequest(
                "-".join([paths[0].stem, paths[1].stem, preset, *differs]),
                photo,
                [opened(received(style, "painting")) for style in styles],
                method,
                features,
                weights,
                areas,
                said=dict(zip(linked, (preset, features, fast, *values), strict=True)),
            )
            if values[2] == FAST:
                original = fit(photo, method.size)
                turn = optimizations.studio.stylize(request.session_hash, original, Wish.of(style=fast))
                wish = replace(wish, start=turn.result())
            yield from shown(optimizations.watch(request.session_hash, wish))

    def again(request: gr.Request, *values: Any) -> Iterator[tuple[Any, Any, Any]]:
        with refusals():
            now, began = dict(zip(linked, values, strict=True)), optimizations.begun_with(request.session_hash)
            if any(began.get(name, value) != value for name, value in now.items() if name != "steps"):
                gr.Info(words_of(request)(AS_BEGUN))
            yield from shown(optimizations.go_on(request.session_hash, now["steps"]))

    def left(run: OptimizationRun | None) -> list[Any]:
        files = [run.picture, run.table] if run else [None, None]
        return [
            gr.Button(visible=bool(run and optimizations.goes_on(run))),
            *(gr.DownloadButton(value=file and str(file), visible=bool(file)) for file in files),
        ]

    quiet: dict[str, Any] = {"preprocess": False, "show_progress": "hidden", "api_visibility": "private"}
    linked = {"preset": preset, "features": features, "fast": fast, **settings}
    copies(link, linked, "advanced")
    filled_in = page.load(found_open, remembered, [*linked.values()], **quiet, js=EDITED)
    planned = [preset, features, *settings.values()]
    # One at a time and none skipped, so that the last plan shown is that of the last choice.
    planning: dict[str, Any] = {**quiet, "concurrency_limit": 1, "concurrency_id": "plan"}
    planning |= {"trigger_mode": "always_last"}
    tab.select(describe, planned, [plan, fast], **planning)
    # A layer's name is not valid until it is complete.
    chosen = [
        setting.blur if isinstance(setting, gr.Textbox) else setting.input  # type: ignore[attr-defined]
        for setting in (features, *settings.values())
    ]
    # First: Gradio calls the listeners of one event one after the other, and nothing is to wait for a trial to be kept.
    remembering: dict[str, Any] = {
        "inputs": [*linked.values()],
        "outputs": remembered,
        "js": remembers("advanced", linked),
        **quiet,
    }
    gr.on([fast.input, *chosen], None, **remembering)
    gr.on(chosen, describe, planned, [plan, fast], **planning)
    restored = content.upload(restore, content, [*linked.values()], js=unless_again("content"), **quiet)
    restored.then(describe, planned, [plan, fast], **planning)
    # In the browser, at once: another preset, or Run, may be pressed right after this one.
    filling = f"(preset) => ({json.dumps({id: fill(id) for id in PRESETS})})[preset]"
    filled = preset.input(None, preset, [*settings.values()], **quiet, js=filling)
    filled.then(describe, planned, [plan, fast], **planning)
    filled.then(None, **remembering)
    restored.then(None, **remembering)

    running: dict[str, Any] = {
        "preprocess": False,
        "show_progress_on": viewer,
        "concurrency_id": "optimization",
        "concurrency_limit": 1,
        "api_visibility": "private",
    }
    beginning, buttons = [run.click, go_on.click], [run, leave, stop, *results]
    gr.on(beginning, None, [content, painting], buttons, js=waiting("optimization-viewer", 1 + len(results)))
    watched = [viewer, leave, stop]
    inputs = [content, painting, preset, features, fast, *settings.values(), *further]
    events = [run.click(start, inputs, watched, **running), go_on.click(again, [*linked.values()], watched, **running)]
    for rested in follow(events, run, watched, results, left, optimizations.ended, optimizations.running):
        rested.then(describe, planned, [plan, fast], **planning)  # by now it is known how long a step takes
    return filled_in


def known(preset: Any) -> Preset | None:
    """The preset whose id came over the wire, if it is one."""
    return PRESETS.get(preset) if isinstance(preset, str) else None


def plan_in_words(
    method: Method, init: str, seconds: float, stand_ins: Mapping[str, str], worded: Callable[[str], str]
) -> str:
    """What a run would do and how long it would take, in a sentence or two, as HTML."""
    more = [worded(SCALES).format(method.scales)] if method.scales > 1 else []
    more += [worded(WEIGHTS).format(content=method.content_weight, style=method.style_weight)]
    more += [worded(SMOOTH).format(method.total_variation)] if method.total_variation else []
    more += [worded(COLORED[method.color])] if method.color in COLORED else []
    more += [worded(STAND_IN).format(layer=layer, other=other) for layer, other in stand_ins.items()]
    start = worded(STARTS[init][0].upper() + STARTS[init][1:])
    return worded(PLAN).format(
        size=method.size,
        steps=method.steps,
        optimizer=OPTIMIZERS[method.optimizer],
        start=start[0].lower() + start[1:],
        more="; ".join(more),
        time=duration(seconds),
    )


def picture(label: Any, placeholder: Any, **options: Any) -> gr.Image:
    return gr.Image(
        label=label,
        placeholder=placeholder,
        sources=["upload"],
        buttons=[],
        min_width=120,
        elem_classes="pick",
        **options,
    )


def number(value: float, label: Any, least: float) -> gr.Number:
    return gr.Number(value, label=label, minimum=least, min_width=120)


def opened(path: Path) -> Image.Image:
    """A picture, no larger than is of use: several are kept while somebody watches."""
    opened = open_picture(path)
    return fit(opened, 2 * MAX_SIDE) if max(opened.size) > 2 * MAX_SIDE else opened
