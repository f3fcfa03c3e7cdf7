"""Feature extraction against torchvision's VGG19 and against the two networks' formulas written out."""

from pathlib import Path

import pytest
import torch
import torchvision
from made_features import make_features
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from nst_core.features import VGG19, FeaturesError, Hybrid, from_torchvision, load_features

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


def test_nothing_deeper_than_asked_is_evaluated() -> None:
    evaluated = []
    network = VGG19(channels=(4, 4, 4, 4, 4))
    for name, module in network.named_children():
        module.register_forward_hook(lambda *_, name=name: evaluated.append(name))
    network(torch.rand(1, 3, 32, 32), ["relu2_1", "relu1_1"])
    assert evaluated == ["conv0", "conv1_1", "conv1_2", "conv2_1"]


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
    exact, deep = VGG19(last="conv2_1"), VGG19(last="conv5_1", channels=(4, 4, 4, 4, 4), heads=True)
    assert Hybrid(exact, deep).layers == (*exact.layers, "relu3_1", "relu4_1", "relu5_1")


def test_refusals_are_sentences(tmp_path: Path) -> None:
    network = VGG19(channels=(4, 4, 4, 4, 4))
    with pytest.raises(FeaturesError, match=r"No layer conv6_1; .* conv1_1, relu1_1"):
        network(torch.rand(1, 3, 32, 32), ["conv6_1"])
    with pytest.raises(FeaturesError, match="too small to reach pool4"):
        network(torch.rand(1, 3, 8, 64), ["conv5_1"])
    with pytest.raises(FeaturesError, match="could not be read"):
        load_features(tmp_path)
    save_file({"conv1_1.weight": torch.zeros(3)}, tmp_path / "vgg19_normalised_to_conv3_1.safetensors")
    with pytest.raises(FeaturesError, match=r"vgg19_normalised_to_conv3_1\.safetensors does not hold"):
        load_features(tmp_path)
    with pytest.raises(FeaturesError, match="timm/vgg19"):
        from_torchvision({})
