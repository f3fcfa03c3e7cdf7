"""How many of the processor's cores a thread computes on: pictures that have one each wait for nothing between them."""

import threading
from contextlib import suppress
from pathlib import Path

import torch

from nst_core.memory import free_memory

LARGE = 9_000_000
"""Pixels of pictures that are painted one at a time, by all cores together, for the memory that each takes."""

BYTES = 160
"""What painting takes at most for each pixel: a network looks how much is free before others have taken theirs."""

_changing = threading.Lock()


def heed_quota(groups: Path = Path("/sys/fs/cgroup")) -> None:
    """Let PyTorch compute on no more cores than a container's quota pays for (cgroup v2, v1).

    It counts the host's, for a container sees them all. Their threads wait for one another, and once the quota is used
    up all of them wait for the next tenth of a second. It is for whoever owns the process to call, before the first
    computation.
    """
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with suppress(OSError):
            most, period = " ".join((groups / name).read_text("ascii") for name in names).split()
            if most not in ("max", "-1"):
                torch.set_num_threads(max(1, min(torch.get_num_threads(), int(most) // int(period))))


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
