"""What a person uploads becomes a style's folder: weights alone, or a folder as a zip, however it was zipped."""

import json
import random
import shutil
import struct
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import gradio as gr
import pytest
import torch
import yaml
from made_hostile import LITE, Packed, good_files, lite_state, packed, zipped
from made_styles import lively_state, make_style
from safetensors.torch import save

from nst_core.architectures import ARCHITECTURES
from nst_core.contribution import ContributionError, unpack
from nst_core.errors import NSTError
from nst_core.style import CARD, CONFIG, MAX_BYTES, WEIGHTS, Style, read_card
from ui.contribute import Handlers, describe, own_repository, top_folder
from ui.errors import PageError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_style(tmp_path_factory.mktemp("styles") / "great-wave")


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("method", [ZIP_STORED, ZIP_DEFLATED])
@pytest.mark.parametrize("inside", ["", "great-wave/"])
def test_a_zip_of_the_files_or_of_the_folder(made: Path, tmp_path: Path, inside: str, method: int) -> None:
    with ZipFile(tmp_path / "wave.zip", "w", method) as archive:
        if inside:
            archive.writestr(inside, "")
        archive.writestr(f"{inside}training/{WEIGHTS}", "")  # a trainer's own, passed over
        for file in made.iterdir():
            archive.write(file, inside + file.name)
    unpack(tmp_path / "wave.zip", tmp_path / "new")
    assert top_folder(tmp_path / "wave.zip") == inside.strip("/")
    assert contents(tmp_path / "new") == contents(made)
    assert Style.open(tmp_path / "new").title == "A Title"


def test_a_zip_as_python_makes_it(made: Path, tmp_path: Path) -> None:
    unpack(Path(shutil.make_archive(str(tmp_path / "wave"), "zip", made.parent, made.name)), tmp_path / "new")
    assert contents(tmp_path / "new") == contents(made)


