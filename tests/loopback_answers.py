"""What the Hub on the loopback interface answers to anyone who reads: errors, listings, repositories, files."""

import hashlib
import json
import re
from contextlib import suppress
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

if TYPE_CHECKING:
    from loopback_hub import Account, LoopbackHub, Repo

LISTED = {"_id", "id", "modelId", "likes", "private", "downloads", "tags", "pipeline_tag", "createdAt"}
"""What a listing says of a repository, unless it is asked for more."""


class Refused(Exception):
    """An error as the Hub tells them."""

    def __init__(
        self, status: HTTPStatus, message: str = "", code: str = "", headers: dict[str, str] | None = None, **said: Any
    ) -> None:
        self.status = status
        self.said = {"error": message or status.phrase, **said}
        told = {"X-Error-Code": code, "X-Error-Message": message}
        self.headers = {**(headers or {}), **{key: value for key, value in told.items() if value}}


class Answers(BaseHTTPRequestHandler):
    """One connection to ``hub``."""

    protocol_version = "HTTP/1.1"
    hub: "LoopbackHub"

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        if "Authorization" in self.headers:
            self.hub.with_token.append(self.path)
        # Read before anything is refused: the connection's next request begins behind it.
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urlsplit(self.path)
        self.asked = parse_qs(url.query)
        try:
            self._fail(url.path)
            for old, new in self.hub.renamed.items():
                if f"/{old}" in url.path:
                    moved = {"Location": self.path.replace(f"/{old}", f"/{new}", 1)}
                    return self._answer(HTTPStatus.TEMPORARY_REDIRECT, b"", moved)
            self.account = self._bearer()
            method = "GET" if self.command == "HEAD" else self.command
            # To the client models are the default kind; a Space differs in how its addresses begin.
            path = re.sub(r"^/api/spaces/", "/api/models/spaces%2F", re.sub(r"^/spaces/", "/spaces%2F", url.path))
            self._route([method, *map(unquote, path.split("/")[1:])])
        except Refused as refused:
            self._json(refused.said, refused.status, refused.headers)

    do_HEAD = do_POST = do_GET

    def _route(self, request: list[str]) -> None:
        match request:
            case ["GET", "api", "models"]:
                self._models()
            case ["GET", "api", "models", user, name]:
                self._model(f"{user}/{name}", "main")
            case ["GET", "api", "models", user, name, "revision", revision]:
                self._model(f"{user}/{name}", revision)
            case ["GET", "api", "models", user, name, "tree", revision]:
                self._tree(f"{user}/{name}", revision)
            case ["GET", user, name, "resolve", revision, file]:
                self._file(f"{user}/{name}", revision, file)
            case ["GET", "api", "models", user, name, "commits", revision]:
                self._commits(f"{user}/{name}", revision)
            case ["GET", "cdn", user, name, revision, file]:
                self._content(self.hub.repos[f"{user}/{name}"], revision, file, {})
            case _:
                raise Refused(HTTPStatus.NOT_FOUND)

    # Who asks, and what for.

    def _fail(self, path: str) -> None:
        failure = self.hub.failures.get(path)
        if failure is None or failure.times == 0:
            return
        if failure.times is not None:
            failure.times -= 1
        if failure.hangs:
            self.hub.closing.wait(60)
        wait = {} if failure.retry_after is None else {"Retry-After": str(failure.retry_after)}
        raise Refused(failure.status, headers=wait)

    def _bearer(self) -> "Account | None":
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token and token not in self.hub.accounts:
            raise Refused(HTTPStatus.UNAUTHORIZED, "Invalid credentials in Authorization header")
        return self.hub.accounts.get(token)

    def _find(self, name: str, revision: str) -> "tuple[Repo, str]":
        """A repository and the hash of its commit."""
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and (self.account is None or self.account.name != name.partition("/")[0])):
            status = HTTPStatus.NOT_FOUND if self.account else HTTPStatus.UNAUTHORIZED
            raise Refused(status, "Repository not found", "RepoNotFound")
        if repo.hangs:
            self.hub.closing.wait(60)
        if repo.fails:
            raise Refused(repo.fails)
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            raise Refused(HTTPStatus.NOT_FOUND, "Invalid rev id", "RevisionNotFound")
        return repo, commit

    # What anyone may read.

    def _about(self, name: str, repo: "Repo", commit: str) -> dict[str, Any]:
        card, size = repo.card(commit), "blobs" in self.asked
        files = repo.commits[commit].items()
        return {
            "_id": hashlib.sha1(name.encode()).hexdigest()[:24],
            "id": name,
            "modelId": name,
            "author": name.partition("/")[0],
            "sha": commit,
            "createdAt": moment(repo.created),
            "lastModified": moment(repo.modified or repo.committed),
            "private": repo.private,
            "disabled": False,
            "gated": repo.gated,
            "downloads": 0,
            "likes": repo.likes,
            "tags": repo.tags(commit),
            "pipeline_tag": card.get("pipeline_tag"),
            "cardData": card or None,
            "siblings": [{"rfilename": file, **({"size": len(data)} if size else {})} for file, data in files],
        }

    def _tree(self, name: str, revision: str) -> None:
        """All files, as if there were no folders; the client asks for that."""
        repo, commit = self._find(name, revision)
        files = repo.commits[commit].items()
        self._json([{"type": "file", "path": path, "size": len(data), "oid": blob_hash(data)} for path, data in files])

    def _chosen(self, about: dict[str, Any], keys: set[str]) -> dict[str, Any]:
        if expand := self.asked.get("expand"):
            keys = {"_id", "id", *expand}
        return {key: value for key, value in about.items() if key in keys}

    def _models(self) -> None:
        repos = [(name, repo) for name, repo in self.hub.repos.items() if "main" in repo.branches]
        found = [self._about(name, repo, repo.branches["main"]) for name, repo in repos]
        found = [about for about in found if {*self.asked.get("filter", [])} <= {*about["tags"]}]
        for sort in self.asked.get("sort", []):
            found.sort(key=lambda about: about[sort], reverse=True)
        [limit] = self.asked.get("limit", ["1000"])
        self._json([self._chosen(about, LISTED) for about in found[: int(limit)]])

    def _model(self, name: str, revision: str) -> None:
        about = self._about(name, *self._find(name, revision))
        self._json(self._chosen(about, {*about}))

    def _commits(self, name: str, revision: str) -> None:
        repo, commit = self._find(name, revision)
        about = {"title": "A commit", "message": "", "authors": [], "date": moment(repo.committed)}
        self._json([{"id": commit, **about} for commit in repo.history(commit)])

    def _file(self, name: str, revision: str, file: str) -> None:
        repo, commit = self._find(name, revision)
        headers = {"X-Repo-Commit": commit}
        if repo.gated:
            message = f"Access to model {name} is restricted."
            raise Refused(HTTPStatus.FORBIDDEN, message, "GatedRepo", headers)
        if file not in repo.commits[commit]:
            raise Refused(HTTPStatus.NOT_FOUND, "Entry not found", "EntryNotFound", headers)
        if repo.redirects:
            headers["Location"] = f"http://localhost:{self.hub.port}/cdn/{name}/{commit}/{file}"
            return self._answer(HTTPStatus.FOUND, b"", headers)
        self._content(repo, commit, file, headers)

    def _content(self, repo: "Repo", commit: str, file: str, headers: dict[str, str]) -> None:
        data = repo.commits[commit][file]
        headers |= {"ETag": f'"{blob_hash(data)}"', "Accept-Ranges": "bytes"}
        if repo.corrupts and data:
            data = data[:-1] + bytes([data[-1] ^ 1])
        asked = self.headers.get("Range")
        status = HTTPStatus.OK
        if asked and not repo.ignores_ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last or len(data) - 1), len(data) - 1) + 1
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            status, data = HTTPStatus.PARTIAL_CONTENT, data[start:stop]
        self._answer(status, data, headers, cut=repo.cuts, drips=repo.drips)

    # How it is sent.

    def _json(self, said: Any, status: HTTPStatus = HTTPStatus.OK, headers: dict[str, str] | None = None) -> None:
        # YAML may have dates, which JSON lacks.
        body = json.dumps(said, default=str).encode()
        self._answer(status, body, {"Content-Type": "application/json", **(headers or {})})

    def _answer(
        self,
        status: HTTPStatus,
        body: bytes,
        headers: dict[str, str],
        cut: int | None = None,
        drips: float | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        kept = body[:cut]
        self.close_connection |= len(kept) < len(body)
        if self.command != "HEAD":
            size = len(kept) if drips is None else 1
            with suppress(ConnectionError):  # whoever asked has heard enough
                for start in range(0, len(kept), size or 1):
                    self.wfile.write(kept[start : start + size])
                    self.hub.sent += size
                    if drips and self.hub.closing.wait(drips):
                        self.close_connection = True
                        break

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""


def blob_hash(data: bytes) -> str:
    """git's hash of a file of that content."""
    digest = hashlib.sha1(f"blob {len(data)}\0".encode())
    digest.update(data)
    return digest.hexdigest()


def front_matter(card: str) -> dict[str, Any]:
    """What a ``README.md`` has before its text; raises ``yaml.YAMLError``."""
    found = re.match(r"---\n(.*?)^---$", card, re.DOTALL | re.MULTILINE)
    said = yaml.safe_load(found[1]) if found else None
    return said if isinstance(said, dict) else {}


def moment(time: datetime) -> str:
    """A time as the Hub writes it."""
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
