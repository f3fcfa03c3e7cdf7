"""Files of photographs → files of what is painted of them, one after the other, here or on a Ray cluster."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from PIL import Image

from nst_core.ahead import ahead
from nst_core.cluster import spread
from nst_core.errors import NSTError
from nst_core.images import PHOTO_SUFFIXES, PictureError, open_picture, read_file, save_picture, whole_file
from nst_core.streaming import Progress
from nst_core.style import Style
from nst_core.stylization import stylize


class Painted(NamedTuple):
    """A picture that was painted."""

    width: int
    height: int
    seconds: float
    """That it took."""


def photographs(paths: Sequence[Path]) -> list[Path]:
    """The paths, and instead of each folder the photographs in it.

    Raises:
        NSTError: a folder has none.
    """
    files = []
    for path in paths:
        inside = sorted(path.iterdir()) if path.is_dir() else None
        found = [path] if inside is None else [file for file in inside if file.suffix.lower() in PHOTO_SUFFIXES]
        if not found:
            raise NSTError(f"The folder {str(path)!r} holds no photograph ({', '.join(sorted(PHOTO_SUFFIXES))}).")
        files += found
    return files


def stylize_files(
    photos: Sequence[Path],
    targets: Sequence[Path],
    styles: Sequence[Style],
    *,
    progress: Progress,
    wrote: Callable[[Path, Painted], None],
    **settings: Any,
) -> Iterator[NSTError]:
    """Paint each of the photographs into the target that is its, in a style, or in two.

    ``settings`` are those of ``stylize``. ``progress`` is told how many are painted, and ``wrote`` of each file that is
    there. What cannot be read, painted or written is passed over, and its refusal given; no file is half written.
    """

    def painted() -> Iterator[tuple[Path, Image.Image | NSTError, float]]:
        for number, (photo, target) in enumerate(zip(ahead(open_picture, photos), targets, strict=True)):

            def tell(part: float, number: int = number) -> None:
                progress(number + part)

            began = time.perf_counter()
            try:
                picture: Image.Image | NSTError = _painted(photo.result(), styles, settings, tell)
            except NSTError as error:
                picture = error
            tell(1)
            yield target, picture, time.perf_counter() - began

    def save(made: tuple[Path, Image.Image | NSTError, float]) -> None:
        target, picture, seconds = made
        if isinstance(picture, NSTError):
            raise picture
        save_picture(picture, target)
        wrote(target, Painted(*picture.size, seconds))

    for saving in ahead(save, painted()):
        try:
            saving.result()
        except NSTError as error:
            yield error


def stylize_files_on_ray(
    photos: Sequence[Path],
    targets: Sequence[Path],
    styles: Sequence[Style],
    *,
    progress: Progress,
    wrote: Callable[[Path, Painted], None],
    **settings: Any,
) -> Iterator[NSTError]:
    """The same on the cores of a Ray cluster, a photograph each; see ``nst_core.cluster.spread``.

    Raises:
        ClusterError: as that.
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
    """The name of the file that is to come back."""


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
    file.name = sent.name  # by which refusals call it
    try:
        picture = _painted(open_picture(file), styles, settings)
        painted = Painted(*picture.size, time.perf_counter() - began)
        with TemporaryDirectory() as folder:
            save_picture(picture, Path(folder, sent.target))
            return _Returned(Path(folder, sent.target).read_bytes(), painted)
    except NSTError as error:
        return error


def _painted(
    photo: Image.Image, styles: Sequence[Style], settings: dict[str, Any], progress: Progress | None = None
) -> Image.Image:
    second = styles[1] if len(styles) > 1 else None
    return stylize(photo, styles[0], second=second, progress=progress, **settings)
