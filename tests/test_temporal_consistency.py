"""Steady films: still where the film is still, along with what moves, and never a trace of what is gone."""

import numpy as np
import pytest

from nst_core import temporal_consistency
from nst_core.temporal_consistency import KEEP, Steady

HEIGHT, WIDTH = 128, 192


def texture(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """RGB, uint8: blots of several sizes, so that motion can be seen."""
    random = np.random.default_rng(seed)
    drawn = np.zeros((height, width, 3))
    for step in (4, 8, 16, 32):
        coarse = random.normal(0, 20, (height // step + 2, width // step + 2, 3))
        y, x = np.arange(height) / step, np.arange(width) / step
        top, left = y.astype(int), x.astype(int)
        down, across = (y - top)[:, None, None], (x - left)[None, :, None]
        rows = coarse[top] * (1 - down) + coarse[top + 1] * down
        drawn += rows[:, left] * (1 - across) + rows[:, left + 1] * across
    return (128 + drawn).clip(0, 255).astype(np.uint8)


def noisy(pixels: np.ndarray, seed: int, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, deviation, pixels.shape)
    return (pixels + noise).round().clip(0, 255).astype(np.uint8)


def change(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(float) - other).mean())


def test_a_still_film_keeps_still() -> None:
    scene, painting = texture(1), texture(2)
    steady = Steady()
    shown = [steady(noisy(scene, n, 2), noisy(painting, 100 + n, 15)) for n in range(12)]
    alone = change(noisy(painting, 110, 15), noisy(painting, 111, 15))
    assert change(shown[10], shown[11]) < 0.35 * alone
    assert change(shown[11], painting) < 8  # and it is the painting


@pytest.mark.parametrize("speed", [(3, 0), (0, -2), (5, 4)])
def test_what_moves_is_followed(speed: tuple[int, int]) -> None:
    world, painting = texture(3, 300, 400), texture(4, 300, 400)

    def window(pixels: np.ndarray, number: int) -> np.ndarray:
        left, top = 100 + number * speed[0], 80 + number * speed[1]
        return np.ascontiguousarray(pixels[top : top + HEIGHT, left : left + WIDTH])

    steady = Steady()
    for number in range(10):
        fresh = noisy(window(painting, number), number, 15)
        shown = steady(window(world, number), fresh)
    inside = slice(24, -24)
    exact = window(painting, 9)
    assert change(shown[inside, inside], exact[inside, inside]) < 0.6 * change(
        fresh[inside, inside], exact[inside, inside]
    )


def test_what_moves_is_followed_by_large_pictures_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporal_consistency, "SEEN", WIDTH // 2)
    test_what_moves_is_followed((5, 4))


@pytest.mark.parametrize(
    ("x", "y", "edge"),
    [
        (6, 0, np.s_[8:-8, -6:]),
        (1, 0, np.s_[8:-8, -1:]),
        (-1, 0, np.s_[8:-8, :1]),
        (0, 1, np.s_[-1:, 8:-8]),
        (0, -1, np.s_[:1, 8:-8]),
    ],
)
def test_what_comes_in_at_the_edge_is_painted_again(x: int, y: int, edge: tuple[slice, slice]) -> None:
    world, painting = texture(3, 300, 400), texture(4, 300, 400)
    steady = Steady()
    for number in range(16):
        left, top = 100 + x * number, 80 + y * number
        window = np.s_[top : top + HEIGHT, left : left + WIDTH]
        shown = steady(np.ascontiguousarray(world[window]), np.ascontiguousarray(painting[window]))
    assert change(shown[edge], painting[window][edge]) < 1


def test_nothing_drifts_where_there_is_nothing_to_follow() -> None:
    painting, steady = texture(5), Steady()
    for number in range(30):
        empty = noisy(np.full_like(painting, 128), number, 0.5)
        shown = steady(empty, noisy(painting, number, 4))
    assert change(shown, painting) < 3


def test_after_a_cut_nothing_is_left() -> None:
    steady = Steady()
    for _ in range(3):
        steady(texture(5), texture(6))
    painting = texture(7)
    np.testing.assert_array_equal(steady(texture(8), painting), painting)


def test_where_something_was_is_painted_again() -> None:
    """A square jumps: where it was, and where it is, the new painting shows as it is."""
    ground, painted_ground = texture(9), texture(10)
    frames = []
    for left in (20, 120):
        photo, painting = ground.copy(), painted_ground.copy()
        photo[40:80, left : left + 40], painting[40:80, left : left + 40] = 255, (250, 10, 10)
        frames.append((photo, painting))
    steady = Steady()
    for _ in range(3):
        steady(*frames[0])
    shown = steady(*frames[1])
    for left in (20, 120):
        part = np.s_[44:76, left + 4 : left + 36]
        assert change(shown[part], frames[1][1][part]) < 2


def test_a_painting_of_another_colour_is_not_dragged_along() -> None:
    scene = texture(11)
    steady = Steady()
    for _ in range(3):
        steady(scene, np.full_like(scene, 60))
    assert steady(scene, np.full_like(scene, 200)).min() > 195
    shown = steady(scene, np.full_like(scene, 192))
    assert shown.mean() == pytest.approx(KEEP * 200 + (1 - KEEP) * 192, abs=1)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (31, 31), (32, 32), (33, 47), (64, 2000)])
def test_every_size_is_taken(size: tuple[int, int]) -> None:
    steady = Steady()
    for seed in range(3):
        photo, painting = texture(seed, *size), texture(seed + 3, *size)
        shown = steady(photo, painting)
        assert shown.shape == painting.shape and shown.dtype == np.uint8
