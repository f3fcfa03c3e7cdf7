"""What is exported paints in ONNX Runtime as in PyTorch, at any size, and float16 is enough for it."""

import copy
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from commands import nst
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core import exporting
from nst_core.architectures import VERSIONS
from nst_core.architectures.fast_style_transfer import FAST_STYLE_TRANSFER
from nst_core.exporting import (
    DTYPES,
    GRAPHS,
    ExportingError,
    ExportPrecision,
    _Portable,
    check_export,
    export_style,
)
from nst_core.registry import Registry
from nst_core.style import Card, Style, StyleConfig, StyleError, write_style
from nst_core.stylization import stylize

Picture = NDArray[np.float32]
LITE, JOHNSON, OTHER = "udnie-lite", "roman-mosaic", "a-fast-style-transfer"
FLOAT16 = 65_504


@pytest.fixture(scope="module")
def styles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Style]:
    """One of each architecture."""
    folder = tmp_path_factory.mktemp("styles") / OTHER
    torch.manual_seed(0)
    config = StyleConfig(architecture=FAST_STYLE_TRANSFER.id, architecture_version=FAST_STYLE_TRANSFER.version)
    state = FAST_STYLE_TRANSFER.network().state_dict()
    preview = Image.new("RGB", (64, 48), "teal")
    write_style(folder, network_state=state, config=config, card=Card(title="Ünïcode"), preview=preview)
    registry = Registry.load()
    return {LITE: registry.open(LITE), JOHNSON: registry.open(JOHNSON), OTHER: Style.open(folder)}


