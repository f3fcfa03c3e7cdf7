"""Draws docs/optimized.webp: pictures optimised under the compact network, and beside them under its teacher.

python docs/optimized.py --features FOLDER --paintings FOLDER
"""

import argparse
import time
from pathlib import Path

import gradio as gr

from nst_core import open_picture, optimize
from nst_core.memory import keep_freed_memory
from nst_core.sheet import draw_sheet

PAIRS = (("cheetah1.jpg", "starry-night.jpg"), ("lion.jpg", "composition-vii.jpg"))
SIZE, SHOWN = 512, 400  # pixels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--features", required=True, help="the teacher")
    parser.add_argument("--paintings", type=Path, required=True)
    args = parser.parse_args()
    keep_freed_memory()
    photos = Path(gr.__file__).parent / "media_assets" / "images"
    rows = []
    for name, painting in PAIRS:
        photo, style = open_picture(photos / name), open_picture(args.paintings / painting)
        rows.append([photo])
        for features in ("compact", args.features):
            began = time.perf_counter()
            step = list(optimize(photo, style, features=features, size=SIZE))[-1]
            seconds = time.perf_counter() - began
            print(f"{name} {painting} {Path(features).name}: {step.step} steps, {seconds:.1f} s, {step.finished}")
            rows[-1].append(step.best)
    draw_sheet(rows, height=SHOWN).save(Path(__file__).with_name("optimized.webp"), quality=82)


if __name__ == "__main__":
    main()
