"""The losses of an optimisation as CSV, one row a step."""

import csv
import os
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_core.errors import NSTError
from nst_core.files import replacing
from nst_core.text import quoted

if TYPE_CHECKING:
    from nst_core.optimization import OptimizationStep


def columns(step: "OptimizationStep") -> list[str]:
    """The header: all the steps of a run have the layers of its first."""
    return ["step", "width", "height", "seconds", "total", "content", "style", "total_variation", *step.layers]


def row(step: "OptimizationStep") -> list[float]:
    """A step's values, in the order of ``columns``."""
    losses = step.total, step.content, step.style, step.total_variation
    return [step.step, *step.size, round(step.seconds, 3), *losses, *step.layers.values()]


class HistoryWriter:
    """Writes a run's steps to a file that is complete after each of them."""

    def __init__(self, path: Path, *, resume: bool = False) -> None:
        """With ``resume``, the file's rows of steps before the first one that is written are kept."""
        self.path = path
        self.resume = resume
        self._begun = False

    def write(self, step: "OptimizationStep") -> None:
        """Add a step.

        Raises:
            NSTError: the file cannot be written.
        """
        try:
            rows: list[list[Any]] = [] if self._begun else [columns(step), *self._kept(step)]
            # Opened anew for every step: there is nothing to close when the run is interrupted.
            with (
                replacing(self.path) if len(rows) > 1 else nullcontext(self.path) as path,
                path.open("a" if self._begun else "w", newline="", encoding="utf-8") as file,
            ):
                csv.writer(file, lineterminator="\n").writerows([*rows, row(step)])
        except OSError as error:
            raise NSTError(f"The history {quoted(self.path.name)} could not be written: {error.strerror}.") from error
        self._begun = True

    def _kept(self, first: "OptimizationStep") -> list[list[str]]:
        """Rows of the interrupted run before ``first``; later ones are of steps that are made, and written, again."""
        if not self.resume or not os.path.exists(self.path):
            return []
        rows: list[list[str]] = []
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file, suppress(csv.Error):
            rows = list(csv.reader(file))
        if rows[:1] != [columns(first)]:
            return []
        return [one for one in rows if len(one) == len(rows[0]) and one[0].isdecimal() and int(one[0]) < first.step]
