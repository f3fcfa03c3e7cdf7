"""Feature extraction: VGG19 by layer name, evaluated only as deep as asked."""

import os
import re
import zlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core.errors import NSTError, check_choice, one_line
from nst_core.modes import FLOAT32_ON_CPU
from nst_core.text import few, quoted

CONVOLUTIONS_PER_BLOCK = (2, 2, 4, 4, 4)
"""VGG19's."""
VGG19_CHANNELS = (64, 128, 256, 512, 512)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)
DISTILLED_CHANNELS = (16, 32, 64, 128, 128)
_COMPACT: tuple[dict[str, Any], ...] = (
    {"last": "conv3_1", "ranks": {"1_1": 12, "1_2": 24, "2_1": 32, "2_2": 48, "3_1": 64}},
    {"last": "conv5_1", "channels": (24, 48, 96, 128, 128), "heads": ("4_1", "5_1")},
)
COMPACT_WEIGHTS = Path(__file__).with_name("compact.safetensors")
EXACT_FILE, DISTILLED_FILE = "vgg19_normalised_to_conv3_1.safetensors", "vgg19_distilled_to_conv5_1.safetensors"
Pooling = Literal["max", "average"]
"""The pooling between blocks: Simonyan and Zisserman trained with max, Gatys et al. prefer the look of average."""


class FeaturesError(NSTError):
    """A feature network that cannot be loaded, or a layer that it does not have."""


