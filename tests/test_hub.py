"""Styles from the Hub: the real client against a Hub on the loopback interface, each in a process of its own."""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml
from loopback_hub import Failure, LoopbackHub, Repo
from made_styles import make_style

from nst_core.hub import HubError, _refusals, fetch
from nst_core.style import CARD, CONFIG, MAX_BYTES, PREVIEW, WEIGHTS

ASK = """
import json, logging, sys, time
from types import SimpleNamespace
from huggingface_hub import file_download
from nst_core.errors import NSTError
from nst_core import hub
from nst_core.registry import Registry
hub.TIMEOUT = 1
file_download.time = SimpleNamespace(sleep=lambda seconds: None)  # where a download broke off, before the next try
records = []
handler = logging.Handler()
handler.emit = lambda record: records.append(record.getMessage())
logging.getLogger("nst_core").addHandler(handler)
registry = Registry.load({registry!r})
answers = []
for ref in {refs!r}:
    start = time.perf_counter()
    try:
        style = registry.open(ref)
        answer = [style.id, style.title, sorted(file.name for file in style.folder.iterdir())]
    except NSTError as error:
        answer = [type(error).__name__, str(error), time.perf_counter() - start]
    answers.append(answer)
print(json.dumps([answers, records]))
"""
UNREACHED = "The Hugging Face Hub could not be reached for {}, and no copy of it is kept here: "
FILES = sorted([CARD, CONFIG, PREVIEW, WEIGHTS])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_style(tmp_path_factory.mktemp("styles") / "wave", title="The Wave")


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def ask(hub: LoopbackHub, tmp_path: Path) -> Any:
    """Open styles in another process, with an empty cache at first; what came of each, and what was logged."""
    registry = tmp_path / "registry.yaml"

    def ask(
        *refs: str,
        entries: list[dict[str, Any]] | None = None,
        blocked: list[dict[str, str]] | None = None,
        **environment: str,
    ) -> Any:
        registry.write_text(yaml.safe_dump({"version": 1, "styles": entries or [], "blocked": blocked or []}))
        return hub.run(ASK.format(registry=str(registry), refs=refs), tmp_path / "home", **environment)

    return ask


def test_a_style_on_the_hub_and_then_without_it(hub: LoopbackHub, folder: Path, ask: Any) -> None:
    (folder / "training.bin").write_bytes(bytes(1000))
    revision = hub.add("user/wave", folder)
    (folder / "training.bin").unlink()
    sha256 = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    wave = {"id": "wave", "title": "Curated", "artist": "A", "license": "mit", "tags": [], "sha256": sha256}
    entries = [{**wave, "repo": "user/wave", "revision": revision}]
    pinned = f"user/wave@{revision}"

    answers, records = ask("wave", "user/wave", pinned, entries=entries)
    assert answers == [["wave", "Curated", FILES], ["user/wave", "The Wave", FILES], [pinned, "The Wave", FILES]]
    assert records == []
    gets = [request for request in hub.requests if request.startswith("GET /user/")]
    assert sorted(gets) == sorted(f"GET /user/wave/resolve/{revision}/{file}" for file in FILES)

    hub.close()
    refs = ["wave", pinned, "user/wave", "user/other", f"user/wave@{'0' * 40}"]
    answers, records = ask(*refs, entries=entries)
    assert [answer[1] for answer in answers[:3]] == ["Curated", "The Wave", "The Wave"]
    assert records == ["The Hugging Face Hub could not be reached: user/wave is used as it was when last fetched."]
    for repo, (kind, sentence, seconds) in zip(["user/other", "user/wave"], answers[3:], strict=True):
        assert (kind, sentence.partition(" Nor")[0]) == ("HubError", UNREACHED.format(repo) + "check the connection.")
        assert seconds < 15
    answers, records = ask("wave", "user/wave", "user/other", entries=entries, HF_HUB_OFFLINE="1")
    assert [answer[1] for answer in answers[:2]] == ["Curated", "The Wave"] and len(records) == 1
    nor = " Nor is there a folder 'user/other' here."
    assert answers[2][1] == UNREACHED.format("user/other") + "HF_HUB_OFFLINE is set." + nor