def test_a_zip_that_was_streamed(made: Path, tmp_path: Path) -> None:
    """So that sizes stand behind each file, as `zip -` and browsers write them."""

    class Pipe:
        def __init__(self, path: Path) -> None:
            self.file = path.open("wb")

        def write(self, data: bytes) -> int:
            return self.file.write(data)

        def flush(self) -> None:
            self.file.flush()

    pipe = Pipe(tmp_path / "wave.zip")
    with ZipFile(pipe, "w", ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        for file in made.iterdir():
            archive.write(file, file.name)
    pipe.file.close()
    unpack(tmp_path / "wave.zip", tmp_path / "new")
    assert contents(tmp_path / "new") == contents(made)


def test_what_a_training_a_system_and_the_hub_leave_is_passed_over(tmp_path: Path) -> None:
    files = good_files()
    left = [b"s/training/losses.csv", b"s/training/checkpoint.pt", b"s/training/deeper/x", b"__MACOSX/s/._config.json"]
    left += [b"s/.DS_Store", b".DS_Store", b"s/training/", b"s/._README.md", b"s/.gitattributes", b"s/Thumbs.db"]
    left += [b"s/.cache/huggingface/download/README.md.metadata", b"s/.git/config", b"s/.git/objects/ab/cdef"]
    more = [Packed(name, b"x" * 99) for name in left]
    unpack(write(tmp_path / "s.zip", zipped(files, *more, folder="s/")), tmp_path / "new")
    assert contents(tmp_path / "new") == files


def test_a_long_training_leaves_many_samples(tmp_path: Path) -> None:
    samples = [Packed(b"training/sample-%06d.webp" % number, b"x") for number in range(600)]
    unpack(write(tmp_path / "s.zip", zipped(good_files(), *samples)), tmp_path / "new")
    assert contents(tmp_path / "new") == good_files()


def test_weights_whose_length_begins_like_a_zip_are_weights(tmp_path: Path) -> None:
    bare, wanted = (int.from_bytes(head, "little") for head in (save(lite_state(), {"pad": ""})[:8], b"PK"))
    data = save(lite_state(), {"pad": "x" * (wanted - bare)})
    assert data.startswith(b"PK")
    (tmp_path / WEIGHTS).write_bytes(data)
    unpack(tmp_path / WEIGHTS, tmp_path / "style")
    assert (tmp_path / "style" / WEIGHTS).read_bytes() == data


def test_card_and_preview_may_be_missing(tmp_path: Path) -> None:
    files = {name: data for name, data in good_files().items() if name in (CONFIG, WEIGHTS)}
    unpack(write(tmp_path / "s.zip", zipped(files)), tmp_path / "new")
    assert contents(tmp_path / "new") == files


NEW = "library_name: nst-core\npipeline_tag: image-to-image\ntags: [style-transfer, nst-style]"


@pytest.mark.parametrize(
    ("card", "front"),
    [
        ("---\nlicense: other\nlicense_name: special\ntags: [sea]\n---\nText.\n", "license_name: special\ntags: [sea]"),
        ("\ufeff---\r\ntitle: Old  # of 1984\r\nyear: 1984\r\n---\r\n\r\nText.", "year: 1984"),
        ("---\n{title: Old, language: en}\n---\nText.", "language: en"),
        ("---\n# Nothing\n---\nText.", "{}"),
        ("---\nlanguage: en\n---", "language: en"),
        ("Text.", NEW),
        ("", NEW),
    ],
)
def test_what_a_person_says_is_written_into_the_card_and_all_else_stays(tmp_path: Path, card: str, front: str) -> None:
    path = tmp_path / CARD
    if card:
        path.write_bytes(card.encode())
    describe(tmp_path, "'New': #1", "Ådä", "mit")
    new = read_card(tmp_path)
    assert (new.title, new.artist, new.license) == ("'New': #1", "Ådä", "mit")
    written = "# 'New': #1\n\nA style for nst-core: it repaints a photograph after *'New': #1* by Ådä."
    assert new.text == ("Text." if "Text." in card else written)
    said = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n")[1])
    assert said == {"title": "'New': #1", "artist": "Ådä", "license": "mit", **yaml.safe_load(front)}


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("my-wave", "my-wave"),
        ("My_Wave.2", "My_Wave.2"),
        ("My Wave!", "my-wave"),
        ("ann/my-wave", "my-wave"),
        ("Ann/My Wave", "my-wave"),
        ("https://huggingface.co/ann/my-wave", "my-wave"),
        ("hf.co/ann/my-wave/tree/main", "my-wave"),
    ],
)
def test_what_people_write_for_a_repository_of_their_own(said: str, name: str) -> None:
    assert own_repository(said, "ann") == f"ann/{name}"


@pytest.mark.parametrize("said", ["bob/wave", "https://huggingface.co/bob/wave"])
def test_nobody_publishes_under_anothers_name(said: str) -> None:
    with pytest.raises(PageError, match=r"^A style is published under your own name, ann: leave out 'bob'\.$"):
        own_repository(said, "ann")


def test_what_a_form_lacks_is_told_in_its_words() -> None:
    anything: Any = None
    fields = ["The Wave", " ", None, "wave"]
    said = Handlers(anything, None, True).sent(anything, gr.OAuthToken("token", "", 0), "own:wave", True, *fields)
    assert "fields that are empty: 'Artist of the picture', 'Licence'." in said


def test_a_zip_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    unpack(write(tmp_path / "model.safetensors", zipped(good_files())), tmp_path / "new")
    assert contents(tmp_path / "new") == good_files()


@pytest.mark.parametrize("before_1_6", [False, True])
@pytest.mark.parametrize("name", ["mosaic.pth", "mosaic.zip"])
def test_a_checkpoint_of_pytorch_is_none(tmp_path: Path, name: str, before_1_6: bool) -> None:
    torch.save(lively_state(), tmp_path / name, _use_new_zipfile_serialization=not before_1_6)
    with pytest.raises(ContributionError, match=r"a checkpoint of PyTorch, which is a pickle.*nst_core import"):
        unpack(tmp_path / name, tmp_path / "new")


