"""Pieces of a film: decoded alone, they have the frames of the whole; painted alone, nobody sees where they meet."""

import pickle
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from made_films import RATE, make_film
from test_temporal_consistency import noisy, texture

from nst_core import video_segments
from nst_core.frames import FramePainter, paint_piece
from nst_core.registry import Registry
from nst_core.video_reader import Film, FilmError, Frame, open_film, read_frames
from nst_core.video_segments import Piece, cut
from nst_core.video_writer import Part


@pytest.fixture(autouse=True)
def short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_segments, "FRAMES", 7)


def own_and_before(film: Film, piece: Piece) -> tuple[list[Frame], list[Frame]]:
    """The frames that it is for, and those before them, as another machine would decode them."""
    sent: Piece = pickle.loads(pickle.dumps(piece))
    begin = film.since_start(piece.begin, piece.time_base)
    frames = list(sent.frames(film, film.size()))
    return [frame for frame in frames if frame.time >= begin], [frame for frame in frames if frame.time < begin]


def assert_same(frames: list[Frame], expected: list[Frame]) -> None:
    assert [frame[1:] for frame in frames] == [frame[1:] for frame in expected]
    for one, other in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


MATROSKA = Fraction(1, 1000)
FILMS: dict[str, dict[str, Any]] = {
    "film.mp4": {"options": {"g": "10"}, "sound": "aac"},
    "open.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none:open-gop=1:keyint=10"}},
    "turned.mov": {"rotation": 90, "options": {"g": "4"}},
    "film.avi": {"codec": "mpeg4", "clock": Fraction(1, RATE)},
    "ahead.avi": {"codec": "mpeg4", "clock": Fraction(1, RATE), "options": {"bf": "2"}},
    "h264.avi": {"clock": Fraction(1, RATE), "options": {"bf": "0", "g": "9"}},
    "one-keyframe.mkv": {"clock": MATROSKA},
    "film.webm": {"codec": "libvpx-vp9", "clock": MATROSKA, "options": {"g": "9"}},
    "every-keyframe.mkv": {"codec": "ffv1", "pixels": "bgr0", "clock": MATROSKA},
    "film.gif": {"codec": "gif", "pixels": "rgb8", "clock": Fraction(1, 100)},
    "film.ts": {"clock": Fraction(1, 90000), "options": {"g": "10"}},
    "uneven.mp4": {"times": [400 * n + 100 * (n % 3) + (n > 12) * 9000 for n in range(30)], "options": {"g": "8"}},
}


@pytest.mark.parametrize("name", FILMS)
def test_pieces_have_the_frames_of_the_whole(tmp_path: Path, name: str) -> None:
    film = open_film(make_film(tmp_path / name, frames=30, **FILMS[name]))
    whole = list(read_frames(film, film.size()))
    assert len(whole) == 30
    for before in (0, 3):
        done: list[Frame] = []
        for piece in cut(film, before=before):
            own, earlier = own_and_before(film, piece)
            assert 1 <= len(own) <= 7
            assert_same(earlier, done[-before:] if before else [])
            done += own
        assert_same(done, whole)
    for last in (0, 5, 16):
        rest = [own_and_before(film, piece)[0] for piece in cut(film, after=whole[last].time)]
        assert_same([frame for own in rest for frame in own], whole[last + 1 :])
    assert list(cut(film, after=whole[-1].time)) == []


@pytest.mark.parametrize(
    ("first", "alike"),
    [(7, [241, 241, 241]), (5, [200, 200, 201])],  # where a piece would begin, and where one would begin too early
)
def test_frames_of_one_time_stay_together(tmp_path: Path, first: int, alike: list[int]) -> None:
    times = [40 * n for n in range(30)]
    times[first : first + 3] = alike
    film = open_film(
        make_film(tmp_path / "film.mkv", times=times, frames=30, codec="ffv1", pixels="bgr0", clock=MATROSKA)
    )
    done = [frame for piece in cut(film) for frame in own_and_before(film, piece)[0]]
    assert_same(done, list(read_frames(film, film.size())))


