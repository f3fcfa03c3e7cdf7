"""Work done in threads beside, ahead of whoever waits for it: files are read and written while a network runs."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST = 2
"""Results that may wait: each is a picture in memory."""


def ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int = 1,
    stop: Callable[[], object] | None = None,
) -> Generator[Future[Result], None, None]:
    """``work`` of each item, one after the other in a thread of its own, in their order, at most ``MOST`` ahead.

    With more ``threads``, as many items are worked on at a time. The items are asked for in the caller's thread. Work
    that is not begun when the generator is closed, or interrupted, is left undone; what is begun is waited for, and
    ``stop`` is called before to let it end early.
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(threads, "ahead")
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            while len(waiting) >= MOST + threads or (waiting and waiting[0].done()):
                yield waiting.popleft()
        while waiting:
            yield waiting.popleft()
    except BaseException:
        if stop:
            stop()
        # The last first: of what is done, nothing is to be missing in between.
        for result in reversed(waiting):
            result.cancel()
        pool.shutdown()
        raise
    # Whoever has the results waits for them; an interruption while threads are waited for would lose sight of these.
    pool.shutdown(wait=False)
