"""Films: every frame, its time and its colours, and the sound, whatever comes in; interrupted, and gone on with."""

import errno
import io
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import typer
from av.stream import Disposition
from commands import begun, nst, refusal
from full_disk import no_room
from made_films import RATE, SIZE, make_film, picture, see
from PIL import Image
from test_bombs import scans
from test_temporal_consistency import noisy, texture

from nst_core import video_reader
from nst_core.cli_video import video
from nst_core.errors import NSTError
from nst_core.files import locked
from nst_core.images import open_picture
from nst_core.registry import Registry
from nst_core.style import Style
from nst_core.stylization import blend_pixels, stylize
from nst_core.video import VideoStep, partial_film, stylize_video, work_folder
from nst_core.video_reader import LOOKED_INTO, Clock, FilmError, open_film, opened, pictures_of, read_frames
from nst_core.video_sound import recoded
from nst_core.video_writer import Part, join


@pytest.fixture(scope="module")
def style() -> Style:
    return Registry.load().open("udnie-lite")


def painted(source: Path, style: Style, out: Path, **settings: Any) -> list[VideoStep]:
    return list(stylize_video(source, style, out, **{"strength": 0.0, **settings}))


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Of the means of 4 × 4 pixels, so that neither halved chroma nor dithering counts."""
    coarse = (
        picture[: height // 4 * 4, : width // 4 * 4].reshape(height // 4, 4, width // 4, 4, 3).mean((1, 3))
        for picture, (height, width, _) in ((one, one.shape), (other, other.shape))
    )
    return float(np.abs(np.subtract(*coarse)).mean())


@pytest.mark.parametrize("stroke", [1, 2, 0.5])
def test_every_frame_is_painted_as_a_photograph_is(style: Style, tmp_path: Path, stroke: float) -> None:
    film = make_film(tmp_path / "film.mp4", frames=5, options={"crf": "0"})
    settings: dict[str, Any] = {"strength": 0.6, "color": "photo", "stroke": stroke}
    steps = painted(film, style, tmp_path / "out.mkv", lossless=True, steady=False, **settings)
    assert [step.frame for step in steps] == [1, 2, 3, 4, 5] and {step.frames for step in steps} == {5}
    seen = see(tmp_path / "out.mkv")
    assert (seen.codec, len(seen.pictures)) == ("ffv1", 5)
    for before, after, step in zip(see(film).pictures, seen.pictures, steps, strict=True):
        np.testing.assert_array_equal(after, step.pixels)
        # The film's colours are computed with more care here than by default.
        assert difference(after, np.asarray(stylize(before, style, **settings))) < 2


@pytest.fixture(scope="module")
def second() -> Style:
    return Registry.load().open("great-wave-lite")


@pytest.mark.parametrize("steady", [False, True])
def test_a_second_style_is_laid_over_the_first(style: Style, second: Style, tmp_path: Path, steady: bool) -> None:
    film = make_film(tmp_path / "film.mp4", frames=4, options={"crf": "0"})
    mask = Image.new("L", (96, 64))
    mask.paste(255, (48, 0, 96, 64))
    films = {
        name: [step.pixels for step in painted(film, one, tmp_path / f"{name}.mp4", steady=steady, **settings)]
        for name, one, settings in (
            ("first", style, {"strength": 1.0}),
            ("over", second, {"strength": 1.0}),
            ("mixed", style, {"strength": 1.0, "second": second, "mix": 0.3}),
            ("masked", style, {"strength": 0.6, "second": second, "mix": 1.0, "mask": mask}),
        )
    }
    for before, first, over, mixed, masked in zip(see(film).pictures, *films.values(), strict=True):
        assert np.abs(first.astype(int) - over).mean() > 10
        np.testing.assert_array_equal(mixed, blend_pixels(first, over, 0.3, "style"))
        halves = np.concatenate([first[:, :48], over[:, 48:]], axis=1)
        # This test sees the film's own colours by another decoder.
        assert difference(masked, blend_pixels(before, halves, 0.6, "style")) < 1


def test_a_second_style_belongs_to_what_is_gone_on_with(style: Style, second: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=30)
    settings: dict[str, Any] = {"second": second, "mix": 0.7, "mask": Image.linear_gradient("L")}
    run = stylize_video(film, style, tmp_path / "out.mp4", **settings)
    list(islice(run, 20))
    run.close()
    wider = Image.frombytes("L", (512, 128), Image.linear_gradient("L").tobytes())
    others: list[tuple[str, Any]] = [
        ("stroke", 2),
        *(("mask", mask) for mask in (Image.radial_gradient("L"), wider, None)),
    ]
    for name, other in [("second", style), ("mix", 0.5), *others]:
        with pytest.raises(FilmError, match=f"begun with another '{name}': use the same"):
            next(stylize_video(film, style, tmp_path / "out.mp4", resume=True, **settings | {name: other}))
    steps = list(stylize_video(film, style, tmp_path / "out.mp4", resume=True, **settings))
    assert steps[0].frame > 1 and len(see(tmp_path / "out.mp4").pictures) == 30
    for alone in ("mix", "mask"):
        with pytest.raises(NSTError, match=f"^A {alone} says .*: give a second style, too"):
            stylize_video(film, style, tmp_path / "other.mp4", **{alone: settings[alone]})  # at once, not as it paints
    with pytest.raises(NSTError, match="mix"):
        stylize_video(film, style, tmp_path / "other.mp4", second=second, mix=2)


def test_a_folder_that_holds_another_style_by_now_is_not_gone_on_with(
    style: Style, second: Style, tmp_path: Path
) -> None:
    film = make_film(tmp_path / "film.mp4")
    shutil.copytree(style.folder, tmp_path / "my")
    run = stylize_video(film, Style.open(tmp_path / "my"), tmp_path / "out.mp4")
    next(run)
    run.close()
    shutil.copytree(second.folder, tmp_path / "my", dirs_exist_ok=True)
    with pytest.raises(FilmError, match="begun with another 'style'") as caught:
        painted(film, Style.open(tmp_path / "my"), tmp_path / "out.mp4", resume=True, strength=1.0)
    assert_sentence(caught.value)
    shutil.copytree(style.folder, tmp_path / "my", dirs_exist_ok=True)
    steps = painted(film, Style.open(tmp_path / "my"), tmp_path / "out.mp4", resume=True, strength=1.0)
    assert steps[-1].frame == 12


def test_a_second_style_on_the_command_line(style: Style, second: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=2)
    Image.linear_gradient("L").save(tmp_path / "mask.png")
    words = "--style udnie-lite --second great-wave-lite --mix 0.7 --mask mask.png --lossless -o out.mkv"
    done = nst("video", "film.mp4", *words.split(), folder=tmp_path)
    assert done.returncode == 0, done.stderr
    settings: dict[str, Any] = {"second": second, "mix": 0.7, "mask": Image.linear_gradient("L")}
    steps = painted(film, style, tmp_path / "expected.mkv", lossless=True, strength=1.0, **settings)
    for seen, step in zip(see(tmp_path / "out.mkv").pictures, steps, strict=True):
        np.testing.assert_array_equal(seen, step.pixels)
    for option in ("--mix 0.3", "--mask mask.png"):
        words = f"--style udnie-lite {option} -o never.mp4"
        assert "give a second style, too." in refusal("video", "film.mp4", *words.split(), folder=tmp_path)


@pytest.mark.parametrize("sound", ["aac", "libmp3lame", "libopus"])
def test_frames_times_and_sound_are_kept(style: Style, tmp_path: Path, sound: str) -> None:
    film = make_film(tmp_path / "film.mp4", sound=sound)
    painted(film, style, tmp_path / "out.mp4")
    before, after = see(film), see(tmp_path / "out.mp4")
    assert (after.codec, after.pixels, len(after.pictures)) == ("h264", "yuv420p", 12)
    assert after.times == before.times and after.seconds == before.seconds
    assert after.sound == before.sound and after.sound[0][1]
    assert max(map(difference, before.pictures, after.pictures)) < 3
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "out.mp4"]


@pytest.mark.parametrize("clock", [Fraction(1, 12800), Fraction(1, 1000), Fraction(1, 90000)])
def test_a_variable_frame_rate_is_kept(style: Style, tmp_path: Path, clock: Fraction) -> None:
    seconds = [0, 0.04, 0.05, 0.5, 0.54, 3.0, 3.04, 3.08, 9.0, 9.02, 9.04, 9.5]
    times = [round(Fraction(second) / clock) for second in seconds]
    film = make_film(tmp_path / "film.mkv", times=times, clock=clock, options={"bf": "0"})
    painted(film, style, tmp_path / "out.mp4")
    assert see(tmp_path / "out.mp4").times == see(film).times


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("film.avi", {"codec": "mpeg4", "clock": Fraction(1, RATE), "sound": "libmp3lame"}),
        ("film.mkv", {"clock": Fraction(1, 1000), "sound": "flac"}),
        ("film.webm", {"codec": "libvpx-vp9", "clock": Fraction(1, 1000), "sound": "libopus"}),
        ("film.mov", {"sound": "aac"}),
        ("film.gif", {"codec": "gif", "pixels": "rgb8", "clock": Fraction(1, 100)}),
        ("film.ts", {"clock": Fraction(1, 90000), "sound": "aac"}),
    ],
)
def test_other_containers(style: Style, tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    film = make_film(tmp_path / name, **settings)
    painted(film, style, tmp_path / "out.mp4")
    before, after = see(film), see(tmp_path / "out.mp4")
    assert len(after.pictures) == len(before.pictures) == 12
    # A film begins with its first picture or sound.
    begin = min([before.times[0], *(times[0] for _, _, times in before.sound if times[0] > 0)])
    assert [float(time) for time in after.times] == pytest.approx([float(time - begin) for time in before.times])
    assert max(map(difference, before.pictures, after.pictures)) < 4
    assert [codec for codec, _, _ in after.sound] == [codec for codec, _, _ in before.sound]
    for (_, packets, times), (_, packets_before, times_before) in zip(after.sound, before.sound, strict=True):
        assert len(packets) == len(packets_before)
        if name != "film.ts":  # whose AAC has a header more in each
            assert packets == packets_before
        # Matroska's clock has milliseconds.
        assert [float(time) for time in times] == pytest.approx(
            [float(time - begin) for time in times_before], abs=0.0021
        )


def test_sound_that_mp4_does_not_hold_becomes_aac(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mov", sound="pcm_s16le", frames=50)
    painted(film, style, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as made, av.open(str(film)) as source:
        assert made.streams.audio[0].codec_context.name == "aac"
        heard, tone = (
            np.concatenate([frame.to_ndarray().ravel() for frame in film.decode(audio=0)]) for film in (made, source)
        )
    assert abs(len(heard) - len(tone)) < 2048
    middle = slice(20000, 60000)
    assert np.corrcoef(heard[middle], tone[middle])[0, 1] > 0.99  # and it is in time
    painted(film, style, tmp_path / "out.mkv", lossless=True)
    assert see(tmp_path / "out.mkv").sound[0][0] == "pcm_s16le"


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_a_turned_film_becomes_upright(style: Style, tmp_path: Path, degrees: int) -> None:
    film = make_film(tmp_path / "film.mp4", rotation=degrees)
    painted(film, style, tmp_path / "out.mp4")
    upright = np.rot90(picture(0), degrees // 90)
    after = see(tmp_path / "out.mp4").pictures[0]
    assert after.shape == upright.shape and difference(after, upright) < 6
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert next(made.decode(video=0)).rotation == 0


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ((-1, 0, 0, 1), lambda drawn: drawn[:, ::-1]),
        ((1, 0, 0, -1), lambda drawn: drawn[::-1]),
        ((0, 1, 1, 0), lambda drawn: drawn.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda drawn: np.rot90(drawn, 2).swapaxes(0, 1)),
    ],
    ids=["sides", "top", "transposed", "transverse"],
)
def test_a_mirrored_film_becomes_upright(tmp_path: Path, matrix: tuple[int, ...], turned: Any) -> None:
    made = make_film(tmp_path / "film.mp4", frames=2)
    data = made.read_bytes()
    as_it_is = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    place = data.index(as_it_is, data.index(b"tkhd"))
    a, b, c, d = (number << 16 for number in matrix)
    made.write_bytes(data[:place] + struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30) + data[place + 36 :])
    film = open_film(made)
    seen, expected = next(read_frames(film, film.size())).pixels, turned(picture(0))
    assert seen.shape == expected.shape and difference(seen, expected) < 6


def test_what_players_need_to_know_is_kept_without_loss(style: Style, tmp_path: Path) -> None:
    wide: dict[str, Any] = {"sample_aspect_ratio": Fraction(4, 3), "color_primaries": 9, "color_trc": 16}
    film = make_film(tmp_path / "film.mp4", frames=2, **wide)
    painted(film, style, tmp_path / "out.mkv", lossless=True)
    with av.open(str(tmp_path / "out.mkv")) as made:
        codec = made.streams.video[0].codec_context
        assert (codec.color_primaries, codec.color_trc) == (9, 16)
        assert (codec.width, codec.height) == (128, 64) and (codec.sample_aspect_ratio or 1) == 1


def test_surround_sound_stays_so(style: Style, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mkv"), "w") as film:
        stream = film.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        track = film.add_stream("pcm_s16le", rate=48000, layout="5.1")
        for _ in range(5):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture(0), format="rgb24").reformat(format="yuv420p")))
        film.mux(stream.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 6 * 9600), np.int16), format="s16", layout="5.1")
        tone.rate, tone.pts = 48000, 0
        film.mux(track.encode(tone))
        film.mux(track.encode(None))
    painted(tmp_path / "film.mkv", style, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert made.streams.audio[0].codec_context.layout.name == "5.1"


def ramp_and_bars(size: tuple[int, int] = (256, 64)) -> np.ndarray:
    drawn = np.empty((size[1], size[0], 3), np.uint8)
    drawn[: size[1] // 2] = np.linspace(0, 255, size[0])[None, :, None].round()
    colours = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191)]
    for number, colour in enumerate([*colours, (255, 255, 255)]):
        width = size[0] // 8
        drawn[size[1] // 2 :, number * width : (number + 1) * width] = colour
    return drawn


@pytest.mark.parametrize("matrix", [1, 5, 6, 7, 9], ids=["709", "470bg", "170m", "240m", "2020"])
@pytest.mark.parametrize("range", [1, 2], ids=["limited", "full"])
def test_colours_survive(style: Style, tmp_path: Path, matrix: int, range: int) -> None:
    drawn = ramp_and_bars()
    film = make_film(
        tmp_path / "film.mp4",
        frames=2,
        size=(256, 64),
        pictures=[drawn, drawn],
        options={"crf": "0"},
        color_range=range,
        colorspace=matrix,
        color_primaries=1,
        color_trc=1,
    )
    steps = painted(film, style, tmp_path / "out.mp4")
    edges = np.zeros(256, bool)
    for edge in np.arange(32, 256, 32):
        edges[edge - 6 : edge + 6] = True
    rows = np.r_[:26, 38:64]

    def off(seen: np.ndarray) -> np.ndarray:
        return np.abs(seen.astype(int) - drawn)[rows][:, ~edges]

    assert off(steps[0].pixels).max() <= 3
    with av.open(str(tmp_path / "out.mp4")) as made:
        frame = next(made.decode(video=0))
        assert frame.color_range == 1
        assert frame.colorspace == open_film(film).matrix
        assert made.streams.video[0].codec_context.color_primaries == 1
    seen = see(tmp_path / "out.mp4").pictures[0]
    assert off(seen).mean() < 2 and np.percentile(off(seen), 99) <= 4


def test_an_odd_column_and_row_are_left_out(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", size=(97, 65), codec="ffv1", pixels="bgr0", clock=Fraction(1, 1000))
    painted(film, style, tmp_path / "out.mp4")
    painted(film, style, tmp_path / "out.mkv", lossless=True)
    assert see(tmp_path / "out.mp4").pictures[0].shape == (64, 96, 3)
    seen = see(tmp_path / "out.mkv").pictures
    np.testing.assert_array_equal(seen, [picture(number, (97, 65)) for number in range(12)])


def test_another_size(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", rotation=90)
    painted(film, style, tmp_path / "out.mp4", size=64, strength=1.0)
    assert see(tmp_path / "out.mp4").pictures[0].shape == (64, 42, 3)


def test_what_changes_its_size_in_the_middle(style: Style, tmp_path: Path) -> None:
    parts = [make_film(tmp_path / f"{n}.ts", size=size, clock=Fraction(1, 90000), frames=6) for n, size in
             enumerate([(96, 64), (48, 48)])]  # fmt: skip
    (tmp_path / "film.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    painted(tmp_path / "film.ts", style, tmp_path / "out.mp4")
    seen = see(tmp_path / "out.mp4")
    assert {one.shape for one in seen.pictures} == {(64, 96, 3)}
    assert len(seen.pictures) == len(see(tmp_path / "film.ts").pictures)
    assert sorted(set(seen.times)) == seen.times


def test_sound_that_takes_too_long_is_left_out(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    film = make_film(tmp_path / "film.mkv", frames=25, sound="mp2")
    clock = iter(range(10**9))
    monkeypatch.setattr("nst_core.video_sound.time", SimpleNamespace(monotonic=lambda: next(clock)))
    painted(film, style, tmp_path / "out.mp4", sound_seconds=10)
    seen = see(tmp_path / "out.mp4")
    [(codec, packets, _)] = seen.sound
    assert len(seen.pictures) == 25 and codec == "aac" and 0 < len(packets) < 20
    assert "The film's sound takes too long: it ends early." in caplog.text


def test_a_film_whose_frames_are_not_to_be_seen_comes_to_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they would keep the decoder busy for hours."""
    film = make_film(tmp_path / "film.mp4", frames=40, clock=Fraction(1, 25), options={"bf": "0", "g": "99"})
    data = bytearray(film.read_bytes())
    struct.pack_into(">i", data, data.index(b"elst") + 16, 39 * 512)  # it begins with the last frame
    film.write_bytes(data)
    assert open_film(film).size() == SIZE
    assert len([*read_frames(open_film(film), SIZE)]) == 1
    monkeypatch.setattr(video_reader, "_MOST_UNSEEN", 35 * 2**16)
    with pytest.raises(FilmError, match="no frame that can be read"):
        open_film(film)


