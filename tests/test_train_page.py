"""Trainings on the page: bounded, stopped, giving way to painting, seen by one session; and the command elsewhere."""

import json
import shlex
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import typer
from full_disk import no_room
from made_features import make_features
from made_optimization import made_picture
from PIL import Image
from waiting import wait_until

from nst_core.cli import app
from nst_core.errors import NSTError
from nst_core.images import open_picture
from nst_core.recipe import Recipe
from nst_core.registry import Registry
from nst_core.stylization import stylize
from nst_core.training import TrainingError
from ui.errors import PageError
from ui.session_cache import expire
from ui.studio import Studio
from ui.training_service import RECIPE, STEPS, TrainingRequest, TrainingRun, TrainingService
from ui.viewer import shown
from ui.wish import Wish
from ui.words import spoken

FEW = Recipe(steps=5, reconstruction_steps=0, batch_size=1, crop=64)
FILES = ["README.md", "config.json", "model.safetensors", "preview.webp"]


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_features(tmp_path_factory.mktemp("features"))


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.training_service.TRIAL_STEPS", 2)
    monkeypatch.setattr("ui.training_service.TRIAL_SECONDS", 0.0)
    monkeypatch.setattr("nst_core.training_folder.PREVIEW_SIZE", 64)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(3):
        made_picture(seed, (90, 70)).save(folder / f"{seed}.png")
    return folder


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    made_picture(9, (80, 60)).save(tmp_path / "Großes Bild.png")
    return tmp_path / "Großes Bild.png"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    made_picture(7, (80, 60)).save(tmp_path / "holiday.png")
    return tmp_path / "holiday.png"


@pytest.fixture
def studio(registry_file: Path, tmp_path: Path) -> Studio:
    folder = tmp_path / "files"
    folder.mkdir()
    return Studio(Registry.load(registry_file), folder, max_side=96)


@pytest.fixture
def trainings(studio: Studio, features: Path, photos: Path) -> TrainingService:
    return TrainingService(studio, features, photos, FEW)


def request(trainings: TrainingService, **said: Any) -> TrainingRequest:
    return trainings.request(**{"start": "first-style", "style_size": 128, "content_weight": 2.0, **said})


def ended(steps: Iterator[TrainingRun]) -> TrainingRun:
    *_, last = steps
    return last


def test_what_is_trained_is_a_style(trainings: TrainingService, painting: Path, tmp_path: Path) -> None:
    run = ended(trainings.watch("ann", painting, request(trainings, title="My <b>Style</b>")))
    assert not run.running and not run.trouble and spoken(run.status).startswith("Finished · 5 steps")
    assert run.losses["step"] == [1, 2, 3, 4, 5]
    assert all(len(run.losses[name]) == 5 and np.isfinite(run.losses[name]).all() for name in run.losses)
    steps = [step for step, _ in run.snapshots]
    assert steps[0] == 0 and steps[-1] == 5
    assert run.zip.name == "my-b-style-b.zip"
    with ZipFile(run.zip) as archive:
        assert sorted(archive.namelist()) == [f"my-b-style-b/{name}" for name in FILES]
        archive.extractall(tmp_path / "unzipped")
    style = trainings.studio.registry.open(tmp_path / "unzipped" / "my-b-style-b")
    assert style.title == "My <b>Style</b>"
    training = style.config.training
    assert training["warm_start"] == "first-style" and training["steps"] == 5 and "stopped_after" not in training
    assert training["content_weight"] == 2.0 and training["style_size"] == 128
    start = trainings.studio.registry.open("first-style").network.state_dict()
    changes = [float((tensor - start[name]).abs().max()) for name, tensor in style.network.state_dict().items()]
    assert 0 < max(changes) < 1  # it is that network, trained further


def test_the_style_before_stays_until_the_next_but_one(trainings: TrainingService, painting: Path) -> None:
    first, second = (
        ended(trainings.watch("ann", painting, request(trainings, title=title))) for title in ("One", "Two")
    )
    assert first.before is None and second.before is first and first.zip.is_file()
    other = ended(trainings.watch("bob", painting, request(trainings)))
    assert other.before is None
    third = ended(trainings.watch("ann", painting, request(trainings)))
    assert third.before is second and second.before is None  # what goes on for ever would keep them all
    folder = first.folder
    del first
    assert not folder.exists() and second.zip.is_file()


