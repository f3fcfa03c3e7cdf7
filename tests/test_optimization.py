"""The optimisation from its first step to its last: resuming, stopping, colours, masks, and all it may be given."""

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO
from itertools import count, pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from made_optimization import made_picture, small_network
from PIL import Image

from nst_core.errors import NSTError
from nst_core.features import VGG19, load_features
from nst_core.losses import CONVENTIONS
from nst_core.method import MethodError
from nst_core.optimization import OptimizationError, OptimizationState, OptimizationStep, optimize
from nst_core.optimizers import OPTIMIZERS

NETWORK = small_network()
CONTENT, STYLE, OTHER = made_picture(1), made_picture(2, (56, 72)), made_picture(3)
TWO_SCALES: dict[str, Any] = {"size": 128, "scales": 2, "steps": 24}
SHALLOW: dict[str, Any] = {"content_layers": {"conv1_2": 1.0}, "style_layers": {"conv1_1": 1.0}}


def begin(
    content: Any = CONTENT, styles: Any = STYLE, *, features: VGG19 = NETWORK, **changes: Any
) -> Generator[OptimizationStep, None, None]:
    """A small run that is as exact on every machine, and ends with its last step alone unless told otherwise."""
    settings = {"size": 48, "scales": 1, "steps": 6, "saturation": 0.0, "precision": "exact"}
    return optimize(content, styles, features=features, **{**settings, **changes})


def run(content: Any = CONTENT, styles: Any = STYLE, **changes: Any) -> list[OptimizationStep]:
    return list(begin(content, styles, **changes))


@contextmanager
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def keys(value: Any) -> str:
    """What a test with these changes is called: the same whenever tests are collected."""
    return ",".join(value) if isinstance(value, dict) else str(value)


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), np.int64)


def same(first: OptimizationStep, second: OptimizationStep) -> bool:
    return (
        (first.step, first.total, first.size, first.finished)
        == (second.step, second.total, second.size, second.finished)
        and torch.equal(first.state.point.picture, second.state.point.picture)
        and torch.equal(first.state.best.picture, second.state.best.picture)
    )


def assert_sentence(error: Exception) -> None:
    """One line, one sentence, for a person."""
    sentence = str(error)
    assert sentence.endswith(".") and "\n" not in sentence and ". " not in sentence.replace("…", "")
    assert 20 < len(sentence) < 500 and (sentence[0].isupper() or sentence[0] == "'")


# Going on.


@pytest.mark.parametrize("after", [1, 4])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resumed_is_as_never_interrupted(optimizer: str, after: int, tmp_path: Path) -> None:
    whole = run(optimizer=optimizer)
    resumed = run(optimizer=optimizer, resume=whole[after - 1].state)
    assert len(resumed) == 6 - after and all(map(same, whole[after:], resumed))
    whole[after - 1].state.save(tmp_path / "state")
    loaded = run(optimizer=optimizer, resume=OptimizationState.load(tmp_path / "state"))
    assert all(map(same, whole[after:], loaded))


