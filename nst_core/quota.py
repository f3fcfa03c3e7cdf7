"""Keeps PyTorch to as many cores as it may use, and leaves them to others while it waits."""

import os
import sys
from contextlib import suppress
from pathlib import Path

SPINS = 1000
"""Turns of a waiting loop: some ten microseconds, which is longer than most gaps between operations."""


def share_cores() -> None:
    """Let PyTorch's threads that wait for one another leave their core to others within microseconds.

    By default, they keep it for milliseconds (GNU's OpenMP: ``GOMP_SPINCOUNT``). Where something else computes, that
    is often the core that the awaited thread needs: a picture takes ten times as long. Programs, not libraries, call
    this, before they import PyTorch; what the environment already says takes precedence.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))


def heed_quota(groups: Path = Path("/sys/fs/cgroup")) -> None:
    """Let PyTorch compute on no more cores than a container's CPU quota is worth (cgroup v2, v1).

    By default, it uses all cores of the host: their threads wait for one another, and once the quota is used up, all
    wait for the next tenth of a second. Programs, not libraries, call this, before the first computation.
    """
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        with suppress(OSError, ValueError):  # there is no such file, or another in its place
            most, period = " ".join((groups / name).read_text("ascii") for name in names).split()
            if most not in ("max", "-1"):
                _compute_on(max(1, int(most) // int(period)))


def _compute_on(cores: int) -> None:
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(min(torch.get_num_threads(), cores))
    elif 2 * cores < (os.cpu_count() or 1):
        # PyTorch will read this when it is imported, which takes seconds and not every command does. With two threads
        # per core, it uses half of what it sees: where the quota is for more than that, its default is nearly right.
        os.environ.setdefault("OMP_NUM_THREADS", str(cores))
