"""Feature extraction against torchvision's VGG19 and against the two networks' formulas written out."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
import torchvision
from made_features import make_features
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core.features import (
    VGG19,
    FeatureNetwork,
    FeaturesError,
    Hybrid,
    _load_compact,
    check_layers,
    compact_network,
    feature_network,
    from_torchvision,
    load_features,
)
from nst_core.images import open_picture, to_tensor
from nst_core.optimization import optimize

LAYERS = ["conv1_1", "relu1_2", "relu2_2", "conv3_3", "conv4_1", "relu4_2", "conv5_1", "relu5_4"]


def test_layers_are_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = torchvision.models.vgg19(weights=None)
    with torch.no_grad():
        for parameter in theirs.parameters():  # zero biases would hide one left out
            if parameter.dim() == 1:
                parameter.uniform_(-0.1, 0.1)
    ours = from_torchvision(theirs.state_dict())
    pictures = torch.rand(1, 3, 40, 56)
    x = torchvision.transforms.functional.normalize(pictures, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    expected: dict[str, Tensor] = {}
    block, index = 1, 1
    for operation in theirs.features:
        # torchvision's ReLUs work in place.
        x = operation(x.clone())
        match operation:
            case torch.nn.Conv2d():
                expected[f"conv{block}_{index}"] = x
            case torch.nn.ReLU():
                expected[f"relu{block}_{index}"] = x
                index += 1
            case torch.nn.MaxPool2d():
                block, index = block + 1, 1
    assert ours.layers == tuple(expected)
    features = ours(pictures, LAYERS)
    assert list(features) == LAYERS
    for layer in LAYERS:
        torch.testing.assert_close(features[layer], expected[layer], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("heads", "layers", "expected"),
    [
        ((), ["relu1_1"], "conv0 conv1_1"),
        ((), ["relu2_1", "relu1_1"], "conv0 conv1_1 conv1_2 conv2_1"),
        (("1_1", "1_2", "2_1"), ["conv1_1"], "conv0 conv1_1 head1_1"),
        (("1_1", "1_2", "2_1"), ["relu2_1", "relu1_1"], "conv0 conv1_1 head1_1 conv1_2 conv2_1 head2_1"),
    ],
)
def test_nothing_deeper_than_asked_is_evaluated(heads: tuple[str, ...], layers: list[str], expected: str) -> None:
    evaluated = []
    network = VGG19(channels=(4, 4, 4, 4, 4), heads=heads)
    for name, module in network.named_children():
        module.register_forward_hook(lambda *_, name=name: evaluated.append(name))
    assert list(network(torch.rand(1, 3, 32, 32), layers)) == sorted(layers)
    assert evaluated == expected.split()


def convolve(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    """Reflection padding 1, 3 × 3 convolution, ReLU."""
    return F.relu(F.conv2d(F.pad(x, [1] * 4, mode="reflect"), weights[f"{name}.weight"], weights[f"{name}.bias"]))


def test_hybrid_is_exact_below_and_predicted_above(tmp_path: Path) -> None:
    folder = make_features(tmp_path)
    pictures = torch.rand(2, 3, 48, 32)
    features = load_features(folder)(pictures, ["relu2_2", "relu3_1", "relu4_1", "relu5_1"])

    w = load_file(folder / "vgg19_normalised_to_conv3_1.safetensors")
    x = 255 * pictures.flip(1) - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    x = F.max_pool2d(convolve(convolve(x, w, "conv1_1"), w, "conv1_2"), 2)
    relu2_2 = convolve(convolve(x, w, "conv2_1"), w, "conv2_2")
    torch.testing.assert_close(features["relu2_2"], relu2_2, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(
        features["relu3_1"], convolve(F.max_pool2d(relu2_2, 2), w, "conv3_1"), rtol=1e-4, atol=1e-3
    )

    w = load_file(folder / "vgg19_distilled_to_conv5_1.safetensors")
    x = F.conv2d(pictures, w["conv0.weight"], w["conv0.bias"])
    for block, count in enumerate((2, 2, 4, 4, 1), start=1):
        for index in range(1, count + 1):
            x = convolve(x, w, f"conv{block}{index}")
            if index == 1 and block >= 4:
                head = F.relu(F.conv2d(x, w[f"conv{block}1_aux.weight"], w[f"conv{block}1_aux.bias"]))
                torch.testing.assert_close(features[f"relu{block}_1"], head, rtol=1e-4, atol=1e-4)
        x = F.max_pool2d(x, 2)


def test_hybrid_gives_each_layer_once() -> None:
    exact, deep = (
        VGG19(last="conv2_1"),
        VGG19(last="conv5_1", channels=(4, 4, 4, 4, 4), heads=("1_1", "2_1", "3_1", "4_1", "5_1")),
    )
    deeper = ("conv3_1", "relu3_1", "conv4_1", "relu4_1", "conv5_1", "relu5_1")
    hybrid = Hybrid(exact, deep)
    assert hybrid.layers == (*exact.layers, *deeper)
    pictures = torch.rand(1, 3, 16, 24)
    features = hybrid(pictures, ["conv4_1", "relu1_1", "relu4_1"])
    torch.testing.assert_close(features["relu1_1"], exact(pictures, ["relu1_1"])["relu1_1"])
    torch.testing.assert_close(features["conv4_1"], deep(pictures, ["conv4_1"])["conv4_1"])
    torch.testing.assert_close(features["relu4_1"], F.relu(features["conv4_1"]))
    assert features["conv4_1"].shape == (1, 512, 2, 3) and features["conv4_1"].min() < 0


def test_low_rank_goes_on_at_full_width() -> None:
    torch.manual_seed(0)
    network = VGG19(last="conv2_1", channels=(8, 8, 8, 8, 8), heads=("2_1",), ranks={"1_2": 3}, padding_mode="reflect")
    assert network.layers == ("conv1_2", "relu1_2", "conv2_1", "relu2_1")
    assert {name: tuple(value.shape) for name, value in network.state_dict().items() if name.endswith("weight")} == {
        "conv0.weight": (3, 3, 1, 1),
        "conv1_1.weight": (8, 3, 3, 3),
        "conv1_2.weight": (3, 8, 3, 3),
        "head1_2.weight": (64, 3, 1, 1),
        "conv2_1.weight": (8, 64, 3, 3),
        "head2_1.weight": (128, 8, 1, 1),
    }
    features = network(pictures := torch.rand(1, 3, 12, 10), network.layers)

    def convolved(x: Tensor, name: str) -> Tensor:
        return network.get_submodule(name)(F.pad(x, [1] * 4, mode="reflect"))

    x = F.relu(convolved(network.conv0(pictures), "conv1_1"))
    wide = network.get_submodule("head1_2")(convolved(x, "conv1_2"))
    torch.testing.assert_close(features["conv1_2"], wide)
    torch.testing.assert_close(features["relu1_2"], F.relu(wide))
    narrow = F.relu(convolved(F.max_pool2d(F.relu(wide), 2), "conv2_1"))
    torch.testing.assert_close(features["conv2_1"], network.get_submodule("head2_1")(narrow))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_compact_predicts_full_width_in_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    trained = compact_network()
    save_file({name: tensor.to(dtype) for name, tensor in trained.state_dict().items()}, tmp_path / "compact")
    network = _load_compact(tmp_path / "compact")
    places = ("1_1", "1_2", "2_1", "2_2", "3_1", "4_1", "5_1")
    assert network.layers == tuple(f"{kind}{place}" for place in places for kind in ("conv", "relu"))
    pictures = torch.rand(1, 3, 48, 32)
    features, expected = network(pictures, network.layers), trained(pictures, network.layers)
    assert [feature.shape[1] for feature in features.values()][::2] == [64, 64, 128, 128, 256, 512, 512]
    for layer in network.layers:
        assert features[layer].dtype == torch.float32
        torch.testing.assert_close(features[layer], expected[layer], rtol=1e-2, atol=1e-2)
    scale = "networks.0.conv0.weight"
    torch.testing.assert_close(network.get_parameter(scale), trained.get_parameter(scale), rtol=0, atol=0)


SHARED = Path(__file__).resolve().parents[2] / "shared"
TEACHER, PHOTOS = SHARED / "features", SHARED / "photos" / "eval"


@pytest.mark.skipif(not (TEACHER.is_dir() and PHOTOS.is_dir()), reason="the teacher or the photographs are not here")
def test_compact_sees_what_vgg19_sees() -> None:
    """Nearer, on photographs that neither was trained on, than the distilled network of Wang et al. 2020 (0.98, 0.91,
    0.8 of the first three)."""
    teacher, compact = load_features(TEACHER), load_features("compact")
    least = {"relu1_1": 0.995, "relu2_1": 0.98, "relu3_1": 0.95, "relu4_1": 0.995, "relu5_1": 0.995}
    found: dict[str, list[float]] = {layer: [] for layer in least}
    for path in sorted(PHOTOS.glob("*.jpg"))[::10]:
        picture = to_tensor(open_picture(path)) / 255
        seen, predicted = teacher(picture, least), compact(picture, least)
        for layer in least:
            pair = torch.stack([seen[layer].flatten(), predicted[layer].flatten()])
            found[layer].append(float(torch.corrcoef(pair)[0, 1]))
    means = {layer: sum(values) / len(values) for layer, values in found.items()}
    assert all(means[layer] > least[layer] for layer in least), means


def test_compact_is_shipped() -> None:
    network = load_features("compact", pooling="average")
    assert isinstance(network, Hybrid) and not network.training
    assert [part.pooling for part in network.networks] == ["average", "average"]
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert len(network.layers) == 14
    with pytest.raises(
        FeaturesError, match=r"of 64 × 31 pixels is too small to reach conv5_1: it should be at least 32 × 32"
    ):
        network(torch.rand(1, 3, 31, 64), ["conv5_1"])
    features = network(torch.rand(1, 3, 64, 64), network.layers)
    assert all(torch.isfinite(feature).all() and feature.std() > 0 for feature in features.values())


def test_pooling_is_that_of_every_network(tmp_path: Path) -> None:
    folder = make_features(tmp_path)
    pictures = torch.rand(1, 3, 32, 32)
    network = load_features(folder, pooling="average")
    features = network(pictures, ["relu1_2", "conv2_1", "relu4_1", "conv5_1"])
    w = load_file(folder / "vgg19_normalised_to_conv3_1.safetensors")
    conv2_1 = F.conv2d(
        F.pad(F.avg_pool2d(features["relu1_2"], 2), [1] * 4, mode="reflect"), w["conv2_1.weight"], w["conv2_1.bias"]
    )
    torch.testing.assert_close(features["conv2_1"], conv2_1, rtol=1e-4, atol=1e-3)
    with_max = load_features(str(folder))(pictures, features)
    torch.testing.assert_close(with_max["relu1_2"], features["relu1_2"])
    for layer in ("conv2_1", "relu4_1", "conv5_1"):
        assert (with_max[layer] - features[layer]).abs().max() > 0.01
    with pytest.raises(FeaturesError, match=r"^The pooling should be max or average, not 'min'\.$"):
        load_features(folder, pooling="min")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pictures", "kind"),
    [
        (torch.rand(3, 8, 8), r"torch\.float32, \(3, 8, 8\)"),
        (torch.rand(1, 8, 8, 3), r"torch\.float32, \(1, 8, 8, 3\)"),
        (torch.rand(1, 1, 8, 8), r"torch\.float32, \(1, 1, 8, 8\)"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), r"torch\.uint8, \(1, 3, 8, 8\)"),
        (np.zeros((1, 3, 2, 2), np.float32), r"array\(\[\[\[\[0\., 0\.\], .*"),
        (None, "None"),
    ],
)
def test_what_are_no_pictures_is_refused_on_one_line(pictures: Any, kind: str) -> None:
    with pytest.raises(FeaturesError, match=rf"^Pictures should be a tensor \(batch, 3, height.* 0–1, not {kind}\.$"):
        VGG19(channels=(4, 4, 4, 4, 4))(pictures, ["relu1_1"])


@pytest.mark.parametrize(
    ("padding_mode", "layer", "least"),
    [
        ("zeros", "relu5_1", 16),
        ("reflect", "relu5_1", 32),
        ("reflect", "conv1_1", 2),
        ("zeros", "conv1_2", 1),
        ("zeros", "conv2_1", 2),
    ],
)
def test_the_least_size_is_said_and_is_enough(
    padding_mode: Literal["zeros", "reflect"], layer: str, least: int
) -> None:
    network = VGG19(channels=(4, 4, 4, 4, 4), padding_mode=padding_mode)
    assert network(torch.rand(1, 3, least, least), [layer])[layer].numel() > 0
    if least > 1:
        sentence = (
            f"A picture of {2 * least} × {least - 1} pixels is too small to reach {layer}: "
            f"it should be at least {least} × {least}."
        )
        with pytest.raises(FeaturesError, match=f"^{re.escape(sentence)}$"):
            network(torch.rand(1, 3, least - 1, 2 * least), ["conv1_1", layer])


def test_refusals_are_sentences(tmp_path: Path) -> None:
    network = VGG19(channels=(4, 4, 4, 4, 4))
    with pytest.raises(FeaturesError, match=r"no layer 'conv6_1': .* conv1_1, relu1_1"):
        network(torch.rand(1, 3, 32, 32), ["conv6_1"])
    with pytest.raises(
        FeaturesError, match=r"^There are no features 'vgg16': choose vgg19, compact or a folder that holds "
    ):
        load_features("vgg16")
    with pytest.raises(FeaturesError, match="could not be read"):
        load_features(tmp_path)
    save_file({"conv1_1.weight": torch.zeros(3)}, tmp_path / "vgg19_normalised_to_conv3_1.safetensors")
    with pytest.raises(FeaturesError, match=r"vgg19_normalised_to_conv3_1\.safetensors does not hold"):
        load_features(tmp_path)
    with pytest.raises(FeaturesError, match="could not be read"):
        _load_compact(tmp_path / "compact.safetensors")
    save_file(VGG19(last="conv1_1").state_dict(), tmp_path / "compact.safetensors")
    with pytest.raises(FeaturesError, match=r"^compact\.safetensors does not hold a compact VGG19\.$"):
        _load_compact(tmp_path / "compact.safetensors")


@pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
def test_under_autocast_a_picture_keeps_its_digits(padding_mode: Literal["zeros", "reflect"]) -> None:
    """An edge so faint that bfloat16 has no such numbers, on a bright ground, is still seen."""
    torch.manual_seed(0)
    network = VGG19(last="conv1_1", padding_mode=padding_mode).requires_grad_(False)
    network.conv0.weight.copy_(torch.eye(3)[:, :, None, None])
    network.conv0.bias.zero_()  # type: ignore[union-attr]
    weight = torch.randint(-4, 5, (64, 3, 3, 3)).float()
    weight[:, :, 1, 1] -= weight.sum((2, 3))  # edges alone, in whole numbers: exact in bfloat16
    convolution = network.get_submodule("conv1_1")
    convolution.load_state_dict({"weight": weight, "bias": torch.zeros(64)})
    picture = 0.8 + 2e-4 * torch.rand(1, 3, 16, 16)
    exact = network(picture, ["conv1_1"])["conv1_1"][..., 1:-1, 1:-1]
    with torch.autocast("cpu", torch.bfloat16):
        seen = network(picture, ["conv1_1"])["conv1_1"]
        network(picture.bfloat16(), ["conv1_1"])  # as a transformation network gives it there
    assert seen.dtype == torch.bfloat16
    torch.testing.assert_close(seen[..., 1:-1, 1:-1].float(), exact, rtol=0.02, atol=0.02 * float(exact.abs().max()))


def test_a_network_of_float16_is_refused() -> None:
    network = compact_network()
    assert feature_network(network) is network
    with pytest.raises(FeaturesError, match=r"^The feature network is in float16: convert it with network\.float\(\)"):
        feature_network(network.half())


class Colours(FeatureNetwork):
    """Its one layer is the picture, mixed by a convolution."""

    layers = ("mixed",)

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 4, 1).requires_grad_(False)

    def forward(self, pictures: Tensor, layers: Collection[str]) -> dict[str, Tensor]:
        check_layers(layers, self.layers)
        return {layer: self.mix(pictures) for layer in layers}


def test_a_feature_network_may_be_of_ones_own() -> None:
    photo, painting = (
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8)) for i in (0, 1)
    )
    layers: dict[str, Any] = {"content_layers": {"mixed": 1.0}, "style_layers": {"mixed": 1.0}}
    steps = list(optimize(photo, painting, features=Colours(), size=16, scales=1, steps=8, **layers))
    assert steps[-1].total < steps[0].total
