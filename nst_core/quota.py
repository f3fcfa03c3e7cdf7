"""The processor's time that a container may use: PyTorch computes on no more cores than that pays for."""

import os
import sys
from contextlib import suppress
from pathlib import Path


def heed_quota(groups: Path = Path("/sys/fs/cgroup")) -> None:
    """Let PyTorch compute on no more cores than a container's quota pays for (cgroup v2, v1).

    It counts the host's, for a container sees them all. Their threads wait for one another, and once the quota is used
    up all of them wait for the next tenth of a second. It is for whoever owns the process to call, before the first
    computation.
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
        # To import it takes seconds, which not every command has a use for; it will read this. Of cores that it sees
        # twice it uses half: where the quota is for more than half of them, it is nearly right by itself.
        os.environ.setdefault("OMP_NUM_THREADS", str(cores))
