"""Repaints films on the page, a few frames per turn, as many as fit in, and keeps the results."""

import math
import shutil
import time
from collections.abc import Generator, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from nst_core.errors import NSTError
from nst_core.progress import Progress
from nst_core.style import Style
from nst_core.stylization import stylize
from nst_core.text import slug
from nst_core.video import VideoStep, partial_film, stylize_video
from nst_core.video_reader import Film, open_film, read_frames
from nst_core.video_sound import recoded
from ui.errors import PageError
from ui.files import KEEP_FILES_SECONDS, KEEP_SECONDS, keeping
from ui.line import Ended, Turn
from ui.log import log_event
from ui.session_cache import SessionCache
from ui.studio import Studio
from ui.watched import Service, Watched, duration
from ui.wish import Wish
from ui.words import Phrase, counted, phrase

FILM_SIZES = (320, 480, 640, 960, 1280)
"""The longer sides to choose from, in pixels."""
MAX_SECONDS = 600
"""The most of this server's time for one film."""
SOUND_SECONDS = 120
"""The most of it for a film's sound, once the pictures are there: an hour of it takes twenty seconds."""
TURN_SECONDS = 0.5
"""Seconds of painting per turn, for which others wait behind a film."""
TRIAL_FRAMES, TRIAL_SECONDS = 4, 1.5
"""The fewest frames, and seconds, by which the pace is judged."""


class VideoRun(Watched):
    """One film as it is repainted; its files go when it does."""

    def __init__(self, folder: Path) -> None:
        super().__init__(0, folder)
        self.status = [phrase("Examining the film …")]
        self.film: Path | None = None
        """The painted film, in the end."""
        self.before: VideoRun | None = None
        """The session's last finished run, as long as this one is not finished."""
        self.done = 0
        """Frames done."""
        self.worked = 0.0
        """Seconds of work, without others' turns."""
        self.finished = False
        self.explained = False
        """Whether it was said that it goes on as it began, though a setting was changed."""
        self.turn: Turn[Any] | None = None
        """The latest turn."""


