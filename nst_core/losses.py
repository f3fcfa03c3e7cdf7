"""Content, style (Gram matrix) and total variation losses, and the constants by which the published forms differ."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nst_core.errors import NSTError
from nst_core.features import FeatureNetwork


class LossError(NSTError):
    """A loss that cannot be put together as asked."""


@dataclass(frozen=True)
class Convention:
    """One published form of the losses: factors that depend on a layer's channels C and positions N alone.

    content(C, N) · Σ (F − F_content)²    and    style(C, N) · Σ (gram(C, N) · F Fᵀ − gram(C, N) · F_style F_styleᵀ)²,
    and with ``relative`` each divided by the same sum for its target alone: then 1 means "as far away as nothing at
    all", whatever the layer, the network or the painting, and one set of weights serves them all.
    """

    content: Callable[[int, int], float]
    gram: Callable[[int, int], float]
    style: Callable[[int, int], float]
    relative: bool = False


CONVENTIONS: dict[str, Convention] = {
    # Plain sums of squares; style and content must then be pictures of one size.
    "article": Convention(lambda c, n: 1, lambda c, n: 1, lambda c, n: 1),
    # Gatys, Ecker and Bethge 2015, equations 1 and 4.
    "gatys": Convention(lambda c, n: 1 / 2, lambda c, n: 1, lambda c, n: 1 / (4 * c**2 * n**2)),
    # Johnson, Alahi and Fei-Fei 2016, equations 2 to 4.
    "johnson": Convention(lambda c, n: 1 / (c * n), lambda c, n: 1 / (c * n), lambda c, n: 1),
    # The PyTorch tutorial: mean squares of features and of Gram matrices divided by C·N.
    "tutorial": Convention(lambda c, n: 1 / (c * n), lambda c, n: 1 / (c * n), lambda c, n: 1 / c**2),
    # Johnson's, each term divided by its target's own: what training uses.
    "relative": Convention(lambda c, n: 1 / (c * n), lambda c, n: 1 / (c * n), lambda c, n: 1, relative=True),
}


def gram_matrix(features: Tensor) -> Tensor:
    """G_ij = Σ_k F_ik F_jk over positions k: features (B, C, H, W) to (B, C, C), no normalisation."""
    flat = features.flatten(2)
    return flat @ flat.mT


def total_variation(pictures: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels, down and across: (B, C, H, W) to a scalar."""
    return pictures.diff(dim=-1).square().mean() + pictures.diff(dim=-2).square().mean()


class ContentLoss(nn.Module):
    """Squared distance of activations, one layer: (B, C, H, W) against the same, to a scalar, mean over the batch."""

    def __init__(self, convention: Convention) -> None:
        super().__init__()
        self.convention = convention

    def forward(self, features: Tensor, target: Tensor) -> Tensor:
        factor = self.convention.content(features.shape[1], features[0, 0].numel())
        loss = factor * (features - target).square().sum((1, 2, 3))
        if self.convention.relative:
            loss = loss / (factor * target.square().sum((1, 2, 3)) + 1e-12)
        return loss.mean()


class StyleLoss(nn.Module):
    """Squared distance of Gram matrices, one layer: (B, C, H, W) against a style's (1, C, H', W') kept, to a scalar."""

    target: Tensor

    def __init__(self, convention: Convention, style_features: Tensor) -> None:
        super().__init__()
        self.convention = convention
        self.register_buffer("target", self._gram(style_features))

    def _gram(self, features: Tensor) -> Tensor:
        return self.convention.gram(features.shape[1], features[0, 0].numel()) * gram_matrix(features)

    def forward(self, features: Tensor) -> Tensor:
        factor = self.convention.style(features.shape[1], features[0, 0].numel())
        loss = factor * (self._gram(features) - self.target).square().sum((1, 2))
        if self.convention.relative:
            loss = loss / (factor * self.target.square().sum((1, 2)) + 1e-12)
        return loss.mean()


@dataclass(frozen=True)
class LossTerms:
    """One evaluation of a ``PerceptualLoss``: scalars, weights applied, ``total`` their sum."""

    total: Tensor
    content: Tensor
    style: Tensor
    total_variation: Tensor
    layers: dict[str, Tensor]
    """Each layer's part, by ``content/relu2_2`` and ``style/relu1_2``."""


class PerceptualLoss(nn.Module):
    """Content + style + total variation of pictures, measured by a frozen feature network.

    Args:
        network: where the layers come from.
        style: the painting, (1, 3, H, W), RGB in 0–1.
        content_layers, style_layers: weight by layer name.
        total_variation: its weight.
        convention: a name in ``CONVENTIONS``.

    Raises:
        LossError: a weight that is negative or not finite, no layer at all, or a convention that does not exist.
        FeaturesError: a layer that the network does not give.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        style: Tensor,
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        total_variation: float = 0.0,
        convention: str = "relative",
    ) -> None:
        super().__init__()
        if convention not in CONVENTIONS:
            raise LossError(f"There is no loss convention {convention!r}; there are {', '.join(CONVENTIONS)}.")
        weights = [*content_layers.values(), *style_layers.values(), total_variation]
        if not all(0 <= weight < float("inf") for weight in weights):
            raise LossError("Loss weights must be finite and not negative.")
        if not content_layers and not style_layers:
            raise LossError("A loss needs at least one content or style layer.")
        self.network = network
        self.content_layers, self.style_layers = dict(content_layers), dict(style_layers)
        self.total_variation = total_variation
        self.content = ContentLoss(CONVENTIONS[convention])
        with torch.no_grad():
            features = network(style, self.style_layers)
            losses = [StyleLoss(CONVENTIONS[convention], features[layer].float()) for layer in self.style_layers]
        self.style = nn.ModuleList(losses)

    def content_targets(self, content: Tensor) -> dict[str, Tensor]:
        """Activations to hold pictures to: content (B, 3, H, W), RGB in 0–1, to (B, C, h, w) by layer."""
        with torch.no_grad():
            return {layer: value.float() for layer, value in self.network(content, self.content_layers).items()}

    def forward(self, pictures: Tensor, content_targets: Mapping[str, Tensor]) -> LossTerms:
        """Losses of pictures (B, 3, H, W), RGB in 0–1, against ``content_targets(...)`` of as many, same size."""
        features = self.network(pictures, {**self.content_layers, **self.style_layers})
        # Sums over ten thousands of squares: half precision has too few digits for them.
        with torch.autocast(pictures.device.type, enabled=False):
            layers = {
                f"content/{layer}": weight * self.content(features[layer].float(), content_targets[layer])
                for layer, weight in self.content_layers.items()
            }
            for (layer, weight), loss in zip(self.style_layers.items(), self.style, strict=True):
                layers[f"style/{layer}"] = weight * loss(features[layer].float())
            variation = self.total_variation * total_variation(pictures.float())
            zero = variation.new_zeros(())
            content = sum((v for k, v in layers.items() if k.startswith("content/")), zero)
            style = sum((v for k, v in layers.items() if k.startswith("style/")), zero)
            return LossTerms(content + style + variation, content, style, variation, layers)
