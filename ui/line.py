"""The line of those whose photographs are to be painted: one at a time, in the order in which they came."""

import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from threading import Lock
from typing import Any, Generic, TypeVar

from nst_core.errors import NSTError
from nst_core.streaming import Progress
from ui.log import WAITING, note
from ui.words import Phrase, phrase

T = TypeVar("T")

GLANCE = 0.25
"""Seconds between two looks at how far it is."""
CALM = 0.5
"""Seconds for which nothing is said: what is over by then needs no words."""

PLACES = 12
"""How many places a session may have in the line: half of those that there are."""
FIRST = 0.1
"""Which part must be done before it is told: there is nothing to go by for the rest before."""


class Ended(NSTError):
    """Nobody waits for it any more: its person left, or asked for something else."""

    def __init__(self) -> None:
        super().__init__("Something else was asked for in the meantime.")


class Closed(NSTError):
    """The server stops before it is that person's turn."""

    def __init__(self) -> None:
        super().__init__("This server is being restarted: ask again in a minute.")


class Crowded(NSTError):
    """The person stands in the line often enough."""

    def __init__(self) -> None:
        super().__init__(f"{PLACES} of your pictures wait already: ask again when one is done.")


class Turn(Generic[T]):
    """A person's place in the line, and what comes of it."""

    def __init__(self, line: "Line", session: str | None, key: Hashable, work: Callable[[Progress], T]) -> None:
        self.session, self.key, self.work = session, key, work
        self.joined = time.monotonic()
        self.began: float | None = None
        self.done = 0.0
        """Which part of it, in 0–1."""
        self.over = False
        self.future: Future[T] = Future()
        self._line = line

    def watch(self) -> Iterator[list[Phrase]]:
        """What there is to say of it, a few times a second, until it is done; nothing of what takes under a second."""
        while True:
            wait([self.future], GLANCE)
            if self.future.done():  # also what is cancelled, which ``wait`` goes on waiting for
                return
            yield self._said()

    def _said(self) -> list[Phrase]:
        now = time.monotonic()
        if now - self.joined < CALM:
            return []
        if self.began is None:
            before = self._line.before(self)
            if not before:
                return [phrase("What you asked for before comes first")]
            return [phrase("1 person is before you") if before == 1 else phrase("{} people are before you", before)]
        if self.done < FIRST:
            return []
        left = (now - self.began) * (1 / self.done - 1)
        if now - self.joined + left < 2 * CALM:
            return []
        return [phrase("Painted {} %, about {} s more", round(100 * self.done), max(1, round(left)))]

    def result(self) -> T:
        """What came of it, once it is done.

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
        """Take down which part is done; this is the work's way to hear that nobody waits for it."""
        if self.over:
            raise Ended
        self.done = done


class Line:
    """Works for one at a time, in a thread of its own."""

    def __init__(self) -> None:
        self._turns: list[Turn[Any]] = []
        """Those who wait, and before them whoever's turn it is."""
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
        """Wait for one's turn, in which ``work`` is called; what it is given, it should call as it goes on.

        With a key, a session has one place at most. If it waits already for the same, it is that; for something else,
        it keeps the place; and something else that is under way ends. ``wanted`` tells whether that is still right.

        Raises:
            Closed: the server stops.
            Ended: it is not ``wanted``.
            Crowded: the session has all the places that one may have.
        """
        with self._lock:
            if self.closed:
                raise Closed
            if not wanted():  # here, where nobody who comes later can have joined between the answer and the place
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
            if session and sum(turn.session == session and not turn.over for turn in self._turns) >= PLACES:
                raise Crowded
            turn = Turn(self, session, key, work)
            self._turns.append(turn)
            turn.future = self._thread.submit(self._call, turn)
        return turn

    def skip(self, value: T) -> Turn[T]:
        """The turn of somebody who has what they came for."""
        turn = Turn[T](self, None, None, lambda progress: value)
        turn.future.set_result(value)
        return turn

    def leave(self, turn: Turn[Any]) -> None:
        """End one turn, at once if it has not begun."""
        with self._lock:
            self._end([turn])

    def end(self, session: str | None, *, keyed: bool = False, wanted: Callable[[], bool] = lambda: True) -> None:
        """End all that a session waits for, or only what has a key; nothing if that is not ``wanted`` any more."""
        with self._lock:
            if wanted():
                self._end([one for one in self._turns if one.session == session and (one.key is not None or not keyed)])

    def close(self) -> None:
        """End all that anybody waits for, and take nothing more."""
        with self._lock:
            self.closed = True
            self._end([*self._turns])

    def waiting(self) -> int:
        """How many wait for their turn."""
        with self._lock:
            return sum(turn.began is None for turn in self._turns)

    def before(self, turn: Turn[Any]) -> int:
        """How many other people are to be served before a turn; of a turn without a session, each is another."""
        with self._lock:
            earlier = self._turns[: self._turns.index(turn)] if turn in self._turns else []
            return len({one.session or one for one in earlier} - {turn.session})

    def wait(self) -> None:
        """Return once the turn is over of whoever has it: for those who compute in the background."""
        with self._lock:
            now = [turn.future for turn in self._turns if turn.began is not None]
        wait(now)

    def _end(self, turns: list[Turn[Any]]) -> None:
        for turn in turns:
            if turn.over:  # a page that is left hangs up first
                continue
            turn.over = True
            note("left")
            if turn.future.cancel() and turn in self._turns:
                self._turns.remove(turn)

    def _call(self, turn: Turn[T]) -> T:
        with self._lock:
            turn.began = time.monotonic()
            work = turn.work
        WAITING.observe(turn.began - turn.joined)
        try:
            with suppress(Ended):
                return work(turn.tell)
        finally:
            with self._lock:
                self._turns.remove(turn)
        raise Ended  # anew: the first one holds on to the half-painted picture
