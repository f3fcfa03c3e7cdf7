"""How many CPU cores a thread computes on: pictures with a core each need not wait for one another."""

import threading

import torch

from nst_core.memory import free_memory

LARGE = 9_000_000
"""Pixels above which pictures are painted one at a time, on all cores, because of the memory that each takes."""

BYTES = 160
"""Of memory, that painting takes for each pixel at most: pictures that start together would all find the same free."""

_changing = threading.Lock()


def painters(pixels: int = LARGE) -> int:
    """How many pictures of so many pixels to paint at once: one a core, as far as there is memory."""
    if pixels > LARGE:
        return 1
    cores, free = torch.get_num_threads(), free_memory()
    return cores if free is None else max(1, min(cores, free // (BYTES * pixels)))


def compute_on(cores: int, others: int) -> None:
    """Let PyTorch compute on so many cores in this thread, and on ``others`` in threads that are yet to compute."""
    if torch.get_num_threads() == cores:
        return
    with _changing:
        torch.set_num_threads(cores)
        # PyTorch takes that for every thread that is yet to compute, too: another thread corrects it.
        beside = threading.Thread(target=torch.set_num_threads, args=(others,))
        beside.start()
        beside.join()
