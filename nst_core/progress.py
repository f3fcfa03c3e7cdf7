"""How a computation tells its progress."""

from collections.abc import Callable

Progress = Callable[[float], None]
"""Called again and again with the part of the work that is done, 0–1; an exception from it ends the work."""


def part_of(progress: Progress, number: int, parts: int) -> Progress:
    """A function to tell the progress of part ``number``, from 0: ``progress`` is told that of the whole."""
    return lambda done: progress((number + done) / parts)
