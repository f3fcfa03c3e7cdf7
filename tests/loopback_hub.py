"""A Hugging Face Hub on the loopback interface, with as much of its HTTP API as the tests need.

Used from another process, whose real huggingface_hub is pointed at it: ``HF_ENDPOINT`` is read when that is imported.
"""

import hashlib
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import yaml
from loopback_accounts import Accounts
from loopback_answers import front_matter
from quick import run_script

ROOT = Path(__file__).resolve().parent.parent

COMMANDS = """
import contextlib, io, json, os, sys
from nst_core import cli, console
answers = []
for token, *words in {commands!r}:
    os.environ["HF_TOKEN"], sys.argv, status = token, ["nst_core", *words], 0
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as refusal:
        console.stderr.file = refusal
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code or 0
    answers.append([status, out.getvalue(), refusal.getvalue()])
print(json.dumps(answers))
"""


def now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass
class Account:
    """Whose a token is, and what it may do."""

    name: str
    role: Literal["read", "write"] = "write"

    @property
    def whoami(self) -> dict[str, Any]:
        """What the Hub tells about the account to whoever has its token."""
        return {
            "type": "user",
            "id": hashlib.sha1(self.name.encode()).hexdigest()[:24],
            "name": self.name,
            "fullname": f"{self.name.title()} Example",
            "email": f"{self.name}@example.org",
            "emailVerified": True,
            "isPro": False,
            "avatarUrl": f"/avatars/{self.name}.svg",
            "orgs": [],
            "auth": {"type": "access_token", "accessToken": {"displayName": "tests", "role": self.role}},
        }


@dataclass
class Failure:
    """What an address answers instead of what it should."""

    status: HTTPStatus = HTTPStatus.SERVICE_UNAVAILABLE
    retry_after: int | None = None
    hangs: bool = False
    times: int | None = None
    """How often; None for ever."""


@dataclass
class PullRequest:
    """What someone would like main to have."""

    number: int
    author: str
    title: str
    base: str
    """The commit that it is based on."""
    status: Literal["open", "merged", "closed"] = "open"
    merged: str | None = None
    """The commit that merged it."""
    created: datetime = field(default_factory=now)

    @property
    def branch(self) -> str:
        """Where its commits are."""
        return f"refs/pr/{self.number}"