@pytest.fixture(scope="module")
def fp32(styles: dict[str, Style], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A style's file, by id."""
    folder = tmp_path_factory.mktemp("fp32")

    @cache
    def exported(id: str) -> Path:
        export_style(styles[id], folder / f"{id}.onnx")
        return folder / f"{id}.onnx"

    return exported


@pytest.fixture(scope="module")
def fp16(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lite style's file in float16, as the command writes it."""
    path = tmp_path_factory.mktemp("fp16") / "lite.onnx"
    done = nst("export", LITE, "-o", str(path), "--precision", "fp16")
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "Udnie, lite, fp16" in done.stdout
    return path


def in_pytorch(style: Style, photo: Picture) -> Picture:
    with torch.no_grad():
        painted = style.network(torch.from_numpy(photo))
    return painted[..., : photo.shape[2], : photo.shape[3]].clamp(0, 255).numpy()


def in_onnxruntime(path: Path) -> Callable[[Picture], Picture]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda photo: session.run(["painted"], {"photo": photo})[0]


def psnr(painted: Picture, reference: Picture) -> float:
    assert painted.shape == reference.shape and painted.dtype == np.float32 and np.isfinite(painted).all()
    error = float(np.square(painted - reference, dtype=np.float64).mean())
    return 10 * np.log10(255**2 / error) if error else np.inf


def noise(height: int, width: int) -> Picture:
    return np.random.default_rng(0).integers(0, 256, (1, 3, height, width)).astype(np.float32)


def ramp(height: int, width: int) -> Picture:
    """Smooth, of every brightness, as a sky is."""
    rows, columns = np.mgrid[:height, :width]
    channels = [rows / height, columns / width, (rows + columns) / (height + width)]
    return 255 * np.stack(channels)[None].astype(np.float32)


def squares(height: int, width: int, side: int) -> Picture:
    rows, columns = np.mgrid[:height, :width]
    board = (rows // side + columns // side) % 2 * 255
    return np.broadcast_to(board, (1, 3, height, width)).astype(np.float32)


def mist(height: int, width: int) -> Picture:
    """Bright, and of seven grey levels alone."""
    rows, columns = np.mgrid[:height, :width]
    return np.broadcast_to(np.round(240 + 3 * np.sin(rows / 9) * np.cos(columns / 13)), (1, 3, height, width)).astype(
        np.float32
    )


FLAT = [np.full((1, 3, 40, 53), 255, np.float32), squares(40, 53, 1)]
"""White, and a picture that every convolution sees as the same everywhere: there, a normalisation magnifies rounding
alone, and PyTorch's own pictures in float32 and float64 have nothing to do with each other."""


def test_the_graph_of_every_architecture_is_in_the_package(styles: dict[str, Style]) -> None:
    graphs = {path.name for path in GRAPHS.iterdir()}
    assert graphs == {f"{id}-{version}-{precision}.onnx" for id, version in VERSIONS for precision in DTYPES}
    for id, style in styles.items():
        graph = onnx.load(GRAPHS / f"{style.architecture.id}-{style.architecture.version}-fp32.onnx").graph
        kernels = [tensor for tensor in graph.initializer if len(tensor.dims) == 4]
        assert len(kernels) == sum(weight.dim() == 4 for weight in style.network.state_dict().values())
        assert not any(kernel.raw_data for kernel in kernels)
        # Nothing is enlarged before its convolution, and none has as few channels as a picture.
        assert not any(node.op_type == "Resize" for node in graph.node)
        if id != OTHER:
            assert all(kernel.dims[0] >= 12 for kernel in kernels)


@pytest.mark.slow
@pytest.mark.parametrize("precision", DTYPES)
def test_the_graph_in_the_package_is_what_the_exporter_makes(
    styles: dict[str, Style], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: ExportPrecision
) -> None:
    export_style(styles[LITE], tmp_path / "stored.onnx", precision=precision)
    monkeypatch.setattr(exporting, "GRAPHS", tmp_path)
    export_style(styles[LITE], tmp_path / "traced.onnx", precision=precision)
    stored, traced = (in_onnxruntime(tmp_path / f"{made}.onnx")(noise(37, 54)) for made in ("stored", "traced"))
    assert np.array_equal(stored, traced)


@pytest.mark.parametrize("id", [LITE, JOHNSON, OTHER])
def test_it_paints_as_pytorch_does_at_any_size(styles: dict[str, Style], fp32: Callable[[str], Path], id: str) -> None:
    paint = in_onnxruntime(fp32(id))
    for photo in (noise(5, 7), noise(37, 54), ramp(64, 64), squares(61, 90, 8), ramp(83, 42)):
        reference = in_pytorch(styles[id], photo)
        assert reference.std() > 5
        assert psnr(paint(photo), reference) > 80
    for flat in FLAT:
        painted = paint(flat)
        assert painted.shape == flat.shape and ((painted >= 0) & (painted <= 255)).all()


def test_a_large_map_is_centred_first(styles: dict[str, Style], fp32: Callable[[str], Path]) -> None:
    photo = mist(513, 511)
    # 70 dB if ONNX Runtime's InstanceNormalization has to find the mean by itself.
    assert psnr(in_onnxruntime(fp32(LITE))(photo), in_pytorch(styles[LITE], photo)) > 95


def test_float16_paints_the_same_picture(styles: dict[str, Style], fp16: Path) -> None:
    paint = in_onnxruntime(fp16)
    for photo in (noise(37, 54), ramp(133, 150), squares(61, 90, 8), mist(133, 150)):
        assert psnr(paint(photo), in_pytorch(styles[LITE], photo)) > 60
    for flat in FLAT:
        painted = paint(flat)
        assert np.isfinite(painted).all() and ((painted >= 0) & (painted <= 255)).all()
    # ONNX Runtime computes some of it in float32 on a CPU; ONNX's own reference does as the file says.
    exact: Any = ReferenceEvaluator(str(fp16))
    for photo in (noise(23, 34), ramp(41, 54), squares(33, 40, 8)):
        assert psnr(exact.run(None, {"photo": photo})[0], in_pytorch(styles[LITE], photo)) > 60
    for flat in FLAT:
        assert np.isfinite(exact.run(None, {"photo": flat})[0]).all()


@pytest.mark.parametrize("id", [LITE, JOHNSON])
def test_no_sum_is_beyond_float16(styles: dict[str, Style], id: str) -> None:
    network = copy.deepcopy(styles[id].network)
    largest = 0.0

    def measure(layer: nn.Conv2d, inputs: tuple[torch.Tensor]) -> None:
        # No partial sum, in whatever order, is larger than the sum of the absolute values.
        nonlocal largest
        assert layer.bias is not None
        sums = F.conv2d(inputs[0].abs(), layer.weight.abs(), layer.bias.abs(), layer.stride)
        largest = max(largest, float(sums.max()))

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_pre_hook(measure)
    dot = np.zeros((1, 3, 96, 101), np.float32)
    dot[..., 50, 50] = 255
    with torch.no_grad():
        for photo in (noise(64, 64), ramp(64, 64), squares(64, 64, 8), mist(64, 64), dot, *FLAT):
            network(torch.from_numpy(photo))
    assert 1000 < largest < FLOAT16 / 2


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of two styles of different architectures, as the command writes it."""
    path = tmp_path_factory.mktemp("both") / "both.onnx"
    done = nst("export", LITE, "--second", JOHNSON, "--mix", "0.3", "-o", str(path))
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "Udnie, lite + Roman Mosaic of a Bird, fp32" in done.stdout
    return path


@pytest.mark.slow
@pytest.mark.parametrize("mix", [1, np.float64(0.25)])
def test_a_mix_is_float32_whatever_number_was_given(styles: dict[str, Style], tmp_path: Path, mix: Any) -> None:
    export_style(styles[LITE], tmp_path / "both.onnx", second=styles[LITE], mix=mix)
    kinds = [value.type.tensor_type.elem_type for value in onnx.load(tmp_path / "both.onnx").graph.input]
    assert kinds == [onnx.TensorProto.FLOAT] * 2


@pytest.mark.slow
def test_two_styles_are_mixed_as_stylize_does(styles: dict[str, Style], both: Path) -> None:
    session = onnxruntime.InferenceSession(both, providers=["CPUExecutionProvider"])
    for picture, mix in ((noise(37, 54), 0.3), (ramp(64, 65), 0.5), (squares(61, 90, 8), 0.85), (ramp(83, 42), 0.0)):
        whole = picture.round()
        photo = Image.fromarray(whole[0].transpose(1, 2, 0).astype(np.uint8))
        mixed = stylize(photo, styles[LITE], second=styles[JOHNSON], mix=mix, precision="exact")
        painted = session.run(["painted"], {"photo": whole, "mix": np.array([mix], np.float32)})[0]
        reference = np.asarray(mixed, np.float32).transpose(2, 0, 1)[None]
        assert psnr(painted.round(), reference) > 60
    least = session.run(["painted"], {"photo": noise(5, 7), "mix": np.ones(1, np.float32)})[0]
    assert psnr(least, in_pytorch(styles[JOHNSON], noise(5, 7)).round()) > 60


@pytest.mark.slow
def test_a_file_of_two_styles_says_whose_they_are(both: Path, tmp_path: Path) -> None:
    model = onnx.load(both)
    said = {prop.key: prop.value for prop in model.metadata_props}
    assert (said["title"], said["artist"], said["mix"]) == ("Udnie, lite", "Francis Picabia", "0.3")
    assert said["second_title"] == "Roman Mosaic of a Bird"
    assert said["second_artist"] and said["second_license"] == "apache-2.0"
    assert (said["architecture"], said["second_architecture"]) == ("johnson-lite", "johnson")
    photo, mix = model.graph.input
    assert (photo.name, mix.name) == ("photo", "mix") and "0-1" in mix.doc_string
    assert [side.dim_value for side in mix.type.tensor_type.shape.dim] == [1]
    assert {node.domain for node in model.graph.node} == {""} and b".py" not in both.read_bytes()
    done = nst("export", LITE, "--second", JOHNSON, "--mix", "1.5", "-o", str(tmp_path / "both.onnx"))
    assert done.returncode == 1 and "mix should be a number from 0 to 1, not 1.5" in done.stderr


def test_what_is_in_the_file(fp32: Callable[[str], Path], fp16: Path) -> None:
    assert fp32(LITE).stat().st_size < 1e6 and fp16.stat().st_size < 5e5
    for path in (fp32(LITE), fp16):
        model = onnx.load(path)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]
        assert {node.domain for node in model.graph.node} == {""} and not model.functions
        assert model.producer_name == "nst-core" and model.graph.name == "Udnie, lite"
        for value, name in ((model.graph.input[0], "photo"), (model.graph.output[0], "painted")):
            assert value.name == name and "RGB in 0-255" in value.doc_string
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
            shape = [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
            assert shape == [1, 3, "height", "width"]
        # Neither where it was made nor by which lines of which file.
        assert b".py" not in path.read_bytes() and str(Path.cwd()).encode() not in path.read_bytes()
    said = {prop.key: prop.value for prop in onnx.load(fp16).metadata_props}
    assert said["title"] == "Udnie, lite" and said["artist"] == "Francis Picabia" and said["license"] == "apache-2.0"
    assert (said["architecture"], said["architecture_version"]) == ("johnson-lite", "1")
    assert said["precision"] == "fp16" and "of 16 pixels" in said["input"] and said["nst_core_version"]
    weights = {tensor.data_type for tensor in onnx.load(fp16).graph.initializer if len(tensor.dims) == 4}
    assert onnx.TensorProto.FLOAT16 in weights


def test_what_cannot_be_exported_is_refused_before_anything_is_written(
    tmp_path: Path, styles: dict[str, Style], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = nst("export", LITE, "-o", str(tmp_path / "nowhere" / "style.onnx"))
    assert done.returncode == 1 and "does not exist" in done.stderr and done.stderr.count("\n") == 1
    with pytest.raises(ExportingError, match=r"'photo\.jpg' should end in \.onnx"):
        check_export(tmp_path / "photo.jpg")
    with pytest.raises(StyleError, match=f"A style is .*, not '{LITE}'"):
        export_style(LITE, tmp_path / "old.onnx")  # type: ignore[arg-type]
    heavy, loud = copy.deepcopy(styles[LITE]), copy.deepcopy(styles[LITE])
    with torch.no_grad():
        heavy.network.get_parameter("res1.conv1.conv2d.weight")[0, 0, 0, 0] = 1e5
        loud.network.get_parameter("in1.weight").mul_(6e4)
        loud.network.get_parameter("conv2.conv2d.weight").div_(6e4)
    (tmp_path / "old.onnx").write_text("as it was")
    for style in (heavy, loud):
        with pytest.raises(ExportingError, match=r"beyond 65,504, the largest that float16 holds: use fp32\.$"):
            export_style(style, tmp_path / "old.onnx", precision="fp16")
    wrongs: list[Any] = ["int8", []]
    for precision in wrongs:
        wrong = re.escape(repr(precision))
        with pytest.raises(ExportingError, match=rf"The precision should be fp32 or fp16, not {wrong}\.$"):
            export_style(heavy, tmp_path / "old.onnx", precision=precision)
    with pytest.raises(ExportingError, match=r"^The file to write is a path that ends in \.onnx, not None\.$"):
        export_style(heavy, None)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ExportingError, match=r"needs 'onnxscript': pip install \"nst-core\[export\]\" installs"):
        export_style(heavy, tmp_path / "old.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["old.onnx"]
    assert (tmp_path / "old.onnx").read_text() == "as it was"


def test_float16_of_a_network_without_normalisation_runs() -> None:
    """As a plug-in's may be: nothing would restore the type after a first convolution in float32."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1)).eval()
    photo = 255 * torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        painted, exact = _Portable(network, torch.float16)(photo), network(photo).clamp(0, 255)
    torch.testing.assert_close(painted, exact, rtol=0, atol=0.5)


class _Late(nn.Module):
    """A network that defines its layers in another order than it computes them."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self.norm, self.first = nn.Conv2d(8, 3, 1), nn.InstanceNorm2d(8, affine=True), nn.Conv2d(3, 8, 1)

    def forward(self, photo: Tensor) -> Tensor:
        painted: Tensor = self.last(self.norm(self.first(photo)))
        return painted


class _Fickle(nn.Module):
    """A network that depends on the pixels in a way that no graph can."""

    def forward(self, photo: Tensor) -> Tensor:
        return photo if photo.mean() > 100 else 255 - photo


def test_the_layers_of_a_plug_in_may_be_defined_in_any_order(styles: dict[str, Style], tmp_path: Path) -> None:
    torch.manual_seed(0)
    late, photo = _Late().eval(), 255 * torch.rand(1, 3, 40, 40)
    lite = styles[LITE]
    style = replace(lite, network=late, architecture=replace(lite.architecture, id="late"))
    export_style(style, tmp_path / "late.onnx", precision="fp16")
    with torch.no_grad():
        exact = late(photo).clamp(0, 255)
    (painted,) = onnxruntime.InferenceSession(tmp_path / "late.onnx").run(None, {"photo": photo.numpy()})
    np.testing.assert_allclose(painted, exact, atol=0.5)


def test_what_no_graph_can_do_or_no_processor_in_float16_is_refused(styles: dict[str, Style], tmp_path: Path) -> None:
    lite = styles[LITE]
    fickle = replace(lite, network=_Fickle(), architecture=replace(lite.architecture, id="fickle"))
    with pytest.raises(ExportingError, match=r"^PyTorch cannot write the network as one graph for all pictures: .+\.$"):
        export_style(fickle, tmp_path / "fickle.onnx")
    exact = replace(lite, network=nn.LocalResponseNorm(3), architecture=replace(lite.architecture, id="exact"))
    with pytest.raises(ExportingError, match=r"cannot be tried in float16 \(.+\): use fp32\.$"):
        export_style(exact, tmp_path / "exact.onnx", precision="fp16")
    assert not [*tmp_path.iterdir()]
