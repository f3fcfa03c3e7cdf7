"""Repainting and blending: exact pixels, sizes, strokes, transparency, and numbers that are refused."""

import io
import math
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import pytest
import torch
from made_styles import make_style
from numpy.typing import NDArray
from PIL import ExifTags, Image

from nst_core.errors import NSTError
from nst_core.images import MAX_PIXELS, Source, fit, open_picture, to_tensor
from nst_core.progress import Progress
from nst_core.streaming import quickest_type
from nst_core.style import Style, StyleError
from nst_core.stylization import blend, check_pixels, pixels_seen, repaint, stylize
from nst_core.video import stylize_video

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> Style:
    return Style.open(make_style(tmp_path_factory.mktemp("style")))


def drawn(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture with something to see at every scale."""
    random = np.random.default_rng(seed)
    picture = Image.fromarray(random.integers(0, 256, (5, 7, 3), dtype=np.uint8)).resize((width, height))
    noise = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.blend(picture, Image.fromarray(noise), 0.3)


def with_alpha(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    picture.putalpha(Image.linear_gradient("L").resize(picture.size))
    return picture


def pixels(picture: Image.Image) -> NDArray[Any]:
    return np.asarray(picture).astype(int)


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and np.array_equal(pixels(one), pixels(other))


def alike(one: Image.Image, other: Image.Image) -> bool:
    """The same up to rounding, or up to bfloat16's error where this machine is fast at it."""
    apart = abs(pixels(one) - pixels(other))
    few = max(1e-3, 3 / apart.size)  # of the smallest pictures, three values are more than that
    most, mean = (1, few) if quickest_type() == torch.float32 else (4, 0.6)
    return one.mode == other.mode and apart.max() <= most and apart.mean() <= mean


def by_hand(photo: Image.Image, style: Style) -> Image.Image:
    """The network's output, cropped, rounded and clamped."""
    with torch.inference_mode():
        output = style.network(to_tensor(photo))[0, :, : photo.height, : photo.width]
    return Image.fromarray(np.rint(output.permute(1, 2, 0).numpy().clip(0, 255)).astype(np.uint8))


@contextmanager
def watched(style: Style) -> Iterator[list[tuple[int, int]]]:
    """The widths and heights at which the network looks."""
    seen: list[tuple[int, int]] = []
    paint = style.painter()

    def look(photo: torch.Tensor, progress: Progress | None) -> torch.Tensor:
        assert photo.dtype == torch.uint8 and photo.shape[2] == 3
        seen.append((photo.shape[1], photo.shape[0]))
        return paint(photo, progress)

    with patch.object(Style, "painter", lambda *_: look):
        yield seen


# Repainting


def test_exactly_is_in_float32_and_other_words_are_refused(style: Style) -> None:
    photo = drawn(50, 37)
    assert alike(repaint(photo, style, precision="exact"), by_hand(photo, style))
    with pytest.raises(NSTError, match=r"not 'fp16'\."):
        stylize(photo, style, precision="fp16")  # type: ignore[arg-type]


@pytest.mark.parametrize("fast", [True, False])
def test_exactly_is_in_float32_under_a_programs_autocast_too(style: Style, fast: bool) -> None:
    architecture = replace(style.architecture, fast=style.architecture.fast if fast else None)
    # Each makes a fast painter of its own.
    within, outside = (replace(style, architecture=architecture) for _ in range(2))
    photo = drawn(150, 110)
    with torch.autocast("cpu", torch.bfloat16):
        painted = repaint(photo, within, precision="exact")
    assert same(painted, repaint(photo, outside, precision="exact"))


@pytest.mark.parametrize("size", [(48, 32), (50, 37), (16, 16), (17, 63)])
def test_at_full_strength_it_is_the_networks_output(style: Style, size: tuple[int, int]) -> None:
    photo = drawn(*size)
    expected = by_hand(photo, style)
    assert np.ptp(pixels(expected)) > 100
    with watched(style) as seen:
        assert alike(repaint(photo, style), expected)
        assert alike(stylize(photo, style), expected)
    assert seen == [size, size]


def test_a_size_is_that_of_the_longer_side(style: Style) -> None:
    photo = drawn(90, 60)
    with watched(style) as seen:
        assert repaint(photo, style, size=45).size == (45, 30)
        assert repaint(photo.rotate(90, expand=True), style, size=120).size == (80, 120)
        assert repaint(photo, style, size=np.int64(16)).size == (16, 11)
        assert repaint(photo, style, size=32.0).size == (32, 21)  # type: ignore[arg-type]
    with pytest.raises(NSTError, match=r"size should be a whole number from 16 to 16384, not 32\.5"):
        repaint(photo, style, size=32.5)  # type: ignore[arg-type]
    assert seen == [(45, 30), (80, 120), (16, 16), (32, 21)]
    assert alike(repaint(photo, style, size=45), by_hand(fit(photo, 45), style))


@pytest.mark.parametrize(
    ("stroke", "size", "looks", "result"),
    [
        (2, None, (40, 30), (80, 60)),
        (0.5, None, (160, 120), (80, 60)),
        (0.25, 40, (160, 120), (40, 30)),
        (4, 160, (40, 30), (160, 120)),
        (1.5, None, (53, 40), (80, 60)),
    ],
)
def test_a_stroke_is_the_scale_at_which_the_network_looks(
    style: Style, stroke: float, size: int | None, looks: tuple[int, int], result: tuple[int, int]
) -> None:
    photo = drawn(80, 60)
    with watched(style) as seen:
        painted = repaint(photo, style, size=size, stroke=stroke)
    assert seen == [looks]
    looked_at = by_hand(photo.resize(looks, Image.Resampling.LANCZOS), style)
    assert alike(painted, looked_at.resize(result, Image.Resampling.LANCZOS))


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 40), (40, 1), (15, 16), (5, 5)])
def test_tiny_pictures_keep_their_size(style: Style, size: tuple[int, int]) -> None:
    for stroke in (1, 4, 0.25):
        assert repaint(with_alpha(drawn(*size)), style, stroke=stroke).size == size


