"""Keeps the memory that a network frees between layers, instead of returning it to the system only to ask again."""

import ctypes
import sys

# From glibc's malloc.h.
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
        libc.mallopt(M_TOP_PAD, 2**24)
