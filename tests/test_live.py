"""What the server does for browsers that paint by themselves: networks as files, and words."""

import base64
import re
import shutil
import sys
from io import BytesIO
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from conftest import ROOT
from made_optimization import made_picture
from PIL import Image

from nst_core.errors import NSTError
from nst_core.images import open_picture
from nst_core.registry import Registry
from nst_core.stylization import stylize
from ui.live import MAX_FRAMES, PREFIX, Exports, Frames
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


def test_a_file_that_was_cleaned_up_is_made_again(exports: Exports) -> None:
    for _ in range(2):
        assert exports.of("first-style").result().is_file()
        shutil.rmtree(exports.folder)


def test_where_the_exporter_is_not_installed_a_sentence_says_so(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NSTError, match=r"^Exporting needs 'onnx', 'onnxscript': .* installs what is missing\.$"):
        exports.of("first-style").result()


def jpeg(picture: Image.Image) -> str:
    made = BytesIO()
    picture.save(made, "JPEG", quality=95)
    return PREFIX + base64.b64encode(made.getvalue()).decode()


@pytest.fixture
def frames(tmp_path: Path) -> Frames:
    return Frames(Studio(Registry.load(), tmp_path, max_side=64))


def test_a_frame_is_painted_as_any_picture(frames: Frames) -> None:
    frame = jpeg(made_picture(3, (96, 72)))
    painted = frames.painted("udnie-lite", frame).result()
    expected = stylize(open_picture(base64.b64decode(frame.removeprefix(PREFIX))), Registry.load().open("udnie-lite"))
    with Image.open(BytesIO(base64.b64decode(painted.removeprefix(PREFIX)))) as picture:
        difference = np.asarray(picture, float) - np.asarray(expected, float)
    assert 10 * np.log10(255**2 / np.square(difference).mean()) > 30  # JPEG's loss


def test_frames_that_are_none_or_too_many_are_refused(frames: Frames) -> None:
    frame = jpeg(made_picture(3, (32, 24)))
    for style, photo, words in (
        ("udnie", frame, "lite"),
        ("own:0123456789abcdef", frame, "own:0123456789abcdef"),
        ("udnie-lite", "http://127.0.0.1/", "base64"),
    ):
        with pytest.raises(NSTError, match=words):
            frames.painted(style, photo)
    for photo in (jpeg(Image.new("RGB", (641, 641))), PREFIX + base64.b64encode(b"I am a text.").decode()):
        with pytest.raises(NSTError):
            frames.painted("udnie-lite", photo).result()

    released = Event()
    frames.studio.line.join("somebody", lambda progress: released.wait(60))
    coming = [frames.painted("udnie-lite", frame) for _ in range(MAX_FRAMES)]
    with pytest.raises(NSTError, match="Too many people"):
        frames.painted("udnie-lite", frame)
    photograph = frames.studio.line.join("another", lambda progress: "painted")
    released.set()
    assert photograph.result() == "painted" and all(frame.result() for frame in coming)
    assert frames.painted("udnie-lite", frame).result()


def test_every_word_of_a_script_is_in_spanish() -> None:
    words = {
        script.name: {*re.findall(r'say\("([^"]*)"\)', script.read_text("utf-8"))}
        for script in (ROOT / "ui").glob("*.js")
    }
    assert {name for name, said in words.items() if not said} == {"painter.js", "repaint.js"}
    assert {word for said in words.values() for word in said} <= {*SPANISH}
