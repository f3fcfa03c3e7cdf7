"""What the commands share: where they say what they do, what they check before anybody waits, and an option."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from nst_core.errors import NSTError
from nst_core.processes import is_first

RegistryOption = Annotated[
    str | None,
    typer.Option("--registry", help="A registry.yaml, a folder with one, or user/repo on the Hub, not the bundled."),
]
RayOption = Annotated[
    bool, typer.Option("--ray", help="Paint on the Ray cluster at RAY_ADDRESS, or else on each core of this machine.")
]

errors = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True, quiet=not is_first())


def progress_bar(remaining: ProgressColumn | None = None) -> Progress:
    """A line of description, bar, count and times on stderr, where that is a terminal."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        remaining or TimeRemainingColumn(),
        console=errors,
        disable=errors.quiet or not errors.is_terminal,
    )


def check_file(path: Path) -> None:
    """See to it that a file can be written there, before anybody waits for what is to be written."""
    if os.path.isdir(path):
        raise NSTError(f"The file {str(path)!r} cannot be written: a folder has that name.")
    if not os.path.isdir(path.parent):
        raise NSTError(f"The folder {str(path.parent)!r} does not exist: make it first or name another.")
