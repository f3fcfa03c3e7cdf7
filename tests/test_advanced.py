"""Optimisations on the page: what the library gives, bounded, stopped, continued, and giving way to painting."""

import csv
import gc
import runpy
import shutil
import threading
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from full_disk import no_room
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from made_features import make_features
from made_page import served_page
from made_registry import MAX_SIDE
from PIL import Image, ImageChops, ImageDraw
from waiting import wait_until

from nst_core.errors import NSTError
from nst_core.images import read_note
from nst_core.method import METHODS, Method
from nst_core.optimization import optimize
from nst_core.registry import Registry
from ui import build_page, optimization_service
from ui.advanced import PRESETS, plan_in_words
from ui.line import Closed
from ui.links import read_recipe
from ui.optimization_service import (
    MAX_SECONDS,
    MAX_STEPS,
    OptimizationRequest,
    OptimizationRun,
    OptimizationService,
    read_layers,
    write_layers,
)
from ui.studio import Studio
from ui.watched import MAX_SNAPSHOTS, Watched, duration
from ui.words import spoken

FEW = Method(size=48, steps=6, scales=1, saturation=0)


def photo(width: int = 60, height: int = 40) -> Image.Image:
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    ImageDraw.Draw(picture).ellipse((10, 5, width // 2, height - 5), fill="orange", outline="navy")
    return picture


def painting() -> Image.Image:
    return Image.effect_mandelbrot((50, 50), (-2, -1, 1, 1), 50).convert("RGB")


@pytest.fixture(scope="session")
def features(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_features(tmp_path_factory.mktemp("features"))


@pytest.fixture
def optimizations(registry_file: Path, features: Path, tmp_path: Path) -> OptimizationService:
    return OptimizationService(Studio(Registry.load(registry_file), tmp_path, max_side=512), {"compact": features})


def request(method: Method = FEW, **changes: Any) -> OptimizationRequest:
    return replace(OptimizationRequest("lion-wave", photo(), [painting()], method, "compact"), **changes)


def ended(steps: Iterator[OptimizationRun]) -> OptimizationRun:
    *_, last = steps
    return last


def table(run: OptimizationRun) -> list[dict[str, str]]:
    assert run.table
    with run.table.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("alpha", [False, True])
def test_a_run_is_the_library_s(optimizations: OptimizationService, features: Path, alpha: bool) -> None:
    content = photo()
    if alpha:
        content.putalpha(Image.radial_gradient("L").resize(content.size))
    run = ended(optimizations.watch("ann", request(content=content)))
    expected = list(optimize(content, painting(), FEW, features=features))
    rows = table(run)
    assert [float(row["total"]) for row in rows] == [step.total for step in expected] == run.losses["total"]
    assert [int(row["step"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert list(rows[0])[:8] == ["step", "width", "height", "seconds", "total", "content", "style", "total_variation"]
    assert set(list(rows[0])[8:]) == set(expected[0].layers)
    assert run.picture and run.picture.name == "lion-wave.png"
    np.testing.assert_array_equal(np.asarray(Image.open(run.picture)), np.asarray(expected[-1].best))
    assert not run.running and "6 steps" in spoken(run.status) and "48 × 32 px" in spoken(run.status)


def test_several_paintings_with_weights_and_masks(optimizations: OptimizationService, features: Path) -> None:
    mask = Image.new("L", (60, 40))
    mask.paste(255, (0, 0, 30, 40))
    wish: dict[str, Any] = {"weights": [2.0, 1.0], "masks": [mask, ImageChops.invert(mask)]}
    run = ended(optimizations.watch("ann", request(styles=[painting(), photo(50, 50)], start=painting(), **wish)))
    expected = list(optimize(photo(), [painting(), photo(50, 50)], FEW, features=features, start=painting(), **wish))
    assert run.losses["total"] == [step.total for step in expected]


def test_stopped_and_gone_on_with_is_as_if_it_had_never_stopped(
    optimizations: OptimizationService, features: Path
) -> None:
    run = stopped_after(optimizations, "ann", request(replace(FEW, steps=50), settings={"seed": 7, "steps": 50}))
    done = len(run.losses["step"])
    assert 1 <= done < 50 and spoken(run.status).startswith("Stopped") and run.picture and run.picture.is_file()
    assert read_recipe(read_note(run.picture)) == {"tab": "advanced", "seed": "7", "steps": "50"}
    run = ended(optimizations.go_on("ann", 4))
    assert run.picture and read_recipe(read_note(run.picture))["steps"] == str(done + 4)
    assert run.losses["step"] == list(range(1, done + 5))
    expected = [step.total for step in optimize(photo(), painting(), FEW, features=features, steps=done + 4)]
    assert run.losses["total"] == expected


def test_what_broke_off_on_its_way_is_done_again(optimizations: OptimizationService) -> None:
    run = stopped_after(optimizations, "ann", request(replace(FEW, steps=50)))
    done = len(run.losses["step"])
    going_on = optimizations.go_on("ann", 1000)
    while len(run.losses["step"]) < done + 2:
        next(going_on)
    going_on.close()
    run = ended(optimizations.go_on("ann", 4))
    assert run.losses["step"] == list(range(1, done + 5))
    assert [step for step, _ in run.snapshots[:-1]] == sorted(step for step, _ in run.snapshots[:-1])


def test_what_was_left_as_it_went_on_has_ended_as_before(optimizations: OptimizationService) -> None:
    run = stopped_after(optimizations, "ann", request(replace(FEW, steps=50)))
    before = run.steps, [*run.status]
    going_on = optimizations.go_on("ann", 1000)
    assert next(going_on).running
    going_on.close()
    assert (run.steps, run.status) == before and not run.running
    assert optimizations.ended("ann") is run and optimizations.goes_on(run)


def test_what_was_left_once_it_had_gone_on_has_ended_as_it_did(optimizations: OptimizationService) -> None:
    ended(optimizations.watch("ann", request()))
    going_on = optimizations.go_on("ann", 4)
    run = next(run for run in going_on if not run.running)
    going_on.close()
    assert run.steps == 10 and spoken(run.status).startswith("Finished · 10 steps")


def test_whoever_loads_the_page_again_as_a_run_goes_on_has_all_of_it(optimizations: OptimizationService) -> None:
    run = stopped_after(optimizations, "ann", request(replace(FEW, steps=50)))
    done = len(run.losses["step"])
    going_on = optimizations.go_on("ann", 1000)
    while len(run.losses["step"]) == done:
        next(going_on)
    assert optimizations.come_back("bob", run.id) is None
    ended(going_on)  # of whose page nobody has heard that it has left
    done = len(run.losses["step"])
    assert done < 1000 and optimizations.come_back("bob", run.id) is run
    assert ended(optimizations.go_on("bob", 1)).losses["step"] == list(range(1, done + 2))
    with pytest.raises(NSTError, match="no longer a run to continue"):
        next(optimizations.go_on("ann", 1))


def stopped_after(
    optimizations: OptimizationService, session: str, request: OptimizationRequest, steps: int = 2
) -> OptimizationRun:
    """Stopped while it is at its steps, from another thread, as a click would be."""
    watched = optimizations.watch(session, request)
    run = next(watched)

    def stop() -> None:
        wait_until(lambda: len(run.losses.get("step", [])) >= steps)
        optimizations.stop(session)

    thread = threading.Thread(target=stop, daemon=True)
    thread.start()
    run = ended(watched)
    thread.join()
    return run


def test_nobody_goes_on_with_another_s_run(optimizations: OptimizationService) -> None:
    ended(optimizations.watch("ann", request()))
    with pytest.raises(NSTError, match="no longer a run to continue"):
        next(optimizations.go_on("bob", 5))
    optimizations.finish("ann", ended(optimizations.watch("bob", request())))
    assert optimizations.ended("ann") and optimizations.ended("bob")
    run = optimizations.ended("ann")
    assert run
    optimizations.finish("ann", run)
    with pytest.raises(NSTError, match="no longer a run to continue"):
        next(optimizations.go_on("ann", 5))


def test_who_is_pushed_out_still_has_the_picture(optimizations: OptimizationService) -> None:
    run = ended(optimizations.watch("ann", request()))
    for other in ("bob", "cid", "dan"):
        ended(optimizations.watch(other, request()))
    assert optimizations.ended("ann") is run and run.picture and run.picture.is_file()
    assert not optimizations.goes_on(run)
    with pytest.raises(NSTError, match="no longer a run to continue"):
        next(optimizations.go_on("ann", 5))


def test_a_run_whose_picture_finds_no_room_can_be_gone_on_with(optimizations: OptimizationService) -> None:
    with no_room(), pytest.raises(NSTError, match=r"^The picture 'lion-wave.png' could not be written: .*\.$"):
        ended(optimizations.watch("ann", request()))
    run = optimizations.ended("ann")
    assert run and spoken(run.status).startswith("Finished · 6 steps") and not run.running
    assert ended(optimizations.go_on("ann", 2)).picture


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only some systems have a device that is full")
def test_losses_that_find_no_room_are_told(optimizations: OptimizationService, monkeypatch: pytest.MonkeyPatch) -> None:
    file = optimizations.studio.file
    monkeypatch.setattr(
        optimizations.studio, "file", lambda name: Path("/dev/full") if name.endswith(".csv") else file(name)
    )
    with pytest.raises(NSTError, match=r"^This server cannot save the losses \(No space left on device\): try again"):
        ended(optimizations.watch("ann", request()))
    assert optimizations.ended("ann")


def test_a_server_that_ends_does_not_wait_for_a_step(optimizations: OptimizationService) -> None:
    watched = optimizations.watch("ann", request(replace(FEW, steps=2000)))
    run = next(watched)
    over = threading.Event()

    def close() -> None:
        wait_until(lambda: "step" in run.losses)
        optimizations._thread.submit(over.wait, 30)  # as a step that takes so long
        optimizations.studio.line.close()

    thread = threading.Thread(target=close, daemon=True)
    thread.start()
    run = ended(watched)
    thread.join()
    over.set()
    assert isinstance(run.trouble, Closed) and run.picture and run.picture.is_file()
    assert spoken(run.status).startswith("Stopped · ")


@pytest.mark.parametrize("steps", [None, 0, "many", 1.5, MAX_STEPS + 1])
def test_steps_to_go_on_with_are_checked(optimizations: OptimizationService, steps: Any) -> None:
    ended(optimizations.watch("ann", request()))
    with pytest.raises(NSTError, match=f"steps on this server should be a whole number from 1 to {MAX_STEPS}, not "):
        next(optimizations.go_on("ann", steps))


def test_a_run_that_cannot_begin_leaves_the_earlier_one(optimizations: OptimizationService) -> None:
    first = ended(optimizations.watch("ann", request()))
    with pytest.raises(NSTError):
        ended(optimizations.watch("ann", request(weights=[0.0])))
    assert optimizations.ended("ann") is first and all(file.is_file() for _, file in first.snapshots)
    assert len(ended(optimizations.go_on("ann", 2)).losses["step"]) == 8


def test_a_run_that_breaks_keeps_what_it_had(
    optimizations: OptimizationService, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[weakref.ref[Any]] = []

    def breaks(*args: Any, **options: Any) -> Iterator[Any]:
        for step in optimize(*args, **options):
            held.append(weakref.ref(step))
            if step.step == 3:
                try:
                    raise ValueError(step)
                except ValueError as error:
                    raise NSTError("The losses are no longer numbers.") from error
            yield step

    monkeypatch.setattr(optimization_service, "optimize", breaks)
    run = ended(optimizations.watch("ann", request()))
    assert str(run.trouble) == "The losses are no longer numbers."
    assert run.picture and run.picture.is_file() and len(table(run)) == 2
    gc.collect()
    assert not held[2]()  # which holds all that the optimiser remembers


def test_a_picture_on_the_way_that_cannot_be_kept_is_left_out(optimizations: OptimizationService) -> None:
    watched = optimizations.watch("ann", request())
    run = next(watched)
    shutil.rmtree(run.folder)
    run = ended(watched)
    assert not run.trouble and run.picture and run.picture.is_file() and not run.snapshots


def test_what_goes_on_stays_young(tmp_path: Path) -> None:
    watched = Watched(9, tmp_path)
    watched.snap(1, photo())
    first = watched.snapshots[0][1]
    before = first.stat().st_ctime_ns
    time.sleep(0.02)
    watched.snap(2, photo())
    assert first.stat().st_ctime_ns > before


def test_the_same_picture_twice(optimizations: OptimizationService) -> None:
    run = ended(optimizations.watch("ann", request(styles=[photo()], content=photo(50, 50))))
    assert run.picture and all(np.isfinite(run.losses["total"]))
    run = ended(optimizations.watch("ann", request(styles=[photo(48, 48)], content=photo(48, 48))))
    assert run.picture and spoken(run.status).startswith("Finished")


def test_pictures_are_few_and_go_with_the_run(optimizations: OptimizationService, tmp_path: Path) -> None:
    run = OptimizationRun(500, tmp_path)
    for step in range(500):
        run.snap(step, Image.new("RGB", (8, 8)))
        assert run.snapshots[-1][0] == step and len(run.snapshots) <= MAX_SNAPSHOTS
    folder = run.folder
    assert sorted(folder.iterdir()) == sorted(file for _, file in run.snapshots)
    assert len(run.snapshots) > MAX_SNAPSHOTS // 2 and run.snapshots[0][0] == 0
    del run
    gc.collect()
    assert not folder.exists()


def test_it_gives_way_while_somebody_s_photograph_is_painted(optimizations: OptimizationService) -> None:
    steps = optimizations.watch("ann", request(replace(FEW, steps=200)))
    run = next(steps)
    thread = threading.Thread(target=ended, args=[steps], daemon=True)
    painted = threading.Event()
    turn = optimizations.studio.line.join("bob", lambda progress: painted.wait(60))
    wait_until(lambda: turn.began)
    thread.start()
    wait_until(lambda: run.losses)
    time.sleep(0.3)
    assert len(run.losses["step"]) == 1
    painted.set()
    wait_until(lambda: len(run.losses["step"]) > 1)
    optimizations.stop("ann")
    thread.join(10)
    assert not thread.is_alive() and len(run.losses["step"]) < 200


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": 513}, "from 8 to 512, not 513"),
        ({"size": 5000}, "from 8 to 512, not 5000"),
        ({"size": "large"}, "size"),
        ({"steps": MAX_STEPS + 1}, f"from 1 to {MAX_STEPS}, not {MAX_STEPS + 1}"),
        ({"steps": -3}, f"from 1 to {MAX_STEPS}, not -3"),
        ({"steps": None}, "steps"),
        ({"content_weight": -1}, "content weight"),
        ({"style_weight": float("inf")}, "style weight"),
        ({"style_weight": "1; drop"}, "style weight"),
        ({"total_variation": float("nan")}, "total variation"),
        ({"init": ["noise"]}, "init"),
        ({"optimizer": "<b>"}, "optimizer"),
        ({"seed": -1}, "seed"),
        ({"seconds": 901}, "from 0.1 to 900, not 901"),
        ({"seconds": 0}, "from 0.1 to 900, not 0"),
        ({"size": 300, "style_size": 2}, "up to 512 px, not 600"),
        ({"style_size": 9}, "style size should be a number from 0.1 to 8"),
        ({"learning_rate": 0}, "learning rate should be a number from 1e-06 to 10"),
    ],
)
def test_settings_beyond_the_bounds_are_refused(
    optimizations: OptimizationService, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(NSTError, match=says):
        optimizations.method("quick", **changes)


@pytest.mark.parametrize("name", ["fast", None, ["quick"]])
def test_there_is_no_such_method(optimizations: OptimizationService, name: Any) -> None:
    with pytest.raises(NSTError, match="quick"):
        optimizations.method(name)


def test_only_networks_on_offer_are_opened(optimizations: OptimizationService, features: Path) -> None:
    for name in (str(features), "vgg19", None):
        with pytest.raises(NSTError, match="compact"):
            optimizations.network(name)  # type: ignore[arg-type]


def test_the_plan_of_one_step_does_not_speak_of_several() -> None:
    assert "128 px, at most 1 step of Adam" in plan_in_words(
        Method(size=128, steps=1, optimizer="adam"), "content", 1.0, {}, str
    )


def test_presets_are_all_methods(optimizations: OptimizationService) -> None:
    assert [*PRESETS] == [*METHODS]
    for preset in PRESETS:
        optimizations.method(preset)


def test_the_estimate_grows_with_what_is_asked_for_and_learns(optimizations: OptimizationService) -> None:
    method = optimizations.method("quick", size=64, steps=20)
    first = optimizations.seconds(method, "compact")
    assert 0 < first < optimizations.seconds(replace(method, size=128, steps=40), "compact")
    lasting = replace(method, saturation=0.0)
    run = ended(optimizations.watch("ann", request(lasting, content=photo(60, 60))))
    learned = optimizations.seconds(method, "compact")
    assert learned == pytest.approx(run.losses["seconds"][-1], rel=0.01) and learned != first
    # Runs that say nothing about the pace: with several paintings, or continued at full size.
    ended(
        optimizations.watch("ann", request(lasting, styles=[painting(), photo()], weights=[1, 1], masks=[None, None]))
    )
    assert optimizations.seconds(method, "compact") == learned
    ended(optimizations.go_on("ann", 20))
    assert optimizations.seconds(method, "compact") == learned


@pytest.mark.parametrize(
    ("preset", "stand_ins"),
    [
        ("quick", {"conv3_3": "conv3_1"}),
        ("paper", {"relu4_2": "relu4_1"}),
        ("neural-style", {"relu4_2": "relu4_1"}),
        ("tutorial", {}),
    ],
)
def test_the_layers_that_stand_in_for_others_are_told(
    optimizations: OptimizationService, preset: str, stand_ins: dict[str, str]
) -> None:
    optimizations.features = {"compact": "compact"}  # the one that is shipped, which lacks some
    assert optimizations.stand_ins(optimizations.method(preset), "compact") == stand_ins


def test_a_run_that_saturates_says_nothing_of_the_pace(optimizations: OptimizationService) -> None:
    method = optimizations.method("quick", size=48, steps=200, scales=1, saturation=0.9)
    first = optimizations.seconds(method, "compact")
    run = ended(optimizations.watch("ann", request(method)))
    assert "all but stopped falling" in spoken(run.status) and 10 <= run.losses["step"][-1] < 200
    assert optimizations.seconds(method, "compact") == first


def test_durations() -> None:
    said = {0.33: "0.3 s", 8.4: "8 s", 89: "89 s", 118: "2 min", 274: "4 min 30 s", 1500: "25 min"}
    assert {seconds: duration(seconds).replace("\u00a0", " ") for seconds in said} == said


@pytest.mark.parametrize("most", [100, 600])
def test_a_server_s_own_bound_is_among_the_sizes(
    registry_file: Path, features: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = build_page(Registry.load(registry_file), max_side=most, features=features)
    radios: list[Any] = [block for block in page.blocks.values() if block.get_block_name() == "radio"]
    assert most in [radio.choices[-1][1] for radio in radios]


def test_the_paintings_to_choose_from_are_those_that_are_drawn() -> None:
    draw = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "draw.py"))
    for name in draw["PAINTINGS"]:
        with Image.open(draw["DRAWN"] / f"{name}.jpg") as picture:
            assert np.asarray(picture).std() > 40
            pair = picture, draw["draw_painting"](name)
            # JPEG loses some of their grain.
            seen, expected = (one.resize((60, 60), Image.Resampling.BOX) for one in pair)
        assert np.asarray(ImageChops.difference(seen, expected)).mean() < 2


@pytest.fixture(scope="module")
def client(registry_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with served_page(registry_file, tmp_path_factory.mktemp("page")) as url:
        yield Client(url, verbose=False)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    photo().save(tmp_path / "my photo.png")
    painting().save(tmp_path / "wave.png")
    return [tmp_path / "my photo.png", tmp_path / "wave.png"]


def test_the_endpoint_streams_pictures_and_losses(client: Client, pictures: list[Path], features: Path) -> None:
    wish: dict[str, Any] = {"size": 96, "steps": 60, "init": "noise", "seed": 3, "style_weight": 2.0}
    job = client.submit(*map(handle_file, pictures), **wish, api_name="/optimize")
    file, losses = job.result(timeout=60)
    *_, expected = optimize(photo(), painting(), "quick", features=features, **wish)
    assert Path(file).name == "my-photo-wave.png" and losses["step"] == expected.step
    assert losses["total"] == expected.total and losses["content/conv2_2"] == expected.layers["content/conv2_2"]
    np.testing.assert_array_equal(np.asarray(Image.open(file)), np.asarray(expected.best))
    outputs = job.outputs()
    assert all(len(output) == 2 for output in outputs), outputs
    steps = [losses["step"] for _, losses in outputs]
    assert steps == sorted(steps) and len(steps) > 1


def test_the_endpoint_takes_what_the_library_does(client: Client, pictures: list[Path], features: Path) -> None:
    wish: dict[str, Any] = {"size": 48, "steps": 6, "optimizer": "adam"}
    wish |= {"total_variation": 1, "style_size": 1.5, "learning_rate": 0.05}
    file, losses = client.predict(*map(handle_file, pictures), **wish, api_name="/optimize")
    *_, expected = optimize(photo(), painting(), "quick", features=features, **wish)
    assert losses["total"] == expected.total and losses["total_variation"] == expected.total_variation > 0
    np.testing.assert_array_equal(np.asarray(Image.open(file)), np.asarray(expected.best))


def test_a_run_ends_after_the_seconds_that_it_was_given(
    client: Client, pictures: list[Path], optimizations: OptimizationService
) -> None:
    wish: dict[str, Any] = {"size": 96, "steps": MAX_STEPS, "init": "noise", "seconds": 0.5}
    _, losses = client.predict(*map(handle_file, pictures), **wish, api_name="/optimize")
    assert losses["seconds"] < 30 and losses["step"] < MAX_STEPS
    method = optimizations.method("noise", seconds=0.5)
    assert optimizations.seconds(method, "compact") <= 0.5
    assert optimizations.method("noise").seconds == MAX_SECONDS


def test_pictures_on_the_way_can_be_fetched_after_the_end(client: Client, pictures: list[Path]) -> None:
    slow = Client(client.src, verbose=False, download_files=False)
    job = slow.submit(*map(handle_file, pictures), size=96, steps=60, api_name="/optimize")
    job.result(timeout=60)
    files = [picture for picture, _ in job.outputs()]
    assert len(files) > 1 and len({file["path"] for file in files}) > 1
    assert [httpx.get(file["url"]).status_code for file in files] == [200] * len(files)


def test_the_endpoint_names_its_parameters(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]["/optimize"]
    assert [parameter["parameter_name"] for parameter in named["parameters"]] == [
        *("content", "style", "method", "size", "steps", "init", "optimizer", "features", "seed", "color"),
        *("content_weight", "style_weight", "content_layers", "style_layers"),
        *("total_variation", "style_size", "learning_rate", "seconds"),
    ]


def test_layers_are_chosen_by_their_names(client: Client, pictures: list[Path]) -> None:
    layers = {"content_layers": "conv3_1, relu2_2=0.25", "style_layers": " conv1_1=2\nconv2_1 "}
    _, losses = client.predict(*map(handle_file, pictures), size=32, steps=2, **layers, api_name="/optimize")
    assert [name for name in losses if "/" in name] == [
        *("content/conv3_1", "content/relu2_2", "style/conv1_1", "style/conv2_1")
    ]
    assert write_layers(read_layers(layers["style_layers"])) == "conv1_1=2, conv2_1"


@pytest.mark.parametrize("said", ["conv3_1 = 0.5, conv4_1", "conv3_1=0,5, conv4_1", "conv3_1 =0,5 conv4_1=1"])
def test_layers_may_be_typed_as_people_do(said: str) -> None:
    assert read_layers(said) == {"conv3_1": 0.5, "conv4_1": 1.0}


def test_layers_of_nothing_but_spaces_do_not_hold_the_server() -> None:
    began = time.process_time()
    assert read_layers(" " * 100_000 + "x") == {"x": 1.0}
    assert time.process_time() - began < 1


@pytest.mark.parametrize("said", ["=0.5", "conv3_1, = 2"])
def test_a_weight_of_no_layer_is_refused(said: str) -> None:
    with pytest.raises(NSTError, match="is not a layer: give its name, or its name and weight"):
        read_layers(said)


def test_a_picture_without_content_layers_is_the_painting_s_texture(client: Client, pictures: list[Path]) -> None:
    _, losses = client.predict(*map(handle_file, pictures), size=64, steps=2, content_layers="", api_name="/optimize")
    assert losses["content"] == 0 < losses["style"]


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"method": "slow"}, "quick"),
        ({"size": MAX_SIDE + 1}, str(MAX_SIDE)),
        ({"steps": MAX_STEPS + 1}, str(MAX_STEPS)),
        ({"features": "/etc"}, "compact"),
        ({"init": "nothing"}, "init"),
        ({"content_weight": 0, "style_weight": 0}, "not all 0"),
        ({"content_layers": "conv2_2=much"}, "'conv2_2=much' is not a layer: "),
        ({"style_layers": "conv2_2, conv9_9"}, "conv9_9"),
        ({"style_layers": "conv2_2=-1"}, "conv2_2 should be"),
        ({"content_layers": "", "style_layers": " "}, "not all 0"),
        ({"content_weight": 1e300, "style_weight": 1e308}, ""),
    ],
)
def test_a_refusal_is_one_sentence(client: Client, pictures: list[Path], wish: dict[str, Any], says: str) -> None:
    try:
        client.predict(*map(handle_file, pictures), **{"size": 32, "steps": 2, **wish}, api_name="/optimize")
        assert not says
    except AppError as error:
        sentence = str(error)
        assert says in sentence and sentence.endswith(".") and len(sentence) < 300 and "/tmp" not in sentence


def test_a_file_that_is_no_picture_is_refused(client: Client, pictures: list[Path]) -> None:
    pictures[1].write_text("I am a text.")
    with pytest.raises(AppError, match=r"^[^/]+\.$"):
        client.predict(*map(handle_file, pictures), size=32, steps=2, api_name="/optimize")
