"""Content, style (Gram matrix) and total variation losses, and the constants by which the published forms differ."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core.errors import NSTError, check_layer_weights, check_number, one_line
from nst_core.features import FeatureNetwork, are_pictures, described
from nst_core.images import Source, blackened, open_picture, to_tensor

CELL = 8
"""Positions, down and across, of a cell in which detail is measured."""
FLAT = 0.1
"""How much a part without any detail counts, where an average one counts about 1."""


class LossError(NSTError):
    """A loss that cannot be put together as asked."""


@dataclass(frozen=True)
class Convention:
    """One published form of the losses: factors that depend on a layer's channels C and positions N alone.

    content(C, N) · Σ (F − F_content)²    and    style(C, N) · Σ (gram(C, N) · F Fᵀ − gram(C, N) · F_style F_styleᵀ)²,
    and with ``relative`` each divided by the same sum for its target alone: then 1 means "as far off as all zeros",
    whatever the layer, the network or the painting, and one set of weights serves them all.
    """

    content: Callable[[int, float], float]
    gram: Callable[[int, float], float]
    style: Callable[[int, float], float]
    relative: bool = False

    def weights_in(self, other: "Convention", channels: int, positions: int) -> tuple[float, float]:
        """Factors that turn a content and a style weight of this convention into ``other``'s with the same meaning.

        They hold for a layer with that many channels and positions, and a style picture of the same size.

        Raises:
            LossError: one of the two is relative, so that its factors depend on the targets.
        """
        if self.relative or other.relative:
            raise LossError("Relative losses are divided by their targets, so no constants make them another form.")
        (content, style), (other_content, other_style) = (
            (form.content(channels, positions), form.style(channels, positions) * form.gram(channels, positions) ** 2)
            for form in (self, other)
        )
        return content / other_content, style / other_style


# Functions with names, as a loss can then be pickled.
def _one(channels: int, positions: float) -> float:
    return 1


def _half(channels: int, positions: float) -> float:
    return 1 / 2


def _per_position(channels: int, positions: float) -> float:
    return 1 / positions


def _per_feature(channels: int, positions: float) -> float:
    return 1 / (channels * positions)


def _per_product(channels: int, positions: float) -> float:
    return 1 / channels**2


def _per_four_products(channels: int, positions: float) -> float:
    return 1 / (4 * channels**2)


CONVENTIONS: dict[str, Convention] = {
    # Plain sums of squares; painting and photograph must then be pictures of one size, without masks.
    "article": Convention(content=_one, gram=_one, style=_one),
    # Gatys, Ecker and Bethge 2015, equations 1 and 4; but each Gram matrix is divided by its own picture's positions,
    # so that a painting of another size, or a mask, changes nothing.
    "gatys": Convention(content=_half, gram=_per_position, style=_per_four_products),
    # Johnson, Alahi and Fei-Fei 2016, equations 2 to 4.
    "johnson": Convention(content=_per_feature, gram=_per_feature, style=_one),
    # jcjohnson/neural-style and the PyTorch tutorial: mean squares of features and of Gram matrices divided by C·N.
    "tutorial": Convention(content=_per_feature, gram=_per_feature, style=_per_product),
    # Johnson's, each term divided by its target's own: what training uses.
    "relative": Convention(content=_per_feature, gram=_per_feature, style=_one, relative=True),
}


def _refuse_gradient(name: str, constant: Tensor | None) -> None:
    if constant is not None and constant.requires_grad:
        raise LossError(f"The {name} gets no gradient: detach() it first.")


def gram_matrix(features: Tensor, region: Tensor | None = None) -> Tensor:
    """G_ij = Σ_k r_k F_ik F_jk over positions k: features (B, C, H, W) to (B, C, C), no normalisation.

    The region r, (1, 1, H, W) or (B, 1, H, W) in 0–1, says how much each position counts; without one, all count in
    full. For bfloat16 features, the matrix is float32, the sum of products of parts that are each rounded to bfloat16;
    float16 features are converted to float32.

    Raises:
        LossError: features or a region of another shape, features that are not floating-point numbers, or a region that
            requires a gradient, which is computed for the features alone.
    """
    if not isinstance(features, Tensor):
        raise LossError(f"Features should be a tensor (batch, channels, height, width), not {described(features)}.")
    if features.dim() != 4:
        raise LossError(f"Features should be (batch, channels, height, width), not {tuple(features.shape)}.")
    if not features.is_floating_point():
        raise LossError(f"Features should be floating-point numbers, not {features.dtype}.")
    right = 1, 1, *features.shape[2:]
    fits = isinstance(region, Tensor) and tuple(region.shape) in (right, (len(features), *right[1:]))
    if region is not None and not fits:
        raise LossError(f"The region of such features should be {right}, not {described(region)}.")
    _refuse_gradient("region", region)
    if features.dtype == torch.float16:
        features = features.float()  # as float16 ends at 65,504
    with torch.autocast(features.device.type, enabled=False):  # which would round the sums
        return _GramMatrix.apply(features, region)


class _GramMatrix(torch.autograd.Function):
    """Its derivative takes one matrix product, where autograd, blind to the symmetry, takes two."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, region: Tensor | None) -> Tensor:
        ctx.save_for_backward(features, region)
        flat = _positions_by_channels(features)
        weighted = flat if region is None else flat * region.flatten(1)[..., None].to(flat.dtype)
        if features.dtype != torch.bfloat16:
            return weighted.mT @ flat
        # A matrix product in bfloat16 is rounded to bfloat16, which matters more the nearer a picture is to its style.
        # A sum of many such products has enough digits; where there would be few, float32 is used.
        positions, channels = flat.shape[1:]
        parts = min(128, positions // channels)
        if parts < 32:
            return weighted.float().mT @ flat.float()
        length = positions // parts
        left, right = (x[:, : parts * length].unflatten(1, (parts, length)).flatten(0, 1) for x in (weighted, flat))
        gram = (left.mT @ right).float().unflatten(0, (len(flat), parts)).sum(1)
        return gram + (weighted[:, parts * length :].mT @ flat[:, parts * length :]).float()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        features, region = ctx.saved_tensors
        flat = _positions_by_channels(features)
        change = (flat @ (gradient + gradient.mT).to(flat.dtype)).unflatten(1, features.shape[-2:]).movedim(-1, 1)
        return change if region is None else change * region.to(change.dtype), None


class _SquaredDistance(torch.autograd.Function):
    """Σ w (F − F_target)² per picture of (B, C, H, W). The derivative reuses the difference; autograd recomputes it."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, target: Tensor, detail: Tensor | None) -> Tensor:
        difference = features - target
        weighted = difference if detail is None else detail * difference
        ctx.save_for_backward(weighted, features, target, detail)
        pairs = zip(*(_positions_by_channels(one).flatten(1) for one in (difference, weighted)), strict=True)
        return torch.stack([one.dot(other) for one, other in pairs])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        weighted, features, target, detail = ctx.saved_tensors
        if torch.is_grad_enabled():  # for second derivatives, which saved values would not give
            weighted = features - target if detail is None else detail * (features - target)
        return 2 * gradient[:, None, None, None] * weighted, None, None


def _positions_by_channels(features: Tensor) -> Tensor:
    """(B, C, H, W) to (B, H·W, C), without a copy if the memory format is channels-last."""
    return features.movedim(1, -1).flatten(1, 2)


def total_variation(pictures: Tensor) -> Tensor:
    """Mean squared difference of neighbouring pixels, down and across: (B, C, H, W) to a scalar.

    Where there are no neighbours, as across a line one pixel wide, it is 0.
    """
    down, across = pictures.diff(dim=-2), pictures.diff(dim=-1)
    return sum((step.square().sum() / max(1, step.numel()) for step in (down, across)), pictures.new_zeros(()))


def detail_map(features: Tensor, focus: float) -> Tensor:
    """How much detail there is at each position of (B, C, H, W): (B, 1, H, W), with mean 1 in each picture.

    That is the variance of the features within cells of about 8 × 8 positions, smoothed, to the power of ``focus``.
    """
    cells = math.ceil(features.shape[2] / CELL), math.ceil(features.shape[3] / CELL)
    mean, square = (F.adaptive_avg_pool2d(x, cells) for x in (features, features.square()))
    variance = (square - mean.square()).clamp(min=0).sum(1, keepdim=True)
    smooth = F.avg_pool2d(variance, 3, 1, 1, count_include_pad=False)
    contrast = smooth / smooth.mean((2, 3), keepdim=True).clamp(min=1e-12)
    seen = F.interpolate(contrast.pow(focus) + FLAT, features.shape[2:], mode="bilinear")
    return seen / seen.mean((2, 3), keepdim=True)


class ContentLoss(nn.Module):
    """Squared distance of activations, one layer: (B, C, H, W) against the same, to a scalar, mean over the batch.

    ``detail``, (B, 1, H, W), says how much each position counts; without it all count the same. The gradient is that of
    the features alone.
    """

    def __init__(self, convention: Convention) -> None:
        super().__init__()
        self.convention = convention

    def forward(self, features: Tensor, target: Tensor, detail: Tensor | None = None) -> Tensor:
        """The loss.

        Raises:
            LossError: the target is of another shape, or it or ``detail`` requires a gradient.
        """
        if features.shape != target.shape:
            raise LossError(
                f"The content target should be of as many pictures of the same size: {tuple(features.shape)}, not "
                f"{tuple(target.shape)}."
            )
        _refuse_gradient("content target", target)
        _refuse_gradient("map of details", detail)
        factor = self.convention.content(features.shape[1], features[0, 0].numel())
        loss = factor * _SquaredDistance.apply(features, target, detail)
        if self.convention.relative:
            energy = target.square() if detail is None else detail * target.square()
            loss = loss / (factor * energy.sum((1, 2, 3)) + 1e-12)
        return loss.mean()


class StyleLoss(nn.Module):
    """Squared distance of Gram matrices, one layer: (B, C, H, W) against the style's (1, C, H', W'), to a scalar.

    With a region, (1, 1, h, w) in 0–1 of any size, only what lies in it is measured, and its area stands for N
    (Gatys et al. 2017, "Controlling Perceptual Factors in Neural Style Transfer", section 4.1).
    """

    target: Tensor
    region: Tensor | None

    def __init__(
        self,
        convention: Convention,
        style_features: Tensor,
        *,
        region: Tensor | None = None,
        seen: Tensor | None = None,
    ) -> None:
        """``region`` says which part of pictures counts, ``seen`` which of the style, both (1, 1, h, w) in 0–1."""
        super().__init__()
        self.convention = convention
        self.register_buffer("region", region)
        self.register_buffer("target", self._gram(style_features, seen)[0])

    def _gram(self, features: Tensor, region: Tensor | None, gram: Tensor | None = None) -> tuple[Tensor, float]:
        """The Gram matrix in the convention's scale, and the positions it was taken over."""
        positions = float(features[0, 0].numel())
        if region is not None:
            region = F.interpolate(region, features.shape[-2:], mode="area")
            positions = max(1e-6, float(region.sum()))  # in a deep layer, a small region covers less than one
        if gram is None or region is not None:
            gram = gram_matrix(features, region)
        return self.convention.gram(features.shape[1], positions) * gram, positions

    def forward(self, features: Tensor, gram: Tensor | None = None) -> Tensor:
        """``gram``, the ``gram_matrix`` of all the features, saves computing it if there is no region."""
        gram, positions = self._gram(features, self.region, gram)
        factor = self.convention.style(features.shape[1], positions)
        loss = factor * (gram - self.target).square().sum((1, 2))
        if self.convention.relative:
            loss = loss / (factor * self.target.square().sum((1, 2)) + 1e-12)
        return loss.mean()


@dataclass(frozen=True, eq=False)
class LossTerms:
    """One evaluation of a ``PerceptualLoss``: scalars, weights applied, ``total`` their sum."""

    total: Tensor
    content: Tensor
    style: Tensor
    total_variation: Tensor
    layers: dict[str, Tensor]
    """Each layer's part, by ``content/relu2_2`` and ``style/relu1_2``."""


@dataclass(frozen=True, eq=False)
class StyleTarget:
    """A painting to resemble, (1, 3, H, W), RGB in 0–1, and its weight.

    ``region``, (1, 1, h, w) in 0–1, says where pictures are to resemble it, and ``seen`` which part of the painting
    counts; None means everywhere, all of it.

    Raises:
        LossError: one of the tensors is something else, or of another shape.
    """

    painting: Tensor
    weight: float = 1.0
    region: Tensor | None = None
    seen: Tensor | None = None

    def __post_init__(self) -> None:
        for name, channels in (("painting", 3), ("region", 1), ("seen", 1)):
            given = getattr(self, name)
            if given is None and name != "painting":
                continue
            if not are_pictures(given, channels) or len(given) != 1:
                raise LossError(
                    f"The {name} of a StyleTarget should be a tensor (1, {channels}, height, width) of floating-point "
                    f"numbers in 0–1, not {described(given)}."
                )


def open_painting(source: Source) -> Image.Image:
    """A painting to resemble, as ``open_picture`` gives it.

    Raises:
        PictureError: as ``open_picture``.
        LossError: it is completely transparent.
    """
    painting = open_picture(source)
    if painting.mode == "RGBA" and not painting.getchannel("A").getbbox():
        raise LossError("A painting is completely transparent: choose one with something to see.")
    return painting


def style_target(
    painting: Image.Image, device: torch.device, weight: float = 1.0, region: Tensor | None = None
) -> StyleTarget:
    """The target that a painting, RGB or RGBA, makes: the more transparent a part of it, the less it counts."""
    seen = None
    if painting.mode == "RGBA":
        painting = blackened(painting)
        seen = to_tensor(painting.getchannel("A"))[:, :1].to(device) / 255
    return StyleTarget(to_tensor(painting).to(device) / 255, weight, region, seen)


@dataclass(frozen=True, eq=False)
class ContentTarget:
    """One layer's activations of a photograph, (B, C, H, W), and how much each position counts, (B, 1, H, W)."""

    features: Tensor
    detail: Tensor | None


class PerceptualLoss(nn.Module):
    """Content + style + total variation of pictures, measured by a frozen feature network.

    Args:
        network: where the layers come from.
        styles: the paintings, whose style losses are added.
        content_layers, style_layers: weight by layer name.
        total_variation: its weight.
        content_focus: how much more details of the content count than flat parts, see ``detail_map``; at 0, all
            positions count the same, as in the papers.
        convention: a name in ``CONVENTIONS``.

    Raises:
        LossError: a weight is negative or not a finite number, there is no layer at all, no style for the style layers
            or no such convention, or ``network`` or ``styles`` is something else.
        FeaturesError: the network does not give a layer.
    """

    def __init__(
        self,
        network: FeatureNetwork,
        styles: Sequence[StyleTarget],
        *,
        content_layers: Mapping[str, float],
        style_layers: Mapping[str, float],
        total_variation: float = 0.0,
        content_focus: float = 0.0,
        convention: str = "relative",
    ) -> None:
        super().__init__()
        if not isinstance(network, FeatureNetwork):
            raise LossError(f"A feature network is what load_features('compact') gives, not {one_line(network)}.")
        if not isinstance(styles, Sequence) or not all(isinstance(one, StyleTarget) for one in styles):
            raise LossError("The styles should be a list of StyleTarget, such as [StyleTarget(painting)].")
        if convention not in list(CONVENTIONS):
            raise LossError(
                f"There is no loss convention {one_line(convention)}: choose one of {', '.join(CONVENTIONS)}."
            )
        self.content_layers, self.style_layers = content_layers, style_layers
        check_layer_weights(LossError, self)
        if not content_layers and not style_layers:
            raise LossError("A loss needs at least one content or style layer.")
        if style_layers and not styles:
            raise LossError("Style layers need a style to resemble: give at least one StyleTarget, or no style layers.")
        self.network = network
        self.total_variation = check_number(LossError, "weight of the total variation", total_variation, 0)
        self.content_focus = check_number(LossError, "content focus", content_focus, 0)
        self.content = ContentLoss(CONVENTIONS[convention])
        self.style = nn.ModuleList()
        self.style_weights = [check_number(LossError, "weight of a style", one.weight, 0) for one in styles]
        for one in styles:
            with torch.no_grad():
                features = network(one.painting, self.style_layers)
            self.style.append(
                nn.ModuleDict(
                    {
                        layer: StyleLoss(CONVENTIONS[convention], features[layer], region=one.region, seen=one.seen)
                        for layer in self.style_layers
                    }
                )
            )

    def content_targets(self, content: Tensor) -> dict[str, ContentTarget]:
        """The content targets, by layer, of content pictures (B, 3, H, W), RGB in 0–1."""
        with torch.no_grad():
            features = self.network(content, self.content_layers)
        # bfloat16 has too few digits for the small differences from these.
        wide = {layer: value.to(torch.promote_types(value.dtype, torch.float32)) for layer, value in features.items()}
        with torch.autocast(content.device.type, enabled=False):
            return {
                layer: ContentTarget(value, detail_map(value, self.content_focus) if self.content_focus else None)
                for layer, value in wide.items()
            }

    def forward(self, pictures: Tensor, content_targets: Mapping[str, ContentTarget]) -> LossTerms:
        """Losses of pictures (B, 3, H, W), RGB in 0–1, against ``content_targets(...)`` of as many of that size.

        Raises:
            LossError: the targets are of more or fewer pictures, of another size or another loss, or something else.
        """
        targets = content_targets if isinstance(content_targets, Mapping) else {}
        if not all(isinstance(targets.get(layer), ContentTarget) for layer in self.content_layers):
            raise LossError("The content targets should be what content_targets(photographs) of this loss gives.")
        features = self.network(pictures, {**self.content_layers, **self.style_layers})
        # bfloat16 has too few digits for sums of tens of thousands of squares.
        with torch.autocast(pictures.device.type, enabled=False):
            layers = {}
            for layer, weight in self.content_layers.items():
                target = targets[layer]
                layers[f"content/{layer}"] = weight * self.content(features[layer], target.features, target.detail)
            for layer, weight in self.style_layers.items():
                here = features[layer]
                losses = [one.get_submodule(layer) for one in self.style]
                # Shared by all paintings that apply everywhere.
                gram = gram_matrix(here) if any(loss.region is None for loss in losses) else None
                layers[f"style/{layer}"] = weight * sum(
                    part * loss(here, gram) for part, loss in zip(self.style_weights, losses, strict=True)
                )
            variation = self.total_variation * total_variation(pictures.float())
            zero = variation.new_zeros(())
            content = sum((v for k, v in layers.items() if k.startswith("content/")), zero)
            style = sum((v for k, v in layers.items() if k.startswith("style/")), zero)
            return LossTerms(content + style + variation, content, style, variation, layers)