@dataclass
class Repo:
    """A repository: files by commit, commits by branch. The name of a Space's begins with ``spaces/``."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    """Parents of commits; the first has none."""
    pulls: list[PullRequest] = field(default_factory=list)
    likes: int = 0
    modified: datetime | None = None
    """When it is said to have last changed; None for when it did."""
    gated: bool = False
    private: bool = False
    """Whether it is there for its owner alone."""
    fails: HTTPStatus | None = None
    hangs: bool = False
    redirects: bool = False
    """Files come from another host, as from the Hub's CDN."""
    ignores_ranges: bool = False
    cuts: int | None = None
    """Bytes of a file after which the connection closes."""
    drips: float | None = None
    """Seconds between one byte of a file and the next."""
    corrupts: bool = False
    """A file's last byte is another than it should be."""
    created: datetime = field(default_factory=now)
    committed: datetime = field(default_factory=now)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        """Make these all the files of a branch; the commit's hash."""
        return self._commit(files, branch, self.branches.get(branch, ""))

    def propose(self, files: dict[str, bytes], author: str, title: str, base: str | None = None) -> PullRequest:
        """Open a pull request for these to be all the files of main."""
        pull = PullRequest(len(self.pulls) + 1, author, title, base or self.branches["main"])
        self.pulls.append(pull)
        self._commit(files, pull.branch, pull.base)
        return pull

    def history(self, commit: str) -> Iterator[str]:
        """The commit, and those before it, the newest first."""
        while commit:
            yield commit
            commit = self.parents[commit]

    def conflicts(self, pull: PullRequest) -> list[str]:
        """Files of a pull request that main has changed in the meantime; git would look into them, by line."""
        base, main = self.commits[pull.base], self.commits[self.branches["main"]]
        return [file for file in self._changes(pull) if base.get(file) != main.get(file)]

    def merge(self, pull: PullRequest) -> None:
        """Change in main what a pull request without conflicts changes."""
        files = self.commits[self.branches["main"]] | self._changes(pull)
        pull.merged = self.commit({file: data for file, data in files.items() if data is not None})
        pull.status = "merged"

    def card(self, commit: str) -> dict[str, Any]:
        """The front matter of its ``README.md``."""
        try:
            return front_matter(self.commits[commit].get("README.md", b"").decode(errors="replace"))
        except yaml.YAMLError:
            return {}

    def tags(self, commit: str) -> list[str]:
        """The tags that it is found by."""
        card = self.card(commit)
        tags = card.get("tags") or []
        license = [f"license:{card['license']}"] if card.get("license") else []
        return [*map(str, tags if isinstance(tags, list) else [tags]), *license]

    def _commit(self, files: dict[str, bytes], branch: str, parent: str) -> str:
        content = parent.encode() + b"".join(name.encode() + data for name, data in sorted(files.items()))
        self.branches[branch] = revision = hashlib.sha1(content).hexdigest()
        self.parents.setdefault(revision, parent)
        self.commits[revision] = files
        if branch == "main":
            self.committed = now()
        return revision

    def _changes(self, pull: PullRequest) -> dict[str, bytes | None]:
        base, head = self.commits[pull.base], self.commits[self.branches[pull.branch]]
        return {file: head.get(file) for file in {**base, **head} if base.get(file) != head.get(file)}


class LoopbackHub:
    """A context manager that serves ``repos`` and notes its ``requests``, whose had a token, and the bytes sent."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.renamed: dict[str, str] = {}
        """A repository's present name, by its former one, from which the Hub redirects."""
        self.accounts: dict[str, Account] = {}
        """By token: a request with another is refused, as by the Hub."""
        self.failures: dict[str, Failure] = {}
        """By path, such as ``/api/models`` for the listing."""
        self.requests: list[str] = []
        self.with_token: list[str] = []
        self.sent = 0
        self.closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Accounts,), {"hub": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def account(self, name: str, *, role: Literal["read", "write"] = "write", token: str | None = None) -> str:
        """Give someone a token, one more if they have one; by default it is made of the name and the role."""
        token = token or f"hf_{name}_{role}"
        self.accounts[token] = Account(name, role)
        return token

    def new(self, repo: str, files: dict[str, bytes], **about: Any) -> str:
        """Make files a repository; the commit's hash."""
        self.repos[repo] = Repo(**about)
        return self.repos[repo].commit(files)

    def add(self, repo: str, folder: Path, **about: Any) -> str:
        """Make a folder's files a repository; the commit's hash."""
        return self.new(repo, {file.name: file.read_bytes() for file in folder.iterdir()}, **about)

    def __enter__(self) -> "LoopbackHub":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Be gone."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def environment(self, home: Path, **more: str) -> dict[str, str]:
        """The environment of a process that has this as its Hub and ``home`` as its cache."""
        return {
            **{key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))},
            "HF_ENDPOINT": self.endpoint,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
            **more,
        }

    def run(self, script: str, home: Path, **environment: str) -> Any:
        """Run Python with this as its Hub and ``home`` as its cache; what it printed last, as JSON."""
        with tempfile.TemporaryDirectory() as folder:
            done = run_script(script, self.environment(home, **environment), Path(folder))
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout.splitlines()[-1])

    def commands(self, *commands: tuple[str, ...], home: Path) -> list[tuple[int, str, str]]:
        """Run commands of ours one after the other, each a token and its words; exit status, output and refusal."""
        return [tuple(answer) for answer in self.run(COMMANDS.format(commands=commands), home)]