def test_it_paints_for_its_session_alone(trainings: TrainingService, painting: Path, photo: Path) -> None:
    run = ended(trainings.watch("ann", painting, request(trainings)))
    before, after = trainings.paint("ann", photo)
    assert after.name == "holiday-groes-bild.png"
    style = trainings.studio.style("ann", run.style)
    expected = stylize(open_picture(photo), style, size=96)
    np.testing.assert_array_equal(np.asarray(Image.open(after)), np.asarray(expected))
    assert Image.open(before).size == expected.size
    wish = Wish.of(style="first-style")
    other = trainings.studio.painting("ann", photo, wish)
    trainings.paint("ann", photo)
    assert trainings.studio.wants("ann", wish) and other.result().style.id == "first-style"
    with pytest.raises(NSTError, match="own style is no longer here"):
        trainings.paint("bob", photo)
    with pytest.raises(NSTError):
        trainings.studio.style("bob", run.style)


def test_a_full_disk_is_told(trainings: TrainingService, painting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with no_room(), pytest.raises(PageError, match=r"^This server cannot save the painting \(File too large\): try"):
        ended(trainings.watch("ann", painting, request(trainings)))

    def pack(self: TrainingRun, style: Path) -> None:
        with no_room():
            packed(self, style)

    packed = TrainingRun.pack
    monkeypatch.setattr(TrainingRun, "pack", pack)
    run = ended(trainings.watch("ann", painting, request(trainings)))
    assert str(run.trouble) == "This server cannot save the style (File too large): try again in an hour."
    assert spoken(run.status) == "Ended at step 5, without a style" and trainings.ended("ann") is None


def test_the_files_go_with_the_session(trainings: TrainingService, painting: Path) -> None:
    run = ended(trainings.watch("ann", painting, request(trainings)))
    folder, style = run.folder, trainings.studio.style("ann", run.style).folder
    assert folder.parent == trainings.studio.folder and style.is_relative_to(folder)
    del run
    trainings.studio.forget("ann")
    assert trainings.ended("ann") and folder.exists()
    for kept in (trainings.running, trainings._ended, trainings.studio._own):
        kept.seconds = 0
    expire()
    assert not folder.exists()
    assert trainings.ended("ann") is None


def stopped_after(trainings: TrainingService, painting: Path, steps: int) -> TrainingRun:
    """A training of many steps that is stopped from another thread, as a click would."""
    trainings.recipe = replace(FEW, steps=2000)
    runs = trainings.watch("ann", painting, request(trainings))
    run = next(runs)

    def act() -> None:
        wait_until(lambda: len(run.losses.get("step", [])) >= steps)
        trainings.stop("ann")

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    run = ended(runs)
    thread.join()
    return run


def test_stopped_it_keeps_what_there_is(trainings: TrainingService, painting: Path, photo: Path) -> None:
    run = stopped_after(trainings, painting, 2)
    done = len(run.losses["step"])
    assert 2 <= done < run.steps and spoken(run.status).startswith(f"Stopped · {done} of {run.steps} steps")
    config = json.loads(ZipFile(run.zip).read(f"{run.name}/config.json"))
    assert config["training"]["steps"] == run.steps and config["training"]["stopped_after"] == done
    card = ZipFile(run.zip).read(f"{run.name}/README.md").decode()
    assert f"{done} of {run.steps} steps" in card
    trainings.paint("ann", photo)


def test_stopped_before_its_first_step_it_keeps_the_earlier_style(trainings: TrainingService, painting: Path) -> None:
    first = ended(trainings.watch("ann", painting, request(trainings)))
    second = stopped_after(trainings, painting, 0)
    assert spoken(second.status) == "Stopped before it began" and not second.losses and not second.running
    assert trainings.ended("ann") is first and first.zip.is_file()


def test_there_are_as_many_steps_as_fit_in(trainings: TrainingService, painting: Path) -> None:
    trainings.recipe = replace(FEW, steps=2000)
    # Less than a person may ask for.
    short = request(trainings).model_copy(update={"minutes": 0.06})
    run = ended(trainings.watch("ann", painting, short))
    assert 1 < run.losses["step"][-1] <= run.steps < 2000
    assert spoken(run.status).startswith(("Finished", "Ended: its time was up"))
    assert run.zip.is_file()


def test_a_closed_page_ends_it(trainings: TrainingService, painting: Path) -> None:
    trainings.recipe = replace(FEW, steps=2000)
    runs = trainings.watch("ann", painting, request(trainings))
    while not (run := next(runs)).losses:
        pass
    runs.close()  # type: ignore[attr-defined]
    done = len(run.losses["step"])
    time.sleep(1)
    assert len(run.losses["step"]) == done and not run.running and not run.zip.exists()


def test_whoever_loads_the_page_again_has_what_was_trained_by_then(trainings: TrainingService, painting: Path) -> None:
    trainings.recipe = replace(FEW, steps=2000)
    runs = trainings.watch("ann", painting, request(trainings))
    page = shown(runs)
    next(page)
    [run] = trainings.running.values()
    while not run.losses:
        next(page)
    page.close()  # type: ignore[attr-defined]
    wait_until(lambda: trainings.come_back("bob", run.id))
    assert trainings.ended("bob") is run and trainings.ended("ann") is None and run.zip.is_file()
    assert trainings.studio.style("bob", run.style) and run.id not in str(run.folder)


def test_it_gives_way_while_somebody_s_photograph_is_painted(trainings: TrainingService, painting: Path) -> None:
    trainings.recipe = replace(FEW, steps=2000)
    runs = trainings.watch("ann", painting, request(trainings))
    while not (run := next(runs)).losses:
        pass
    thread = threading.Thread(target=ended, args=[runs], daemon=True)
    painted = threading.Event()
    turn = trainings.studio.line.join("bob", lambda progress: painted.wait(60))
    wait_until(lambda: turn.began)
    thread.start()
    time.sleep(0.5)
    done = len(run.losses["step"])
    time.sleep(1)
    assert len(run.losses["step"]) == done
    painted.set()
    trainings.stop("ann")
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"start": "third-style"}, "first-style, second-style"),
        ({"start": "styles/udnie"}, "first-style"),
        ({"start": None}, "'start'"),
        ({"minutes": 46}, "at most"),
        ({"minutes": 0}, "'minutes'"),
        ({"minutes": float("nan")}, "'minutes'"),
        ({"content_weight": -1}, "'content_weight'"),
        ({"content_weight": float("inf")}, "'content_weight'"),
        ({"content_weight": "much"}, "'content_weight'"),
        ({"style_size": 1025}, "1024"),
        ({"style_size": [512]}, "'style_size'"),
        ({"title": "x" * 121}, "'title'"),
        ({"title": {"a": 1}}, "'title'"),
    ],
)
def test_what_is_beyond_the_bounds_is_refused(trainings: TrainingService, said: dict[str, Any], says: str) -> None:
    with pytest.raises(NSTError, match=says) as caught:
        request(trainings, **said)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 300


