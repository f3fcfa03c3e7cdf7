"""Waiting for what another thread does."""

import time
from collections.abc import Callable


def wait_until(holds: Callable[[], object]) -> None:
    """Return once it holds; fail if it never does, instead of looping for ever."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.001)
