"""The Hub on the loopback interface, as the real client finds it: published, proposed, merged, listed, refused."""

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from loopback_hub import Failure, LoopbackHub

CLIENT = """
import json, os, time
from pathlib import Path
from huggingface_hub import CommitOperationAdd as Add, HfApi, hf_hub_download
api, bob = HfApi(), HfApi(token=os.environ["BOB"])
answers = {}
def refused(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception as error:
        response = getattr(error, "response", None)
        message = getattr(error, "server_message", None)
        return [type(error).__name__, response.status_code if response is not None else None, message]
"""
WALK = """
files = [Add(name, text.encode()) for name, text in FILES.items()]
answers["who"] = api.whoami()
answers["created"] = str(api.create_repo("ada/wave"))
commit = api.create_commit("ada/wave", files, commit_message="The style")
answers["committed"] = [commit.oid, commit.commit_url]
same = [Add(name, text.encode()) for name, text in FILES.items()]
answers["again"] = api.create_commit("ada/wave", same, commit_message="The same").oid
info = api.model_info("ada/wave", files_metadata=True)
answers["info"] = [info.sha, info.card_data.title, {file.rfilename: file.size for file in info.siblings}]

addition = [Add("registry.yaml", b"styles: [wave]")]
answers["onto main"] = refused(api.create_commit, "bob/registry", addition, commit_message="Add")
pull = api.create_commit("bob/registry", addition, commit_message="Add the wave", create_pr=True)
answers["pull"] = [pull.pr_url, pull.pr_revision]
answers["proposed"] = Path(hf_hub_download("bob/registry", "registry.yaml", revision=pull.pr_revision)).read_text()
answers["proposed sha"] = api.model_info("bob/registry", revision=pull.pr_revision).sha == pull.oid
answers["open"] = [[pull.num, pull.title, pull.author] for pull in bob.get_repo_discussions("bob/registry")]
other = [Add("registry.yaml", b"styles: [other]")]
api.create_commit("bob/registry", other, commit_message="Add another", create_pr=True)
answers["ada merges"] = refused(api.merge_pull_request, "bob/registry", 1)
bob.merge_pull_request("bob/registry", 1)
answers["merged"] = Path(hf_hub_download("bob/registry", "registry.yaml")).read_text()
answers["status"] = api.get_discussion_details("bob/registry", 1).status
answers["conflict"] = refused(bob.merge_pull_request, "bob/registry", 2)

def listed(**how):
    expand = ["cardData", "lastModified", "likes", "sha", "tags"]
    return list(api.list_models(filter="nst-style", expand=expand, **how))
[found] = listed(sort="likes", limit=1)
answers["most liked"] = [found.id, found.likes, found.card_data.title]
answers["newest"] = [[model.id, model.sha == commit.oid] for model in listed(sort="last_modified")]
print(json.dumps(answers))
"""
FILES = {
    "README.md": "---\ntitle: The Wave\nlicense: mit\ntags: [style-transfer, nst-style]\n---\n\n# The Wave\n",
    "config.json": "{}",
    "model.safetensors": "weights",
    "preview.webp": "picture",
}
REFUSALS = """
one = lambda: [Add("README.md", b"---\\ntitle: A\\n---\\n")]
answers["taken"] = refused(api.create_repo, "ada/wave")
answers["exists"] = str(api.create_repo("ada/wave", exist_ok=True))
answers["another's"] = refused(api.create_repo, "bob/wave")
bad = [Add("README.md", b"---\\n[\\n---\\n")]
answers["not YAML"] = refused(api.create_commit, "ada/wave", bad, commit_message="A")
answers["too late"] = refused(api.create_commit, "ada/wave", one(), commit_message="A", parent_commit="0" * 40)
answers["no repository"] = refused(api.create_commit, "ada/none", one(), commit_message="A")
reader = HfApi(token=os.environ["READER"])
answers["reader"] = reader.whoami()["auth"]["accessToken"]["role"]
answers["reader creates"] = refused(reader.create_repo, "ada/other")
answers["reader proposes"] = refused(reader.create_commit, "bob/registry", one(), commit_message="A", create_pr=True)
unknown, nobody = HfApi(token="hf_unknown"), HfApi(token=False)
answers["unknown"] = refused(unknown.whoami)
answers["unknown reads"] = refused(unknown.model_info, "ada/wave")
answers["nobody creates"] = refused(nobody.create_repo, "ada/other")
answers["nobody proposes"] = refused(nobody.create_commit, "bob/registry", one(), commit_message="A", create_pr=True)
answers["too often"] = refused(api.merge_pull_request, "bob/registry", 1)
start = time.perf_counter()
answers["listed"] = [model.id for model in api.list_models(filter="nst-style")]
answers["waited"] = time.perf_counter() - start
answers["corrupt"] = Path(hf_hub_download("ada/corrupt", "config.json")).read_text()
start = time.perf_counter()
hf_hub_download("ada/drips", "config.json")
answers["dripped"] = time.perf_counter() - start
print(json.dumps(answers))
"""


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as hub:
        hub.new("bob/registry", {"registry.yaml": b"styles: []", ".gitattributes": b""})
        yield hub


