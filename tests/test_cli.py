"""The command line, run as a person runs it."""

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path, PureWindowsPath

import numpy as np
import pytest
import torch
from commands import begun, nst, refusal
from made_features import make_features
from made_registry import make_registry
from made_styles import make_style
from PIL import Image, ImageChops
from safetensors.torch import load_file, save_file

import nst_core
from nst_core import batch, cli, console
from nst_core.console import progress_bar
from nst_core.errors import NSTError
from nst_core.features import fingerprint, load_features
from nst_core.images import open_picture
from nst_core.recipe import Recipe
from nst_core.style import MAX_BYTES, Style
from nst_core.stylization import stylize
from nst_core.training import TrainingStep
from nst_core.training_folder import TrainingFolder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photograph and a style."""
    folder = tmp_path_factory.mktemp("cli")
    make_style(folder / "wave")
    ramp = np.linspace(0, 255, 60 * 83 * 3).reshape(60, 83, 3).astype(np.uint8)
    Image.fromarray(ramp).save(folder / "photo.png")
    return folder


def test_a_refusal_is_a_line_and_a_status(made: Path) -> None:
    command = [sys.executable, "-m", "nst_core", "stylize", "missing.jpg", "--style", "wave"]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True)
    assert done.returncode == 1 and "missing.jpg" in done.stderr and done.stderr.count("\n") == 1


def test_a_name_is_printed_as_it_is(made: Path) -> None:
    for name in (":cat:.png", ":fox:.jpg"):
        (made / name).write_bytes((made / "photo.png").read_bytes()[: None if name == ":cat:.png" else 9])
    done = nst("stylize", ":cat:.png", ":fox:.jpg", "--style", "wave", "-o", ":dog: [b]", folder=made)
    assert ":dog: [b]/:cat:-wave.png" in done.stdout and "The picture ':fox:.jpg'" in done.stderr
    assert ":dog:" in nst("check", make_style(made / ":dog:", license=":dog:"), folder=made).stdout


def test_stylize_lays_a_second_style_over_the_first_where_a_mask_is_white(made: Path) -> None:
    make_style(made / "other", seed=1)
    Image.linear_gradient("L").save(made / "mask.png")
    words = "stylize photo.png --style wave --second other --mix 0.7 --mask mask.png -o mixed.png"
    assert nst(*words.split(), folder=made).returncode == 0
    styles = [Style.open(made / name) for name in ("wave", "other")]
    expected = stylize(
        open_picture(made / "photo.png"), styles[0], second=styles[1], mix=0.7, mask=Image.linear_gradient("L")
    )
    assert open_picture(made / "mixed.png").tobytes() == expected.tobytes()
    assert "second style" in refusal(*["stylize", "photo.png", "--style", "wave", "--mask", "mask.png"], folder=made)


def test_stylize_writes_what_the_library_gives(made: Path) -> None:
    done = nst(
        "stylize", "photo.png", "--style", "wave", "-o", "out.png", "--strength", 0.5, "--color", "photo", "--size", 64,
        folder=made,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = stylize(
        open_picture(made / "photo.png"), Style.open(made / "wave"), strength=0.5, color="photo", size=64
    )
    assert open_picture(made / "out.png").tobytes() == expected.tobytes()
    assert "out.png  64 × 46 px" in done.stdout + done.stderr


def test_many_photographs_go_to_a_folder_and_the_broken_are_told_at_the_end(made: Path) -> None:
    (made / "broken.jpg").write_text("I am a text.")
    (made / "other.png").write_bytes((made / "photo.png").read_bytes())
    done = nst("stylize", "photo.png", "broken.jpg", "other.png", "--style", "wave", "-o", "many", folder=made)
    assert done.returncode == 1
    assert "broken.jpg" in done.stderr.splitlines()[-1]
    assert open_picture(made / "many" / "photo-wave.png").size == (83, 60)
    assert open_picture(made / "many" / "other-wave.png").size == (83, 60)


def test_what_would_be_lost_or_passed_over_in_silence_is_told(made: Path) -> None:
    mine = made / "mine"
    mine.mkdir()
    (mine / "photo.png").write_bytes((made / "photo.png").read_bytes())
    (mine / "photo-wave.png").write_bytes(b"somebody's own")
    words = ["mine/photo.png", "mine/photo-wave.png", "--style", "wave", "-o", "mine"]
    assert "is one of the photographs, and would be overwritten" in refusal("stylize", *words, folder=made)
    assert (mine / "photo-wave.png").read_bytes() == b"somebody's own"
    (mine / "photo-wave.png").unlink()
    (mine / "holiday.JXL").write_bytes(b"\xff\n")
    (made / "latest").symlink_to("wave", target_is_directory=True)
    for _ in range(2):
        done = nst("stylize", "mine", "--style", "latest", "-o", "mine", folder=made)
        assert done.returncode == 1 and "holiday.JXL" in done.stderr
        assert {file.name for file in mine.iterdir()} == {"photo.png", "photo-wave.png", "holiday.JXL"}


def test_without_a_terminal_a_line_now_and_then_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with progress_bar() as bar:
        task = bar.add_task("training", total=2000)
        bar.update(task, completed=1, description="total 1.250")
        monkeypatch.setattr(console, "EVERY", 0)
        bar.update(task, completed=2, description="total 1.125")
    assert capsys.readouterr().err == "2 of 2,000  total 1.125\n"


def test_a_folders_notes_and_folders_are_not_taken_for_photographs(made: Path) -> None:
    (made / "camera" / "trip.jpg").mkdir(parents=True)
    (made / "camera" / "._photo.png").write_text("What macOS notes of a photograph.")
    (made / "camera" / "photo.png").write_bytes((made / "photo.png").read_bytes())
    done = nst("stylize", "camera", "--style", "wave", "-o", "developed", folder=made)
    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("skipped unless they are named: 'trip.jpg'.\n")
    assert [file.name for file in (made / "developed").iterdir()] == ["photo-wave.png"]
    # Nor is what was painted there before.
    for _ in range(2):
        done = nst("stylize", "camera", "--style", "wave", "-o", "camera", folder=made)
        assert done.returncode == 0, done.stderr
        assert {file.name for file in (made / "camera").iterdir()} == {
            "trip.jpg",
            "._photo.png",
            "photo.png",
            "photo-wave.png",
        }
    done = nst("stylize", "camera", "--style", "wave", "-o", "camera/trip.jpg", folder=made)
    assert done.returncode == 0 and "left out" not in done.stderr
    for name in ("photo.png", "photo-wave.png"):
        (made / "camera" / name).unlink()
    assert "'camera' holds no photograph" in refusal("stylize", "camera", "--style", "wave", folder=made)


def test_photographs_of_one_name_do_not_overwrite_each_other(made: Path) -> None:
    (made / "elsewhere").mkdir()
    (made / "elsewhere" / "Photo.png").write_bytes((made / "photo.png").read_bytes())
    words = ("stylize", "photo.png", "elsewhere/Photo.png", "--style", "wave", "-o")
    assert refusal(*words, "both", folder=made) == (
        "'photo.png' and 'elsewhere/Photo.png' would both be written as 'Photo.png-wave.png': "
        "give them different names.\n"
    )
    assert not (made / "both").exists()
    words = (*words[:2], "broken.jpg", *words[3:])
    assert "a file has that name" in refusal(*words, "wave/model.safetensors", folder=made)


def test_out_is_the_folder_or_the_file_that_is_meant(made: Path) -> None:
    (made / "mirror.jpg").write_bytes(encoded := (made / "photo.png").read_bytes())
    (made / "link.jpg").symlink_to("mirror.jpg")
    words = ("stylize", "mirror.jpg", "--style", "wave", "-o")
    for out in ("mirror.jpg", "link.jpg", made / "wave" / ".." / "mirror.jpg"):
        told = refusal(*words, out, folder=made)
        assert told == f"'{out}' is one of the photographs, and would be overwritten: choose another name (-o).\n"
    assert (made / "mirror.jpg").read_bytes() == encoded and (made / "link.jpg").is_symlink()
    for out in ("trip-2024.05/", "all.png/"):
        assert nst(*words, out, folder=made).returncode == 0
        assert [file.name for file in (made / out).iterdir()] == ["mirror-wave.png"]
    told = refusal(*words[:2], "photo.png", *words[2:], "both.PNG", folder=made)
    assert told == "'both.PNG' names one picture, but there are 2 photographs: choose a folder (-o).\n"
    assert not (made / "both.PNG").exists()
    assert nst(*words[:2], "photo.png", *words[2:], "all.png", folder=made).returncode == 0  # for there it is a folder


@pytest.mark.parametrize(
    "command",
    [
        "stylize photo.png --style wave --second wave --mask own.png -o own.png",
        "stylize own.png --style wave -o OWN.PNG",
        "search photo.png --photos . --sample own.png -o OWN.PNG",
        "stylize photo.png --style wave --second wave --mask photo-wave.png -o .",
        "search own.png --photos . -o own.png",
        "search photo.png --photos . --sample own.png -o own.png",
        "review somebody/registry 1 --photo own.png -o own.png",
    ],
)
def test_no_command_writes_over_a_picture_that_it_reads(made: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "wave").symlink_to(made / "wave", target_is_directory=True)
    files = [tmp_path / name for name in ("photo.png", "own.png", "photo-wave.png")]
    for file in files:
        file.write_bytes((made / "photo.png").read_bytes())
    if not (tmp_path / "OWN.PNG").exists():  # as it does on Windows and macOS
        os.link(tmp_path / "own.png", tmp_path / "OWN.PNG")
    assert re.search(
        "would replace the picture|is (the mask|one of the photographs), and would be",
        refusal(*command.split(), folder=tmp_path),
    )
    assert {file.read_bytes() for file in files} == {(made / "photo.png").read_bytes()}


@pytest.mark.skipif(sys.platform == "win32", reason="pipes have no path there")
def test_a_photograph_may_come_through_a_pipe(made: Path) -> None:
    os.mkfifo(made / "pipe")
    photo = (made / "photo.png").read_bytes()
    for out, written in (("piped.png", "piped.png"), ("piped/", "piped/pipe-wave.png")):
        threading.Thread(target=(made / "pipe").write_bytes, args=[photo]).start()
        done = nst("stylize", "pipe", "--style", "wave", "-o", out, folder=made)
        assert done.returncode == 0, done.stderr
        assert open_picture(made / written).size == (83, 60)


def test_for_photographs_that_are_not_there_no_folder_is_made(made: Path) -> None:
    done = nst("stylize", "-", "missing.png", "--style", "wave", "-o", "new", folder=made)
    assert done.returncode == 1 and [line.split("'")[1] for line in done.stderr.splitlines()] == ["-", "missing.png"]
    assert "standard output" in refusal("stylize", "photo.png", "--style", "wave", "-o", "-", folder=made)
    assert not (made / "new").exists() and not (made / "-").exists()


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (["stylize", "", "--style", "wave"], "PHOTO…"),
        (["stylize", "photo.png", "", "--style", "wave"], "PHOTO…"),
        (["stylize", "photo.png", "--style", "wave", "-o", ""], "--out"),
        (["train", "photo.png", "--photos", "", "-o", "new"], "--photos"),
        (["train", "photo.png", "--photos", ".", "--out="], "--out"),
        (["styles", "--registry", ""], "--registry"),
        (["review", "somebody/registry", "1", "--photo", "photo.png", "--photo", "", "-o", "x.png"], "--photo"),
        (["check", ""], "FOLDER"),
    ],
)
def test_nothing_is_not_the_current_folder(made: Path, command: list[str], option: str) -> None:
    told = refusal(*command, folder=made, code=2)
    assert option in told and "it is empty; if the current folder is meant, give ." in told


@pytest.mark.skipif(sys.platform != "linux", reason="a folder that takes no file, an administrator's neither")
def test_a_folder_that_takes_no_file_is_noticed_before_anything_is_painted(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "stylize", None)
    told = refusal("stylize", "photo.png", "--style", "wave", "-o", "/proc", folder=made)
    assert told.startswith("The folder '/proc' cannot be written to: ")


def test_refusals_are_one_sentence(made: Path) -> None:
    assert "missing.jpg" in refusal("stylize", "missing.jpg", "--style", "wave", "-o", "x.png", folder=made)
    assert "did you mean great-wave or" in refusal("stylize", "photo.png", "--style", "graet-wave", folder=made)
    assert ".docx" in refusal("stylize", "photo.png", "--style", "wave", "-o", "x.docx", folder=made)
    assert "strength" in refusal("stylize", "photo.png", "--style", "wave", "--strength", 7, folder=made)
    whole = (made / "photo.png").read_bytes()
    (made / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert "cut.png" in refusal("stylize", "cut.png", "--style", "wave", folder=made)
    assert not (made / "x.png").exists()
    Image.new("RGBA", (32, 32)).save(made / "clear.png")
    words = ("stylize", "clear.png", "--style", "nobody", "-o", "x.jpg")  # before the style is looked for
    assert "no transparency" in refusal(*words, folder=made)
    assert "--style" in refusal("stylize", "photo.png", folder=made, code=2)


@pytest.mark.parametrize(
    "command",
    [
        "stylize LONG --style wave", "stylize photo.png --style wave -o LONG",
        "stylize photo.png --style wave -o LONG.png", "stylize photo.png --style LONG",
        "check LONG", "styles --registry LONG", "export wave -o LONG/wave.onnx",
        "video LONG --style wave -o out.mp4", "video photo.png --style wave -o LONG.mp4",
        "optimize photo.png photo.png -o out.png --history LONG/losses.csv",
        "optimize photo.png photo.png -o out.png --state LONG --resume --features LONG",
        "import LONG --sample photo.png -o new", "train photo.png --photos LONG -o new",
    ],
)  # fmt: skip
def test_a_path_that_cannot_be_looked_at_is_told_in_a_sentence(made: Path, command: str) -> None:
    # As for a folder that may not be searched, pathlib raises for a name that is too long instead of saying no.
    words = [word.replace("LONG", "n" * 300) for word in command.split()]
    assert refusal(*words, folder=made).endswith(".\n")


def test_damaged_styles_are_refused(made: Path) -> None:
    for name in ("nan", "extra", "cut"):
        make_style(made / name)
    weights = load_file(made / "nan" / "model.safetensors")
    weights["in1.weight"][3] = float("nan")
    save_file(weights, made / "nan" / "model.safetensors")
    done = nst("check", "nan", folder=made)
    assert done.returncode == 1 and "nan cannot be used" in done.stderr
    assert "in1.weight in model.safetensors holds NaN" in " ".join(done.stdout.split())
    weights = load_file(made / "extra" / "model.safetensors")
    save_file(weights | {"extra": weights["in1.weight"].clone()}, made / "extra" / "model.safetensors")
    assert "the unexpected 'extra'" in refusal("stylize", "photo.png", "--style", "extra", folder=made)
    with (made / "cut" / "model.safetensors").open("r+b") as file:
        file.truncate(100_000)
    assert "cut short" in refusal("stylize", "photo.png", "--style", "cut", folder=made)
    said = nst("check", made / "cut" / "model.safetensors", folder=made).stdout
    assert "cut short" in said and said.isascii()  # what is right and wrong is told in any encoding


def test_check_reports_a_sound_style(made: Path) -> None:
    done = nst("check", "wave", folder=made)
    assert done.returncode == 0
    assert "1,679,235 parameters" in done.stdout
    assert "wave is sound." in done.stdout
    lite = nst("check", Path("styles/udnie-lite/model.safetensors").resolve(), folder=made)
    assert lite.returncode == 0 and "johnson-lite" in lite.stdout


def test_check_takes_an_id_where_no_folder_has_that_name(made: Path, tmp_path: Path) -> None:
    assert "udnie-lite is sound." in nst("check", "udnie-lite", folder=tmp_path).stdout
    mine = ("--registry", make_registry(tmp_path / "mine"))
    assert "first-style " in nst("check", "first-style", *mine, folder=tmp_path).stdout
    assert "did you mean udnie-lite" in refusal("check", "udnie-lit", folder=tmp_path)
    (tmp_path / "udnie-lite").symlink_to(made / "wave", target_is_directory=True)
    assert "1,679,235 parameters" in nst("check", "udnie-lite", folder=tmp_path).stdout


def test_styles_lists_the_registry(made: Path) -> None:
    done = nst("styles", "--json", folder=made)
    assert {"starry-night", "great-wave"} <= {entry["id"] for entry in json.loads(done.stdout)}
    table = nst("styles", folder=made).stdout
    assert "Hokusai" in table and all(entry["id"] in table for entry in json.loads(done.stdout))


def test_help_names_every_command(made: Path) -> None:
    text = nst("--help", folder=made).stdout
    assert all(command in text for command in ("styles", "stylize", "train", "search", "check"))


def test_the_version_is_that_of_the_package(made: Path) -> None:
    assert nst("--version", folder=made).stdout == f"{nst_core.__version__}\n"


@pytest.mark.parametrize("words", ["styles", "stylize photo.png --style wave -o painted.png"])
def test_no_output_is_no_error(made: Path, words: str) -> None:
    command = f"{sys.executable} -m nst_core {words} >&-"
    assert subprocess.run(["sh", "-c", command], cwd=made, stderr=subprocess.PIPE, text=True).stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only some systems have a device that is full")
@pytest.mark.parametrize("words", ["styles", "styles --json", "--version"])
def test_output_that_cannot_be_written_is_a_sentence(made: Path, words: str) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "nst_core", *words.split()]
        done = subprocess.run(command, cwd=made, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "The output could not be written: No space left on device.\n")


def test_output_that_nobody_reads_is_no_error(made: Path) -> None:
    command = [sys.executable, "-m", "nst_core", "styles", "--json"]
    process = subprocess.Popen(command, cwd=made, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    process.stdout.close()
    assert (process.communicate()[1], process.returncode) == ("", 1)


def test_train_leaves_steps_for_the_painting(made: Path) -> None:
    words = ("train", "photo.png", "--photos", ".", "-o", "new", "--steps")
    assert "leaves none of 150 for the painting" in refusal(*words, 150, folder=made)


@pytest.mark.parametrize("file", ["README.md", "config.json", "model.safetensors", "preview.webp"])
def test_train_and_import_write_over_nothing(file: str, made: Path, tmp_path: Path) -> None:
    (tmp_path / file).symlink_to("gone")  # which is a file, too
    for words in (
        ("train", made / "photo.png", "--photos", made, "--features", "compact"),
        ("import", made / "wave" / "model.safetensors", "--sample", made / "photo.png"),
    ):
        told = refusal(*words, "-o", ".", folder=tmp_path)
        assert f"The folder '.' already has a {file}" in told and "another folder" in told
    assert [path.name for path in tmp_path.iterdir()] == [file]


def test_train_writes_a_style_that_paints_and_resumes(made: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "-.jpg").write_bytes(b"\xff\xd8\xff broken, and the first of all")
    for seed in range(3):
        noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((90, 80), Image.Resampling.BICUBIC).save(tmp_path / "photos" / f"{seed}.png")
    make_features(tmp_path)
    words = [
        "train", made / "photo.png", "--photos", "photos", "-o", "new", "--steps", 3, "--batch-size", 1, "--crop", 64,
        "--style-size", 64, "--features", tmp_path, "--title", "A Ramp", "--artist", "Nobody", "--license", "cc0-1.0",
        "--sample-every", 2, "--reconstruction-steps", 1,
    ]  # fmt: skip
    done = nst(*words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("new is now a style: python -m nst_core stylize PHOTO --style ./new\n")
    assert console.style_word(PureWindowsPath("styles\\new")) == "styles/new"
    style = Style.open(tmp_path / "new")
    assert (style.title, style.artist, style.license) == ("A Ramp", "Nobody", "cc0-1.0")
    assert set(Recipe.__dataclass_fields__) <= set(style.config.training)
    assert style.config.training["features"] == tmp_path.name
    assert style.config.metrics["training_style"] > 0
    working = tmp_path / "new" / "training"
    with (working / "losses.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3"]
    assert open_picture(working / "losses.png").width > 300
    assert open_picture(working / "sample-000002.webp").size == (512, 455)

    weights = (tmp_path / "new" / "model.safetensors").read_bytes()
    losses = (working / "losses.csv").read_text()
    card = tmp_path / "new" / "README.md"
    card.write_text(card.read_text() + "My own words.\n")
    assert nst(*words, "--resume", folder=tmp_path).returncode == 0
    assert card.read_text().endswith("My own words.\n")
    assert (tmp_path / "new" / "model.safetensors").read_bytes() == weights
    assert (working / "losses.csv").read_text() == losses
    (working / "checkpoint.pt").rename(tmp_path / "elsewhere.pt")
    assert "already has a README.md" in refusal(*words, folder=tmp_path)
    (tmp_path / "elsewhere.pt").rename(working / "checkpoint.pt")
    assert "already has a README.md" in refusal(*words, folder=tmp_path)
    assert (tmp_path / "new" / "model.safetensors").read_bytes() == weights
    told = nst(*words[:7], 9, *words[8:], "--resume", folder=tmp_path)
    assert told.returncode == 1
    assert "was made with steps " in told.stderr.splitlines()[-1]
    assert (working / "losses.csv").read_text() == losses


def test_search_draws_what_each_weight_gives(made: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.radial_gradient("L").convert("RGB").resize((90, 80)).save(tmp_path / "photos" / "one.png")
    make_features(tmp_path)
    words = ["search", made / "photo.png", "--photos", "photos", "--steps", 2, "--batch-size", 1, "--crop", 64]
    words += ["--features", tmp_path, "--content-weight", 0, "--content-weight", 50, *["--style-size", 64] * 2]
    words += ["--registry", make_registry(tmp_path), "--warm-start", "first-style"]
    done = nst(*words, "-o", "sheet.png", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 alternatives after 2 steps" in done.stdout
    sheet = open_picture(tmp_path / "sheet.png")
    # Three pictures of 420 pixels, and the words; the two alternatives differ.
    assert sheet.height > 420 and sheet.width > 3 * 420
    right = sheet.width - round(420 * 90 / 80)
    other = right - round(420 * 90 / 80) - 8
    one, two = (sheet.crop((left, 50, left + 400, 440)) for left in (other, right))
    assert ImageChops.difference(one.convert("RGB"), two.convert("RGB")).getbbox()
    place = words.index(50)
    told = nst(*words[: place - 1], *words[place + 1 :], "--steps", 1, "-o", "one.png", folder=tmp_path).stdout
    assert told == "one.png shows 1 alternative after 1 step; give those options to train.\n"
    assert "nowhere" in refusal(*words, "-o", "nowhere/sheet.png", folder=tmp_path)
    assert "4096" in refusal(*words, "--style-size", 200_000, "-o", "large.png", folder=tmp_path, code=2)
    # Before the weights ahead of it are tried.
    assert "not inf" in refusal(*words, "--content-weight", "inf", "-o", "inf.png", folder=tmp_path)
    assert "its suffix should be" in refusal(*words, "-o", "sheet.pgn", folder=tmp_path)
    kept = (tmp_path / "photos" / "one.png").read_bytes()
    (tmp_path / "linked").symlink_to("photos")
    for inside in ("photos/one.png", "linked/new.png", "photos/../photos/new.png"):
        told = refusal(*words, "-o", inside, folder=tmp_path)
        assert told == f"The sheet {inside!r} would be among the photographs of 'photos': choose another folder.\n"
    assert [path.read_bytes() for path in (tmp_path / "photos").iterdir()] == [kept]


def test_photographs_that_differ_in_their_suffix_are_told_apart(made: Path) -> None:
    (made / "pair").mkdir()
    for name in ("IMG_1.JPG", "img_1.png", "IMG_2.jpg"):
        (made / "pair" / name).write_bytes((made / "photo.png").read_bytes())
    for _ in range(2):  # as results are no photographs
        done = nst("stylize", "pair", "pair/IMG_2.jpg", "--style", "wave", "-o", "pair", folder=made)
        assert done.returncode == 0, done.stderr
        assert {path.name for path in (made / "pair").iterdir()} == {
            *("IMG_1.JPG", "img_1.png", "IMG_2.jpg"),
            *("IMG_1.JPG-wave.png", "img_1.png-wave.png", "IMG_2-wave.png"),
        }


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--strength 80", "The strength should be"), ("--stroke 9", "The stroke should be"),
        ("--second wave --mix 2", "The mix should be"), ("--mix 0.3", "A mix says how much of a second style"),
        ("--mask photo.png", "give a second style"),
    ],
)  # fmt: skip
def test_a_setting_that_is_wrong_for_all_is_refused_once(made: Path, option: str, told: str) -> None:
    (made / "damaged.jpg").write_text("A photograph would be refused of its own.")
    words = ("photo.png", "damaged.jpg", "--style", "wave", "-o", "never", *option.split())
    assert told in refusal("stylize", *words, folder=made) and not (made / "never").exists()


def test_what_is_too_large_is_told_by_its_name(made: Path) -> None:
    (made / "second.png").write_bytes((made / "photo.png").read_bytes())
    words = ("photo.png", "second.png", "--style", "wave", "-o", "huge", "--size", 16384, "--stroke", 0.25)
    lines = nst("stylize", *words, folder=made).stderr.splitlines()
    assert [line.partition(" is ")[0] for line in lines] == ["'photo.png': That", "'second.png': That"]
    sent = batch._Sent("third.png", (made / "photo.png").read_bytes(), "out.png")
    told = batch._paint_file({"size": 16384, "stroke": 0.25}, [Style.open(made / "wave")], sent)
    assert str(told).startswith("'third.png': That is ")


def test_ctrl_c_keeps_what_was_refused_before(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object, **__: object) -> Iterator[NSTError]:
        yield NSTError("The picture 'photo.png' is too old.")
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "stylize_files", pressed)
    assert nst("stylize", "photo.png", "--style", "wave", "-o", "ended", folder=made).stderr.splitlines() == [
        "The picture 'photo.png' is too old.",
        "Interrupted: 0 of 1 picture written.",
    ]


def test_ctrl_c_leaves_no_half_written_picture(made: Path) -> None:
    Image.open(made / "photo.png").resize((3000, 2000)).save(made / "large.png")
    process = begun("stylize", "photo.png", "large.png", "--style", "wave", "-o", "ended", folder=made)
    while not (made / "ended" / "photo-wave.png").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 130, told
    assert told[-1] == "Interrupted: 1 of 2 pictures written." and "Traceback" not in told
    assert [file.name for file in (made / "ended").iterdir()] == ["photo-wave.png"]


PRESSED = """
import os, runpy, signal, sys

