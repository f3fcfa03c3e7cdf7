"""How much do painted films flicker? Warping errors along motion that is exactly known, with and without --steady.

    python benchmarks/flicker.py
    python benchmarks/flicker.py udnie --clips 2 --size 256

Clips are drawn from photographs: the camera pans, zooms or turns over one, while a disc of another moves by on its own
way, with a little noise as sensors have it. The warping error is the mean difference, in levels of 255, of a frame from
the one before it that is moved by the true motion, wherever both show the same place. Columns: of the film itself; of
what the network makes of its frames one by one; of the same with ``nst_core.temporal_consistency``, and by how much
that is less; and how sharp the steady film is, by the strength of its edges beside those of the other (1 is as sharp),
in all and where something has just come into sight, where a smear would be.
"""

import argparse
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from nst_core import Registry, Style, open_picture
from nst_core.images import is_photograph
from nst_core.memory import keep_freed_memory
from nst_core.stylization import paint_pixels
from nst_core.temporal_consistency import Steady

SHARED = Path(__file__).resolve().parents[2] / "shared"
NOISE = 1.5
"""Deviation of the sensor's noise, levels of 255."""
MOTIONS = ("pan", "zoom", "turn", "still")


@dataclass(frozen=True)
class Drawn:
    """A frame, and where in the one before it each of its pixels was."""

    pixels: np.ndarray
    """RGB, uint8 (H, W, 3)."""
    before: np.ndarray
    """x and y in the frame before, float32 (H, W, 2)."""
    known: np.ndarray
    """Whether the place was visible there, bool (H, W)."""


def draw_clip(photo: np.ndarray, other: np.ndarray, motion: str, frames: int, size: tuple[int, int]) -> Iterator[Drawn]:
    """Frames of width and height ``size`` over a photograph, and a disc of another that moves across."""
    width, height = size
    random = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    here = np.stack([x, y], -1)
    radius = height / 5
    last: tuple[np.ndarray, np.ndarray] | None = None
    for number in range(frames):
        camera, centre = _camera(motion, number, photo.shape, size), _centre(number, size)
        seen = cv2.warpAffine(
            photo, camera, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT
        )
        inside = np.hypot(x - centre[0], y - centre[1]) < radius
        place = here - centre + radius
        disc = cv2.remap(other, place, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        pixels = np.where(inside[..., None], disc, seen) + random.normal(0, NOISE, seen.shape)
        pixels = pixels.round().clip(0, 255).astype(np.uint8)
        before, known = here, np.zeros((height, width), bool)
        if last is not None:
            back = np.linalg.inv(np.vstack([last[0], [0, 0, 1]])) @ np.vstack([camera, [0, 0, 1]])
            ground = here @ back[:2, :2].T + back[:2, 2]
            before = np.where(inside[..., None], here - centre + last[1], ground).astype(np.float32)
            was_inside = np.hypot(*(before - last[1]).transpose(2, 0, 1)) < radius
            known = (was_inside == inside) & (before >= 0).all(-1) & (before <= (width - 1, height - 1)).all(-1)
        last = camera, centre
        yield Drawn(pixels, before, known)


def _camera(motion: str, number: int, shape: tuple[int, ...], size: tuple[int, int]) -> np.ndarray:
    """The map from a frame's pixels to the photograph's: only part of it is seen, and never beyond its edge."""
    height, width = shape[:2]
    middle = np.array([width / 2, height / 2])
    scale, angle, shift = min(width / size[0], height / size[1]) * 0.72, 0.0, np.zeros(2)
    if motion == "pan":
        shift = np.array([1.3, 0.45]) * (number - 8) * scale
    elif motion == "zoom":
        scale *= 1.012 ** (8 - number)
    elif motion == "turn":
        angle = np.radians(0.7 * (number - 8))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([turn, middle + shift - turn @ (np.array(size) / 2)])


def _centre(number: int, size: tuple[int, int]) -> np.ndarray:
    return np.array([size[0] * 0.25 + 3.7 * number, size[1] * 0.55 - 0.8 * number], np.float32)


def warping_error(now: np.ndarray, before: np.ndarray, drawn: Drawn) -> float:
    """Mean difference in levels of 255 where the same is seen."""
    moved = cv2.remap(before, drawn.before, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(now.astype(np.float32) - moved)[drawn.known].mean())


def edges(pixels: np.ndarray) -> np.ndarray:
    """The strength of edges, (H, W)."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


def measure(style: Style, clips: list[list[Drawn]]) -> list[float]:
    """The table's columns, means over the clips."""
    rows = []
    for clip in clips:
        steady = Steady()
        painted = [paint_pixels(drawn.pixels, style) for drawn in clip]
        shown = [steady(drawn.pixels, picture) for drawn, picture in zip(clip, painted, strict=True)]
        films = [drawn.pixels for drawn in clip], painted, shown
        errors = [
            statistics.fmean(warping_error(film[n], film[n - 1], clip[n]) for n in range(2, len(clip)))
            for film in films
        ]
        sharp, fresh = [], []
        for drawn, picture, calm in list(zip(clip, painted, shown, strict=True))[2:]:
            one, two = edges(picture), edges(calm)
            new = cv2.dilate((~drawn.known).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
            sharp.append(two.mean() / one.mean())
            fresh.append(two[new].mean() / one[new].mean())
        rows.append([*errors, errors[2] / errors[1], statistics.fmean(sharp), statistics.fmean(fresh)])
    return [statistics.fmean(column) for column in zip(*rows, strict=True)]


def draw_clips(photos: Path, count: int, size: int, frames: int) -> list[list[Drawn]]:
    """``count`` clips of each motion."""
    paths = filter(is_photograph, sorted(photos.iterdir()))
    pictures = [np.array(open_picture(path).convert("RGB")) for path in paths]
    pictures = [picture if picture.shape[1] > picture.shape[0] else np.rot90(picture).copy() for picture in pictures]
    clips = []
    for number, motion in enumerate(count * MOTIONS):
        photo, other = (pictures[7 * place % len(pictures)] for place in (number, number + 1))
        clips.append(list(draw_clip(photo, other, motion, frames, (size, size * 2 // 3))))
    return clips


def main() -> None:
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", nargs="*", help="their ids; by default all that are bundled")
    parser.add_argument("--photos", type=Path, default=SHARED / "photos" / "eval")
    parser.add_argument("--clips", type=int, default=2, help="of each motion")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=384, help="width of the frames, pixels")
    arguments = parser.parse_args()
    if not arguments.photos.is_dir():
        print(f"skipped: there is no folder {arguments.photos.name}/ of photographs to draw clips of")
        return
    clips = draw_clips(arguments.photos, arguments.clips, arguments.size, arguments.frames)
    print(f"means over {len(clips)} clips of {arguments.frames} frames, {arguments.size} px wide")
    names = ("film", "one by one", "steady", "ratio", "sharpness", "where new")
    print(f"{'style':<20}" + "".join(f"{name:>12}" for name in names), flush=True)
    registry = Registry.load()
    for id in arguments.styles or [entry.id for entry in registry]:
        scores = measure(registry.open(id), clips)
        print(f"{id:<20}" + "".join(f"{value:>12.2f}" for value in scores), flush=True)


if __name__ == "__main__":
    main()
