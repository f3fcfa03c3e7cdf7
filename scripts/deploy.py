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
from huggingface_hub.errors import RemoteEntryNotFoundError

ROOT = Path(__file__).parent.parent
REGISTRY = "registry.yaml"
FOLDERS = ["benchmarks/*", "docs/*", "nst_core/*", "scripts/*", "styles/*", "tests/*", "ui/*"]
SHIPPED = [
    *("app.py", REGISTRY, "requirements.txt", "pyproject.toml", "Makefile", "Dockerfile", "README.md", "LICENSE"),
    *FOLDERS,  # all, so that what README tells works in a clone of the Space, too
]
PICTURE = "ui/card.jpg"
LEFT = ["*/__pycache__/*", "styles/*/training/*"]


def merged(registry: Path) -> list[dict[str, Any]]:
    """What a pull request against a Space puts into its registry."""
    said = yaml.safe_load(registry.read_text(encoding="utf-8"))
    return [*(entry for entry in said["styles"] if "repo" in entry), *said.get("blocked", [])]


def introduce(readme: Path, space: str) -> None:
    """Have the Space's card say which picture messengers show of a link to it."""
    picture = f"{constants.ENDPOINT}/spaces/{space}/resolve/main/{PICTURE}"
    metadata_save(readme, (metadata_load(readme) or {}) | {"thumbnail": picture})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space")
    parser.add_argument("--message", default="The page as it is on main")
    arguments = parser.parse_args()
    before = HfApi().repo_info(arguments.space, repo_type="space").sha
    try:
        there = merged(Path(hf_hub_download(arguments.space, REGISTRY, repo_type="space", revision=before)))
    except RemoteEntryNotFoundError:  # it is new
        there = []
    here = merged(ROOT / REGISTRY)
    missing = [str(entry.get("id") or entry["repo"]) for entry in there if entry not in here]
    if missing:
        sys.exit(f"The Space's {REGISTRY} has what this one lacks, {', '.join(missing)}: take that over first.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(shutil.copytree(ROOT, Path(name, "page"), ignore=shutil.ignore_patterns(".*")))
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
