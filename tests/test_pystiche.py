"""Losses and their gradients against pystiche 1.0.1 (Meier and Lohweg 2020), a second implementation, run alongside.

How its forms and ours differ, for a layer of C channels and N positions, each layer of the same weight:

- content: pystiche takes the mean over C·N, which is "johnson" and "tutorial" alike; the others by ``weights_in``.
- Gram matrices: ours are sums, pystiche's, normalised, are divided by N.
- style: pystiche takes the mean over C² of (G/N − G'/N')², which is "johnson" (the sum of (G/(C·N) − …)²), and C²
  times "tutorial".
- a region: pystiche multiplies the features by a guide and goes on dividing by N, ours divides by the region's area.
  Where region and guide are 0 or 1 and cover the part ρ of both pictures, pystiche's loss is ρ² times ours.
- total variation: pystiche leaves out the last row and column; once those were doubled nothing is lost, and in a
  square picture of S × S pixels ours is S / (S − 1) times pystiche's.
- several layers: ``layer_weights="sum"`` adds them as we do.
"""

import importlib
from typing import Any

import pytest
import torch
from made_optimization import small_network
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.vgg import make_layers

from nst_core.features import VGG19
from nst_core.losses import (
    CONVENTIONS,
    ContentLoss,
    PerceptualLoss,
    StyleLoss,
    StyleTarget,
    gram_matrix,
    total_variation,
)

# pystiche was written for a torchvision that kept the addresses of its weights there; none is needed here.
for architecture, urls in {"vgg": {}, "alexnet": {"alexnet": ""}}.items():
    importlib.import_module(f"torchvision.models.{architecture}").__dict__.setdefault("model_urls", urls)
pystiche = pytest.importorskip("pystiche", reason="pystiche is part of the dev extra")