class FeatureNetwork(nn.Module):
    """What losses measure pictures by: ``VGG19``, ``Hybrid``, or a network of your own that derives from this."""

    pooling: Pooling = "max"
    """The pooling between its blocks; it may be changed at any time, as no weight depends on it."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers it gives, shallow to deep."""
        raise NotImplementedError

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Activations by layer name: pictures (B, 3, H, W), RGB in 0–1, to (B, C, h, w) each.

        Raises:
            FeaturesError: a name that is none of ``layers``, or pictures of another shape or type, or too small to
                reach it.
        """
        raise NotImplementedError


class VGG19(FeatureNetwork):
    """The convolutions of VGG19 (Simonyan and Zisserman 2014), any width, with ``conv1_1 … conv5_4`` and ``relu…``.

    ``conv0`` is a 1 × 1 convolution that turns RGB in 0–1 into what the weights were trained on, so that one class
    serves networks of different origin. A narrow network has ``heads``: after each of these convolutions and its ReLU,
    a 1 × 1 convolution predicts the full network's activations (Wang et al. 2020, collaborative distillation). Only
    these layers are given: ``conv…`` is the prediction, ``relu…`` its positive part. Where a head was trained on ReLU
    outputs alone, its ``conv…`` means nothing below zero.

    A convolution in ``ranks`` has that many channels, and its head expands them to full width for the next layer
    (Zhang et al. 2015, "Accelerating Very Deep Convolutional Networks for Classification and Detection").

    ``last`` is the deepest convolution, and ``channels`` are the widths of the five blocks.
    """

    def __init__(
        self,
        *,
        last: str = "conv5_4",
        channels: tuple[int, ...] = VGG19_CHANNELS,
        heads: Collection[str] = (),
        ranks: Mapping[str, int] | None = None,
        padding_mode: Literal["zeros", "reflect"] = "zeros",
    ) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 3, 1)
        self.plan: list[str] = []
        self.ranks = dict(ranks or {})
        self.heads = (*self.ranks, *heads)
        self.padding_mode = padding_mode
        width = 3
        for block, (count, out) in enumerate(zip(CONVOLUTIONS_PER_BLOCK, channels, strict=True), start=1):
            full = VGG19_CHANNELS[block - 1]
            for index in range(1, count + 1):
                name = f"{block}_{index}"
                given = self.ranks.get(name, out)
                self.add_module(f"conv{name}", nn.Conv2d(width, given, 3, padding=int(padding_mode == "zeros")))
                self.plan += [f"conv{name}", f"relu{name}"]
                if name in self.heads:
                    self.add_module(f"head{name}", nn.Conv2d(given, full, 1))
                width = full if name in self.ranks else out
                if f"conv{name}" == last:
                    return
            self.plan.append(f"pool{block}")
        raise ValueError(f"VGG19 has no convolution {last!r}")

    @property
    def layers(self) -> tuple[str, ...]:
        computed = [name for name in self.plan if not name.startswith("pool")]
        return tuple(name for name in computed if not self.heads or name[4:] in self.heads)

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """As ``FeatureNetwork`` says; nothing deeper than ``layers`` is computed."""
        check_layers(layers, self.layers)
        self._check_pictures(pictures, layers)
        missing = set(layers)
        features: dict[str, Tensor] = {}
        x = pictures
        for name in self.plan:
            if not missing:
                break
            kind, place = name[:4], name[4:]
            if kind == "pool":
                x = F.max_pool2d(x, 2) if self.pooling == "max" else F.avg_pool2d(x, 2)
            else:
                x = F.relu(x) if kind == "relu" else self._convolved(name, x)
                if kind == "conv" and place in self.ranks:
                    x = self.get_submodule(f"head{place}")(x)
            if not self.heads or place in self.ranks:
                found = {name: x}
            elif kind == "relu" and missing & {f"conv{place}", name}:
                prediction = self.get_submodule(f"head{place}")(x)
                found = {f"conv{place}": prediction, name: F.relu(prediction)}
            else:
                continue
            features |= {layer: value for layer, value in found.items() if layer in missing}
            missing -= found.keys()
        return features

    def _convolved(self, name: str, x: Tensor) -> Tensor:
        convolution, device = self.get_submodule(name), x.device.type
        assert isinstance(convolution, nn.Conv2d)
        # Under autocast, the padding would run in float32 and return that.
        with torch.autocast(device, enabled=False):
            if name == "conv1_1":
                x = self.conv0(x.to(self.conv0.weight.dtype))
            if self.padding_mode == "reflect":
                x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        if name != "conv1_1" or not torch.is_autocast_enabled(device):
            return convolution(x)
        # bfloat16 has fewer digits than a picture, and rounding that would cause most of the error of all later layers.
        # The remainder of the rounding goes in as three more channels.
        rounded = x.to(torch.get_autocast_dtype(device))
        both, weight = torch.cat([rounded, x - rounded], 1), torch.cat([convolution.weight] * 2, 1)
        return F.conv2d(both, weight, convolution.bias, padding=convolution.padding)

    def _check_pictures(self, pictures: Tensor, layers: Collection[str]) -> None:
        if not are_pictures(pictures):
            raise FeaturesError(
                "Pictures should be a tensor (batch, 3, height, width) of floating-point numbers in 0–1, not "
                f"{described(pictures)}."
            )
        deepest = max(layers, key=self.plan.index, default="conv1_1")
        # Each earlier block halves the picture, and reflection padding needs at least two pixels.
        side = 2 ** (int(deepest[4]) - 1) * (2 if self.padding_mode == "reflect" else 1)
        height, width = pictures.shape[-2:]
        if min(height, width) < side:
            raise FeaturesError(
                f"A picture of {width} × {height} pixels is too small to reach {deepest}: it should be at least "
                f"{side} × {side}."
            )


class Hybrid(FeatureNetwork):
    """Several feature networks as one: each layer comes from the first network that gives it."""

    def __init__(self, *networks: VGG19) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that any of them gives, in the order of the networks."""
        return tuple(dict.fromkeys(layer for network in self._networks() for layer in network.layers))

    @property
    def pooling(self) -> Pooling:
        """That of all the networks."""
        return self._networks()[0].pooling

    @pooling.setter
    def pooling(self, pooling: Pooling) -> None:
        for network in self._networks():
            network.pooling = pooling

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """As ``FeatureNetwork`` says; of each network, only what is asked of it is computed."""
        check_layers(layers, self.layers)
        features: dict[str, Tensor] = {}
        for network in self._networks():
            if here := [layer for layer in layers if layer in network.layers and layer not in features]:
                features |= network(pictures, here)
        return features

    def _networks(self) -> list[VGG19]:
        return [network for network in self.networks if isinstance(network, VGG19)]


Network = TypeVar("Network", bound=FeatureNetwork)


def check_layers(wanted: Collection[str], given: Collection[str]) -> None:
    """Refuse layers that a feature network does not give.

    Raises:
        FeaturesError: naming the unknown ones and those there are.
    """
    if unknown := [layer for layer in wanted if layer not in given]:
        raise FeaturesError(f"There is no layer {few(unknown)}: this feature network has {', '.join(given)}.")


