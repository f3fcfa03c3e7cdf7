"""Draws docs/films.webp: frames of a film as a style paints them one by one, and steady, and what changes in between.

PYTHONPATH=benchmarks python docs/films.py
"""

from pathlib import Path

import cv2
import gradio as gr
import numpy as np
from flicker import Drawn, draw_clip
from PIL import Image

from nst_core import Registry, open_picture
from nst_core.sheet import draw_sheet
from nst_core.stylization import paint_pixels
from nst_core.temporal_consistency import Steady

STYLE = "great-wave"
SHOWN = range(8, 12)
STRONGER = 3
"""How much stronger changes are drawn than they are."""


def main() -> None:
    photos = Path(gr.__file__).parent / "media_assets" / "images"
    ground, other = (np.array(open_picture(photos / name).convert("RGB")) for name in ("lion.jpg", "tower.jpg"))
    clip = list(draw_clip(ground, cv2.resize(other, (480, 320)), "pan", SHOWN[-1] + 1, (480, 320)))
    style, steady = Registry.load().open(STYLE), Steady()
    painted = [paint_pixels(drawn.pixels, style) for drawn in clip]
    shown = [steady(drawn.pixels, picture) for drawn, picture in zip(clip, painted, strict=True)]
    rows = [
        [drawn.pixels for drawn in clip],
        painted,
        [change(painted, clip, number) for number in range(len(clip))],
        shown,
        [change(shown, clip, number) for number in range(len(clip))],
    ]
    pictures = [[Image.fromarray(row[number]) for number in SHOWN] for row in rows]
    names = ["a film", "one by one", f"its flicker, {STRONGER}x", "steady", f"its flicker, {STRONGER}x"]
    draw_sheet(pictures, row_labels=names, height=170).save(Path(__file__).with_name("films.webp"), quality=82)


def change(film: list[np.ndarray], clip: list[Drawn], number: int) -> np.ndarray:
    """What is not the frame before, moved as the film moves; grey is no change."""
    before = film[max(0, number - 1)]
    moved = cv2.remap(before, clip[number].before, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    difference = (film[number].astype(np.float32) - moved) * clip[number].known[..., None]
    return (128 + STRONGER * difference).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
