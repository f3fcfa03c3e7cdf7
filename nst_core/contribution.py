"""Turns an upload, weights alone or a style's folder as a zip, into a style's folder; all sizes are bounded."""

import os
import shutil
import stat
import zipfile
import zlib
from contextlib import suppress
from io import FileIO
from pathlib import Path, PurePosixPath

from nst_core.errors import NSTError
from nst_core.gate import MAX_HEADER, POINTER, other_kind, recognise
from nst_core.style import CONFIG, MAX_BYTES, WEIGHTS, StyleConfig
from nst_core.text import count, quoted

MAX_LIST = 2**17
"""The most bytes of a zip's list of entries: each usually has a hundred, and a trainer's samples may be among them."""
IGNORED = {"training", "__MACOSX", ".DS_Store", ".cache", ".git", ".gitattributes", "Thumbs.db", "desktop.ini"}
"""Folders and files of our own trainer, of operating systems, of the Hub's client and of git, which are skipped."""
RIGHT = f"a style's zip holds only {', '.join(MAX_BYTES)}, all at the top or in one folder"
CHUNK = 2**16  # bytes
LOCAL_HEADER = 30
"""The fewest bytes of the header before an entry's data."""
END, LARGEST_END = b"PK\5\6", 22 + 0xFFFF
"""How a zip's last record begins, and the most bytes that it has, most of them a comment."""

TAKEN = "upload weights as .safetensors, or a style's folder as a zip"
CHECKPOINT = (
    "The file is a checkpoint of PyTorch, which is a pickle, and a pickle can run any program: make a style of it "
    "with python -m nst_core import, and give its folder as a zip."
)
BEFORE_1_6 = b"\x80\x02\x8a\x0al\xfc\x9cF"
"""How checkpoints began before PyTorch 1.6; since then they are zips."""
_SAID_BY_GATE = (b"\x80", POINTER)
"""How files begin that the gate refuses with a better message."""


class ContributionError(NSTError):
    """An upload that is not a style."""


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does; one that cannot be read does not."""
    with suppress(OSError), path.open("rb") as file:
        # All four bytes: two may be those of a safetensors' length.
        return file.read(4) in (b"PK\3\4", END)
    return False


def unpack(upload: Path, folder: Path) -> None:
    """Write a style's files into ``folder``, which is made; nothing is written anywhere else.

    Raises:
        ContributionError: neither weights nor a zip, or a zip that is damaged, too large, or holds other things.
        WeightsError: weights of no architecture here.
    """
    with upload.open("rb") as file:
        head = file.read(64)
    folder.mkdir(parents=True)
    if is_zip(upload):
        _unzip(upload, folder)
        return
    if head.startswith(BEFORE_1_6):
        raise ContributionError(CHECKPOINT)
    if not head:
        raise ContributionError(f"The file is empty: {TAKEN}.")
    if head[8:9] != b"{":  # as weights have there
        if name := other_kind(head):
            raise ContributionError(f"The file is {name}: {TAKEN}.")
        if int.from_bytes(head[:8], "little") > MAX_HEADER and not head.startswith(_SAID_BY_GATE):
            raise ContributionError(f"The file is of an unknown kind: {TAKEN}.")
    if (size := upload.stat().st_size) > MAX_BYTES[WEIGHTS]:
        raise ContributionError(
            f"The file has {size:,} bytes, but weights of the architectures here have at most {MAX_BYTES[WEIGHTS]:,}."
        )
    # Under a name of ours: refusals name the file, and the upload's name is a stranger's.
    shutil.copyfile(upload, folder / WEIGHTS)
    architecture = recognise(folder / WEIGHTS)
    config = StyleConfig(architecture=architecture.id, architecture_version=architecture.version)
    (folder / CONFIG).write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")


class _Reader(FileIO):
    """A file for ``zipfile``, which reads the whole list of entries at once, before they can be counted."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_LIST:
            raise ContributionError(f"The zip's list of files has {size:,} bytes, but a style has only four files.")
        return super().read(size) or b""


def _unzip(upload: Path, folder: Path) -> None:
    with _Reader(upload) as file:
        file.seek(-min(upload.stat().st_size, LARGEST_END), os.SEEK_END)
        if END not in file.read(LARGEST_END):
            raise ContributionError("The zip was cut short: upload the whole file again.")
        try:
            archive = zipfile.ZipFile(file)
        except NSTError:
            raise
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
            raise ContributionError("The zip's list of files is damaged: create the zip again.") from error
        _refuse_overlaps(archive.infolist(), upload.stat().st_size)
        for name, entry in _wanted(archive.infolist()).items():
            _extract(archive, entry, folder / name, MAX_BYTES[name])


def _refuse_overlaps(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse entries that share bytes: with those, a small zip can unpack to any size."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end:
            raise ContributionError(
                f"The zip's entry {quoted(entry.filename)} overlaps another: each entry should have bytes of its own."
            )
        end = entry.header_offset + LOCAL_HEADER + entry.compress_size
        if end > size:
            raise ContributionError(
                f"The zip's entry {quoted(entry.filename)} should lie within the zip, but ends "
                f"{count(end - size, 'byte')} after it."
            )


def _wanted(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The entries that are a style's files, by name; other entries are refused, unless known to be harmless."""
    if any(PurePosixPath(entry.filename).name == "data.pkl" for entry in entries):
        raise ContributionError(CHECKPOINT)
    wanted: dict[str, zipfile.ZipInfo] = {}
    places = set()
    for entry in entries:
        path, shown = PurePosixPath(entry.filename), quoted(entry.orig_filename)
        if path.is_absolute() or ".." in path.parts or {"\\", ":", "\0"}.intersection(entry.orig_filename):
            raise ContributionError(f"The zip's entry {shown} may lead out of its folder: {RIGHT}.")
        if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ContributionError(f"The zip's entry {shown} is a link or a device: only plain files are allowed.")
        if entry.is_dir() or IGNORED.intersection(path.parts) or path.name.startswith("._"):
            continue
        if path.name not in MAX_BYTES or len(path.parts) > 2:
            raise ContributionError(f"The zip holds {shown}: {RIGHT}.")
        if path.name in wanted:
            raise ContributionError(f"The zip holds {path.name} twice: include each file only once.")
        if entry.flag_bits & 0x2041:  # encrypted, strongly, with its list
            raise ContributionError(f"{path.name} in the zip is locked with a password: create the zip without one.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ContributionError(f"{path.name} in the zip is packed in an unusual way: use the usual Deflate.")
        wanted[path.name] = entry
        places.add(path.parent)
    if len(places) > 1:
        raise ContributionError("The zip spreads the style's files over several folders: put them in one.")
    if missing := [name for name in (CONFIG, WEIGHTS) if name not in wanted]:
        raise ContributionError(f"The zip lacks {' and '.join(missing)}: a style has {CONFIG} and {WEIGHTS}.")
    return wanted


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, file: Path, most: int) -> None:
    """Write one entry, and stop as soon as it is too large: the size that the zip claims is not trusted."""
    size = 0
    try:
        with archive.open(entry) as source, file.open("xb") as target:
            while size <= most and (chunk := source.read(CHUNK)):
                size += len(chunk)
                target.write(chunk)
    except OSError as error:
        raise ContributionError(f"{file.name} could not be written: {error.strerror}.") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise ContributionError(f"{file.name} in the zip is damaged: create the zip again.") from error
    if size > most:
        raise ContributionError(f"{file.name} in the zip has more than the {most:,} bytes allowed.")
