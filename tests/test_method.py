"""Settings of an optimisation: the presets are the published ones, and every value is within its range or refused."""

import json
import math
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Any, get_type_hints

import numpy as np
import pytest

from nst_core.errors import NSTError
from nst_core.features import VGG19, load_features, nearest_layers
from nst_core.losses import CONVENTIONS
from nst_core.method import METHODS, SIZES, Method, MethodChanges, MethodError
from nst_core.optimizers import OPTIMIZERS

NAN, INFINITY = math.nan, math.inf
GIVEN = ("conv1_1", "relu1_1", "conv1_2", "relu1_2", "conv2_1", "relu2_1", "conv4_1", "relu4_1")


def refuse(**changes: Any) -> str:
    """The one sentence with which the changes are refused."""
    with pytest.raises(MethodError) as refused:
        Method(**changes)
    sentence = str(refused.value)
    assert sentence.endswith(".") and "\n" not in sentence and ". " not in sentence and 20 < len(sentence) < 300
    return sentence


@pytest.mark.parametrize("name", METHODS)
def test_presets_are_methods_that_can_be_changed(name: str) -> None:
    method = METHODS[name]
    assert method.convention in CONVENTIONS and method.optimizer in OPTIMIZERS
    assert set(method.content_layers) | set(method.style_layers) <= set(VGG19().layers)
    changed = replace(method, steps=7)
    assert changed.steps == 7 and replace(changed, steps=method.steps) == method


def test_type_checkers_know_every_setting() -> None:
    assert get_type_hints(MethodChanges) == get_type_hints(Method)


def test_presets_are_as_published() -> None:
    paper, neural_style, tutorial = (METHODS[name] for name in ("paper", "neural-style", "tutorial"))
    # Gatys, Ecker and Bethge 2015, section "Methods": conv4_2, conv1_1 … conv5_1 alike, from noise, average pooling.
    # Their derivatives (equations 2 and 6) are those of rectified responses.
    assert set(paper.content_layers) == {"relu4_2"} and paper.pooling == "average" and paper.init == "noise"
    assert set(paper.style_layers) == {f"relu{block}_1" for block in range(1, 6)}
    assert len(set(paper.style_layers.values())) == 1
    # jcjohnson/neural-style: content_weight 5, 1000 iterations, relu layers.
    assert neural_style.content_weight == 5
    assert set(neural_style.content_layers) == {"relu4_2"} and neural_style.steps == 1000
    # The PyTorch tutorial: conv_4 as content, conv_1 … conv_5 as style, counted along the network; 1e6 and 1; 300.
    convolutions = [layer for layer in VGG19().layers if layer.startswith("conv")]
    assert list(tutorial.content_layers) == [convolutions[3]] and list(tutorial.style_layers) == convolutions[:5]
    assert (tutorial.content_weight, tutorial.style_weight, tutorial.steps, tutorial.init) == (1, 1e6, 300, "content")
    for method in (paper, neural_style, tutorial):  # what is given for a loss is what each of its layers weighs
        assert {*method.content_layers.values(), *method.style_layers.values()} == {1}


@pytest.mark.parametrize("setting", ["content_weight", "style_weight", "total_variation", "saturation"])
@pytest.mark.parametrize("value", [-1, -1e-30, NAN, INFINITY, -INFINITY, True, "1", None, 1 + 0j, [1.0], 10**400])
def test_weights_that_make_no_sense(setting: str, value: Any) -> None:
    assert setting.replace("_", " ") in refuse(**{setting: value})


@pytest.mark.parametrize("setting", ["content_weight", "style_weight", "total_variation", "saturation"])
@pytest.mark.parametrize("value", [0, 0.0, 1, 1e-30, 1e30])
def test_weights_that_do(setting: str, value: float) -> None:
    assert getattr(Method(**{setting: value}), setting) == value  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "weights",
    [
        {"content_weight": 0, "style_weight": 0},
        {"content_weight": 0, "style_layers": {}},
        {"content_layers": {}, "style_layers": {"conv1_1": 0.0}},
        {"content_weight": 1e200, "content_layers": {"conv1_1": 1e200}},
    ],
)
def test_weights_are_finite_and_not_all_0(weights: dict[str, Any]) -> None:
    assert refuse(**weights) == "The weights of content, style and total variation should be finite and not all 0."


def test_numbers_of_numpy_are_taken_and_kept_as_plain_ones() -> None:
    given: dict[str, Any] = {
        "size": np.int64(64), "steps": np.uint8(3), "scales": 2.0, "content_weight": np.float32(0.5),
        "seconds": np.float16(2), "style_layers": {"conv1_1": np.float32(0.25)},
    }  # fmt: skip
    method = Method(**given)
    assert method == Method(size=64, steps=3, scales=2, content_weight=0.5, seconds=2.0, style_layers={"conv1_1": 0.25})
    assert Method(**json.loads(json.dumps(asdict(method)))) == method
    assert isinstance(method.scales, int)
    method = Method(style_weight=np.float64(2), content_layers={"conv2_2": np.float64(3)})  # which is a float as well
    assert type(method.style_weight) is type(method.content_layers["conv2_2"]) is float
    for value in (np.float32(3.5), np.int64(0), np.bool_(True), np.array(3)):
        assert "steps should be" in refuse(steps=value)


