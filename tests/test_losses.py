"""Losses against closed forms and the papers' formulas written out."""

import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from nst_core.features import VGG19, FeaturesError
from nst_core.losses import (
    CONVENTIONS,
    FLAT,
    ContentLoss,
    LossError,
    PerceptualLoss,
    StyleLoss,
    StyleTarget,
    detail_map,
    gram_matrix,
    style_target,
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


def test_gram_matrix_is_of_a_batch_of_floating_point_numbers() -> None:
    with pytest.raises(LossError, match=r"\(batch, channels, height, width\), not \(3, 4, 5\)"):
        gram_matrix(torch.ones(3, 4, 5))
    for dtype in (torch.uint8, torch.complex64):
        with pytest.raises(LossError, match=rf"^Features should be floating-point numbers, not {dtype}\.$"):
            gram_matrix(torch.ones(1, 3, 4, 5, dtype=dtype))
    with pytest.raises(
        LossError, match=r"^Features should be a tensor \(batch, channels, height, width\), not \[\]\.$"
    ):
        gram_matrix([])  # type: ignore[arg-type]


def test_gram_matrix_is_the_sum_over_positions() -> None:
    features = torch.randn(1, 3, 2, 2)
    expected = torch.einsum("bihw,bjhw->bij", features, features)
    torch.testing.assert_close(gram_matrix(features), expected)


def checkered(height: int, width: int) -> Tensor:
    """A region, (1, 1, H, W), of every other position, and some that count in part."""
    region = torch.zeros(1, 1, height, width, dtype=torch.float64)
    region[..., ::2, ::2], region[..., 1::2, 1::2], region[..., 0, 1] = 1, 1, 0.25
    return region


def test_gram_matrix_of_a_region_is_that_of_the_cut_out() -> None:
    features = torch.randn(2, 4, 6, 8, dtype=torch.float64)
    region = torch.zeros(1, 1, 6, 8, dtype=torch.float64)
    region[..., 1:4, 2:7] = 1
    torch.testing.assert_close(gram_matrix(features, region), gram_matrix(features[..., 1:4, 2:7]))
    assert torch.equal(gram_matrix(features, torch.zeros_like(region)), torch.zeros(2, 4, 4, dtype=torch.float64))
    torch.testing.assert_close(gram_matrix(features, torch.ones_like(region)), gram_matrix(features))


def test_regions_that_share_a_picture_out_add_up_to_the_whole() -> None:
    features = torch.randn(2, 4, 6, 8, dtype=torch.float64)
    parts = torch.rand(3, 1, 1, 6, 8, dtype=torch.float64).softmax(0)
    total = torch.stack([gram_matrix(features, part) for part in parts]).sum(0)
    torch.testing.assert_close(total, gram_matrix(features))


def test_gram_matrix_is_symmetric_and_has_no_negative_eigenvalue() -> None:
    features = torch.randn(1, 6, 3, 3, dtype=torch.float64)
    for gram in (gram_matrix(features)[0], gram_matrix(features, checkered(3, 3))[0]):
        torch.testing.assert_close(gram, gram.T)
        assert torch.linalg.eigvalsh(gram).min() > -1e-9


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("positions", [(1, 1), (3, 5), (64, 96), (65, 97)])
def test_gram_matrix_of_bfloat16_is_nearly_exact(positions: tuple[int, int], weighted: bool) -> None:
    features = torch.rand(1, 8, *positions).bfloat16().requires_grad_()
    exact = features.detach().double().requires_grad_()
    region = checkered(*positions) if weighted and min(positions) > 1 else None
    gram, expected = gram_matrix(features, region), gram_matrix(exact, region)
    assert (gram.double() - expected).norm() <= 5e-4 * expected.norm()
    weights = torch.rand(1, 8, 8)
    (slope,) = torch.autograd.grad((gram * weights).sum(), features)
    (wanted,) = torch.autograd.grad((expected * weights).sum(), exact)
    assert float((slope.double() - wanted).norm()) <= 2e-2 * float(wanted.norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("side", [4, 40])
def test_gram_matrix_is_the_same_under_autocast(dtype: torch.dtype, side: int) -> None:
    features = torch.rand(1, 8, side, side).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        gram = gram_matrix(features)
    assert gram.dtype == torch.float32 and torch.equal(gram, gram_matrix(features))


def test_gram_matrix_of_float16_is_that_of_float32() -> None:
    features = (torch.rand(1, 4, 200, 200) * 3).half().requires_grad_()
    gram = gram_matrix(features)
    assert gram.max() > torch.finfo(torch.float16).max and torch.equal(gram, gram_matrix(features.float()))
    gram.mean().backward()
    assert features.grad is not None and features.grad.dtype == torch.float16 and features.grad.isfinite().all()


@pytest.mark.parametrize("weighted", [False, True])
def test_gradient_of_the_gram_matrix_is_its_derivative(weighted: bool) -> None:
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    region = checkered(4, 5) if weighted else None
    assert torch.autograd.gradcheck(lambda x: gram_matrix(x, region), features)


def test_total_variation_of_a_ramp() -> None:
    ramp = torch.arange(5.0).expand(1, 3, 4, 5)
    assert total_variation(ramp) == 1  # 1 from pixel to pixel across, 0 down


def test_total_variation_has_the_digits_of_float32() -> None:
    picture = torch.rand(1, 3, 24, 24).bfloat16()
    network = VGG19(last="conv1_1", channels=(4, 4, 4, 4, 4)).bfloat16()
    loss = PerceptualLoss(
        network, [StyleTarget(picture)], content_layers={}, style_layers={"relu1_1": 1.0}, total_variation=1.0
    )
    assert float(loss(picture, {}).total_variation) == pytest.approx(float(total_variation(picture.float())), rel=1e-5)


def test_content_of_bfloat16_has_the_digits_of_float32() -> None:
    picture, photo = torch.rand(2, 1, 3, 24, 24).bfloat16()
    network = VGG19(last="conv1_1", channels=(4, 4, 4, 4, 4)).bfloat16()
    loss = PerceptualLoss(network, [], content_layers={"relu1_1": 1.0}, style_layers={}, convention="article")
    ours, theirs = (network(one, ["relu1_1"])["relu1_1"].detach().double() for one in (picture, photo))
    content = float(loss(picture, loss.content_targets(photo)).content)
    assert content == pytest.approx(float((ours - theirs).square().sum()), rel=1e-5)


def test_near_its_style_a_picture_is_measured_exactly_under_autocast() -> None:
    painting = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    picture, network = painting + 1e-2, small_network().float()
    loss = PerceptualLoss(network, [StyleTarget(painting)], content_layers={}, style_layers={"relu1_1": 1.0})
    with torch.autocast("cpu", torch.bfloat16):
        style = float(loss(picture, {}).style)
        seen = network(picture, ["relu1_1"])["relu1_1"].detach().double()
    gram, target = gram_matrix(seen), gram_matrix(network(painting, ["relu1_1"])["relu1_1"].detach().double())
    assert style == pytest.approx(float((gram - target).square().sum() / target.square().sum()), rel=1e-3)


def test_no_style_at_all_can_be_met() -> None:
    nothing = torch.zeros(1, 4, 5, 5)
    loss = StyleLoss(CONVENTIONS["relative"], nothing)
    assert loss(nothing) == 0 and loss(nothing + 1).isfinite()
    content = ContentLoss(CONVENTIONS["relative"])
    assert content(nothing, nothing) == 0 and content(nothing + 1, nothing).isfinite()


@pytest.mark.parametrize("size", [(24, 24), (8, 31), (31, 8)])
def test_total_variation_is_cs231ns(size: tuple[int, int]) -> None:
    """Stanford's assignment: tv_weight · (Σ (x_h+1,w − x_h,w)² + Σ (x_h,w+1 − x_h,w)²); ours are means of the two."""
    height, width = size
    picture = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(231), dtype=torch.float64)
    x, across, down = picture[0].tolist(), 0.0, 0.0
    for channel in range(3):
        for h in range(height):
            for w in range(width):
                down += (x[channel][h + 1][w] - x[channel][h][w]) ** 2 if h + 1 < height else 0
                across += (x[channel][h][w + 1] - x[channel][h][w]) ** 2 if w + 1 < width else 0
    expected = across / (3 * height * (width - 1)) + down / (3 * (height - 1) * width)
    assert float(total_variation(picture)) == pytest.approx(expected, rel=1e-9)
    if height == width:  # then one factor tells the two apart
        assert float(total_variation(picture)) == pytest.approx((across + down) / (3 * height * (height - 1)))


@pytest.mark.parametrize("size", [(1, 5), (5, 1), (1, 1)])
def test_total_variation_of_a_line_is_that_along_it(size: tuple[int, int]) -> None:
    ramp = torch.arange(float(max(size))).view(1, 1, *size).expand(1, 3, *size)
    assert float(total_variation(ramp)) == (1 if max(size) > 1 else 0)


def test_gradient_of_total_variation_is_its_derivative() -> None:
    picture = torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(total_variation, picture)


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


@pytest.mark.parametrize("name", ["gatys", "johnson", "tutorial", "relative"])
def test_a_texture_is_the_same_however_much_of_it_there_is(name: str) -> None:
    texture = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    loss, much, half = StyleLoss(CONVENTIONS[name], texture), texture.tile(1, 1, 3, 2), torch.zeros(1, 1, 24, 16)
    half[..., :8] = 1
    assert float(loss(much)) < 1e-20 < float(loss(texture.square()))
    assert float(StyleLoss(CONVENTIONS[name], texture, region=half)(much)) < 1e-20


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


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_details_count_as_much_as_the_map_says(convention: str) -> None:
    torch.manual_seed(3)
    features, target = torch.rand(2, 2, 3, 4, 6, dtype=torch.float64)
    detail = torch.rand(2, 1, 4, 6, dtype=torch.float64)
    # A weight counts a position so many times: the features of both, times its square root.
    often = detail.sqrt()
    form = CONVENTIONS[convention]
    expected = float(ContentLoss(form)(often * features, often * target))
    assert float(ContentLoss(form)(features, target, detail)) == pytest.approx(expected, rel=1e-9)
    features.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ContentLoss(form)(x, target, detail), features)