class VideoService(Service[VideoRun]):
    """Repaints films of at most ``studio.max_side`` pixels per side, in the studio's line like everything else."""

    def __init__(self, studio: Studio, max_seconds: float = MAX_SECONDS) -> None:
        super().__init__(8 * KEEP_SECONDS, 64)  # many turns of others may come between its own
        self.studio = studio
        self.sizes = [size for size in FILM_SIZES if size <= studio.max_side] or [studio.max_side]
        self.max_seconds = max_seconds
        self._firsts: SessionCache[VideoRun] = SessionCache(64, KEEP_FILES_SECONDS)
        self._wishes: SessionCache[Wish] = SessionCache(1000, KEEP_SECONDS)
        """The wish whose first frame each page asked for last."""
        self._painted: SessionCache[tuple[Path, Wish]] = SessionCache(64, KEEP_FILES_SECONDS)
        """What each page shows a first frame of, or the whole film."""
        self._bare: SessionCache[bool] = SessionCache(1000, KEEP_SECONDS)
        """Pages whose film was taken away."""
        self._paces: dict[str, float] = {}
        """Seconds per pixel, by what paints."""
        self._closers = ThreadPoolExecutor(1, "film")

    def first(self, session: str | None, path: Path, wish: Wish) -> VideoRun:
        """The film's first frame, painted, and in words how long all of it would take, or how much of it would fit.

        Raises:
            Ended: the page has asked for another one since, for the whole film, or for none.
            NSTError: the film, the style or a number is refused.
        """
        if self._bare.get(session):
            raise Ended
        self._wishes.put(session, wish)
        styles, film, size, settings = self.checked(session, path, wish)
        kind = _kind(styles, wish)
        run = VideoRun(self.studio.folder)

        def paint(progress: Progress) -> None:
            if not self._wants(session, wish):
                raise Ended
            frame = Image.fromarray(next(read_frames(film, film.size(size))).pixels)
            run.snap(1, _as_shown(stylize(frame, styles[0], **settings, progress=progress), film))
            if kind not in self._paces:  # again, as the very first time takes several times as long
                began = time.perf_counter()
                stylize(frame, styles[0], **settings, progress=progress)
                self._paces[kind] = (time.perf_counter() - began) / math.prod(frame.size)

        turn = self.studio.line.join(session, paint)
        for _ in turn.watch():
            if not self._wants(session, wish):  # a few presses would take all of a session's places
                self.studio.line.leave(turn)
        turn.result()
        if not self._wants(session, wish):
            raise Ended
        if not run.snapshots:
            raise PageError("This server has no space for the first frame at the moment: try again in an hour.")
        shown = phrase("the first frame")
        if film.frames:
            shown = counted("1 frame", "the first of {} frames", film.frames)
        run.status = [phrase("{} × {} px", *film.size(size)), shown, *self._plan(film, kind, size)]
        run.running = False
        self._firsts.put(session, run)
        self._painted.put(session, (path, wish))
        return run

    def choose(self, session: str | None, film: bool) -> None:
        """Note that the session's page has another film now, or none: the first frames it asked for are given up.

        A setting that was changed before the film was taken away may arrive after that, and then asks for nothing.
        """
        self._wishes.forget(session)
        self._painted.forget(session)
        if film:
            self._bare.forget(session)
        else:
            self._bare.put(session, True)
            self._firsts.forget(session)

    def watch(self, session: str | None, path: Path, wish: Wish) -> Iterator[VideoRun]:
        """Repaint the film; yields the same run again and again, a few times a second, as it goes on.

        Raises:
            NSTError: whatever the library refuses before the first frame; later, the run has it as ``trouble``.
        """
        self._wishes.forget(session)
        styles, film, size, settings = self.checked(session, path, wish)
        self._painted.put(session, (path, wish))
        run, earlier = VideoRun(self.studio.folder), self.ended(session)
        run.before = earlier.before if earlier and not earlier.finished else earlier
        out = run.folder / f"{slug(path.stem)}-{slug(styles[0].id)}.mp4"
        own = run.folder / "film" / path.name  # an upload may be gone before its sound is needed
        with keeping("the film"):
            own.parent.mkdir()
            shutil.copyfile(path, own)
        painter = stylize_video(own, styles[0], out, size=size, sound_seconds=SOUND_SECONDS, **settings)
        yield run
        self.running.put(session, run)  # not before: if nobody asks for more, it never ends
        film = replace(film, path=own)
        try:
            yield from self._paint(session, painter, run, film, _kind(styles, wish), size)
        except Ended:
            pass
        except NSTError as error:
            if not run.done:
                raise
            run.fail(error)
        finally:
            run.running = False
            # In a thread: it may be in the middle of a frame, and this may be the server's own event loop.
            closing = self._closers.submit(_close, painter, run)
        try:
            closing.result()
        except NSTError as error:  # what was painted before may be there all the same
            run.fail(error)
        if partial_film(out).is_file():
            partial_film(out).replace(out)
        if not out.is_file():
            if run.trouble:
                raise run.trouble
            raise PageError("The film was stopped before its first frame was finished.")
        if run.finished:
            run.before = None
        done = counted("1 frame", "{} frames", run.done)
        run.status = [run.outcome(run.finished), done, phrase("{}", duration(run.worked))]
        if recoded(film, lossless=False):
            run.status.append(phrase("sound converted to AAC"))
        run.film, run.progress = out, 1.0
        log_event("filmed", frames=run.done, seconds=run.worked)
        self._ended.put(session, run)
        self._firsts.forget(session)
        yield run

    def shown(self, session: str | None) -> VideoRun | None:
        """What the session's viewer showed last: a first frame, or a film that has ended."""
        return self._firsts.get(session) or self.ended(session)

    def shows(self, session: str | None, path: Path, wish: Wish) -> bool:
        """Whether the session's page has just this already."""
        return self._painted.get(session) == (path, wish)

    def checked(
        self, session: str | None, path: Path, wish: Wish
    ) -> tuple[list[Style], Film, int | None, dict[str, Any]]:
        """The styles, the film, its longer side (None for its own: it is never enlarged) and the other settings.

        Raises:
            NSTError: the film, the style or a number is refused.
        """
        most = min(self.sizes[-1], self.studio.limit(wish))
        if wish.size is None or not 0 < wish.size <= most:
            server = "With these strokes, this server" if most < self.sizes[-1] else "This server"
            raise PageError(f"{server} paints films of up to {most} px on the longer side: choose a size up to that.")
        styles = [self.studio.style(session, name) for name in wish.styles]
        film = open_film(path)
        size = wish.size if wish.size < max(film.width, film.height) else None
        settings = wish.model_dump(include={"strength", "color", "stroke"})
        if wish.second:
            settings |= {"second": styles[1], "mix": wish.mix}
        return styles, film, size, settings

    def _wants(self, session: str | None, wish: Wish) -> bool:
        return self._wishes.get(session) is wish

    def _paint(
        self,
        session: str | None,
        painter: Generator[VideoStep, None, None],
        run: VideoRun,
        film: Film,
        kind: str,
        size: int | None,
    ) -> Iterator[VideoRun]:
        snapped, bound = 0.0, list[Phrase]()
        while not run.stopped and run.worked < self.max_seconds:
            turn = self.studio.line.join(session, lambda progress: _burst(painter, progress))
            run.turn = turn
            try:
                yield from self._waiting(turn, run)
            finally:
                if not turn.future.done():
                    self.studio.line.leave(turn)
            steps, seconds = turn.result()
            run.worked += seconds
            if not steps:
                run.finished = True
                return
            run.done = steps[-1].frame
            rate = run.done / run.worked
            tried = run.done >= TRIAL_FRAMES and run.worked >= TRIAL_SECONDS
            if tried:
                width, height = film.size(size)
                self._paces[kind] = 1 / (rate * width * height)
                bound = bound or self._bound(film, kind, size)
            pace = phrase("{} a second", f"{rate:.1f}")
            if film.frames:
                fits = int(rate * self.max_seconds) if tried else film.frames  # the first frames take longer
                most = run.steps = max(run.done, min(film.frames, fits))
                ahead = most - run.done  # none while the sound is copied
                left = [phrase("about {} left", duration(ahead / rate))] if tried and ahead else []
                run.status = [phrase("Frame {} of {}", run.done, most), pace, *left, *bound]
                run.progress = run.done / most
            else:  # the film does not say how many it has
                run.status = [phrase("Frame {}", run.done), pace]
                run.progress = min(1.0, run.worked / self.max_seconds)
            if time.monotonic() - snapped > 1:
                snapped = time.monotonic()
                run.snap(run.done, _as_shown(steps[-1].picture, film))
            yield run
            if steps[-1].last:  # others need not wait for the rest
                run.finished = True
                return

    def _waiting(self, turn: Turn[Any], run: VideoRun) -> Iterator[VideoRun]:
        """Say who is ahead of it, until it has had its turn or need not wait for it any more."""
        for phrases in turn.watch():
            if turn.began is None:
                if run.stopped:
                    self.studio.line.leave(turn)
                run.status = phrases or run.status
                yield run

    def _plan(self, film: Film, kind: str, size: int | None) -> list[Phrase]:
        """How long a film would take, or how much of it would fit."""
        width, height = film.size(size)
        if not film.frames:
            return [phrase("at most {}", duration(self.max_seconds))]
        seconds = film.frames * self._paces[kind] * width * height
        return self._bound(film, kind, size) or [phrase("painting all of them takes about {}", duration(seconds))]

    def _bound(self, film: Film, kind: str, size: int | None) -> list[Phrase]:
        """How much of a film fits, and at which size all of it would; nothing if all of it fits."""
        if not film.frames:
            return []
        pace = self._paces[kind]

        def fit(size: int | None) -> int:
            width, height = film.size(size)
            return int(self.max_seconds / (pace * width * height))

        if film.frames <= fit(size):
            return []
        shown, whole = (duration(float(frames / film.rate)) for frames in (fit(size), film.frames))
        words, values = "only the first {} of its {} can be painted in {}", (shown, whole, duration(self.max_seconds))
        if smaller := [one for one in self.sizes if one < (size or max(film.size())) and fit(one) >= film.frames]:
            return [phrase(f"{words}; at {{}} px, all of it", *values, smaller[-1])]
        return [phrase(words, *values)]


