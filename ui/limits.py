"""Limits what a request may bring, and how long it takes: ASGI middleware in front of Gradio.

Gradio limits the size of an uploaded file and nothing else. Here, every body has a limit and a deadline, no link to a
picture is followed, work that nobody waits for any more ends, and whatever goes wrong is answered with one sentence.
"""

import asyncio
import json
import re
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from gradio import Request
from gradio.route_utils import FnIndexInferError
from httpx import InvalidURL
from starlette.datastructures import Headers, QueryParams
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nst_core.text import few
from ui.files import LINK
from ui.log import log_event, log_failure

if TYPE_CHECKING:
    from ui.server import Page

MAX_FILE = 64 * 2**20
"""The most bytes of an uploaded file."""
MAX_FORM = MAX_FILE + 2**16
"""The most bytes of the form around it."""
MAX_JSON = 2**18
"""The most bytes of every other body …"""
MAX_MESSAGE = 4 * 2**20
"""… but an agent's message, which may hold a picture."""
MAX_DEPTH, MAX_BRACKETS = 32, 10_000
"""How deep JSON may be nested, and how many lists and objects there may be: a million take seconds to read."""
MAX_PAUSE = 20.0
"""The longest pause, in seconds, in a body that is not complete."""
FORM_SECONDS, BODY_SECONDS = 600.0, 30.0
"""How long a form, and any other body, may take."""
DRAIN_SECONDS = 2.0
"""Seconds for which the rest of a refused body is still taken: a client cut off at once does not learn why."""
MAX_UPLOAD_ID = 64
"""The most characters of the name by which a browser asks how far its upload is."""
MIN_FREE_BYTES = 2**30
"""Bytes that have to be free on the disk for an upload to be taken."""
LONG = {"optimization": 4, "training": 2, "film": 4}
"""How many may wait for what takes a quarter of an hour or more, each once, by Gradio's ``concurrency_id`` …"""
SHORT = {"gate": 8, "hub": 8, "community": 8}
"""… and for what takes seconds."""
MAX_WAITING, MAX_WAITING_EACH = 32, 8
"""How many may wait in all, and for how many things that are not long a single session may."""

API = "/gradio_api"
# Parts of Gradio that the page does not use: they fetch whatever they are told, run ffmpeg, write files, or never end.
CLOSED = re.compile(rf"{API}/(process_recording|deep_link|dev/|proxy=|file[=/]https?:)|/monitoring", re.IGNORECASE)
CALL = re.compile(rf"{API}/(?P<how>call/v2|call|run|api|queue(?=/join))/(?P<name>[^/]+)/?$")
AGENTS = f"{API}/mcp"
MESSAGE = "x-nst-message"
"""The header that tells one message of an agent from all others: Gradio hands an agent's headers on."""
OWN = "same-origin", "none"
"""What a browser says of requests of this server's own page, and of its person's. Gradio answers those of all others,
too, with the sign-in of whoever has that page open: it would publish in their name."""
LISTENING = re.compile(rf"{API}/call/(?:v2/)?[^/]+/(?P<event>[^/]+)$")

MALFORMED = "This endpoint does not accept that: 'Use via API' at the foot of the page shows what it takes."
FAILED = "Something went wrong on this server and has been logged: try again."


