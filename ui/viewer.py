"""The viewer, where work that takes a while is watched, and what its buttons do; viewer.js draws it."""

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import gradio as gr
from gradio.events import Dependency

from nst_core.errors import NSTError
from ui.events import as_markup, told
from ui.files import address_of
from ui.log import log_failure
from ui.watched import Service, Watched
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


def download(words: str, id: str) -> gr.DownloadButton:
    """A button below a viewer for a file that a run leaves."""
    return gr.DownloadButton(say(words), visible=False, size="md", elem_id=id, elem_classes="download", min_width=120)


def labelled(words: str) -> str:
    """JavaScript that gives a button another label."""
    return f"() => update({{ label: {json.dumps(str(say(words)))} }})"


def shown(runs: Iterator[Watched]) -> Iterator[tuple[Any, Any, Any]]:
    """What the page shows of work in progress: the viewer, and the buttons that leave the queue and stop it."""
    yield view(next(runs)), gr.Button(visible=False), gr.Button(visible=True)
    for run in runs:
        if run.trouble:
            gr.Warning(as_markup(run.trouble))
        try:
            yield view(run), gr.skip(), gr.skip()
        except GeneratorExit:  # the page has gone, and may be loaded again: what is there by now is kept
            run.stopped = True
            Thread(target=_exhaust, args=[runs], daemon=True).start()
            raise


def _exhaust(runs: Iterator[Watched]) -> None:
    try:
        deque(runs, maxlen=0)
    except NSTError:  # there is nobody to tell
        pass
    except Exception as error:  # noqa: BLE001, for the thread would print it
        log_failure(error)


def view(run: Watched) -> dict[str, Any]:
    """What ``viewer.js`` draws; only differences from the one before are sent, and five digits are enough."""
    return {
        "id": run.id,
        "running": run.running,
        "status": json.dumps(run.status),  # of lists in lists, Gradio's differences lose what follows a shorter one
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
    service: Service[W],
) -> list[Dependency]:
    """Wire up what follows ``events``, each of which ``shown`` feeds; returns what follows their success.

    ``watched`` are the viewer and its two buttons, the one that leaves the queue first; ``results`` are the components
    for what a session's last run of the ``service`` has ``left`` to download.
    """
    viewer, leave, stop = watched
    at_once: dict[str, Any] = {"show_progress": "hidden", "queue": False}

    def rest(request: gr.Request) -> list[Any]:
        hidden = [gr.Button(visible=False)] * 2
        return [gr.Button(interactive=True), *hidden, *left(service.ended(request.session_hash))]

    def come_back(event: gr.EventData, request: gr.Request) -> list[Any]:
        run = service.come_back(request.session_hash, told(event, "id"))
        return [view(run), *rest(request)] if run else [gr.skip()] * (1 + len(resting))

    def refused(request: gr.Request) -> list[Any]:
        earlier = service.shown(request.session_hash)
        return [earlier and view(earlier), *rest(request)]

    def end(request: gr.Request) -> None:
        service.stop(request.session_hash)

    resting = [press, leave, stop, *results]
    for event in events:
        event.failure(refused, None, [viewer, *resting], **at_once)
    viewer.select(come_back, None, [viewer, *resting], **at_once)
    leave.click(rest, None, resting, **at_once, cancels=[*events])
    stop.click(end, None, None, **at_once)
    return [event.success(rest, None, resting, **at_once) for event in events]
