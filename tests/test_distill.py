"""The script that makes the compact network: how its parts are found, and that it runs."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from loading import loaded
from made_features import make_features
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core import load_features
from nst_core.features import VGG19, Hybrid, _load_compact


@pytest.fixture(scope="module")
def distill() -> ModuleType:
    return loaded("scripts/distill.py")


@pytest.fixture
def fitted(distill: ModuleType, tmp_path: Path) -> tuple[VGG19, VGG19, Tensor]:
    """A student fitted to a teacher that it can follow, but for conv1_2, and the pictures."""
    network = load_features(make_features(tmp_path))  # which seeds torch
    assert isinstance(network, Hybrid)
    teacher = network.networks[0]
    assert isinstance(teacher, VGG19)
    pictures = torch.rand(16, 3, 24, 24)
    student = VGG19(last="conv2_1", ranks={"1_1": 27, "1_2": 5, "2_1": 128}, padding_mode="reflect")
    student.conv0.load_state_dict(teacher.conv0.state_dict())
    student.requires_grad_(False)
    distill.fit_ranks(student, teacher, list(pictures.split(4)))
    return student, teacher, pictures


def test_low_rank_is_the_best_there_is(fitted: tuple[VGG19, VGG19, Tensor]) -> None:
    """Where nothing is lost before, what is lost is what lies outside of the principal components (Eckart–Young)."""
    student, teacher, pictures = fitted
    found, expected = (network(pictures, ["conv1_1", "conv1_2"]) for network in (student, teacher))
    size = expected["conv1_1"].square().mean().sqrt()
    torch.testing.assert_close(found["conv1_1"] / size, expected["conv1_1"] / size, atol=1e-3, rtol=0)
    activations = expected["conv1_2"].movedim(1, 0).flatten(1).double()
    lost = torch.linalg.eigvalsh(torch.cov(activations, correction=0))[:-5].sum()
    missed = (found["conv1_2"] - expected["conv1_2"]).double().square().mean((0, 2, 3)).sum()
    torch.testing.assert_close(missed, lost, rtol=1e-3, atol=0)


def test_what_follows_low_rank_makes_up_for_it(fitted: tuple[VGG19, VGG19, Tensor]) -> None:
    """A convolution is fitted to what enters it, not to what would, had nothing been lost before."""
    student, teacher, pictures = fitted
    wanted, found = (network(pictures, ["conv2_1"])["conv2_1"] for network in (teacher, student))
    kernel, shift = (teacher.get_parameter(f"conv2_1.{kind}") for kind in ("weight", "bias"))
    entering = F.pad(F.max_pool2d(student(pictures, ["relu1_2"])["relu1_2"], 2), [1] * 4, mode="reflect")
    copied = F.conv2d(entering, kernel, shift)
    assert (found - wanted).square().mean() < 0.9 * (copied - wanted).square().mean()


def test_a_step_is_as_large_where_inputs_hardly_vary(distill: ModuleType) -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Conv2d(4, 6, 1), torch.randn(8, 4, 32, 32) * torch.tensor([1, 0.3, 0.1, 0.05])[:, None, None]
    optimizer = distill.WhitenedMuon(nn.ModuleList([layer]), 1e-3)
    for step in range(5):
        with optimizer.watching(step):
            before = layer(inputs).detach()
    (layer(inputs) - torch.randn_like(before)).square().mean().backward()
    optimizer.step(0.01)
    change = (layer(inputs) - before).detach().movedim(1, 0).flatten(1) / before.square().mean().sqrt()
    # Four inputs and the bias are five directions.
    *_, least, _, _, _, most = torch.linalg.svdvals(change / change.shape[1] ** 0.5).flip(0).sort().values
    assert 0.5 * 0.01 < least < most < 1.4 * 0.01
    assert layer.weight.grad is None and layer.bias is not None and layer.bias.grad is None


def test_whitening_makes_moments_one(distill: ModuleType) -> None:
    torch.manual_seed(0)
    moments = torch.cov(torch.randn(5, 5) @ torch.randn(5, 200))
    whiten = distill.whitening(moments, 0.0)
    torch.testing.assert_close(whiten @ moments @ whiten, torch.eye(5), atol=1e-3, rtol=0)


def test_convolutions_learn_what_the_teachers_see(distill: ModuleType, tmp_path: Path) -> None:
    """One after the other, each from what those before it give, and a head what the teacher's head gives."""
    teacher = load_features(make_features(tmp_path))  # which seeds torch
    assert isinstance(teacher, Hybrid)
    distilled = teacher.networks[1]
    assert isinstance(distilled, VGG19)
    narrow = VGG19(last="conv1_2", channels=(24, 48, 64, 128, 128), heads=("1_2",), padding_mode="reflect")
    narrow.conv0.load_state_dict(distilled.conv0.state_dict())
    narrow.requires_grad_(False)
    distilled.heads = narrow.heads = ()
    # So that the head has to say more than the convolution.
    distilled.add_module("head1_2", nn.Conv2d(16, 64, 1).requires_grad_(False))

    def pictures() -> Iterator[Tensor]:
        while True:
            yield torch.rand(4, 3, 24, 24)

    connectors, some = nn.ModuleDict(), torch.rand(16, 3, 24, 24)
    for name in ("conv1_1", "conv1_2"):
        before = {key: value.clone() for key, value in narrow.state_dict().items()}
        connectors[name] = distill.begin(narrow, distilled, name, some)
        relu = name.replace("conv", "relu")

        def missed(relu: str = relu, name: str = name) -> float:
            wanted = distill.guide(narrow, distilled, name, distilled(some, [relu])[relu])
            return float(distill.unexplained(connectors[name](narrow(some, [relu])[relu]), wanted))

        untrained = missed()
        distill.learn(narrow, distilled, [name], connectors, pictures(), 150, *distill.SHALLOW)
        assert missed() < 0.3 * untrained
        changed = {key.partition(".")[0] for key, value in narrow.state_dict().items() if not before[key].equal(value)}
        assert changed == {name} | ({"head1_2"} if name == "conv1_2" else set())
    assert connectors["conv1_2"] is narrow.get_submodule("head1_2") and connectors["conv1_1"].out_channels == 16
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in narrow.parameters())


