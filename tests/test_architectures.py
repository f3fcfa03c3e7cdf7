"""johnson is the network of pytorch/examples, key for key and value for value; plug-ins register themselves."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from made_styles import JOHNSON, lively_state
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core import architectures
from nst_core.architectures import ARCHITECTURES, VERSIONS, Architecture, register
from nst_core.errors import NSTError


def pytorch_examples(x: Tensor, state: dict[str, Tensor]) -> Tensor:
    """fast_neural_style's TransformerNet, written out."""

    def convolution(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight, bias = state[f"{name}.conv2d.weight"], state[f"{name}.conv2d.bias"]
        return F.conv2d(F.pad(x, (weight.shape[-1] // 2,) * 4, mode="reflect"), weight, bias, stride)

    def norm(x: Tensor, name: str) -> Tensor:
        return F.instance_norm(x, weight=state[f"{name}.weight"], bias=state[f"{name}.bias"], eps=1e-5)

    x = F.relu(norm(convolution(x, "conv1"), "in1"))
    x = F.relu(norm(convolution(x, "conv2", stride=2), "in2"))
    x = F.relu(norm(convolution(x, "conv3", stride=2), "in3"))
    for block in ("res1", "res2", "res3", "res4", "res5"):
        y = F.relu(norm(convolution(x, f"{block}.conv1"), f"{block}.in1"))
        x = norm(convolution(y, f"{block}.conv2"), f"{block}.in2") + x
    x = F.relu(norm(convolution(F.interpolate(x, scale_factor=2, mode="nearest"), "deconv1"), "in4"))
    x = F.relu(norm(convolution(F.interpolate(x, scale_factor=2, mode="nearest"), "deconv2"), "in5"))
    return convolution(x, "deconv3")


def network_of(state: dict[str, Tensor]) -> nn.Module:
    network = JOHNSON.network()
    network.load_state_dict(state)
    return network.eval()


@pytest.mark.parametrize("size", [(32, 32), (37, 53), (50, 31), (39, 18), (5, 5), (5, 42)])
def test_johnson_is_pytorch_examples_network(size: tuple[int, int]) -> None:
    state = lively_state()
    picture = 255 * torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        painted, reference = network_of(state)(picture), pytorch_examples(picture, state)
    assert painted.shape == (2, 3, *(4 * -(-side // 4) for side in size))
    assert painted.std() > 10
    torch.testing.assert_close(painted, reference, rtol=1e-5, atol=1e-3)


def test_johnson_tensors() -> None:
    state = JOHNSON.network().state_dict()
    assert len(state) == 62
    assert sum(tensor.numel() for tensor in state.values()) == 1_679_235
    assert dict(JOHNSON.shapes) == {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert JOHNSON.shapes["res5.conv2.conv2d.weight"] == (128, 128, 3, 3)
    assert JOHNSON.shapes["in5.weight"] == (32,)


def multiply_adds_a_pixel(architecture: Architecture) -> float:
    side, total = 24, 0

    def count(convolution: nn.Module, _: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        assert isinstance(convolution, nn.Conv2d)
        total += convolution.weight.numel() * out.shape[-1] * out.shape[-2]

    network = architecture.network()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(torch.zeros(1, 3, side, side))
    return total / side**2


def test_johnson_multiply_adds_a_pixel() -> None:
    assert multiply_adds_a_pixel(JOHNSON) == 153_792


def test_johnson_lite_takes_an_eighth_at_most() -> None:
    lite = ARCHITECTURES["johnson-lite"]
    assert multiply_adds_a_pixel(lite) <= 153_792 / 8
    assert lite.shapes != JOHNSON.shapes
    network = lite.network()
    assert network(torch.rand(1, 3, lite.min_size, 42)).shape == (1, 3, 8, 44)
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 3, lite.min_size - 1, 64))


def test_johnson_takes_no_picture_below_its_least_side() -> None:
    network = network_of(lively_state())
    network(torch.zeros(1, 3, JOHNSON.min_size, JOHNSON.min_size))
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 3, JOHNSON.min_size - 1, 64))


def test_an_id_and_version_are_taken_once() -> None:
    with pytest.raises(
        NSTError, match=r"^There is already an architecture 'johnson', version 1: choose another id, .*\.$"
    ):
        register(Architecture(id="johnson", version=1, network=nn.Identity, min_size=1))
    assert ARCHITECTURES["johnson"] is JOHNSON


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("johnson", r"An architecture is Architecture\(.*\), not 'johnson'\."),
        (nn.Identity, "An architecture is .*, not <class"),
        ({"id": 3}, r"The id of an architecture is a name such as 'my-network', not 3\."),
        ({"id": " "}, r"The id of an architecture is a name such as 'my-network', not ' '\."),
        ({"version": 0}, r"The version of new should be a whole number from 1 to 9999, not 0\."),
        ({"min_size": "16"}, "The min_size of new should be a whole number of at least 1, not '16'"),
        ({"network": "johnson"}, "The network of new should be a class or a function .*, not 'johnson'"),
        ({"network": nn.Identity()}, r"The network of new should be a class or a function .*, not Identity\(\)\."),
    ],
)
def test_what_is_no_architecture_is_not_registered(given: Any, reason: str) -> None:
    if isinstance(given, dict):
        given = Architecture(**{"id": "new", "version": 1, "network": nn.Identity, "min_size": 1, **given})
    known = dict(VERSIONS)
    with pytest.raises(NSTError, match=f"^{reason}"):
        register(given)
    assert known == VERSIONS


def test_an_architecture_that_builds_no_network() -> None:
    architecture = Architecture(id="new", version=1, network=lambda: abs, min_size=1)  # type: ignore[arg-type, return-value]
    with pytest.raises(NSTError, match=r"^The network\(\) of new should build an nn\.Module, not builtin_function"):
        _ = architecture.shapes


def test_versions_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "ARCHITECTURES", ARCHITECTURES.copy())
    monkeypatch.setattr(architectures, "VERSIONS", VERSIONS.copy())
    new = register(Architecture(id="johnson", version=2, network=nn.Identity, min_size=1))
    assert architectures.ARCHITECTURES["johnson"] is new
    assert architectures.VERSIONS["johnson", 1] is JOHNSON


PLUGIN = """
from torch import nn
from nst_core import Architecture, register
register(Architecture(id="tiny", version=1, network=lambda: nn.Conv2d(3, 3, 1), min_size=1))
"""


def test_another_package_brings_an_architecture_along_and_a_broken_one_stops_none(tmp_path: Path) -> None:
    for name, code in {"a-broken": "import nothing_of_that_name", "b-tiny": PLUGIN}.items():
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code)
        about = tmp_path / f"{module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[nst_core.architectures]\n{name} = {module}\n")
    asked = "from nst_core import Recipe, new_network; print(new_network(Recipe(architecture='tiny')))"
    places = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", asked], env={**os.environ, "PYTHONPATH": places}, capture_output=True, text=True
    )
    assert done.stdout == f"{nn.Conv2d(3, 3, 1)}\n", done.stderr
    assert done.stderr == (
        "The architecture a-broken is left out, as its module a_broken cannot be imported: "
        "ModuleNotFoundError(\"No module named 'nothing_of_that_name'\").\n"
    )
