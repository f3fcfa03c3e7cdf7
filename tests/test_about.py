"""The tab *About*, what a card says of a painting, and the page's words in two languages."""

import hashlib
import json
from pathlib import Path
from string import Formatter

from made_styles import make_style

from nst_core.registry import Registry
from ui.about import painting_of
from ui.words import ABOUT, SPANISH, phrase, spoken

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


def test_what_is_filled_in_has_its_places_in_both_languages() -> None:
    for words, spanish in SPANISH.items():
        places = [
            sorted(name or "" for _, name, *_ in Formatter().parse(text) if name is not None)
            for text in (words, spanish)
        ]
        assert places[0] == places[1], words
    said = [phrase("Step {} of {}", 3, 20), phrase("{}", "8 s"), phrase("about {} left", "2 min")]
    assert spoken(said) == "Step 3 of 20 · 8 s · about 2 min left"
    assert spoken(said, SPANISH.__getitem__) == "Paso 3 de 20 · 8 s · faltan unos 2 min"