def test_a_branch_is_followed_and_a_tag_named(hub: LoopbackHub, folder: Path, ask: Any) -> None:
    hub.add("user/wave", folder)
    repo = hub.repos["user/wave"]
    old = repo.branches["main"]
    ask("user/wave")
    card = (folder / CARD).read_bytes().replace(b"The Wave", b"The New Wave")
    repo.commit({**repo.commits[old], CARD: card})
    repo.branches["v1.0"] = repo.branches["refs/pr/1"] = old
    answers, _ = ask("user/wave", "user/wave@main", "user/wave@v1.0", "user/wave@refs/pr/1", f"user/wave@{old}")
    assert [answer[1] for answer in answers] == ["The New Wave", "The New Wave", "The Wave", "The Wave", "The Wave"]


def test_a_branch_that_leads_to_a_blocked_commit_is_not_opened(hub: LoopbackHub, folder: Path, ask: Any) -> None:
    revision = hub.add("user/wave", folder)
    repo = hub.repos["user/wave"]
    blocked = [{"repo": "user/wave", "revision": revision, "reason": "Not hers."}]
    refs = ("user/wave", "user/wave@main", f"user/wave@{revision}")
    answers, _ = ask(*refs, blocked=blocked)
    told = ["RegistryError", "user/wave is blocked by this registry: Not hers."]
    assert [answer[:2] for answer in answers] == 3 * [told]
    repo.commit({**repo.commits[revision], CARD: (folder / CARD).read_bytes() + b"Hers."})
    answers, _ = ask(*refs, blocked=blocked)
    assert [answer[1] for answer in answers] == ["The Wave", "The Wave", told[1]]


