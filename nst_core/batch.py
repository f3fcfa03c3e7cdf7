"""Repaints files of photographs, on the cores of this machine or of a Ray cluster."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from PIL import Image

from nst_core.cluster import spread
from nst_core.cores import LARGE, compute_on, pictures_at_once
from nst_core.errors import NSTError
from nst_core.images import (
    PHOTO_SUFFIXES,
    PictureError,
    is_photograph,
    open_picture,
    read_file,
    save_picture,
    whole_file,
)
from nst_core.memory import out_of_memory
from nst_core.prefetch import ahead
from nst_core.progress import Progress
from nst_core.style import Style
from nst_core.stylization import pixels_seen, stylize
from nst_core.text import quoted


class Painted(NamedTuple):
    """A picture that was painted."""

    width: int
    height: int
    seconds: float
    """How long painting took."""


def photographs(paths: Sequence[Path], styles: Collection[str] = ()) -> list[Path]:
    """The paths, with each folder replaced by the photographs in it, and each file once.

    Earlier results in a folder are left out: files that ``result_names`` could have named for one of ``styles``.

    Raises:
        NSTError: a folder has none.
    """
    files: dict[str, Path] = {}
    for path in paths:
        try:
            inside = sorted(path.iterdir()) if os.path.isdir(path) else None
        except OSError as error:
            raise NSTError(f"The folder {str(path)!r} could not be read: {error.strerror}.") from error
        found = [path] if inside is None else [file for file in inside if is_photograph(file)]
        if inside:
            names = {name for photo in found for name in (photo.stem, photo.name)}
            painted = {_result_name(name, style) for name in names for style in styles}
            found = [file for file in found if file.name not in painted]
        if not found:
            raise NSTError(f"The folder {str(path)!r} holds no photographs ({', '.join(sorted(PHOTO_SUFFIXES))}).")
        for file in found:
            files.setdefault(os.path.realpath(file), file)
    return list(files.values())


def result_names(photos: Sequence[Path], style: str) -> list[str]:
    """The results' names: ``photo-style.png``, or ``photo.jpg-style.png`` if there is a ``photo.heic``, too.

    Raises:
        NSTError: two photographs have the same name.
    """
    # Some file systems are case-insensitive.
    times = Counter(photo.stem.casefold() for photo in photos)
    names = [photo.stem if times[photo.stem.casefold()] == 1 else photo.name for photo in photos]
    first: dict[str, Path] = {}
    for photo, name in zip(photos, names, strict=True):
        if (other := first.setdefault(name.casefold(), photo)) is not photo:
            raise NSTError(
                f"{str(other)!r} and {str(photo)!r} would both be written as {_result_name(name, style)!r}: "
                "give them different names."
            )
    return [_result_name(name, style) for name in names]


def _result_name(photo: str, style: str) -> str:
    return f"{photo}-{style}.png"


def folders_inside(paths: Sequence[Path], out: Path | None) -> list[str]:
    """The names of subfolders of those paths that are folders: ``photographs`` does not look into them.

    Hidden subfolders are left out, and so is ``out``, which is written to.
    """
    inside = [folder for path in paths if os.path.isdir(path) for folder in sorted(path.iterdir())]
    written = out and os.path.realpath(out)
    return [
        folder.name
        for folder in inside
        if os.path.isdir(folder) and not folder.name.startswith(".") and os.path.realpath(folder) != written
    ]


def stylize_files(
    photos: Sequence[Path],
    targets: Sequence[Path],
    styles: Sequence[Style],
    *,
    progress: Callable[[float], None],
    wrote: Callable[[Path, Painted], None],
    **settings: Any,
) -> Iterator[NSTError]:
    """Repaint each photograph into the file at the same index of ``targets``, in one style, or with a second over it.

    ``settings`` are those of ``stylize``. ``progress`` is told how many are painted, 0 to ``len(photos)``, fractions
    included, and ``wrote`` is told of each complete file. A photograph that cannot be read, painted or written is
    skipped, and its error is yielded; no file is half written.
    """
    cores = torch.get_num_threads()
    at_once = max(1, min(pictures_at_once(styles), len(photos)))
    parts = [0.0] * len(photos)
    one_large = threading.Lock()
    ended = threading.Event()

    def paint(made: tuple[int, Future[Image.Image]]) -> tuple[Image.Image, float]:
        number, opening = made

        def tell(part: float) -> None:
            if ended.is_set():
                raise CancelledError
            parts[number] = part
            progress(sum(parts))

        try:
            photo = opening.result()
            large = pixels_seen(photo.size, settings.get("size"), settings.get("stroke", 1)) > LARGE
            with one_large if large else nullcontext():
                compute_on(cores if large else cores // at_once, cores)
                began = time.perf_counter()
                return _painted(photo, photos[number].name, styles, settings, tell), time.perf_counter() - began
        finally:
            tell(1)

    def save(made: tuple[Path, Future[tuple[Image.Image, float]]]) -> None:
        target, painting = made
        picture, seconds = painting.result()
        with _named(target.name):
            save_picture(picture, target)
        wrote(target, Painted(*picture.size, seconds))

    # Ctrl-C may be raised in here, the innermost generator, which then stops what is being painted.
    paintings = ahead(paint, enumerate(ahead(_opened, photos)), at_once, stop=ended.set)
    painted = zip(targets, paintings, strict=True)
    with closing(ahead(save, painted)) as saved:
        try:
            for saving in saved:
                try:
                    saving.result()
                except NSTError as error:
                    yield error
        finally:
            ended.set()


def stylize_files_on_ray(
    photos: Sequence[Path],
    targets: Sequence[Path],
    styles: Sequence[Style],
    *,
    progress: Callable[[float], None],
    wrote: Callable[[Path, Painted], None],
    **settings: Any,
) -> Iterator[NSTError]:
    """``stylize_files`` on a Ray cluster, one photograph per core.

    Raises:
        ClusterError: as ``nst_core.cluster.spread``.
    """
    sent = (_read(photo, target) for photo, target in zip(photos, targets, strict=True))
    with closing(
        spread(partial(_paint_file, settings), styles, sent, lambda file: f"the picture {file.name!r}")
    ) as made:
        for number, (target, file) in enumerate(zip(targets, made, strict=True), 1):
            progress(number)
            try:
                if isinstance(file, NSTError):
                    raise file
                with whole_file(target) as out:
                    out.write(file.data)
            except NSTError as error:
                yield error
            else:
                wrote(target, file.painted)


class _Sent(NamedTuple):
    """A photograph on its way to a worker."""

    name: str
    data: bytes | NSTError
    """The file, or why it cannot be read."""
    target: str
    """The name of the file to return; its suffix gives the format."""


class _Returned(NamedTuple):
    data: bytes
    painted: Painted


def _read(photo: Path, target: Path) -> _Sent:
    try:
        return _Sent(photo.name, read_file(photo), target.name)
    except PictureError as error:
        return _Sent(photo.name, error, target.name)


def _paint_file(settings: dict[str, Any], styles: Sequence[Style], sent: _Sent) -> _Returned | NSTError:
    if isinstance(sent.data, NSTError):
        return sent.data
    began = time.perf_counter()
    file = BytesIO(sent.data)
    file.name = sent.name  # which error messages mention
    try:
        with _named(sent.name):
            photo = open_picture(file)
        picture = _painted(photo, sent.name, styles, settings)
        painted = Painted(*picture.size, time.perf_counter() - began)
        with TemporaryDirectory() as folder, _named(sent.target):
            save_picture(picture, Path(folder, sent.target))
            return _Returned(Path(folder, sent.target).read_bytes(), painted)
    except NSTError as error:
        return error


def _opened(photo: Path) -> Image.Image:
    with _named(photo.name):
        return open_picture(photo)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Say which photograph there is too little memory for; the others may need less."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise NSTError(f"There is too little memory for {quoted(name)}.") from error.with_traceback(None)


def _painted(
    photo: Image.Image, name: str, styles: Sequence[Style], settings: dict[str, Any], progress: Progress | None = None
) -> Image.Image:
    second = styles[1] if len(styles) > 1 else None
    try:
        with _named(name):
            return stylize(photo, styles[0], second=second, progress=progress, **settings)
    except NSTError as error:  # whose message lacks the file's name
        raise NSTError(f"{quoted(name)}: {error}") from error
