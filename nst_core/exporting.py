"""A style as one ONNX file, for phones and browsers: ONNX Runtime paints it where there is no PyTorch.

The graph, without weights, is the same for all styles of an architecture. PyTorch's exporter takes some ten seconds and
nearly a gigabyte to make it, so it is kept in ``graphs/``, where ``scripts/graphs.py`` writes it.
"""

import copy
import os
import warnings
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core import __version__
from nst_core.architectures import Architecture
from nst_core.architectures.johnson import JohnsonNetwork
from nst_core.errors import NSTError, check_choice, one_line
from nst_core.files import replacing
from nst_core.gate import trial_picture
from nst_core.layers import ConvLayer, UpsampleConvLayer
from nst_core.modes import FLOAT32_ON_CPU
from nst_core.style import Style, check_style
from nst_core.stylization import MIN_SIDE, check_second
from nst_core.text import few, quoted

if TYPE_CHECKING:
    from onnx import ModelProto

GRAPHS = Path(__file__).parent / "graphs"
OPSET = 20
"""The newest whose operators ONNX Runtime's backends all have: its WebGPU has no Conv of opset 22 (1.24)."""

ExportPrecision = Literal["fp32", "fp16"]
DTYPES: dict[ExportPrecision, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16}


class ExportingError(NSTError):
    """A style that cannot be exported, or a file that cannot be written."""


def export_style(
    style: Style,
    path: str | Path,
    *,
    precision: ExportPrecision = "fp32",
    second: Style | None = None,
    mix: float | None = None,
) -> None:
    """Write a style as ONNX, with standard operators alone; the file is written whole or not at all.

    Its input ``photo`` and its output ``painted`` are float32 of (1, 3, height, width), RGB in 0–255, with sides from
    ``MIN_SIDE``; the output has the input's size and is clamped, not rounded. With fp16, the weights and all that is
    computed between input and output are float16, except where that would do harm (see ``_Portable``).

    With a ``second`` style, the file holds both networks, and its input ``mix``, float32 of (1), is how much of the
    second is seen, 0–1; the metadata's ``mix`` says where a slider should begin, by default at 0.5.

    Raises:
        NSTError: ``mix`` is out of its range, or there is none to mix.
        StyleError: one of the two is not a style.
        ExportingError: a package is missing, there is no such precision, ``path`` is not a path, the file cannot be
            written, a weight or what it gives is beyond float16, or PyTorch cannot compute a plug-in's network in
            float16 on the CPU, or cannot follow it.
    """
    if not isinstance(path, str | os.PathLike):
        raise ExportingError(f"The file to write is a path that ends in .onnx, not {one_line(path)}.")
    path = Path(path)
    check_export(path)
    check_style(style)
    check_choice(ExportingError, "precision", precision, ExportPrecision)
    share = check_second(second, mix, None)
    import onnx

    styles = [style, second] if second else [style]
    portables = [_portable(one, precision) for one in styles]
    smallest = max(one.architecture.min_size for one in styles)
    stored = GRAPHS / _graph_name(style.architecture, precision)
    if second:
        model = _traced(_Mixed(*portables), smallest, share)
    elif stored.is_file():
        model = onnx.load(stored)
        state = portables[0].state_dict()
        for initializer in model.graph.initializer:
            if initializer.name in state:
                initializer.raw_data = state[initializer.name].contiguous().numpy().tobytes()
    else:
        model = _traced(portables[0], smallest)
    _describe(model, styles, precision, share)
    onnx.checker.check_model(model, full_check=True)
    try:
        with replacing(path) as new:
            new.write_bytes(model.SerializeToString())
    except OSError as error:
        raise ExportingError(f"The file {quoted(path.name)} could not be written: {error.strerror}.") from error


def write_graph(architecture: Architecture, precision: ExportPrecision) -> None:
    """Put the graph of an architecture into ``graphs/``, where its styles' exports find it."""
    portable = _Portable(architecture.network(), DTYPES[precision])
    for parameter in portable.parameters():
        nn.init.uniform_(parameter)  # of equal ones, the exporter would keep only one
    model, state = _traced(portable, architecture.min_size), portable.state_dict()
    weights = [initializer for initializer in model.graph.initializer if initializer.name in state]
    assert len(weights) == len(state), "the exporter renamed or folded some of the weights"
    for initializer in weights:
        initializer.ClearField("raw_data")
    (GRAPHS / _graph_name(architecture, precision)).write_bytes(model.SerializeToString())