AS_ANYBODY = """
import json
from pathlib import Path
from nst_core.errors import NSTError
from nst_core.registry import Registry
registry = Registry.load({registry!r})
answers = []
for repo in {repos!r}:
    try:
        answers.append(registry.open_from_hub(repo, into=Path({into!r})).id)
    except NSTError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""


def test_a_blocked_repository_is_not_opened_by_the_name_that_it_had(
    hub: LoopbackHub, folder: Path, ask: Any, tmp_path: Path
) -> None:
    revision = hub.add("eve/new", folder)
    hub.renamed["eve/old"] = "eve/new"
    sha256 = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    wave = {"id": "wave", "title": "T", "artist": "A", "license": "mit", "tags": [], "sha256": sha256}
    entries = [{**wave, "repo": "eve/old", "revision": revision}]
    blocked = [{"repo": "eve/new", "reason": "Not hers."}]
    refs = ("wave", "eve/old", f"eve/old@{revision}")
    told = "eve/new is blocked by this registry: Not hers."
    answers, _ = ask(*refs, entries=entries, blocked=blocked)
    assert [answer[:2] for answer in answers] == 3 * [["RegistryError", told]]
    registry, into = str(tmp_path / "registry.yaml"), str(tmp_path / "files")
    script = AS_ANYBODY.format(registry=registry, into=into, repos=["eve/old"])
    assert hub.run(script, tmp_path / "home") == [told]
    assert not any(file in request for request in hub.requests for file in FILES)
    answers, _ = ask(*refs, entries=entries)
    assert [answer[1] for answer in answers] == ["T", "The Wave", "The Wave"]


def test_a_copy_that_is_damaged_is_fetched_again(hub: LoopbackHub, folder: Path, ask: Any) -> None:
    sha256 = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    wave = {"id": "wave", "title": "T", "artist": "A", "license": "mit", "tags": [], "sha256": sha256}
    pinned, other = [hub.add(repo, folder, corrupts=True) for repo in ("ada/wave", "ada/other")]
    entries = [{**wave, "repo": "ada/wave", "revision": pinned}]
    refs = ("wave", "ada/other", f"ada/other@{other}")
    damaged, _ = ask(*refs, entries=entries)
    assert {answer[0] for answer in damaged} <= {"StyleError", "WeightsError"}
    for repo in hub.repos.values():
        repo.corrupts, repo.fails = False, HTTPStatus.SERVICE_UNAVAILABLE
    assert ask("wave", entries=entries)[0][0][:2] == damaged[0][:2], "where it cannot be had, as it was"
    for repo in hub.repos.values():
        repo.fails = None
    assert [answer[1] for answer in ask(*refs, entries=entries)[0]] == ["T", "The Wave", "The Wave"]
    asked = len(hub.requests)
    ask("wave", f"ada/other@{other}", entries=entries)
    assert len(hub.requests) == asked, "once"


def test_what_cannot_be_had(hub: LoopbackHub, folder: Path, ask: Any) -> None:
    revision = hub.add("user/wave", folder)
    hub.add("user/gated", folder, gated=True)
    hub.add("user/fails", folder, fails=HTTPStatus.SERVICE_UNAVAILABLE)
    hub.add("user/forbids", folder, fails=HTTPStatus.FORBIDDEN)
    hub.add("user/hangs", folder, hangs=True)
    hub.add("user/limits", folder, fails=HTTPStatus.TOO_MANY_REQUESTS)
    hub.add("user/cuts", folder, cuts=100)
    hub.repos |= {"user/empty": Repo(), "user/huge": Repo(), "user/bad": Repo()}
    hub.repos["user/empty"].commit({CARD: b"# Nothing", "pytorch_model.bin": b"\x80"})
    hub.repos["user/huge"].commit({CONFIG: b"{}", WEIGHTS: bytes(7_000_000)})
    hub.repos["user/bad"].commit({CONFIG: b"{}", WEIGHTS: b""})
    curated = {"id": "wave", "title": "T", "artist": "A", "license": "mit", "tags": [], "sha256": "0" * 64}
    login = "log in with `hf auth login`."
    expected = {
        "user/nobody": "There is no repository user/nobody on the Hugging Face Hub, or it is private: check its name, "
        "or log in with `hf auth login` as somebody who may read it.",
        "user/wave@v9": "user/wave has no revision 'v9': it should be a branch, tag or commit hash.",
        f"user/wave@{'v' * 70_000}": f"user/wave has no revision '{'v' * 79}…': it should be a branch, tag or commit "
        "hash.",
        f"user/wave@{'0' * 40}": f"user/wave has no revision '{'0' * 40}': it should be a branch, tag or commit hash.",
        "user/gated": f"user/gated is gated: ask for access on its page on the Hugging Face Hub, and {login}",
        "user/fails": "The Hugging Face Hub answered 503 when asked for user/fails: try again later.",
        "user/forbids": "The Hugging Face Hub answered 403 when asked for user/forbids: log in with a token that "
        "permits it.",
        "user/hangs": UNREACHED.format("user/hangs") + "check the connection.",
        "user/limits": "The Hugging Face Hub answered 429 when asked for user/limits: try again later.",
        "user/cuts": UNREACHED.format("user/cuts") + "check the connection.",
        "user/empty": "user/empty on the Hugging Face Hub is not a style: it lacks config.json and model.safetensors.",
        "user/huge": "model.safetensors of user/huge has 7,000,000 bytes, but at most 6,782,484 are allowed.",
        "a--b/c": "'a--b/c' is not the name of a repository: it should read user/name.",
        "user/bad": "config.json lacks 'architecture'.",
        "wave": "model.safetensors is not the file that was promised: its SHA-256 is "
        f"{hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()}, but should be {'0' * 64}.",
    }
    answers, _ = ask(*expected, entries=[{**curated, "repo": "user/wave", "revision": revision}])
    told = {
        ref: sentence.removesuffix(f" Nor is there a folder '{ref}' here.")
        for ref, (_, sentence, _) in zip(expected, answers, strict=True)
    }
    assert told == expected
    kinds = [kind for kind, _, _ in answers]
    assert kinds == ["HubError"] * (len(expected) - 2) + ["StyleError", "WeightsError"]
    assert max(seconds for _, _, seconds in answers) < 15, "the client alone would try again for longer"
    assert not any(request.startswith(("GET /user/huge", "GET /user/empty")) for request in hub.requests)


def test_what_cannot_be_kept(hub: LoopbackHub, folder: Path, tmp_path: Path, ask: Any) -> None:
    hub.add("user/wave", folder)
    (tmp_path / "home").touch()
    [(kind, sentence, _)], _ = ask("user/wave")
    told = "user/wave could not be saved on this machine (Not a directory): set HF_HOME to a folder that can be written"
    assert kind == "HubError" and sentence.startswith(told)


def test_characters_that_cannot_be_sent(hub: LoopbackHub, ask: Any) -> None:
    [(kind, sentence, _)], _ = ask("user/wave", HF_TOKEN="hf_é")
    assert kind == "HubError"
    assert sentence.startswith("The token for the Hugging Face Hub has a character that none has: log in with `hf auth")
    with pytest.raises(HubError, match=r"^user/wave has no revision 'v\\ud800': it should be a branch"):
        fetch("user/wave", "v\ud800")


def test_of_what_is_written_there_is_no_copy_to_miss() -> None:
    sentence = "The Hugging Face Hub could not be reached for ada/wave: check the connection."
    with pytest.raises(HubError) as refused, _refusals("ada/wave"):
        raise ConnectionError
    assert str(refused.value) == sentence


SILENT = """
import json, time
from pathlib import Path
from nst_core import hub
hub.PATIENCE = 0.3
answers = []
for ask in (hub.user_name, lambda: hub.publish(Path({folder!r}), "ada/wave"), lambda: hub.status_of("bob/registry", 1)):
    start = time.perf_counter()
    try:
        ask()
    except hub.HubError as error:
        answers.append([str(error), time.perf_counter() - start])