@pytest.mark.parametrize("kind", ["content_layers", "style_layers"])
@pytest.mark.parametrize("weight", [-1, NAN, INFINITY, True, "1", None])
def test_layers_weights_that_make_no_sense(kind: str, weight: Any) -> None:
    assert "conv2_2" in refuse(**{kind: {"conv1_1": 1.0, "conv2_2": weight}})


@pytest.mark.parametrize("kind", ["content_layers", "style_layers"])
@pytest.mark.parametrize("layers", [None, 3, "conv2_2", ["conv2_2"], ("conv2_2",), {3: 1.0}, {None: 1.0}])
def test_layers_that_are_no_weights_by_name(kind: str, layers: Any) -> None:
    assert kind.split("_")[0] in refuse(**{kind: layers})


@pytest.mark.parametrize(
    ("setting", "values"),
    [
        ("steps", [0, -1, 100_001, 1.5, True, NAN, "10", None, 10**400]),
        ("size", [0, SIZES[0] - 1, SIZES[1] + 1, 64.5, True, None, "512"]),
        ("scales", [0, 9, 2.5, True, None]),
        ("seed", [-1, 2**63, 0.5, True, None]),
        ("seconds", [0, 0.0, -1, NAN, INFINITY, True, "10"]),
        ("learning_rate", [0, -1, 11, NAN, INFINITY, True, None]),
        ("style_size", [0, 0.05, 9, NAN, True, None]),
    ],
)
def test_numbers_out_of_their_range(setting: str, values: list[Any]) -> None:
    for value in values:
        sentence = refuse(**{setting: value})
        assert setting.replace("_", " ") in sentence and "from" in sentence, "it says what would be right"


@pytest.mark.parametrize(
    ("setting", "ends"),
    [
        ("steps", (1, 100_000)),
        ("size", (8, 4096)),
        ("scales", (1, 8)),
        ("seed", (0, 2**63 - 1)),
        ("seconds", (0.1, 1e7)),
        ("learning_rate", (1e-6, 10)),
        ("style_size", (0.1, 8)),
    ],
)
def test_both_ends_of_a_range_are_in_it(setting: str, ends: tuple[float, float]) -> None:
    for end in ends:
        assert getattr(Method(**{setting: end}), setting) == end  # type: ignore[arg-type]


def test_a_bound_is_said_to_its_last_digit() -> None:
    assert refuse(seed=-1) == "The seed should be a whole number from 0 to 9223372036854775807, not -1."


@pytest.mark.parametrize("setting", ["optimizer", "init", "pooling", "color", "precision"])
@pytest.mark.parametrize("value", ["", "LBFGS", "nothing", None, 3, ["lbfgs"], "x\ny" * 100])
def test_choices_that_there_are_not(setting: str, value: Any) -> None:
    assert setting in refuse(**{setting: value})


@pytest.mark.parametrize("value", [None, 3, ["gatys"], b"gatys"])
def test_a_convention_that_is_no_name(value: Any) -> None:
    assert "convention" in refuse(convention=value)


def test_a_mapping_that_cannot_be_changed_is_one_too() -> None:
    assert Method(style_layers=MappingProxyType({"conv1_1": 1.0})).style_layers["conv1_1"] == 1


def test_a_layer_that_is_given_stands_for_itself() -> None:
    wanted = {"relu4_1": 2.0, "conv1_2": 0.5}
    assert nearest_layers(wanted, GIVEN) == wanted


def test_a_layer_that_is_lacking_has_the_nearest_of_its_kind_and_block() -> None:
    assert nearest_layers({"conv2_2": 1.0, "relu4_4": 3.0}, GIVEN) == {"conv2_1": 1.0, "relu4_1": 3.0}
    assert nearest_layers({"conv1_1": 1.0, "conv1_4": 1.0}, GIVEN) == {"conv1_1": 1.0, "conv1_4": 1.0}, "no such layer"


def test_layers_with_one_stand_in_share_it_and_weigh_as_much() -> None:
    found = nearest_layers({"conv4_1": 1.0, "conv4_2": 0.25, "conv4_4": 0.5}, GIVEN)
    assert found == {"conv4_1": 1.75}


@pytest.mark.parametrize(
    "layer", ["conv5_1", "relu3_1", "", "conv", "pool1", "conv1_x", "conv1_", "CONV1_1", "conv2_²"]
)
def test_a_layer_that_nothing_stands_for_is_left_to_be_refused(layer: str) -> None:
    assert nearest_layers({layer: 1.0}, GIVEN) == {layer: 1.0}


def test_no_caller_changes_what_the_presets_are() -> None:
    with pytest.raises(TypeError):
        METHODS["quick"] = Method(steps=1)  # type: ignore[index]


def test_every_preset_can_be_had_of_the_compact_network() -> None:
    given = load_features("compact").layers
    for method in METHODS.values():
        for layers in (method.content_layers, method.style_layers):
            found = nearest_layers(layers, given)
            assert set(found) <= set(given)
            assert sum(found.values()) == pytest.approx(sum(layers.values()))


def test_refusals_are_of_the_librarys_kind() -> None:
    assert issubclass(MethodError, NSTError)
