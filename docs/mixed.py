"""Draws docs/mixed.webp: two styles in one picture, as pictures blended and as weights blended."""

from dataclasses import replace
from pathlib import Path

import gradio as gr

from nst_core import Registry, open_picture, stylize
from nst_core.images import fit
from nst_core.sheet import draw_sheet

PAIRS = (("starry-night", "great-wave"), ("udnie", "roman-mosaic"), ("the-scream", "woman-with-a-hat"))
PHOTO = Path(gr.__file__).parent / "media_assets" / "images" / "lion.jpg"


def main() -> None:
    registry, photo = Registry.load(), fit(open_picture(PHOTO), 512)
    rows = []
    for ids in PAIRS:
        first, second = (registry.open(id) for id in ids)
        halfway = replace(first, network=first.architecture.network())
        states = first.network.state_dict(), second.network.state_dict()
        halfway.network.load_state_dict({name: (states[0][name] + states[1][name]) / 2 for name in states[0]})
        blended = stylize(photo, first, second=second, mix=0.5)
        rows.append([stylize(photo, first), blended, stylize(photo, halfway), stylize(photo, second)])
    sheet = draw_sheet(rows, row_labels=[" + ".join(ids) for ids in PAIRS], height=240)
    sheet.save(Path(__file__).with_name("mixed.webp"), quality=82)


if __name__ == "__main__":
    main()
