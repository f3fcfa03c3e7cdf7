"""Serves the page: one sentence for whatever goes wrong, who waits, what is deleted, a stop in good order."""

import os
import signal
import socket
import sys
import tempfile
import time
from asyncio import Queue as AsyncQueue
from collections.abc import Iterable, Mapping, Set
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

import gradio as gr
from anyio.to_thread import run_sync
from fastapi.exceptions import RequestValidationError
from gradio.block_function import BlockFunction
from gradio.exceptions import InvalidPathError
from gradio.http_server import INITIAL_PORT_VALUE, LOCALHOST_NAME
from gradio.queueing import Event
from gradio.routes import file_upload_statuses
from gradio.server_messages import EventMessage
from gradio.utils import get_function_description, get_function_params
from gradio_client.client import Job
from gradio_client.utils import is_file_obj, traverse
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Gauge, generate_latest
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

import nst_core
from nst_core.errors import NSTError
from ui.files import KEEP_FILES_SECONDS
from ui.head import CARD, introduce
from ui.limits import FAILED, LONG, MALFORMED, MAX_FORM, Limits, takes
from ui.line import Closed, Ended
from ui.log import log_event, log_failure, take_over_uvicorn
from ui.optimization_service import OptimizationService
from ui.session_cache import expire
from ui.studio import Studio
from ui.training_service import TrainingService
from ui.video_service import VideoService
from ui.watched import Service

MAX_SESSIONS = 200
"""How many sessions Gradio remembers; each takes a third of a megabyte, a copy of the page's settings."""
MAX_UNHEARD = 2000
"""How many sessions may have messages to hear."""
GRACE_SECONDS = 8.0
"""Seconds for which a server that is told to stop still works; Docker kills after ten."""
ANSWER_SECONDS = 1.0
"""Seconds for its last answers to arrive."""
SWEEP_INTERVAL = KEEP_FILES_SECONDS / 8
"""Seconds between two looks for files that are to be deleted."""

WAITING = Gauge("nst_waiting", "Pictures waiting for their turn.")
RUNNING = Gauge("nst_running", "Pictures being worked on.")


class Unheard(dict[str, AsyncQueue[EventMessage]]):
    """Messages to hear, by session, in Gradio's queue, which forgets the oldest session when there are too many.

    Here, no session that still waits for something is forgotten: that would end the queue, for everybody.
    """

    def __init__(self, events: Mapping[str, Event], most: int) -> None:
        """``events`` are those that have not ended."""
        super().__init__()
        self._events, self.most = events, most

    def __setitem__(self, session: str, messages: AsyncQueue[EventMessage]) -> None:
        if session not in self and len(self) >= self.most:
            waiting = {event.session_hash for event in self._events.values()}
            for oldest in [other for other in self if other not in waiting][:1]:
                del self[oldest]
        super().__setitem__(session, messages)


