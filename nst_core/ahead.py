"""Work done in a thread beside, ahead of whoever waits for it: files are read and written while a network runs."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST = 2
"""Results that may wait: each is a picture in memory."""


def ahead(work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Future[Result], None, None]:
    """``work`` of each item, one after the other in a thread of its own, in their order, at most ``MOST`` ahead.

    The items are asked for in the caller's thread.
    """
    with ThreadPoolExecutor(1, "ahead") as thread:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(thread.submit(work, item))
            while len(waiting) > MOST or (waiting and waiting[0].done()):
                yield waiting.popleft()
        yield from waiting
