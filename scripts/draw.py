"""Draws ``ui/drawn/``, for whoever has nothing at hand: abstract paintings, and films of Gradio's own photographs.

python scripts/draw.py
"""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ui.gallery import EXAMPLES

DRAWN = Path(__file__).parents[1] / "ui" / "drawn"
SIDE = 480
FRAMES, RATE = 40, 20
"""Frames of a film, in all and per second."""


def main() -> None:
    DRAWN.mkdir(exist_ok=True)
    for name in PAINTINGS:
        draw_painting(name).save(DRAWN / f"{name}.jpg", quality=92)
    for photo in EXAMPLES:
        draw_film(photo, DRAWN / f"{photo.stem}.mp4")


def draw_painting(name: str) -> Image.Image:
    """One of PAINTINGS, RGB."""
    return PAINTINGS[name](np.random.default_rng(1))


def draw_film(photo: Path, path: Path) -> None:
    """Write a film, as MP4, in which a camera comes nearer to a photograph."""
    with Image.open(photo) as opened, av.open(str(path), "w") as film:
        picture, size = opened.convert("RGB"), (SIDE, SIDE * 2 // 3)
        picture.thumbnail((2 * SIDE, 2 * SIDE))
        stream = film.add_stream("libx264", rate=RATE, options={"preset": "slow"})
        stream.width, stream.height = size
        for number in range(FRAMES):
            scale = min(picture.width / 3, picture.height / 2) * 0.99**number
            left, top = (picture.width - 3 * scale) / 2, (picture.height - 2 * scale) / 2
            box = left, top, left + 3 * scale, top + 2 * scale
            frame = picture.resize(size, Image.Resampling.BICUBIC, box)
            film.mux(stream.encode(av.VideoFrame.from_image(frame)))
        film.mux(stream.encode(None))


def _night_wind(random: np.random.Generator) -> Image.Image:
    """Thousands of brush strokes along the wind around a few whirls, yellow where it turns and blue elsewhere."""
    side = 2 * SIDE  # drawn large and made smaller, so that the strokes' edges are smooth
    picture = Image.new("RGB", (side, side), "#14264f")
    canvas = ImageDraw.Draw(picture)
    whirls = np.array([[0.30, 0.30, 0.17], [0.72, 0.24, 0.11], [0.62, 0.66, 0.20], [0.16, 0.78, 0.12]])
    night = np.array([[16, 36, 92], [28, 66, 140], [52, 108, 178], [112, 160, 204], [24, 92, 110], [190, 208, 208]])
    light = np.array([[250, 208, 72], [240, 160, 44], [255, 236, 160], [222, 112, 48]])
    points = random.random((1, 4200, 2))
    for _ in range(7):
        x, y = points[-1].T
        dx, dy = x - whirls[:, :1], y - whirls[:, 1:2]
        pull = np.exp(-(dx**2 + dy**2) / whirls[:, 2:] ** 2)
        flow = np.stack([0.35 - 9 * (dy * pull).sum(0), 0.25 * np.sin(7 * x) + 9 * (dx * pull).sum(0)], axis=-1)
        points = np.append(points, points[-1:] + 0.011 * flow / np.linalg.norm(flow, axis=-1, keepdims=True), axis=0)
    for stroke, near in zip(points.transpose(1, 0, 2), pull.max(0), strict=True):
        palette = light if near > 0.45 + 0.3 * random.random() else night
        color = palette[random.integers(len(palette))] + random.integers(-14, 15, 3)
        line = [(float(across), float(down)) for across, down in side * stroke]
        canvas.line(line, fill=tuple(color.clip(0, 255).tolist()), width=int(random.integers(7, 15)), joint="curve")
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


def _discs(random: np.random.Generator) -> Image.Image:
    """Rings around three centres, each ring cut into sectors of its own colours, as the Delaunays liked them."""
    palette = np.array(
        [[196, 48, 40], [238, 186, 60], [30, 74, 134], [238, 228, 204], [44, 120, 96], [226, 116, 46], [36, 30, 48]]
    )
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    centres = np.array([[0.34, 0.36], [0.76, 0.62], [0.22, 0.86]])
    distances = np.hypot(x[..., None] - centres[:, 0], y[..., None] - centres[:, 1]) / [1.0, 0.8, 0.6]
    nearest = distances.argmin(-1)
    ring = (distances.min(-1) / 0.062).astype(int)
    angle = np.arctan2(y - centres[nearest, 1], x - centres[nearest, 0]) / (2 * np.pi) + 0.5
    sector = ((angle + 0.07 * ring + 0.13 * nearest) * 4).astype(int) % 4
    colors = palette[random.integers(len(palette), size=(3, ring.max() + 1, 4))][nearest, ring, sector].astype(float)
    # A coarse canvas and uneven paint: flat colours would give a network nothing but edges to learn from.
    grain = random.standard_normal((SIDE, SIDE))
    cloud = random.standard_normal((12, 12)).astype(np.float32)
    clouds = np.asarray(Image.fromarray(cloud).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    colors += (12 * grain + 14 * clouds)[..., None]
    return Image.fromarray(colors.clip(0, 255).astype(np.uint8)).filter(ImageFilter.SMOOTH)


def _glass(random: np.random.Generator) -> Image.Image:
    """Panes of coloured glass in lead: warm above, cool below."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    seeds = random.random((190, 2))
    nearest, second = np.full((2, SIDE, SIDE), 9.0)
    pane = np.zeros((SIDE, SIDE), dtype=int)
    for index, (across, down) in enumerate(seeds):
        distance = np.hypot(x - across, y - down)
        second = np.minimum(second, np.maximum(nearest, distance))
        pane[distance < nearest] = index
        nearest = np.minimum(nearest, distance)
    lead = second - nearest
    warm = np.array([[214, 60, 38], [240, 158, 38], [250, 208, 96], [160, 30, 60], [236, 110, 70]])
    cool = np.array([[22, 92, 150], [40, 150, 160], [24, 54, 110], [120, 190, 170], [84, 60, 140]])
    mixed = np.where(
        (seeds[:, 1:] + 0.25 * random.standard_normal((190, 1))) < 0.5,
        warm[random.integers(5, size=190)],
        cool[random.integers(5, size=190)],
    )
    light = 0.82 + 4 * lead + 0.08 * np.sin(40 * x + 9 * seeds[pane, 0] * 7)
    colors = mixed[pane] * light[..., None].clip(0.6, 1.25)
    colors[lead < 0.009] = (22, 20, 26)
    return Image.fromarray(colors.clip(0, 255).astype(np.uint8)).filter(ImageFilter.SMOOTH)


PAINTINGS: dict[str, Callable[[np.random.Generator], Image.Image]] = {
    "night-wind": _night_wind,
    "discs": _discs,
    "stained-glass": _glass,
}


if __name__ == "__main__":
    main()
