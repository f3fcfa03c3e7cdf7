"""L-BFGS, Adam and SGD against torch.optim, closed forms and the conditions of an optimum within 0–1."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from nst_core.optimizers import LBFGS, OPTIMIZERS, SGD, Adam, Evaluate, Optimizer, Point, _Bands

SHAPE = (1, 3, 4, 4)
PIXELS = math.prod(SHAPE)


def evaluator(function: Callable[[Tensor], Tensor], scale: float = 1.0, seen: list[Tensor] | None = None) -> Evaluate:
    """Points of ``scale`` times a function of a picture; ``seen`` gets every picture that was evaluated."""

    def evaluate(picture: Tensor) -> Point:
        if seen is not None:
            seen.append(picture)
        picture = picture.detach().requires_grad_()
        value = scale * function(picture)
        (gradient,) = torch.autograd.grad(value, picture)
        return Point(picture.detach(), gradient, value.item(), 0.0, 0.0, 0.0, {})

    return evaluate


def run(optimizer: Optimizer, evaluate: Evaluate, start: Tensor, steps: int) -> list[Point]:
    points = [evaluate(start)]
    for _ in range(steps):
        points.append(optimizer.step(points[-1], evaluate))
    return points


def start(seed: int = 0, least: float = 0.3, most: float = 0.7) -> Tensor:
    numbers = torch.Generator().manual_seed(seed)
    return least + (most - least) * torch.rand(SHAPE, generator=numbers)


def made_quadratic(seed: int, *, spread: float, inside: bool) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    """½ (x − a)ᵀ A (x − a), A symmetric with eigenvalues from 1 to ``spread``; a in 0–1, or partly out of it."""
    numbers = torch.Generator().manual_seed(seed)
    basis, _ = torch.linalg.qr(torch.randn(PIXELS, PIXELS, generator=numbers))
    matrix = basis @ torch.diag(torch.logspace(0, math.log10(spread), PIXELS)) @ basis.T
    lowest = torch.rand(PIXELS, generator=numbers) * (0.6 if inside else 2) + (0.2 if inside else -0.5)

    def function(picture: Tensor) -> Tensor:
        off = picture.flatten() - lowest
        return 0.5 * off @ matrix @ off

    return function, matrix, lowest


def test_lbfgs_finds_the_least_of_a_quadratic() -> None:
    function, _, lowest = made_quadratic(0, spread=100, inside=True)
    last = run(LBFGS(), evaluator(function), start(), 100)[-1]
    torch.testing.assert_close(last.picture.flatten(), lowest, rtol=0, atol=2e-3)


def test_lbfgs_takes_about_as_many_evaluations_as_torch() -> None:
    function, _, _ = made_quadratic(1, spread=100, inside=True)
    goal = 1e-4 * float(function(start()))
    seen: list[Tensor] = []
    evaluate, optimizer = evaluator(function, seen=seen), LBFGS()
    point = evaluate(start())
    while point.total > goal and len(seen) < 1000:
        point = optimizer.step(point, evaluate)

    theirs, values = start().requires_grad_(), []
    torch_lbfgs = torch.optim.LBFGS([theirs], max_iter=100, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        torch_lbfgs.zero_grad()
        value = function(theirs)
        value.backward()
        values.append(value.item())
        return value

    torch_lbfgs.step(closure)
    evaluations = next(number for number, value in enumerate(values, 1) if value <= goal)
    assert len(seen) <= 1.5 * evaluations


@pytest.mark.parametrize("seed", range(4))
def test_lbfgs_within_the_box_meets_the_conditions_of_an_optimum(seed: int) -> None:
    """Karush, Kuhn and Tucker: downhill from every pixel is either nowhere or out of the box."""
    function, matrix, lowest = made_quadratic(seed, spread=30, inside=False)
    picture = run(LBFGS(), evaluator(function), start(), 300)[-1].picture.flatten()
    assert ((lowest < 0) | (lowest > 1)).sum() > 10
    gradient = matrix @ (picture - lowest)
    # With a remaining gradient of this size, a pixel is off by less than half a step of 255.
    assert ((picture - gradient).clamp(0, 1) - picture).abs().max() < 0.01
    # The projected gradient method, 1 / the largest eigenvalue a step, converges for sure.
    slow = start().flatten()
    for _ in range(1000):
        slow = (slow - matrix @ (slow - lowest) / 30).clamp(0, 1)
    torch.testing.assert_close(picture, slow, rtol=0, atol=5e-3)


def test_lbfgs_goes_along_rosenbrocks_valley_into_the_corner() -> None:
    def rosenbrock(picture: Tensor) -> Tensor:
        x, y = picture.mean(1).flatten()
        return (1 - x) ** 2 + 100 * (y - x**2) ** 2

    last = run(LBFGS(), evaluator(rosenbrock), torch.tensor([0.1, 0.9]).expand(1, 3, 1, 2), 200)[-1]
    assert last.total < 1e-4  # 0.8 at the start's foot of the valley, 0 at (1, 1)


def test_lbfgs_explains_its_last_pair() -> None:
    """The secant equation of every quasi-Newton method: H · (change of the gradient) = change of the picture."""
    function, _, _ = made_quadratic(5, spread=20, inside=True)
    optimizer = LBFGS()
    here = run(optimizer, evaluator(function), start(), 6)[-1]
    unit, pairs, _ = optimizer.state()
    change, bend, _ = pairs[-1]
    assert len(pairs) >= 4 and optimizer._bands is not None
    middle = replace(here, picture=torch.full_like(here.picture, 0.5), gradient=unit * bend)
    torch.testing.assert_close(-optimizer._direction(middle, optimizer._bands), change, rtol=1e-3, atol=1e-6)


def test_bands_learn_a_curvature_that_depends_on_frequency() -> None:
    """For a Hessian that multiplies each frequency by 1 + 8 f, they become the inverse, up to a band's width."""
    torch.manual_seed(0)
    bands = _Bands(torch.zeros(1, 3, 64, 64))
    curvature = 1 + 8 * torch.hypot(torch.fft.fftfreq(64)[:, None], torch.fft.rfftfreq(64))

    def bent(change: Tensor) -> Tensor:
        return torch.fft.irfft2(torch.fft.rfft2(change) * curvature, s=(64, 64))

    for _ in range(20):
        change = torch.randn(1, 3, 64, 64)
        bands = bands.learned(change, bent(change))
    change = torch.randn(1, 3, 64, 64)
    assert float((bands.scaled(bent(change)) - change).norm() / change.norm()) < 0.1


