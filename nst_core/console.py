"""What the commands share: options and how they are read, progress bars, tables, and where results may be written."""

import shlex
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from tempfile import TemporaryFile
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from nst_core.errors import NSTError
from nst_core.files import identity
from nst_core.precision import Precision
from nst_core.processes import is_first
from nst_core.text import parse_layer

RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        help="A registry to use instead of the bundled one: a registry.yaml, a folder with one, or user/repo on the "
        "Hub.",
    ),
]
StyleOption = Annotated[
    str, typer.Option(help="A style's id in the registry, a folder, or user/repo on the Hugging Face Hub.")
]
StrokeOption = Annotated[float, typer.Option(help="Size of the strokes, 0.25 to 4: 2 paints them twice as large.")]
SecondOption = Annotated[str | None, typer.Option(help="A second style, laid over the first.")]
MixOption = Annotated[float | None, typer.Option(help="How much of the second style shows, 0 to 1; 0.5 by default.")]
MaskOption = Annotated[Path | None, typer.Option(help="A picture that is white where the second style shows.")]
PrecisionOption = Annotated[
    Precision, typer.Option(help="auto computes in bfloat16 where that is faster; exact never does.")
]
RayOption = Annotated[
    bool, typer.Option("--ray", help="Paint on the Ray cluster at RAY_ADDRESS, or else on each core of this machine.")
]

stderr = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True, quiet=not is_first())


EVERY = 30
"""Seconds between two progress lines where no terminal can show a bar, and between two saved states."""


class _Bar(Progress):
    """A progress bar; without a terminal, a line every ``EVERY`` seconds instead."""

    printed = 0.0  # when the last line was

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        now = time.monotonic()
        self.printed = self.printed or now
        if self.disable and now - self.printed >= EVERY:
            self.printed = now
            task = self._tasks[task_id]
            of = "" if task.total is None else f" of {task.total:,.0f}"
            self.console.print(f"{task.completed:,.0f}{of}  {task.description}", markup=False)


def progress_bar(remaining: ProgressColumn | None = None) -> Progress:
    """A line of description, bar, count and times on stderr; in a file or pipe, a line now and then, without a bar."""
    return _Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        remaining or TimeRemainingColumn(),
        console=stderr,
        disable=stderr.quiet or not stderr.is_terminal,
    )


def print_table(table: Table) -> None:
    """Print a table on stdout; in a pipe its lines are not broken, so that grep finds whole names."""
    Console(markup=False, emoji=False, width=None if sys.stdout and sys.stdout.isatty() else 1000).print(table)


def check_apart(written: Mapping[str, Path | None], read: Iterable[Path | None]) -> None:
    """Refuse, before any work is done, two outputs with one path, and an output that would replace a picture.

    Raises:
        NSTError: there is one; the message names its option, the key in ``written``.
    """
    pictures = {identity(path) for path in read if path}
    of: dict[object, str] = {}
    for option, path in written.items():
        if path is None:
            continue
        place = identity(path)
        if place in of:
            raise NSTError(f"{of[place]} and {option} are both {str(path)!r}: give each a file of its own.")
        of[place] = option
        if place in pictures:
            raise NSTError(f"{option} would replace the picture {str(path)!r}: choose another file.")


def make_folder(folder: Path) -> None:
    """Make a folder for several results, unless there is one, and see, before any work is done, that it takes files.

    Raises:
        NSTError: it cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except FileExistsError as error:
        raise NSTError(f"{str(folder)!r} cannot be a folder for several results: a file has that name.") from error
    except OSError as error:
        raise NSTError(f"The folder {str(folder)!r} cannot be written to: {error.strerror}.") from error


def style_word(folder: PurePath) -> str:
    """A style's folder as a command's --style takes it: a bare name could be an id in the registry."""
    path = folder.as_posix()  # a \ would be quoted, and cmd.exe knows no single quotes
    return shlex.quote(f"./{path}" if folder.name == path else path)


def weighted_files(words: list[str] | None) -> list[tuple[str, float]]:
    """Parse FILE[=WEIGHT]; the weight is 1 by default, and an = that no number follows belongs to the name."""
    pairs = []
    for word in words or []:
        name, _, weight = word.rpartition("=")
        try:
            pairs.append((name, float(weight)) if name else (word, 1.0))
        except ValueError:
            pairs.append((word, 1.0))
    return pairs


def weighted_layers(words: list[str] | None) -> dict[str, float]:
    """Weights by layer name, from words that ``parse_layer`` takes.

    Raises:
        NSTError: as ``parse_layer``.
    """
    return dict(map(parse_layer, words or []))
