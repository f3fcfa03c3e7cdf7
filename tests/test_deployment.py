"""The container's and the workflow's files name what there is, and a Space gets what it needs and keeps what it has."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT
from loopback_hub import LoopbackHub

from nst_core.registry import Registry

SCRIPT = ROOT / "scripts" / "deploy.py"


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """Instructions and what they say."""
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", "").splitlines()
    return [(line.split()[0], line.partition(" ")[2]) for line in lines if line and not line.startswith("#")]


def said(dockerfile: list[tuple[str, str]], instruction: str) -> list[str]:
    return [words for name, words in dockerfile if name == instruction]


def test_the_container_gets_what_the_page_is_made_of(dockerfile: list[tuple[str, str]]) -> None:
    copied = {name for words in said(dockerfile, "COPY") for name in words.split()[:-1]}
    assert all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "*" and {line[1:] for line in ignored if line.startswith("!")} == copied
    imported = {"app.py", "nst_core", "ui", "styles", "registry.yaml", "requirements.txt"}
    assert imported <= copied
    assert json.loads(said(dockerfile, "CMD")[0]) == ["python", "app.py"]
    assert said(dockerfile, "USER") != [] and "root" not in said(dockerfile, "USER")
    settings = dict(word.split("=") for word in said(dockerfile, "ENV")[0].split())
    assert (
        settings["GRADIO_SERVER_NAME"] == "0.0.0.0" and settings["GRADIO_SERVER_PORT"] == said(dockerfile, "EXPOSE")[0]
    )
    assert said(dockerfile, "FROM")[0].startswith(f"python:{front()['python_version']}-")


def front() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "README.md").read_text().split("---")[1])


def test_the_container_s_health_is_the_page_s(dockerfile: list[tuple[str, str]], app_url: str) -> None:
    command = json.loads(said(dockerfile, "HEALTHCHECK")[0].partition("CMD ")[2])
    port = app_url.rpartition(":")[2]
    for number, status in ((port, 0), ("1", 1)):
        environment = os.environ | {"GRADIO_SERVER_PORT": number}
        done = subprocess.run([sys.executable, *command[1:]], env=environment, capture_output=True)
        assert done.returncode == status


def test_the_workflow_runs_what_there_is() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())
    assert workflow[True].keys() == {"push", "pull_request", "schedule"}  # "on" is YAML's word for true
    assert workflow[True]["push"] == {"branches": ["main"]}
    jobs = workflow["jobs"]
    assert front()["python_version"] in jobs["test"]["strategy"]["matrix"]["python"]
    assert jobs["deploy"]["needs"] == "test" and "github.event_name == 'push'" in jobs["deploy"]["if"]
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    steps = [step for job in jobs.values() for step in job["steps"]]
    for step in steps:
        assert re.fullmatch(r"actions/(checkout|setup-python)@v\d+", step.get("uses", "actions/checkout@v4"))
        words = shlex.split(step.get("run", ""))
        if words[:1] == ["make"]:
            assert words[1] in targets
        elif words[:1] == ["python"]:
            assert (ROOT / words[1]).is_file()
            helped = subprocess.run(
                [sys.executable, ROOT / words[1], "--help"], capture_output=True, text=True, check=True
            )
            assert all(word in helped.stdout for word in words[2:] if word.startswith("--"))
    runs = [step["run"] for step in steps if "run" in step]
    assert "make test" in runs and any("scripts/deploy.py" in run for run in runs)
    secrets = re.findall(r"(secrets|vars)\.(\w+)", json.dumps(workflow))
    assert set(secrets) == {("secrets", "HF_TOKEN"), ("vars", "HF_SPACE")}


def test_a_space_gets_the_page_and_keeps_what_was_merged_there(tmp_path: Path) -> None:
    def deploy() -> "subprocess.CompletedProcess[str]":
        environment = hub.environment(tmp_path / "home") | {"HF_TOKEN": "hf_ada_write", "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, SCRIPT, "ada/page"], env=environment, capture_output=True, text=True, timeout=120
        )

    with LoopbackHub() as hub:
        hub.account("ada")
        hub.new("spaces/ada/page", {"README.md": b"---\nsdk: gradio\n---\n", "old.py": b"pass\n"})
        space = hub.repos["spaces/ada/page"]
        done = deploy()
        assert done.returncode == 0, done.stderr
        files = space.commits[space.branches["main"]]
        assert {"app.py", "requirements.txt", "README.md", "registry.yaml", "ui/page.css", "docs/page.webp"} <= set(
            files
        )
        tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True).stdout.split()
        assert set(tracked) <= set(files)
        assert not [name for name in files if name.startswith((".git/", ".venv")) or "cache" in name.split("/")[0]]
        _, said, text = files["README.md"].decode().split("---\n", 2)
        there, _, picture = yaml.safe_load(said)["thumbnail"].partition("/resolve/main/")
        assert there == f"{hub.endpoint}/spaces/ada/page" and picture in files
        assert yaml.safe_load(said) == front() | {"thumbnail": f"{there}/resolve/main/{picture}"}
        assert text == (ROOT / "README.md").read_text().split("---\n", 2)[2]
        assert "old.py" not in files and files["app.py"] == (ROOT / "app.py").read_bytes()
        for entry in Registry.load(ROOT / "registry.yaml"):
            if entry.path:
                assert f"{entry.path.relative_to(ROOT).as_posix()}/model.safetensors" in files
        registry = yaml.safe_load(files["registry.yaml"])
        registry["styles"].append({"id": "hers", "title": "Hers", "repo": "eve/hers", "revision": "0" * 40})
        space.commit({**files, "registry.yaml": yaml.safe_dump(registry).encode()})
        before = dict(space.branches)
        done = deploy()
        assert done.returncode == 1 and done.stderr.strip().splitlines()[-1].endswith(
            "says of hers what this one does not: take that over first."
        )
        assert space.branches == before


def test_a_space_that_cannot_be_read_is_told_in_one_sentence() -> None:
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, SCRIPT, "ada/page"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("The Space ada/page could not be read (") and done.stderr.count("\n") == 1


def test_what_a_space_says_is_not_undone() -> None:
    wave: dict[str, Any] = {"id": "wave", "path": "styles/wave"}
    hers: dict[str, Any] = {"id": "hers", "repo": "eve/hers", "revision": "0" * 40}
    gone, eve = {"withdrawn": "Copyright"}, {"repo": "eve/all", "reason": "Spam"}

    def undone(there: list[Any], here: list[Any], blocked: tuple[Any, ...] = (), own: tuple[Any, ...] = ()) -> Any:
        found = runpy.run_path(str(SCRIPT))["undone"]
        return found({"styles": there, "blocked": blocked}, {"styles": here, "blocked": own})

    assert undone([wave, hers], [wave]) == ["hers"]
    assert undone([wave, hers], [wave, hers]) == []
    assert undone([hers], [hers | {"revision": "1" * 40}]) == ["hers"]  # which of the two is newer, nobody can tell
    assert undone([hers], [hers | gone]) == []
    assert undone([wave | gone], [wave]) == ["wave"]
    assert undone([wave | gone], [wave | gone]) == []
    assert undone([wave], [wave | {"title": "The Wave"}]) == []
    assert undone([wave | gone], []) == []
    assert undone([], [], (eve,)) == ["eve/all"]
    assert undone([], [], (eve,), (eve,)) == []