def check_export(path: Path) -> None:
    """Refuse what ``export_style`` cannot write, before any work is done.

    Raises:
        ExportingError: a package is missing, or the file does not end in .onnx.
    """
    if missing := [package for package in ("onnx", "onnxscript") if find_spec(package) is None]:
        raise ExportingError(
            f'Exporting needs {few(missing)}: pip install "nst-core[export]" installs what is missing.'
        )
    if path.suffix.lower() != ".onnx":
        raise ExportingError(f"The file {quoted(path.name)} should end in .onnx, the format that is written.")


def _graph_name(architecture: Architecture, precision: ExportPrecision) -> str:
    return f"{architecture.id}-{architecture.version}-{precision}.onnx"


def _traced(paint: nn.Module, smallest: int, mix: float | None = None) -> "ModelProto":
    """The module as ONNX, without the exporter's notes on source code; ``mix`` is an example of a second input."""
    sides = {2: torch.export.Dim("height", min=smallest), 3: torch.export.Dim("width", min=smallest)}
    # An arbitrary size: from a round one, the exporter would infer relations that do not always hold.
    photo, shapes = torch.zeros(1, 3, 37, 54, **FLOAT32_ON_CPU), {"photo": sides}
    mixed = mix is not None
    with torch.no_grad(), warnings.catch_warnings():
        # PyTorch's exporter warns about PyTorch's own calls.
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                paint.eval(),
                (photo, torch.tensor([mix], **FLOAT32_ON_CPU)) if mixed else (photo,),
                input_names=["photo", "mix"] if mixed else ["photo"],
                output_names=["painted"],
                dynamic_shapes=shapes | {"mix": None} if mixed else shapes,
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            why = str(error.__cause__).partition("\n")[0].rstrip(".")
            raise ExportingError(f"PyTorch cannot write the network as one graph for all pictures: {why}.") from error
    assert program is not None
    model = program.model_proto
    graph = model.graph
    # The exporter notes the source line of every value.
    for noted in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        del noted.metadata_props[:]
    del graph.metadata_props[:], graph.value_info[:], model.functions[:]
    for dimension, name in zip(graph.output[0].type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
        dimension.dim_param = name
    return model


def _portable(style: Style, precision: ExportPrecision) -> nn.Module:
    portable = _Portable(style.network, DTYPES[precision]).eval()
    side = max(MIN_SIDE, style.architecture.min_size)  # float16 is slow on a CPU
    try:
        with torch.inference_mode():
            painted = portable(trial_picture(side, blobs=8, seed=0))
    except RuntimeError as error:  # PyTorch has some layers, which a plug-in may use, in float16 on GPUs alone
        why = str(error).partition("\n")[0].rstrip(".")
        raise ExportingError(f"{quoted(style.title)} cannot be tried in float16 ({why}): use fp32.") from error
    if not all(numbers.isfinite().all() for numbers in (painted, *portable.parameters())):
        raise ExportingError(
            f"A weight of {quoted(style.title)}, or a number that it computes, is beyond 65,504, the largest that "
            "float16 holds: use fp32."
        )
    return portable


def _describe(model: "ModelProto", styles: list[Style], precision: ExportPrecision, mix: float) -> None:
    """Say in the file what its styles, its inputs and its output are."""
    from onnx.helper import set_model_props

    graph, layout = model.graph, "float32, (1, 3, height, width), RGB in 0-255"
    # The graph takes smaller ones, too, but stylize pads them before it paints.
    least = max(MIN_SIDE, *(style.architecture.min_size for style in styles))
    takes, gives = f"{layout}; sides of {least} pixels or more", f"{layout}, clamped; of the input's size"
    titles = " + ".join(style.title for style in styles)
    graph.name = titles
    graph.input[0].doc_string, graph.output[0].doc_string = takes, gives
    model.producer_name, model.producer_version = "nst-core", __version__
    model.doc_string = f"Repaints a photograph in the style of {titles}."
    said = {"nst_core_version": __version__, "precision": precision, "input": takes, "output": gives}
    properties = _properties(styles[0]) | said
    if len(styles) == 2:
        graph.input[1].doc_string = "float32, (1), in 0-1: how much of the second style is seen"
        properties |= {f"second_{name}": value for name, value in _properties(styles[1]).items()} | {"mix": f"{mix:g}"}
    set_model_props(model, properties)


def _properties(style: Style) -> dict[str, str]:
    return {
        "title": style.title,
        "artist": style.artist,
        "license": style.license,
        "architecture": style.architecture.id,
        "architecture_version": str(style.architecture.version),
    }


class _Mixed(nn.Module):
    """What a file with two styles computes: a mixture of their pictures, each rounded first, as ``stylize`` does."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, photo: Tensor, mix: Tensor) -> Tensor:
        # Not Round, which GPU backends lack.
        first, second = ((paint(photo) + 0.5).floor() for paint in (self.first, self.second))
        return first + mix * (second - first)


class _Portable(nn.Module):
    """What the file computes for a style: its network, cropped and clamped, in one dtype but for two exceptions.

    Normalisation statistics are always float32, as a channel's sums exceed float16. So is a first convolution that a
    normalisation follows: a sky's faint gradient would be lost among float16's steps of 1 beyond 1024, and the
    normalisation would magnify the error.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        network = copy.deepcopy(network).cpu().float()
        self.network = copy.deepcopy(network).to(dtype)
        layers = dict(network.named_modules())
        # Only a normalisation restores the dtype.
        first = next((pair for pair in pairwise(_computed(network)) if isinstance(layers[pair[0]], nn.Conv2d)), None)
        wide = first is not None and isinstance(layers[first[1]], nn.InstanceNorm2d)
        if first is not None and wide:
            self.network.set_submodule(first[0], layers[first[0]])
        self.entering = torch.float32 if wide else dtype
        for name, layer in layers.items():
            if isinstance(layer, nn.InstanceNorm2d):
                self.network.set_submodule(name, _Norm(layer, dtype))
        if type(network) is JohnsonNetwork:  # what is derived from it may compute something else
            self.network.set_submodule("deconv1", _Enlarging(network.deconv1).to(dtype))
            self.network.set_submodule("deconv2", _Enlarging(network.deconv2).to(dtype))
            self.network.set_submodule("deconv3", _Last(network.deconv3).to(dtype))

    def forward(self, photo: Tensor) -> Tensor:
        height, width = photo.shape[2:]
        return self.network(photo.to(self.entering))[..., :height, :width].float().clamp(0, 255)


def _computed(network: nn.Module) -> list[str]:
    """Names of a network's layers in the order in which they are computed."""
    names: list[str] = []
    hooks = [
        layer.register_forward_hook(lambda *_, name=name: names.append(name))
        for name, layer in network.named_modules()
        if not list(layer.children())
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 64, **FLOAT32_ON_CPU))
    for hook in hooks:
        hook.remove()
    return names


