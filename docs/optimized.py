"""Draws docs/optimized.webp: pictures optimised under the compact network, and beside them under its teacher.

python docs/optimized.py --features FOLDER --paintings FOLDER
"""

import argparse
import time
from pathlib import Path

import gradio as gr
from PIL import Image

from nst_core import open_picture, optimize
from nst_core.images import fit
from nst_core.memory import keep_freed_memory

PAIRS = (("cheetah1.jpg", "starry-night.jpg"), ("lion.jpg", "composition-vii.jpg"))
SIZE, SHOWN, GAP = 512, 400, 8  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", required=True, help="the teacher")
    parser.add_argument("--paintings", type=Path, required=True)
    args = parser.parse_args()
    keep_freed_memory()
    photos = Path(gr.__file__).parent / "media_assets" / "images"
    sheet = Image.new("RGB", (3 * SHOWN + 2 * GAP, len(PAIRS) * (SHOWN + GAP) - GAP), "white")
    for y, (name, painting) in enumerate(PAIRS):
        photo, style = open_picture(photos / name), open_picture(args.paintings / painting)
        row = [photo]
        for features in ("compact", args.features):
            began = time.perf_counter()
            step = list(optimize(photo, style, features=features, size=SIZE))[-1]
            seconds = time.perf_counter() - began
            print(f"{name} {painting} {Path(features).name}: {step.step} steps, {seconds:.1f} s, {step.finished}")
            row.append(step.best)
        for x, picture in enumerate(row):
            shown = fit(picture, SHOWN)
            left, top = (SHOWN - shown.width) // 2, (SHOWN - shown.height) // 2
            sheet.paste(shown, (x * (SHOWN + GAP) + left, y * (SHOWN + GAP) + top))
    sheet.save(Path(__file__).with_name("optimized.webp"), quality=82)


if __name__ == "__main__":
    main()