def test_a_detail_map_finds_what_varies() -> None:
    numbers = torch.Generator().manual_seed(4)
    features = torch.full((2, 3, 48, 80), 5.0)
    features[0, :, :, 40:] += torch.randn(3, 48, 40, generator=numbers)  # the right half of the first picture
    for focus in (0.5, 1.0):
        seen = detail_map(features, focus)
        assert seen.shape == (2, 1, 48, 80)
        assert seen.mean((1, 2, 3)).tolist() == pytest.approx([1, 1], rel=1e-5)
        assert torch.allclose(seen[1], torch.ones(()))  # all of it is as flat
        flat, full = seen[0, 0, :, :24].mean(), seen[0, 0, :, 56:].mean()
        assert float(full / flat) == pytest.approx((2**focus + FLAT) / FLAT, rel=0.1)
    assert torch.allclose(detail_map(features, 0), torch.ones(()))
    assert detail_map(features[..., :1, :3], 1.0).isfinite().all()


def test_with_focus_a_face_is_kept_before_a_sky() -> None:
    numbers = torch.Generator().manual_seed(5)
    photo = torch.full((1, 3, 64, 64), 0.5)
    photo[..., 32:] = torch.rand(1, 3, 64, 32, generator=numbers)
    change = 0.1 * torch.rand(1, 3, 64, 16, generator=numbers)
    sky, face = photo.clone(), photo.clone()
    sky[..., 4:20] += change
    face[..., 44:60] += change

    def contents(focus: float, *pictures: Tensor) -> list[float]:
        loss = PerceptualLoss(
            small_network().float(), [], content_layers={"relu1_2": 1.0}, style_layers={}, content_focus=focus
        )
        return [float(loss(picture, loss.content_targets(photo)).content) for picture in pictures]

    plain, focused = contents(0, sky, face), contents(1, sky, face)
    assert focused[1] / focused[0] > 4 * plain[1] / plain[0]
    assert contents(1, photo) == [0]
    with pytest.raises(LossError, match="should be a number of at least 0"):
        contents(-0.5)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_gradient_of_a_region_is_the_derivative(convention: str) -> None:
    torch.manual_seed(2)
    features, painting = torch.rand(2, 3, 4, 6, dtype=torch.float64), torch.rand(1, 3, 5, 5, dtype=torch.float64)
    style = StyleLoss(CONVENTIONS[convention], painting, region=checkered(4, 6), seen=checkered(5, 5))
    assert torch.autograd.gradcheck(style, features.requires_grad_())