def test_progress_is_of_the_time_that_it_all_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even of a continued run, and of one that its time ends; every look at the clock is a second later."""
    monkeypatch.setattr(time, "perf_counter", partial(next, count()))
    settings: dict[str, Any] = {**TWO_SCALES, **SHALLOW, "saturation": 0}
    first = run(**settings | {"steps": 12})
    more = run(**settings | {"steps": 24}, resume=first[-1].state)
    short = run(**settings | {"steps": 100, "seconds": 40})
    for steps in (first, more, short):
        told = [step.progress for step in steps]
        assert told == [pytest.approx(step.seconds / (step.seconds + step.remaining)) for step in steps]
        assert told[-1] == 1 and all(later > 0.8 * earlier for earlier, later in pairwise(told))
    assert more[0].progress > 0.4 and short[len(short) // 2].progress > 0.3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resumed_is_as_never_interrupted_across_scales(optimizer: str, tmp_path: Path) -> None:
    settings = {"optimizer": optimizer, **TWO_SCALES, **SHALLOW}
    whole = run(**settings)
    border = next(number for number, step in enumerate(whole) if step.size == (128, 128))
    assert 4 < border < 23 and whole[border - 1].size == (64, 64)
    for after in (border - 2, border + 2, border):  # in the coarse scale, in the fine, and just between the two
        whole[after - 1].state.save(tmp_path / "state")
        resumed = run(resume=OptimizationState.load(tmp_path / "state"), **settings)
        assert len(resumed) == 24 - after and all(map(same, whole[after:], resumed))


# A network that drafts.


def test_a_draft_comes_first_and_the_losses_are_the_network_s_in_the_end() -> None:
    draft = small_network(1, channels=(4, 4, 4, 4, 4))
    steps = run(draft=draft, steps=30)
    assert [step.step for step in steps] == list(range(1, 31))
    alone = begin(start=steps[13].picture, optimizer="sgd", learning_rate=1e-6, steps=1)
    under_draft = begin(start=steps[13].picture, optimizer="sgd", learning_rate=1e-6, steps=1, features=draft)
    # Up to rounding to 8 bits, the 14th step's losses are those under the draft, the last one's those under the other.
    assert steps[13].total == pytest.approx(next(under_draft).total, rel=0.1)
    assert steps[13].total != pytest.approx(next(alone).total, rel=0.1)
    last = begin(start=steps[-1].picture, optimizer="sgd", learning_rate=1e-6, steps=1)
    assert steps[-1].total == pytest.approx(next(last).total, rel=0.1)


@pytest.mark.parametrize("after", [7, 15, 22])
def test_a_draft_is_resumed_as_never_interrupted(after: int) -> None:
    draft = small_network(1, channels=(4, 4, 4, 4, 4))
    whole = run(draft=draft, steps=30)
    resumed = run(draft=draft, steps=30, resume=whole[after - 1].state)
    assert len(resumed) == 30 - after and all(map(same, whole[after:], resumed))
    with pytest.raises(OptimizationError, match="draft"):
        run(steps=30, resume=whole[after - 1].state)
    with pytest.raises(OptimizationError, match=r"differs in draft network\.$"):
        run(steps=30, draft=small_network(2, channels=(4, 4, 4, 4, 4)), resume=whole[after - 1].state)


@pytest.mark.parametrize(("features", "draft"), [("compact", "compact"), (NETWORK, small_network())])
def test_a_network_is_not_its_own_draft(features: Any, draft: Any) -> None:
    with pytest.raises(MethodError, match="The draft is the feature network itself: choose a cheaper one"):
        run(features=features, draft=draft)


def test_coarse_to_fine_keeps_the_photograph_s_detail() -> None:
    """What a coarser scale changed is carried over: where it changed nothing, the finer begins with the photograph."""
    steps = run(**TWO_SCALES, **SHALLOW, optimizer="sgd", learning_rate=1e-6, content=made_picture(4, (128, 128)))
    first = next(step for step in steps if step.size == (128, 128))
    assert np.abs(pixels(first.picture) - pixels(made_picture(4, (128, 128)))).max() <= 1


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode, partial(torch.autocast, "cpu"), float64])
def test_what_is_around_it_is_the_caller_s_business(around: Callable[[], AbstractContextManager[Any]]) -> None:
    expected = run(init="noise", steps=3)
    with around():
        steps = begin(init="noise", steps=3)
        for one in expected:
            assert same(next(steps), one)
            assert torch.is_grad_enabled() is (around not in (torch.no_grad, torch.inference_mode))
        steps.close()


def test_a_feature_network_outlives_inference_mode() -> None:
    expected, drawn = run(features=load_features("compact"), steps=2), torch.random.get_rng_state()
    with torch.inference_mode():
        network = load_features("compact")
        assert same(run(features=network, steps=2)[-1], expected[-1])
    assert same(run(features=network, steps=2)[-1], expected[-1])
    with float64():
        assert same(run(features="compact", steps=2)[-1], expected[-1])
    assert torch.equal(drawn, torch.random.get_rng_state())


def test_a_state_is_read_in_inference_mode_too(tmp_path: Path) -> None:
    draft = small_network(1, channels=(4, 4, 4, 4, 4))
    whole = run(draft=draft)
    (drafted,) = (step for step in whole[:-1] if step.state.ended)  # what comes next begins with its picture
    drafted.state.save(tmp_path / "state")
    with torch.inference_mode():
        resumed = run(draft=draft, resume=OptimizationState.load(tmp_path / "state"))
    assert resumed and all(map(same, whole[drafted.step :], resumed))


def test_what_there_is_no_memory_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = made_picture(1, (400, 300))
    monkeypatch.setattr("nst_core.memory.free_memory", lambda: 10**9)
    with pytest.raises(
        NSTError, match=r"^To optimise 4096 × 3072 px takes about 65\.6 GB .* but only 1\.0 GB are free"
    ):
        optimize(content, STYLE, features=load_features("compact"), size=4096)
    with pytest.raises(NSTError, match="choose a smaller size or strokes"):
        optimize(content, STYLE, features=load_features("compact"), size=256, style_size=8)
    begin(content, size=256)
    monkeypatch.setattr("nst_core.memory.free_memory", lambda: None)  # the system does not say
    optimize(content, STYLE, features=load_features("compact"), size=4096)


def test_a_mask_without_a_place_is_refused() -> None:
    for nowhere in (Image.new("L", (8, 8)), Image.new("RGBA", (8, 8), (255, 255, 255, 0))):
        with pytest.raises(NSTError, match="black all over"):
            run(masks=nowhere)
        assert run(styles=[STYLE, OTHER], masks=[nowhere, None], steps=1)


def test_the_content_of_a_file_may_be_of_any_kind_of_bytes() -> None:
    file = BytesIO()
    STYLE.save(file, "PNG")
    expected = run(steps=1)[0].total
    for kind in (bytes, bytearray, memoryview):
        assert run(styles=kind(file.getvalue()), steps=1)[0].total == expected


def test_one_mask_is_a_list_of_one(tmp_path: Path) -> None:
    mask = Image.linear_gradient("L")
    mask.save(tmp_path / "mask.png")
    [*_, listed] = run(masks=[mask], steps=2)
    assert same(run(masks=mask, steps=2)[-1], listed)
    assert same(run(masks=tmp_path / "mask.png", steps=2)[-1], listed)
    assert same(run(np.asarray(CONTENT), np.asarray(STYLE), masks=np.asarray(mask), steps=2)[-1], listed)
    with (tmp_path / "mask.png").open("rb") as file:
        assert same(run(masks=file, steps=2)[-1], listed)


def test_a_state_of_another_version_says_what_differs() -> None:
    *_, last = run(steps=2)
    state = replace(last.state, asked={**last.state.asked, "gone": 1})
    with pytest.raises(OptimizationError, match="differs in gone"):
        begin(steps=4, resume=state)


def test_a_state_is_not_changed_by_going_on() -> None:
    state = run()[1].state
    assert all(map(same, run(resume=state), run(resume=state)))


@pytest.mark.parametrize(("before", "after"), [(12, 36), (24, 12), (24, 40), (100, 9)])
@pytest.mark.parametrize("stopped", [3, 12, 20])
def test_steps_may_be_other_upon_resume(before: int, after: int, stopped: int) -> None:
    scales = TWO_SCALES | {"features": small_network(last="conv2_2", channels=(2, 2, 2, 2, 2))} | SHALLOW
    steps = begin(**{**scales, "steps": before})
    state = next(step for step in steps if step.step == min(stopped, before)).state
    if state.step >= after:
        with pytest.raises(OptimizationError, match=f"^The run to continue ended after {state.step} steps and "):
            run(resume=state, **{**scales, "steps": after})
    else:
        resumed = run(resume=state, **{**scales, "steps": after})
        assert [step.step for step in resumed] == list(range(state.step + 1, after + 1))
        assert resumed[-1].finished == "steps" and resumed[-1].size == (128, 128)


def test_seconds_and_saturation_may_be_other_upon_resume() -> None:
    state = run()[-1].state
    assert run(resume=state, steps=8, seconds=1e6, saturation=1e-9)[-1].step == 8
    with pytest.raises(OptimizationError, match="allow more steps, or seconds"):
        run(resume=replace(state, seconds=2.0), steps=8, seconds=2.0)


def test_goes_on_after_it_was_saturated() -> None:
    saturated = run(steps=60, saturation=0.5)[-1]
    assert saturated.finished == "saturated" and saturated.step < 30
    again = run(steps=60, saturation=0.5, resume=saturated.state)
    assert len(again) >= 10 and again[-1].total < saturated.total
    further = run(steps=40, resume=saturated.state)
    assert further[-1].step == 40 and further[-1].finished == "steps"


@pytest.mark.parametrize(
    "other",
    [
        {"content": OTHER},
        {"styles": OTHER},
        {"styles": [STYLE, OTHER]},
        {"content_weight": 0.4},
        {"style_layers": {"conv1_1": 1.0}},
        {"optimizer": "adam"},
        {"size": 56},
        {"seed": 1},
        {"masks": [Image.new("L", (4, 4), 255)]},
        {"color": "matched"},
    ],
    ids=keys,
)
def test_a_state_of_another_run_is_refused_at_once(other: dict[str, Any]) -> None:
    state = next(begin()).state
    with pytest.raises(OptimizationError) as refused:
        begin(resume=state, **other)
    assert_sentence(refused.value)


def test_paintings_weights_belong_to_a_run() -> None:
    state = next(begin(styles=[STYLE, OTHER], weights=[1, 0])).state
    with pytest.raises(OptimizationError):
        begin(styles=[STYLE, OTHER], weights=[0, 1], resume=state)
    next(begin(styles=[STYLE, OTHER], weights=[np.float32(2), 0], resume=state))  # the same, said otherwise


def test_masks_are_told_apart_by_their_painting() -> None:
    mask = Image.new("L", (8, 8), 255)
    state = next(begin(styles=[STYLE, STYLE], masks=[mask, None])).state
    with pytest.raises(OptimizationError):
        begin(styles=[STYLE, STYLE], masks=[None, mask], resume=state)


def test_pictures_are_told_apart_by_their_shape() -> None:
    state = next(begin(Image.new("RGB", (40, 20)), **SHALLOW)).state
    with pytest.raises(OptimizationError):
        begin(Image.new("RGB", (20, 40)), **SHALLOW, resume=state)


def test_numbers_of_numpy_can_be_saved(tmp_path: Path) -> None:
    next(begin(content_weight=np.float64(0.3), style_weight=np.float64(2))).state.save(tmp_path / "state")
    assert OptimizationState.load(tmp_path / "state").step == 1


def test_a_state_is_saved_without_copies_of_its_pictures(tmp_path: Path) -> None:
    state = next(begin(**SHALLOW)).state
    replace(state, best=state.point, optimizer=[]).save(tmp_path / "state")
    with ZipFile(tmp_path / "state") as file:
        assert len([name for name in file.namelist() if "/data/" in name]) == 2  # one picture, one gradient


@pytest.mark.parametrize("name", ["nowhere/state", "n" * 300, "a\ud800b", None])
def test_a_state_that_cannot_be_written_is_told_in_a_sentence(name: Any, tmp_path: Path) -> None:
    state = next(begin(**SHALLOW)).state
    with pytest.raises(OptimizationError, match=r"could not be written to '.*[^.]\.$"):
        state.save(name and tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x80\x02]q\x00.", "cut", "list", "other", "wrong"])
def test_what_is_no_state_is_refused(content: bytes | str, tmp_path: Path) -> None:
    path = tmp_path / "state"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "cut":  # of the format before PyTorch 1.6
        torch.save({"step": torch.zeros(9)}, path, _use_new_zipfile_serialization=False)
        path.write_bytes(path.read_bytes()[:-38])
    else:
        made: dict[str, Any] = {"list": [1], "other": {"step": 1}, "wrong": {"point": {}, "best": {}}}
        torch.save(made[content], path)
    with pytest.raises(OptimizationError) as refused:
        OptimizationState.load(path)
    assert_sentence(refused.value)


def test_a_state_that_is_not_there_or_has_nowhere_to_go(tmp_path: Path) -> None:
    with pytest.raises(OptimizationError):
        OptimizationState.load(tmp_path / "nothing")
    with pytest.raises(OptimizationError):
        next(begin()).state.save(tmp_path / "nowhere" / "state")


# Where it starts, and that it is the same every time.


@pytest.mark.parametrize("init", ["noise", "content", "style"])
def test_the_same_seed_makes_the_same_picture(init: str) -> None:
    first, second = (run(init=init, seed=5, steps=3)[-1] for _ in range(2))
    assert same(first, second)


def test_another_seed_makes_another_picture_from_noise_alone() -> None:
    first, second = (pixels(run(init="noise", seed=seed)[-1].picture) for seed in (0, 1))
    assert np.abs(first - second).mean() > 10
    first, second = (pixels(run(init="content", seed=seed)[-1].picture) for seed in (0, 1))
    assert np.array_equal(first, second)


def first_picture(**changes: Any) -> np.ndarray:
    """What it starts from: SGD's first step is as long as it is told."""
    return pixels(next(begin(optimizer="sgd", learning_rate=1e-6, **changes)).picture)


