"""Does work in threads, ahead of its consumer: files are read and written while a network computes."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST = 2
"""Results that may wait to be taken, on top of those in progress: each is a picture in memory."""


def ahead(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int = 1,
    stop: Callable[[], object] | None = None,
) -> Generator[Future[Result], None, None]:
    """Yield the future of ``work(item)`` for each item, in order; ``threads`` items are worked on at a time.

    The items are taken in the caller's thread. When the generator is closed or interrupted, ``stop`` is called so that
    work in progress can end early, and that work is waited for; work that has not begun is dropped.
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
        # From the end, so that completed work has no gaps.
        for result in reversed(waiting):
            result.cancel()
        pool.shutdown()
        raise
    # Not waited for: the caller waits for each result, and Ctrl-C during a wait here would skip the handler above.
    pool.shutdown(wait=False)
