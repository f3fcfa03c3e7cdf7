"""Feature extraction: VGG19 by layer name, evaluated only as deep as asked."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Literal, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core.errors import NSTError

CONVOLUTIONS_PER_BLOCK = (2, 2, 4, 4, 4)
VGG19_CHANNELS = (64, 128, 256, 512, 512)
VGG19_REPO, VGG19_REVISION = "timm/vgg19.tv_in1k", "128d4708565b3a414bcbb9bbad440b2fe37b9f18"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CAFFE_MEAN_BGR = (103.939, 116.779, 123.68)


class FeaturesError(NSTError):
    """A feature network or a layer of it that is not to be had."""


class FeatureNetwork(Protocol):
    """What losses ask of a feature network."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers it gives, shallow to deep."""

    def __call__(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        """Activations by layer name: pictures (B, 3, H, W), RGB in 0–1, to (B, C, h, w) each.

        Raises:
            FeaturesError: a name that is none of ``layers``, or a picture too small to reach it.
        """


class VGG19(nn.Module):
    """The convolutions of VGG19 (Simonyan and Zisserman 2014), any width, with ``conv1_1 … conv5_4`` and ``relu…``.

    ``conv0`` is a 1 × 1 convolution that turns RGB in 0–1 into what the weights were trained on, so that networks
    of different origin are one class. With ``heads``, a 1 × 1 convolution after the first ReLU of each block predicts
    the full network's ``reluN_1`` (Wang et al. 2020, collaborative distillation), and those are the layers it gives.
    """

    def __init__(
        self,
        *,
        last: str = "conv5_4",
        channels: tuple[int, ...] = VGG19_CHANNELS,
        heads: bool = False,
        padding_mode: Literal["zeros", "reflect"] = "zeros",
    ) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(3, 3, 1)
        self.plan: list[str] = []
        self.heads = heads
        width = 3
        for block, (count, out) in enumerate(zip(CONVOLUTIONS_PER_BLOCK, channels, strict=True), start=1):
            for index in range(1, count + 1):
                name = f"{block}_{index}"
                self.add_module(f"conv{name}", nn.Conv2d(width, out, 3, padding=1, padding_mode=padding_mode))
                self.plan += [f"conv{name}", f"relu{name}"]
                if heads and index == 1:
                    self.add_module(f"head{name}", nn.Conv2d(out, VGG19_CHANNELS[block - 1], 1))
                width = out
                if f"conv{name}" == last:
                    return
            self.plan.append(f"pool{block}")
        raise ValueError(f"VGG19 has no convolution {last!r}")

    @property
    def layers(self) -> tuple[str, ...]:
        if self.heads:
            return tuple(name for name in self.plan if re.fullmatch(r"relu\d_1", name))
        return tuple(name for name in self.plan if not name.startswith("pool"))

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        check_layers(layers, self.layers)
        wanted = set(layers)
        features: dict[str, Tensor] = {}
        x = self.conv0(pictures)
        for name in self.plan:
            if len(features) == len(wanted):
                break
            if name.startswith("pool"):
                if min(x.shape[-2:]) < 2:
                    raise FeaturesError(f"A picture of {tuple(pictures.shape[-2:])} is too small to reach {name}.")
                x = F.max_pool2d(x, 2)
            else:
                x = F.relu(x) if name.startswith("relu") else self.get_submodule(name)(x)
            if name in wanted:
                head = name.replace("relu", "head")
                features[name] = F.relu(self.get_submodule(head)(x)) if self.heads else x
        return features


class Hybrid(nn.Module):
    """Several feature networks as one: each layer comes from the first network that gives it."""

    def __init__(self, *networks: VGG19) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    @property
    def layers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(layer for network in self._networks() for layer in network.layers))

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        check_layers(layers, self.layers)
        features: dict[str, Tensor] = {}
        for network in self._networks():
            if here := [layer for layer in layers if layer in network.layers and layer not in features]:
                features |= network(pictures, here)
        return features

    def _networks(self) -> list[VGG19]:
        return [network for network in self.networks if isinstance(network, VGG19)]