def test_it_starts_from_the_picture_that_was_asked_for() -> None:
    size = (48, 48)
    assert np.abs(first_picture(init="content") - pixels(CONTENT.resize(size, Image.Resampling.LANCZOS))).max() <= 1
    assert np.abs(first_picture(init="style") - pixels(STYLE.resize(size, Image.Resampling.LANCZOS))).max() <= 1
    start = OTHER.resize((31, 90))
    for init in ("noise", "style"):
        here = first_picture(init=init, start=start)
        assert np.abs(here - pixels(start.resize(size, Image.Resampling.LANCZOS))).max() <= 1
    noise = first_picture(init="noise")
    assert noise.min() < 10 and noise.max() > 245 and noise.std() == pytest.approx(255 / math.sqrt(12), rel=0.05)
    neighbours = np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]
    assert abs(neighbours) < 0.1


# What it minimises.


@pytest.mark.parametrize(
    ("optimizer", "factor"), [("lbfgs", 1e-12), ("lbfgs", 1e12), ("lbfgs", 1e30), ("adam", 1e30), ("sgd", 1e30)]
)
def test_a_factor_of_all_weights_does_not_matter(optimizer: str, factor: float) -> None:
    plain, scaled = (
        run(
            optimizer=optimizer,
            init="noise",
            content_weight=0.3 * weight,
            style_weight=weight,
            total_variation=0.1 * weight,
        )
        for weight in (1.0, factor)
    )
    assert np.abs(pixels(plain[-1].picture) - pixels(scaled[-1].picture)).max() <= 3
    assert [step.total * factor for step in plain] == pytest.approx([step.total for step in scaled], rel=1e-2)


