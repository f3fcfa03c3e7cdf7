"""Uploads the page to its Space, unless that would undo what was merged there: people's styles, and what is blocked.

HF_TOKEN=... python scripts/deploy.py user/name
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import HfApi, constants, hf_hub_download, metadata_load, metadata_save
from huggingface_hub.errors import OfflineModeIsEnabled, RemoteEntryNotFoundError
from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # whichever it is built on

ROOT = Path(__file__).parent.parent
REGISTRY = "registry.yaml"
SHIPPED = [  # all, so that what README tells works in a clone of the Space, too
    *("app.py", REGISTRY, "requirements.txt", "pyproject.toml", "Makefile", "README.md", "CONTRIBUTING.md", "LICENSE"),
    *("Dockerfile", ".dockerignore", ".gitignore"),
    *(".ci/*", ".github/*", "benchmarks/*", "docs/*", "nst_core/*", "scripts/*", "styles/*", "tests/*", "ui/*"),
]
PICTURE = "ui/card.jpg"
LEFT = ["*/__pycache__/*", "styles/*/training/*"]


def undone(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """What a Space's registry would lose if this one replaced it: styles, withdrawals, and what is blocked.

    Styles that this one withdraws are meant to go.
    """
    own, lost = {entry["id"]: entry for entry in here["styles"]}, []
    for entry in there["styles"]:
        mine = own.get(entry["id"], {})
        if entry != mine and "withdrawn" not in mine and ("repo" in entry or ("withdrawn" in entry and mine)):
            lost.append(entry["id"])
    return lost + [entry["repo"] for entry in there.get("blocked", []) if entry not in here.get("blocked", [])]


def read(registry: str | Path) -> dict[str, Any]:
    return yaml.safe_load(Path(registry).read_text(encoding="utf-8"))


def introduce(readme: Path, space: str) -> None:
    """Have the Space's card say which picture messengers show of a link to it."""
    picture = f"{constants.ENDPOINT}/spaces/{space}/resolve/main/{PICTURE}"
    metadata_save(readme, (metadata_load(readme) or {}) | {"thumbnail": picture})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space")
    parser.add_argument("--message", default="The page as it is on main")
    arguments = parser.parse_args()
    try:
        before = HfApi().repo_info(arguments.space, repo_type="space").sha
    except (httpx.HTTPError, OfflineModeIsEnabled) as error:
        reason = str(error).partition("\n")[0]
        sys.exit(f"The Space {arguments.space} could not be read ({reason}): check its name, HF_TOKEN, the connection.")
    try:
        there = read(hf_hub_download(arguments.space, REGISTRY, repo_type="space", revision=before))
    except RemoteEntryNotFoundError:  # it is new
        there = {"styles": []}
    if missing := undone(there, read(ROOT / REGISTRY)):
        sys.exit(f"The Space's {REGISTRY} says of {', '.join(missing)} what this one does not: take that over first.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(
            shutil.copytree(ROOT, Path(name, "page"), ignore=shutil.ignore_patterns(".git", ".venv", ".*_cache"))
        )
        introduce(folder / "README.md", arguments.space)
        commit = HfApi().upload_folder(
            repo_id=arguments.space,
            repo_type="space",
            folder_path=folder,
            allow_patterns=SHIPPED,
            ignore_patterns=LEFT,
            delete_patterns="*",
            commit_message=arguments.message,
            parent_commit=before,  # what is merged in this very moment is not undone
        )
    print(commit.commit_url)


if __name__ == "__main__":
    main()