@pytest.fixture
def ask(hub: LoopbackHub, tmp_path: Path) -> Any:
    def ask(script: str, **environment: str) -> Any:
        tokens = {"HF_TOKEN": hub.account("ada"), "BOB": hub.account("bob")}
        return hub.run(f"FILES = {json.dumps(FILES)}\n{CLIENT}{script}", tmp_path, **tokens, **environment)

    return ask


def encoded(files: dict[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in files.items()}


def test_from_an_account_to_a_merged_pull_request(hub: LoopbackHub, ask: Any) -> None:
    about: dict[str, Any] = {"likes": 3, "modified": datetime(2024, 2, 1, tzinfo=timezone.utc)}
    hub.new("eve/liked", encoded(FILES), **about)
    hub.new("eve/other", {"README.md": b"---\ntags: [other]\n---\n"}, likes=9)
    answers = ask(WALK)

    who = answers["who"]
    assert (who["type"], who["name"], who["auth"]["accessToken"]["role"]) == ("user", "ada", "write")
    assert {"fullname", "avatarUrl", "orgs"} <= who.keys()
    wave, registry = hub.repos["ada/wave"], hub.repos["bob/registry"]
    head = wave.branches["main"]
    assert answers["created"] == f"{hub.endpoint}/ada/wave"
    assert answers["committed"] == [head, f"{hub.endpoint}/ada/wave/commit/{head}"] and answers["again"] == head
    files = wave.commits[head]
    assert files == {**encoded(FILES), ".gitattributes": files[".gitattributes"]}
    assert answers["info"] == [head, "The Wave", {name: len(data) for name, data in files.items()}]

    assert answers["onto main"][:2] == ["HfHubHTTPError", 403] and "create_pr=1" in answers["onto main"][2]
    assert answers["pull"] == [f"{hub.endpoint}/bob/registry/discussions/1", "refs/pr/1"]
    assert answers["proposed"] == "styles: [wave]" and answers["proposed sha"]
    assert answers["open"] == [[1, "Add the wave", "ada"]]
    assert answers["ada merges"][:2] == ["HfHubHTTPError", 403]
    assert answers["merged"] == "styles: [wave]" and answers["status"] == "merged"
    assert registry.commits[registry.branches["main"]] == {"registry.yaml": b"styles: [wave]", ".gitattributes": b""}
    assert answers["conflict"][:2] == ["HfHubHTTPError", 409] and registry.pulls[1].status == "open"

    assert answers["most liked"] == ["eve/liked", 3, "The Wave"]
    assert answers["newest"] == [["ada/wave", True], ["eve/liked", False]]


def test_what_it_refuses(hub: LoopbackHub, ask: Any) -> None:
    hub.new("ada/wave", encoded(FILES))
    hub.new("ada/corrupt", {"config.json": b"{}"}, corrupts=True)
    hub.new("ada/drips", {"config.json": b"{}"}, drips=0.2)
    hub.failures["/api/models"] = Failure(HTTPStatus.TOO_MANY_REQUESTS, retry_after=0, times=1)
    hub.failures["/api/models/bob/registry/discussions/1/merge"] = Failure(HTTPStatus.TOO_MANY_REQUESTS)
    answers = ask(REFUSALS, READER=hub.account("ada", role="read"))
    refusals = {what: answer[:2] for what, answer in answers.items() if isinstance(answer, list) and what != "listed"}
    assert refusals == {
        "taken": ["HfHubHTTPError", 409],
        "another's": ["HfHubHTTPError", 403],
        "not YAML": ["ValueError", None],
        "too late": ["HfHubHTTPError", 412],
        "no repository": ["RepositoryNotFoundError", 404],
        "reader creates": ["HfHubHTTPError", 403],
        "reader proposes": ["HfHubHTTPError", 403],
        "unknown": ["HfHubHTTPError", 401],
        "unknown reads": ["HfHubHTTPError", 401],
        "nobody creates": ["HfHubHTTPError", 401],
        "nobody proposes": ["RepositoryNotFoundError", 401],
        "too often": ["HfHubHTTPError", 429],
    }
    assert answers["taken"][2] == "You already created this model repo"
    assert answers["exists"] == f"{hub.endpoint}/ada/wave" and answers["reader"] == "read"
    assert answers["listed"] == ["ada/wave"] and answers["waited"] > 1, "the client did not wait"
    assert answers["corrupt"] == "{|" and answers["dripped"] >= 0.2
    assert list(hub.repos) == ["bob/registry", "ada/wave", "ada/corrupt", "ada/drips"]
