"""Restores the settings of *Repaint* and *Video*: from a link, from this browser, or from a picture."""

import time
from collections.abc import Mapping
from typing import Any

import gradio as gr

from nst_core.registry import on_the_hub
from nst_core.text import plain, quoted
from ui.errors import PageError
from ui.events import dropping, told
from ui.gallery import RepaintWidgets, with_guest
from ui.links import fills_in, first_settings, read_recipe, recipe_of
from ui.studio import Studio
from ui.wish import Wish
from ui.words import translator_for

TABS = ["repaint", "live", "video", "advanced", "contribute", "about"]
"""The tabs' ids, in the order in which they stand."""


def restore(studio: Studio, widgets: RepaintWidgets, page: gr.Blocks, remembered: gr.BrowserState) -> None:
    """Have the page open as a link says or as its browser was left, and take the settings of pictures made before.

    ``remembered`` is the ``ui.links.memory`` of *Repaint*.
    """
    settings = [*widgets.settings.values()]

    def found_open(remembered: Any, request: gr.Request) -> list[Any]:
        with dropping():
            if (tab := request.query_params.get("tab", TABS[0])) not in TABS:
                raise PageError(f"There is no tab {quoted(tab, 20)}: the tabs are {', '.join(TABS)}.")
            if tab == "live" and (style := request.query_params.get("style")):
                studio.registry[style]  # live.js chooses it
        return restored(studio, widgets, [], first_settings("repaint", widgets.settings, remembered, request))

    def dropped(photo: dict[str, Any] | None, guests: list[tuple[str, str]], request: gr.Request) -> list[Any]:
        recipe = recipe_of(photo, "repaint", translator_for(request))
        values = restored(studio, widgets, guests, recipe, "this picture")
        return [*values, time.monotonic() if recipe else gr.skip()]

    def chosen(guests: list[tuple[str, str]], event: gr.EventData, request: gr.Request) -> list[Any]:
        recipe = read_recipe(told(event, "recipe"))
        if "style" not in recipe:
            gr.Warning(
                translator_for(request)(
                    "That picture was painted in a private style, which pictures do not name: the chosen style stays."
                )
            )
        return [*restored(studio, widgets, guests, recipe, "this picture"), time.monotonic()]

    fills_in(page, found_open, remembered, [*settings, widgets.guests])

    # Whoever opens a link has no photograph yet; here there is one, which is painted with the settings.
    to_set = [*settings, widgets.guests, widgets.found]
    # Not upload: Gradio calls the listeners of one event in turn, and this one would wait for the painting.
    widgets.photo.input(
        dropped,
        [widgets.photo, widgets.guests],
        to_set,
        js="unlessAgain('#photo')",
        trigger_mode="multiple",  # another may be chosen while a restored one is examined
        show_progress="hidden",
    )
    widgets.history.select(chosen, widgets.guests, to_set, show_progress="hidden")
    widgets.paint_after(widgets.found.change)


def restored(
    studio: Studio,
    widgets: RepaintWidgets,
    guests: list[tuple[str, str]],
    recipe: dict[str, str],
    where: str = "this link",
) -> list[Any]:
    """The settings that a link asks for by the names of ``nst_core.stylize``, ``?style=udnie&strength=0.5``; guests."""
    style, invited = recipe.get("style", ""), gr.skip()
    guest = on_the_hub(style)
    settings = {name: setting for name, setting in widgets.settings.items() if name != "style" or not guest}
    values = read(studio, settings, recipe, where)
    if guest:
        title = next((title for title, name in guests if name == style), plain(guest[1]))
        values["style"], invited = with_guest(studio.registry, guests, title, style)
    return [*(values.get(name, gr.skip()) for name in widgets.settings), invited]


def read(
    studio: Studio,
    settings: Mapping[str, gr.components.Component],
    recipe: Mapping[str, str],
    where: str = "this link",
) -> dict[str, Any]:
    """The valid values in a recipe for these settings; invalid ones, in ``where``, are dropped with a warning."""
    values: dict[str, Any] = {}
    for name, setting in settings.items():
        if name not in recipe:
            continue
        with dropping():
            if name == "second" and not recipe[name]:
                values[name] = ""
            elif name in ("style", "second"):
                values[name] = studio.registry[recipe[name]].id
            else:
                value = getattr(Wish.of(where, **{"style": "", name: recipe[name]}), name)
                choices = [choice for _, choice in setting.choices] if isinstance(setting, gr.Radio) else [value]
                if value not in choices:
                    known = ", ".join(str(choice) for choice in choices if choice)  # 0 is the photograph's own size
                    raise PageError(f"There is no {name} {plain(recipe[name], 20)}: choose one of {known}.")
                values[name] = value
    return values
