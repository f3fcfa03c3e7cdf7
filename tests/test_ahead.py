"""Work that is done ahead comes in order, not too far ahead, with its errors where they happened."""

import threading
from collections.abc import Iterator

import pytest

from nst_core.ahead import MOST, ahead


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
