"""How many of the processor's cores a thread computes on: pictures that have one each wait for nothing between them."""

import threading

import torch

LARGE = 9_000_000
"""Pixels of pictures that are painted one at a time, by all cores together, for the memory that each takes."""

_changing = threading.Lock()


def compute_on(cores: int, others: int) -> None:
    """Let PyTorch compute on so many cores in this thread, and on ``others`` in threads that are yet to compute."""
    if torch.get_num_threads() == cores:
        return
    with _changing:
        torch.set_num_threads(cores)
        # That was said for every thread that computes for the first time, too.
        beside = threading.Thread(target=torch.set_num_threads, args=(others,))
        beside.start()
        beside.join()
