"""The base of every refusal: an error whose message is one sentence for the person in front of it."""

import sys
from numbers import Integral, Real
from typing import Any


class NSTError(ValueError):
    """Something a person asked for cannot be done; ``str(error)`` says what was wrong and what would be right.

    The command line prints the message and exits 1, the page shows it; anything else that is raised is a bug.
    """


def plain_number(value: Any) -> Any:
    """A number of NumPy's as one of Python's own, which every file can hold; anything else as it is."""
    if isinstance(value, int | float) or not isinstance(value, Real):
        return value
    return int(value) if isinstance(value, Integral) else float(value)


def check_number(
    error: type[NSTError], name: str, value: object, least: float, most: float = float("inf"), *, whole: bool = False
) -> None:
    """Raise ``error``, with a sentence, unless the value is a finite number from ``least`` to ``most``."""
    kind = int if whole else (int, float)
    # The most of what is unbounded is infinity, which is no number to calculate with; nor are integers beyond floats.
    if isinstance(value, kind) and not isinstance(value, bool) and least <= value <= min(most, sys.float_info.max):
        return
    bounds = f"from {least:g} to {most:g}" if most < float("inf") else f"of at least {least:g}"
    number = "whole number" if whole else "number"
    raise error(f"The {name} should be a {number} {bounds}, not {value!r:.80}.")