@pytest.mark.parametrize("weighted", [False, True])
def test_second_derivatives_are_those_of_the_first(weighted: bool) -> None:
    torch.manual_seed(3)
    features, target = torch.rand(2, 2, 3, 4, 4, dtype=torch.float64)
    region, detail = (checkered(4, 4), torch.rand(2, 1, 4, 4, dtype=torch.float64)) if weighted else (None, None)
    convention = CONVENTIONS["relative"]
    content, style = ContentLoss(convention), StyleLoss(convention, target[:1], region=region)
    features.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda x: content(x, target, detail) + style(x), features)
    assert torch.autograd.gradgradcheck(lambda x: gram_matrix(x, region), features)
    # And the first are the same whether there are to be second ones or not.
    for loss in (content(features, target, detail), style(features)):
        (first,) = torch.autograd.grad(loss, features, retain_graph=True)
        (again,) = torch.autograd.grad(loss, features, create_graph=True)
        torch.testing.assert_close(first, again.detach())


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_style_in_a_region_is_the_style_of_the_cut_out(convention: str) -> None:
    features, painting = torch.rand(2, 3, 6, 8, dtype=torch.float64), torch.rand(1, 3, 6, 6, dtype=torch.float64)
    region, seen = torch.zeros(1, 1, 6, 8), torch.zeros(1, 1, 6, 6)
    region[..., 2:6, 1:4], seen[..., :3, 1:] = 1, 1
    form = CONVENTIONS[convention]
    expected = StyleLoss(form, painting[..., :3, 1:])(features[..., 2:6, 1:4])
    actual = StyleLoss(form, painting, region=region, seen=seen)(features)
    assert float(actual) == pytest.approx(float(expected), rel=1e-6)


