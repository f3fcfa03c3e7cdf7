"""The script that makes the compact network: what it begins with, and that it runs and goes on."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from made_features import make_features
from PIL import Image
from torch import nn
from torch.nn import functional as F

from nst_core.features import VGG19, _load_compact, compact_network

SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "distill.py"


@pytest.fixture(scope="module")
def distill() -> ModuleType:
    spec = importlib.util.spec_from_file_location("distill", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_widened_is_as_narrow(distill: ModuleType) -> None:
    narrow = VGG19(last="conv5_1", channels=(8, 16, 16, 32, 32), heads=["1_2", "5_1"], padding_mode="reflect")
    wide = VGG19(last="conv5_1", channels=(16, 16, 32, 32, 64), heads=["1_2", "5_1"], padding_mode="reflect")
    pictures = torch.rand(1, 3, 48, 48)
    with torch.no_grad():
        distill.widen(wide, narrow.state_dict())
        expected, found = (network(pictures, network.layers) for network in (narrow, wide))
    for layer, value in expected.items():
        torch.testing.assert_close(found[layer], value)


def test_revived_channels_see_and_nothing_else_changes(distill: ModuleType) -> None:
    torch.manual_seed(0)
    student, pictures = compact_network(), torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        student.get_parameter("conv3_2.bias")[:5] = -100
        before = distill.inside(student, pictures)
        distill.revive(student, pictures)
        after = distill.inside(student, pictures)
    assert all((F.relu(before["conv3_2"])[:, :5]).amax((0, 2, 3)) == 0)
    assert any((F.relu(after["conv3_2"])[:, :5]).amax((0, 2, 3)) > 0)
    for name in ("conv3_1", "conv3_3", "conv5_1"):
        awake = before[name].amax((0, 2, 3)) > 0
        torch.testing.assert_close(after[name][:, awake], before[name][:, awake])


def test_a_step_is_as_large_where_inputs_hardly_vary(distill: ModuleType) -> None:
    torch.manual_seed(0)
    layer, inputs = nn.Conv2d(4, 6, 1), torch.randn(8, 4, 32, 32) * torch.tensor([1, 0.3, 0.1, 0.05])[:, None, None]
    optimizer = distill.WhitenedMuon(nn.ModuleList([layer]))
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


@pytest.mark.slow
def test_it_runs_and_goes_on(distill: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("features", "photos", "paintings"):
        (tmp_path / folder).mkdir()
    make_features(tmp_path / "features")  # which seeds
    for number in range(3):
        noise = (255 * torch.rand(6, 6, 3)).byte().numpy()
        for folder in ("photos", "paintings"):
            picture = Image.fromarray(noise).resize((80, 80), Image.Resampling.BICUBIC)
            picture.save(tmp_path / folder / f"{number}.png")

    def run(*arguments: str) -> None:
        folders = [f"--{folder}={tmp_path / folder}" for folder in ("features", "photos", "paintings")]
        words = [*folders, "--crop=64", "--batch-size=4", f"-o={tmp_path / 'made'}", *arguments]
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *words])
        distill.main()

    run("--steps=2")
    first = _load_compact(tmp_path / "made").state_dict()
    run("--steps=4", "--resume")
    kept = torch.load(tmp_path / "made.checkpoint", weights_only=True)
    assert kept["step"] == 4 and kept["optimizer"]["watched"] == 2  # the first step, and the first after that
    second = _load_compact(tmp_path / "made").state_dict()
    changed = {name for name in first if not torch.equal(first[name], second[name])}
    assert changed == first.keys() - {"conv0.weight", "conv0.bias"}
    assert all(torch.isfinite(tensor).all() for tensor in second.values())

    (tmp_path / "made").rename(tmp_path / "start")
    run("--steps=1", f"--start={tmp_path / 'start'}", "--keep=4")
    third = _load_compact(tmp_path / "made").state_dict()
    changed = {name for name in second if not torch.equal(second[name], third[name])}
    assert changed == {name for name in second if name.startswith(("conv5", "head5"))}
