"""A thread computes on as many cores as it was told, and no other thread does because of that."""

import threading
from concurrent.futures import ThreadPoolExecutor

import torch

from nst_core.cores import compute_on


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
