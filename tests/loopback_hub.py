"""A Hugging Face Hub on the loopback interface, with as much of its HTTP API as the tests need.

Used from another process, whose real huggingface_hub is pointed at it: ``HF_ENDPOINT`` is read when that is imported.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Repo:
    """A model repository: files by commit, commits by branch."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    fails: HTTPStatus | None = None
    hangs: bool = False
    redirects: bool = False
    """Files come from another host, as from the Hub's CDN."""
    ignores_ranges: bool = False
    cuts: int | None = None
    """Bytes of an answer after which the connection closes."""

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Make these all the files of a branch; the commit's hash."""
        parent = self.branches.get(branch, "")
        content = parent.encode() + b"".join(name.encode() + data for name, data in sorted(files.items()))
        self.branches[branch] = revision = hashlib.sha1(content).hexdigest()
        self.commits[revision] = files
        return revision


class LoopbackHub:
    """A context manager that serves ``repos`` and notes its ``requests``, whose had a token, and the bytes sent."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[str] = []
        self.with_token: list[str] = []
        self.sent = 0
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def add(self, repo: str, folder: Path, **about: Any) -> str:
        """Make a folder's files a repository; the commit's hash."""
        self.repos[repo] = Repo(**about)
        return self.repos[repo].commit({file.name: file.read_bytes() for file in folder.iterdir()})

    def __enter__(self) -> "LoopbackHub":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Be gone."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def run(self, script: str, home: Path, **environment: str) -> Any:
        """Run Python with this as its Hub and ``home`` as its cache; what it printed last, as JSON."""
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))},
                "HF_ENDPOINT": self.endpoint,
                "HF_HOME": str(home),
                "HF_HUB_DISABLE_TELEMETRY": "1",
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def do_GET(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        if "Authorization" in self.headers:
            self.hub.with_token.append(self.path)
        match [unquote(part) for part in urlsplit(self.path).path.split("/")[1:]]:
            case ["api", "models", user, name]:
                self._model(f"{user}/{name}", "main")
            case ["api", "models", user, name, "revision", revision]:
                self._model(f"{user}/{name}", revision)
            case [user, name, "resolve", revision, file]:
                self._file(f"{user}/{name}", revision, file)
            case ["cdn", user, name, revision, file]:
                self._content(self.hub.repos[f"{user}/{name}"], revision, file, {})
            case _:
                self._error(HTTPStatus.NOT_FOUND)

    do_HEAD = do_GET

    def _find(self, name: str, revision: str) -> tuple[Repo, str] | None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self._error(HTTPStatus.UNAUTHORIZED, "RepoNotFound")
            return None
        if repo.hangs:
            self.hub._closing.wait(60)
        if repo.fails:
            self._error(repo.fails)
            return None
        commit = repo.branches.get(revision, revision)
        if commit not in repo.commits:
            self._error(HTTPStatus.NOT_FOUND, "RevisionNotFound")
            return None
        return repo, commit

    def _model(self, name: str, revision: str) -> None:
        if found := self._find(name, revision):
            repo, commit = found
            files = [{"rfilename": file, "size": len(data)} for file, data in repo.commits[commit].items()]
            answer = {"id": name, "modelId": name, "sha": commit, "siblings": files, "gated": repo.gated, "tags": []}
            self._answer(HTTPStatus.OK, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, revision: str, file: str) -> None:
        if not (found := self._find(name, revision)):
            return
        repo, commit = found
        about = {"X-Repo-Commit": commit}
        if repo.gated:
            return self._error(HTTPStatus.FORBIDDEN, "GatedRepo", about)
        if file not in repo.commits[commit]:
            return self._error(HTTPStatus.NOT_FOUND, "EntryNotFound", about)
        if repo.redirects:
            about["Location"] = f"http://localhost:{self.hub.port}/cdn/{name}/{commit}/{file}"
            return self._answer(HTTPStatus.FOUND, b"", about)
        self._content(repo, commit, file, about)

    def _content(self, repo: Repo, commit: str, file: str, about: dict[str, str]) -> None:
        data = repo.commits[commit][file]
        about |= {"ETag": f'"{hashlib.sha1(data).hexdigest()}"', "Accept-Ranges": "bytes"}
        asked = self.headers.get("Range")
        if asked and not repo.ignores_ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last or len(data) - 1), len(data) - 1) + 1
            about["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
            return self._answer(HTTPStatus.PARTIAL_CONTENT, data[start:stop], about, repo.cuts)
        self._answer(HTTPStatus.OK, data, about, repo.cuts)

    def _error(self, status: HTTPStatus, code: str = "", about: dict[str, str] | None = None) -> None:
        self._answer(status, b"", {**(about or {}), **({"X-Error-Code": code} if code else {})})

    def _answer(self, status: HTTPStatus, body: bytes, headers: dict[str, str], cut: int | None = None) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            with suppress(ConnectionError):  # whoever asked has heard enough
                self.wfile.write(body[:cut])
                self.hub.sent += len(body[:cut])
        if len(body[:cut]) < len(body):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the tests' output clean."""
