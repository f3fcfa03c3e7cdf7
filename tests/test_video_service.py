"""Films on the page: bounded, stopped, in turns with everybody's photographs, seen by one session."""

import io
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from full_disk import no_room
from made_films import make_film, see
from PIL import Image
from waiting import wait_until

from nst_core.errors import NSTError
from nst_core.images import open_picture
from nst_core.registry import Registry
from nst_core.stylization import stylize
from nst_core.video_reader import FilmError, open_film
from nst_core.video_writer import Part
from ui.errors import PageError
from ui.line import Ended
from ui.session_cache import expire
from ui.studio import Studio
from ui.video_service import VideoRun, VideoService
from ui.wish import Wish
from ui.words import spoken


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    folder = tmp_path / "files"
    folder.mkdir()
    return Studio(Registry.load(), folder, max_side=512)


@pytest.fixture
def videos(studio: Studio) -> VideoService:
    return VideoService(studio)


@pytest.fixture
def film(tmp_path: Path) -> Path:
    return make_film(tmp_path / "My Holiday.mp4", frames=40, sound="aac")


def wish(**said: Any) -> Wish:
    return Wish.of(**{"style": "udnie-lite", "size": 320, **said})


def ended(runs: Iterator[VideoRun]) -> VideoRun:
    *_, last = runs
    return last