def test_a_region_smaller_than_a_position_is_of_the_style() -> None:
    features = torch.rand(1, 5, 4, 6, dtype=torch.float64)
    even = features.mean((2, 3), keepdim=True).expand_as(features)  # at each position the same
    region = torch.zeros(1, 1, 16, 24, dtype=torch.float64)
    region[..., 4:6, 8:10] = 1  # a quarter of one
    loss = StyleLoss(CONVENTIONS["relative"], even, region=region)
    assert float(loss(even)) == pytest.approx(0, abs=1e-12)
    nothing = StyleLoss(CONVENTIONS["relative"], even, region=torch.zeros_like(region))
    assert float(nothing(even)) < float("inf")


def test_what_a_loss_remembers_goes_with_it() -> None:
    loss = PerceptualLoss(
        small_network(),
        [StyleTarget(torch.rand(1, 3, 16, 16, dtype=torch.float64))],
        content_layers={},
        style_layers={"relu1_1": 1.0},
    ).float()
    pictures = torch.rand(1, 3, 16, 16)
    assert loss(pictures, {}).style.dtype == torch.float32
    assert torch.equal(pickle.loads(pickle.dumps(loss))(pictures, {}).total, loss(pictures, {}).total)
    assert "style.0.relu1_1.target" in dict(loss.named_buffers())