class CtrlC:
    def find_spec(self, name, *_):
        if name == MOMENT:
            os.kill(os.getpid(), signal.SIGINT)

MOMENT = sys.argv.pop(1)
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, CtrlC())
runpy.run_module("nst_core", run_name="__main__", alter_sys=True)
"""
"""The command line, with Ctrl-C pressed when a module is about to be imported."""


@pytest.mark.parametrize("moment", ["typer", "nst_core.cli_video", "numpy.exceptions", "safetensors"])
def test_ctrl_c_while_a_command_begins_says_nothing(made: Path, moment: str) -> None:
    command = [sys.executable, "-c", PRESSED, moment, "check", "wave"]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


LEAVING = """
import os, runpy, sys, threading

class Large:
    def __del__(self):
        os.write(1, b"taken apart")

def work():
    threading.main_thread().join()
    os.write(1, b"done")

large = Large()
threading.Thread(target=work).start()
runpy.run_module("nst_core", run_name="__main__", alter_sys=True)
"""
"""The command line, beside a thread that ends later, and what Python takes apart at its very end."""


@pytest.mark.parametrize(("words", "status"), [("styles --json", 0), ("check missing", 1), ("--nonsense", 2)])
def test_a_command_ends_once_all_is_done_and_takes_nothing_apart(made: Path, words: str, status: int) -> None:
    command = [sys.executable, "-c", LEAVING, *words.split()]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert done.stdout.endswith("done") and bool(done.stderr) == (status != 0)
    assert json.loads(done.stdout.removesuffix("done") or "[]") or status


@pytest.mark.parametrize(("variables", "told"), [({"RANK": "2"}, 1), ({"RANK": "2", "LOCAL_RANK": "1"}, 0)])
def test_of_processes_one_a_machine_refuses(
    made: Path, variables: dict[str, str], told: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (variables | {"WORLD_SIZE": ""}).items():
        monkeypatch.setenv(name, value)
    done = nst("check", "missing.png", folder=made)
    assert done.returncode == 1 and done.stderr.count("missing.png") == told


def test_what_commands_do_not_all_need_is_not_imported_for_all() -> None:
    code = "import sys, nst_core.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def interrupted(*words: object, folder: Path, how: signal.Signals = signal.SIGINT) -> str:
    """What a training says that is told to end in its second step."""
    record = TrainingFolder.record

    def pressed(self: TrainingFolder, steps: Iterator[TrainingStep], *, resume: bool) -> Iterator[TrainingStep]:
        for step in record(self, steps, resume=resume):
            if step.step == 2:
                signal.raise_signal(how)
            yield step

    # Where the tests run in the background, Ctrl-C is ignored.
    before = signal.signal(how, signal.default_int_handler)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TrainingFolder, "record", pressed)
            told = refusal(*words, folder=folder, code=130)
        assert signal.getsignal(how) is signal.default_int_handler
    finally:
        signal.signal(how, before)
    return told


@pytest.fixture
def training(made: Path, tmp_path: Path) -> list[object]:
    """Words that train for five steps, on the photographs of a folder beside the style's."""
    (tmp_path / "photos").mkdir()
    Image.radial_gradient("L").convert("RGB").resize((90, 80)).save(tmp_path / "photos" / "one.png")
    words = ["train", made / "photo.png", "--photos", "photos", "--steps", 5, "--batch-size", 1, "--crop", 64]
    words += ["--style-size", 64, "--features", "compact", "--reconstruction-steps", 1]
    return [*words, "--architecture", "johnson-lite"]