def test_a_film_is_painted_in_turns(videos: VideoService, film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.video_service.TRIAL_SECONDS", 0.0)
    lines = list[str]()
    for run in videos.watch("ann", film, wish(strength=0.5)):
        lines.append(spoken(run.status))
    assert run.film and run.film.name == "my-holiday-udnie-lite.mp4"
    assert run.film.is_relative_to(videos.studio.folder)
    assert spoken(run.status).startswith("Finished · 40 frames") and not run.running
    frames = [line for line in lines if re.match(r"Frame \d+ of 40 · ", line)]
    assert frames and "left" not in frames[-1]
    made, source = see(run.film), see(film)
    assert (made.times, made.sound) == (source.times, source.sound)
    assert run.snapshots and videos.ended("ann") is run
    assert videos.ended("bob") is None
    folder = run.folder
    del run
    assert folder.exists()
    videos.running.seconds = videos._ended.seconds = 0
    expire()
    assert videos.ended("ann") is None and not folder.exists()


def test_a_film_of_one_frame_is_not_said_to_have_several(videos: VideoService, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=1)
    assert "96 × 64 px · 1 frame · " in spoken(videos.first("ann", film, wish()).status)


def test_of_a_film_that_does_not_say_how_long_it_is_no_end_is_foretold(videos: VideoService, film: Path) -> None:
    """As browsers record them: the file is written without looking back."""
    written = io.BytesIO()
    streamed = film.with_name("streamed.mkv")
    with av.open(str(film)) as source, av.open(SimpleNamespace(write=written.write), "w", format="matroska") as out:
        track = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = track
                out.mux(packet)
    streamed.write_bytes(written.getvalue())
    assert open_film(streamed).frames is None
    assert "the first frame · at most " in spoken(videos.first("ann", streamed, wish()).status)
    lines = [
        (spoken(one.status), one.progress)
        for one in videos.watch("ann", streamed, wish())
        if spoken(one.status).startswith("Frame ")
    ]
    assert lines and all(" of " not in line and " left" not in line and part < 0.5 for line, part in lines)


def test_the_first_frame_comes_at_once_with_an_estimate(videos: VideoService, film: Path) -> None:
    run = videos.first("ann", film, wish(size=320))
    assert spoken(run.status).startswith("96 × 64 px · the first of 40 frames · painting all of them takes about ")
    [(_, file)] = run.snapshots
    assert open_picture(file).size == (96, 64)
    expected = stylize(Image.fromarray(see(film).pictures[0]), videos.studio.registry.open("udnie-lite"))
    difference = np.asarray(open_picture(file), float) - np.asarray(expected)
    assert np.abs(difference.mean((0, 1))).max() < 3
    assert not run.running and videos.ended("ann") is None


def test_what_is_slow_for_the_first_time_alone_is_not_foretold(
    videos: VideoService, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = iter([1.0])

    def slow(*words: Any, **settings: Any) -> Image.Image:
        time.sleep(next(waits, 0))
        return stylize(*words, **settings)

    monkeypatch.setattr("ui.video_service.stylize", slow)
    first = videos.first("ann", film, wish())
    [pace] = videos._paces.values()
    assert first.snapshots and pace * 96 * 64 < 0.5


def test_a_first_frame_that_nobody_wants_any_more_leaves_the_line(videos: VideoService, film: Path) -> None:
    """Else a few presses would take all places that a session has in it, and the last of them would be refused."""
    let = threading.Event()
    videos.studio.line.join("eve", lambda progress: let.wait(60))
    with ThreadPoolExecutor() as presses:
        before = presses.submit(videos.first, "ann", film, wish(strength=0.0))
        wait_until(lambda: videos.studio.line.waiting() == 1)
        last = presses.submit(videos.first, "ann", film, wish(strength=0.5))
        with pytest.raises(Ended):
            before.result(30)
        wait_until(lambda: videos.studio.line.waiting() == 1)
        videos.choose("ann", False)
        with pytest.raises(Ended):
            last.result(30)
        assert not videos.studio.line.waiting()
        let.set()


def test_pixels_that_are_not_square_are_shown_as_players_do(videos: VideoService, tmp_path: Path) -> None:
    for aspect, size in ((Fraction(2), (96, 32)), (Fraction(1, 2), (48, 64))):
        film = make_film(tmp_path / "film.mp4", frames=2, sample_aspect_ratio=aspect)
        for run in (videos.first("ann", film, wish()), ended(videos.watch("ann", film, wish()))):
            assert {open_picture(file).size for _, file in run.snapshots} == {size}


def test_a_second_style_is_laid_over_the_first(videos: VideoService, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=2, options={"crf": "0"})
    said = wish(second="great-wave-lite", mix=0.3)
    first = videos.first("ann", film, said)
    whole = ended(videos.watch("ann", film, said))
    styles = [videos.studio.registry.open(id) for id in said.styles]
    assert whole.finished and whole.film and len(see(whole.film).pictures) == 2
    for run in (first, whole):
        frame, path = run.snapshots[0]  # whichever of them was shown
        photo, painted = Image.fromarray(see(film).pictures[frame - 1]), np.asarray(open_picture(path), float)
        expected = np.asarray(stylize(photo, styles[0], second=styles[1], mix=0.3), float)
        alone = np.asarray(stylize(photo, styles[0]), float)
        assert np.abs(painted - expected).mean() < 0.5 * np.abs(alone - expected).mean()


def test_the_upload_may_go_while_it_is_painted(videos: VideoService, film: Path) -> None:
    sound = see(film).sound
    for run in videos.watch("ann", film, wish()):
        if run.done:
            film.unlink(missing_ok=True)
    assert run.finished and run.film and see(run.film).sound == sound


def test_why_there_is_no_film_in_the_end_is_told(
    videos: VideoService, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **settings: Any) -> None:
        raise FilmError("The film could not be written: No space left on device.")

    monkeypatch.setattr("nst_core.video.join", full)
    with pytest.raises(FilmError, match="No space left"):
        ended(videos.watch("ann", film, wish()))


def test_what_cannot_be_closed_is_a_film_up_to_there(
    videos: VideoService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(part: Part) -> None:
        part._container.close()
        raise FilmError("The film could not be written: No space left on device.")

    monkeypatch.setattr(Part, "close", full)
    film = make_film(tmp_path / "film.mp4", frames=600, sound="aac")
    for run in videos.watch("ann", film, wish()):
        if run.done > 60:
            videos.stop("ann")
    assert "No space left" in str(run.trouble) and run.film and see(run.film).pictures


def test_stopped_it_can_be_played(videos: VideoService, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=600, sound="aac")
    for run in videos.watch("ann", film, wish()):
        if run.done:
            videos.stop("ann")
    assert spoken(run.status).startswith("Stopped · ") and run.film
    made = see(run.film)
    assert run.done <= len(made.pictures) < 600
    assert made.times == see(film).times[: len(made.times)]
    assert float(made.sound[0][2][-1]) == pytest.approx(float(made.seconds), abs=0.1)


def test_a_finished_film_stays_until_the_next_is_finished(videos: VideoService, film: Path, tmp_path: Path) -> None:
    whole = ended(videos.watch("ann", film, wish()))
    folder, long = whole.folder, make_film(tmp_path / "long.mp4", frames=600)
    for _ in range(2):
        for run in videos.watch("ann", long, wish()):
            assert run.before is whole
            if run.done:
                videos.stop("ann")
        assert videos.ended("ann") is run and whole.film and whole.film.is_file()
    del whole
    run = ended(videos.watch("ann", film, wish()))
    assert run.finished and run.before is None and not folder.exists()


def test_more_than_fits_into_its_time_is_trimmed(studio: Studio, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=500, size=(320, 192))
    videos = VideoService(studio, max_seconds=2)
    first = videos.first("ann", film, wish())
    assert " of its 20 s can be painted in 2" in spoken(first.status).replace("\u00a0", " ")
    lines = [spoken(run.status).replace("\u00a0", " ") for run in videos.watch("ann", film, wish())]
    assert any("of its 20 s can be painted in 2" in line for line in lines)
    assert lines[-1].startswith("Ended: its time was up · ")
    trimmed = videos.ended("ann")
    assert trimmed and trimmed.film and 0 < len(see(trimmed.film).pictures) < 500


def test_a_photograph_does_not_wait_for_a_film(videos: VideoService, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=600)
    runs = videos.watch("ann", film, wish())
    while not next(runs).done:
        pass
    thread = threading.Thread(target=ended, args=[runs], daemon=True)
    thread.start()
    picture = Image.new("RGB", (64, 48), "teal")
    turn = videos.studio.stylize("bob", picture, wish())
    assert turn.future.result(30).size == (320, 240)
    assert thread.is_alive()
    videos.stop("ann")
    thread.join(30)
    assert not thread.is_alive()


def test_a_film_waits_for_photographs(videos: VideoService, film: Path) -> None:
    runs = videos.watch("ann", film, wish())
    next(runs)
    painted = threading.Event()
    videos.studio.line.join("bob", lambda progress: painted.wait(60))
    lines = set()
    until = time.monotonic() + 2
    while time.monotonic() < until:
        lines.add(spoken((run := next(runs)).status))
    assert "1 person is ahead of you" in lines and not run.done
    painted.set()
    assert ended(runs).finished


def test_a_closed_page_ends_it(videos: VideoService, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=600)
    runs = videos.watch("ann", film, wish())
    while not (run := next(runs)).done:
        pass
    runs.close()  # type: ignore[attr-defined]
    done = run.done
    time.sleep(0.5)
    assert run.done == done and not run.running and videos.ended("ann") is None


def test_left_at_the_first_look_it_has_never_begun(videos: VideoService, film: Path) -> None:
    """As Gradio leaves it to somebody who presses Stop while it begins."""
    film_that_begins = videos.watch("ann", film, wish())
    next(film_that_begins)
    film_that_begins.close()  # type: ignore[attr-defined]
    assert not any(run.running for run in videos.running.values())


def test_closing_it_waits_for_nobody(videos: VideoService, tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4", frames=600)
    line, over = videos.studio.line, threading.Event()
    first, second = (videos.watch(name, film, wish()) for name in ("ann", "bob"))
    while not (run := next(first)).done:
        pass
    blocker = line.join("eve", lambda progress: over.wait(60))
    next(first)  # it waits behind that
    wait_until(lambda: blocker.began)
    assert next(second) and next(second) and line.waiting() == 2
    videos._closers.submit(over.wait)  # as if another film were being finished
    for runs in (first, second):
        runs.close()  # type: ignore[attr-defined]
    assert line.waiting() == 0 and not blocker.future.done() and not list(run.folder.glob("*.mp4"))
    over.set()
    videos._closers.submit(int).result(30)
    [out] = run.folder.glob("*.mp4")
    assert len(see(out).pictures) >= run.done


def test_a_first_frame_that_finds_no_room_is_no_answer(videos: VideoService, film: Path) -> None:
    with no_room(), pytest.raises(PageError, match="no space for the first frame"):
        videos.first("ann", film, wish())


def test_a_film_that_finds_no_room_is_told(videos: VideoService, film: Path) -> None:
    with no_room(), pytest.raises(PageError, match=r"^This server cannot save the film \(File too large\): try again"):
        ended(videos.watch("ann", film, wish()))
    assert videos.running.get("ann") is None


def test_stopped_in_the_line_it_does_not_wait(videos: VideoService, film: Path) -> None:
    over = threading.Event()
    videos.studio.line.join("eve", lambda progress: over.wait(60))
    runs = videos.watch("ann", film, wish())
    next(runs)
    next(runs)
    videos.stop("ann")
    with pytest.raises(PageError, match="before its first frame"):
        ended(runs)
    over.set()


def test_a_film_that_is_refused_at_once_is_not_said_to_run(videos: VideoService, tmp_path: Path) -> None:
    line = make_film(tmp_path / "line.mp4", frames=3, size=(1, 40), pixels="yuv444p")
    with pytest.raises(FilmError, match="it should have at least 2 × 2"):
        ended(videos.watch("ann", line, wish()))
    run = videos.running.get("ann")
    assert run is None or not run.running


def test_what_is_refused_is_said(videos: VideoService, film: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("I am a text.")
    cases: list[tuple[Path, dict[str, Any], type[NSTError]]] = [
        (text, {}, FilmError),
        (film, {"style": "nothing"}, NSTError),
        (film, {"size": 1280}, PageError),
        (film, {"size": None}, PageError),
        (film, {"size": -4}, PageError),
        (film, {"strength": 3}, NSTError),
        (film, {"stroke": 5}, NSTError),
        (film, {"second": "nothing"}, NSTError),
        (film, {"second": "udnie-lite", "mix": 3}, NSTError),
    ]
    for path, said, kind in cases:
        for ask in (videos.first, lambda *words: ended(videos.watch(*words))):
            with pytest.raises(kind, match=r"^[^/]+\.$"):
                ask("ann", path, wish(**said))
    assert videos.ended("ann") is None