def test_a_region_of_another_size_counts_by_area() -> None:
    features, painting = torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    fine, coarse = torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 4, 4)
    fine[..., :12], coarse[..., 0], coarse[..., 1] = 1, 1, 0.5
    losses = [StyleLoss(CONVENTIONS["johnson"], painting, region=region)(features) for region in (fine, coarse)]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-5)


def test_a_style_acts_no_further_than_its_region_and_the_network_reach() -> None:
    picture = torch.rand(1, 3, 16, 32, requires_grad=True)
    left = torch.zeros(1, 1, 16, 32)
    left[..., :16] = 1
    loss = PerceptualLoss(
        small_network().float(),
        [StyleTarget(torch.rand(1, 3, 16, 16), region=left)],
        content_layers={},
        style_layers={"relu1_2": 1.0},
    )
    (gradient,) = torch.autograd.grad(loss(picture, {}).total, picture)
    assert (gradient[..., :16] != 0).any(1).all()
    assert (gradient[..., 16:18] != 0).any()  # two convolutions of 3 × 3 reach two pixels
    assert not gradient[..., 18:].any()


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_at_the_target_the_loss_and_its_gradient_are_nothing(convention: str) -> None:
    picture = torch.rand(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    layers = {"relu1_2": 1.0, "conv2_1": 2.0}
    target, region = StyleTarget(picture.detach()), torch.rand(1, 1, 16, 16)
    regional = StyleTarget(picture.detach(), region=region, seen=region)
    for styles in ([target], [target, regional]):
        loss = PerceptualLoss(
            small_network(), styles, content_layers=layers, style_layers=layers, convention=convention
        )
        total = loss(picture, loss.content_targets(picture.detach())).total
        (gradient,) = torch.autograd.grad(total, picture)
        assert float(total) == 0 and not gradient.any()


ABSOLUTE = [name for name, form in CONVENTIONS.items() if not form.relative]


@pytest.mark.parametrize("first", ABSOLUTE)
@pytest.mark.parametrize("second", ABSOLUTE)
def test_weights_can_be_said_in_another_convention(first: str, second: str, features: tuple[Tensor, Tensor]) -> None:
    f, p = features
    here, there = CONVENTIONS[first], CONVENTIONS[second]
    content, style = here.weights_in(there, f.shape[1], f[0, 0].numel())
    assert float(ContentLoss(here)(f, p)) == pytest.approx(content * float(ContentLoss(there)(f, p)), rel=1e-9)
    p = p[:1]
    assert float(StyleLoss(here, p)(f)) == pytest.approx(style * float(StyleLoss(there, p)(f)), rel=1e-9)


def test_published_conventions_differ_by_known_factors() -> None:
    c, n = 64, 1024
    assert CONVENTIONS["tutorial"].weights_in(CONVENTIONS["johnson"], c, n) == pytest.approx((1, 1 / c**2))
    assert CONVENTIONS["gatys"].weights_in(CONVENTIONS["article"], c, n) == pytest.approx(
        (1 / 2, 1 / (4 * c**2 * n**2))
    )
    assert CONVENTIONS["gatys"].weights_in(CONVENTIONS["johnson"], c, n) == pytest.approx((c * n / 2, 1 / 4))


def test_the_whole_loss_is_the_same_in_another_convention() -> None:
    """Weights of the article's plain sums said in Johnson's means, layer by layer."""
    network, layers = small_network().float(), {"conv1_2": 0.5, "relu2_1": 2.0}
    picture, content, style = torch.rand(3, 1, 3, 16, 16)
    sizes = {layer: value.shape for layer, value in network(picture, layers).items()}
    converted = {
        layer: CONVENTIONS["article"].weights_in(CONVENTIONS["johnson"], shape[1], shape[2] * shape[3])
        for layer, shape in sizes.items()
    }
    totals = []
    for convention, factors in (("article", dict.fromkeys(layers, (1.0, 1.0))), ("johnson", converted)):
        loss = PerceptualLoss(
            network,
            [StyleTarget(style)],
            content_layers={layer: weight * factors[layer][0] for layer, weight in layers.items()},
            style_layers={layer: weight * factors[layer][1] for layer, weight in layers.items()},
            convention=convention,
        )
        totals.append(float(loss(picture, loss.content_targets(content)).total))
    assert totals[0] == pytest.approx(totals[1], rel=1e-5)


@pytest.mark.parametrize(("first", "second"), [("relative", "gatys"), ("gatys", "relative")])
def test_relative_losses_have_no_constants(first: str, second: str) -> None:
    with pytest.raises(LossError) as refused:
        CONVENTIONS[first].weights_in(CONVENTIONS[second], 8, 64)
    sentence = str(refused.value)
    assert sentence.endswith(".") and sentence.count(".") == 1 and "\n" not in sentence


def test_styles_add_up_by_weight() -> None:
    network, layers = small_network().float(), {"relu1_1": 1.0, "relu2_1": 0.5}
    picture, *paintings = torch.rand(3, 1, 3, 16, 16)

    def style(*targets: StyleTarget) -> float:
        return float(PerceptualLoss(network, targets, content_layers={}, style_layers=layers)(picture, {}).style)

    alone = [style(StyleTarget(painting)) for painting in paintings]
    both = style(StyleTarget(paintings[0], 0.7), StyleTarget(paintings[1], 0.2))
    assert both == pytest.approx(0.7 * alone[0] + 0.2 * alone[1], rel=1e-5)
    assert style(StyleTarget(paintings[0]), StyleTarget(paintings[1], 0.0)) == alone[0]


def test_a_painting_weighs_1_and_counts_where_it_is_to_be_seen() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 4), dtype=np.uint8)
    pixels[0, 0, 3], pixels[1, 1, 3] = 0, 255
    cpu = torch.device("cpu")
    whole, partly = (style_target(Image.fromarray(each), cpu) for each in (pixels[..., :3].copy(), pixels))
    assert whole.weight == partly.weight == StyleTarget(whole.painting).weight == 1
    assert whole.seen is whole.region is partly.region is None and partly.seen is not None
    shares = torch.from_numpy(pixels).movedim(-1, 0)[None] / 255
    torch.testing.assert_close(whole.painting, shares[:, :3])
    torch.testing.assert_close(partly.seen, shares[:, 3:])
    assert torch.equal(partly.painting[..., 1, 1], whole.painting[..., 1, 1]) and not partly.painting[..., 0, 0].any()


