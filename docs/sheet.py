"""Draws docs/styles.webp: what each style makes of photographs that ship with Gradio and matplotlib."""

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
    registry = Registry.load()
    photos = []
    for package, names in PHOTOS.items():
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None, f"{package} is not installed"
        photos += [fit(open_picture(Path(spec.origin).parent / name), 768) for name in names]
    rows = [photos]
    for entry in registry:
        style = registry.open(entry.id)
        rows.append([stylize(photo, style) for photo in photos])
    sheet = draw_sheet(rows, rows_are=["", *(entry.title for entry in registry)], height=240)
    sheet.save(Path(__file__).with_name("styles.webp"), quality=82)


if __name__ == "__main__":
    main()