class Refusal(Exception):
    """An answer in place of Gradio's: a status and one sentence."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


class Limits:
    """Stands between the web server and Gradio; ``page`` is what Gradio serves."""

    def __init__(self, app: ASGIApp, page: "Page") -> None:
        self.app, self.page = app, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if AGENTS in scope["path"]:
            others = [header for header in scope["headers"] if header[0] != MESSAGE.encode()]
            scope = {**scope, "headers": [*others, (MESSAGE.encode(), secrets.token_hex(16).encode())]}
        is_own = Headers(scope=scope).get("sec-fetch-site", OWN[0]) in OWN
        if "session" in scope and scope["method"] == "POST" and not is_own:  # signing in itself is a GET, from the Hub
            scope = {**scope, "session": {}}
        exchange = Exchange(scope, receive, send, self._check_room)
        try:
            self._admit(scope)
            exchange.check_length()
            if not exchange.is_form:
                self._check(scope, exchange, await exchange.read())
            with self._listening(scope, exchange):
                await self.app(scope, exchange.receive, exchange.send)
        except Refusal as refusal:
            exchange.refusal = refusal
        except Exception as error:  # noqa: BLE001, for Gradio would answer it without a word
            exchange.refusal = exchange.refusal or explained(error)
        await exchange.close()

    def _admit(self, scope: Scope) -> None:
        """Refuse requests that are refused whatever their body says."""
        path = scope["path"]
        if CLOSED.search(path):
            raise Refusal(403, "This server does not offer that.")
        if len(queried(scope, "upload_id")) > MAX_UPLOAD_ID:
            raise Refusal(400, f"An upload_id may have at most {MAX_UPLOAD_ID} characters: choose a shorter one.")
        if scope["method"] != "POST":
            return
        # What follows on a page when its work has ended is not queued: buttons, and the files that are left.
        if self.page.stopping and not path.endswith(("/cancel", "/run/predict")):
            raise Refusal(503, "This server is restarting: try again in a minute.")
        # Files that come with an agent's request are written to the same place.
        if path.rstrip("/").endswith(("/upload", "/mcp")):
            self.page.studio.ensure_folder()
            self._check_room()

    def _check_room(self) -> None:
        """Refuse an upload where there is no room for it."""
        if shutil.disk_usage(self.page.studio.folder).free < MIN_FREE_BYTES:
            raise Refusal(507, "This server has no space for uploads at the moment: try again in an hour.")

    def _check(self, scope: Scope, exchange: "Exchange", body: bytes) -> None:
        """Check what a body says, unless it is a form."""
        if not body:
            return
        try:
            if body.count(b"[") + body.count(b"{") > MAX_BRACKETS:
                raise ValueError
            payload = json.loads(body)
            if unlink(payload):
                exchange.replay = json.dumps(payload).encode()
        except (ValueError, RecursionError):
            if exchange.is_json:
                words = "nested fewer than 32 levels deep, with at most 10,000 lists and objects"
                raise Refusal(400, f"The request body should be JSON, {words}.") from None
            return
        if call := CALL.search(scope["path"]):
            payload = payload if isinstance(payload, dict) else {}
            session = None if of_agents(Headers(scope=scope)) else payload.get("session_hash")
            self._check_line(call["how"], call["name"], payload.get("fn_index"), session)
            self._check_names(call["how"], call["name"], payload)
        elif scope["path"].endswith(f"{API}/cancel") and isinstance(payload, dict):
            self.page.cancelled(payload.get("session_hash"), payload.get("fn_index"))

    def _check_line(self, how: str, name: str, number: Any, session: Any) -> None:
        # As Gradio does: in some kinds of request, the number takes precedence over the name; others ignore it.
        kind = self.page.line_of(name, number if how in ("run", "api", "queue") else None)
        if kind is None:
            raise Refusal(404, "There is no such endpoint: the endpoints are /stylize, /optimize and /styles.")
        if how in ("run", "api"):  # these wait for nothing
            return
        sessions = self.page.sessions_waiting(kind)
        if sessions.count(session) >= (1 if kind in LONG else MAX_WAITING_EACH):
            raise Refusal(429, "You are already in the queue: try again when your turn has begun.")
        if len(sessions) >= (LONG | SHORT).get(kind, MAX_WAITING):
            later = "a quarter of an hour" if kind in LONG else "a minute"
            raise Refusal(503, f"There are already {len(sessions)} people waiting for this: try again in {later}.")
        if self.page.queued() >= MAX_WAITING:
            raise Refusal(503, "Too many people are here at once: try again in a minute.")

    def _check_names(self, how: str, name: str, payload: dict[str, Any]) -> None:
        parameters = self.page.parameters(name)
        if parameters is None:
            return
        taken = takes(name, parameters)
        if how != "call/v2":
            if not isinstance(payload.get("data"), list):
                raise Refusal(400, f"The request body should have a list 'data' of the parameters; {taken}.")
        elif unknown := [key for key in payload if key not in parameters]:
            raise Refusal(400, f"There is no parameter {few(unknown, 1)}; {taken}.")
        elif missing := [key for key, optional in parameters.items() if not optional and key not in payload]:
            raise Refusal(400, f"The parameter {missing[0]!r} is missing; {taken}.")

    @contextmanager
    def _listening(self, scope: Scope, exchange: "Exchange") -> Iterator[None]:
        """Give up what a client asked for if they hang up while they listen for it."""
        event, session = LISTENING.search(scope["path"]), ""
        message = Headers(scope=scope)[MESSAGE] if AGENTS in scope["path"] else ""
        if event:
            session = self.page.session_of(event["event"])
        elif scope["path"].endswith(f"{API}/queue/data"):
            session = queried(scope, "session_hash")
        try:
            yield
        finally:
            if session and exchange.gone:
                self.page.hung_up(session)
            if message and exchange.gone:
                self.page.studio.gone.put(message, True)  # it may not have begun
                self.page.hung_up(message)
            self.page.heard(session)
            if exchange.is_form:
                self.page.uploaded(queried(scope, "upload_id"))
            if event and session == event["event"]:
                self.page.drop(session)  # a caller without a session has one for as long as they listen


class Exchange:
    """A request and its answer, as they pass."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, check_room: Callable[[], None]) -> None:
        """``check_room`` refuses an upload, however far it is: many may have begun while there was room for one."""
        self._receive, self._send, self._check_room = receive, send, check_room
        self._headers = Headers(scope=scope)
        kind = self._headers.get("content-type", "").lower()
        self.is_json = "json" in kind
        self.is_form = kind.startswith("multipart/form-data") and scope["path"].rstrip("/").endswith(f"{API}/upload")
        """Whether it is an upload, which goes to the disk as it comes; all other bodies are read first."""
        self.most = MAX_FORM if self.is_form else MAX_MESSAGE if AGENTS in scope["path"] else MAX_JSON
        self._until = time.monotonic() + (FORM_SECONDS if self.is_form else BODY_SECONDS)
        self.replay: bytes | None = None
        """A body for Gradio that has been read here."""
        self.refusal: Refusal | None = None
        """The answer, if none has begun."""
        self.gone = False
        """Whether the other side left before the end of the answer."""
        self._size, self._complete = 0, False
        self._started = self._ended = False

    def check_length(self) -> None:
        """Refuse a body that is too large by its own header."""
        if int(self._headers.get("content-length", 0)) > self.most:
            raise self._too_large()

    async def read(self) -> bytes:
        """The whole body."""
        parts = []
        while not self._complete:
            parts.append((await self._next()).get("body", b""))
        self.replay = b"".join(parts)
        return self.replay

    async def receive(self) -> Message:
        """``receive`` for Gradio, in place of the web server's."""
        if self.replay is not None:
            body, self.replay = self.replay, None
            return {"type": "http.request", "body": body, "more_body": False}
        if self._complete:
            message = await self._receive()
            self.gone = self.gone or not self._ended
            return message
        try:
            return await self._next()
        except Refusal as refusal:
            self.refusal = refusal
            # Gradio takes this for a damaged form, and deletes what it has of the file.
            raise MultiPartException(refusal.words) from None

    async def send(self, message: Message) -> None:
        """``send`` for Gradio, in place of the web server's."""
        if self.refusal and not self._started:
            return
        self._started = True
        self._ended = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    async def close(self) -> None:
        """Answer what is refused, and end an answer that broke off."""
        if self.refusal:
            log_event("refused", status=self.refusal.status)
        if self.gone or self._ended:
            return
        if self.refusal and not self._started:
            answer = JSONResponse({"detail": self.refusal.words}, self.refusal.status)
            if not self._complete:
                answer.headers["connection"] = "close"
            await self._send(
                {"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers}
            )
            await self._send({"type": "http.response.body", "body": answer.body, "more_body": True})
            if not self._complete:
                await self._drain()
        if self.refusal or self._started:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self) -> Message:
        patience = min(MAX_PAUSE, self._until - time.monotonic())
        try:
            message = await asyncio.wait_for(self._receive(), max(0, patience))
        except asyncio.TimeoutError:
            raise Refusal(408, "The request body arrived too slowly: send it again over a better connection.") from None
        if message["type"] == "http.disconnect":
            self.gone = True
            raise Refusal(400, "The connection closed before the whole request body had arrived.")
        self._size += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if self._size > self.most:
            raise self._too_large()
        if self.is_form:
            self._check_room()
        return message

    async def _drain(self) -> None:
        until = time.monotonic() + DRAIN_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                message = await asyncio.wait_for(self._receive(), left)
            except asyncio.TimeoutError:
                return
            if not message.get("more_body", False):
                return

    def _too_large(self) -> Refusal:
        if self.is_form:
            return Refusal(413, f"A file may have at most {MAX_FILE // 2**20} MB: send a smaller one.")
        return Refusal(
            413,
            f"This request body may have at most {self.most // 2**10} kB: upload pictures to {API}/upload and "
            "give their paths.",
        )


