"""Work that is done ahead comes in order, not too far ahead, with its errors where they happened."""

import threading
from collections.abc import Iterator

import pytest

from nst_core.prefetch import MOST, ahead


def test_results_come_in_order_and_errors_with_them() -> None:
    results = list(ahead(lambda item: 12 // item, [1, 2, 0, 4]))
    assert [results[place].result() for place in (0, 1, 3)] == [12, 6, 3]
    with pytest.raises(ZeroDivisionError):
        results[2].result()


def test_it_is_not_too_far_ahead_and_another_thread_works() -> None:
    asked: list[int] = []
    threads: set[threading.Thread] = set()

    def items() -> Iterator[int]:
        for number in range(10):
            asked.append(number)
            yield number

    def work(number: int) -> int:
        threads.add(threading.current_thread())
        return number

    for seen, result in enumerate(ahead(work, items())):
        assert result.result() == seen
        assert len(asked) <= seen + MOST + 1
    assert threading.current_thread() not in threads and len(threads) == 1


def test_several_threads_work_at_a_time_and_their_results_come_in_order() -> None:
    together = threading.Barrier(3)

    def work(number: int) -> int:
        together.wait(timeout=30)  # breaks unless three are here
        return number

    assert [result.result() for result in ahead(work, range(9), threads=3)] == list(range(9))


def test_what_is_not_begun_when_it_is_closed_is_left_undone() -> None:
    asked, closing = threading.Event(), threading.Event()
    done: list[int] = []

    def items() -> Iterator[int]:
        for number in range(9):
            if number == MOST:
                asked.set()
            yield number

    def work(number: int) -> int:
        assert (asked, closing)[min(number, 1)].wait(timeout=30)
        done.append(number)
        return number

    results = ahead(work, items())
    assert next(results).result() == 0
    threading.Timer(1, closing.set).start()
    results.close()
    assert done == [0, 1]