def test_tiny_pictures_are_continued_by_their_edges(style: Style) -> None:
    photo = drawn(9, 20)
    continued = np.pad(np.asarray(photo), ((0, 0), (0, 7), (0, 0)), mode="edge")
    assert alike(repaint(photo, style), by_hand(Image.fromarray(continued), style).crop((0, 0, 9, 20)))


def test_the_network_gets_what_its_architecture_takes(style: Style) -> None:
    demanding = replace(style, architecture=replace(style.architecture, min_size=37))
    with watched(demanding) as seen:
        assert repaint(drawn(20, 50), demanding).size == (20, 50)
    assert seen == [(37, 50)]


def test_what_a_style_is_opened_by_is_none(style: Style, tmp_path: Path) -> None:
    photo, name = drawn(40, 30), cast(Style, "great-wave")
    for paint in (partial(repaint, photo, name), partial(stylize, photo, style, second=name)):
        with pytest.raises(StyleError, match=r"A style is what Registry\.load\(\)\.open\('udnie'\) gives"):
            paint()
    with pytest.raises(StyleError, match=r"^A style is .*, not JohnsonNetwork\( \(conv1\): ConvLayer\( .*\.$"):
        stylize(photo, cast(Style, style.network))
    for first, second in ((name, None), (style, name)):
        with pytest.raises(StyleError, match="not 'great-wave'"):
            next(stylize_video(tmp_path / "film.mp4", first, tmp_path / "out.mp4", second=second))


