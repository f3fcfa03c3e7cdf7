"""Colours of the photograph: statistics against NumPy's, and pictures of few colours."""

import numpy as np
import pytest
from made_optimization import made_picture
from PIL import Image

from nst_core.colors import match_colors, match_luminance

LUMA = np.array([0.299, 0.587, 0.114])


def pixels(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB"), np.float64).reshape(-1, 3)


def warm(seed: int, size: tuple[int, int] = (48, 32)) -> Image.Image:
    """A photograph of muted colours whose channels go together, far enough from black and white not to be clipped."""
    values = pixels(made_picture(seed, size)) - 128
    mixed = values @ np.array([[0.30, 0.05, 0.02], [0.10, 0.25, 0.05], [0.0, 0.08, 0.2]]).T + [150, 120, 100]
    return Image.fromarray(mixed.round().astype(np.uint8).reshape(size[1], size[0], 3))


def test_the_painting_gets_the_photographs_mean_and_covariance() -> None:
    painting, photo = made_picture(1, (40, 56)), warm(2)
    matched = match_colors(painting, photo)
    assert matched.size == painting.size and matched.mode == "RGB"
    ours, theirs = pixels(matched), pixels(photo)
    assert ours.min() > 0 and ours.max() < 255  # nothing clipped, else the numbers below would be off
    # Rounding to 8 bits moves a mean by hundredths and adds about 1/12 to a variance.
    np.testing.assert_allclose(ours.mean(0), theirs.mean(0), atol=0.1)
    np.testing.assert_allclose(np.cov(ours.T), np.cov(theirs.T), atol=0.01 * np.cov(theirs.T).max() + 0.2)


def test_a_painting_that_has_the_photographs_colours_keeps_its_pixels() -> None:
    photo = warm(3)
    shuffled = pixels(photo)[np.random.default_rng(0).permutation(48 * 32)].reshape(32, 48, 3).astype(np.uint8)
    assert np.abs(pixels(match_colors(Image.fromarray(shuffled), photo)) - shuffled.reshape(-1, 3)).max() <= 1


def test_the_linear_map_is_the_symmetric_one() -> None:
    """With Σ_photo = 4 Σ_painting, Σ_photo^½ Σ_painting^-½ doubles every distance from the mean and turns none."""
    painting = warm(4)
    values = pixels(painting)
    doubled = (2 * (values - values.mean(0)) + 128).round().clip(0, 255).astype(np.uint8)
    photo = Image.fromarray(doubled.reshape(32, 48, 3))
    assert np.abs(pixels(match_colors(painting, photo)) - doubled).max() <= 1.5


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 30, 90)])
def test_pictures_of_one_colour(color: tuple[int, int, int]) -> None:
    flat, photo = Image.new("RGB", (16, 16), color), warm(5)
    # A painting of one colour becomes the photograph's mean; of a photograph of one colour there is only that.
    np.testing.assert_allclose(pixels(match_colors(flat, photo)), np.tile(pixels(photo).mean(0), (256, 1)), atol=0.51)
    # As a photograph it leaves contrast of about one step at the most.
    assert np.abs(pixels(match_colors(photo, flat)) - color).max() <= 4
    grey = np.array(color) @ LUMA
    assert np.abs(pixels(match_luminance(photo, flat)) - grey).max() <= 1
    luminance = np.asarray(photo.convert("L"), np.float64).mean()
    assert np.abs(pixels(match_luminance(flat, photo)) - luminance).max() <= 0.51


@pytest.mark.parametrize("match", [match_colors, match_luminance])
def test_pictures_of_one_pixel_or_with_nothing_to_see(match: object) -> None:
    assert callable(match)
    photo, dot = warm(14), Image.new("RGB", (1, 1), (90, 90, 90))
    assert np.abs(pixels(match(photo, dot)) - 90).max() <= 4
    mode = "RGB" if match is match_colors else "L"
    mean = np.asarray(photo.convert(mode), np.float64).reshape(48 * 32, -1).mean(0)
    np.testing.assert_allclose(pixels(match(dot, photo)), np.broadcast_to(mean, (1, 3)), atol=0.51)
    unseen = warm(15)
    unseen.putalpha(0)
    for matched in (match(unseen, photo), match(unseen, unseen)):
        assert matched.getchannel("A").getextrema() == (0, 0)
    assert np.asarray(match(photo, unseen).convert("L")).mean() == pytest.approx(
        np.asarray(unseen.convert("L")).mean(), abs=0.5
    )


def test_a_grey_painting_does_not_blow_up_noise() -> None:
    grey = made_picture(6).convert("L").convert("RGB")
    photo = warm(7)
    matched = pixels(match_colors(grey, photo))
    np.testing.assert_allclose(matched.mean(0), pixels(photo).mean(0), atol=0.5)
    assert (matched.std(0) <= pixels(photo).std(0) + 1).all()
    # As in a JPEG: a pixel here and there whose blue is a step off must stand out by no more than some steps.
    specks = np.array(grey)
    specks[::10, ::10, 2] ^= 1
    assert np.abs(pixels(match_colors(Image.fromarray(specks), photo)) - matched).max() < 25


def test_luminance_has_the_photographs_mean_and_contrast() -> None:
    painting, photo = made_picture(8, (40, 56)), warm(9)
    matched = match_luminance(painting, photo)
    assert matched.size == painting.size and matched.mode == "RGB"
    values, luminance = pixels(matched), np.asarray(photo.convert("L"), np.float64)
    assert (values == values[:, :1]).all(), "grey has three equal channels"
    assert values[:, 0].mean() == pytest.approx(luminance.mean(), abs=0.1)
    assert values[:, 0].std() == pytest.approx(luminance.std(), rel=0.01)


@pytest.mark.parametrize("match", [match_colors, match_luminance])
def test_transparency_stays_the_paintings(match: object) -> None:
    assert callable(match)
    painting, photo = made_picture(10), warm(11)
    alpha = Image.linear_gradient("L").resize(painting.size)
    painting.putalpha(alpha)
    matched = match(painting, photo)
    assert matched.mode == "RGBA" and matched.getchannel("A").tobytes() == alpha.tobytes()
    photo.putalpha(128)
    assert match(painting.convert("RGB"), photo).mode == "RGB"


@pytest.mark.parametrize("match", [match_colors, match_luminance])
def test_what_is_transparent_has_no_colour(match: object) -> None:
    """Two pictures that look the same are matched alike, whatever lies under what cannot be seen."""
    assert callable(match)
    shown, other = made_picture(12), warm(13, (64, 64))
    alpha = Image.new("L", (64, 64), 255)
    alpha.paste(0, (0, 0, 64, 40))
    seen = np.asarray(alpha).ravel() > 0
    results = []
    for hidden in ((255, 0, 0), (0, 40, 255)):
        picture = shown.copy()
        picture.paste(hidden, (0, 0, 64, 40))
        picture.putalpha(alpha)
        results.append((pixels(match(picture, other))[seen], pixels(match(other, picture))))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])
