"""A page with more styles than one can look through."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from made_styles import make_style
from PIL import Image

from nst_core.registry import Registry
from nst_core.style import PREVIEW, WEIGHTS
from ui.gallery import style_cards

MANY = 120


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Styles of the same weights, each with its preview."""
    folder = tmp_path_factory.mktemp("many")
    first = make_style(folder / "style-0")
    sha256 = hashlib.sha256((first / WEIGHTS).read_bytes()).hexdigest()
    entries = []
    for number in range(MANY):
        id = f"style-{number}"
        (folder / id).mkdir(exist_ok=True)
        for file in first.iterdir():
            if number and file.name != PREVIEW:
                os.link(file, folder / id / file.name)
        Image.new("RGB", (64, 48), (number, 90, 90)).save(folder / id / PREVIEW)
        artist = {50: "José Guadalupe Posada", 99: "Hilma af Klint"}.get(number, "Nobody")
        entry = {"id": id, "title": f"Title {number}", "artist": artist, "license": "mit", "sha256": sha256}
        entries.append(entry | {"path": id, "tags": ["woodcut" if number in (41, 99) else "oil"]})
    file = folder / "registry.yaml"
    file.write_text(json.dumps({"version": 1, "styles": entries}))
    return file


def test_their_cards_take_no_rules_that_are_slow(registry: Path) -> None:
    assert style_cards(Registry.load(registry)).count(":has(") == style_cards(Registry(())).count(":has(")