def test_of_a_hundred_tracks_of_pictures_few_are_decoded_to_see_what_they_are(tmp_path: Path) -> None:
    """Each may take a gigabyte."""
    with av.open(str(tmp_path / "film.mov"), "w") as film:
        tracks = [film.add_stream("png", rate=RATE) for _ in range(LOOKED_INTO + 2)]
        for track in tracks:
            track.width, track.height, track.pix_fmt = *SIZE, "rgb24"
        for track in tracks:
            film.mux(track.encode(av.VideoFrame(*SIZE, "rgb24")))
            film.mux(track.encode(None))
    with opened(tmp_path / "film.mov") as container:
        looked_into = [track.pix_fmt for track in container.streams.video]
    if int(av.__version__.split(".")[0]) < 19:
        assert looked_into == ["rgb24"] * LOOKED_INTO + [None] * 2
    assert open_film(tmp_path / "film.mov").size() == SIZE
    large = make_film(
        tmp_path / "film.avi",
        frames=1,
        size=(9000, 4000),
        pictures=[np.zeros((4000, 9000, 3), np.uint8)],
        codec="mjpeg",
        pixels="yuvj420p",
    )
    with opened(large) as container:
        assert container.streams.video[0].pix_fmt is None
    with pytest.raises(FilmError, match="with frames of at most 33,554,432 pixels"):
        open_film(large)


