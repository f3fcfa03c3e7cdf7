"""A registry for tests: random styles, a hostile title, and weights that are damaged."""

import hashlib
from pathlib import Path

import yaml
from made_styles import make_style

MAX_SIDE = 512
"""The most pixels to a side that the app under test paints."""
TITLES = {
    "first-style": ("First Style", "An Artist"),
    "second-style": ("<b>Second</b> ${1+1} {{Style}}", '"}</style><img src=x> & `Artist`'),
    "broken-style": ("Broken Style", "Nobody"),
}
"""Title and artist by id; the last one's weights are damaged."""


def make_registry(folder: Path) -> Path:
    """Write the styles and ``registry.yaml`` into ``folder``; returns the file's path."""
    entries = []
    for seed, (id, (title, artist)) in enumerate(TITLES.items()):
        weights = make_style(folder / id, seed=seed, title=title, artist=artist) / "model.safetensors"
        entry = {"id": id, "title": title, "artist": artist, "license": "cc0-1.0", "tags": ["test"], "path": id}
        entries.append({**entry, "sha256": hashlib.sha256(weights.read_bytes()).hexdigest()})
    with weights.open("r+b") as file:
        file.truncate(1000)
    path = folder / "registry.yaml"
    path.write_text(yaml.safe_dump({"version": 1, "styles": entries}))
    return path
