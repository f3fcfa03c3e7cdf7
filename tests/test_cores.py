"""A thread computes on as many cores as it was told, and no other thread does because of that."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from nst_core import cores
from nst_core.cores import LARGE, compute_on


def test_a_thread_has_cores_of_its_own() -> None:
    before = torch.get_num_threads()
    together = threading.Barrier(3)

    def counted(cores: int) -> int:
        compute_on(cores, before)
        together.wait(timeout=30)
        torch.rand(64, 64) @ torch.rand(64, 64)
        return torch.get_num_threads()

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(counted, [1, 2, 3])) == [1, 2, 3]
    with ThreadPoolExecutor(1) as another:
        assert another.submit(torch.get_num_threads).result() == before
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("pixels", "free", "expected"),
    [
        (LARGE, 10**11, 4),
        (LARGE, 3 * 10**9, 2),
        (LARGE, 10**6, 1),
        (10**6, 10**9, 4),
        (10**6, None, 4),
        (10**7, None, 1),
    ],
)
def test_no_more_pictures_at_once_than_there_is_memory_for(
    monkeypatch: pytest.MonkeyPatch, pixels: int, free: int | None, expected: int
) -> None:
    monkeypatch.setattr(cores, "free_memory", lambda: free)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert cores.painters(pixels) == expected
