"""The process's memory: what a network frees is kept, not returned to the system, and how much there still is."""

import ctypes
import re
import sys
from pathlib import Path

# From glibc's malloc.h.
MALLINFO = "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> None:
    """Let this process hold on to what it has freed; a no-op where the C library is not glibc.

    A network's activations are large, and by default each is fresh pages from the system, zeroed one by one: a third
    to a half of the time of a picture. It is for whoever owns the process to call, before the first large allocation;
    the process then keeps the most that it ever needed at once.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(M_ARENA_MAX, 1)  # threads would each keep their own
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, 2**24)  # more at a time would be that much more than was ever needed


def free_memory() -> int | None:
    """Bytes that this process can have without swapping, what it keeps included; None where the system does not say."""
    available = _available()
    if available is None:
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return available
    libc.mallinfo2.restype = _Mallinfo
    return available + int(libc.mallinfo2().fordblks)


class _Mallinfo(ctypes.Structure):
    """``struct mallinfo2``."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in MALLINFO)


def _available() -> int | None:
    """What the system says; in a container, what its bounds leave (cgroup v2)."""
    try:
        meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    free = [1024 * int(match[1]) for match in re.finditer(r"^MemAvailable: *(\d+) kB$", meminfo, re.MULTILINE)]
    try:
        most, used = (Path("/sys/fs/cgroup", name).read_text("ascii") for name in ("memory.max", "memory.current"))
    except OSError:
        most, used = "max", ""
    if most.strip() != "max":
        # What is cached of files is counted as used, and given up when it is wanted.
        cached = re.search(
            r"^inactive_file (\d+)$", Path("/sys/fs/cgroup/memory.stat").read_text("ascii"), re.MULTILINE
        )
        free.append(int(most) - int(used) + int(cached[1] if cached else 0))
    return min(free, default=None)
