"""Repaints photographs with the networks of styles, and mixes paintings with photographs."""

import math
from typing import Literal

import numpy as np
import torch
from PIL import Image

from nst_core.errors import NSTError, check_choice, check_number
from nst_core.images import MAX_PIXELS, Source, blackened, fit, mask_greys, open_picture
from nst_core.precision import Precision
from nst_core.progress import Progress, part_of
from nst_core.style import Style, check_style

BlendColor = Literal["style", "photo"]
"""Whose colours a picture has: the painting's or the photograph's."""
SIZES = (16, 16384)
"""The least and the most pixels that may be asked for as a picture's longer side."""
STROKES = (0.25, 4.0)
"""The finest and the broadest stroke."""

MIN_SIDE = 16
"""The smallest side that a network is shown, in pixels; smaller pictures are padded. Instance normalisation needs more
than one value per channel at its coarsest."""
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_STRIP = 64


def stylize(
    photo: Source,
    style: Style,
    *,
    strength: float = 1.0,
    color: BlendColor = "style",
    size: int | None = None,
    stroke: float = 1.0,
    second: Style | None = None,
    mix: float | None = None,
    mask: Source | None = None,
    precision: Precision = "auto",
    progress: Progress | None = None,
) -> Image.Image:
    """Repaint a photograph: ``blend(photo, repaint(photo, style, …), …)``. Pictures are what ``open_picture`` takes.

    With a ``second`` style, its painting is laid over the first one's: ``mix`` (0–1) of it, by default half, and only
    where the ``mask`` is white.

    Raises:
        NSTError: as those two.
    """
    strength, share = check_blend(strength, color), check_second(second, mix, mask)
    mask = None if mask is None else open_picture(mask)
    if not isinstance(photo, Image.Image):
        photo = open_picture(photo)  # only once, though it is used more often
    styles = [style, second] if second else [style]
    painted = [
        repaint(
            photo,
            one,
            size=size,
            stroke=stroke,
            precision=precision,
            progress=progress and part_of(progress, number, len(styles)),
        )
        for number, one in enumerate(styles)
    ]
    whole = blend(*painted, strength=share, mask=mask) if second else painted[0]
    return blend(photo, whole, strength=strength, color=color)


def repaint(
    photo: Source,
    style: Style,
    *,
    size: int | None = None,
    stroke: float = 1.0,
    precision: Precision = "auto",
    progress: Progress | None = None,
) -> Image.Image:
    """What the style's network makes of a photograph, RGB, or RGBA with the photograph's transparency.

    The result has the photograph's size, or ``size`` (16–16384 pixels) as its longer side. ``stroke`` (0.25–4) is how
    broad the strokes are: the network sees the photograph at the result's size / stroke, and its painting is resized to
    the result's size. With ``precision`` "exact", the network computes in float32; "auto" uses bfloat16 for its feature
    maps where the CPU is faster at it. Fully transparent pixels count as black. ``progress`` is called again and again
    with the part that the network has done, 0–1; an exception from it ends the work.

    Raises:
        NSTError: a number is out of its range, the result or what the network sees would have more than
            ``MAX_PIXELS``, or too little memory is free.
        PictureError: the photograph cannot be read.
    """
    size = check_size(size)
    stroke = check_stroke(stroke)
    check_choice(NSTError, "precision", precision, Precision)
    check_style(style)
    photo = open_picture(photo)
    check_pixels(pixels_seen(photo.size, size, stroke, _least_side(style)), stroke)

    photo = blackened(photo)
    target = photo if size is None else fit(photo, size)
    seen = target
    if stroke != 1:
        width, height = (max(1, round(side / stroke)) for side in target.size)
        seen = photo.resize((width, height), Image.Resampling.LANCZOS)
    pixels, result_size = _rgb(seen), target.size
    alpha = target.getchannel("A") if target.mode == "RGBA" else None
    del photo, target, seen  # or a large picture's copies would lie beside its feature maps
    painted = Image.fromarray(paint_pixels(pixels, style, precision, progress))
    if painted.size != result_size:
        painted = painted.resize(result_size, Image.Resampling.LANCZOS)
    if alpha:
        painted.putalpha(alpha)
    return painted


def pixels_seen(photo: tuple[int, int], size: int | None, stroke: float, least: int = MIN_SIDE) -> int:
    """How many pixels ``repaint`` returns, or shows to the network, whichever are more.

    ``photo`` is a photograph's width and height, ``least`` the smallest side that the network is shown.

    Raises:
        NSTError: a number is out of its range.
    """
    size, stroke = check_size(size), check_stroke(stroke)
    scale = (size or max(photo)) / max(photo)
    given = math.prod(scale * side for side in photo)
    return round(max(given, math.prod(max(least, scale / stroke * side) for side in photo)))