print(json.dumps(answers))
"""


def test_a_hub_that_says_nothing_is_not_waited_for(hub: LoopbackHub, folder: Path, tmp_path: Path) -> None:
    for path in ("whoami-v2", "repos/create", "models/bob/registry/discussions/1"):
        hub.failures[f"/api/{path}"] = Failure(hangs=True)
    answers = hub.run(SILENT.format(folder=str(folder)), tmp_path / "home", HF_TOKEN=hub.account("ada"))
    told = [
        f"The Hugging Face Hub could not be reached for {what}: check the connection."
        for what in ("your name", "ada/wave", "bob/registry")
    ]
    assert [sentence for sentence, _ in answers] == told
    assert max(seconds for _, seconds in answers) < 10


def test_a_hub_that_is_out_of_order_is_as_good_as_away(hub: LoopbackHub, folder: Path, ask: Any) -> None:
    hub.add("user/wave", folder)
    ask("user/wave")
    for status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        hub.repos["user/wave"].fails = status
        [answer], records = ask("user/wave")
        assert answer[1] == "The Wave" and len(records) == 1
    hub.repos["user/wave"].fails = HTTPStatus.FORBIDDEN
    [answer], _ = ask("user/wave")
    assert "answered 403" in answer[1]


def test_a_card_that_the_client_stumbles_over(hub: LoopbackHub, folder: Path, ask: Any, tmp_path: Path) -> None:
    hub.add("user/wave", folder)
    front = b"---\ntags: [nst-style]\ntitle: Evil\nignore_metadata_errors: true\n---\n"
    hub.new("eve/evil", {CONFIG: b"{}", WEIGHTS: b"", CARD: front})
    hub.new("eve/worse", {CARD: b"---\ntags: [nst-style]\ntitle: [1]\nlicense: {a: b}\n---\n"})
    for repo in ("eve/evil", "eve/worse"):
        assert hub.repos[repo].tags(hub.repos[repo].branches["main"])[0] == "nst-style"
    listed = "import json; from nst_core import hub; print(json.dumps([found.title for found in hub.find()]))"
    assert sorted(hub.run(listed, tmp_path / "home")) == ["Evil", "The Wave", "[1]"]
    [answer], _ = ask("eve/evil")
    words = "The card of eve/evil has something in its front matter that the Hub's client cannot read."
    assert answer[:2] == ["HubError", f"{words} Nor is there a folder 'eve/evil' here."]


def test_a_token_that_has_expired_hinders_nobody(hub: LoopbackHub, folder: Path, ask: Any) -> None:
    wave = {"id": "wave", "title": "Curated", "artist": "A", "license": "mit", "tags": []}
    sha256 = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    entries = [{**wave, "sha256": sha256, "repo": "user/wave", "revision": hub.add("user/wave", folder)}]
    hub.add("ada/private", folder, private=True)
    answers, records = ask("wave", "ada/private", entries=entries, HF_TOKEN="hf_expired")
    assert answers[0] == ["wave", "Curated", FILES]
    assert "is private: check its name, or choose one that anybody may read. Nor is there" in answers[1][1]
    told = "The Hugging Face Hub does not accept this machine's token: {} is read without it. Renew the token."
    assert records == [told.format("user/wave"), told.format("ada/private")]


LISTED = """
import json
from nst_core import hub
print(json.dumps([[found.title for found in hub.find(sort)] for sort in ("likes", "last_modified")]))
"""


def test_styles_are_listed_by_likes_and_by_age(hub: LoopbackHub, tmp_path: Path) -> None:
    for title, likes, year in (("Old", 5, 2024), ("New", 1, 2026), ("Liked", 9, 2025)):
        card = f"---\ntags: [nst-style]\ntitle: {title}\n---\n".encode()
        hub.new(f"ada/{title}", {CARD: card}, likes=likes, modified=datetime(year, 1, 1, tzinfo=timezone.utc))
    hub.new(
        "ada/nameless", {CARD: b"---\ntags: [nst-style]\n---\n"}, modified=datetime(2023, 1, 1, tzinfo=timezone.utc)
    )
    none = "ada/nameless"
    assert hub.run(LISTED, tmp_path / "home") == [["Liked", "Old", "New", none], ["New", "Liked", "Old", none]]


PREVIEWS = """
import json
from nst_core import hub
answers = []
for repo, revision in {refs!r}:
    try:
        answers.append(hub.fetch_preview(repo, revision).stat().st_size)
    except hub.HubError as error:
        answers.append(str(error))