def are_pictures(value: object, channels: int = 3) -> bool:
    """Whether it is a tensor (B, channels, H, W) of floating-point numbers."""
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() == 4 and value.shape[1] == channels


def described(value: object) -> str:
    """What was given instead of a tensor that would be right: a tensor's type and shape, or the value."""
    return f"{value.dtype}, {tuple(value.shape)}" if isinstance(value, Tensor) else one_line(value)


_PLACES = [f"{block}_{place}" for block, count in enumerate(CONVOLUTIONS_PER_BLOCK, 1) for place in range(1, count + 1)]


def nearest_layers(wanted: Mapping[str, float], given: Sequence[str]) -> dict[str, float]:
    """The wanted layers' weights; where a layer is not given, the nearest given one of its kind and block stands in.

    A layer that VGG19 does not have, or whose block gives none of its kind, is left for the network to refuse.
    """
    chosen: dict[str, float] = {}
    for layer, weight in wanted.items():
        alike = [other for other in given if other[:-1] == layer[:-1]]
        if layer not in given and alike and layer[4:] in _PLACES:
            layer = min(alike, key=lambda other: abs(int(other[-1]) - int(layer[-1])))
        chosen[layer] = chosen.get(layer, 0.0) + weight
    return chosen


def numbers_per_pixel(network: FeatureNetwork) -> float:
    """How many activations all convolutions of VGG19s in it have together for each pixel of the picture."""
    return sum(
        layer.out_channels / 4 ** (int(name[4]) - 1)
        for part in network.modules()
        if isinstance(part, VGG19)
        for name, layer in part.named_children()
        if isinstance(layer, nn.Conv2d) and (name in part.plan or (name[:4] == "head" and name[4:] in part.ranks))
    )


def fingerprint(network: nn.Module) -> int:
    """A checksum of a network's weights, of at most 256 values of each tensor; the same on every device."""
    some = (parameter.detach().flatten()[:256].float().cpu() for parameter in network.parameters())
    return zlib.crc32(b"".join(values.numpy().tobytes() for values in some))


@torch.inference_mode(False)
def load_features(source: str | Path = "vgg19", *, pooling: Pooling = "max") -> FeatureNetwork:
    """A frozen feature network, called with pictures (B, 3, H, W), RGB in 0–1, and names of its ``layers``.

    ``source`` is one of

    - ``"vgg19"``, torchvision's weights, ``conv1_1`` to ``relu5_4``; 80 MB that are fetched from the Hub once and kept.
    - a folder with ``vgg19_normalised_to_conv3_1.safetensors`` (exact, channels rescaled to mean activation 1 as in
      Gatys et al.) and ``vgg19_distilled_to_conv5_1.safetensors``: exact features up to ``relu3_1`` and predictions at
      4_1 and 5_1. These were trained on ReLU outputs alone, so ``conv4_1`` and ``conv5_1`` mean nothing below zero.
    - ``"compact"``, part of this package: at lower cost it predicts what such a folder gives at 1_1 to 3_1, 4_1 and
      5_1. Its ``conv4_1`` and ``conv5_1`` mean nothing below zero, either.

    ``pooling`` is used between the blocks; all of these weights were trained with ``"max"``.

    Raises:
        FeaturesError: ``source`` or ``pooling`` is none of these, a file is missing or does not fit, or VGG19's weights
            are not cached and the Hub cannot be reached.
    """
    check_choice(FeaturesError, "pooling", pooling, Pooling)
    network: FeatureNetwork
    if source == "vgg19":
        network = _load_torchvision()
    elif source == "compact":
        network = _load_compact()
    elif isinstance(source, str | os.PathLike) and os.path.isdir(source):
        network = _load_hybrid(Path(source))
    else:
        raise FeaturesError(
            f"There are no features {quoted(source)}: choose vgg19, compact or a folder that holds {EXACT_FILE} and "
            f"{DISTILLED_FILE}."
        )
    network.pooling = pooling
    return network.eval().requires_grad_(False)


def feature_network(source: Any, *, pooling: Pooling = "max") -> FeatureNetwork:
    """A feature network as it is; anything else is passed to ``load_features``.

    Raises:
        FeaturesError: as ``load_features``, or the network is float16, which does not mix with bfloat16.
    """
    network = source if isinstance(source, FeatureNetwork) else load_features(source, pooling=pooling)
    if any(parameter.dtype == torch.float16 for parameter in network.parameters()):
        raise FeaturesError("The feature network is in float16: convert it with network.float().")
    return network


