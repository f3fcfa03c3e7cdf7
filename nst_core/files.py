"""Files that are complete or as they were, whatever happens while they are written, and that are one run's alone."""

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


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside this one, to write to: what is there in the end takes its place, or goes if something fails.

    A link stays, and what it leads to is replaced; a file that is there keeps its mode.

    Raises:
        OSError: it cannot take its place.
    """
    if "\0" in str(path):  # of which Python says ValueError
        raise OSError(errno.EINVAL, "there is a null character in its name, and should be none")
    real = Path(os.path.realpath(path))
    # Opened like any file: tempfile's would be readable for their owner alone.
    new = real.parent / f".{uuid4().hex}.new{path.suffix}"
    try:
        yield new
        with suppress(OSError):  # there was none, or it has a mode that cannot be given, as on some network's folders
            new.chmod(S_IMODE(real.stat().st_mode))
        new.replace(real)
    finally:
        with suppress(OSError):  # on a file system that is read-only there is none, and asking is an error
            new.unlink(missing_ok=True)


def check_place(path: Path, what: str = "A file", error: type[NSTError] = NSTError) -> None:
    """Refuse, before any work is done, a path that is a folder or lies in a folder that does not exist.

    Raises:
        error: it does; the message calls the file ``what``, and never names where that folder is.
    """
    if os.path.isdir(path):
        raise error(f"{what} cannot be written as {quoted(path.name)}: a folder has that name.")
    if not os.path.isdir(path.parent):
        raise error(
            f"{what} cannot be written to the folder {quoted(path.parent.name)}, which does not exist: "
            "make it first or name another."
        )


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Lock a file; gives whether it is ours, and not another run's. Where there are no locks, it is ours.

    Raises:
        OSError: it cannot be read.
    """
    if sys.platform == "win32":
        yield True
        return
    with path.open() as file:
        ours = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            ours = False
        except OSError:  # some network's folders have no locks
            pass
        yield ours