def blend(
    photo: Source,
    painted: Source,
    *,
    strength: float = 1.0,
    color: BlendColor = "style",
    mask: Source | None = None,
) -> Image.Image:
    """Lay a painting over its photograph, with no network: photo + strength · (painted − photo), rounded and clamped.

    ``strength`` is in 0–1; 0 gives the photograph's very pixels, and 1 with color="style" the painting's. With
    color="photo" the difference is in luma alone, and the photograph keeps its colours (Gatys et al. 2016). A ``mask``
    is white where the painting is to be seen and black where it is not, and grey between. The result has the
    painting's size, to which photograph and mask are resized, and the photograph's transparency.

    Raises:
        NSTError: a value is out of its range.
        PictureError: one of the pictures cannot be read.
    """
    strength = check_blend(strength, color)
    photo, painted = open_picture(photo), open_picture(painted)
    if strength == 1 and color == "style" and mask is None and photo.mode == painted.mode == "RGB":
        return painted
    if photo.size != painted.size:
        photo = photo.resize(painted.size, Image.Resampling.LANCZOS)
    shown = None if mask is None else shares(mask, painted.size)
    result = Image.fromarray(blend_pixels(_rgb(photo), _rgb(painted), strength, color, shown))
    if photo.mode == "RGBA":
        result.putalpha(photo.getchannel("A"))
    return result


def blend_pixels(
    below: np.ndarray,
    above: np.ndarray,
    strength: float,
    color: BlendColor,
    shown: np.ndarray | None = None,
) -> np.ndarray:
    """``blend`` of RGB pixels, uint8 (H, W, 3), with checked settings; ``shown`` is a mask (H, W, 1), 0–1."""
    weight = np.float32(strength)
    blended = np.empty_like(below)
    # Strip by strip, the numbers stay in the CPU's cache, which is three times as fast and takes no more memory.
    for top in range(0, len(below), _STRIP):
        rows = slice(top, top + _STRIP)
        base = below[rows].astype(np.float32)
        change = above[rows] - base
        if color == "photo":
            change = (change @ _LUMA)[..., None]
        if shown is not None:
            change *= shown[rows]
        blended[rows] = (base + weight * change).round().clip(0, 255)
    return blended


def paint_pixels(
    pixels: np.ndarray, style: Style, precision: Precision = "auto", progress: Progress | None = None
) -> np.ndarray:
    """Repaint RGB pixels, uint8 (H, W, 3), of any size; returns an array of the same shape."""
    height, width, _ = pixels.shape
    least = _least_side(style)
    if min(height, width) < least:
        pixels = np.pad(pixels, ((0, max(0, least - height)), (0, max(0, least - width)), (0, 0)), mode="edge")
    with torch.autocast(style.device.type, enabled=False):  # a caller's would round what must be exact
        paint = style.painter(precision)
        return paint(torch.from_numpy(pixels), progress)[:height, :width].numpy()


def _least_side(style: Style) -> int:
    return max(style.architecture.min_size, MIN_SIDE)


def _rgb(picture: Image.Image) -> np.ndarray:
    # For a large picture, another copy would be felt.
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def shares(mask: Source, size: tuple[int, int]) -> np.ndarray:
    """A mask as float32 (H, W, 1) in 0–1, resized to width and height; what is transparent counts as black.

    Raises:
        PictureError: the mask cannot be read.
    """
    resized = mask_greys(open_picture(mask)).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)[..., None] / 255


def check_blend(strength: float, color: str) -> float:
    """Refuse, before any work is done, settings that ``blend`` does not take; returns the strength as Python's number.

    Raises:
        NSTError: the strength is not in 0–1, or there is no such color.
    """
    check_choice(NSTError, "color", color, BlendColor)
    return check_number(NSTError, "strength", strength, 0, 1)


def check_second(second: Style | None, mix: float | None, mask: Source | None) -> float:
    """Refuse, before any work is done, settings with which a second style cannot be laid over a first one.

    Returns ``mix`` as Python's own number; None is half.

    Raises:
        NSTError: ``mix`` is not in 0–1, the second is not a style, or there is a mix or a mask without one.
    """
    share: float = 0.5 if mix is None else check_number(NSTError, "mix", mix, 0, 1)
    if second is not None:
        check_style(second)
    elif mix is not None:
        raise NSTError("A mix says how much of a second style shows: give a second style, too.")
    elif mask is not None:
        raise NSTError("A mask says where a second style shows: give a second style, too.")
    return share


def check_pixels(pixels: int, stroke: float) -> None:
    """Refuse, before any work is done, to paint more than ``MAX_PIXELS`` for strokes that broad.

    Raises:
        NSTError: there are more.
    """
    if pixels > MAX_PIXELS:
        remedy = "a smaller size or a broader stroke" if stroke < 1 else "a smaller size"
        raise NSTError(f"That is {pixels:,} pixels to paint, but at most {MAX_PIXELS:,} are allowed: choose {remedy}.")


def check_size(size: int | None) -> int | None:
    """The longer side that ``repaint`` is to give, as an int; None, the photograph's own, stays None.

    Raises:
        NSTError: it is not a whole number in ``SIZES``.
    """
    return None if size is None else check_number(NSTError, "size", size, *SIZES, whole=True)


def check_stroke(stroke: float) -> float:
    """How broad the strokes of ``repaint`` are to be, as Python's own number.

    Raises:
        NSTError: it is not a number in ``STROKES``.
    """
    return check_number(NSTError, "stroke", stroke, *STROKES)
