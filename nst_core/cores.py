"""How many CPU cores a thread computes on: pictures with a core each need not wait for one another."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from nst_core.memory import free_memory

if TYPE_CHECKING:
    from nst_core.style import Style

LARGE = 9_000_000
"""Pixels above which pictures are painted one at a time, on all cores, because of the memory that each takes."""

_changing = threading.Lock()


def pictures_at_once(styles: Sequence["Style"], pixels: int = LARGE) -> int:
    """How many pictures of so many pixels to paint at once: on a CPU, one per core, as far as memory allows.

    Decided beforehand: pictures that start together would all find the same memory free.
    """
    if pixels > LARGE or any(style.device.type != "cpu" for style in styles):
        return 1
    cores, free = torch.get_num_threads(), free_memory()
    each = max(style.bytes_per_pixel for style in styles) * pixels
    return cores if free is None else max(1, min(cores, free // each))


def compute_on(cores: int, others: int) -> None:
    """Let PyTorch compute on so many cores in this thread, and on ``others`` in threads that are yet to compute."""
    if torch.get_num_threads() == cores:
        return
    with _changing:
        torch.set_num_threads(cores)
        # This also becomes the default of threads that are yet to compute: another thread corrects that.
        beside = threading.Thread(target=torch.set_num_threads, args=(others,))
        beside.start()
        beside.join()
