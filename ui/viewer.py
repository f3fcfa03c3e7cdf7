"""The viewer, where work that takes a while is watched, and what its buttons do; viewer.js draws it."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr
from gradio.events import Dependency

from nst_core.errors import NSTError
from ui.studio import address_of
from ui.watched import Underway, Watched
from ui.words import say

VIEWER = Path(__file__).with_name("viewer.js")

W = TypeVar("W", bound=Watched)


def viewer_for(id: str, hint: str, each: str = "Picture at step") -> gr.HTML:
    """The place itself; ``hint`` is HTML that stands there before, ``each`` stands before a picture's number."""
    return gr.HTML(
        html_template="",
        js_on_load=VIEWER.read_text("utf-8"),
        elem_id=id,
        elem_classes="viewer",
        hint=hint,
        each=each,
    )


def stop_button(id: str) -> gr.Button:
    """One of the two below a viewer: one takes the event out of the queue, the other asks the work to end with what it
    has.
    """
    return gr.Button(say("Stop"), visible=False, size="md", elem_id=id, elem_classes="stop", min_width=120)


def waiting(viewer: str, others: int) -> str:
    """JavaScript for three or more buttons: press, leave the queue, and others that are of no use meanwhile.

    It is called with what has to be chosen before.
    """
    # Set by the browser at once: the queue may take its time.
    return f"""(...chosen) => {{
        const viewer = document.querySelector("#{viewer}");
        if (innerWidth <= 768 && chosen.every(Boolean)) viewer.scrollIntoView();
        const update = (change) => ({{ __type__: "update", ...change }});
        const others = Array({others}).fill(update({{ visible: false }}));
        return [update({{ interactive: false }}), update({{ visible: true }}), ...others];
    }}"""


def shown(runs: Iterator[Watched]) -> Iterator[tuple[Any, Any, Any]]:
    """What the page shows of work in progress: the viewer, and the buttons that leave the queue and stop it."""
    yield view(next(runs)), gr.Button(visible=False), gr.Button(visible=True)
    for run in runs:
        if run.trouble:
            gr.Warning(escape(str(run.trouble), quote=False))
        yield view(run), gr.skip(), gr.skip()


def view(run: Watched) -> dict[str, Any]:
    """What ``viewer.js`` draws; only differences from the one before are sent, and five digits are enough."""
    return {
        "running": run.running,
        "said": json.dumps(run.said),  # Gradio's differences of lists within lists lose what comes after a shorter one
        "progress": round(run.progress, 3),
        "steps": run.steps,
        "losses": {name: [float(f"{value:.5g}") for value in values] for name, values in run.losses.items()},
        "snapshots": [{"step": step, "url": address_of(file)} for step, file in run.snapshots],
    }


def follow(
    events: Sequence[Dependency],
    press: gr.Button,
    watched: Sequence[Any],
    results: Sequence[Any],
    left: Callable[[W | None], list[Any]],
    ended: Callable[[str | None], W | None],
    running: Underway[W],
    before: Callable[[str | None], W | None] | None = None,
) -> list[Dependency]:
    """Wire up what follows ``events``, each of which ``shown`` feeds; returns what follows their success.

    ``watched`` are the viewer and its two buttons, the one that leaves the queue first; ``results`` are the components
    for what a session's last work, if it has ``ended`` well, has ``left`` to download. ``before`` tells what a viewer
    showed before work that failed, if that may be something else.
    """
    viewer, leave, stop = watched
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "queue": False}

    def rest(request: gr.Request) -> list[Any]:
        hidden = [gr.Button(visible=False)] * 2
        return [gr.Button(interactive=True), *hidden, *left(ended(request.session_hash))]

    def refused(request: gr.Request) -> list[Any]:
        earlier = (before or ended)(request.session_hash)
        return [earlier and view(earlier), *rest(request)]

    def end(request: gr.Request) -> None:
        running.stop(request.session_hash)

    resting = [press, leave, stop, *results]
    for event in events:
        event.failure(refused, None, [viewer, *resting], **quiet)
    leave.click(rest, None, resting, **quiet, cancels=[*events])
    stop.click(end, None, None, **quiet)
    return [event.success(rest, None, resting, **quiet) for event in events]


@contextmanager
def refusals() -> Iterator[None]:
    """Raise what the library refuses as Gradio shows it."""
    try:
        yield
    except NSTError as error:
        # Gradio shows a message as markup.
        message = escape(str(error), quote=False)
        raise gr.Error(message, print_exception=False) from error