def test_style_loss_does_not_depend_on_the_size_of_the_painting() -> None:
    painting = torch.rand(1, 4, 6, 6)
    doubled = painting.repeat(1, 1, 2, 2)
    for name in ("johnson", "tutorial", "relative"):
        assert float(StyleLoss(CONVENTIONS[name], painting)(doubled)) == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf, None, "1"])
def test_weights_must_be_finite_and_not_negative(weight: Any) -> None:
    painting, usual = torch.rand(1, 3, 8, 8), {"content_layers": {}, "style_layers": {"relu1_1": 1.0}}
    wrong: list[tuple[Any, dict[str, Any]]] = [
        (1.0, {"style_layers": {"relu1_1": weight}}),
        (1.0, {"content_layers": {"relu1_1": weight}}),
        (1.0, {"total_variation": weight}),
        (1.0, {"content_focus": weight}),
        (weight, {}),
    ]
    for of_the_painting, weights in wrong:
        with pytest.raises(LossError, match=f"should be a number of at least 0, not {weight!r}"):
            PerceptualLoss(small_network(), [StyleTarget(painting, of_the_painting)], **{**usual, **weights})


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"network": "compact"}, r"A feature network is what load_features\('compact'\) gives, not 'compact'\."),
        ({"styles": StyleTarget(torch.rand(1, 3, 8, 8))}, "The styles should be a list of StyleTarget"),
        ({"styles": [torch.rand(1, 3, 8, 8)]}, "The styles should be a list of StyleTarget"),
        ({"content_layers": ["relu1_1"]}, r"The content layers should be weights by name .*, not \['relu1_1'\]\."),
        ({"style_layers": {"relu1_1": 1.0}}, "Style layers need a style to resemble: give at least one StyleTarget"),
        ({"convention": ["johnson"]}, r"There is no loss convention \['johnson'\]: choose one of article"),
    ],
)
def test_what_no_loss_can_be_made_of(wrong: dict[str, Any], reason: str) -> None:
    usual = {"network": small_network(), "styles": [], "content_layers": {"relu1_1": 1.0}, "style_layers": {}}
    with pytest.raises(LossError, match=f"^{reason}"):
        PerceptualLoss(**{**usual, **wrong})


