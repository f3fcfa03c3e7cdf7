"""*Community* in the gallery: styles that people tagged on the Hugging Face Hub, which nobody here has reviewed."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from html import escape
from typing import Any, Literal

import gradio as gr

from nst_core import hub
from nst_core.hub import Found, HubError
from nst_core.registry import Registry
from ui.gallery import RepaintWidgets, with_guest
from ui.words import say, translator_for

Sort = Literal["likes", "last_modified"]
FRESH_SECONDS = 600
"""Seconds for which a listing is not asked for again."""
LISTING_TIMEOUT = 10
"""Seconds to wait for the Hub: its client alone would try for minutes."""
INTRODUCTION = (
    "<p>Styles that people have shared on the Hugging Face Hub with the tag <code>nst-style</code>. Nobody has "
    "reviewed them; their weights go through the same checks as all others and are downloaded when you choose "
    "one.</p>"
)


class CommunityStyles:
    """What the Hub lists, asked for at most every ten minutes; where the Hub is away or slow, the last list stays."""

    def __init__(self, registry: Registry, find: Callable[[Sort], list[Found]] = hub.find) -> None:
        self._registry = registry
        self._find = find
        self._listings: dict[Sort, tuple[float, list[Found]]] = {}
        self._asking: dict[Sort, Future[list[Found]]] = {}
        self._askers = ThreadPoolExecutor(2, "community")
        self._lock = threading.Lock()

    def styles(self, sort: Sort, patience: float = LISTING_TIMEOUT) -> tuple[list[Found], str]:
        """The styles, and what is wrong with the listing, if anything is; it waits ``patience`` seconds at most."""
        with self._lock:
            since, listing = self._listings.get(sort, (0.0, []))
            if since and time.monotonic() - since < FRESH_SECONDS:
                return listing, ""
            asking = self._asking.get(sort) or self._asking.setdefault(sort, self._askers.submit(self._find, sort))
        wait([asking], patience)
        with self._lock:
            if not asking.done():
                trouble = "The Hugging Face Hub is slow to answer: open the list again in a moment."
            else:
                self._asking.pop(sort, None)
                try:
                    listing = asking.result()
                except HubError as error:
                    trouble = str(error)
                else:
                    listing = [found for found in listing if not self._registry.why_blocked(found.repo, found.revision)]
                    self._listings[sort] = (time.monotonic(), listing)
                    trouble = ""
            return listing, f"{trouble} This is the list as it was last time." if trouble and listing else trouble

    def find(self, name: str) -> Found | None:
        """The listed style that ``user/repo@revision`` names."""
        with self._lock:
            listed = [found for _, listing in self._listings.values() for found in listing]
        return next((found for found in listed if name == f"{found.repo}@{found.revision}"), None)


def community_styles(registry: Registry, widgets: RepaintWidgets) -> None:
    """Lay the accordion out in the ``gr.Blocks`` around it and wire it up."""
    board = CommunityStyles(registry)
    with gr.Accordion(say("Community styles"), open=False, elem_id="community") as fold:
        gr.HTML(say(INTRODUCTION))
        sort = gr.Radio(
            [(say("Most liked"), "likes"), (say("Newest"), "last_modified")], value="likes", label=say("Sort by")
        )
        choice = gr.Dropdown([], value=None, label=say("Style, artist, repository"), elem_id="community-choice")
        notice = gr.HTML()

    def listed(sort: Any, request: gr.Request) -> tuple[Any, str]:
        translate = translator_for(request)
        styles, trouble = board.styles("last_modified" if sort == "last_modified" else "likes")
        words = trouble or ("" if styles else translate("There are none yet."))
        choices = [(in_words(found, translate), f"{found.repo}@{found.revision}") for found in styles]
        return gr.Dropdown(choices=choices, value=None), f"<p>{escape(words)}</p>"

    def chosen(name: Any, guests: list[tuple[str, str]]) -> tuple[Any, ...]:
        if name is None:  # the list is another one, or what was chosen stands in the gallery
            return (gr.skip(),) * 4
        found = board.find(name)
        if found is None:
            raise gr.Error("That style is no longer in the list: open the list again.", print_exception=False)
        return *with_guest(registry, guests, found.title, name), time.monotonic(), None  # to be chosen again

    listing: dict[str, Any] = {
        "show_progress_on": choice,
        "concurrency_id": "community",
        "concurrency_limit": 4,
        "trigger_mode": "always_last",
    }
    gr.on([fold.expand, sort.input], listed, sort, [choice, notice], **listing)
    choice.change(  # not input, which Gradio tells of whenever a list loses the focus
        chosen,
        [choice, widgets.guests],
        [widgets.style, widgets.guests, widgets.found, choice],
        trigger_mode="multiple",  # the last one is read before the list is empty again
        show_progress="hidden",
    )


def in_words(found: Found, translate: Callable[[str], str] = str) -> str:
    """One line of the listing; ``translate`` translates its English words."""
    by = translate(" by {}").format(found.artist) if found.artist else ""
    likes = f" · ♥ {found.likes}" if found.likes else ""
    return f"{found.title}{by} · {found.repo}{likes} · {found.license or translate('no licence')}"
