"""The line of those whose photographs are to be painted: one at a time, in the order in which they came."""

import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar

from nst_core.errors import NSTError
from nst_core.progress import Progress
from ui.log import WAITING_SECONDS, log_event
from ui.words import Phrase, counted, phrase

T = TypeVar("T")

PROGRESS_INTERVAL = 0.25
"""Seconds between two looks at the progress."""
CALM_SECONDS = 0.5
"""Seconds before anything is said: what is done by then needs no progress report."""

MAX_PLACES = 12
"""How many places a session may have in the line: half of those that there are."""
MIN_DONE = 0.1
"""The part that must be done before progress is reported: until then, the rest cannot be estimated."""
PROGRESS = "{} % painted, about {} s left"
"""What is said again and again, a few times a second."""


class Ended(NSTError):
    """Nobody waits for it any more: its person left, or asked for something else."""

    def __init__(self) -> None:
        super().__init__("Something else was requested in the meantime.")


class Closed(NSTError):
    """The server stops before that person's turn."""

    def __init__(self) -> None:
        super().__init__("This server is restarting: try again in a minute.")


class Crowded(NSTError):
    """The person has as many places in the line as one may have."""

    def __init__(self) -> None:
        super().__init__(f"You already have {MAX_PLACES} pictures waiting: try again when one is done.")


class Turn(Generic[T]):
    """A person's place in the line, and what comes of it."""

    def __init__(self, line: "Line", session: str | None, key: Hashable, work: Callable[[Progress], T]) -> None:
        self.session, self.key, self.work = session, key, work
        self.joined = time.monotonic()
        self.began: float | None = None
        self.done = 0.0
        """The part that is done, 0–1."""
        self.over = False
        self.future: Future[T] = Future()
        self._line = line

    def watch(self) -> Iterator[list[Phrase]]:
        """What to say about it, a few times a second, until it is done; nothing if it takes under a second."""
        while True:
            wait([self.future], PROGRESS_INTERVAL)
            if self.future.done():  # or cancelled, for which ``wait`` goes on waiting
                return
            yield self._said()

    def _said(self) -> list[Phrase]:
        now = time.monotonic()
        if now - self.joined < CALM_SECONDS:
            return []
        if self.began is None:
            before = self._line.before(self)
            if not before:
                return [phrase("Your earlier request comes first")]
            return [counted("1 person is ahead of you", "{} people are ahead of you", before)]
        if self.done < MIN_DONE:
            return []
        left = (now - self.began) * (1 / self.done - 1)
        if now - self.joined + left < 2 * CALM_SECONDS:
            return []
        return [phrase(PROGRESS, round(100 * self.done), max(1, round(left)))]

    def result(self) -> T:
        """Its result, once it is done.

        Raises:
            Ended: nobody waits for it any more.
            Closed: the server stops.
            NSTError: whatever the work raises.
        """
        try:
            return self.future.result()
        except (CancelledError, Ended):
            raise Closed if self._line.closed else Ended from None

    def tell(self, done: float) -> None:
        """Note which part is done; this is how the work learns that nobody waits for it any more."""
        if self.over:
            raise Ended
        self.done = done


class Line:
    """Works for one at a time, in a thread of its own."""

    def __init__(self) -> None:
        self._turns: list[Turn[Any]] = []
        """The waiting turns, and before them the one that has begun."""
        self._lock = Lock()
        self._thread = ThreadPoolExecutor(1, "line")
        self.closed = False

    def join(
        self,
        session: str | None,
        work: Callable[[Progress], T],
        key: Hashable = None,
        wanted: Callable[[], bool] = lambda: True,
    ) -> Turn[T]:
        """Take a place in the line; at its turn, ``work`` is called with a function to tell its progress to.

        With a key, a session has one place at most: a turn with the same key is returned; one with another key, if it
        still waits, keeps its place for this work, and if it has begun, ends. ``wanted`` tells whether still to join.

        Raises:
            Closed: the server stops.
            Ended: it is not ``wanted``.
            Crowded: the session has as many places as one may have.
        """
        with self._lock:
            if self.closed:
                raise Closed
            if not wanted():  # under the lock: no later one can join between the answer and the place
                raise Ended
            for turn in self._turns if key is not None else ():
                if turn.session != session or turn.key is None or turn.over:
                    continue
                if turn.key == key:
                    return turn
                if turn.began is None:
                    turn.key, turn.work = key, work
                    return turn
                turn.over = True
            if session and sum(turn.session == session and not turn.over for turn in self._turns) >= MAX_PLACES:
                raise Crowded
            turn = Turn(self, session, key, work)
            self._turns.append(turn)
            turn.future = self._thread.submit(self._call, turn)
        return turn

    def skip(self, value: T) -> Turn[T]:
        """A turn that is over, with ``value`` as its result."""
        turn = Turn[T](self, None, None, lambda progress: value)
        turn.future.set_result(value)
        return turn

    def leave(self, turn: Turn[Any]) -> None:
        """End one turn, at once if it has not begun."""
        with self._lock:
            self._end([turn])

    def end(self, session: str | None, *, keyed: bool = False, wanted: Callable[[], bool] = lambda: True) -> None:
        """End all turns of a session, or only those with a key; none if that is not ``wanted`` any more."""
        with self._lock:
            if wanted():
                self._end([one for one in self._turns if one.session == session and (one.key is not None or not keyed)])

    def close(self) -> None:
        """End all turns, and take no more."""
        with self._lock:
            self.closed = True
            self._end([*self._turns])

    def waiting(self) -> int:
        """How many wait for their turn."""
        with self._lock:
            return sum(turn.began is None for turn in self._turns)

    def before(self, turn: Turn[Any]) -> int:
        """How many other people come before a turn; each turn without a session counts as another person."""
        with self._lock:
            earlier = self._turns[: self._turns.index(turn)] if turn in self._turns else []
            return len({one.session or one for one in earlier} - {turn.session})

    def wait(self) -> None:
        """Return once the turn that has begun is over: for those who compute in the background."""
        with self._lock:
            now = [turn.future for turn in self._turns if turn.began is not None]
        wait(now)

    def _end(self, turns: list[Turn[Any]]) -> None:
        for turn in turns:
            if turn.over:  # a page that is left hangs up first
                continue
            turn.over = True
            log_event("left")
            if turn.future.cancel() and turn in self._turns:
                self._turns.remove(turn)

    def _call(self, turn: Turn[T]) -> T:
        with self._lock:
            turn.began = time.monotonic()
            work = turn.work
        WAITING_SECONDS.observe(turn.began - turn.joined)
        try:
            with suppress(Ended):
                return work(turn.tell)
        finally:
            with self._lock:
                self._turns.remove(turn)
        raise Ended  # a new one: the first holds on to the half-painted picture
