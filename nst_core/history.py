"""Writes losses as CSV, one row per step: those of an optimisation or of a training."""

import csv
import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nst_core.errors import NSTError
from nst_core.files import replacing
from nst_core.text import quoted

if TYPE_CHECKING:
    from nst_core.optimization import OptimizationStep


COLUMNS = ["step", "width", "height", "seconds", "total", "content", "style", "total_variation"]
"""The first columns of every history of an optimisation; one for each layer follows."""


def row(step: "OptimizationStep") -> dict[str, float]:
    """A step's values by column. With a draft network, layers may differ from later steps' layers."""
    losses = step.total, step.content, step.style, step.total_variation
    values = [step.step, *step.size, round(step.seconds, 3), *losses]
    return dict(zip(COLUMNS, values, strict=True)) | dict(step.layers)


class HistoryWriter:
    """Writes a run's steps to a file that is complete after each of them."""

    def __init__(self, path: Path, first: Sequence[str] = COLUMNS, *, resume: bool = False) -> None:
        """The file is overwritten; with ``resume``, rows of steps before the first new one are kept.

        ``first`` are the columns that it begins with; one of them is ``step``.
        """
        self.path = path
        self.first = list(first)
        self.resume = resume
        self._columns: list[str] = []

    def write(self, new: Mapping[str, float]) -> None:
        """Add a step, its values by column.

        Raises:
            NSTError: the file cannot be written, or is not a history that can be continued.
        """
        has_rows = bool(self._columns)
        try:
            if has_rows and new.keys() <= set(self._columns):
                with self.path.open("a", newline="", encoding="utf-8") as file:
                    csv.DictWriter(file, self._columns, lineterminator="\n").writerow(new)
                return
            rows = self._rows(new["step"]) if has_rows or (self.resume and os.path.exists(self.path)) else []
            self._columns = list(dict.fromkeys([*(self._columns or self.first), *new]))
            # Reopened for every step: there is nothing to close when the run is interrupted.
            with (
                replacing(self.path) if rows else nullcontext(self.path) as path,
                path.open("w", newline="", encoding="utf-8") as file,
            ):
                writer = csv.DictWriter(file, self._columns, lineterminator="\n")
                writer.writeheader()
                writer.writerows([*rows, new])
        except OSError as error:
            raise NSTError(f"The history {quoted(self.path.name)} could not be written: {error.strerror}.") from error

    def _rows(self, before: float) -> list[dict[str, Any]]:
        """Rows of steps before this one; later steps will be made, and written, again."""
        names: list[str] = []
        rows: list[dict[str, Any]] = []
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file, suppress(csv.Error):
            found = csv.DictReader(file)
            names += found.fieldnames or []
            for one in found:
                rows.append(one)
        if os.path.getsize(self.path) and names[: len(self.first)] != self.first:
            raise NSTError(f"The file {quoted(self.path.name)} is not a history of losses: choose another name.")
        self._columns = names
        whole = (one for one in rows if None not in one and None not in one.values())
        return [one for one in whole if one["step"].isdecimal() and int(one["step"]) < before]
