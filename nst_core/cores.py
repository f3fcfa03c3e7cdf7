"""How many of the processor's cores a thread computes on: pictures that have one each wait for nothing between them."""

import threading

import torch

from nst_core.memory import free_memory

LARGE = 9_000_000
"""Pixels of pictures that are painted one at a time, by all cores together, for the memory that each takes."""

BYTES = 160
"""What painting takes at most for each pixel: a network looks how much is free before others have taken theirs."""

_changing = threading.Lock()


def painters(pixels: int = LARGE) -> int:
    """How many pictures of so many pixels are painted at once: a core each, if there is memory for them."""
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
        # That was said for every thread that computes for the first time, too.
        beside = threading.Thread(target=torch.set_num_threads, args=(others,))
        beside.start()
        beside.join()