@pytest.mark.parametrize("size", [(8, 8), (8, 7), (7, 8), (9, 1)])
def test_bands_share_a_change_out_among_them(size: tuple[int, int]) -> None:
    """Parseval: the sums over all bands and colours are those over the pixels."""
    change, bend = torch.randn(2, 1, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    learned = _Bands(change).learned(change, bend)
    sums, again = learned.sums, learned.learned(change, bend).sums
    assert sums is not None and again is not None
    torch.testing.assert_close(again, (1 + _Bands.MEMORY) * sums)  # an earlier pair counts nearly as much
    changes, bends, products = sums.sum(1).tolist()
    assert bends == pytest.approx(1)
    assert changes == pytest.approx(float(change.square().sum() / bend.square().sum()))
    assert products == pytest.approx(float((change * bend).sum() / bend.square().sum()))


def test_lbfgs_first_step_is_measured_in_pixels() -> None:
    function, _, _ = made_quadratic(0, spread=2, inside=True)
    first, second = run(LBFGS(0.01), evaluator(function), start(), 1)
    change = second.picture - first.picture
    assert float(change.square().mean().sqrt()) == pytest.approx(0.01, rel=1e-4)
    assert float(torch.cosine_similarity(change.flatten(), -first.gradient.flatten(), dim=0)) > 0.2, "downhill"


def test_lbfgs_never_climbs_far() -> None:
    def waves(picture: Tensor) -> Tensor:
        return (picture * 40).sin().sum() + 60 + (picture - 0.5).square().sum()

    totals = [point.total for point in run(LBFGS(), evaluator(waves), start(), 60)]
    assert all(later <= earlier * (1 + 1e-4) for earlier, later in pairwise(totals))
    assert totals[-1] < 0.5 * totals[0]


@pytest.mark.parametrize("learning_rate", [1e-6, 0.02, 1.0, 10.0])
def test_lbfgs_gets_ahead_with_every_learning_rate_that_is_taken(learning_rate: float) -> None:
    function, _, _ = made_quadratic(2, spread=10, inside=True)
    points = run(LBFGS(learning_rate), evaluator(function), start(), 30)
    assert points[-1].total < 0.1 * points[0].total


def test_lbfgs_stays_where_nowhere_is_better() -> None:
    point = Point(start(), torch.zeros(SHAPE), 1.0, 0.0, 0.0, 0.0, {})
    assert LBFGS().step(point, lambda picture: point) is point
    worse = Point(start(1), torch.ones(SHAPE), 2.0, 0.0, 0.0, 0.0, {})
    here = Point(start(), torch.ones(SHAPE), 1.0, 0.0, 0.0, 0.0, {})
    assert LBFGS().step(here, lambda picture: worse) is here


def test_lbfgs_stays_in_a_corner_that_it_wants_to_leave() -> None:
    dark = torch.zeros(SHAPE)
    points = run(LBFGS(), evaluator(lambda picture: picture.sum()), dark, 2)
    assert all(torch.equal(point.picture, dark) for point in points)


def test_sgd_goes_on_with_the_rate_that_it_has_come_to() -> None:
    function, _, _ = made_quadratic(9, spread=50, inside=True)
    evaluate, optimizer = evaluator(function), SGD(5.0)
    there = run(optimizer, evaluate, start(), 4)[-1]
    again = SGD(5.0)
    again.restore(optimizer.state())
    assert again.learning_rate < 5
    for one, other in zip(*(run(each, evaluate, there.picture, 5) for each in (again, optimizer)), strict=True):
        assert torch.equal(one.picture, other.picture)


def test_adams_first_step_is_the_learning_rate_by_sign() -> None:
    gradient = torch.tensor([-3.0, 2.0, 1.0, -1.0] * 12).view(SHAPE)
    weighted = evaluator(lambda picture: (gradient * picture).sum())
    first, second = run(Adam(0.05), weighted, torch.full(SHAPE, 0.5), 1)
    torch.testing.assert_close(second.picture - first.picture, -0.05 * gradient.sign(), rtol=3e-3, atol=0)


def test_adam_is_torchs() -> None:
    function, _, _ = made_quadratic(3, spread=1.5, inside=False)
    ours = run(Adam(0.005), evaluator(function), start(), 20)[-1].picture
    theirs = start().requires_grad_()
    optimizer = torch.optim.Adam([theirs], lr=0.005, betas=(0.9, 0.99), eps=1e-12)
    for _ in range(20):
        optimizer.zero_grad()
        function(theirs).backward()
        optimizer.step()
    assert theirs.min() > 0 and theirs.max() < 1
    # Ours has an epsilon of a thousandth of the mean gradient, theirs none to speak of.
    torch.testing.assert_close(ours, theirs.detach(), rtol=0, atol=2e-3)
    assert (ours - start()).abs().mean() > 0.03


def test_sgd_is_torchs_with_the_first_gradient_brought_to_1() -> None:
    function, _, _ = made_quadratic(4, spread=10, inside=True)
    points = run(
        SGD(0.01), evaluator(function), start(), 4
    )  # later, momentum makes it worse for a while, which ours does not allow
    theirs = start().requires_grad_()
    rate = 0.01 / float(points[0].gradient.square().mean().sqrt())
    optimizer = torch.optim.SGD([theirs], lr=rate, momentum=0.9)
    for point in points[1:]:
        optimizer.zero_grad()
        function(theirs).backward()
        optimizer.step()
        torch.testing.assert_close(point.picture, theirs.detach(), rtol=0, atol=1e-5)
    assert theirs.min() > 0 and theirs.max() < 1


@pytest.mark.parametrize("scale", [1e-25, 1e-15, 1e-6, 1e6, 1e15, 1e25])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_scale_of_the_loss_does_not_matter(name: str, scale: float) -> None:
    function, _, _ = made_quadratic(5, spread=10, inside=False)
    plain, scaled = (
        run(OPTIMIZERS[name](0.02), evaluator(function, factor), start(), 10)[-1].picture for factor in (1.0, scale)
    )
    torch.testing.assert_close(plain, scaled, rtol=0, atol=2e-3)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("scale", [1e-25, 1e-32])
def test_a_slope_too_slight_to_be_squared_does_not_throw_the_picture_away(name: str, scale: float) -> None:
    function, _, _ = made_quadratic(5, spread=10, inside=True)
    first, second = run(OPTIMIZERS[name](0.02), evaluator(function, scale), start(), 1)
    assert second.picture.isfinite().all()
    assert (second.picture - first.picture).square().mean().sqrt() < 0.04


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("learning_rate", [1e-6, 0.02, 10.0])
def test_every_picture_lies_within_0_to_1(name: str, learning_rate: float) -> None:
    function, _, _ = made_quadratic(6, spread=10, inside=False)
    seen: list[Tensor] = []
    run(OPTIMIZERS[name](learning_rate), evaluator(function, seen=seen), start(0, 0.0, 1.0), 10)
    assert len(seen) >= 10 and all(picture.min() >= 0 and picture.max() <= 1 for picture in seen)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_no_slope_no_step(name: str) -> None:
    seen: list[Tensor] = []
    points = run(OPTIMIZERS[name](0.02), evaluator(lambda picture: 0 * picture.sum() + 1, seen=seen), start(), 3)
    assert seen and all(torch.equal(picture, start()) for picture in [*seen, *(point.picture for point in points)])


@pytest.mark.parametrize("taken", [0, 1, 7])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_goes_on_exactly_and_is_never_changed(name: str, taken: int) -> None:
    function, _, _ = made_quadratic(7, spread=20, inside=False)
    evaluate, optimizer = evaluator(function), OPTIMIZERS[name](0.02)
    there = run(optimizer, evaluate, start(), taken)[-1]
    state = optimizer.state()
    expected = [point.picture for point in run(optimizer, evaluate, there.picture, 6)]
    for _ in range(2):  # the second time shows that the first left the state alone
        again = OPTIMIZERS[name](0.02)
        again.restore(state)
        for point, picture in zip(run(again, evaluate, there.picture, 6), expected, strict=True):
            assert torch.equal(point.picture, picture)


def test_lbfgs_remembers_no_more_than_it_should() -> None:
    function, _, _ = made_quadratic(8, spread=100, inside=True)
    optimizer = LBFGS(memory=3)
    last = run(optimizer, evaluator(function), start(), 10)[-1]
    _, pairs, _ = optimizer.state()
    assert len(pairs) == 3
    assert last.total < float(function(start()))