@pytest.mark.parametrize("shape", [(4, 5), (1, 4, 5), (1, 1, 5, 4), (1, 1, 1, 20), (1, 3, 4, 5), (3, 1, 4, 5)])
def test_a_region_has_the_shape_of_its_features(shape: tuple[int, ...]) -> None:
    for region, kind in ((torch.ones(shape), "torch.float32"), (np.ones(shape), "array")):
        with pytest.raises(LossError, match=rf"^The region of such features should be \(1, 1, 4, 5\), not {kind}.*\.$"):
            gram_matrix(torch.ones(2, 3, 4, 5), region)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        *(({"painting": torch.rand(shape)}, "1, 3") for shape in ((3, 8, 8), (2, 3, 8, 8), (1, 8, 8, 3), (1, 1, 8, 8))),
        ({"painting": torch.ones(1, 3, 8, 8, dtype=torch.uint8)}, "1, 3"),
        ({"painting": "painting.jpg"}, "1, 3"),
        ({"painting": None}, "1, 3"),
        ({"region": torch.rand(8, 8)}, "1, 1"),
        ({"region": torch.ones(1, 1, 8, 8, dtype=torch.bool)}, "1, 1"),
        ({"seen": np.ones((1, 1, 8, 8))}, "1, 1"),
    ],
)
def test_what_is_no_target(wrong: dict[str, Any], right: str) -> None:
    (name,) = wrong
    with pytest.raises(LossError, match=rf"^The {name} of a StyleTarget should be a tensor \({right}, height, .*\.$"):
        StyleTarget(**{"painting": torch.rand(1, 3, 8, 8), **wrong})


def test_what_gets_no_gradient_is_refused_one() -> None:
    features = torch.rand(1, 2, 4, 4)
    wants, content = features[:, :1].clone().requires_grad_(), ContentLoss(CONVENTIONS["johnson"])
    for name, call in (
        ("region", lambda: gram_matrix(features, wants)),
        ("content target", lambda: content(features, features.clone().requires_grad_())),
        ("map of details", lambda: content(features, features, wants)),
    ):
        with pytest.raises(LossError, match=rf"^The {name} gets no gradient: detach\(\) it first\.$"):
            call()


def test_content_targets_are_of_as_many_pictures() -> None:
    photos = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    loss = PerceptualLoss(small_network(), [], content_layers={"relu2_1": 1.0}, style_layers={})
    for others in (photos[:1], photos.repeat(2, 1, 1, 1), photos[..., :8]):
        with pytest.raises(LossError, match=r"^The content target should be of .*: \(2, 8, 8, 8\), not \("):
            loss(photos, loss.content_targets(others))
    for wrong in (photos, {}, {"relu2_1": photos}, None):
        with pytest.raises(LossError, match=r"^The content targets should be what content_targets\(photographs\) of "):
            loss(photos, wrong)


def test_what_does_not_exist_is_named() -> None:
    picture = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    with pytest.raises(FeaturesError, match=r"relu9_9.*has conv1_1, relu1_1"):
        PerceptualLoss(small_network(), [StyleTarget(picture)], content_layers={}, style_layers={"relu9_9": 1})
    with pytest.raises(LossError, match=r"'nobody'.*johnson"):
        PerceptualLoss(
            small_network(), [StyleTarget(picture)], content_layers={}, style_layers={"relu1_1": 1}, convention="nobody"
        )
    with pytest.raises(LossError, match="at least one"):
        PerceptualLoss(small_network(), [StyleTarget(picture)], content_layers={}, style_layers={})
