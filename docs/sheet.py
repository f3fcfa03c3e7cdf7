"""Draws docs/styles.webp: what each style makes of photographs that ship with Gradio and matplotlib.

python docs/sheet.py [STYLE … -o FILE.webp]
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

from nst_core import Registry, open_picture, stylize
from nst_core.images import fit
from nst_core.sheet import draw_sheet

PHOTOS = {
    "gradio": ("media_assets/images/tower.jpg", "media_assets/images/cheetah.jpg", "media_assets/images/lion.jpg"),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("styles", nargs="*", help="ids, or folders, whose names are written; by default all bundled")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).with_name("styles.webp"))
    arguments = parser.parse_args()
    registry = Registry.load()
    titles = {entry.id: entry.title for entry in registry}
    photos = []
    for package, names in PHOTOS.items():
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None, f"{package} is not installed"
        photos += [fit(open_picture(Path(spec.origin).parent / name), 768) for name in names]
    rows, row_labels = [photos], [""]
    for name in arguments.styles or titles:
        style = registry.open(name)
        rows.append([stylize(photo, style) for photo in photos])
        row_labels.append(titles.get(name, Path(name).name))
    draw_sheet(rows, row_labels=row_labels, height=240).save(arguments.out, quality=82)


if __name__ == "__main__":
    main()
