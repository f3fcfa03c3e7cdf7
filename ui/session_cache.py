"""A small, bounded memory of what was computed for a person, so that it need not be computed again."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, Generic, TypeVar
from weakref import WeakSet

T = TypeVar("T")


class SessionCache(Generic[T]):
    """At most ``limit`` values for ``seconds`` each, found by their session, and a key if it has several.

    The session with the most values loses its least recently used one first, not those who keep fewer.
    """

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self._values: OrderedDict[tuple[str | None, Hashable], tuple[float, T]] = OrderedDict()
        self._lock = Lock()
        _ALL.add(self)

    def get(self, session: str | None, key: Hashable = None) -> T | None:
        with self._lock:
            since, value = self._values.get((session, key), (0.0, None))
            if value is None or time.monotonic() - since > self.seconds:
                return None
            self._values.move_to_end((session, key))
            return value

    def put(self, session: str | None, value: T, key: Hashable = None) -> None:
        self.expire()
        with self._lock:
            self._values.pop((session, key), None)
            self._values[session, key] = (time.monotonic(), value)
            if len(self._values) > self.limit:
                held = Counter(session for session, _ in self._values)
                most = max(held.values())
                del self._values[next(place for place in self._values if held[place[0]] == most)]

    def move(self, session: str | None, wanted: Callable[[Hashable, T], bool]) -> T | None:
        """Let the value for which ``wanted`` is true, given its key and itself, be that session's from now on."""
        self.expire()
        with self._lock:
            for (owner, key), (since, value) in self._values.items():
                if wanted(key, value):
                    del self._values[owner, key]
                    self._values[session, key] = since, value
                    return value
        return None

    def expire(self) -> None:
        """Drop the values whose time is over."""
        now = time.monotonic()
        with self._lock:
            for old in [old for old, (since, _) in self._values.items() if now - since > self.seconds]:
                del self._values[old]

    def values(self) -> list[T]:
        """All values, of all sessions."""
        with self._lock:
            return [value for _, value in self._values.values()]

    def forget(self, session: str | None) -> None:
        """Drop everything of a session, whose person has left."""
        with self._lock:
            for key in [key for key in self._values if key[0] == session]:
                del self._values[key]


_ALL: WeakSet[SessionCache[Any]] = WeakSet()


def expire() -> None:
    """Drop all values whose time is over: perhaps nobody else comes to have them dropped."""
    for kept in list(_ALL):
        kept.expire()