@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_losses_fall_and_pictures_stay_within_0_to_1(optimizer: str, convention: str) -> None:
    steps = run(optimizer=optimizer, convention=convention, init="noise", steps=12, total_variation=0.01)
    for step in steps:
        picture = step.state.point.picture
        assert picture.min() >= 0 and picture.max() <= 1 and math.isfinite(step.total)
        assert step.total == pytest.approx(step.content + step.style + step.total_variation, rel=1e-4)
        parts = [sum(v for k, v in step.layers.items() if k.startswith(kind)) for kind in ("content/", "style/")]
        assert parts == pytest.approx([step.content, step.style], rel=1e-4)
    assert steps[-1].total < 0.8 * steps[0].total


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_learning_rate_too_high_ends_in_a_picture_too(optimizer: str) -> None:
    steps = run(optimizer=optimizer, learning_rate=10)
    assert all(math.isfinite(step.total) for step in steps)
    assert all(step.state.point.picture.min() >= 0 and step.state.point.picture.max() <= 1 for step in steps)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_from_the_content_it_gets_better(optimizer: str) -> None:
    """With the settings that everybody has."""
    steps = run(optimizer=optimizer, steps=40)
    start = run(optimizer="sgd", learning_rate=1e-6, steps=1)[0].total
    assert steps[-1].total < start


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_content_that_outweighs_everything_stays_as_it_is(optimizer: str) -> None:
    content = pixels(CONTENT.resize((48, 48), Image.Resampling.LANCZOS))
    step = run(optimizer=optimizer, content_weight=1e30, style_weight=1, steps=12)[-1]
    assert np.abs(pixels(step.best) - content).mean() < 2
    assert np.abs(pixels(step.picture) - content).mean() < 10


