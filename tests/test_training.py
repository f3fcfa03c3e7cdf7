"""Training: that it learns, resumes exactly, survives bad photographs and stops when it should."""

import copy
import hashlib
import itertools
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
import yaml
from commands import refusal
from PIL import Image
from typer.testing import CliRunner

from nst_core import cli_training, training
from nst_core.architectures import ARCHITECTURES
from nst_core.architectures.johnson import JohnsonNetwork
from nst_core.errors import NSTError
from nst_core.features import VGG19, FeaturesError, load_features
from nst_core.images import PictureError, open_picture, to_tensor
from nst_core.losses import LossError, detail_map
from nst_core.recipe import Recipe, RecipeError
from nst_core.registry import Registry
from nst_core.style import Style
from nst_core.stylization import stylize
from nst_core.training import Photographs, TrainingError, TrainingStep, _Run, new_network, perceptual_loss, train
from nst_core.training_folder import TrainingFolder, training_command

RECIPE = Recipe(
    steps=6,
    reconstruction_steps=3,
    batch_size=1,
    crop=64,
    style_size=64,
    content_layers={"relu2_1": 1.0},
    style_layers={"relu1_2": 1.0, "relu2_1": 1.0},
    seed=3,
)


def draw(path: Path, seed: int, size: tuple[int, int] = (90, 70), mode: str = "RGB") -> Path:
    """A picture of coloured noise, smooth enough to be a photograph's stand-in."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(5):
        draw(folder / f"{seed}.png", seed)
    return folder


@pytest.fixture
def painting(tmp_path: Path) -> Path:
    return draw(tmp_path / "painting.png", 99)


def steps_of(
    recipe: Recipe, painting: Any, photos: Path, checkpoint: Path, *, resume: bool = False
) -> Iterator[TrainingStep]:
    torch.manual_seed(recipe.seed)
    network = ARCHITECTURES["johnson-lite"].network()
    features = VGG19(last="conv2_1", channels=(8, 8, 8, 8, 8)).requires_grad_(False)
    return train(recipe, painting, photos, network, features, checkpoint, resume=resume, checkpoint_every=2)


def run(
    recipe: Recipe, painting: Path, photos: Path, *, upto: int | None = None, resume: bool = False
) -> list[TrainingStep]:
    steps = steps_of(recipe, painting, photos, photos.parent / "checkpoint.pt", resume=resume)
    return list(itertools.islice(steps, upto))


def losses(steps: list[TrainingStep]) -> list[tuple[int, float, float, float, float]]:
    return [(s.step, s.content, s.style, s.total_variation, s.learning_rate) for s in steps]


def ramps(folder: Path) -> Path:
    """Photographs of one kind: red grows to the right, green downwards."""
    folder.mkdir()
    across, down = np.meshgrid(np.linspace(0, 255, 128), np.linspace(0, 255, 128))
    Image.fromarray(np.stack([across, down, 0 * down], 2).round().astype(np.uint8)).save(folder / "ramps.png")
    return folder


def test_a_style_is_trained_in_python_as_the_documentation_says(
    tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(tmp_path / "painting.jpg", 99)
    draw(tmp_path / "photo.jpg", 98, (700, 500))
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).parents[1] / "docs" / "training.md").read_text()
    [program] = [part for part in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "write_style" in part]
    for many, few in {"steps=1200": "steps=2, crop=32", "=640": "=64"}.items():
        assert many in program
        program = program.replace(many, few)
    said: dict[str, Any] = {}
    exec(program, said)
    assert said["picture"].size == (700, 500)
    with Image.open(tmp_path / "my-style" / "preview.webp") as preview:
        assert max(preview.size) == 512


def test_squares_lie_anywhere_and_are_enlarged_as_asked(tmp_path: Path) -> None:
    folder, count = ramps(tmp_path / "photos"), 100
    near, far = (Photographs(folder, replace(RECIPE, steps=count, crop=64, zoom=zoom, seed=1)) for zoom in (1.0, 4.0))
    # The shorter side is brought to the square's: unenlarged, each is the whole picture.
    assert all(float(near[i][0].max() - near[i][0].min()) > 0.98 for i in range(3))
    with os.scandir(tmp_path) as entries:
        assert Photographs(next(entries), RECIPE).paths == near.paths  # type: ignore[arg-type]
    spans = [float(far[i][0].max() - far[i][0].min()) for i in range(count)]
    assert min(spans) < 0.35 and max(spans) > 0.8
    middles = np.array([[float(far[i][0].mean()), float(far[i][1].mean())] for i in range(count)])
    assert abs(np.corrcoef(middles.T)[0, 1]) < 0.3
    assert (middles.std(0) > 0.05).all()
    with pytest.raises(RecipeError, match="The zoom should be a number of at least 1"):
        replace(RECIPE, zoom=0.9)


@pytest.mark.parametrize("size", [(100, 101), (101, 100), (100, 199), (333, 100), (64, 65), (63, 64)])
def test_a_square_reaches_beyond_no_photograph(tmp_path: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size, "white").save(tmp_path / "white.png")
    squares = Photographs(tmp_path, replace(RECIPE, steps=20, crop=64, zoom=1.1, seed=2))
    unenlarged = Photographs(tmp_path, replace(RECIPE, steps=20, crop=64, zoom=1.0, seed=2))
    for some in (squares, unenlarged):
        assert all(float(some[i].min()) == 1 for i in range(20))


def test_squares_of_a_large_jpeg_are_those_of_the_same_pixels(tmp_path: Path) -> None:
    """Though it is decoded at a quarter of its size."""
    y, x = np.mgrid[:600, :800]
    waves = 127.5 + 60 * np.sin(x / 9) + 60 * np.cos((x + 2 * y) / 14)
    picture = Image.fromarray(np.stack([waves, waves[:, ::-1], 255 - waves], 2).astype(np.uint8))
    for kind in ("jpg", "png"):
        (tmp_path / kind).mkdir()
        picture.save(tmp_path / kind / f"photo.{kind}", quality=98, subsampling="4:4:4")
    recipe = replace(RECIPE, steps=4, crop=64, zoom=1.1, seed=2)
    reduced, whole = Photographs(tmp_path / "jpg", recipe), Photographs(tmp_path / "png", recipe)
    assert reduced.first_readable(reduced.paths, at_least=141).size == (200, 150)
    for index in range(4):
        difference = (reduced[index] - whole[index]).square().mean()
        assert difference < 1e-4  # 40 dB
        assert difference < whole[index].var() / 200


def test_every_photograph_comes_once_in_an_epoch_and_each_in_another_order(tmp_path: Path) -> None:
    for number in range(9):
        Image.new("RGB", (64, 64), (20 * number, 0, 0)).save(tmp_path / f"{number}.png")
    squares = Photographs(tmp_path, replace(RECIPE, steps=27, seed=2))
    numbers = [round(float(squares[i][0].mean()) * 255 / 20) for i in range(27)]
    epochs = [numbers[:9], numbers[9:18], numbers[18:]]
    assert all(sorted(epoch) == list(range(9)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 3


def test_a_new_network_is_its_seeds() -> None:
    first, again, other = (new_network(replace(RECIPE, seed=seed)).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_a_warm_start_has_the_architecture() -> None:
    start = Registry.load().open("udnie")
    with pytest.raises(TrainingError, match="udnie is a johnson network, but a johnson-lite one is to be trained"):
        new_network(replace(RECIPE, architecture="johnson-lite"), start)


def test_a_warm_start_brings_its_architecture_along(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["painting.jpg", "--photos", "photos", "-o", "out"]
    for more, architecture in (
        ([], "johnson"),
        (["--warm-start", "udnie-lite"], "johnson-lite"),
        (["--warm-start", "udnie-lite", "--architecture", "johnson"], "johnson"),  # which is refused then
    ):
        assert recipe_of([*words, *more], monkeypatch).architecture == architecture


def test_a_warm_start_learns_no_reconstruction(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["painting.jpg", "--photos", "photos", "-o", "out", "--warm-start", "udnie-lite"]
    for more in ([], ["--reconstruction-steps", "0"]):
        assert recipe_of([*words, *more], monkeypatch).reconstruction_steps == 0
    assert "--reconstruction-steps is for" in refusal("train", *words, "--reconstruction-steps", 3, code=2)


def test_a_warm_start_may_be_of_another_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Registry.load()["udnie-lite"]
    assert entry.path is not None
    shutil.copytree(entry.path, tmp_path / "mine")
    said = {**entry.model_dump(mode="json", exclude_none=True), "id": "mine", "path": "mine"}
    (tmp_path / "registry.yaml").write_text(yaml.safe_dump({"version": 1, "styles": [said]}))
    words = ["painting.jpg", "--photos", "photos", "-o", "out", "--warm-start", "mine"]
    assert recipe_of([*words, "--registry", str(tmp_path)], monkeypatch).architecture == "johnson-lite"


def test_an_architecture_that_is_not_is_refused_before_anything_else() -> None:
    words = ["gone.jpg", "--photos", "gone", "-o", "styles/udnie", "--architecture", "huge", "--warm-start", "gone"]
    assert refusal("train", *words).startswith("There is no architecture 'huge': choose one of ")


def test_a_focus_is_that_of_the_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["painting.jpg", "--photos", "photos", "-o", "out", "--content-focus", "0.75"]
    recipe = recipe_of(words, monkeypatch)
    assert recipe.options() == ["--content-focus", "0.75"]
    features = VGG19(last="conv2_2", channels=(8, 8, 8, 8, 8)).requires_grad_(False)
    recipe = replace(recipe, style_layers={"relu1_2": 1.0})
    photo, painting = (open_picture(draw(tmp_path / f"{seed}.png", seed)) for seed in (1, 2))
    target = perceptual_loss(recipe, features, painting).content_targets(to_tensor(photo) / 255)["relu2_2"]
    assert target.detail is not None
    assert torch.equal(target.detail, detail_map(target.features, 0.75))


def half_seen(path: Path, seed: int, hidden: tuple[int, int, int]) -> Path:
    """A painting on the left of what is transparent, of that colour."""
    picture = Image.new("RGBA", (180, 70), (*hidden, 0))
    with Image.open(draw(path, seed)) as seen:
        picture.paste(seen, (0, 0))
    picture.save(path)
    return path


def test_of_a_painting_what_is_transparent_is_not_learned(tmp_path: Path, photos: Path) -> None:
    features = VGG19(last="conv2_1", channels=(8, 8, 8, 8, 8)).requires_grad_(False)
    picture = to_tensor(open_picture(draw(tmp_path / "seen.png", 99))) / 255
    recipe = replace(RECIPE, content_layers={}, style_size=180)
    black, green = (half_seen(tmp_path / f"{c}.png", 99, c) for c in ((0, 0, 0), (0, 255, 0)))
    opaque = Image.open(green).convert("RGB")
    style = {
        name: float(perceptual_loss(recipe, features, painting)(picture, {}).style)
        for name, painting in (("black", open_picture(black)), ("green", open_picture(green)), ("opaque", opaque))
    }
    assert style["green"] == style["black"]
    # Not nothing: features see across the edge.
    assert style["green"] < 0.1 * style["opaque"]

    nothing = tmp_path / "nothing.png"
    Image.new("RGBA", (90, 70), (9, 9, 9, 0)).save(nothing)
    with pytest.raises(LossError, match="A painting is completely transparent"):
        run(RECIPE, nothing, photos)


def test_the_program_s_random_numbers_are_its_own() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, second = (training.new_network(Recipe(seed=1)) for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_a_new_network_is_its_seeds_under_any_default_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("the GPUs' numbers are the program's"))
    expected = new_network(RECIPE).state_dict()
    torch.set_default_dtype(torch.float64)
    try:
        network = new_network(RECIPE)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(torch.equal(expected[name], tensor) for name, tensor in network.state_dict().items())


def test_a_sample_is_what_the_style_will_paint_and_changes_nothing() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.5))
    photo, before = Image.effect_noise((20, 20), 90).convert("RGB"), copy.deepcopy(network.state_dict())
    shown = training.painted(network, photo)
    assert all(module.training for module in network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert shown.tobytes() == training.painted(network.eval(), photo).tobytes()


def test_a_long_strip_can_be_the_sample() -> None:
    assert training.painted(JohnsonNetwork(), Image.new("RGB", (512, 3), "teal")).size == (512, 3)


def test_names_of_files_will_do(painting: Path, photos: Path) -> None:
    expected = losses(run(RECIPE, painting, photos, upto=3))
    torch.manual_seed(RECIPE.seed)
    network, checkpoint = ARCHITECTURES["johnson-lite"].network(), str(photos.parent / "other.pt")
    features = VGG19(last="conv2_1", channels=(8, 8, 8, 8, 8)).requires_grad_(False)
    drawn = torch.random.get_rng_state()
    with torch.inference_mode():
        steps = train(RECIPE, str(painting), str(photos), network, features, checkpoint, checkpoint_every=2)
        assert losses(list(itertools.islice(steps, 3))) == expected
    assert torch.equal(drawn, torch.random.get_rng_state())  # that of the program
    assert Path(checkpoint).exists()
    with pytest.raises(TrainingError, match="steps from checkpoint to checkpoint should be a whole"):
        next(train(RECIPE, painting, photos, network, features, checkpoint_every=0))


@pytest.mark.parametrize("around", [partial(torch.autocast, "cpu", torch.bfloat16), partial(torch.device, "meta")])
def test_what_is_around_it_is_the_callers_business(
    around: Callable[[], AbstractContextManager[Any]], painting: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "fast_bfloat16", lambda device: True)
    expected = losses(run(RECIPE, painting, photos))
    steps = steps_of(RECIPE, painting, photos, photos.parent / "other.pt")
    with around():
        assert losses(list(steps)) == expected


def test_gradients_of_a_step_that_was_interrupted_are_forgotten(painting: Path, photos: Path) -> None:
    start, features = JohnsonNetwork(), VGG19(last="conv2_1", channels=(8, 8, 8, 8, 8)).requires_grad_(False)

    def first_steps(network: torch.nn.Module) -> list[TrainingStep]:
        return list(itertools.islice(train(RECIPE, painting, photos, network, features), 3))

    interrupted = copy.deepcopy(start)
    interrupted(torch.rand(1, 3, 64, 64)).sum().backward()
    assert losses(first_steps(interrupted)) == losses(first_steps(start))


def test_a_painting_may_be_any_picture(painting: Path, photos: Path) -> None:
    expected = losses(run(RECIPE, painting, photos, upto=3))
    with Image.open(painting) as picture, painting.open("rb") as file:
        for number, source in enumerate((picture, np.asarray(picture), painting.read_bytes(), file)):
            steps = steps_of(RECIPE, source, photos, photos.parent / f"{number}.pt")
            assert losses(list(itertools.islice(steps, 3))) == expected


def test_a_painting_without_a_file_is_recognised(painting: Path, photos: Path) -> None:
    picture, checkpoint = np.asarray(Image.open(painting)), photos.parent / "checkpoint.pt"
    deque(itertools.islice(steps_of(RECIPE, picture, photos, checkpoint), 3), maxlen=0)
    for other in (picture[::-1], picture.reshape(picture.shape[1], picture.shape[0], 3)):
        with pytest.raises(TrainingError, match=r"^The checkpoint was made with another painting; resume with"):
            next(steps_of(RECIPE, other, photos, checkpoint, resume=True))
    same = Image.fromarray(picture)
    assert [step.step for step in steps_of(RECIPE, same, photos, checkpoint, resume=True)] == [3, 4, 5, 6]


def test_a_feature_network_may_be_named(painting: Path, photos: Path) -> None:
    def first(features: Any) -> TrainingStep:
        return next(train(replace(RECIPE, reconstruction_steps=0), painting, photos, new_network(RECIPE), features))

    assert losses([first("compact")]) == losses([first(load_features("compact"))])


@pytest.mark.parametrize(
    ("wrong", "kind", "says"),
    [
        ({"recipe": "johnson"}, RecipeError, "A recipe is Recipe(architecture='johnson', …), not 'johnson'."),
        ({"style_image": None}, PictureError, "A picture cannot be read from NoneType: give a path, "),
        ({"photos": None}, TrainingError, "There is no folder None; name one that holds photographs to train on."),
        ({"network": "johnson"}, TrainingError, "A network to train is what new_network(recipe) gives, not 'johnson'."),
        (
            {"features": None},
            FeaturesError,
            "There are no features 'None': choose vgg19, compact or a folder that holds ",
        ),
        (
            {"features": "vgg"},
            FeaturesError,
            "There are no features 'vgg': choose vgg19, compact or a folder that holds ",
        ),
    ],
    ids=["recipe", "painting", "photographs", "network", "features", "name of features"],
)
def test_what_a_training_does_not_take_is_a_sentence(
    wrong: dict[str, Any], kind: type[NSTError], says: str, painting: Path, photos: Path
) -> None:
    taken = {"recipe": RECIPE, "style_image": painting, "photos": photos, "network": JohnsonNetwork()}
    with pytest.raises(kind, match=f"^{re.escape(says)}"):
        train(**{**taken, "features": "compact", **wrong})  # at once, not with the first step


def test_a_network_is_made_by_a_recipe() -> None:
    with pytest.raises(RecipeError, match=r"^A recipe is Recipe\(architecture='johnson', …\), not 'johnson'\.$"):
        new_network("johnson")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["architecture", "convention"])
def test_what_a_recipe_names_is_text(name: str) -> None:
    for wrong in (["johnson"], None):
        with pytest.raises(RecipeError, match=f"^The {name} should be a name such as '"):
            Recipe(**{name: wrong})  # type: ignore[arg-type]


def test_the_losses_fall(painting: Path, photos: Path) -> None:
    steps = run(replace(RECIPE, steps=24, reconstruction_steps=0), painting, photos)
    first, last = ([s.total for s in part] for part in (steps[:5], steps[-5:]))
    assert sum(last) < 0.6 * sum(first)
    for s in steps:
        assert s.total == pytest.approx(s.content + s.style + s.total_variation, rel=1e-5)


def test_a_resumed_training_equals_an_uninterrupted_one(painting: Path, photos: Path) -> None:
    whole = list(steps_of(RECIPE, painting, photos, photos.parent / "whole.pt"))
    before = run(RECIPE, painting, photos, upto=3)  # the last checkpoint is of step 2
    after = run(RECIPE, painting, photos, resume=True)
    assert [s.step for s in after] == [3, 4, 5, 6]
    assert losses(before) == losses(whole[:3])
    assert losses(after) == losses(whole[2:])
    assert after[0].seconds > before[1].seconds  # it goes on from the checkpoint's
    assert run(RECIPE, painting, photos, resume=True) == []  # nothing is left to do


def test_resuming_asks_for_the_same_recipe_and_a_checkpoint(painting: Path, photos: Path) -> None:
    with pytest.raises(TrainingError, match=r"^There is no checkpoint .* to resume from: start without resuming\.$"):
        run(RECIPE, painting, photos, resume=True)
    with pytest.raises(TrainingError, match=r"^Resuming takes the checkpoint to continue from: give its file\.$"):
        next(train(RECIPE, painting, photos, JohnsonNetwork(), "compact", resume=True))
    run(RECIPE, painting, photos, upto=3)
    with pytest.raises(TrainingError, match=r"with content_weight [\d.]+, another feature network, seed \d+; resume"):
        run(replace(RECIPE, seed=4, content_weight=9.0), painting, photos, resume=True)
    other = draw(photos.parent / "other.png", 98)
    with pytest.raises(TrainingError, match=r"another painting; resume with the same\.$"):
        run(RECIPE, other, photos, resume=True)
    features, checkpoint = VGG19(last="conv2_1", channels=(8, 8, 8, 8, 8)), photos.parent / "checkpoint.pt"
    with pytest.raises(TrainingError, match=r"another feature network; resume"):
        next(train(RECIPE, painting, photos, JohnsonNetwork(), features, checkpoint, resume=True))


def test_resuming_goes_on_with_the_photographs_that_it_had(painting: Path, photos: Path) -> None:
    whole, checkpoint = losses(run(RECIPE, painting, photos)), photos.parent / "checkpoint.pt"
    checkpoint.unlink()
    run(RECIPE, painting, photos, upto=3)
    draw(photos / "one-more.png", 97)
    kept, gone = checkpoint.read_bytes(), min(photos.iterdir())
    gone.rename(photos.parent / gone.name)
    with pytest.raises(TrainingError, match=rf"began with photographs that are gone: '?{gone.name}'?; put them back"):
        run(RECIPE, painting, photos, resume=True)
    assert checkpoint.read_bytes() == kept
    (photos.parent / gone.name).rename(gone)
    resumed = losses(run(RECIPE, painting, photos, resume=True))
    assert resumed and resumed == whole[-len(resumed) :]


def test_what_it_draws_among_the_photographs_is_nothing_to_learn_from(painting: Path, photos: Path) -> None:
    whole = losses(run(RECIPE, painting, photos))
    training = photos / "my-style" / "training"
    begun = list(itertools.islice(steps_of(RECIPE, painting, photos, training / "checkpoint.pt"), 3))
    draw(training / "sample-000002.png", 7)
    resumed = list(steps_of(RECIPE, painting, photos, training / "checkpoint.pt", resume=True))
    assert [*losses(begun)[:2], *losses(resumed)] == whole


def test_what_other_trainings_drew_and_what_is_hidden_is_no_photograph(photos: Path) -> None:
    for beside, drawn in {
        "a-style/model.safetensors": "a-style/preview.webp",
        "a-style/config.json": "a-style/training/losses.png",
        "b-style/training/losses.csv": "b-style/training/sample-000200.webp",
        "c-style/training/checkpoint.pt": "c-style/training/losses.png",
        ".trash/note": ".trash/0.png",
        ".trash/album/note": ".trash/album/0.png",
        "d-style/README.md": "d-style/0.png",
        "training/note": "training/0.png",
    }.items():
        (photos / beside).parent.mkdir(parents=True, exist_ok=True)
        (photos / beside).touch()
        (photos / drawn).parent.mkdir(exist_ok=True)
        draw(photos / drawn, 7)
    found = [path.relative_to(photos).as_posix() for path in Photographs(photos, RECIPE).paths]
    assert found == [*(f"{seed}.png" for seed in range(5)), "d-style/0.png", "training/0.png"]
    # The folder that was asked for is looked into, whatever it is called or holds.
    for name, there in ((".trash/album", "0.png"), ("a-style", "preview.webp")):
        assert there in {path.name for path in Photographs(photos / name, RECIPE).paths}


def test_a_style_s_network_is_not_trained(painting: Path, photos: Path) -> None:
    frozen = JohnsonNetwork().eval().requires_grad_(False)
    with pytest.raises(TrainingError, match=r"^The network is frozen, .* can be trained\.$"):
        next(train(RECIPE, painting, photos, frozen, VGG19(last="conv2_1", channels=(8, 8, 8, 8, 8))))
    assert not frozen.training


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_is_not_trained(painting: Path, photos: Path, dtype: torch.dtype) -> None:
    with pytest.raises(
        TrainingError, match=r"^The network should be in float32: convert it with network\.float\(\)\.$"
    ):
        next(train(RECIPE, painting, photos, JohnsonNetwork().to(dtype), VGG19(last="conv2_1", channels=5 * (8,))))


def test_what_was_begun_is_not_begun_again(painting: Path, photos: Path) -> None:
    run(RECIPE, painting, photos, upto=3)
    checkpoint = photos.parent / "checkpoint.pt"
    kept = checkpoint.read_bytes()
    with pytest.raises(TrainingError, match=r"begun already, and its checkpoint is .*checkpoint\.pt: resume"):
        run(RECIPE, painting, photos)
    assert checkpoint.read_bytes() == kept


@pytest.mark.parametrize("crop", [66, 67, 69])
def test_squares_of_any_side_are_learned_from(painting: Path, photos: Path, crop: int) -> None:
    steps = run(replace(RECIPE, crop=crop, steps=2, reconstruction_steps=1), painting, photos)
    assert [step.step for step in steps] == [1, 2]


def test_a_checkpoint_of_another_version_is_refused(painting: Path, photos: Path) -> None:
    run(RECIPE, painting, photos, upto=3)
    checkpoint = photos.parent / "checkpoint.pt"
    state = torch.load(checkpoint, weights_only=True)
    torch.save({**state, "optimizer": {"state": {}, "param_groups": []}}, checkpoint)
    with pytest.raises(TrainingError, match="another version of nst_core"):
        run(RECIPE, painting, photos, resume=True)


def test_a_damaged_checkpoint_is_refused(painting: Path, photos: Path) -> None:
    run(RECIPE, painting, photos, upto=3)
    checkpoint = photos.parent / "checkpoint.pt"
    whole = checkpoint.read_bytes()
    state = torch.load(checkpoint, weights_only=True)
    del state["step"]
    torch.save(state, checkpoint)
    for damaged in (checkpoint.read_bytes(), b"", whole[:500], b"not a checkpoint"):
        checkpoint.write_bytes(damaged)
        with pytest.raises(TrainingError, match="cannot be read; delete it to start over"):
            run(RECIPE, painting, photos, resume=True)


def test_a_full_disk_leaves_the_last_checkpoint(painting: Path, photos: Path) -> None:
    run(RECIPE, painting, photos, upto=3)
    checkpoint = photos.parent / "checkpoint.pt"
    before = checkpoint.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(TrainingError, match="intact"):
            run(RECIPE, painting, photos, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert checkpoint.read_bytes() == before
    assert list(photos.parent.glob("*.new")) == []


RECORDED = """
import sys
from pathlib import Path
from nst_core.images import open_picture, to_tensor
from nst_core.training_folder import TrainingFolder
sys.path.append("tests")
from test_training import RECIPE, steps_of

