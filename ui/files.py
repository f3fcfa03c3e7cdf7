"""A person's files on this server: how they come, how long they stay, and where the page finds them."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gradio.utils import get_upload_folder, is_in_or_equal

from ui.errors import PageError

KEEP_SECONDS = 1800
"""Seconds for which a picture of a person who is still there is kept in memory."""
KEEP_FILES_SECONDS = 2 * KEEP_SECONDS
"""Seconds after which uploads and results are deleted, and what goes with them is forgotten."""

LINK = re.compile("https?://", re.IGNORECASE)


@contextmanager
def keeping(what: str) -> Iterator[None]:
    """Wraps the writing of a person's files: says so when this server cannot write them, as when its disk is full.

    Raises:
        PageError: a file cannot be written; the message calls it ``what``.
    """
    try:
        yield
    except OSError as error:
        raise PageError(f"This server cannot save {what} ({error.strerror}): try again in an hour.") from error


def claim(folder: Path) -> None:
    """Make a folder that only this user can look into, unless it is there.

    Raises:
        OSError: it cannot be made, or is somebody else's: what is written, shown and deleted there could be elsewhere.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        folder.mkdir(0o700)
    except FileExistsError:
        if sys.platform != "win32" and folder.lstat().st_uid != os.getuid():
            raise FileExistsError("it is another user's") from None


def received(photo: dict[str, Any] | None, what: str = "photograph") -> Path:
    """The file of a picture as Gradio hands it on.

    Raises:
        PageError: there is none, or not any more, or it is not one that was uploaded here.
    """
    path = photo.get("path", "") if isinstance(photo, dict) else photo
    if path is None:
        raise PageError(f"There is no {what} yet: choose or drop one.")
    if not isinstance(photo, dict) or not isinstance(path, str) or not path:
        raise PageError(f'A {what} is given as the path that its upload returned: {{"path": …}}.')
    if LINK.match(path) or path.startswith("data:"):
        raise PageError(f"A {what} cannot be loaded from a link: upload it, or choose a file.")
    try:
        here = is_in_or_equal(path, get_upload_folder())
    except (OSError, ValueError):  # no system could have such a path
        here = False
    # Gradio checks that only for what declares itself a file.
    if not here or not Path(path).is_file():
        raise PageError(f"The {what} is not, or no longer, on this server: choose it again.")
    return Path(path)


def address_of(file: Path) -> str:
    """Where a browser finds a file that Gradio serves, from the page."""
    return f"gradio_api/file={quote(file.as_posix())}"