def test_a_stage_begins_with_the_best_of_the_one_before() -> None:
    good = run(steps=60)[-1]
    wild = run(start=good.picture, draft=small_network(1), optimizer="adam", learning_rate=0.5, steps=8)
    assert wild[0].total > 2 * good.total
    assert wild[-1].state.best.total < 1.05 * good.total  # its pixels were rounded


def test_best_is_the_lowest_so_far() -> None:
    totals: list[float] = []
    different = 0
    for step in begin(optimizer="adam", learning_rate=0.5, init="noise", steps=15):
        totals.append(step.total)
        assert step.state.best.total <= min(totals)
        assert step.state.best.total in totals or step.state.best.total < min(totals)  # the start may be the best
        different += step.state.best.total < step.total
        if step.state.best is step.state.point:
            assert np.array_equal(pixels(step.best), pixels(step.picture))
    assert different, "steps as long as these do not only go down"


def test_a_style_without_weight_is_as_none() -> None:
    alone = run()
    both = run(styles=[STYLE, OTHER], weights=(1, 0))
    assert [step.total for step in both] == [step.total for step in alone]
    assert np.array_equal(pixels(both[-1].picture), pixels(alone[-1].picture))
    other = run(styles=[STYLE, OTHER], weights=(0, 3.5))
    assert [step.total for step in other] == [step.total for step in run(styles=OTHER)]


def test_weights_of_paintings_are_shares() -> None:
    first, second = (run(styles=[STYLE, OTHER], weights=weights) for weights in (None, (7, 7)))
    assert all(map(same, first, second))
    third = run(styles=[STYLE, STYLE], weights=(0.2, 0.6))
    assert third[-1].total == pytest.approx(run()[-1].total, rel=1e-3)


def test_a_masked_style_acts_where_the_mask_is_white() -> None:
    mask = Image.new("L", (10, 10))
    mask.paste(255, (0, 0, 5, 10))
    settings: dict[str, Any] = {**SHALLOW, "content_layers": {}, "optimizer": "sgd", "steps": 3}
    content = pixels(CONTENT.resize((48, 48), Image.Resampling.LANCZOS))
    change = np.abs(pixels(run(**settings, masks=[mask])[-1].picture) - content).max((0, 2))
    assert change[:20].min() > 0 and not change[26:].any()  # conv1_1 reaches one pixel
    everywhere, white = run(**settings), run(**settings, masks=[Image.new("1", (3, 700), 1)])
    np.testing.assert_allclose(pixels(everywhere[-1].picture), pixels(white[-1].picture), atol=1)


def test_two_styles_share_a_picture_out() -> None:
    left = Image.new("L", (48, 48))
    left.paste(255, (0, 0, 24, 48))
    right = left.point(lambda value: 255 - value)
    red, blue = (Image.new("RGB", (48, 48), color) for color in ((200, 60, 60), (60, 60, 200)))
    settings = {**SHALLOW, "content_weight": 1e-3, "steps": 30, "init": "noise", "style_layers": {"relu1_2": 1.0}}
    picture = pixels(run(styles=[red, blue], masks=[left, right], **settings)[-1].picture)
    swapped = pixels(run(styles=[red, blue], masks=[right, left], **settings)[-1].picture)
    redder = picture[..., 0] - picture[..., 2] - (swapped[..., 0] - swapped[..., 2])
    assert redder[:, :20].mean() > 20 and redder[:, 28:].mean() < -20


def test_painting_of_another_size_and_strokes() -> None:
    fine, coarse = (run(style_size=size)[-1] for size in (0.5, 2.0))
    assert fine.size == coarse.size == (48, 48)
    assert np.abs(pixels(fine.picture) - pixels(coarse.picture)).mean() > 0.5


# When it stops.


def test_steps_are_exact_across_scales() -> None:
    for steps in (1, 19, 20, 33):
        network = small_network(last="conv2_2", channels=(2, 2, 2, 2, 2))
        seen = run(features=network, **SHALLOW, size=256, scales=3, steps=steps)
        assert [step.step for step in seen] == list(range(1, steps + 1))
        assert [step.finished for step in seen] == [None] * (steps - 1) + ["steps"]
        sizes = [max(step.size) for step in seen]
        assert sizes == sorted(sizes) and sizes[-1] == 256, "coarse to fine, and the fine is what one gets to see"
        assert set(sizes) == ({256} if steps == 1 else {64, 128, 256})


def test_coarse_to_fine_keeps_what_the_coarse_scale_found() -> None:
    steps = run(**TWO_SCALES, init="noise")
    border = next(number for number, step in enumerate(steps) if step.size == (128, 128))
    small = steps[border - 1].picture.resize((128, 128), Image.Resampling.BICUBIC)
    assert np.abs(pixels(small) - pixels(steps[border].picture)).mean() < 12