def check_layers(wanted: Collection[str], given: Collection[str]) -> None:
    """Refuse layers that a feature network does not give.

    Raises:
        FeaturesError: naming the unknown ones and those there are.
    """
    if unknown := [layer for layer in wanted if layer not in given]:
        raise FeaturesError(f"No layer {', '.join(unknown)}; this feature network gives {', '.join(given)}.")


def load_features(source: str | Path = "vgg19") -> VGG19 | Hybrid:
    """A frozen feature network.

    ``"vgg19"`` is torchvision's VGG19, fetched from the Hub once and kept. Otherwise a folder that holds
    ``vgg19_normalised_to_conv3_1.safetensors`` (the exact network of the paper, channels rescaled to mean activation
    1 as in Gatys et al.) and ``vgg19_distilled_to_conv5_1.safetensors``: exact features up to conv3_1, predicted
    ones at relu4_1 and relu5_1, at a fraction of the cost.

    Raises:
        FeaturesError: the folder lacks a file, a file does not fit, or the Hub cannot be reached.
    """
    network = _load_torchvision() if source == "vgg19" else _load_hybrid(Path(source))
    return network.eval().requires_grad_(False)


def _load_torchvision() -> VGG19:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = hf_hub_download(VGG19_REPO, "model.safetensors", revision=VGG19_REVISION)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FeaturesError(
            f"VGG19's weights could not be fetched from {VGG19_REPO} on the Hugging Face Hub ({type(error).__name__}); "
            "connect once, or name a folder of feature networks instead."
        ) from error
    return from_torchvision(_read(Path(path)))


def from_torchvision(weights: Mapping[str, Tensor]) -> VGG19:
    """VGG19 with weights named as torchvision names them (``features.0.weight`` …, classifier ignored).

    Raises:
        FeaturesError: they are not VGG19's.
    """
    network = VGG19()
    # torchvision numbers every operation of the sequence, pools and ReLUs too.
    places = {
        f"{name}.{kind}": f"features.{i}.{kind}" for i, name in enumerate(network.plan) for kind in ("weight", "bias")
    }
    state = {ours: weights[theirs] for ours, theirs in places.items() if theirs in weights}
    scale = torch.tensor(IMAGENET_STD).reciprocal()
    state["conv0.weight"] = torch.diag(scale)[:, :, None, None]
    state["conv0.bias"] = -torch.tensor(IMAGENET_MEAN) * scale
    return _fill(network, state, VGG19_REPO)


def _load_hybrid(folder: Path) -> Hybrid:
    exact_path = folder / "vgg19_normalised_to_conv3_1.safetensors"
    exact_state = _read(exact_path)
    exact_state["conv0.weight"] = 255 * torch.eye(3).flip(0)[:, :, None, None]  # RGB to BGR
    exact_state["conv0.bias"] = -torch.tensor(CAFFE_MEAN_BGR)
    exact = _fill(VGG19(last="conv3_1", padding_mode="reflect"), exact_state, exact_path.name)

    distilled_path = folder / "vgg19_distilled_to_conv5_1.safetensors"
    distilled_state = {
        re.sub(r"conv(\d)(\d)(_aux)?", lambda m: f"{'head' if m[3] else 'conv'}{m[1]}_{m[2]}", name): tensor
        for name, tensor in _read(distilled_path).items()
    }
    distilled = VGG19(last="conv5_1", channels=(16, 32, 64, 128, 128), heads=True, padding_mode="reflect")
    return Hybrid(exact, _fill(distilled, distilled_state, distilled_path.name))


def _read(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise FeaturesError(
            f"The feature network {path.name} could not be read from {path.parent}: {error}."
        ) from error


def _fill(network: VGG19, state: Mapping[str, Tensor], name: str) -> VGG19:
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise FeaturesError(f"{name} does not hold the VGG19 that its name says.") from error
    return network