def test_every_second_picture_is_another(distill: ModuleType) -> None:
    some, others = torch.zeros(5, 3, 2, 2), torch.rand(4, 3, 2, 2)
    mixed = next(distill.half(iter([some.clone()]), others))
    assert torch.equal(mixed[::2], some[::2])
    assert all(any(torch.equal(picture, other) for other in others) for picture in mixed[1::2])


@pytest.mark.slow
def test_it_runs(distill: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("features", "photos", "paintings"):
        (tmp_path / folder).mkdir()
    make_features(tmp_path / "features")  # which seeds torch
    for number in range(3):
        noise = (255 * torch.rand(6, 6, 3)).byte().numpy()
        for folder in ("photos", "paintings"):
            picture = Image.fromarray(noise).resize((80, 80), Image.Resampling.BICUBIC)
            picture.save(tmp_path / folder / f"{number}.png")
    folders = [f"--{folder}={tmp_path / folder}" for folder in ("features", "photos", "paintings")]
    short = [
        "--steps=2",
        "--last-steps=2",
        "--optimizations=1",
        "--fitted=2",
        "--crop=64",
        "--batch-size=4",
        f"-o={tmp_path / 'made'}",
    ]
    monkeypatch.setattr(sys, "argv", ["distill.py", *folders, *short])
    distill.main()
    made = _load_compact(tmp_path / "made")
    assert all(torch.isfinite(tensor).all() and tensor.any() for tensor in made.state_dict().values())
    teacher, pictures = load_features(tmp_path / "features"), torch.rand(2, 3, 64, 64)
    wanted, found = teacher(pictures, ["conv1_1"])["conv1_1"], made(pictures, ["conv1_1"])["conv1_1"]
    assert distill.unexplained(found, wanted) < 0.5