def test_frames_that_a_file_hides_stay_hidden(tmp_path: Path) -> None:
    made = make_film(tmp_path / "whole.mp4", frames=60, options={"g": "30", "bf": "2"})
    with av.open(str(made)) as whole, av.open(str(tmp_path / "cut.mp4"), "w") as out:  # as ffmpeg -ss … -c copy cuts it
        stream = out.add_stream_from_template(whole.streams.video[0])
        for packet in [packet for packet in whole.demux(video=0) if packet.size]:
            assert packet.pts is not None and packet.dts is not None and packet.time_base
            ticks = round(Fraction(7, 10) / packet.time_base)
            packet.pts, packet.dts, packet.stream = packet.pts - ticks, packet.dts - ticks, stream
            out.mux(packet)
    film = open_film(tmp_path / "cut.mp4")
    shown = list(read_frames(film, film.size()))
    assert 30 < len(shown) < 50
    done = [own_and_before(film, piece)[0] for piece in cut(film)]
    assert all(1 <= len(own) <= 7 for own in done)
    assert_same([frame for own in done for frame in own], shown)


def test_what_cannot_be_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [make_film(tmp_path / f"{n}.ts", clock=Fraction(1, 90000), frames=20) for n in range(2)]
    (tmp_path / "film.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(FilmError, match=r"clock jumps back. Only a single machine can paint it\.$"):
        list(cut(open_film(tmp_path / "film.ts")))
    hours = [3 * 3600 * 90000 + 3600 * n for n in range(20)]
    late = make_film(tmp_path / "late.ts", clock=Fraction(1, 90000), frames=20, times=hours)
    (tmp_path / "film.ts").write_bytes(parts[0].read_bytes() + late.read_bytes())
    with pytest.raises(FilmError, match=r"clock jumps ahead. Only a single machine can paint it\.$"):
        list(cut(open_film(tmp_path / "film.ts")))
    ahead = make_film(tmp_path / "film.avi", clock=Fraction(1, RATE), options={"bf": "2"}, frames=20)
    with pytest.raises(
        FilmError, match=r"does not say when its frames are shown. Only a single machine can paint it\.$"
    ):
        list(cut(open_film(ahead)))
    film = open_film(make_film(tmp_path / "film.mkv", frames=30, clock=MATROSKA))
    monkeypatch.setattr(video_segments, "MOST_BYTES", 500)
    with pytest.raises(FilmError, match=r"frames have no keyframe. Only a single machine can paint it\.$"):
        list(cut(film))


def test_large_frames_make_short_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_film(tmp_path / "film.mkv", frames=30, codec="ffv1", pixels="bgr0", clock=MATROSKA, options={"g": "1"})
    monkeypatch.setattr(video_segments, "MOST_BYTES", 4 * made.stat().st_size // 30)
    film = open_film(made)
    sizes = [sum(len(packet.data) for packet in piece.packets) for piece in cut(film, before=2)]
    assert len(sizes) > 10 and max(sizes) < 8 * made.stat().st_size // 30


def test_nobody_sees_where_steady_pieces_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that pans, with a sensor's noise: the film in pieces beside the film as one."""
    monkeypatch.setattr(video_segments, "FRAMES", 20)
    world = texture(3, 160, 400)
    drawn = [noisy(world[:96, 3 * n : 3 * n + 144], n, 2) for n in range(40)]
    made = make_film(
        tmp_path / "film.mkv", frames=40, size=(144, 96), pictures=drawn, codec="ffv1", pixels="bgr0", clock=MATROSKA
    )
    film, style = open_film(made), Registry.load().open("udnie-lite")
    painter = FramePainter(
        full=film.size(),
        size=film.size(),
        strength=1.0,
        color="style",
        stroke=1.0,
        precision="exact",
        steady=True,
        lossless=True,
    )
    part = Part(tmp_path / "whole.nut", film, painter.size, lossless=True)
    whole = list(painter.paint(read_frames(film, painter.full), [style], part))
    part.close()

    def off(before: int) -> float:
        """PSNR of the first frame of the second piece, in dB."""
        shown = []
        for piece in cut(film, before=before):
            painted = tmp_path / "piece.nut"
            part = Part(painted, film, painter.size, lossless=True)
            begin = film.since_start(piece.begin, piece.time_base)
            shown += list(painter.paint(piece.frames(film, painter.full), [style], part, begin=begin))
            part.close()
        error = [float(np.square(np.subtract(a, b, dtype=float)).mean()) for a, b in zip(shown, whole, strict=True)]
        assert not any(error[:20])
        return 10 * np.log10(255**2 / error[20])

    assert off(video_segments.BEFORE) > 48 > 40 > off(0)
    result = paint_piece(film, painter, [style], next(cut(film)))
    assert result.frames == 20 and result.end == 800
    np.testing.assert_array_equal(result.pixels, whole[19])
