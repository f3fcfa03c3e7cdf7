"""Other projects' checkpoints paint as they do in those projects, and what cannot be read is refused."""

import ast
import json
import math
import os
import pickle
import re
import shlex
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
from commands import nst
from made_ml5 import Kernels, make_ml5
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from nst_core import architectures, importing
from nst_core.architectures import ARCHITECTURES, register
from nst_core.architectures.johnson import JOHNSON
from nst_core.gate import WeightsError
from nst_core.importing import ImportingError, read_checkpoint, read_ml5
from nst_core.recipe import Recipe
from nst_core.registry import Registry
from nst_core.style import Style

BLOCKS = range(1, 6)
RESIDUALS = [f"res{block}.{part}" for block in BLOCKS for part in ("conv1", "conv2")]
RESIDUAL_NORMS = [f"res{block}.{part}" for block in BLOCKS for part in ("in1", "in2")]
HEAD, NORMS = ["conv1", "conv2", "conv3"], ["in1", "in2", "in3", *RESIDUAL_NORMS, "in4", "in5"]
ERIK = [f"model.{i}" for i in range(3)]
ERIK += [f"model.{i}.block.{part}" for i in range(3, 8) for part in range(2)] + [f"model.{i}" for i in range(8, 11)]
# By project, the names of its 16 convolutions and 15 normalisations in the order in which they are computed, and
# whether pictures go in and out normalised.
LAYERS: dict[str, tuple[list[str], list[str], bool]] = {
    "pytorch/examples": (
        [f"{name}.conv2d" for name in [*HEAD, *RESIDUALS, "deconv1", "deconv2", "deconv3"]],
        NORMS,
        False,
    ),
    "gordicaleksa/pytorch-neural-style-transfer-johnson": (
        [f"{name}.conv2d" for name in [*HEAD, *RESIDUALS, "up1.conv2d", "up2.conv2d", "up3"]],
        NORMS,
        True,
    ),
    "eriklindernoren/Fast-Neural-Style-Transfer": (
        [f"{name}.block.1" for name in ERIK],
        [f"{name}.norm" for name in ERIK[:-1]],
        True,
    ),
}
ROOT = Path(__file__).resolve().parents[1]
ML5 = ROOT.parent / "shared" / "checkpoints" / "ml5-la-muse"


def fast_style_transfer(x: Tensor, variables: Kernels) -> Tensor:
    """lengstrom/fast-style-transfer's network, TensorFlow's conventions written out."""
    tensors = [torch.from_numpy(variables[f"Variable_{i}" if i else "Variable"].copy()) for i in range(48)]

    def same(size: int, kernel: int, stride: int) -> tuple[int, int]:
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2

    def convolution(x: Tensor, place: int, stride: int = 1) -> Tensor:
        kernel = tensors[3 * place]
        rows, columns = (same(side, kernel.shape[0], stride) for side in x.shape[2:])
        return F.conv2d(F.pad(x, (*columns, *rows)), kernel.permute(3, 2, 0, 1), stride=stride)

    def transposed(x: Tensor, place: int) -> Tensor:
        # What TensorFlow defines it as: the derivative, by its input, of the convolution from twice the size.
        kernel = tensors[3 * place]
        large = torch.zeros(len(x), kernel.shape[2], 2 * x.shape[2], 2 * x.shape[3], requires_grad=True)
        with torch.enable_grad():
            small = F.conv2d(F.pad(large, (0, 1, 0, 1)), kernel.permute(3, 2, 0, 1), stride=2)
        return torch.autograd.grad(small, large, x)[0]

    def norm(x: Tensor, place: int) -> Tensor:
        shift, scale = (tensors[3 * place + 1 + part].reshape(1, -1, 1, 1) for part in range(2))
        mean = x.mean((2, 3), keepdim=True)
        variance = (x - mean).square().mean((2, 3), keepdim=True)
        return scale * (x - mean) / (variance + 1e-3).sqrt() + shift

    x = F.relu(norm(convolution(x, 0), 0))
    x = F.relu(norm(convolution(x, 1, 2), 1))
    x = F.relu(norm(convolution(x, 2, 2), 2))
    for first in range(3, 13, 2):
        y = F.relu(norm(convolution(x, first), first))
        x = x + norm(convolution(y, first + 1), first + 1)
    x = F.relu(norm(transposed(x, 13), 13))
    x = F.relu(norm(transposed(x, 14), 14))
    return 150 * torch.tanh(norm(convolution(x, 15), 15)) + 255 / 2


