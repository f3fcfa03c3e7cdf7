"""Options of Gradio's events that several tabs share, and refusals as Gradio shows them."""

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

import gradio as gr

from nst_core.errors import NSTError
from ui.limits import MALFORMED

PEOPLE = 24
"""How many may stand in the studio's line, each taking one of Gradio's 40 threads; more wait in Gradio's queue."""
IN_LINE: dict[str, Any] = {
    # The same for all: what was asked for last should also be handled last.
    "concurrency_id": "network",
    "concurrency_limit": PEOPLE,
}
"""For what a network paints in the studio's line."""


def one_at_a_time(kind: str, viewer: gr.HTML) -> dict[str, Any]:
    """For work that takes minutes, of which a ``viewer`` shows the progress; one person's after the other's."""
    return {
        "show_progress_on": viewer,
        "concurrency_id": kind,
        "concurrency_limit": 1,
    }


def told(event: gr.EventData, name: str) -> str:
    """What the page says under that name of an event that it triggers itself.

    Raises:
        gr.Error: it says nothing; this is not the page.
    """
    words = event._data.get(name) if isinstance(event._data, dict) else None
    if not isinstance(words, str):
        raise gr.Error(MALFORMED, print_exception=False)
    return words


@contextmanager
def refusals() -> Iterator[None]:
    """Raise what the library refuses as Gradio shows it."""
    try:
        yield
    except NSTError as error:
        raise gr.Error(as_markup(error), print_exception=False) from error


@contextmanager
def dropping() -> Iterator[None]:
    """Go on without what is refused here, and warn of it."""
    try:
        yield
    except NSTError as error:
        gr.Warning(as_markup(error))


def as_markup(error: NSTError) -> str:
    """A refusal's sentence, for Gradio, which shows messages as markup."""
    return escape(str(error), quote=False)
