"""Draws docs/styles.webp: what each style makes of photographs that ship with Gradio and matplotlib."""

from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from nst_core import Registry, open_picture, stylize
from nst_core.images import fit

PHOTOS = {
    "gradio": ("media_assets/images/tower.jpg", "media_assets/images/cheetah.jpg"),
    "matplotlib": ("mpl-data/sample_data/grace_hopper.jpg",),
}
HEIGHT, GAP = 420, 8  # pixels


def main() -> None:
    registry = Registry.load()
    rows = []
    for package, names in PHOTOS.items():
        spec = find_spec(package)
        assert spec is not None and spec.origin is not None, f"{package} is not installed"
        for name in names:
            photo = fit(open_picture(Path(spec.origin).parent / name), 768)
            painted = [stylize(photo, registry.open(entry.id)) for entry in registry]
            rows.append(
                [picture.resize((photo.width * HEIGHT // photo.height, HEIGHT)) for picture in [photo, *painted]]
            )
    columns = max(map(len, rows))
    widths = [max(row[column].width for row in rows) for column in range(columns)]
    size = (sum(widths) + GAP * (columns - 1), HEIGHT * len(rows) + GAP * (len(rows) - 1))
    sheet = Image.new("RGB", size, "white")
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            left = sum(widths[:x]) + GAP * x + (widths[x] - picture.width) // 2
            sheet.paste(picture, (left, y * (HEIGHT + GAP)))
    sheet.save(Path(__file__).with_name("styles.webp"), quality=82)


if __name__ == "__main__":
    main()
