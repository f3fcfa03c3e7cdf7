"""Losses against closed forms and the papers' formulas written out."""

import math

import pytest
import torch
from torch import Tensor

from nst_core.features import VGG19, FeaturesError
from nst_core.losses import (
    CONVENTIONS,
    ContentLoss,
    LossError,
    PerceptualLoss,
    StyleLoss,
    StyleTarget,
    gram_matrix,
    total_variation,
)


@pytest.fixture
def features() -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(0)
    return (torch.rand(2, 5, 4, 6, generator=numbers, dtype=torch.float64) for _ in range(2))  # type: ignore[return-value]


def small_network() -> VGG19:
    torch.manual_seed(0)
    return VGG19(last="conv2_1", channels=(6, 8, 8, 8, 8)).double().requires_grad_(False)


def test_gram_matrix_of_ones_counts_positions() -> None:
    assert torch.equal(gram_matrix(torch.ones(2, 3, 4, 5)), torch.full((2, 3, 3), 20.0))


def test_gram_matrix_is_the_sum_over_positions() -> None:
    features = torch.randn(1, 3, 2, 2)
    expected = torch.einsum("bihw,bjhw->bij", features, features)
    torch.testing.assert_close(gram_matrix(features), expected)


def test_total_variation_of_a_ramp() -> None:
    ramp = torch.arange(5.0).expand(1, 3, 4, 5)
    assert total_variation(ramp) == 1  # 1 from pixel to pixel across, 0 down


def written_out(name: str, f: Tensor, p: Tensor) -> tuple[float, float]:
    """Content and style loss of one picture's features (C, N) as the source of that convention has them."""
    c, n = f.shape
    gram_f, gram_p = f @ f.T, p @ p.T
    match name:
        case "article":
            return float(((f - p) ** 2).sum()), float(((gram_f - gram_p) ** 2).sum())
        case "gatys":
            return float(((f - p) ** 2).sum() / 2), float(((gram_f - gram_p) ** 2).sum() / (4 * n**2 * c**2))
        case "johnson":
            style = torch.linalg.matrix_norm(gram_f / (c * n) - gram_p / (c * n)) ** 2
            return float(((f - p) ** 2).sum() / (c * n)), float(style)
        case "tutorial":
            mse = torch.nn.functional.mse_loss
            return float(mse(f, p)), float(mse(gram_f / f.numel(), gram_p / p.numel()))
        case "relative":
            style = torch.linalg.matrix_norm(gram_f - gram_p) ** 2 / torch.linalg.matrix_norm(gram_p) ** 2
            return float(((f - p) ** 2).sum() / (p**2).sum()), float(style)
    raise AssertionError(f"no formula for {name}")


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_are_the_published_formulas(name: str, features: tuple[Tensor, Tensor]) -> None:
    f, p = features
    p = p[:1]
    flat = [(picture.flatten(1), p[0].flatten(1)) for picture in f]
    content, style = zip(*(written_out(name, *pair) for pair in flat), strict=True)
    assert float(ContentLoss(CONVENTIONS[name])(f, p.expand_as(f))) == pytest.approx(sum(content) / 2, rel=1e-9)
    assert float(StyleLoss(CONVENTIONS[name], p)(f)) == pytest.approx(sum(style) / 2, rel=1e-9)


def test_a_target_equal_to_the_picture_costs_nothing() -> None:
    picture = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    layers = {"relu1_2": 1.0, "relu2_1": 2.0}
    loss = PerceptualLoss(small_network(), [StyleTarget(picture)], content_layers=layers, style_layers=layers)
    assert float(loss(picture, loss.content_targets(picture)).total) == 0


def test_terms_add_up_and_are_named_by_layer() -> None:
    picture, style = torch.rand(2, 1, 3, 16, 16, dtype=torch.float64)
    loss = PerceptualLoss(
        small_network(),
        [StyleTarget(style)],
        content_layers={"relu2_1": 3.0},
        style_layers={"relu1_1": 1.0, "relu1_2": 0.0},
        total_variation=0.5,
    )
    terms = loss(picture, loss.content_targets(style))
    assert set(terms.layers) == {"content/relu2_1", "style/relu1_1", "style/relu1_2"}
    assert float(terms.layers["style/relu1_2"]) == 0
    assert float(terms.total_variation) == pytest.approx(0.5 * float(total_variation(picture)), rel=1e-5)
    assert float(terms.total) == pytest.approx(float(sum(terms.layers.values()) + terms.total_variation))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_gradient_is_the_derivative(convention: str) -> None:
    torch.manual_seed(1)
    features, target = torch.rand(2, 1, 3, 4, 4, dtype=torch.float64)
    features.requires_grad_()
    # Loss modules work in the precision of their input; PerceptualLoss alone goes down to float32.
    content, style = ContentLoss(CONVENTIONS[convention]), StyleLoss(CONVENTIONS[convention], target)
    assert torch.autograd.gradcheck(lambda x: content(x, target) + style(x) + total_variation(x), features)


def test_style_loss_does_not_depend_on_the_size_of_the_painting() -> None:
    painting = torch.rand(1, 4, 6, 6)
    doubled = painting.repeat(1, 1, 2, 2)
    for name in ("johnson", "tutorial", "relative"):
        assert float(StyleLoss(CONVENTIONS[name], painting)(doubled)) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_must_be_finite_and_not_negative(weight: float) -> None:
    with pytest.raises(LossError, match="finite and not negative"):
        PerceptualLoss(
            small_network(), [StyleTarget(torch.rand(1, 3, 8, 8))], content_layers={}, style_layers={"relu1_1": weight}
        )


def test_what_does_not_exist_is_named() -> None:
    picture = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    with pytest.raises(FeaturesError, match=r"relu9_9.*gives conv1_1, relu1_1"):
        PerceptualLoss(small_network(), [StyleTarget(picture)], content_layers={}, style_layers={"relu9_9": 1})
    with pytest.raises(LossError, match=r"'nobody'.*johnson"):
        PerceptualLoss(
            small_network(), [StyleTarget(picture)], content_layers={}, style_layers={"relu1_1": 1}, convention="nobody"
        )
    with pytest.raises(LossError, match="at least one"):
        PerceptualLoss(small_network(), [StyleTarget(picture)], content_layers={}, style_layers={})