def test_what_cannot_be_trained_is_refused(trainings: TrainingService, painting: Path, tmp_path: Path) -> None:
    first = ended(trainings.watch("ann", painting, request(trainings)))
    text = tmp_path / "text.png"
    text.write_text("I am a text.")
    for picture, start in [(text, "first-style"), (painting, "broken-style")]:
        with pytest.raises(NSTError, match=r"^[^/]+\.$"):
            ended(trainings.watch("ann", picture, request(trainings, start=start)))
    trainings.recipe = replace(FEW, learning_rate=1e18, warm_up=0.0)
    with pytest.raises(TrainingError, match="stopped being numbers"):
        ended(trainings.watch("ann", painting, request(trainings)))
    assert trainings.ended("ann") is first


def test_a_training_that_breaks_off_leaves_no_style(studio: Studio, features: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    made_picture(1, (90, 70)).save(folder / "1.png")
    made_picture(2).save(tmp_path / "painting.png")
    trainings = TrainingService(studio, features, folder, replace(FEW, steps=2000))
    runs = trainings.watch("ann", tmp_path / "painting.png", request(trainings))
    while not (run := next(runs)).losses:
        pass
    (folder / "1.png").unlink()
    run = ended(runs)
    assert isinstance(run.trouble, TrainingError) and not run.running
    assert spoken(run.status) == f"Ended at step {len(run.losses['step'])}, without a style"
    assert trainings.ended("ann") is None and not run.zip.exists()


def test_photographs_are_looked_for_at_the_start(studio: Studio, features: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no folder"):
        TrainingService(studio, features, tmp_path / "nowhere")


def test_without_photographs_nothing_is_trained(studio: Studio, features: Path, painting: Path) -> None:
    trainings = TrainingService(studio, features)
    with pytest.raises(NSTError, match="no photographs"):
        next(trainings.watch("ann", painting, request(trainings)))


@pytest.mark.parametrize("title", ["", "My Style", "it's $(rm -rf ~) `x` <b> \\ \"", "-o", "夜\n--steps 3"])
def test_the_command_is_what_the_page_would_do(trainings: TrainingService, title: str) -> None:
    wish = request(trainings, title=title, content_weight=1.5, style_size=384)
    words = shlex.split(wish.command().replace("\\\n", ""))
    assert words[:4] == ["python", "-m", "nst_core", "train"]
    train = typer.main.get_command(app).commands["train"]  # type: ignore[attr-defined]
    with train.make_context("train", words[4:]) as context:
        said = context.params
    assert said["title"] == " ".join(title.split())
    assert said["warm_start"] == "first-style" and said["features"] == "compact"
    assert Path(said["out"]).parent == Path("styles")
    recipe = replace(RECIPE, steps=STEPS, content_weight=1.5, style_size=384)
    for name in ("steps", "batch_size", "crop", "noise", "style_size", "content_weight", "style_weight", "seed"):
        assert said[name] == getattr(recipe, name)
    assert said["total_variation"] == recipe.total_variation and said["learning_rate"] == recipe.learning_rate