def queried(scope: Scope, name: str) -> str:
    """A value of the address's query, as Gradio takes it."""
    return QueryParams(scope["query_string"]).get(name, "")


def of_agents(headers: Mapping[str, str]) -> bool:
    """Whether a request is Gradio's own on behalf of an agent: all agents share one session."""
    return headers.get("x-gradio-user") == "mcp"


def caller(request: Request) -> str | None:
    """Who asks for something: a session or, of an agent, the message."""
    return request.headers.get(MESSAGE) if of_agents(request.headers) else request.session_hash


def takes(name: str, parameters: Collection[str]) -> str:
    """What an endpoint takes, in words."""
    return f"{name} takes {len(parameters)}: {', '.join(parameters)}" if parameters else f"{name} takes none"


def unlink(payload: Any) -> bool:
    """Change links, in place, so that Gradio fetches nothing; returns whether there were any.

    The address of a file on this server becomes the file's path; any other link is refused where pictures are opened.

    Raises:
        ValueError: it is nested too deeply.
    """
    found = False
    nodes = [(payload, 0)]
    while nodes:
        node, depth = nodes.pop()
        if depth > MAX_DEPTH:
            raise ValueError
        if isinstance(node, dict):
            path = node.get("path")
            if isinstance(path, str) and LINK.match(path):
                found = True
                _, here, file = path.partition(f"{API}/file=")
                if here:
                    node["path"] = unquote(file)
                else:
                    node["is_stream"] = True  # Gradio does not fetch what it takes for a stream
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        nodes += [(child, depth + 1) for child in children if isinstance(child, dict | list)]
    return found


def explained(error: Exception) -> Refusal:
    """The answer to what Gradio raised instead: because of the request, or because of the server."""
    if isinstance(error.__cause__, HTTPException):  # too late to be said
        return Refusal(error.__cause__.status_code, "There is no such event to listen to.")
    if isinstance(error, FnIndexInferError | InvalidURL | LookupError | TypeError | ValueError):
        return Refusal(400, MALFORMED)
    log_failure(error)
    return Refusal(500, FAILED)
