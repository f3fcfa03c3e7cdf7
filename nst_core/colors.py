"""Keeps a photograph's colours: the painting is given them before its style is taken (Gatys et al. 2016)."""

import numpy as np
from PIL import Image


def match_colors(painting: Image.Image, photo: Image.Image) -> Image.Image:
    """The painting, its colours moved so that their mean and covariance are the photograph's.

    Gatys, Bethge, Hertzmann and Shechtman 2016, "Preserving Color in Neural Artistic Style Transfer", section 4:
    x ← Σ_photo^½ Σ_painting^-½ (x − μ_painting) + μ_photo, with symmetric roots.
    """
    (pixels, mean, covariance), (_, goal, wanted) = (_statistics(one, "RGB") for one in (painting, photo))
    matched = (pixels - mean) @ (_root(wanted, 0.5) @ _root(covariance, -0.5)).T + goal
    return _with_alpha(matched.reshape(painting.height, painting.width, 3), painting)


def match_luminance(painting: Image.Image, photo: Image.Image) -> Image.Image:
    """The painting in grey, with the mean and the contrast of the photograph's luminance (same paper, section 5)."""
    (pixels, mean, variance), (_, goal, wanted) = (_statistics(one, "L") for one in (painting, photo))
    matched = (pixels - mean) * np.sqrt(wanted / (variance + 1)) + goal
    return _with_alpha(matched.reshape(painting.height, painting.width, 1).repeat(3, 2), painting)


def _statistics(picture: Image.Image, mode: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours (pixels, channels), and their mean and covariance, weighted by opacity."""
    pixels = np.asarray(picture.convert(mode), np.float64).reshape(-1, len(mode))
    seen = np.asarray(picture.getchannel("A"), np.float64).ravel() if picture.mode == "RGBA" else None
    if seen is not None and not seen.any():
        seen = None
    return pixels, np.average(pixels, 0, seen), np.atleast_2d(np.cov(pixels.T, bias=True, aweights=seen))


def _root(covariance: np.ndarray, power: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    # With few colours, some variances are about 0; this keeps their noise from being amplified.
    return (vectors * np.maximum(values, 1.0) ** power) @ vectors.T


def _with_alpha(pixels: np.ndarray, like: Image.Image) -> Image.Image:
    picture = Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))
    if like.mode == "RGBA":
        picture.putalpha(like.getchannel("A"))
    return picture