CHANNELS = (6, 8, 8, 8, 8)
CONTENT_LAYERS, STYLE_LAYERS = ("relu4_2",), ("conv1_1", "relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@pytest.fixture(scope="module")
def network() -> VGG19:
    return small_network(last="conv5_4", channels=CHANNELS)


@pytest.fixture(scope="module")
def encoder(network: VGG19) -> Any:
    """The same weights in pystiche's encoder, its layers made by torchvision and its colours scaled by pystiche."""
    plan: list[str | int] = []
    for count, channels in zip((2, 2, 4, 4, 4), CHANNELS, strict=True):
        plan += [*[channels] * count, "M"]
    modules: list[tuple[str, nn.Module]] = [("preprocessing", pystiche.enc.preprocessing("torch"))]
    block, index = 1, 1
    for module in make_layers(plan):
        if isinstance(module, nn.Conv2d):
            modules.append((f"conv{block}_{index}", module))
            module.load_state_dict(network.get_submodule(f"conv{block}_{index}").state_dict())
        elif isinstance(module, nn.ReLU):
            modules.append((f"relu{block}_{index}", nn.ReLU()))
            index += 1
        else:
            modules.append((f"pool{block}", module))
            block, index = block + 1, 1
    return pystiche.enc.MultiLayerEncoder(modules).requires_grad_(False)


@pytest.fixture
def pictures() -> tuple[Tensor, Tensor, Tensor]:
    """A picture to judge, a content and, of another size, a style."""
    numbers = torch.Generator().manual_seed(3)
    sizes = ((48, 48), (48, 48), (40, 64))
    return tuple(torch.rand(1, 3, *size, generator=numbers) for size in sizes)  # type: ignore[return-value]


def compare(ours: Tensor, theirs: Tensor, picture: Tensor, factor: float = 1.0) -> None:
    """Hold a loss and its gradient against ``factor`` times the other's."""
    assert ours.item() > 1e-6, "a loss of nothing proves nothing"
    assert ours.item() == pytest.approx(factor * theirs.item(), rel=1e-5)
    (here,) = torch.autograd.grad(ours, picture)
    (there,) = torch.autograd.grad(theirs, picture)
    assert (here - factor * there).norm() <= 1e-5 * here.norm()


def doubled(picture: Tensor) -> Tensor:
    """Its last row and column twice, so that pystiche's total variation takes every difference in."""
    return F.pad(picture, (0, 1, 0, 1), mode="replicate")


def style_loss(encoder: Any, layer: str, style: Tensor) -> Any:
    loss = pystiche.loss.GramLoss(encoder.extract_encoder(layer))
    loss.set_target_image(style)
    return loss


def test_both_see_the_same_features(network: VGG19, encoder: Any, pictures: tuple[Tensor, Tensor, Tensor]) -> None:
    layers = network.layers
    ours = network(pictures[0], layers)
    for layer, theirs in zip(layers, encoder.encode(pictures[0], layers), strict=True):
        torch.testing.assert_close(ours[layer], theirs, rtol=1e-4, atol=1e-5)


def test_gram_matrix() -> None:
    features = torch.randn(2, 5, 7, 9, dtype=torch.float64)
    torch.testing.assert_close(gram_matrix(features), pystiche.gram_matrix(features), rtol=1e-10, atol=0)
    torch.testing.assert_close(
        gram_matrix(features) / 63, pystiche.gram_matrix(features, normalize=True), rtol=1e-10, atol=0
    )


@pytest.mark.parametrize("convention", ["johnson", "tutorial"])
@pytest.mark.parametrize("layer", ["conv1_1", "relu2_2", "relu4_2"])
def test_content(
    network: VGG19, encoder: Any, pictures: tuple[Tensor, Tensor, Tensor], layer: str, convention: str
) -> None:
    picture, content = pictures[0].requires_grad_(), pictures[1]
    theirs = pystiche.loss.FeatureReconstructionLoss(encoder.extract_encoder(layer))
    theirs.set_target_image(content)
    ours = ContentLoss(CONVENTIONS[convention])(network(picture, [layer])[layer], network(content, [layer])[layer])
    compare(ours, theirs(picture), picture)


@pytest.mark.parametrize("layer", STYLE_LAYERS)
@pytest.mark.parametrize(("convention", "factor"), [("johnson", lambda c: 1.0), ("tutorial", lambda c: 1 / c**2)])
def test_style(
    network: VGG19,
    encoder: Any,
    pictures: tuple[Tensor, Tensor, Tensor],
    layer: str,
    convention: str,
    factor: Any,
) -> None:
    picture, style = pictures[0].requires_grad_(), pictures[2]
    here = network(picture, [layer])[layer]
    ours = StyleLoss(CONVENTIONS[convention], network(style, [layer])[layer])(here)
    compare(ours, style_loss(encoder, layer, style)(picture), picture, factor(here.shape[1]))


@pytest.mark.parametrize("layer", ["relu1_2", "relu2_1", "relu4_1"])
def test_style_of_a_region(network: VGG19, encoder: Any, pictures: tuple[Tensor, Tensor, Tensor], layer: str) -> None:
    picture, style = pictures[0].requires_grad_(), pictures[2]
    # Edges at multiples of 8, so that relu4_1 has them between its positions; a third of one, a third of the other.
    region, seen = torch.zeros(1, 1, 48, 48), torch.zeros(1, 1, 48, 48)
    region[..., :16], seen[..., 16:32, :] = 1, 1
    style = style[..., :48].repeat(1, 1, 2, 1)[..., :48, :]
    theirs = pystiche.loss.GramLoss(encoder.extract_encoder(layer))
    theirs.set_input_guide(region)
    theirs.set_target_image(style, guide=seen)
    ours = StyleLoss(CONVENTIONS["johnson"], network(style, [layer])[layer], region=region, seen=seen)
    compare(ours(network(picture, [layer])[layer]), theirs(picture), picture, 9.0)


def test_total_variation() -> None:
    picture = torch.rand(2, 3, 24, 24, requires_grad=True)
    theirs = pystiche.loss.TotalVariationLoss()
    compare(total_variation(picture), theirs(doubled(picture)), picture, 24 / 23)


def test_the_whole_loss(network: VGG19, encoder: Any, pictures: tuple[Tensor, Tensor, Tensor]) -> None:
    picture, content, style = pictures
    picture.requires_grad_()
    weights = dict(zip(STYLE_LAYERS, (1.0, 0.5, 2.0, 1.0, 3.0, 0.25), strict=True))

    def style_of(layer_encoder: Any, weight: float) -> Any:
        return pystiche.loss.GramLoss(layer_encoder, score_weight=weight)

    theirs = pystiche.loss.PerceptualLoss(
        pystiche.loss.FeatureReconstructionLoss(encoder.extract_encoder(CONTENT_LAYERS[0]), score_weight=3.0),
        pystiche.loss.MultiLayerEncodingLoss(
            encoder, STYLE_LAYERS, style_of, layer_weights=list(weights.values()), score_weight=1e2
        ),
    )
    theirs.set_content_image(content)
    theirs.set_style_image(style)
    variation = pystiche.loss.TotalVariationLoss(score_weight=7.0 * 48 / 47)

    losses = PerceptualLoss(
        network,
        [StyleTarget(style)],
        content_layers=dict.fromkeys(CONTENT_LAYERS, 3.0),
        style_layers={layer: 1e2 * weight for layer, weight in weights.items()},
        total_variation=7.0,
        convention="johnson",
    )
    ours = losses(picture, losses.content_targets(content))
    scores = theirs(picture)
    assert ours.content.item() == pytest.approx(scores["content_loss"].item(), rel=1e-5)
    for layer in STYLE_LAYERS:
        score = scores[f"style_loss.{layer}"].item()
        assert ours.layers[f"style/{layer}"].item() == pytest.approx(score, rel=1e-5)
    compare(ours.total, scores.total() + variation(doubled(picture)), picture)