class _Norm(nn.Module):
    """Instance normalisation in float32, of values that are centred first.

    ONNX Runtime sums up a channel in float32, number by number. For a large map with a large mean and small deviation,
    as a bright and even photograph gives, that mean would not be accurate enough.
    """

    def __init__(self, norm: nn.InstanceNorm2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.norm, self.dtype = norm, dtype

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        x = x - x.mean((2, 3), keepdim=True)
        return F.instance_norm(x, weight=self.norm.weight, bias=self.norm.bias, eps=self.norm.eps).to(self.dtype)


class _Enlarging(nn.Module):
    """An ``UpsampleConvLayer``, of which 2 × 2 pixels at once are four ninths of the multiplications."""

    def __init__(self, layer: UpsampleConvLayer) -> None:
        super().__init__()
        # What an odd row of the large map sees of the rows beside it, and what the even row after it sees of the same.
        taps = torch.tensor([[[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]])
        self.conv2d = _four_at_once(layer.conv2d, taps, stride=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, [1] * 4, mode="replicate")  # as the large map's reflection is
        return F.pixel_shuffle(self.conv2d(x), 2)[..., 1:-1, 1:-1]


class _Last(nn.Module):
    """The last layer, whose map has even sides: kernels of 3 channels are slow, those of 12 are not."""

    def __init__(self, layer: ConvLayer) -> None:
        super().__init__()
        self.padding = layer.padding
        taps = torch.eye(layer.conv2d.kernel_size[0])
        self.conv2d = _four_at_once(
            layer.conv2d, torch.stack([F.pad(taps, (0, 0, 0, 1)), F.pad(taps, (0, 0, 1, 0))]), 2
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv2d(F.pad(x, [self.padding] * 4, mode="reflect")), 2)


def _four_at_once(conv: nn.Conv2d, taps: Tensor, stride: int) -> nn.Conv2d:
    """A convolution whose channels are 2 × 2 pixels of each of ``conv``'s, in the order of ``pixel_shuffle``.

    ``taps`` (2, rows, kernel rows) says for the first and the second of two pixels which rows, of those that both see,
    each row of the kernel falls on; for columns likewise.
    """
    taps = taps.double()
    kernel = torch.einsum("oiyx,pay,qbx->opqiab", conv.weight.double(), taps, taps).flatten(0, 2).float()
    made = nn.Conv2d(conv.in_channels, len(kernel), kernel.shape[-1], stride)
    assert conv.bias is not None
    made.weight, made.bias = nn.Parameter(kernel), nn.Parameter(conv.bias.repeat_interleave(4))
    return made