def _as_shown(frame: Image.Image, film: Film) -> Image.Image:
    """A frame with square pixels, as players show it, and no larger."""
    wide = float(film.pixel_aspect)
    size = round(frame.width * min(wide, 1.0)), round(frame.height / max(wide, 1.0))
    return frame if size == frame.size else frame.resize((max(1, size[0]), max(1, size[1])))


def _kind(styles: list[Style], wish: Wish) -> str:
    """What the pace depends on, besides pixels."""
    return f"{' + '.join(style.architecture.id for style in styles)}, {wish.stroke}"


def _burst(painter: Iterator[VideoStep], progress: Progress) -> tuple[list[VideoStep], float]:
    """Some frames, none if no more are left, and the seconds that they took."""
    began, steps = time.monotonic(), list[VideoStep]()
    while time.monotonic() - began < TURN_SECONDS and not (steps and steps[-1].last) and (step := next(painter, None)):
        steps.append(step)
        progress(0.0)
    return steps, time.monotonic() - began


def _close(painter: Generator[VideoStep, None, None], run: VideoRun) -> None:
    """Finish the file once nothing more is painted for it; until then, its folder stays."""
    if run.turn:
        with suppress(CancelledError):
            run.turn.future.exception()
    run.turn = None  # it holds frames
    painter.close()