def test_seconds_stop_it() -> None:
    began = time.perf_counter()
    steps = run(seconds=0.5, steps=100_000)
    assert steps[-1].finished == "time" and all(step.finished is None for step in steps[:-1])
    assert 0.5 <= steps[-1].seconds < time.perf_counter() - began + 0.01
    assert len(steps) == 1 or steps[-2].seconds < 0.5
    further = steps[-1].seconds + 0.1
    assert run(seconds=further, steps=100_000, resume=steps[-1].state)[-1].finished == "time"


def test_once_time_is_up_there_is_one_step_at_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"size": 256, "scales": 3, "draft": small_network(1), "steps": 100}
    monkeypatch.setattr(time, "perf_counter", partial(next, count(step=5)))
    steps = run(made_picture(1, (200, 200)), seconds=0.1, **settings)
    assert [step.size for step in steps] == [(64, 64), (256, 256)]
    assert steps[-1].finished == "time" and steps[-1].progress == 1


def test_seconds_leave_time_for_the_last_scale() -> None:
    steps = run(seconds=1.0, **{**TWO_SCALES, "steps": 100_000})
    assert steps[-1].finished == "time" and steps[-1].size == (128, 128)
    assert steps[-1].seconds < 3


def test_saturation_stops_it() -> None:
    steps = run(saturation=0.2, steps=500)
    assert steps[-1].finished == "saturated" and len(steps) < 200
    totals = [step.total for step in steps]
    assert totals[-11] - min(totals[-10:]) < 0.2 * totals[-11]
    assert totals[-12] - min(totals[-11:-1]) >= 0.2 * totals[-12], "no earlier than that"


def test_a_coarse_scale_that_is_saturated_makes_room_for_the_next() -> None:
    steps = run(saturation=0.9, **{**TWO_SCALES, "steps": 200})
    sizes = [max(step.size) for step in steps]
    assert sizes.count(64) < 40 and steps[-1].finished == "saturated" and steps[-1].size == (128, 128)
    assert all(step.finished is None for step in steps[:-1])


@pytest.mark.parametrize(
    "changes", [{}, TWO_SCALES, {"seconds": 0.4, "steps": 100_000}, {"saturation": 0.9, "steps": 100}], ids=str
)
def test_what_remains_goes_to_nothing(changes: dict[str, Any]) -> None:
    steps = run(**changes)
    assert all(step.remaining >= 0 and math.isfinite(step.remaining) for step in steps)
    assert all(step.remaining > 0 for step in steps[:-1]) and steps[-1].remaining == 0


def test_seconds_only_grow() -> None:
    state = run(steps=3)[-1].state
    seconds = [step.seconds for step in run(steps=6, resume=state)]
    assert seconds == sorted(seconds) and seconds[0] > state.seconds


def test_a_start_that_cannot_be_bettered_is_the_result() -> None:
    step = run(CONTENT, CONTENT)[-1]
    assert (step.finished, step.total, step.step) == ("saturated", 0, 1)
    assert np.array_equal(pixels(step.picture), pixels(CONTENT.resize((48, 48), Image.Resampling.LANCZOS)))


# Colours and transparency.


def test_luminance_keeps_the_photographs_chroma() -> None:
    step = run(color="photo")[-1]
    photo, painted = pixels(step.photo), pixels(step.picture)
    change = painted - photo
    within = ((painted > 0) & (painted < 255)).all(2)
    assert within.mean() > 0.5 and np.abs(change).max() > 5
    assert (change[within].max(1) - change[within].min(1)).max() == 0
    assert np.array_equal(pixels(step.best) - pixels(step.photo), change) or step.state.best is not step.state.point


def test_the_photographs_colours_make_a_painting_of_those() -> None:
    blue = Image.fromarray((pixels(CONTENT) * [0.2, 0.3, 1.0]).astype(np.uint8))
    orange = Image.fromarray((pixels(STYLE) * [1.0, 0.5, 0.1]).astype(np.uint8))
    plain, kept = (
        pixels(run(blue, orange, color=color, content_weight=0.0, steps=15)[-1].picture).mean((0, 1))
        for color in ("style", "matched")
    )
    wanted = pixels(blue).mean((0, 1))
    assert np.abs(kept - wanted).max() < 0.6 * np.abs(plain - wanted).max()


def test_the_contents_transparency_is_the_results() -> None:
    content = CONTENT.copy()
    alpha = Image.linear_gradient("L").resize(content.size)
    content.putalpha(alpha)
    for color in ("style", "photo"):
        for step in run(content, color=color, **SHALLOW, **TWO_SCALES)[::23]:
            wanted = content.resize(step.size, Image.Resampling.LANCZOS).getchannel("A")
            assert step.picture.mode == step.best.mode == "RGBA"
            assert step.picture.getchannel("A").tobytes() == wanted.tobytes()
    assert run()[-1].picture.mode == "RGB"


