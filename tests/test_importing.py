"""Other projects' checkpoints give the pictures that they gave at home, and what cannot be read is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from made_ml5 import Kernels, make_ml5
from torch import Tensor
from torch.nn import functional as F

from nst_core.architectures import ARCHITECTURES
from nst_core.importing import ImportingError, read_ml5

ML5 = Path(__file__).resolve().parents[2] / "shared" / "checkpoints" / "ml5-la-muse"


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
    network.load_state_dict(read_ml5(tmp_path / "ml5"))
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
    refused(json.dumps({**entries, "Variable_3": {"filename": "Variable_3", "shape": [3, 3, 64, 32]}}), "Variable_3 is")
    refused(json.dumps({**entries, "Variable_3": {"filename": "gone", "shape": [3, 3, 32, 64]}}), "gone could not be")
    refused(json.dumps({**entries, "Variable_3": {"filename": "Variable", "shape": [3, 3, 32, 64]}}), "holds 7,776")
    outside = {**entries, "Variable": {"filename": "../ml5/Variable_99", "shape": [9, 9, 3, 32]}}
    refused(json.dumps(outside), "Variable_99 could not be")