@pytest.mark.parametrize(
    ("name", "part"),
    [("film.mp4", 0.99), *((name, part) for name in ("film.mkv", "film.ts", "film.avi") for part in (0.3, 0.7, 0.99))],
)
def test_a_film_that_was_cut_short(style: Style, tmp_path: Path, name: str, part: float) -> None:
    clock = Fraction(1, 1000) if name == "film.mkv" else Fraction(1, 90000 if name == "film.ts" else RATE)
    codec = "mpeg4" if name == "film.avi" else "libx264"
    film = make_film(tmp_path / name, frames=25, codec=codec, clock=clock, sound="libmp3lame")
    data = film.read_bytes()
    film.write_bytes(data[: int(part * len(data))])
    try:
        steps = painted(film, style, tmp_path / "out.mp4")
    except NSTError as error:
        assert_sentence(error)
        assert not (tmp_path / "out.mp4").exists()
    else:
        assert len(see(tmp_path / "out.mp4").pictures) == len(steps) > 0
        assert name != "film.mp4"  # what it begins with is at its end
    assert not list(tmp_path.glob("*.part*"))


def assert_sentence(error: NSTError) -> None:
    sentence = str(error)
    assert sentence.endswith(".") and "\n" not in sentence and "/" not in sentence and len(sentence) < 250