@pytest.mark.parametrize("size", [(32, 48), (37, 53), (34, 30), (5, 6)])
def test_an_ml5_network_paints_as_in_tensorflow(tmp_path: Path, size: tuple[int, int]) -> None:
    variables = make_ml5(tmp_path / "ml5")
    network = ARCHITECTURES["fast-style-transfer"].network()
    imported = read_checkpoint(tmp_path / "ml5")
    assert imported.architecture.id == "fast-style-transfer" and "ml5.js" in imported.origin
    network.load_state_dict(imported.state)
    photo = 255 * torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        painted, reference = network(photo), fast_style_transfer(photo, variables)
    assert painted.shape == (2, 3, *(4 * -(-side // 4) for side in size)) and painted.std() > 10
    torch.testing.assert_close(painted, reference, rtol=0, atol=1e-2)


@pytest.mark.skipif(not ML5.is_dir(), reason="the folder shared/checkpoints is not here")
def test_the_real_one_too() -> None:
    variables = {
        f"Variable_{i}" if i else "Variable": np.fromfile(ML5 / (f"Variable_{i}" if i else "Variable"), "<f4")
        for i in range(48)
    }
    shapes = json.loads((ML5 / "manifest.json").read_text())
    shaped = {name: values.reshape(shapes[name]["shape"]) for name, values in variables.items()}
    network = ARCHITECTURES["fast-style-transfer"].network()
    network.load_state_dict(read_ml5(ML5))
    photo = 255 * torch.rand(1, 3, 61, 70, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(network(photo), fast_style_transfer(photo, shaped), rtol=1e-3, atol=0.1)


def test_what_is_not_such_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportingError, match=r"no manifest\.json"):
        read_ml5(tmp_path)
    folder = tmp_path / "ml5"
    make_ml5(folder)
    good = (folder / "manifest.json").read_text()

    def refused(manifest: str, match: str) -> None:
        (folder / "manifest.json").write_text(manifest)
        with pytest.raises(ImportingError, match=match):
            read_ml5(folder)

    refused("{", "not JSON|JSON")
    entries = json.loads(good)
    refused(json.dumps({name: entry for name, entry in entries.items() if name != "Variable_7"}), "no Variable_7")
    refused(
        json.dumps({**entries, "Variable_3": {"filename": "Variable_3", "shape": [3, 3, 64, 32]}}), "Variable_3 has"
    )
    refused(json.dumps({**entries, "Variable_3": {"filename": "gone", "shape": [3, 3, 32, 64]}}), "gone could not be")
    refused(json.dumps({**entries, "Variable_3": {"filename": "Variable", "shape": [3, 3, 32, 64]}}), "holds 7,776")
    outside = {**entries, "Variable": {"filename": "../ml5/Variable_99", "shape": [9, 9, 3, 32]}}
    refused(json.dumps(outside), "Variable_99 could not be")
    nul = {**entries, "Variable": {"filename": "Varia\0ble", "shape": [9, 9, 3, 32]}}
    refused(json.dumps(nul), r"gives Variable the file 'Varia\\x00ble', which is not a valid file name")
    refused(good + " " * 100_000, r"^manifest\.json cannot be used: it has more than 100,000 bytes\.$")
    (folder / "manifest.json").write_bytes(b'{"\xff"')
    with pytest.raises(ImportingError, match=r"^manifest\.json cannot be used: it is not UTF-8 text\.$"):
        read_ml5(folder)


def made(origin: str) -> dict[str, Tensor]:
    """A checkpoint of that project's, of random numbers, in the order in which its modules are defined."""
    convolutions, norms, _ = LAYERS[origin]
    channels = [(3, 32, 9), (32, 64, 3), (64, 128, 3), *[(128, 128, 3)] * 10, (128, 64, 3), (64, 32, 3), (32, 3, 9)]
    random = torch.Generator().manual_seed(0)
    state = {}
    for place, (name, (into, out, kernel)) in enumerate(zip(convolutions, channels, strict=True)):
        state[f"{name}.weight"] = torch.randn(out, into, kernel, kernel, generator=random) / (into * kernel**2) ** 0.5
        state[f"{name}.bias"] = torch.randn(out, generator=random)
        if place < len(norms):
            state[f"{norms[place]}.weight"] = 1 + 0.2 * torch.randn(out, generator=random)
            state[f"{norms[place]}.bias"] = 0.2 * torch.randn(out, generator=random)
    if origin == "pytorch/examples":  # where 0–255 comes out
        state[f"{convolutions[-1]}.weight"] *= 40
        state[f"{convolutions[-1]}.bias"] += 120
    return state


def as_at_home(x: Tensor, state: dict[str, Tensor], origin: str) -> Tensor:
    """What that project's own program makes of RGB in 0–255, before it rounds."""
    convolutions, norms, normalised = LAYERS[origin]
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    if normalised:
        x = (x / 255 - mean.reshape(1, 3, 1, 1)) / deviation.reshape(1, 3, 1, 1)

    def convolution(x: Tensor, place: int, stride: int = 1) -> Tensor:
        weight, bias = (state[f"{convolutions[place]}.{part}"] for part in ("weight", "bias"))
        return F.conv2d(F.pad(x, [weight.shape[-1] // 2] * 4, mode="reflect"), weight, bias, stride=stride)

    def norm(x: Tensor, place: int) -> Tensor:
        scale, shift = (state[f"{norms[place]}.{part}"].reshape(1, -1, 1, 1) for part in ("weight", "bias"))
        centred = x - x.mean((2, 3), keepdim=True)
        return scale * centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt() + shift

    for place, stride in enumerate((1, 2, 2)):
        x = F.relu(norm(convolution(x, place, stride), place))
    for place in range(3, 13, 2):
        y = F.relu(norm(convolution(x, place), place))
        x = x + norm(convolution(y, place + 1), place + 1)
    for place in (13, 14):
        x = F.relu(norm(convolution(x.repeat_interleave(2, 2).repeat_interleave(2, 3), place), place))
    x = convolution(x, 15)
    return 255 * (x * deviation.reshape(1, 3, 1, 1) + mean.reshape(1, 3, 1, 1)) if normalised else x


def alone(state: dict[str, Tensor]) -> Any:
    return state


def old(state: dict[str, Tensor]) -> Any:
    """As PyTorch 0.3 saved it: each normalisation has statistics too."""
    norms = [
        name.removesuffix(".weight") for name in state if name.split(".")[-2].startswith("in") and "weight" in name
    ]
    return {**state, **{f"{norm}.running_{part}": torch.ones(4) for norm in norms for part in ("mean", "var")}}


def beside_others(state: dict[str, Tensor]) -> Any:
    return {"commit_hash": "c0ffee", "content_weight": 1.0, "state_dict": state, "optimizer_state": {"state": {}}}


def of_several_gpus(state: dict[str, Tensor]) -> Any:
    return {f"module.{name}": tensor for name, tensor in state.items()}


def as_pytorchs_tutorial(state: dict[str, Tensor]) -> Any:
    return {"epoch": 2, "model_state_dict": state, "loss": 1.0}


def compiled(state: dict[str, Tensor]) -> Any:
    return {"model": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}}


def otherwise_named(state: dict[str, Tensor]) -> Any:
    return {name.replace("model.", "layer"): tensor for name, tensor in state.items()}


@pytest.mark.parametrize(
    ("origin", "wrap", "suffix"),
    [
        ("pytorch/examples", alone, "pth"),
        ("pytorch/examples", old, "pth"),
        ("pytorch/examples", of_several_gpus, "pth"),
        ("pytorch/examples", of_several_gpus, "safetensors"),
        ("pytorch/examples", as_pytorchs_tutorial, "pth"),
        ("pytorch/examples", compiled, "pth"),
        ("gordicaleksa/pytorch-neural-style-transfer-johnson", beside_others, "pth"),
        ("gordicaleksa/pytorch-neural-style-transfer-johnson", alone, "safetensors"),
        ("eriklindernoren/Fast-Neural-Style-Transfer", alone, "pth"),
        ("eriklindernoren/Fast-Neural-Style-Transfer", alone, "safetensors"),
        ("eriklindernoren/Fast-Neural-Style-Transfer", otherwise_named, "pth"),
    ],
)
def test_a_checkpoint_paints_as_at_home(tmp_path: Path, origin: str, wrap: Callable[[Any], Any], suffix: str) -> None:
    state, path = made(origin), tmp_path / f"checkpoint.{suffix}"
    (torch.save if suffix == "pth" else save_file)(wrap(state), path)
    imported = read_checkpoint(path)
    assert (imported.origin, imported.architecture.id) == (origin, "johnson")
    network = imported.architecture.network()
    network.load_state_dict(imported.state)
    photo = 255 * torch.rand(2, 3, 37, 54, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        painted, reference = network(photo), as_at_home(photo, state, origin)
    assert reference.std() > 10
    torch.testing.assert_close(painted, reference, rtol=0, atol=1e-2)


@pytest.fixture
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "original.png"
    Image.radial_gradient("L").resize((2100, 90)).convert("RGB").save(path)  # too wide for a preview
    return path


def test_an_imported_folder_is_a_style(tmp_path: Path, original: Path) -> None:
    origin = "gordicaleksa/pytorch-neural-style-transfer-johnson"
    torch.save(beside_others(made(origin)), tmp_path / "mosaic.pth")
    words = ["--title", "A Mosaic", "--artist", "Somebody", "--license", "mit", "--tag", "mosaic"]
    done = nst(
        "import", str(tmp_path / "mosaic.pth"), "-o", str(tmp_path / "mosaic"), "--sample", str(original), *words
    )
    assert done.returncode == 0, done.stderr
    assert nst("check", str(tmp_path / "mosaic")).stdout.endswith("is sound.\n")
    style = Style.open(tmp_path / "mosaic")
    assert (style.title, style.artist, style.license, style.tags) == ("A Mosaic", "Somebody", "mit", ("mosaic",))
    assert style.config.training == {"imported_from": origin}
    command = "python -m nst_core import mosaic.pth -o mosaic --sample photo.jpg --title 'A Mosaic' --artist Somebody"
    card = (tmp_path / "mosaic" / "README.md").read_text()
    assert f"\n## Reproduce\n\n```sh\n{command} --license mit --tag mosaic\n```\n" in card
    imported = read_checkpoint(tmp_path / "mosaic.pth").state
    for name, tensor in style.network.state_dict().items():
        torch.testing.assert_close(tensor, imported[name], rtol=0, atol=0)
    # And its weights alone, as somebody shares them.
    again = nst(
        "import", str(tmp_path / "mosaic" / "model.safetensors"), "-o", str(tmp_path / "b"), "--sample", str(original)
    )
    assert again.returncode == 0, again.stderr
    assert "imported from weights of johnson." in (tmp_path / "b" / "README.md").read_text()
    assert (tmp_path / "b" / "model.safetensors").read_bytes() == (tmp_path / "mosaic/model.safetensors").read_bytes()


@pytest.mark.parametrize("out", ["udnie", "My Udnie", "styles/udnie"])
def test_the_command_that_is_told_paints_with_what_was_imported(
    tmp_path: Path, original: Path, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(made("pytorch/examples"), tmp_path / "mosaic.pth")
    (tmp_path / "styles").mkdir()
    done = nst("import", "mosaic.pth", "-o", out, "--sample", original, "--title", "Mine", folder=tmp_path)
    monkeypatch.chdir(tmp_path)
    *_, option, word = shlex.split(done.stdout)
    assert option == "--style" and Registry.load().open(word).title == "Mine"


@pytest.mark.parametrize("name", ["johnson", "johnson-lite"])
def test_an_unfinished_training_may_become_a_style(tmp_path: Path, original: Path, name: str) -> None:
    architecture = ARCHITECTURES[name]
    network = architecture.network()
    asked = {"seed": 1, "architecture": name}
    state = {"step": 7, "asked": asked, "network": network.state_dict(), "optimizer": {"momenta": []}}
    torch.save(state, tmp_path / "checkpoint.pt")
    imported = read_checkpoint(tmp_path / "checkpoint.pt")
    assert (imported.origin, imported.architecture) == ("nst-core", architecture)
    (tmp_path / "my-style").mkdir()
    done = nst("import", "../checkpoint.pt", "-o", ".", "--sample", original, folder=tmp_path / "my-style")
    assert done.returncode == 0, done.stderr
    style = Style.open(tmp_path / "my-style")
    assert (style.title, style.config.architecture) == ("my-style", architecture.id)
    for key, tensor in network.state_dict().items():
        torch.testing.assert_close(style.network.state_dict()[key], tensor, rtol=0, atol=0)


def loop() -> list[Any]:
    within: list[Any] = []
    within.append(within)
    return within


@pytest.mark.parametrize(
    "wrong",
    [
        {"step": 13}, {"step": 0}, {"step": torch.ones(1)}, {"step": None}, {"crop": -1}, {"crop": math.nan},
        {"noise": math.inf}, {"noise": torch.empty(3, device="meta")}, {"content_layers": {"\ud800": 1.0}},
        {"content_layers": {"[x](http://evil)": 1.0}}, {"style_layers": {f"relu1_{i}": 1.0 for i in range(10**5)}},
        {"style_layers": loop()}, {"convention": "\u202egatys"}, {"painting": "<script>"}, {"painting": None},
        {"feature network": 2**32}, {"feature network": "compact"}, {"seed": 2**63}, {},
    ],
    ids=lambda wrong: next(iter(wrong), "nothing"),
)  # fmt: skip
def test_what_a_checkpoint_says_of_its_training_is_taken_only_if_it_makes_sense(
    tmp_path: Path, original: Path, wrong: dict[str, Any]
) -> None:
    recipe = asdict(Recipe(architecture="johnson-lite", steps=12, reconstruction_steps=1))
    asked = {**recipe, "painting": 64 * "0", "feature network": 1, "step": 7, **wrong}
    state = {"step": asked.pop("step"), "asked": asked, "network": ARCHITECTURES["johnson-lite"].network().state_dict()}
    torch.save(state, tmp_path / "checkpoint.pt")
    done = nst("import", "checkpoint.pt", "-o", "mine", "--sample", original, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    told = Style.open(tmp_path / "mine").config.training
    assert told["imported_from"] == "nst-core" and (len(told) == 1 if wrong else recipe.items() <= told.items())


def test_an_unfinished_training_is_of_its_own_architecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ARCHITECTURES", "VERSIONS"):
        monkeypatch.setattr(architectures, name, getattr(architectures, name).copy())
    monkeypatch.setattr(importing, "ARCHITECTURES", architectures.ARCHITECTURES)
    like_johnson = register(replace(JOHNSON, id="johnson-otherwise"))
    state = JOHNSON.network().state_dict()
    for trained_as in (JOHNSON, like_johnson):
        torch.save({"asked": {"architecture": trained_as.id}, "network": state}, tmp_path / "checkpoint.pt")
        assert read_checkpoint(tmp_path / "checkpoint.pt").architecture is trained_as
    torch.save({"asked": {"architecture": "of-another"}, "network": state}, tmp_path / "checkpoint.pt")
    with pytest.raises(
        ImportingError, match=r"architecture 'of-another', which is not one of those here: 'fast-style-"
    ):
        read_checkpoint(tmp_path / "checkpoint.pt")


def test_a_folder_whose_name_is_no_text_is_a_style(tmp_path: Path, original: Path) -> None:
    torch.save(made("pytorch/examples"), tmp_path / "mosaic.pth")
    folder = tmp_path / os.fsdecode(b"mo\xffsaic")
    done = nst("import", tmp_path / "mosaic.pth", "-o", folder, "--sample", original)
    assert done.returncode == 0, done.stderr
    assert Style.open(folder).title == "mosaic"


class Bomb:
    """Makes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


@pytest.mark.parametrize("bare", [False, True])
def test_a_hostile_pth_runs_nothing(
    tmp_path: Path, original: Path, bare: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.pth"
    if bare:
        path.write_bytes(pickle.dumps(Bomb()))
    else:
        torch.save({"state_dict": made("pytorch/examples"), "bomb": Bomb()}, path)
    done = nst("import", "bomb.pth", "-o", "style", "--sample", str(original), folder=tmp_path)
    assert done.returncode == 1 and "is not a checkpoint of tensors alone" in done.stderr
    assert sorted(file.name for file in tmp_path.iterdir()) == [path.name]
    if not bare:  # the same bytes do it where they are unpickled
        monkeypatch.chdir(tmp_path)
        torch.load(path, weights_only=False)
        assert (tmp_path / "exploded").exists()


def test_a_pth_of_nobody_known_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pth"

    def refused(held: Any, match: str) -> None:
        torch.save(held, path)
        with pytest.raises(ImportingError, match=match):
            read_checkpoint(path)

    state = made("pytorch/examples")
    refused({"fc.weight": torch.zeros(2)}, r"holds 'fc.weight': that is not a network of any of pytorch/examples, gord")
    refused([torch.zeros(2)], "holds no state dict")
    torch.save({"fc.weight": torch.zeros(9)}, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-38])
    with pytest.raises(ImportingError, match=r"^checkpoint\.pth is damaged, or not a checkpoint of PyTorch\.$"):
        read_checkpoint(path)
    refused({"conv1.conv2d.weight": 1}, "holds no state dict")
    refused(
        {name: state[name] for name in list(state)[2:]} | {"conv1.conv2d.weight": state["conv1.conv2d.weight"]},
        "'conv1.conv2d.bias'",
    )
    refused({**state, "fc.weight": torch.zeros(2)}, "but has the unexpected 'fc.weight'")
    refused({**state, "in1.weight": torch.ones(33)}, r"'in1.weight' has the shape \(33,\), but should have \(32,\)")
    endless = torch.ones(1).expand(2**40)
    refused({**state, "in1.weight": endless}, "has the shape")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ImportingError, match="is damaged"):
        read_checkpoint(path)
    with pytest.raises(ImportingError, match="could not be read: No such file"):
        read_checkpoint(tmp_path / "none.pth")
    save_file({"fc.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match=r"^other\.safetensors does not hold a .* the unexpected 'fc.weight'\.$"):
        read_checkpoint(tmp_path / "other.safetensors")


@pytest.mark.filterwarnings("ignore")  # PyTorch's, of TorchScript
def test_what_people_take_for_a_checkpoint_is_told_as_what_it_is(tmp_path: Path) -> None:
    torch.jit.trace(torch.nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 2, 2)).save(tmp_path / "script.pth")
    (tmp_path / "pointer.pth").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n")
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><html>")
    for name, told in (
        (
            "script.pth",
            r"^script\.pth is TorchScript, which holds code, and that is not run: use what torch\.save writes",
        ),
        ("pointer.pth", r"^pointer\.pth is only a Git LFS pointer: `git lfs pull` fetches the weights themselves\.$"),
        ("page.pth", r"^page\.pth is a web page: it should be a checkpoint of PyTorch, a \.pth or \.safetensors\.$"),
    ):
        with pytest.raises(ImportingError, match=told):
            read_checkpoint(tmp_path / name)


def test_a_small_file_takes_no_more_memory_than_a_large_one_may(tmp_path: Path) -> None:
    torch.save({"fc.weight": torch.zeros(1000)}, tmp_path / "honest.pth")
    with ZipFile(tmp_path / "honest.pth") as honest, ZipFile(tmp_path / "bomb.pth", "w", ZIP_DEFLATED) as bomb:
        for entry in honest.infolist():
            bomb.writestr(entry.filename, honest.read(entry))
    with pytest.raises(ImportingError, match=r"^bomb\.pth is compressed, which a checkpoint that PyTorch"):
        read_checkpoint(tmp_path / "bomb.pth")
    # The same bytes may be those of many entries.
    with ZipFile(tmp_path / "many.pth", "w") as many:
        many.writestr("a/data.pkl", bytes(2**20))
        many.filelist *= 300
    with pytest.raises(
        ImportingError, match=r"^many\.pth has 314,572,800 bytes, but at most 268,435,456 are allowed\.$"
    ):
        read_checkpoint(tmp_path / "many.pth")


@pytest.mark.filterwarnings("ignore")  # PyTorch's, of quantised tensors
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda tensor: tensor.to(torch.complex64), "'in1.weight' holds complex64, but should hold floating-point"),
        (lambda tensor: tensor > 0, "'in1.weight' holds bool"),
        (lambda tensor: tensor.to(torch.int64), "'in1.weight' holds int64"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "'in1.weight' holds qint8"),
        (lambda tensor: tensor.to("meta"), "'in1.weight' holds no numbers at all"),
        (lambda tensor: tensor.to_sparse(), "holds no state dict"),
        (lambda tensor: torch.nested.nested_tensor([tensor, tensor[:3]]), "holds no state dict"),
    ],
)
def test_what_cannot_be_weights_is_refused(tmp_path: Path, change: Callable[[Tensor], Tensor], match: str) -> None:
    state, path = made("pytorch/examples"), tmp_path / "checkpoint.pth"
    torch.save({**state, "in1.weight": change(state["in1.weight"])}, path)
    with pytest.raises(ImportingError, match=match):
        read_checkpoint(path)


def test_weights_of_any_precision_are_taken(tmp_path: Path) -> None:
    state = made("pytorch/examples")
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        torch.save({name: tensor.to(dtype) for name, tensor in state.items()}, tmp_path / "checkpoint.pth")
        imported = read_checkpoint(tmp_path / "checkpoint.pth").state["in1.weight"]
        torch.testing.assert_close(imported, state["in1.weight"].to(dtype).float(), rtol=0, atol=0)


UNPICKLES = {
    "nst_core.checkpoint": "what the others call",
    "nst_core.pretrained": "torchvision's own VGG19, whose SHA-256 is known",
    "nst_core.training": "this machine's own checkpoint of a training",
    "nst_core.optimization": "this machine's own state of an optimisation",
}


def imports_of(start: str) -> dict[str, str]:
    """The source of a module and of all of this project that it imports, at its head or anywhere in it."""
    sources: dict[str, str] = {}
    waiting = [start]
    while waiting:
        module = waiting.pop()
        path = ROOT.joinpath(*module.split("."))
        file = next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)
        if module in sources or file is None:
            continue
        sources[module] = file.read_text()
        if module == "nst_core.architectures":  # which imports whatever lies beside it
            waiting += [f"{module}.{plugin.stem}" for plugin in path.glob("*.py")]
        for node in ast.walk(ast.parse(sources[module])):
            if isinstance(node, ast.ImportFrom):
                waiting += [node.module or "", *(f"{node.module}.{name.name}" for name in node.names)]
            elif isinstance(node, ast.Import):
                waiting += [name.name for name in node.names]
    return sources


def test_the_page_unpickles_nothing_from_outside() -> None:
    modules = imports_of("app")
    assert {"app", "ui.contribute", "nst_core.gate", "nst_core.contribution", "nst_core.pretrained"} <= modules.keys()
    assert "nst_core.importing" not in modules and "nst_core.importing" in imports_of("nst_core.cli")
    readers, modules_that_are = r"torch\.load\(|load_checkpoint\(|allow_pickle", "pickle|joblib|marshal|shelve|dill"
    unpickling = re.compile(rf"{readers}|^\s*(import|from) ({modules_that_are})\b", re.MULTILINE)
    found = {name for name, text in modules.items() if unpickling.search(text)}
    assert found == UNPICKLES.keys() | {"ui.zerogpu"}  # which talks to a process of its own
    from_outside = [text for name, text in modules.items() if name != "ui.zerogpu"]
    loads = [line for text in from_outside for line in text.splitlines() if "torch.load(" in line]
    assert len(loads) == 1 and "weights_only=True" in loads[0]
