"""Writes files whole or not at all, whatever happens meanwhile, and locks them for one run alone."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IMODE
from uuid import uuid4

from nst_core.errors import NSTError
from nst_core.text import quoted

if sys.platform != "win32":
    import fcntl


def real_path(path: str | os.PathLike[str]) -> Path:
    """The absolute path, with its links followed.

    Raises:
        OSError: it contains a character that no file name can.
    """
    with suppress(ValueError):  # for half a surrogate pair
        if "\0" not in str(path):  # which Windows would not refuse here
            return Path(os.path.realpath(path))
    raise OSError(errno.EINVAL, "its name contains a character that no file name can")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside this one, to write to: finally its file replaces this one, or is deleted if something fails.

    A link stays, and its target is replaced; an existing file keeps its mode.

    Raises:
        OSError: the file cannot be replaced.
    """
    real = real_path(path)
    # Opened like any file: one by tempfile would be readable by its owner alone.
    new = real.parent / f".{uuid4().hex}.new{path.suffix}"
    try:
        yield new
        with suppress(OSError):  # there was none, or its mode cannot be set, as on some network drives
            new.chmod(S_IMODE(real.stat().st_mode))
        new.replace(real)
    finally:
        with suppress(OSError):  # a read-only file system has none, and raises nevertheless
            new.unlink(missing_ok=True)


def identity(path: Path) -> object:
    """Equal for paths of one file, even by names that differ in case, where the file system takes them for one."""
    try:
        found = path.stat()
    except OSError:  # there is none yet
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


def check_place(path: Path, what: str = "A file", error: type[NSTError] = NSTError) -> None:
    """Refuse, before any work is done, a path that is a folder, lies in none that exists, or that no file can have.

    Raises:
        error: it is such a path; the message calls the file ``what``, and never says where that folder is.
    """
    try:
        real_path(path)
    except OSError as problem:
        raise error(f"{what} cannot be written as {quoted(path.name)}: {problem.strerror}.") from problem
    if os.path.isdir(path):
        raise error(f"{what} cannot be written as {quoted(path.name)}: a folder has that name.")
    if not os.path.isdir(path.parent):
        raise error(
            f"{what} cannot be written to the folder {quoted(path.parent.name)}, which does not exist: create it "
            "first, or name another."
        )


@contextmanager
def locked(path: Path, busy: NSTError) -> Iterator[None]:
    """Hold a file's lock, so that no other run has it; where there are no locks, nothing is held.

    Raises:
        OSError: the file cannot be opened.
        busy: another run has it.
    """
    if sys.platform == "win32":
        yield
        return
    with path.open("r+b") as file:  # to be written to: NFS lends no lock otherwise
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        except OSError:  # some network drives have no locks
            pass
        yield