def test_an_interrupted_training_goes_on_where_it_was(training: list[object], tmp_path: Path) -> None:
    def losses(name: str) -> list[list[str]]:
        text = (tmp_path / name / "training" / "losses.csv").read_text()
        return [line.split(",")[:-1] for line in text.splitlines()]  # but for the seconds

    assert nst(*training, "-o", "whole", folder=tmp_path).returncode == 0
    told = interrupted(*training, "-o", "ended", folder=tmp_path)
    kept = Path("ended", "training", "checkpoint.pt")
    assert told == (
        "Interrupted after 2 of 5 steps: --resume continues from there, and import makes a style of "
        f"{kept} as it is, in another folder.\n"
    )
    assert losses("ended") == losses("whole")[:3]
    assert not (tmp_path / "ended" / "model.safetensors").exists()
    resumed = nst(*training, "-o", "ended", "--resume", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert losses("ended") == losses("whole")
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("ended", "whole")]
    assert weights[0] == weights[1]


def test_a_training_in_the_background_that_is_told_to_end_keeps_every_step(
    training: list[object], tmp_path: Path
) -> None:
    def in_the_background() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a script's shell sets it
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    words = [*training, "-o", "ended", "--steps", 5000]
    process = subprocess.Popen(
        [sys.executable, "-m", "nst_core", *map(str, words)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=in_the_background,
    )
    working = tmp_path / "ended" / "training"
    while not (working / "losses.csv").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130, told
    done = len((working / "losses.csv").read_text().splitlines()) - 1
    assert told.startswith(f"Interrupted after {done} of 5,000 steps: --resume continues")
    assert torch.load(working / "checkpoint.pt", weights_only=True)["step"] == done


def test_an_interrupted_training_that_is_imported_tells_how_it_was_made(training: list[object], tmp_path: Path) -> None:
    interrupted(*training, "-o", "ended", folder=tmp_path, how=signal.SIGHUP)
    checkpoint = Path("ended", "training", "checkpoint.pt")
    words = ("--sample", "photos/one.png", "--title", "A Ramp", "--artist", "Nobody")
    done = nst("import", checkpoint, "-o", "tried", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    made, told = Path(str(training[1])), Style.open(tmp_path / "tried").config.training
    assert told == {
        **asdict(replace(Recipe(), architecture="johnson-lite", steps=5, batch_size=1, crop=64, style_size=64)),
        "reconstruction_steps": 1,
        "imported_from": "nst-core",
        "style_image_sha256": hashlib.sha256(made.read_bytes()).hexdigest(),
        "feature_network": fingerprint(load_features("compact")),
        "stopped_after": 2,
    }
    card = (tmp_path / "tried" / "README.md").read_text()
    assert "after *A Ramp* by Nobody." in card and "2 of 5 steps of 1 square of 64 px" in card


def test_what_a_training_drew_does_not_become_its_sample(training: list[object], tmp_path: Path) -> None:
    words = [*training, "-o", "photos/a-style"]
    interrupted(*words, "--sample-every", 1, folder=tmp_path)
    assert nst(*words, "--resume", folder=tmp_path).returncode == 0
    assert open_picture(tmp_path / "photos" / "a-style" / "preview.webp").size == (512, 455)


def test_a_resumed_training_writes_over_nothing_and_makes_no_step_in_vain(
    training: list[object], tmp_path: Path
) -> None:
    words = [*training, "-o", "ended"]
    interrupted(*words, folder=tmp_path)
    kept = (tmp_path / "ended" / "training" / "checkpoint.pt").read_bytes()
    own = tmp_path / "ended" / "README.md"
    own.write_text("My own words.")
    assert "The folder 'ended' already has a README.md" in refusal(*words, "--resume", folder=tmp_path)
    assert own.read_text() == "My own words."
    own.unlink()
    checkpoint = Path("ended", "training", "checkpoint.pt")
    done = nst("import", checkpoint, "-o", "ended", "--sample", "photos/one.png", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = refusal(*words, "--resume", folder=tmp_path)
    assert "already has a README.md, a preview.webp, a config.json and a model" in told and "move them away" in told
    assert (tmp_path / checkpoint).read_bytes() == kept
    for file in MAX_BYTES:
        (tmp_path / "ended" / file).unlink()
    assert nst(*words, "--resume", folder=tmp_path).stdout.splitlines()[-1].startswith("ended is now a style: ")


@pytest.mark.slow
def test_one_large_picture_shows_how_far_it_is(made: Path) -> None:
    code = (
        "from rich.console import Console; from nst_core import console; import nst_core.cli as cli;"
        "console.stderr = cli.stderr = Console(force_terminal=True, width=100); cli.main()"
    )
    words = ["stylize", "photo.png", "--size", "1600", "--style", "wave", "-o", "far.png"]
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=made, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    bars = set(re.findall(r"A Title (\S+?━\S+)", done.stdout))
    assert len(bars) > 5, done.stdout


def test_too_little_memory_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", lambda **_: torch.empty(2**50))
    assert refusal().startswith("There is too little memory for that: ")
    monkeypatch.setattr(cli, "app", lambda **_: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="size"):  # of which we would hear
        nst()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process has no such limit")
def test_a_photograph_that_does_not_fit_into_memory_is_told_and_the_others_are_painted(made: Path) -> None:
    Image.new("1", (11500, 11500)).save(made / "b-large.png")
    for name in ("a.png", "c.png"):
        (made / name).write_bytes((made / "photo.png").read_bytes())
    script = """
import re, resource, sys
from pathlib import Path, PureWindowsPath
from nst_core import Style
from nst_core.batch import stylize_files
style = Style.open("wave")
photos = [Path(name) for name in ("a.png", "b-large.png", "c.png")]
taken = int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (taken + 720 * 2**20,) * 2)
targets = [Path("out", photo.name) for photo in photos]
Path("out").mkdir()
errors = stylize_files(photos, targets, [style], progress=lambda part: None, wrote=lambda *told: None, size=32)
print(*errors)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=made, capture_output=True, text=True)
    assert done.stdout == "There is too little memory for 'b-large.png'.\n", done.stderr
    assert {file.name for file in (made / "out").iterdir()} == {"a.png", "c.png"}
