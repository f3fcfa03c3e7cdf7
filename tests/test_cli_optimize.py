"""``python -m nst_core optimize``, run as a person runs it."""

import csv
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from commands import begun, nst, refusal
from made_features import make_features
from made_registry import make_registry
from made_styles import make_style
from PIL import Image

from nst_core.cli import app
from nst_core.errors import NSTError
from nst_core.history import HistoryWriter
from nst_core.images import open_picture
from nst_core.method import METHODS
from nst_core.optimization import OptimizationState

LAYERS = ["content/conv2_1", "style/conv1_1", "style/conv2_1"]
LOSSES = ["total", "content", "style", "total_variation", *LAYERS]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photograph, a painting, a transparent picture, a mask, a style and features."""
    folder = tmp_path_factory.mktemp("optimize")
    make_features(folder)
    make_style(folder / "wave")
    rng = np.random.default_rng(0)
    for name, size in (("photo", (40, 30)), ("painting", (36, 44)), ("mask", (20, 20))):
        noise = Image.fromarray(rng.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        noise.resize(size, Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    photo = open_picture(folder / "photo.png")
    photo.putalpha(100)
    photo.save(folder / "clear.png")
    return folder


def words(*more: object, photo: str = "photo.png") -> list[object]:
    """The least work that the command can be given."""
    return [
        "optimize", photo, "painting.png", "--features", ".", "--size", 24, "--scales", 1, "--saturation", 0,
        "--content-layer", "conv2_1", "--style-layer", "conv1_1=0.5", "--style-layer", "conv2_1", *more,
    ]  # fmt: skip


def optimize(*more: object, photo: str = "photo.png") -> None:
    """The command without a process of its own, which takes seconds to import torch."""
    app([str(word) for word in words(*more, photo=photo)], standalone_mode=False)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def losses(path: Path) -> list[list[str]]:
    """All but the seconds, which differ in every run."""
    return [[one[name] for name in ("step", *LOSSES)] for one in rows(path)]


def test_a_folder_that_takes_no_picture_is_told_before_anything_is_optimised(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nst_core.optimization.optimize", None)
    monkeypatch.setattr("os.access", lambda path, mode: path != Path("."))  # root may write anywhere
    told = refusal(*words("-o", "out.png"), folder=made)
    assert told == "A picture cannot be written as 'out.png': its folder takes no new files.\n"


def test_a_picture_its_losses_and_its_frames_are_written(made: Path) -> None:
    done = nst(
        *words("-o", "out.png", "--steps", 5, "--history", "out.csv", "--frames", "new/frames", "--every", 2),
        folder=made,
    )
    assert done.returncode == 0, done.stderr
    assert open_picture(made / "out.png").size == (24, 18)
    assert sorted(path.name for path in (made / "new" / "frames").iterdir()) == ["step-000002.png", "step-000004.png"]
    written = rows(made / "out.csv")
    assert list(written[0]) == ["step", "width", "height", "seconds", *LOSSES]
    assert [(one["step"], one["width"], one["height"]) for one in written] == [
        (f"{n}", "24", "18") for n in range(1, 6)
    ]
    for one in written:
        value = {name: float(number) for name, number in one.items()}
        assert value["total"] == pytest.approx(value["content"] + value["style"] + value["total_variation"], rel=1e-5)
        assert value["style"] == pytest.approx(value["style/conv1_1"] + value["style/conv2_1"], rel=1e-5)
    best = min(float(one["total"]) for one in written)
    assert done.stdout.startswith("out.png  24 × 18 px, 5 steps, ")
    assert done.stdout.endswith(f" s, loss {best:.4g}, all steps taken\n")


def test_what_stands_for_a_presets_layers_is_said(made: Path) -> None:
    done = nst("optimize", "photo.png", "painting.png", "--size", 24, "--steps", 1, "-o", "quick.png", folder=made)
    assert done.stderr.startswith(
        "This feature network has no conv3_3; its nearest style layers are used instead: conv1_2, "
    )


def test_where_the_picture_cannot_be_written_its_state_is(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    monkeypatch.setattr("os.access", lambda path, mode: True)  # it looked as if it could be
    with pytest.raises(NSTError, match=r"'none\.png' could not be written"):
        optimize("--steps", 2, "--state", "kept.pt", "-o", "/proc/none.png")
    assert OptimizationState.load("kept.pt").step == 2
    with pytest.raises(NSTError, match="state could not be written"):
        optimize("--steps", 2, "--state", "/proc/kept.pt", "-o", "kept.png")
    assert open_picture("kept.png").size == (24, 18)


def test_an_interrupted_run_keeps_its_best_and_goes_on_as_if_it_had_not_been(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = ("--optimizer", "adam", "--init", "noise", "--state", "run.pt", "--history", "run.csv", "-o", "run.png")
    running = begun(*words(*kept, "--steps", 100_000), folder=made)
    while running.poll() is None and not ((made / "run.csv").exists() and len(rows(made / "run.csv")) > 3):
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, told = running.communicate(timeout=60)
    assert running.returncode == 130, told
    assert told == "Interrupted: the best picture so far was written.\n"
    assert out.endswith(", interrupted\n")
    assert open_picture(made / "run.png").size == (24, 18)
    stopped = OptimizationState.load(made / "run.pt").step
    assert stopped >= 3  # the fourth is written down, and perhaps not kept yet
    assert [one[0] for one in losses(made / "run.csv")][:stopped] == [str(n) for n in range(1, stopped + 1)]

    with (made / "run.csv").open("a") as file:
        file.write("1")  # the next row, had the machine lost its power

    end = stopped + 4
    assert nst(*words(*kept, "--steps", end, "--resume"), folder=made).returncode == 0
    resumed, picture = losses(made / "run.csv"), (made / "run.png").read_bytes()
    monkeypatch.chdir(made)
    with pytest.raises(NSTError, match=rf"'run\.pt' holds a run at step {end}: --resume continues it; to begin a new"):
        optimize(*kept, "--steps", end)
    assert OptimizationState.load("run.pt").step == end and resumed == losses(made / "run.csv")
    Path("run.pt").unlink()
    optimize(*kept, "--steps", end)
    assert resumed == losses(made / "run.csv")
    assert len(resumed) == end
    assert picture == (made / "run.png").read_bytes()

    with pytest.raises(NSTError, match=f"ended after {end} steps"):
        optimize(*kept, "--steps", end, "--resume")
    with pytest.raises(NSTError, match="differs in color"):
        optimize(*kept, "--steps", end + 1, "--resume", "--color", "matched")
    assert resumed == losses(made / "run.csv")


def test_what_is_kept_is_of_no_step_that_the_history_lacks(made: Path) -> None:
    kept = ("--steps", 100_000, "--state", "caught.pt", "--history", "caught.csv", "-o", "caught.png")
    running = begun(*words(*kept), folder=made)
    while running.poll() is None and not (made / "caught.csv").exists():
        time.sleep(0.02)
    # With a pipe in the file's place, the run waits at its next step until somebody reads from it.
    os.link(made / "caught.csv", made / "written.csv")
    os.mkfifo(made / "pipe")
    (made / "pipe").replace(made / "caught.csv")
    time.sleep(1)
    running.send_signal(signal.SIGTERM)  # as when a container is stopped: the same happens
    running.communicate(timeout=60)
    assert running.returncode == 130
    assert OptimizationState.load(made / "caught.pt").step == len(rows(made / "written.csv"))


def test_several_paintings_regions_and_a_fast_style_to_begin_with(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made)
    optimize(
        "-o", "more.png", "--steps", 2, "--more-style", "photo.png=0.5", "--more-style", "painting.png",
        "--mask", "mask.png", "--mask", "mask.png", "--start-style", "first-style",
        "--registry", make_registry(made / "known"), "--color", "photo", "--resume",
        "--state", "none-yet.pt", "--method", "neural-style", "--pooling", "average", "--seconds", 60,
    )  # fmt: skip
    assert "more.png  24 × 18 px, 2 steps" in capsys.readouterr().out
    assert OptimizationState.load("none-yet.pt").step == 2


def test_what_was_waited_for_is_kept_when_it_fails_on_the_way(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: HistoryWriter, step: Mapping[str, float]) -> None:
        if step["step"] == 3:
            raise NSTError("No space left.")

    monkeypatch.chdir(made)
    monkeypatch.setattr(HistoryWriter, "write", fail)
    with pytest.raises(NSTError, match="No space"):
        optimize("-o", "failed.png", "--steps", 9, "--state", "failed.pt", "--history", "failed.csv")
    assert open_picture("failed.png").size == (24, 18)
    assert OptimizationState.load("failed.pt").step == 2  # as many as the history has


def test_refusals_are_one_sentence(made: Path) -> None:
    assert "steps should be" in refusal(*words("-o", "x.png", "--steps", 0), folder=made)
    assert "'nowhere'" in refusal(*words("-o", "x.png", "--history", "nowhere/x.csv"), folder=made)
    assert "missing.jpg" in refusal(*words("-o", "x.png", "--more-style", "missing.jpg=2"), folder=made)
    assert not (made / "x.png").exists()


@pytest.mark.parametrize(
    ("photo", "more", "told"),
    [
        ("photo.png", ["-o", "x.docx"], ".docx"),
        ("clear.png", ["-o", "x.jpg"], "no transparency"),
        ("photo.png", ["-o", "x.png", "--state", "wave"], "a folder has that name"),
        ("photo.png", ["-o", "x.png", "--frames", "photo.png", "--steps", 1], "a file has that name"),
        ("photo.png", ["-o", "x.png", "--mask", "mask.png", "--mask", "mask.png"], "not 1, 1 and 2"),
        ("photo.png", ["-o", "x.png", "--state", "clear.png"], "'clear.png' holds no state"),
        ("photo.png", ["-o", "photo.png"], "--out would replace the picture 'photo.png'"),
        ("photo.png", ["-o", "./painting.png"], "--out would replace"),
        ("photo.png", ["-o", "mask.png", "--start", "mask.png"], "--out would replace"),
        ("photo.png", ["-o", "x.png", "--history", "photo.png"], "--history would replace the picture 'photo.png'"),
        ("photo.png", ["-o", "x.png", "--state", "wave/../mask.png", "--mask", "mask.png"], "--state would replace"),
        ("photo.png", ["-o", "x.png", "--history", "mask.png", "--more-style", "mask.png=2"], "--history would repl"),
        ("photo.png", ["-o", "x.png", "--state", "./x.png"], "--out and --state are both"),
        ("photo.png", ["-o", "x.png", "--state", "x.pt", "--history", "x.pt"], "--history and --state are both 'x.pt'"),
        ("photo.png", ["-o", "x.png", "--style-layer", "conv1_1=-1"], "conv1_1 should be"),
        ("photo.png", ["-o", "x.png", "--style-layer", "conv1_1=much"], "'conv1_1=much' is not a layer: give its name"),
        ("photo.png", ["-o", "x.png", "--content-layer", "conv1_1="], "'conv1_1=' is not a layer: give"),
    ],
)
def test_refused(made: Path, monkeypatch: pytest.MonkeyPatch, photo: str, more: list[object], told: str) -> None:
    monkeypatch.chdir(made)
    with pytest.raises(NSTError, match=told):
        optimize(*more, photo=photo)
    assert not Path("x.png").exists()


def test_wrong_usage_is_told_with_status_2(made: Path) -> None:
    assert "--out" in refusal(*words(), folder=made, code=2)
    for more in (["--resume"], ["--method", "magic"], ["--init", "noise", "--start", "photo.png"]):
        assert more[0] in refusal(*words("-o", "x.png", *more), folder=made, code=2)


def test_help_names_every_option(made: Path) -> None:
    text = nst("optimize", "--help", folder=made).stdout
    assert all(method in text for method in METHODS)
    group: Any = typer.main.get_command(app)
    assert all(parameter.opts[-1] in text for parameter in group.commands["optimize"].params)