@pytest.mark.parametrize(("size", "matrix"), [((1280, 16), 1), ((1278, 16), 6), ((578, 580), 1), ((16, 578), 6)])
def test_colours_that_a_film_does_not_name_are_those_of_its_size(
    tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    """As players take them: BT.709 for high definition, in one direction at least, and else SMPTE 170M."""
    assert open_film(make_film(tmp_path / "film.mp4", frames=1, size=size)).matrix == matrix


@pytest.mark.parametrize(("degrees", "aspect"), [(0, 2), (90, Fraction(1, 2)), (180, 2)])
def test_pixels_that_are_not_square_are_turned_too(tmp_path: Path, degrees: int, aspect: Fraction) -> None:
    made = make_film(tmp_path / "film.mp4", frames=2, rotation=degrees, sample_aspect_ratio=Fraction(2))
    assert open_film(made).pixel_aspect == aspect


@pytest.mark.parametrize(("codec", "pixels"), [("jpeg2000", "yuv420p"), ("tiff", "rgb24")])
def test_pictures_that_are_no_films_own_are_not_decoded(tmp_path: Path, codec: str, pixels: str) -> None:
    made = make_film(tmp_path / "film.mov", frames=1, codec=codec, pixels=pixels)
    with pytest.raises(FilmError, match=f"is encoded as {codec}, which cannot be read here: convert it to H.264"):
        open_film(made)


def test_numbers_of_numpy_will_do(style: Style, second: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=3)
    numbers = {"strength": np.float32(0.5), "mix": np.float32(0.25), "size": np.int64(64)}
    for _ in stylize_video(film, style, tmp_path / "out.mp4", second=second, **numbers):
        pass
    assert see(tmp_path / "out.mp4").pictures


def test_a_film_that_may_not_be_read_is_not_called_damaged(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_film(tmp_path / "film.mp4", frames=3)
    monkeypatch.setattr(Path, "open", denied)  # the tests may be the superuser's, who reads every file
    with pytest.raises(FilmError, match=r"^The film 'film.*' cannot be read: Permission denied\.$"):
        painted(film, style, tmp_path / "out.mp4")


def denied(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_what_is_no_film_is_refused(style: Style, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("I am a text.")
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile film.mp4\n")
    (tmp_path / "empty.mp4").touch()
    Image.new("RGB", (64, 48), "teal").save(tmp_path / "picture.png")
    shutil.copy(tmp_path / "picture.png", tmp_path / "picture.mp4")
    make_film(tmp_path / "sound.mp4", codec="", sound="aac")
    make_film(tmp_path / "none.mkv", frames=0, sound="aac", clock=Fraction(1, 1000))
    make_film(tmp_path / "film.mp4")
    cases = {
        "missing.mp4": "does not exist", "text.mp4": "not a film", "list.m3u8": "not a film", "list.mp4": "not a film",
        "empty.mp4": "not a film", "picture.png": "is a picture", "picture.mp4": "is a picture",
        "sound.mp4": "only sound", "none.mkv": "no frame|damaged|only sound",
    }  # fmt: skip
    for name, says in cases.items():
        with pytest.raises(NSTError, match=says) as caught:
            painted(tmp_path / name, style, tmp_path / "out.mp4")
        assert_sentence(caught.value)
    before = sorted(tmp_path.iterdir())
    for out, settings, says in (
        ("out.avi", {}, ".mp4"), ("out.mp4", {"lossless": True}, ".mkv"), ("film.mp4", {}, "the film to repaint"),
        ("nowhere/out.mp4", {}, "nowhere"), ("out.mp4", {"strength": 2}, "strength"), ("out.mp4", {"size": 3}, "size"),
        ("out.mp4", {"precision": "low"}, "precision"), ("out.mp4", {"size": 16384}, "at most"),
        ("a\0b.mp4", {}, "no file name can"), ("a\ud800b.mp4", {}, "no file name can"),
    ):  # fmt: skip
        with pytest.raises(NSTError, match=says) as caught:
            painted(tmp_path / "film.mp4", style, tmp_path / out, **settings)
        assert_sentence(caught.value)
    paths: Any
    for paths, says in (((b"film.mp4", "out.mp4"), "from a path .*, not bytes"), (("film.mp4", None), "not NoneType")):
        with pytest.raises(FilmError, match=says) as caught:
            stylize_video(paths[0], style, paths[1])
        assert_sentence(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_the_film_is_not_written_over_by_another_name(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=3)
    before, link = film.read_bytes(), tmp_path / "link.mp4"
    link.symlink_to(film)
    for name in (link, tmp_path / "." / ".." / tmp_path.name / "film.mp4"):
        with pytest.raises(FilmError, match="that is the film to repaint"):
            painted(film, style, name)
    assert film.read_bytes() == before


def test_gone_on_with_when_nothing_is_left_the_last_frame_lasts_as_long(style: Style, tmp_path: Path) -> None:
    film, out = make_film(tmp_path / "film.mp4", frames=5), tmp_path / "out.mp4"
    run = stylize_video(film, style, out, strength=0.0)
    list(islice(run, 4))  # whoever has seen the fourth frame knows that there is a fifth: it is painted
    run.close()
    assert not out.exists() and len(see(partial_film(out)).pictures) == 5
    painted(film, style, out, resume=True)
    painted(film, style, tmp_path / "whole.mp4")
    assert see(out).seconds == see(tmp_path / "whole.mp4").seconds


def test_a_film_that_says_it_holds_ten_million_pictures_is_refused(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4")
    whole = film.read_bytes()
    place = whole.index(b"stsz") + 12
    film.write_bytes(whole[:place] + (80_000_000).to_bytes(4, "big") + whole[place + 4 :])
    with pytest.raises(FilmError, match="is built of more parts than a film needs: save it again") as caught:
        painted(film, style, tmp_path / "out.mp4")
    assert_sentence(caught.value)


def test_frames_of_hundreds_of_scans_are_damaged(
    style: Style, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    drawn = io.BytesIO()
    Image.new("RGB", (96, 64), "teal").save(drawn, "JPEG")
    with av.open(str(tmp_path / "film.mov"), "w") as film:
        stream = film.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        for number, data in enumerate([drawn.getvalue(), scans(300), drawn.getvalue()]):
            packet = av.Packet(data)
            packet.pts = packet.dts = number
            packet.time_base, packet.stream = Fraction(1, 25), stream
            film.mux(packet)
    painted(tmp_path / "film.mov", style, tmp_path / "out.mp4")
    assert len(see(tmp_path / "out.mp4").pictures) == 2
    assert "Damaged parts of the film that are left out: 1." in caplog.messages


@pytest.mark.parametrize(("level", "threads"), [(None, "AUTO"), (av.logging.ERROR, "SLICE")])
def test_no_thread_decodes_ahead_while_pyav_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, level: int | None, threads: str
) -> None:
    """In one of some fifty damaged films that were left, it would log for ever."""
    streams: list[Any] = []

    def noted(container: Any) -> Any:
        streams.append(pictures_of(container))
        return streams[-1]

    film = open_film(make_film(tmp_path / "film.mp4"))
    monkeypatch.setattr(video_reader, "pictures_of", noted)
    before = av.logging.get_level()
    av.logging.set_level(level)
    try:
        next(read_frames(film, SIZE))
        assert [stream.thread_type.name for stream in streams] == [threads]
    finally:
        av.logging.set_level(before)


def test_sound_that_cannot_be_kept_does_not_cost_the_pictures(
    style: Style, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    film = tmp_path / "film.mkv"
    with av.open(str(film), "w") as made:
        stream = made.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        slow = made.add_stream("pcm_s16le", rate=10, layout="mono")
        for number in range(5):
            made.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
        made.mux(stream.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 100), np.int16), format="s16", layout="mono")
        tone.rate, tone.pts = 10, 0
        made.mux(slow.encode(tone))
        made.mux(slow.encode(None))
    painted(film, style, tmp_path / "out.mp4")
    seen = see(tmp_path / "out.mp4")
    assert len(seen.pictures) == 5 and not seen.sound
    assert "Sound with fewer than 4,000 samples a second, or an unknown number of them, is left out." in caplog.text


def test_damaged_sound_does_not_cost_the_pictures(tmp_path: Path) -> None:
    whole = make_film(tmp_path / "film.ts", frames=30, sound="aac").read_bytes()
    kept = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    of_sound = [number for number, packet in enumerate(kept) if int.from_bytes(packet[1:3], "big") & 0x1FFF == 0x101]
    film = tmp_path / "damaged.ts"
    for lost in of_sound[3:15]:
        film.write_bytes(b"".join(kept[:lost] + kept[lost + 1 :]))
        seen = open_film(film)
        part = Part(tmp_path / "part.nut", seen, SIZE, lossless=False)
        for frame in read_frames(seen, SIZE):
            part.add(frame.pixels, frame.time, frame.duration)
        part.close()
        join([tmp_path / "part.nut"], seen, tmp_path / "out.mp4", end=part.end, complete=True)
        made = see(tmp_path / "out.mp4")
        [(_, packets, _)] = made.sound
        assert len(made.pictures) == 30 and len(packets) > 15  # many come in one piece


def test_sound_that_begins_late_is_kept(style: Style, tmp_path: Path) -> None:
    film = tmp_path / "film.ts"
    with av.open(str(film), "w") as made:
        stream, track = made.add_stream("mpeg4", rate=5), made.add_stream("mp2", rate=48000, layout="mono")
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.int16), format="s16", layout="mono")
        tone.rate, tone.pts = 48000, 12 * 48000
        packets = track.encode(tone) + track.encode(None)
        for number in range(13 * 5):
            packets += stream.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24"))
        packets += stream.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            made.mux(packet)
    painted(film, style, tmp_path / "out.mp4", size=32)
    [(_, _, times)] = see(tmp_path / "out.mp4").sound
    assert float(times[0]) == pytest.approx(12, abs=0.1)


def test_a_clock_that_leaps_begins_again(tmp_path: Path) -> None:
    clock = Clock(open_film(make_film(tmp_path / "film.mp4")), Fraction(1, 1000))
    hour = 3_600_000
    assert [clock.time(ticks, 40) for ticks in (0, 40, hour, hour + 40)] == [0, 40, hour, hour + 40]  # a slide
    assert [clock.time(ticks, 40) for ticks in (9 * hour, 9 * hour + 40, 80)] == [hour + 80, hour + 120, hour + 160]


def test_interrupted_while_it_finds_its_place_a_film_loses_nothing(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, out = make_film(tmp_path / "film.mp4", frames=100, sound="aac"), tmp_path / "out.mp4"
    with closing(stylize_video(film, style, out, strength=0.0)) as run:
        for _ in range(80):
            next(run)
    before, frames, main = see(partial_film(out)), video_reader._decoded, threading.main_thread().ident
    seen = 0

    def interrupted(stream: Any) -> Any:
        nonlocal seen
        for frame in frames(stream):
            seen += 1
            if seen == 20:
                assert main
                signal.pthread_kill(main, signal.SIGINT)
            time.sleep(0.02)
            yield frame

    monkeypatch.setattr(video_reader, "_decoded", interrupted)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs several tests at once may ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            painted(film, style, out, resume=True)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert seen < 60
    after = see(partial_film(out))
    assert len(after.pictures) == len(before.pictures) and after.seconds == before.seconds
    assert [times[-1] for _, _, times in after.sound] == pytest.approx(
        [times[-1] for _, _, times in before.sound], abs=0.05
    )


def test_the_last_step_says_so(style: Style, tmp_path: Path) -> None:
    film, out = make_film(tmp_path / "film.mp4", frames=4), tmp_path / "out.mp4"
    run = stylize_video(film, style, out, strength=0.0)
    steps = list(islice(run, 4))
    assert [step.last for step in steps] == [False, False, False, True]
    assert not out.exists()
    run.close()
    assert see(out).times == see(film).times, "nothing of it was left to paint"


def test_few_frames(style: Style, tmp_path: Path) -> None:
    for count in range(1, 13):
        film, out = make_film(tmp_path / f"{count}.mp4", frames=count), tmp_path / f"{count}-out.mp4"
        painted(film, style, out)
        assert see(out).times == see(film).times and len(see(out).pictures) == count


@pytest.mark.parametrize("lossless", [False, True])
def test_closed_early_it_can_be_played_and_gone_on_with(style: Style, tmp_path: Path, lossless: bool) -> None:
    suffix = ".mkv" if lossless else ".mp4"
    times = [round(n * 500 + 200 * (n % 3)) for n in range(30)]
    film = make_film(tmp_path / "film.mp4", frames=30, times=times, sound="aac", options={"bf": "0"})
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    painted(film, style, whole, lossless=lossless)

    counts: list[int] = []
    for count in (7, 3, 0):
        run = stylize_video(film, style, out, strength=0.0, lossless=lossless, resume=bool(counts))
        last = list(islice(run, count))[-1:]
        run.close()
        assert not out.exists()
        half = see(partial_film(out))
        assert half.times == see(whole).times[: len(half.times)]
        assert abs(half.sound[0][2][-1] - half.times[-1]) < Fraction(1, 10)
        counts.append(len(half.pictures))
        assert not last or last[0].frame <= counts[-1] < 30
    assert counts == sorted(counts) and counts[0] >= 7 and counts[1] >= counts[0] + 3 and counts[2] == counts[1]

    with pytest.raises(FilmError, match="was begun already") as caught:
        painted(film, style, out, lossless=lossless)
    assert_sentence(caught.value)
    with pytest.raises(FilmError, match="'strength'"):
        painted(film, style, out, lossless=lossless, resume=True, strength=0.5)
    steps = painted(film, style, out, lossless=lossless, resume=True)
    assert steps[0].frame == counts[-1] + 1 and steps[-1].frame == 30
    seen, expected = see(out), see(whole)
    assert (seen.times, seen.seconds, seen.sound) == (expected.times, expected.seconds, expected.sound)
    assert max(map(difference, expected.pictures, seen.pictures)) < 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["film.mp4", whole.name, out.name])


def test_the_film_is_not_taken_for_the_part_of_another(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.part.mp4", frames=3)
    before = film.read_bytes()
    with pytest.raises(FilmError, match=r"'film.part.mp4', its part that is done first, is the film") as caught:
        painted(film, style, tmp_path / "film.mp4")
    assert_sentence(caught.value)
    assert film.read_bytes() == before and [path.name for path in tmp_path.iterdir()] == [film.name]


def test_a_name_in_capitals_is_as_good(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "FILM.MP4", frames=3, sound="aac")
    painted(film, style, tmp_path / "OUT.MP4")
    with av.open(str(tmp_path / "OUT.MP4")) as out:
        assert "mp4" in out.format.name


def test_a_place_that_cannot_be_worked_in_is_a_sentence(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=3)
    (tmp_path / "out.mp4.part").write_text("")
    with pytest.raises(FilmError, match=r"'out.mp4.part', where the film .* could not be written") as caught:
        painted(film, style, tmp_path / "out.mp4")
    assert_sentence(caught.value)
    (tmp_path / "out.mp4.part").unlink()
    (tmp_path / "out.mp4.part").mkdir()
    (tmp_path / "out.mp4.part" / "settings.json").write_text("{")
    with pytest.raises(FilmError, match="settings cannot be read") as caught:
        painted(film, style, tmp_path / "out.mp4", resume=True)
    assert_sentence(caught.value)


def test_where_there_is_no_room_the_film_is_named(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=12)
    with no_room(2000), pytest.raises(FilmError, match=r"^The film 'out\.(part\.)?mp4' could not be written: .*\.$"):
        painted(film, style, tmp_path / "out.mp4")
    steps = painted(film, style, tmp_path / "out.mp4", resume=True)
    assert steps[0].frame > 1 and steps[-1].frame == 12


def test_interrupted_while_it_is_closed_a_film_loses_nothing(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, out = make_film(tmp_path / "film.mp4", frames=60), tmp_path / "out.mp4"

    def interrupted(part: Part) -> None:
        part._container.close()
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(Part, "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            painted(film, style, out)
    half = see(partial_film(out))
    done = len(half.times)  # but for the last ones, which the encoder held
    assert 10 < done < 60 and half.times == see(film).times[:done] and half.seconds == Fraction(done, RATE)
    assert painted(film, style, out, resume=True)[0].frame == done + 1
    assert see(out).times == see(film).times


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (["out.part.mp4", "out.mp4.part/"], "out.part.mp4 has what was painted so far; --resume continues."),
        (["out.mp4.part/"], "there is no film yet; --resume continues."),
        ([], "nothing has been painted yet."),
    ],
)
def test_whoever_interrupts_a_film_is_told_what_is_there(
    style: Style,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: list[str],
    told: str,
) -> None:
    def interrupted(*_: object, **__: object) -> Any:
        for name in there:
            (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
        raise KeyboardInterrupt
        yield

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nst_core.video.stylize_video", interrupted)
    with pytest.raises(typer.Exit):
        video(Path("film.mp4"), str(style.folder), Path("out.mp4"))
    assert capsys.readouterr().err == f"Interrupted: {told}\n"


def test_two_runs_do_not_paint_one_film(style: Style, tmp_path: Path) -> None:
    film, out = make_film(tmp_path / "film.mp4", frames=30), tmp_path / "out.mp4"
    with closing(stylize_video(film, style, out, strength=0.0)) as run:
        next(run)
        for resume in (False, True):
            with pytest.raises(FilmError, match="by another run: once that has ended, resume continues") as caught:
                painted(film, style, out, resume=resume)
            assert_sentence(caught.value)
    painted(film, style, out, resume=True)
    assert see(out).times == see(film).times


def test_a_finished_film_s_folder_goes_when_nothing_in_it_is_open(
    style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete(folder: Path) -> None:  # as NFS would: it keeps what is open
        with locked(folder / "settings.json", FilmError("It is open.")):
            pass
        shutil.rmtree(folder)

    monkeypatch.setattr("nst_core.video.shutil", SimpleNamespace(rmtree=delete))
    painted(make_film(tmp_path / "film.mp4", frames=1), style, tmp_path / "out.mp4")
    assert not work_folder(tmp_path / "out.mp4").exists()


def test_a_finished_film_is_not_painted_again_to_resume_it(style: Style, tmp_path: Path) -> None:
    film, out = make_film(tmp_path / "film.mp4", frames=3), tmp_path / "out.mp4"
    painted(film, style, out, resume=True)  # as a script says that runs until it is done
    made = out.read_bytes()
    with pytest.raises(FilmError, match="there already, and nothing of it is left to paint") as caught:
        painted(film, style, out, resume=True, strength=0.5)
    assert_sentence(caught.value)
    assert out.read_bytes() == made and not work_folder(out).exists()
    painted(film, style, out, strength=0.5)
    assert out.read_bytes() != made


@pytest.mark.parametrize("resume", [False, True])
def test_a_film_whose_part_is_gone_is_not_finished(style: Style, tmp_path: Path, resume: bool) -> None:
    film, out = make_film(tmp_path / "film.mp4", frames=30), tmp_path / "out.mp4"
    if resume:
        with closing(stylize_video(film, style, out, strength=0.0)) as run:
            next(run)
    run = stylize_video(film, style, out, strength=0.0, resume=resume)
    next(run)
    shutil.rmtree(tmp_path / "out.mp4.part")
    with pytest.raises(FilmError, match="together: .* lacks" if resume else "No such file") as caught:
        list(run)
    assert_sentence(caught.value)
    assert not out.exists()


def test_a_file_that_is_somebody_else_s_stays(style: Style, tmp_path: Path) -> None:
    film, thesis = make_film(tmp_path / "film.mp4", frames=3), tmp_path / "out.part.mp4"
    thesis.write_text("thesis")
    with pytest.raises(FilmError, match=r"in 'out.part.mp4' .* exists already: choose another name") as caught:
        painted(film, style, tmp_path / "out.mp4")
    assert_sentence(caught.value)
    assert thesis.read_text() == "thesis" and len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_somebody_else_s_stays(style: Style, tmp_path: Path) -> None:
    film, thesis = make_film(tmp_path / "film.mp4", frames=3), tmp_path / "out.mp4.part" / "thesis.txt"
    thesis.parent.mkdir()
    thesis.touch()
    with pytest.raises(FilmError, match=r"'out.mp4.part' .* holds other things: choose another name") as caught:
        painted(film, style, tmp_path / "out.mp4")
    assert_sentence(caught.value)
    assert thesis.exists()


def test_a_title_in_another_encoding(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=3, sound="aac", title="Cafe noir")
    film.write_bytes(film.read_bytes().replace(b"Cafe noir", "Café noir".encode("latin-1")))
    assert b"Caf\xe9 noir" in film.read_bytes()
    painted(film, style, tmp_path / "out.mp4")
    assert len(see(tmp_path / "out.mp4").pictures) == 3


@pytest.mark.parametrize("rates", [(48000, 48000), (48000, 44100)])
@pytest.mark.parametrize("lossless", [False, True])
@pytest.mark.parametrize("sound", ["aac", "mp2"])
def test_films_that_were_joined_go_on(
    style: Style, tmp_path: Path, sound: str, lossless: bool, rates: tuple[int, int]
) -> None:
    parts = [make_film(tmp_path / f"{rate}.ts", frames=10, sound=sound, sound_rate=rate) for rate in rates]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    out = tmp_path / ("out.mkv" if lossless else "out.mp4")
    painted(joined, style, out, lossless=lossless)
    seen = see(out)
    assert len(seen.pictures) == 20
    steps = np.diff([float(time) for time in seen.times])
    assert steps == pytest.approx(0.04, abs=0.002)  # Matroska's clock has milliseconds
    [(_, _, times)] = seen.sound
    assert times == sorted(set(times)) and float(times[-1]) == pytest.approx(0.8, abs=0.06)
    assert max(np.diff([float(time) for time in times])) < 0.05


@pytest.mark.parametrize("codec", ["pcm_mulaw", "pcm_alaw", "adpcm_ima_qt"])
def test_no_sample_is_lost_where_matroska_does_not_hold_it(style: Style, tmp_path: Path, codec: str) -> None:
    film = make_film(tmp_path / "film.mov", sound=codec, sound_rate=8000, frames=25)
    assert recoded(open_film(film), lossless=True) == f"from {codec} to FLAC"
    painted(film, style, tmp_path / "out.mkv", lossless=True)
    with av.open(str(tmp_path / "out.mkv")) as made, av.open(str(film)) as source:
        assert made.streams.audio[0].codec_context.name == "flac"
        heard, tone = (
            np.concatenate([frame.to_ndarray().ravel() for frame in film.decode(audio=0)]) for film in (made, source)
        )
    np.testing.assert_array_equal(heard, tone)


def test_an_mp3_that_mp4_does_not_hold_becomes_aac(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mkv", sound="libmp3lame", sound_rate=8000, clock=Fraction(1, 1000))
    assert recoded(open_film(film), lossless=False) == "from mp3 to AAC"
    assert recoded(open_film(film), lossless=True) == ""
    painted(film, style, tmp_path / "out.mp4")
    assert see(tmp_path / "out.mp4").sound[0][0] == "aac"


@pytest.mark.parametrize("sound", ["ac3", "mp2"], ids=["copied", "recoded"])
def test_a_track_keeps_its_language(style: Style, tmp_path: Path, sound: str) -> None:
    film = make_film(tmp_path / "film.mkv", sound=sound, language="eng", clock=Fraction(1, 1000))
    painted(film, style, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert made.streams.audio[0].metadata["language"] == "eng"
        assert made.streams.audio[0].codec_context.name == ("ac3" if sound == "ac3" else "aac")


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_the_track_that_is_heard_first_stays_so(style: Style, tmp_path: Path, name: str) -> None:
    one, two = make_film(tmp_path / "one.mkv", sound="aac"), tmp_path / "two.mkv"
    kinds = [Disposition.comment, Disposition.default]
    with av.open(str(one)) as source, av.open(str(two), "w") as film:
        pictures = film.add_stream_from_template(source.streams.video[0])
        tracks = [film.add_stream_from_template(source.streams.audio[0]) for _ in kinds]
        for track, kind in zip(tracks, kinds, strict=True):
            track.disposition = kind
        for packet in [packet for packet in source.demux() if packet.size]:
            times = packet.pts, packet.dts
            for stream in [pictures] if packet.stream.type == "video" else tracks:
                packet.pts, packet.dts, packet.time_base, packet.stream = *times, Fraction(1, 1000), stream
                film.mux(packet)
    painted(two, style, tmp_path / name, lossless=name == "out.mkv")
    with av.open(str(tmp_path / name)) as made:
        assert [track.disposition for track in made.streams.audio] == kinds


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_what_a_film_was_trimmed_of_is_not_heard(style: Style, tmp_path: Path, name: str) -> None:
    made, film, out = make_film(tmp_path / "made.mp4", frames=40, sound="aac"), tmp_path / "film.mp4", tmp_path / name
    with av.open(str(made)) as whole, av.open(str(film), "w") as trimmed:  # as ffmpeg -ss … -c copy does it
        streams = [trimmed.add_stream_from_template(stream) for stream in whole.streams]
        for packet in [packet for packet in whole.demux() if packet.size]:
            assert packet.pts is not None and packet.dts is not None and packet.time_base
            ticks = round(1 / packet.time_base)
            packet.pts, packet.dts = packet.pts - ticks, packet.dts - ticks
            packet.stream = streams[packet.stream.index]
            trimmed.mux(packet)
    painted(film, style, out, lossless=name == "out.mkv")
    seen = see(out)
    # Matroska keeps the whole packet of sound in which the film begins.
    assert [float(time) for time in seen.times] == pytest.approx(np.arange(15) / RATE, abs=0.022)
    with av.open(str(out)) as played:
        heard = [float(frame.time) for frame in played.decode(audio=0)]
    assert 0 <= heard[0] < 0.022 and len(heard) in (28, 29)  # 0.6 s


def test_a_name_may_have_a_colon(style: Style, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_film(tmp_path / "film.mp4", frames=3)
    painted(Path("film.mp4"), style, Path("10:30.mp4"))
    assert len(see(tmp_path / "10:30.mp4").pictures) == 3


def test_nobody_sees_where_a_steady_film_was_gone_on_with(style: Style, tmp_path: Path) -> None:
    world = texture(3, 160, 400)
    drawn = [noisy(world[:96, 3 * n : 3 * n + 144], n, 2) for n in range(40)]
    film = make_film(tmp_path / "film.mkv", frames=40, size=(144, 96), pictures=drawn, options={"crf": "1", "bf": "0"})
    settings: dict[str, Any] = {"strength": 1.0, "lossless": True, "precision": "exact"}
    whole = painted(film, style, tmp_path / "whole.mkv", **settings)
    out = tmp_path / "out.mkv"
    run = stylize_video(film, style, out, **settings)
    list(islice(run, 20))
    run.close()
    rest = painted(film, style, out, resume=True, **settings)
    assert 20 < rest[0].frame <= 40 and [step.frame for step in rest] == list(range(rest[0].frame, 41))
    error = np.square(np.subtract(rest[0].pixels, whole[rest[0].frame - 1].pixels, dtype=float)).mean()
    assert 10 * np.log10(255**2 / error) > 45
    assert len(see(out).pictures) == 40


def test_a_part_that_broke_off_is_gone_on_with(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=30)
    out = tmp_path / "out.mkv"
    run = stylize_video(film, style, out, strength=0.0, lossless=True)
    list(islice(run, 20))
    run.close()
    [part] = (tmp_path / "out.mkv.part").glob("*.nut")
    data = part.read_bytes()
    part.unlink()
    part.with_suffix(".open").write_bytes(data[: len(data) // 2])
    steps = painted(film, style, out, lossless=True, resume=True)
    assert 1 < steps[0].frame < 20
    assert see(out).times == see(film).times
    assert max(map(difference, see(film).pictures, see(out).pictures)) < 3


@pytest.mark.slow
def test_ctrl_c_on_the_command_line(style: Style, tmp_path: Path) -> None:
    make_film(tmp_path / "film.mp4", frames=400, sound="aac")
    words = ("video", "film.mp4", "-o", "out.mp4", "--style", "udnie-lite")
    process = begun(*words, folder=tmp_path)
    while not list(tmp_path.glob("out.mp4.part/*.open")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130, told
    assert told == "Interrupted: out.part.mp4 has what was painted so far; --resume continues.\n"
    done = len(see(tmp_path / "out.part.mp4").pictures)
    assert 0 < done < 400 and not (tmp_path / "out.mp4").exists()
    again = nst(*words, "--resume", folder=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "96 × 64 px, 400 frames" in again.stdout
    seen, film = see(tmp_path / "out.mp4"), see(tmp_path / "film.mp4")
    assert (seen.times, seen.sound) == (film.times, film.sound)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_film(style: Style, tmp_path: Path) -> None:
    code = (
        "import resource, sys; from nst_core import Registry, stylize_video;"
        "style = Registry.load().open('udnie-lite');"
        "steps = stylize_video(sys.argv[1], style, sys.argv[2]);"
        "held = [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss for step in steps];"
        "print(held[50], held[-1])"
    )
    film = make_film(tmp_path / "film.mp4", frames=200, size=(192, 128))
    words = [sys.executable, "-c", code, str(film), str(tmp_path / "out.mp4")]
    told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    early, late = map(int, told.split())
    # 150 frames would be 11 MB as pixels, and as much again as paintings.
    assert late - early < 8_000
    assert len(see(tmp_path / "out.mp4").times) == 200


def test_a_step_has_a_picture_to_show(style: Style, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4")
    step = painted(film, style, tmp_path / "out.mp4")[-1]
    assert open_picture(step.picture).size == SIZE
    assert step.remaining == 0 and step.rate > 0
