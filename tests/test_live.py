"""What the server does for browsers that paint by themselves: networks as files, and words."""

import re
from pathlib import Path

import pytest

from nst_core.errors import NSTError
from nst_core.registry import Registry
from ui import live, repaint
from ui.live import Exports
from ui.studio import Studio
from ui.words import SPANISH


@pytest.fixture
def exports(registry_file: Path, tmp_path: Path) -> Exports:
    return Exports(Studio(Registry.load(registry_file), tmp_path, max_side=64))


def test_only_styles_of_the_registry_are_exported(exports: Exports, registry_file: Path) -> None:
    for name in ("../first-style", str(registry_file.parent / "first-style"), "user/repo", "own:0123456789abcdef"):
        with pytest.raises(NSTError):
            exports.of(name)


def test_a_damaged_style_is_refused_again_and_again(exports: Exports) -> None:
    for _ in range(2):
        with pytest.raises(NSTError, match=r"model\.safetensors"):
            exports.of("broken-style").result()
    assert not list(exports.folder.iterdir())


@pytest.mark.parametrize("script", [repaint.HISTORY, live.LIVE], ids=lambda path: path.name)
def test_every_word_of_a_script_is_in_spanish(script: Path) -> None:
    words = {*re.findall(r'say\("([^"]*)"\)', script.read_text())}
    assert words and words <= {*SPANISH}