print(json.dumps(answers))
"""


def test_a_preview_is_fetched_alone_and_none_that_is_too_large(hub: LoopbackHub, folder: Path, tmp_path: Path) -> None:
    most = MAX_BYTES[PREVIEW]
    refs = [
        ("user/wave", hub.add("user/wave", folder)),
        ("user/huge", hub.new("user/huge", {PREVIEW: bytes(most + 1)})),
    ]
    size, refusal = hub.run(PREVIEWS.format(refs=refs), tmp_path / "home", HF_TOKEN="hf_expired")
    assert size == (folder / PREVIEW).stat().st_size
    assert refusal == f"{PREVIEW} of user/huge has {most + 1:,} bytes, but at most {most:,} are allowed."
    assert {request.rsplit("/", 1)[1] for request in hub.requests if request.startswith("GET /user/")} == {PREVIEW}
    assert not any(request.startswith("GET /user/huge") for request in hub.requests)


GALLERY = """
import json
from pathlib import Path
from gradio.utils import get_upload_folder
from nst_core.registry import Registry
from ui import page
page.PAUSES = 0,
previews = Path(get_upload_folder(), "previews")
previews.mkdir(parents=True)
answers = []
for _ in range(2):
    page.fetch_previews([*Registry.load({registry!r})])
    answers.append(sorted(file.name[0] for file in previews.iterdir()))
