"""What goes on for a while on this server and is watched: an optimisation, a training, a film; and who does it."""

import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Generic, TypeVar

from PIL import Image

from nst_core.errors import NSTError
from ui.files import KEEP_FILES_SECONDS
from ui.log import log_failure
from ui.session_cache import SessionCache
from ui.words import Phrase, phrase

MAX_SNAPSHOTS = 40
"""The most pictures that are kept of a run; if there are more, every second one goes."""
VIEW_INTERVAL = 0.35
"""Seconds between two looks at the curves."""


class Watched:
    """What is watched while it goes on: its losses at every step, and some of its pictures, whose files go with it."""

    def __init__(self, steps: int, folder: Path) -> None:
        self.id = secrets.token_hex(8)
        """What only the page that watches it knows: the addresses of its pictures may be passed on."""
        self.steps = steps
        """The most steps, those before a continuation included."""
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.losses: dict[str, list[float]] = {}
        """One column is ``step``."""
        self.snapshots: list[tuple[int, Path]] = []
        """The step and the picture's file, in the order of time; the last one is the best once the run has ended."""
        self.status = [phrase("Preparing the feature network and the pictures …")]
        """Its status, in words."""
        self.progress = 0.0
        self.running = True
        self.stopped = False
        """Set from elsewhere when it is to end after the current step."""
        self.trouble: NSTError | None = None
        """The error that ended it, if one did."""

    def snap(self, step: int, picture: Image.Image) -> None:
        """Keep a picture."""
        if len(self.snapshots) >= MAX_SNAPSHOTS:
            # The latest may be on its way to those who watch.
            for _, file in self.snapshots[1:-1:2]:
                file.unlink(missing_ok=True)
            del self.snapshots[1:-1:2]
        # No name comes twice: a browser would show what it has cached by that name.
        kind = "webp" if picture.mode == "RGBA" else "jpeg"
        file = self.folder / f"{step}-{time.monotonic_ns()}.{kind}"
        picture.save(made := BytesIO(), kind, quality=86)  # Pillow itself does not notice a truncated file
        try:
            file.write_bytes(made.getvalue())
        except OSError as error:  # the disk is full; there may be room for the next one, and the run is worth more
            log_failure(error)
            file.unlink(missing_ok=True)
            return
        self.snapshots.append((step, file))
        self.touch()

    def touch(self) -> None:
        """Have its files stay: old ones are deleted."""
        for file in self.folder.rglob("*"):
            with suppress(OSError):
                os.utime(file)

    def outcome(self, finished: bool) -> Phrase:
        """How it ended, for what has a number of steps and a time."""
        how = "Stopped" if self.stopped or self.trouble else "Ended: its time was up"
        return phrase("Finished" if finished else how)

    def fail(self, error: NSTError) -> None:
        """Keep the error that ended it, but not its traceback, whose frames hold memory."""
        error.__cause__ = error.__context__ = None
        self.trouble = error.with_traceback(None)


W = TypeVar("W", bound=Watched)


class Service(Generic[W]):
    """Does such work, and keeps the runs that go on, and each session's last one; they are found by session alone."""

    def __init__(self, running: float, ended: int) -> None:
        """A run that goes on can be stopped for ``running`` seconds; at most ``ended`` of those that ended are kept."""
        self.running: SessionCache[W] = SessionCache(16, running)
        self._ended: SessionCache[W] = SessionCache(ended, KEEP_FILES_SECONDS)

    def ended(self, session: str | None) -> W | None:
        """The session's last run that ended well."""
        return self._ended.get(session)

    def come_back(self, session: str | None, id: str) -> W | None:
        """Let a run that has ended be that session's: its page, which had another one, was loaded again.

        One that goes on is stopped, and is there soon: that a phone has been locked may not have been noticed yet.
        """
        for run in self.running.values():
            if run.id == id:
                run.stopped = True
        return self._ended.move(session, lambda _, run: run.id == id and not run.running)

    def shown(self, session: str | None) -> W | None:
        """What the session's viewer showed last."""
        return self.ended(session)

    def stop(self, session: str | None) -> None:
        """Have the session's run end after the current step."""
        if run := self.running.get(session):
            run.stopped = True

    def stop_all(self) -> None:
        """Have all runs end after the current step."""
        for run in self.running.values():
            run.stopped = True


def duration(seconds: float) -> str:
    """``8 s``, ``4 min 30 s``, ``25 min``, with non-breaking spaces."""
    if seconds < 90:
        words = f"{seconds:.1f} s" if seconds < 3 else f"{seconds:.0f} s"
    else:
        minutes, rest = divmod(round(seconds / 10) * 10, 60)
        words = f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    return words.replace(" ", "\u00a0")


def modestly() -> None:
    """Let this thread, and those that it starts, have only the CPU time that other threads leave."""
    if sys.platform == "linux":  # elsewhere it would be the whole process
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
