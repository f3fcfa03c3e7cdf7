"""The table of the tab *About*: what a style's card says of its painting, where there is a card to be read."""

import hashlib
import json
from pathlib import Path

from made_styles import make_style

from nst_core.registry import Registry
from ui.about import painting_of
from ui.words import ABOUT, SPANISH

CARDS = {
    "said": "# A Title\n\nA style.\nThe painting: <i>oil\u202e</i> on canvas, 1913; in the public domain.\n\nMore.",
    "unsaid": "# A Title\n\nIn it, The painting: is nothing.",
    "unread": "The painting: ours.",
}


def test_what_a_card_says_of_its_painting(tmp_path: Path) -> None:
    styles = []
    for id, text in CARDS.items():
        folder = make_style(tmp_path / id, text=text)
        sha256 = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        styles.append(
            {"id": id, "title": id, "artist": "A", "license": "mit", "tags": [], "path": id, "sha256": sha256}
        )
    (folder / "README.md").write_bytes(b"\xff\xfe")
    hub = {key: value for key, value in styles[0].items() if key != "path"} | {"id": "hub"}
    styles.append(hub | {"repo": "ada/wave", "revision": "0" * 40})
    (tmp_path / "registry.yaml").write_text(json.dumps({"version": 1, "styles": styles}))
    said = [painting_of(entry) for entry in Registry.load(tmp_path / "registry.yaml")]
    assert said == ["<i>oil</i> on canvas, 1913; in the public domain.", "", "", ""]


def test_where_what_a_camera_sees_may_go_is_said() -> None:
    for text, tab, server in ((ABOUT, "*Live*", "server"), (SPANISH[ABOUT], "*En vivo*", "servidor")):
        [paragraph] = [one for one in text.split("\n\n") if tab in one]
        assert server in paragraph