class Page(gr.Blocks):
    """``gr.Blocks`` for the page: a failure in its events is one sentence, and it knows who waits for what."""

    def __init__(
        self,
        studio: Studio,
        optimizations: OptimizationService,
        trainings: TrainingService,
        videos: VideoService,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.studio, self.optimizations, self.trainings, self.videos = studio, optimizations, trainings, videos
        self.services: tuple[Service[Any], ...] = optimizations, trainings, videos
        self.stopping = False
        """Set when nothing new is taken any more."""

    def queue(self, *arguments: Any, **options: Any) -> "Page":
        """Gradio's queue, as a server needs it."""
        super().queue(*arguments, **options)
        queue = self._queue
        queue.pending_messages_per_session = Unheard(queue.event_ids_to_events, MAX_UNHEARD)  # type: ignore[assignment]
        # Gradio 6.31 looks a thousand times a second, which takes a tenth of a core while nobody is here.
        queue.sleep_when_free = 0.01
        return self

    def get_api_info(self, *arguments: Any, **options: Any) -> Any:
        """What there is to call, with what Gradio would tell agents alone: the meaning of each parameter."""
        info = super().get_api_info(*arguments, **options)
        for event in self.fns.values():
            if event.fn and (endpoint := info["named_endpoints"].get(f"/{event.api_name}")):
                _, meant, _ = get_function_description(event.fn)
                for parameter in endpoint["parameters"]:
                    if words := meant.get(parameter["parameter_name"]):
                        parameter["python_type"]["description"] = words
                        parameter["type"] = {**parameter["type"], "description": words}
        return info

    async def preprocess_data(self, block_fn: BlockFunction, inputs: list[Any], *rest: Any, **options: Any) -> Any:
        """What came over the wire, as the event takes it; an endpoint's last parameters may be left out of a list."""
        name = block_fn.api_name
        if block_fn.api_visibility == "public" and name:
            taken = self.parameters(name) or {}
            if len(inputs) > len(taken):
                raise gr.Error(f"There are too many values ({len(inputs)}); {takes(name, taken)}.")
            # A client may have counted them before one was added.
            inputs = [*inputs, *(parameter.value for parameter in block_fn.inputs[len(inputs) :])]  # type: ignore[union-attr]
        try:
            return await super().preprocess_data(block_fn, inputs, *rest, **options)
        except gr.Error:
            raise
        except InvalidPathError as error:
            raise gr.Error(
                "Upload a file first, then give the path it has on this server.", print_exception=False
            ) from error
        except Exception as error:
            raise gr.Error(MALFORMED, print_exception=False) from error

    async def process_api(self, *arguments: Any, **options: Any) -> Any:
        """An event, or its next step."""
        try:
            if not options.get("iterator") and self._is_too_late(options["block_fn"]):
                raise gr.Error(str(Closed())) from Closed()
            return await super().process_api(*arguments, **options)
        except gr.Error as error:
            cause = error.__cause__ or error
            if not isinstance(cause, Ended):
                style = cause.style if isinstance(cause, NSTError) else None
                log_event("refused", kind=type(cause).__name__, style=style)
            error.print_exception = False
            raise
        except Exception as error:
            log_failure(error)
            raise gr.Error(FAILED, print_exception=False) from error

    def _is_too_late(self, event: BlockFunction) -> bool:
        """Whether this server stops before an event that begins now could be of use."""
        return event.queue and (self.studio.line.closed or (self.stopping and event.concurrency_id in LONG))

    def waiting(self) -> int:
        """How many people's pictures wait: in Gradio's queue, and in the studio's line."""
        return len(self._queue) + self.studio.line.waiting()

    def queued(self) -> int:
        """How much waits in Gradio's queue, which all tabs share."""
        return len(self._queue)

    def running(self) -> int:
        """How much is being done for people at the moment."""
        return max(0, self._queue.get_active_worker_count() - self.studio.line.waiting())

    def line_of(self, name: str, number: Any) -> str | None:
        """Gradio's ``concurrency_id`` of an event, by its number or, without one, its name; None if there is none."""
        if number is None:
            return next((event.concurrency_id for event in self.fns.values() if event.api_name == name), None)
        return self.fns[number].concurrency_id if type(number) is int and number in self.fns else None

    def parameters(self, name: str) -> dict[str, bool] | None:
        """What a public endpoint takes: the names, and whether each may be left out; None if there is none."""
        for event in self.fns.values():
            if event.api_name == name and event.api_visibility == "public" and event.fn:
                return {name: optional for name, optional, *_ in get_function_params(event.fn)}
        return None

    def sessions_waiting(self, kind: str) -> list[str]:
        """The sessions that wait in one of Gradio's queues."""
        queue = self._queue.event_queue_per_concurrency_id.get(kind)
        return [event.session_hash for event in queue.queue] if queue else []

    def awaited(self) -> set[Path]:
        """The uploads that events waiting in Gradio's queue need."""
        files = set[Path]()
        for queue in self._queue.event_queue_per_concurrency_id.values():
            for event in [*queue.queue]:
                traverse(event.data and event.data.data, lambda file: files.add(Path(file["path"])), is_file_obj)
        return files

    def session_of(self, event_id: str) -> str:
        """The session that asked for an event; for a caller who has none, the event itself."""
        event = self._queue.event_ids_to_events.get(event_id)
        return event.session_hash if event else event_id

    def hung_up(self, session: str) -> None:
        """End what a session asked for: nobody listens for it any more."""
        self.studio.line.end(session)
        for service in self.services:
            service.stop(session)

    def cancelled(self, session: Any, number: Any) -> None:
        """Take a session's pictures out of the line when a client cancels them: Gradio only stops waiting for all of a
        session's events of that number, and leaves them running.
        """
        event = self.fns.get(number) if type(number) is int else None
        if event and event.api_name == "stylize" and isinstance(session, str):
            self.studio.line.end(session)

    def heard(self, session: str) -> None:
        """Forget that a session whose stream has ended waited for something, unless it still does; Gradio would
        remember it for as long as the server runs.
        """
        pending = self._queue.pending_event_ids_session
        if not pending.get(session):
            pending.pop(session, None)

    def forget_unheard(self) -> None:
        """Forget sessions that never came to hear what they waited for, once their messages have gone.

        The messages of the oldest sessions go; Gradio would remember for ever that each session waited.
        """
        queue = self._queue
        for session in [*queue.pending_event_ids_session]:
            if session not in queue.pending_messages_per_session:
                queue.pending_event_ids_session.pop(session, None)

    def uploaded(self, name: str) -> None:
        """Note that an upload has come to its end, perhaps before its file had."""
        if name:
            file_upload_statuses.set_done(name)

    def forget_uploads(self) -> None:
        """Forget how far uploads are that have ended, and those that there never were; Gradio does where a browser has
        heard of the end.
        """
        known, asked_for = file_upload_statuses._statuses, file_upload_statuses._signals
        for name in [name for name, upload in [*known.items()] if upload.is_done]:
            known.pop(name, None)
        for name in {*asked_for} - {*known}:
            asked_for.pop(name, None)

    def drop(self, session: str) -> None:
        """Forget what Gradio remembers of a session that will not come again."""
        self._queue.pending_event_ids_session.pop(session, None)
        self._queue.pending_messages_per_session.pop(session, None)
        self.state_holder.session_data.pop(session, None)
        self.state_holder.time_last_used.pop(session, None)

    def stop(self, grace: float) -> None:
        """Take nothing new, finish what people wait for within ``grace`` seconds, and return the rest."""
        self.stopping = True
        self._let_in(LONG)
        until = time.monotonic() + grace
        busy = self.waiting() + self.running() > 0
        while self.waiting() + self.running() and time.monotonic() < until:
            for service in self.services:
                service.stop_all()
            time.sleep(0.1)
        self.studio.line.close()
        self._let_in(self._queue.event_queue_per_concurrency_id)
        if busy:
            time.sleep(ANSWER_SECONDS)

    def _let_in(self, kinds: Iterable[str]) -> None:
        """Let all events in these of Gradio's queues begin: each is told at once that it is too late."""
        for kind in kinds:
            if queue := self._queue.event_queue_per_concurrency_id.get(kind):
                queue.concurrency_limit = None


class Compression(GZipMiddleware):
    """Compresses the page's HTML, half a megabyte: Gradio's compression goes by a path's ending, and ``/`` has none."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (super().__call__ if scope.get("path") == "/" else self.app)(scope, receive, send)


def options(page: Page) -> dict[str, Any]:
    """For ``launch``: what makes the page safe to serve, and what its operator looks at."""

    def health(request: Request) -> JSONResponse:
        status = "stopping" if page.stopping else "ok"
        if not page.stopping:
            try:
                page.studio.ensure_folder()
                tempfile.TemporaryFile(dir=page.studio.folder).close()
            except OSError:
                status = "cannot write files"
        state = {
            "status": status,
            "waiting": page.waiting(),
            "running": page.running(),
            "version": nst_core.__version__,
        }
        return JSONResponse(state, 200 if status == "ok" else 503)

    def metrics(request: Request) -> Response:
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    def card(request: Request) -> FileResponse:
        return FileResponse(CARD)

    def malformed(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"detail": MALFORMED}, 422)

    WAITING.set_function(page.waiting)
    RUNNING.set_function(page.running)
    introduce(page.studio.registry)
    return {
        "app_kwargs": {
            "middleware": [Middleware(Limits, page=page), Middleware(Compression, compresslevel=5)],
            "exception_handlers": {RequestValidationError: malformed},
            "routes": [Route("/health", health), Route("/metrics", metrics), Route("/card.jpg", card)],
        },
        "max_file_size": MAX_FORM,  # Limits refuses before that, in its own words
        "state_session_capacity": MAX_SESSIONS,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "mcp_server": True,
        "_frontend": False,  # or Gradio requests the page, and ends a server that takes three seconds
    }


def await_port(seconds: float) -> None:
    """Return once nothing answers at this server's port, and end the process if that takes longer.

    A server that is being stopped empties the folder that is named after the port before it leaves the port: what the
    next one had made there by then would be gone.
    """
    began, told = time.monotonic(), False
    with suppress(OSError):
        while time.monotonic() < began + seconds:
            socket.create_connection((LOCALHOST_NAME, INITIAL_PORT_VALUE), 1).close()
            if not told:
                told = True
                log_event("waiting", port=INITIAL_PORT_VALUE)
            time.sleep(0.1)
        taken("another server answers there")


def taken(why: object) -> NoReturn:
    """End the process, which has no port."""
    sys.exit(f"The page cannot be served at port {INITIAL_PORT_VALUE} ({why}): set GRADIO_SERVER_PORT to another.")


def serve(page: Page, grace: float, **looks: Any) -> None:
    """Serve the page until SIGTERM or Ctrl-C, stop within ``grace`` seconds, and end the process with status 0."""
    signals = SimpleQueue[int]()  # an Event would wait for itself if a second signal came while it is being set
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: signals.put(number))
    # The folder is named after the port: at another port, which Gradio would look for, it would be another server's.
    try:
        page.launch(**options(page), **looks, server_port=INITIAL_PORT_VALUE, prevent_thread_lock=True)
    except OSError as error:
        taken(error)
    take_over_uvicorn()
    # Gradio 6.31 hands an agent several outputs as one text, in which a picture is a path.
    page.mcp_server_obj._execute_tool_without_progress = outputs  # type: ignore[union-attr, method-assign]
    folder = page.studio.folder
    kept = lasting(page)
    log_event("started", version=nst_core.__version__, styles=len(page.studio.registry))
    swept = -SWEEP_INTERVAL
    while signals.empty():
        if time.monotonic() - swept > SWEEP_INTERVAL:
            swept = time.monotonic()
            expire()
            page.forget_unheard()
            page.forget_uploads()
            sweep(folder, KEEP_FILES_SECONDS, kept | page.awaited())
            for names in page.temp_file_sets:  # for Gradio's own deletion, which ends at the first folder it is given
                names.clear()
        time.sleep(0.5)
    log_event("stopping", waiting=page.waiting(), running=page.running())
    page.stop(grace)
    sweep(folder, 0)
    with suppress(OSError):  # another server has begun there
        folder.rmdir()
    log_event("stopped")
    sys.stdout.flush()
    os._exit(0)  # open connections, and downloads from the Hub, would hold the process for as long as they take


async def outputs(job: Job) -> list[Any]:
    """The outputs of an agent's job, one by one."""
    result = await run_sync(job.result)
    return [*result] if isinstance(result, list | tuple) else [result]


def lasting(page: Page) -> set[Path]:
    """The files and folders that stay as long as the server does, as they are made once."""
    files = {Path(file) for block in page.blocks.values() for file in block.keep_in_cache}
    return files | {page.studio.folder / name for name in ("previews", "onnx")}


def sweep(folder: Path, age: float, kept: Set[Path] = frozenset()) -> None:
    """Delete what is older than ``age`` seconds, whoever left it there: results, uploads that broke off, empty folders.

    ``kept`` are files and folders that stay.
    """
    # Others come and go meanwhile: os.walk passes over a folder that has gone, unlike pathlib in Python 3.11.
    for parent, folders, files in os.walk(folder, topdown=False):
        for path in (Path(parent, name) for name in (*files, *folders)):
            if not kept & {path, *path.parents}:
                with suppress(OSError):  # it has gone, or is a folder with something in it
                    if time.time() - path.lstat().st_ctime > age:
                        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
