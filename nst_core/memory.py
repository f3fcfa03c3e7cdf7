"""The process's memory: keeps what networks free for reuse, and tells how much is still free."""

import ctypes
import re
import sys
from contextlib import suppress
from pathlib import Path

from nst_core.errors import NSTError

if sys.platform != "win32":
    import resource

# From glibc's malloc.h.
MALLINFO = "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"
# A container's cgroup, versions 2 and 1: its folder, and the names of limit, usage, and the file cache in that.
CGROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX = -1, -2, -4, -8


def keep_freed_memory() -> None:
    """Let this process keep the memory that it has freed; a no-op where the C library is not glibc.

    By default, each large activation gets fresh memory from the system, zeroed page by page, which takes a third to a
    half of the time of a picture. Programs, not libraries, call this, before the first large allocation; the process
    then keeps the most that it ever needed at once.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(M_ARENA_MAX, 1)  # or each thread would keep its own
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, 2**24)  # a larger step would keep that much more than was ever needed


def free_memory() -> int | None:
    """Bytes that this process can use without swapping, including those that it keeps; None if that is unknown."""
    available = _available()
    if available is None:
        return None
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return available
    libc.mallinfo2.restype = _Mallinfo
    return available + int(libc.mallinfo2().fordblks)


def check_memory(needed: float, task: str, remedy: str = "a smaller size") -> None:
    """Refuse, before any work is done, a task that takes more memory, in bytes, than is free.

    Raises:
        NSTError: it does; the message names the ``task``, as in "paint 60 × 50 px", and says to choose the ``remedy``.
    """
    free = free_memory()
    if free is not None and needed > free:
        raise NSTError(
            f"To {task} takes about {needed / 1e9:.1f} GB of memory, but only {max(0, free) / 1e9:.1f} GB are free: "
            f"choose {remedy}."
        )


def out_of_memory(error: BaseException) -> bool:
    """Whether that says so: Python's own error, or PyTorch's of a CPU or a GPU."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "alloc" in str(error))


class _Mallinfo(ctypes.Structure):
    """``struct mallinfo2``."""

    _fields_ = tuple((name, ctypes.c_size_t) for name in MALLINFO)


def _available() -> int | None:
    """The least of what the system has free and what the limits of a container and of this process leave."""
    try:
        meminfo = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    free = [1024 * int(match[1]) for match in re.finditer(r"^MemAvailable: *(\d+) kB$", meminfo, re.MULTILINE)]
    for folder, most, used, cached in CGROUPS:
        with suppress(OSError, ValueError):  # another version's, or there is no limit ("max")
            # The file cache counts as used, but is given up on demand.
            stat = re.search(rf"^{cached} (\d+)$", Path(folder, "memory.stat").read_text("ascii"), re.MULTILINE)
            bound, taken = (int(Path(folder, name).read_text("ascii")) for name in (most, used))
            free.append(bound - taken + int(stat[1] if stat else 0))
    if (bound := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:  # ulimit -v
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        free.append(bound - pages * resource.getpagesize())
    return min(free, default=None)
