"""Waiting for what another thread does, and having waited long."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest


def wait_until(holds: Callable[[], object]) -> None:
    """Return once it holds; fail if it never does, instead of looping for ever."""
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.001)


def wait_long(patch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have so much time gone by for all that the page keeps of people."""
    patch.setattr("ui.session_cache.time", SimpleNamespace(monotonic=lambda: time.monotonic() + seconds))
