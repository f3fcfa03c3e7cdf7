"""The settings of the tab *Repaint* as they were: by a link, by this browser, or when a picture was made."""

import time
from typing import Any

import gradio as gr

from nst_core.registry import on_the_hub
from nst_core.text import plain
from ui.gallery import Desk, with_guest
from ui.links import EDITED, dropping, memory, read_recipe, remembers, said_at_first
from ui.studio import PageError, Studio, Wish, recipe_of


def restore(studio: Studio, desk: Desk, page: gr.Blocks) -> None:
    """Have the page open as a link says or as its browser was left, and be set by what was made before."""
    settings = [*desk.settings.values()]

    def found_open(remembered: Any, request: gr.Request) -> list[Any]:
        return opened(studio, desk, [], said_at_first("repaint", desk.settings, remembered, request))

    def dropped(photo: dict[str, Any] | None, guests: list[tuple[str, str]]) -> list[Any]:
        said = recipe_of(photo, "repaint")
        return [*opened(studio, desk, guests, said), time.monotonic() if said else gr.skip()]

    def chosen(guests: list[tuple[str, str]], event: gr.EventData) -> list[Any]:
        said = read_recipe(str(event.recipe))
        if "style" not in said:
            gr.Warning("That style was somebody's own, which no picture names: the chosen one stays.")
        return [*opened(studio, desk, guests, said), time.monotonic()]

    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    remembered = memory("repaint")
    changes = [setting.input for setting in settings]  # type: ignore[attr-defined]
    gr.on(changes, None, settings, remembered, js=remembers("repaint", desk.settings), **quiet)
    page.load(found_open, remembered, [*settings, desk.guests], **quiet, js=EDITED)

    found = gr.State()
    """When a recipe was found: who opens a link has no photograph yet, and others want theirs painted so."""
    to_set = [*settings, desk.guests, found]
    desk.photo.upload(dropped, [desk.photo, desk.guests], to_set, preprocess=False, **quiet)
    desk.history.select(chosen, desk.guests, to_set, **quiet)
    desk.paint_after(found.change)


def opened(studio: Studio, desk: Desk, guests: list[tuple[str, str]], said: dict[str, str]) -> list[Any]:
    """The settings that a link asks for by the names of ``nst_core.stylize``, ``?style=udnie&size=1024``, and guests.

    What is wrong in it is dropped, and that is said.
    """
    values: dict[str, Any] = {}
    invited: Any = gr.skip()
    for name in desk.settings:
        if name not in said:
            continue
        with dropping():
            if name == "second":
                values[name] = studio.registry[said[name]].id if said[name] else ""
            elif name == "style" and on_the_hub(said[name]):
                values[name], invited = with_guest(studio.registry, guests, plain(said[name]), said[name])
            elif name == "style":
                values[name] = studio.registry[said[name]].id
            else:
                values[name] = getattr(Wish.of(**{"style": "", name: said[name]}), name)
                if name in desk.choices and values[name] not in desk.choices[name]:
                    del values[name]
                    # 0 is the photograph's own size.
                    known = ", ".join(str(choice) for choice in desk.choices[name] if choice)
                    raise PageError(f"There is no {name} {plain(said[name], 20)}, and there are {known}.")
    return [*(values.get(name, gr.skip()) for name in desk.settings), invited]