@pytest.mark.parametrize("color", ["style", "photo", "matched"])
@pytest.mark.parametrize("side", [48, 60])
def test_colours_that_cannot_be_seen_do_not_matter(color: str, side: int) -> None:
    totals = []
    for hidden in ((255, 0, 0), (0, 60, 255)):
        painting = made_picture(4, (side, side))
        painting.putalpha(255)
        painting.paste((*hidden, 0), (0, 0, side, side // 2))
        totals.append([step.total for step in run(styles=painting, color=color, steps=3)])
    assert totals[0] == pytest.approx(totals[1], rel=1e-6)


@pytest.mark.parametrize(("place", "init"), [("content", "content"), ("styles", "style"), ("start", "content")])
def test_colours_that_cannot_be_seen_begin_nothing(place: str, init: str) -> None:
    totals = []
    for hidden in ((255, 0, 0), (0, 60, 255)):
        picture = CONTENT.copy()
        picture.putalpha(255)
        picture.paste((*hidden, 0), (0, 0, picture.width, picture.height // 2))
        steps = run(**{place: picture}, init=init, size=max(CONTENT.size), steps=2)
        totals.append([step.total for step in steps])
    assert totals[0] == totals[1]


# Whatever it may be given: a result, or one sentence.


def made(color: tuple[int, ...] | None = None, size: tuple[int, int] = (40, 40), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, color) if color else made_picture(9, size).convert(mode)


PICTURES = {
    "black": made((0, 0, 0)),
    "white": made((255, 255, 255)),
    "one colour": made((90, 140, 30)),
    "transparent": made((90, 140, 30, 0), mode="RGBA"),
    "half transparent": made((90, 140, 30, 128), mode="RGBA"),
    "8 px": made(size=(8, 8)),
    "1 px": made(size=(1, 1)),
    "wide": made(size=(500, 1)),
    "high": made(size=(1, 500)),
    "grey": made(mode="L"),
    "bits": made(mode="1"),
    "palette": made(mode="P"),
    "CMYK": made(mode="CMYK"),
}


def a_result_or_a_sentence(*arguments: Any, **changes: Any) -> OptimizationStep | None:
    try:
        steps = run(*arguments, steps=3, **changes)
    except NSTError as refused:
        assert_sentence(refused)
        return None
    for step in steps:
        assert math.isfinite(step.total) and step.total >= 0
        assert step.state.point.picture.isfinite().all()
        assert step.picture.size == step.size and step.picture.mode == step.best.mode
    return steps[-1]


@pytest.mark.parametrize("name", PICTURES)
def test_every_content(name: str) -> None:
    content = PICTURES[name]
    for changes in ({}, {"init": "noise", **SHALLOW}, {"color": "matched"}, {"color": "photo", "size": 64}):
        step = a_result_or_a_sentence(content, **changes)
        assert step or name in ("wide", "high"), "only what is too thin for a layer may be refused"


@pytest.mark.parametrize("name", PICTURES)
def test_every_painting(name: str) -> None:
    for changes in ({}, {"init": "style", **SHALLOW}, {"color": "matched"}, {"color": "photo", "size": 64}):
        step = a_result_or_a_sentence(CONTENT, PICTURES[name], **changes)
        assert step or name in ("wide", "high", "transparent")
        # The losses of "relative" are about 1 for a picture that is nothing like it; random layers are far apart.
        assert not step or step.total < 1e6


@pytest.mark.parametrize("name", PICTURES)
def test_every_start_and_mask(name: str) -> None:
    assert a_result_or_a_sentence(start=PICTURES[name])
    assert a_result_or_a_sentence(masks=[PICTURES[name]]) or name in ("black", "transparent")


def test_huge_pictures() -> None:
    huge = Image.linear_gradient("L").resize((6000, 4000))
    step = a_result_or_a_sentence(huge, huge, masks=[huge], start=huge, size=64, **SHALLOW)
    assert step and step.size == (64, 43)


@pytest.mark.parametrize("name", ["wide", "high"])
def test_a_picture_one_pixel_thin_is_optimised_where_the_layers_allow(name: str) -> None:
    step = a_result_or_a_sentence(PICTURES[name], **SHALLOW)
    assert step and min(step.size) == 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("content_weight", [0, 1e-30, 1, 1e30])
@pytest.mark.parametrize("style_weight", [0, 1e-30, 1e300])
def test_every_pair_of_weights(optimizer: str, content_weight: float, style_weight: float) -> None:
    step = a_result_or_a_sentence(
        optimizer=optimizer, content_weight=content_weight, style_weight=style_weight, init="noise", size=32
    )
    assert bool(step) == (content_weight + style_weight > 0)


@pytest.mark.parametrize(
    "changes",
    [
        *({"content_weight": weight} for weight in (-1, math.nan, math.inf, True, "1", None)),
        *({"style_layers": layers} for layers in ({"relu9_9": 1.0}, {"": 1.0}, {"conv1_x": 1.0}, {"pool1": 1.0})),
        {"style_layers": {"conv1_1": -1.0}},
        {"content_layers": ["conv1_1"]},
        {"content_layers": {}, "style_layers": {}},
        {"content_layers": {}, "style_layers": {}, "total_variation": 1.0},
        {"content_weight": 0, "style_weight": 0},
        *({"method": method} for method in ("", "gatys", "QUICK", None, 3, ["quick"])),
        {"step": 3},
        {"Steps": 3, "sead": 1},
        {"optimizer": "rmsprop"},
        *({"convention": convention} for convention in ("", "gatys2015", None, 3)),
        *({"styles": styles} for styles in ([], [STYLE, None], [3], None, 3)),
        {"content": None},
        *({"weights": weights} for weights in ([0], [-1], [math.nan], [math.inf], [], [1, 1], [1, 2, 3])),
        {"styles": [STYLE, OTHER], "weights": [1e308, 1e308]},
        {"styles": [STYLE, OTHER], "weights": [2, -1]},
        {"weights": object()},
        {"styles": [STYLE, OTHER], "weights": 1},
        *({"masks": masks} for masks in ([], [None, None], [3], 3, [STYLE, OTHER, None])),
        {"start": 3},
        {"size": 4},
        {"size": 8},
        *({"features": features} for features in ("vgg20", None, 3, torch.nn.Conv2d(3, 3, 1))),
        *({"draft": draft} for draft in ("vgg20", 3)),
    ],
    ids=keys,
)
def test_what_makes_no_sense_is_refused_in_one_sentence(changes: dict[str, Any]) -> None:
    with pytest.raises(NSTError) as refused:
        run(**changes)
    assert_sentence(refused.value)


@pytest.mark.parametrize(
    ("changes", "right"),
    [
        ({"method": "gatys"}, "quick"),
        ({"step": 3}, "steps"),
        ({"optimizer": "rmsprop"}, "adam"),
        ({"convention": "gatys2015"}, "johnson"),
        ({"style_layers": {"relu9_9": 1.0}}, "relu1_1"),
        ({"features": "vgg20"}, "compact"),
        ({"features": None}, "There are no features 'None': choose vgg19, compact or a folder"),
        ({"styles": []}, "at least one"),
        ({"styles": None}, "A picture cannot be read from NoneType: give a path"),
        ({"method": None}, "There is no method None: choose one of quick"),
        (
            {"styles": [STYLE, OTHER], "weights": 1},
            "The numbers of paintings, weights and masks should be equal, not 2, 1 and 2",
        ),
    ],
    ids=keys,
)
def test_a_refusal_says_what_would_be_right(changes: dict[str, Any], right: str) -> None:
    with pytest.raises(NSTError, match=right):
        run(**changes)


def test_a_layer_that_nothing_stands_for_is_not_said_to_be_replaced(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NSTError):
        run(style_layers={"relu9_9": 1.0})
    assert "nearest" not in caplog.text


def test_what_neither_of_two_networks_gives_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    other = load_features("compact")
    next(other.parameters()).add_(1)
    optimize(CONTENT, STYLE, features="compact", draft=other, style_layers={"conv3_3": 1.0})
    assert caplog.text.count("has no conv3_3") == 1


def test_layers_that_others_stand_for_are_a_warning_where_the_caller_named_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    small: dict[str, Any] = {"size": 48, "scales": 1, "steps": 1}
    with caplog.at_level("INFO"):
        list(optimize(CONTENT, STYLE, **small))
        list(optimize(CONTENT, STYLE, style_layers={"conv2_1": 1.0, "conv4_2": 1.0}, **small))
    assert [(record.levelname, record.message.partition(";")[0]) for record in caplog.records] == [
        ("INFO", "This feature network has no conv3_3"),
        ("WARNING", "This feature network has no conv4_2"),
    ]


@pytest.mark.parametrize("size", [(600, 40), (30, 500), (3, 2)])
def test_a_painting_of_any_shape_serves_at_every_scale(size: tuple[int, int]) -> None:
    steps = run(styles=made_picture(2, size), size=256, scales=3, steps=6)
    assert len({step.size for step in steps}) == 3 and steps[-1].style < steps[-2].style


def test_a_line_is_no_painting_and_takes_no_memory() -> None:
    with pytest.raises(NSTError, match="4096 × 1 pixels is too small"):
        run(styles=Image.new("RGB", (60_000, 1)))


def test_a_network_that_pools_otherwise_is_not_taken_for_the_methods() -> None:
    with pytest.raises(NSTError, match=r"has max pooling, but the method asks for average.*pooling='average'"):
        run(pooling="average")
    network = small_network()
    network.pooling = "average"
    assert run(pooling="average", features=network)[0].total != run()[0].total


@pytest.mark.parametrize("weights", [[2], [1e30], [1e-300], 2, np.float32(2), np.ones(1)])
def test_any_number_above_nothing_is_a_weight(weights: Any) -> None:
    assert [step.total for step in run(weights=weights, steps=2)] == [step.total for step in run(steps=2)]


def test_settings_are_looked_at_before_anything_begins() -> None:
    senseless: list[dict[str, Any]] = [
        {"steps": 0},
        {"method": "nothing"},
        {"weights": [-1]},
        {"masks": []},
        {"nothing": 1},
    ]
    for changes in senseless:
        with pytest.raises(NSTError):
            begin(**changes)


def test_a_step_and_its_state_are_a_line_of_numbers() -> None:
    step = next(begin())
    assert f"content={step.content}" in repr(step) and len(repr(step)) < 300
    assert repr(step.state).startswith("OptimizationState(step=1, ") and len(repr(step.state)) < 150


def test_a_state_can_be_looked_into() -> None:
    state = next(begin(seed=3)).state
    assert state.asked["seed"] == 3 and state.step == 1 and replace(state, step=2).step == 2