print(json.dumps(answers))
"""


def test_a_hub_that_is_asked_too_often_is_not_asked_for_the_other_previews(
    hub: LoopbackHub, folder: Path, tmp_path: Path
) -> None:
    revisions = {id: hub.add(f"user/{id}", folder) for id in "abcd"}
    hub.repos["user/a"].commit({})  # a style without a preview holds up no other
    revisions["a"] = hub.repos["user/a"].branches["main"]
    hub.failures[f"/api/models/user/c/revision/{revisions['c']}"] = Failure(HTTPStatus.TOO_MANY_REQUESTS, times=1)
    about = {"title": "T", "artist": "A", "license": "mit", "tags": [], "sha256": "0" * 64}
    entries = [{"id": id, "repo": f"user/{id}", "revision": revision, **about} for id, revision in revisions.items()]
    registry = tmp_path / "registry.yaml"
    registry.write_text(json.dumps({"version": 1, "styles": entries}))
    script = GALLERY.format(registry=str(registry))
    answers = hub.run(script, tmp_path / "home", GRADIO_TEMP_DIR=str(tmp_path / "files"))
    assert answers == [["b"], ["b", "c", "d"]]


STRANGER = """
import gc, json, sys
from pathlib import Path
from nst_core.registry import Registry
from ui.studio import Studio
folder = Path({folder!r})
studio = Studio(Registry.load({registry!r}), folder, 512)
name = studio.style("eve", "user/wave").id
there = sorted(path.name for path in folder.rglob("*.*") if ".cache" not in path.parts)
studio._guests.forget(None)
gc.collect()
print(json.dumps([name, there, list(map(str, folder.iterdir()))]))
"""


def test_what_a_stranger_asks_for_is_no_secret_and_does_not_stay(
    hub: LoopbackHub, folder: Path, tmp_path: Path
) -> None:
    revision = hub.add("user/wave", folder)
    token = hub.account("operator")
    (tmp_path / "registry.yaml").write_text("version: 1\nstyles: []\n")
    (tmp_path / "files").mkdir()
    script = STRANGER.format(folder=str(tmp_path / "files"), registry=str(tmp_path / "registry.yaml"))
    answer = hub.run(script, tmp_path / "home", HF_TOKEN=token)
    assert answer == [f"user/wave@{revision}", FILES, []]
    assert len(hub.requests) >= len(FILES) and hub.with_token == []
    assert not list((tmp_path / "home").rglob(WEIGHTS))


def test_a_stranger_is_not_told_to_log_in(hub: LoopbackHub, folder: Path, tmp_path: Path) -> None:
    hub.add("ada/gated", folder, gated=True)
    hub.add("ada/private", folder, private=True)
    hub.add("ada/forbids", folder, fails=HTTPStatus.FORBIDDEN)
    (tmp_path / "registry.yaml").write_text("version: 1\nstyles: []\n")
    repos = ["ada/gated", "ada/private", "ada/forbids"]
    script = AS_ANYBODY.format(registry=str(tmp_path / "registry.yaml"), into=str(tmp_path / "files"), repos=repos)
    assert hub.run(script, tmp_path / "home", HF_TOKEN=hub.account("ada")) == [
        "ada/gated is gated: choose one that anybody may read.",
        "There is no repository ada/private on the Hugging Face Hub, or it is private: check its name, or choose one "
        "that anybody may read.",
        "The Hugging Face Hub answered 403 when asked for ada/forbids: choose one that anybody may read.",
    ]