folder = Path(sys.argv[1])
painting, photos = folder / "painting.png", folder / "photos"
record = TrainingFolder(folder / sys.argv[2], painting, open_picture(painting))
resume = record.checkpoint.exists()
for step in record.record(steps_of(RECIPE, painting, photos, record.checkpoint, resume=resume), resume=resume):
    print(step.step, flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_a_training_goes_on_with_the_same_losses(painting: Path, photos: Path) -> None:
    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", RECORDED, str(painting.parent), name]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])

    def rows(name: str) -> list[list[str]]:
        text = (painting.parent / name / "training" / "losses.csv").read_text()
        return [line.split(",")[:-1] for line in text.splitlines()]  # but for the seconds

    assert start("whole").wait(120) == 0
    for last in (1, 4):  # when there is no checkpoint yet, and about when one is being written
        with start("killed") as process:
            assert process.stdout is not None
            for line in process.stdout:
                if int(line) >= last:
                    process.kill()
                    break
        assert process.returncode == -signal.SIGKILL
    # A row may have been half written.
    losses = painting.parent / "killed" / "training" / "losses.csv"
    losses.write_text(losses.read_text() + "6,0.1")
    assert start("killed").wait(120) == 0
    assert rows("killed") == rows("whole")
    assert len(rows("whole")) == 1 + RECIPE.steps


def finish(folder: TrainingFolder, network: torch.nn.Module, **said: Any) -> Style:
    """The style that a training under ``RECIPE`` gives."""
    words = {"features": "made", "warm_start": None, "title": "A Title", "artist": "", "painting": "", "license": ""}
    folder.finish(network, ARCHITECTURES["johnson"], RECIPE, **{**words, "tags": (), **said})
    return Style.open(folder.folder)


def test_a_style_outlives_its_painting_and_may_have_names_that_are_no_text(
    painting: Path, photos: Path, tmp_path: Path
) -> None:
    digest = hashlib.sha256(painting.read_bytes()).hexdigest()
    painting = painting.rename(tmp_path / os.fsdecode(b"pa\xff.png"))
    folder = TrainingFolder(tmp_path / os.fsdecode(b"st\xff"), painting, open_picture(painting))
    network = JohnsonNetwork()
    features = VGG19(last="conv2_1", channels=(8, 8, 8, 8, 8)).requires_grad_(False)
    for _ in folder.record(train(RECIPE, painting, photos, network, features), resume=False):
        painting.unlink(missing_ok=True)
    odd = os.fsdecode(b"a\xffb")
    said = ("features", "warm_start", "registry", "title", "artist", "painting")
    style = finish(folder, network, **dict.fromkeys(said, odd))
    assert (style.title, style.artist) == ("ab", "ab")
    told = style.config.training
    assert (told["style_image"], told["style_image_sha256"], told["features"]) == ("pa.png", digest, "ab")
    card = (folder.folder / "README.md").read_text("utf-8")
    assert "train pa.png --photos photos/ -o st --warm-start ab --registry ab --features ab" in card
    assert "after *ab* by ab.\nThe painting: ab.\n\n```python" in card


@pytest.mark.parametrize(("done", "measured"), [(2, 0), (4, 1), (6, 3)])
def test_the_losses_that_are_told_are_not_those_of_reconstruction(
    done: int, measured: int, painting: Path, photos: Path, tmp_path: Path
) -> None:
    folder = TrainingFolder(tmp_path / "style", painting, open_picture(painting))
    steps = folder.record(steps_of(RECIPE, painting, photos, folder.checkpoint), resume=False)
    last = list(itertools.islice(steps, done))[RECIPE.reconstruction_steps :]
    assert len(last) == measured
    style = finish(folder, JohnsonNetwork())
    card = (folder.folder / "README.md").read_text()
    if measured:
        mean = sum(step.style for step in last) / measured
        assert style.config.metrics["training_style"] == pytest.approx(mean, abs=1e-5)
        steps_told = "1 step" if measured == 1 else f"{measured} steps"
        assert f"`config.json`.\nLosses over the last {steps_told}: content " in card
    else:
        assert style.config.metrics == {} and "Losses over" not in card
    assert "\n\n\n" not in card and "*A Title*.\n\n```python" in card


@pytest.mark.parametrize("lost", [None, b"step\n\xff,1\n1,2,3,4,5,6,wrong\n"])
def test_a_training_goes_on_without_the_losses_that_were_lost(
    lost: bytes | None, painting: Path, photos: Path, tmp_path: Path
) -> None:
    folder = TrainingFolder(tmp_path / "style", painting, open_picture(painting))

    def rows(upto: int | None = None, *, resume: bool = True) -> list[str]:
        steps = steps_of(RECIPE, painting, photos, folder.checkpoint, resume=resume)
        deque(itertools.islice(folder.record(steps, resume=resume), upto), maxlen=0)
        return [line.partition(",")[0] for line in folder.losses.read_text(errors="replace").splitlines()]

    def lose() -> None:
        folder.losses.unlink()
        if lost is not None:
            folder.losses.write_bytes(lost)

    assert rows(3, resume=False) == ["step", "1", "2", "3"]
    lose()
    assert rows() == ["step", "3", "4", "5", "6"]
    lose()
    assert list(folder.record(steps_of(RECIPE, painting, photos, folder.checkpoint, resume=True), resume=True)) == []
    style = finish(folder, JohnsonNetwork())
    assert style.config.metrics == {} and "stopped_after" not in style.config.training
    assert "6 steps of 1 square of" in (folder.folder / "README.md").read_text()


def test_two_trainings_do_not_share_a_folder(painting: Path, photos: Path, tmp_path: Path) -> None:
    def begin(*, resume: bool = False) -> tuple[TrainingFolder, Iterator[TrainingStep]]:
        folder = TrainingFolder(tmp_path / "style", painting, open_picture(painting))
        steps = steps_of(RECIPE, painting, photos, folder.checkpoint, resume=resume)
        return folder, folder.record(steps, resume=resume)

    (folder, first), (_, second) = begin(), begin()
    begun = [next(first)]  # of which there is no checkpoint yet
    kept = folder.losses.read_bytes()
    for other in (second, begin(resume=True)[1]):
        with pytest.raises(TrainingError, match=r"^Another training is running in the folder '.*style': wait for"):
            next(other)
    assert folder.losses.read_bytes() == kept
    assert len([*begun, *first]) == RECIPE.steps
    assert list(begin(resume=True)[1]) == []


def test_losses_that_cannot_be_written_are_a_sentence(painting: Path, photos: Path, tmp_path: Path) -> None:
    folder = TrainingFolder(tmp_path / "style", painting, open_picture(painting))
    folder.losses.mkdir()
    with pytest.raises(NSTError, match=r"^The history 'losses\.csv' could not be written: Is a directory\.$"):
        next(folder.record(steps_of(RECIPE, painting, photos, folder.checkpoint), resume=False))
    with pytest.raises(TrainingError, match=r"^The painting 'gone\.png' cannot be read: No such file or directory\.$"):
        TrainingFolder(tmp_path / "other", tmp_path / "gone.png", open_picture(painting))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("size", [(200, 140), (5200, 3900)])
def test_a_painting_may_be_small_or_large(size: tuple[int, int], painting: Path, photos: Path) -> None:
    draw(painting, 7, size)
    assert len(run(replace(RECIPE, style_size=300), painting, photos, upto=4)) == 4


def test_photographs_are_squares_in_range_and_the_same_again(photos: Path) -> None:
    photographs = Photographs(photos, replace(RECIPE, crop=48))
    for index in range(len(photographs)):
        square = photographs[index]
        assert square.shape == (3, 48, 48)
        assert 0 <= square.min() < square.max() <= 1
        assert torch.equal(square, Photographs(photos, replace(RECIPE, crop=48))[index])
    assert not torch.equal(photographs[0], photographs[5])  # the same photograph an epoch later, or another


def test_odd_photographs_are_taken_and_broken_ones_passed_over(photos: Path, caplog: pytest.LogCaptureFixture) -> None:
    for path in photos.iterdir():
        path.unlink()
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    draw(photos / "tiny.png", 0, (20, 300))
    (photos / "notes.txt").write_text("not a photograph")
    recipe = replace(RECIPE, steps=8)
    with pytest.raises(TrainingError, match=r"^No photograph in the folder '.*photos' could be read\.$"):
        Photographs(photos, recipe)[0]
    draw(photos / "cmyk.jpg", 1, mode="CMYK")
    draw(photos / "grey.png", 2, mode="L")
    Image.fromarray(np.linspace(0, 65535, 80 * 80, dtype=np.uint16).reshape(80, 80)).save(photos / "deep.png")
    draw(photos / "narrow.png", 3, (33, 400))
    photographs = Photographs(photos, recipe)
    squares = [photographs[index] for index in range(len(photographs))]
    assert {square.shape for square in squares} == {(3, 64, 64)}
    assert {path.name for path in photographs.skipped} == {"broken.jpg", "tiny.png"}
    passed_over = [r.getMessage() for r in caplog.records if "tiny.png" in r.getMessage()]
    assert len(passed_over) == 2  # once by each of the two


@pytest.mark.filterwarnings("ignore:This DataLoader will create 8 worker processes")
@pytest.mark.parametrize("device", ["cpu", "cuda"])  # where processes open the photographs
def test_a_refusal_is_a_sentence_whichever_process_refuses(painting: Path, photos: Path, device: str) -> None:
    begun = _Run(RECIPE, painting, photos, new_network(RECIPE), "compact", None)
    begun.device = torch.device(device)
    for path in photos.iterdir():
        path.unlink()
    with pytest.raises(TrainingError, match=r"^No photograph in the folder '.*photos' could be read\.$"):
        next(begun._batches(0))


def test_nothing_to_train_on_is_a_sentence(painting: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TrainingError, match="holds no photograph"):
        run(RECIPE, painting, tmp_path / "empty")
    with pytest.raises(TrainingError, match="no folder"):
        run(RECIPE, painting, tmp_path / "missing")


def test_divergence_stops_it(painting: Path, photos: Path) -> None:
    with pytest.raises(TrainingError, match="stopped being numbers"):
        run(replace(RECIPE, steps=30, reconstruction_steps=0, learning_rate=1e18, warm_up=0.0), painting, photos)


@pytest.mark.slow
def test_a_flat_output_stops_it(painting: Path, photos: Path) -> None:
    # Total variation alone: the smoothest picture is one colour.
    recipe = replace(
        RECIPE,
        steps=200,
        reconstruction_steps=0,
        content_weight=0.0,
        style_weight=0.0,
        total_variation=1e3,
        learning_rate=5e-2,
    )
    with pytest.raises(TrainingError, match="one flat colour"):
        run(recipe, painting, photos)


def test_the_learning_rate_rises_and_falls() -> None:
    recipe = Recipe(steps=105, reconstruction_steps=5, learning_rate=1.0, warm_up=0.1)
    assert [recipe.rate_at(step) for step in range(5)] == [1.0] * 5
    rates = [recipe.rate_at(step) for step in range(5, 105)]
    assert rates[:10] == pytest.approx([0.1 * k for k in range(1, 11)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01
    assert math.isfinite(Recipe(steps=1, reconstruction_steps=0).rate_at(0))
    assert max(map(Recipe(steps=15, reconstruction_steps=0, learning_rate=1.0).rate_at, range(15))) == 1


@pytest.mark.parametrize(
    ("setting", "value", "right"),
    [("seed", 2**63, "from 0 to 9.2"), ("crop", 200_000, "from 16 to 4096"), ("style_size", 4097, "from 16 to 4096")],
)
def test_what_no_machine_can_train_is_refused(setting: str, value: Any, right: str) -> None:
    name = setting.replace("_", " ")
    with pytest.raises(RecipeError, match=f"^The {name} should be a whole number {right}.*, not {value}"):
        Recipe(**{setting: value})


@pytest.mark.parametrize(
    ("setting", "least"),
    [
        *(("steps", 1), ("reconstruction_steps", 0), ("batch_size", 1), ("crop", 16), ("style_size", 16), ("seed", 0)),
        *(("zoom", 1), ("warm_up", 0), ("noise", 0), ("content_focus", 0), ("total_variation", 0)),
        *(("content_weight", 0), ("style_weight", 0), ("learning_rate", 0)),
    ],
)
def test_a_setting_of_a_recipe_goes_down_to_its_least(setting: str, least: int) -> None:
    assert getattr(Recipe(**{setting: least}), setting) == least  # type: ignore[arg-type]
    for less in (least - 1, math.nan, True):
        with pytest.raises(RecipeError, match=f"^The {setting.replace('_', ' ')} should be a .*, not {less}"):
            Recipe(**{setting: less})  # type: ignore[arg-type]


@pytest.mark.parametrize(("setting", "most"), [("crop", 4096), ("style_size", 4096), ("warm_up", 1)])
def test_a_setting_of_a_recipe_goes_up_to_its_most(setting: str, most: int) -> None:
    assert getattr(Recipe(**{setting: most}), setting) == most  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match=f"^The {setting.replace('_', ' ')} should be a .*, not {most + 1}"):
        Recipe(**{setting: most + 1})  # type: ignore[arg-type]


def test_the_largest_seed_trains(painting: Path, photos: Path) -> None:
    assert len(run(replace(RECIPE, seed=2**63 - 1), painting, photos, upto=1)) == 1


def test_noise_is_on_what_the_network_sees_alone(painting: Path, photos: Path) -> None:
    def first(noise: float) -> TrainingStep:
        torch.manual_seed(0)
        recipe = replace(RECIPE, reconstruction_steps=1, noise=noise)
        network = torch.nn.Conv2d(3, 3, 1, bias=False)  # gives back what it sees
        torch.nn.init.dirac_(network.weight)
        features = VGG19(last="conv2_1", channels=(8, 8, 8, 8, 8)).requires_grad_(False)
        return next(train(recipe, painting, photos, network, features))

    assert first(0.0).content == pytest.approx(0, abs=1e-5)  # bfloat16 rounds, where it is used
    assert first(5.1).content == pytest.approx(0.02**2, rel=0.1)  # the square of 5.1 levels of 255


def test_numbers_of_numpy_are_a_recipes_too() -> None:
    recipe = Recipe(steps=np.int64(3), noise=np.float32(0.5))
    assert json.loads(json.dumps(asdict(recipe))) == asdict(Recipe(steps=3, noise=0.5))


def test_a_recipe_of_numpys_numbers_and_text_is_resumed(painting: Path, photos: Path) -> None:
    numbers: dict[str, Any] = {"content_weight": np.float64(0.3), "style_layers": {np.str_("relu2_1"): np.float64(1)}}
    recipe = replace(RECIPE, convention=np.str_("relative"), **numbers)
    run(recipe, painting, photos, upto=3)
    assert [step.step for step in run(recipe, painting, photos, resume=True)] == [3, 4, 5, 6]


def test_layers_of_a_recipe_have_weights() -> None:
    for wrong in (["relu2_2"], {"relu2_2": -1.0}, {"relu2_2": "1"}, {2: 1.0}):
        with pytest.raises(RecipeError, match=r"content layer(s| relu2_2) should be"):
            Recipe(content_layers=wrong)  # type: ignore[arg-type]


def recipe_of(words: list[str], monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """What ``train`` would train with these words."""
    said: dict[str, Recipe] = {}
    app = typer.Typer()
    app.command()(cli_training.train)
    monkeypatch.setattr(training, "new_network", lambda recipe, start: said.update(recipe=recipe) or 1 / 0)
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, ZeroDivisionError)
    return said["recipe"]


@pytest.mark.parametrize(
    "weights",
    [
        {"content_weight": 0, "style_weight": 0},
        {"content_layers": {}, "style_layers": {"relu1_2": 0}},
        {"content_weight": 0, "style_layers": {}},
        {"style_weight": 1e300, "style_layers": {"relu1_2": 1e300}},
    ],
)
def test_weights_of_a_recipe_are_finite_and_not_all_0(weights: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=r"^The weights of content, style and total .* finite and not all 0\.$"):
        Recipe(**weights, total_variation=0)
    assert Recipe(**{**weights, "content_weight": 0, "style_weight": 0}, total_variation=1e-3).total_variation == 1e-3


def test_a_recipe_as_words_of_a_command_line_and_back(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(Recipe(), steps=560, batch_size=2, style_size=512, content_weight=0.8, noise=0.0, seed=7)
    recipe = replace(recipe, reconstruction_steps=20, total_variation=1.23456789, zoom=2, warm_up=0.25)
    recipe = replace(recipe, content_layers={"relu3_1": 0.5}, style_layers={"relu1_1": 1.0, "a=b c": 1e-7})
    assert "--reconstruction-steps" in recipe.options() and "--reconstruction-steps" not in recipe.options(warm=True)
    told = training_command(recipe, "painting.jpg", "out", "vgg19", None)
    assert recipe_of(told[1:], monkeypatch) == recipe
    assert replace(Recipe(), content_layers={}).options() == ["--content-layer", "relu2_2=0"]


EXACT = """import torch
torch.cpu._is_avx512_bf16_supported = torch.cpu._is_amx_tile_supported = lambda: False
from nst_core.cli import main
main()
"""
"""The command line in float32 everywhere: bfloat16 rounds the sums of two halves otherwise than that of the whole."""
SHARED = replace(Recipe(), architecture="johnson-lite", steps=5, reconstruction_steps=2, crop=64, style_size=64)


def two_processes(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``train`` in two processes on CPUs, which accelerate's launcher knows for GPUs alone."""
    pytest.importorskip("accelerate", reason="accelerate is part of the extra train")
    (folder / "exact.py").write_text(EXACT)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command += ["--num_machines", "1", "--mixed_precision", "bf16", "--dynamo_backend", "no"]
    command += ["--main_process_ip", "127.0.0.1", "--main_process_port", "0"]
    command += ["exact.py", "train", "painting.png", "--photos", "photos", "--sample", "photos/0.png"]
    command += ["--features", "compact", *SHARED.options(), *map(str, words)]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_two_processes_train_as_one_does(
    painting: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)

    def alone(checkpoint: Path | None = None) -> Iterator[TrainingStep]:
        network, features = training.new_network(SHARED), load_features("compact")
        return train(SHARED, painting, photos, network, features, checkpoint, checkpoint_every=2)

    whole = list(alone())
    next(itertools.islice(alone(tmp_path / "resumed" / "training" / "checkpoint.pt"), 2, None))
    for out, words, missing in (("new", [], 0), ("resumed", ["--resume"], 2)):
        done = two_processes("-o", out, *words, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines() == [  # each once
            f"{out}/training shows the losses and samples as training goes on.",
            f"{out} is now a style: python -m nst_core stylize PHOTO --style ./{out}",
        ]
        written = np.genfromtxt(tmp_path / out / "training" / "losses.csv", delimiter=",", names=True)
        for column in ("step", "total", "content", "style", "total_variation", "learning_rate"):
            expected = [getattr(step, column) for step in whole[missing:]]
            # Orthogonalising magnifies rounding: another number of threads drifts as far in these five steps.
            np.testing.assert_allclose(written[column], expected, rtol=2e-3, err_msg=column)
            if not missing:
                np.testing.assert_allclose(written[column][:3], expected[:3], rtol=1e-5, err_msg=column)
        assert stylize(open_picture(photos / "0.png"), Style.open(tmp_path / out)).size == (90, 70)


@pytest.mark.slow
def test_two_processes_refuse_once(painting: Path, photos: Path, tmp_path: Path) -> None:
    refused = two_processes("--batch-size", 3, "-o", "odd", folder=tmp_path)
    assert refused.returncode == 1
    told = "2 processes cannot share a batch of 3 equally: choose a batch size of 4.\n"
    assert refused.stderr.count(told) == 1