def compact_network() -> Hybrid:
    """A VGG19 of low rank to conv3_1 and a narrow one to conv5_1, untrained: ``scripts/distill.py`` trains them."""
    network = _empty_compact()
    network.load_state_dict(_scales(network), strict=False)
    return network


def _empty_compact() -> Hybrid:
    return Hybrid(*(VGG19(**shape, padding_mode="reflect") for shape in _COMPACT))


def _load_compact(path: Path = COMPACT_WEIGHTS) -> Hybrid:
    # The scale was never learned, so it is set exactly, not rounded to half precision.
    with torch.device("meta"):
        empty = _empty_compact()
    return _fill(empty, _read(path) | _scales(empty), f"{path.name} does not hold a compact VGG19.")


def _scales(compact: Hybrid) -> dict[str, Tensor]:
    return {f"networks.{i}.{name}": x for i in range(len(compact.networks)) for name, x in _imagenet_scale().items()}


def from_torchvision(weights: Mapping[str, Tensor]) -> VGG19:
    """VGG19 with torchvision's weights, all of them, under its names: ``features.0.weight`` …

    Raises:
        FeaturesError: their shapes are not VGG19's.
    """
    network = _empty()
    state = {ours: weights[theirs] for ours, theirs in _torchvision_names(network).items()}
    return _fill(network, state | _imagenet_scale(), "These weights are not torchvision's VGG19: their shapes differ.")


def _torchvision_names(network: VGG19) -> dict[str, str]:
    # torchvision numbers every operation of the sequence, pools and ReLUs too.
    return {
        f"{name}.{kind}": f"features.{index}.{kind}"
        for index, name in enumerate(network.plan)
        if name.startswith("conv")
        for kind in ("weight", "bias")
    }


def _load_torchvision() -> VGG19:
    # This imports the Hub's client, which no other feature network needs.
    from nst_core.pretrained import torchvision_weights

    network = _empty()
    names = _torchvision_names(network)
    shapes = {theirs: tuple(network.get_parameter(ours).shape) for ours, theirs in names.items()}
    return from_torchvision(torchvision_weights(shapes))


def _imagenet_scale() -> dict[str, Tensor]:
    scale = _values(IMAGENET_STD).reciprocal()
    return {"conv0.weight": torch.diag(scale)[:, :, None, None], "conv0.bias": -_values(IMAGENET_MEAN) * scale}


def _load_hybrid(folder: Path) -> Hybrid:
    refusal = "{} does not hold the VGG19 that its name promises."
    state = _read(folder / EXACT_FILE)
    state["conv0.weight"] = 255 * torch.diag(_values((1, 1, 1))).flip(0)[:, :, None, None]  # RGB to BGR
    state["conv0.bias"] = -_values(CAFFE_MEAN_BGR)
    exact = _fill(_empty(last="conv3_1", padding_mode="reflect"), state, refusal.format(EXACT_FILE))

    state = {
        re.sub(r"conv(\d)(\d)(_aux)?", lambda m: f"{'head' if m[3] else 'conv'}{m[1]}_{m[2]}", name): tensor
        for name, tensor in _read(folder / DISTILLED_FILE).items()
    }
    distilled = _empty(
        last="conv5_1",
        channels=DISTILLED_CHANNELS,
        heads=[f"{block}_1" for block in range(1, 6)],
        padding_mode="reflect",
    )
    return Hybrid(exact, _fill(distilled, state, refusal.format(DISTILLED_FILE)))


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise FeaturesError(
            f"The feature network {path.name} could not be read from {path.parent}: {error}."
        ) from error


def _values(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers, **FLOAT32_ON_CPU)


def _empty(**shape: Any) -> VGG19:
    """A network without weights, for ``_fill``: no random numbers are drawn only to be replaced."""
    with torch.device("meta"):
        return VGG19(**shape)


def _fill(empty: Network, state: Mapping[str, Tensor], refusal: str) -> Network:
    """Load weights as float32 on the CPU, whatever a program's defaults and the file's types are."""
    try:
        empty.load_state_dict({name: value.to("cpu", torch.float32) for name, value in state.items()}, assign=True)
    except RuntimeError as error:
        raise FeaturesError(refusal) from error
    return empty