def test_what_a_program_has_made_pytorchs_defaults_is_nothing_to_a_style(style: Style) -> None:
    photo = drawn(70, 50)
    script = (
        "import sys, torch\n"
        "torch.set_default_dtype(torch.float64); torch.set_default_device('meta')\n"
        "from PIL import Image; from nst_core import Style, repaint\n"
        "photo = Image.frombytes('RGB', (70, 50), sys.stdin.buffer.read())\n"
        f"painted = repaint(photo, Style.open({str(style.folder)!r}), precision='exact')\n"
        "sys.stdout.buffer.write(painted.tobytes())"
    )
    done = subprocess.run([sys.executable, "-c", script], input=photo.tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == repaint(photo, style, precision="exact").tobytes()


def test_transparency_is_kept_out_of_the_network_and_put_back(style: Style) -> None:
    plain = drawn(48, 32)
    photo = with_alpha(plain)
    painted = repaint(photo, style)
    assert painted.mode == "RGBA"
    assert same(painted.convert("RGB"), repaint(plain, style))
    assert same(painted.getchannel("A"), photo.getchannel("A"))
    assert same(repaint(photo, style, stroke=2).getchannel("A"), photo.getchannel("A"))
    smaller = repaint(photo, style, size=24)
    assert same(smaller.getchannel("A"), photo.getchannel("A").resize((24, 16), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("settings", [{}, {"size": 48}, {"size": 40}, {"stroke": 2}])
def test_colours_that_cannot_be_seen_do_not_matter(style: Style, settings: dict[str, Any]) -> None:
    painted = []
    for hidden in ((255, 0, 0), (0, 60, 255)):
        cut_out = with_alpha(drawn(48, 32))
        cut_out.paste((*hidden, 0), (0, 0, 48, 16))
        painted.append(repaint(cut_out, style, **settings))
    assert same(*painted)
    cut_out.paste((0, 0, 0, 0), (0, 0, 48, 16))
    assert same(painted[0], repaint(cut_out, style, **settings))


def test_any_pillow_picture_is_taken_and_none_is_changed(style: Style) -> None:
    photo = drawn(48, 32)
    photo.getexif()[ExifTags.Base.Orientation] = 6
    turned = Image.open(_file(photo))
    assert repaint(turned, style).size == (32, 48)
    grey = drawn(20, 24).convert("L")
    before = grey.tobytes()
    assert same(stylize(grey, style, strength=0), grey.convert("RGB"))
    assert grey.mode == "L" and grey.tobytes() == before


def test_every_kind_of_source_is_repainted(style: Style, tmp_path: Path) -> None:
    photo, mask = drawn(40, 30), np.asarray(drawn(20, 20).convert("L"))
    path = tmp_path / "photo.png"
    photo.save(path)
    read, write = os.pipe()
    os.write(write, path.read_bytes())
    os.close(write)
    expected = stylize(photo, style, strength=0.5, second=style, mask=Image.fromarray(mask))
    with open(read, "rb") as pipe:
        sources: list[Source] = [path, str(path), path.read_bytes(), pipe, np.asarray(photo)]
        for source in sources:
            assert same(stylize(source, style, strength=0.5, second=style, mask=mask), expected)


def _file(picture: Image.Image) -> Any:
    file = io.BytesIO()
    picture.save(file, "PNG", exif=picture.getexif())
    return file


def test_the_network_may_be_of_half_precision(style: Style) -> None:
    coarse = replace(style, network=style.architecture.network().to(torch.bfloat16))
    coarse.network.load_state_dict(style.network.state_dict())
    photo = drawn(48, 32)
    assert np.abs(pixels(repaint(photo, coarse)) - pixels(repaint(photo, style))).mean() < 10


def test_progress_is_told_to_the_end_and_what_it_raises_ends_the_work(style: Style) -> None:
    slow = replace(style, architecture=replace(style.architecture, fast=None))
    photo = drawn(48, 96)
    for one in (style, slow):
        parts: list[float] = []
        assert same(stylize(photo, one, progress=parts.append), stylize(photo, one))
        assert parts == sorted(parts) and parts[-1] == 1
        with pytest.raises(ZeroDivisionError):
            repaint(photo, one, progress=lambda part: [][int(1 / 0)])


def test_a_photograph_from_a_file_to_a_file(style: Style, tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    drawn(61, 45).save(path, quality=95)
    assert stylize(open_picture(path), style, strength=0.7, color="photo", size=40, stroke=1.3).size == (40, 30)


# Blending


@pytest.mark.parametrize("color", ["style", "photo"])
def test_no_strength_gives_the_photographs_very_pixels(style: Style, color: Any) -> None:
    for photo in (drawn(50, 37), with_alpha(drawn(50, 37))):
        assert same(stylize(photo, style, strength=0, color=color), photo)
        assert same(stylize(photo, style, strength=0, color=color, stroke=2), photo)


@pytest.mark.parametrize("strength", [0, 0.1, 1 / 3, 0.5, 0.8, 1])
@pytest.mark.parametrize("color", ["style", "photo"])
def test_the_formula(strength: float, color: Any) -> None:
    photo, painted = drawn(40, 150, seed=1), drawn(40, 150, seed=2)
    change = pixels(painted) - pixels(photo)
    if color == "photo":
        change = (change @ LUMA)[..., None]
    exact = (pixels(photo) + strength * change).clip(0, 255)
    assert np.abs(pixels(blend(photo, painted, strength=strength, color=color)) - exact).max() < 0.5 + 1e-3
    if (strength, color) == (1, "style"):
        assert same(blend(photo, painted), painted)


def test_the_photographs_colours_are_kept() -> None:
    photo, painted = Image.new("RGB", (8, 8), (100, 140, 90)), Image.new("RGB", (8, 8), (160, 120, 180))
    kept = pixels(blend(photo, painted, color="photo"))[0, 0]
    assert np.array_equal(kept - kept[0], [0, 40, -10])
    assert abs(kept @ LUMA - [160, 120, 180] @ LUMA) <= 0.5


def test_strength_moves_between_the_two() -> None:
    black, white = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), "white")
    levels = [pixels(blend(black, white, strength=step / 255))[0, 0, 0] for step in range(256)]
    assert levels == list(range(256))


def test_the_result_has_the_paintings_size_and_the_photographs_transparency() -> None:
    photo, painted = with_alpha(drawn(60, 40, seed=1)), drawn(30, 20, seed=2)
    expected = photo.resize((30, 20), Image.Resampling.LANCZOS)
    assert alike(blend(photo, painted, strength=0), expected)
    result = blend(photo, painted)
    assert alike(result.convert("RGB"), painted) and same(result.getchannel("A"), expected.getchannel("A"))
    assert same(blend(painted, with_alpha(painted)), painted)


def test_stylize_is_repaint_and_blend(style: Style) -> None:
    photo = with_alpha(drawn(60, 40))
    painted = repaint(photo, style, size=48, stroke=1.5)
    result = stylize(photo, style, strength=0.6, color="photo", size=48, stroke=1.5)
    assert same(result, blend(photo, painted, strength=0.6, color="photo"))


def test_a_mask_says_where_the_painting_is_seen() -> None:
    photo, painted = drawn(60, 40), drawn(60, 40, seed=1)
    mask = Image.new("L", (60, 40))
    mask.paste(255, (30, 0, 60, 40))
    mask.putpixel((0, 0), 51)
    expected = photo.copy()
    expected.paste(painted.crop((30, 0, 60, 40)), (30, 0))
    expected.paste(Image.blend(photo, painted, 0.2).crop((0, 0, 1, 1)))
    assert same(blend(photo, painted, mask=mask), expected)
    drawn_on_nothing = Image.new("RGBA", (60, 40), (255, 255, 255, 0))  # as a brush leaves it
    drawn_on_nothing.putalpha(mask)
    assert same(blend(photo, painted, mask=drawn_on_nothing), expected)
    assert same(blend(photo, painted, mask=Image.new("L", (3, 2), 255)), painted)


def test_a_mask_is_held_against_all_of_a_large_picture() -> None:
    photo, painted = with_alpha(drawn(60, 200)), drawn(60, 200, seed=1)
    shade = Image.linear_gradient("L").resize((60, 200))
    result = blend(photo, painted, mask=shade)
    assert alike(result.convert("RGB"), Image.composite(painted, photo.convert("RGB"), shade))
    assert same(result.getchannel("A"), photo.getchannel("A"))


def test_a_small_mask_has_soft_edges() -> None:
    black, white = (Image.new("RGB", (64, 8), colour) for colour in ("black", "white"))
    mask = Image.new("L", (2, 1))
    mask.putpixel((1, 0), 255)
    shown = np.asarray(blend(black, white, mask=mask))[4, :, 0].astype(int)
    assert shown[0] == 0 and shown[-1] == 255 and 0 < np.diff(shown).max() < 16


def test_a_second_style_is_laid_over_the_first(style: Style, tmp_path: Path) -> None:
    photo, second = drawn(60, 40), Style.open(make_style(tmp_path, seed=1))
    first, over = (repaint(photo, one) for one in (style, second))
    told: list[float] = []
    mixed = stylize(photo, style, second=second, mix=0.3, strength=0.8, progress=told.append)
    assert same(mixed, blend(photo, blend(first, over, strength=0.3), strength=0.8))
    assert told == sorted(told) and told[-1] == 1 and 0.5 in told
    for mix, whole in ((0, first), (1, over)):
        assert same(stylize(photo, style, second=second, mix=mix), whole)
    assert same(stylize(photo, style, second=second), blend(first, over, strength=0.5))  # half of each
    mask = Image.linear_gradient("L")
    assert same(stylize(photo, style, second=second, mix=1, mask=mask), blend(first, over, mask=mask))
    for alone in ({"mix": 0.5}, {"mask": mask}):
        with pytest.raises(NSTError, match=f"^A {next(iter(alone))} says .*: give a second style, too"):
            stylize(photo, style, **alone)


def test_blending_takes_little_memory() -> None:
    photo = Image.new("RGB", (1024, 1024), "teal")
    tracemalloc.start()
    blend(photo, photo, strength=0.5, color="photo")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * 3 * 1024**2  # two pictures in, one out, and copies on the way; as floats it would be 36 and more


# Refusals

NO_NUMBERS = [math.nan, math.inf, -math.inf, None, "0.5", "", True, [1], 10**400, 1j]


@pytest.mark.parametrize(
    "wrong",
    [
        *({"strength": value} for value in (-0.01, 1.01, *NO_NUMBERS)),
        *({"mix": value} for value in (-0.01, 1.01, *NO_NUMBERS) if value is not None),
        *({"stroke": value} for value in (0.24, 4.01, 0, -1, *NO_NUMBERS)),
        *({"size": value} for value in (15, 16385, 0, -64, 100.5, *NO_NUMBERS) if value is not None),
        *({"color": value} for value in ("", "Photo", None, 1, ["style"])),
    ],
    ids=lambda wrong: "-".join(f"{name}={value!s:.20}" for name, value in wrong.items()),
)
def test_what_is_out_of_range_is_refused_before_the_network_runs(style: Style, wrong: dict[str, Any]) -> None:
    photo = drawn(24, 24)
    with watched(style) as seen, pytest.raises(NSTError) as caught:
        stylize(photo, style, **wrong)
    assert not seen
    message = str(caught.value)
    (name,) = wrong
    assert name in message and message.endswith(".") and "\n" not in message and len(message) < 200
    if name == "mix":
        return
    alone = partial(blend, photo, photo) if name in ("strength", "color") else partial(repaint, photo, style)
    with pytest.raises(NSTError) as again:
        alone(**wrong)
    assert str(again.value) == message


@pytest.mark.parametrize(
    "wish", [{"size": 16384}, {"size": 16384, "stroke": 4}, {"size": 4096, "stroke": 0.25}, {"size": 12000}]
)
def test_more_than_can_be_painted_is_refused(style: Style, wish: dict[str, Any]) -> None:
    with watched(style) as seen, pytest.raises(NSTError, match="134,217,728"):
        stylize(drawn(64, 64), style, **wish)
    assert not seen


def test_pixels_are_counted_as_the_network_is_shown_them(style: Style) -> None:
    demanding = replace(style, architecture=replace(style.architecture, min_size=37))
    line, short = (Image.new("RGB", (width, 1)) for width in (9_000_000, 4_000_000))
    for photo, one, seen in ((line, style, "144,000,000"), (short, demanding, "148,000,000")):
        with watched(one) as looked, pytest.raises(NSTError, match=f"^That is {seen} pixels to paint, but at most"):
            repaint(photo, one)
        assert not looked
    assert pixels_seen(line.size, None, stroke=4) == 36_000_000
    check_pixels(MAX_PIXELS, 1)  # that many are allowed
    with pytest.raises(NSTError, match=f"^That is {MAX_PIXELS + 1:,} pixels to paint"):
        check_pixels(MAX_PIXELS + 1, 1)


@pytest.mark.parametrize("wrong", [{"second": "udnie"}, {"second": ""}, {"second": False}, {"mask": "nope.png"}])
def test_what_is_laid_over_is_refused_before_the_network_runs(style: Style, wrong: dict[str, Any]) -> None:
    right = "A style is what Registry|'nope.png' does not exist"
    with watched(style) as seen, pytest.raises(NSTError, match=right):
        stylize(drawn(24, 24), style, **{"second": style, **wrong})
    assert not seen


def test_no_photograph_is_refused(style: Style) -> None:
    with pytest.raises(NSTError):
        stylize(None, style)  # type: ignore[arg-type]
    with pytest.raises(NSTError):
        blend(drawn(4, 4), None)  # type: ignore[arg-type]