@pytest.mark.parametrize("id", ["johnson", "johnson-lite", "fast-style-transfer"])
@pytest.mark.parametrize("name", ["model.safetensors", "wave.zip", "\u202e;rm -rf.bin"])
def test_weights_alone_are_known_by_their_tensors(tmp_path: Path, id: str, name: str) -> None:
    state = ARCHITECTURES[id].network().state_dict()
    data = save({key: tensor.half() for key, tensor in state.items()}, metadata={"format": "pt"})
    unpack(write(tmp_path / name, data), tmp_path / "new")
    assert sorted(contents(tmp_path / "new")) == [CONFIG, WEIGHTS]
    assert (tmp_path / "new" / WEIGHTS).read_bytes() == data
    assert not top_folder(tmp_path / name)
    said = json.loads((tmp_path / "new" / CONFIG).read_text())
    assert (said["architecture"], said["architecture_version"]) == (id, ARCHITECTURES[id].version)


def test_weights_alone_make_a_style_that_opens(tmp_path: Path) -> None:
    unpack(write(tmp_path / "model.safetensors", save(lively_state())), tmp_path / "new")
    style = Style.open(tmp_path / "new", name="your style")
    assert (style.title, style.architecture.id) == ("your style", "johnson")
    assert torch.equal(style.network.state_dict()["in1.bias"], lively_state()["in1.bias"])


@pytest.mark.parametrize("length", [0x8B1F, 0x4952, 0x3C3C])
def test_weights_whose_header_has_the_length_of_another_kinds_beginning(tmp_path: Path, length: int) -> None:
    data = save({name: tensor.half() for name, tensor in lite_state().items()})
    end = 8 + int.from_bytes(data[:8], "little")
    padded = length.to_bytes(8, "little") + data[8:end].ljust(length) + data[end:]
    unpack(write(tmp_path / "model.safetensors", padded), tmp_path / "new")
    assert (tmp_path / "new" / WEIGHTS).read_bytes() == padded
    assert Style.open(tmp_path / "new").architecture is LITE


def test_a_file_may_be_as_large_as_it_may(tmp_path: Path) -> None:
    files = {**good_files(), "README.md": b" " * MAX_BYTES["README.md"]}
    unpack(write(tmp_path / "s.zip", zipped(files)), tmp_path / "new")
    assert contents(tmp_path / "new") == files
    files["README.md"] += b" "
    with pytest.raises(ContributionError, match=r"README\.md in the zip has more than the 1,048,576 bytes"):
        unpack(write(tmp_path / "s.zip", zipped(files)), tmp_path / "other")


def test_a_zip_that_claims_to_be_one_of_two_disks(tmp_path: Path) -> None:
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, 0, 2)
    upload = tmp_path / "style.zip"
    upload.write_bytes(b"PK\x03\x04" + bytes(40) + locator + b"PK\x05\x06" + bytes(18))
    with pytest.raises(ContributionError, match="damaged"):
        unpack(upload, tmp_path / "style")


def test_zips_damaged_at_random_are_refused_or_give_the_files(tmp_path: Path) -> None:
    """Whatever the damage: nothing but a refusal is raised, and nothing else is ever written."""
    files = {**good_files(), WEIGHTS: b"w" * 500}
    whole = packed(*(Packed(name.encode(), data) for name, data in files.items()))
    numbers = random.Random(0)
    listed = whole.index(b"PK\1\2")
    refused = 0
    for number in range(3000):
        damaged = bytearray(whole)
        for _ in range(numbers.choice([1, 1, 2, 8])):
            # Mostly in the list, where a zip says what it is.
            at = numbers.randrange(listed if number % 4 else 0, len(damaged))
            damaged[at] = numbers.choice([0, 1, 0x7F, 0xFF, numbers.randrange(256)])
        if number % 10 == 0:
            del damaged[numbers.randrange(len(damaged)) :]
        refusal = ""
        try:
            unpack(write(tmp_path / "s.zip", bytes(damaged)), tmp_path / "new")
        except NSTError as error:
            refusal = str(error)
            refused += 1
        assert refusal.isprintable() and len(refusal) <= 300
        assert contents(tmp_path / "new").keys() <= files.keys()
        assert refusal or all(files[name] == data for name, data in contents(tmp_path / "new").items())
        shutil.rmtree(tmp_path / "new")
    assert 1000 < refused < 3000
    assert [path.name for path in tmp_path.iterdir()] == ["s.zip"]
