"""The registry: a curated list of styles, bundled or on the Hub, each loaded when it is first used."""

import dataclasses
import difflib
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from nst_core.errors import NSTError
from nst_core.text import PlainText, Tags, explain, few, load_yaml, quoted, read_text

if TYPE_CHECKING:
    from nst_core.style import Style

REGISTRY = "registry.yaml"
MAX_REGISTRY = 2**18
"""Bytes."""
KEPT = 8
"""How many opened styles a registry keeps, at some 7 MB each."""
REPO = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
REVISION = r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*"


class RegistryError(NSTError):
    """A registry that cannot be read, or a style that it does not have."""


def _matching(pattern: str, right: str) -> AfterValidator:
    def check(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise PydanticCustomError("pattern", "should be {right}", {"right": right})
        return text

    return AfterValidator(check)


def _inside(path: Path, info: ValidationInfo) -> Path:
    assert info.context is not None
    folder: Path = info.context["folder"]
    if not (resolved := (folder / path).resolve()).is_relative_to(folder):
        raise PydanticCustomError("outside", "should be a folder inside the registry's own")
    return resolved


SomeText = Annotated[PlainText, _matching(".+", "text that can be seen")]


class Entry(BaseModel):
    """One style of a registry: either a folder beside it, or a repository on the Hub at one commit."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[
        str,
        _matching(
            r"(?=.{1,64}$)[a-z0-9]+(-[a-z0-9]+)*",
            "at most 64 lower-case letters, digits and single hyphens, as great-wave",
        ),
    ]
    title: SomeText
    artist: SomeText
    license: SomeText
    tags: Tags
    path: Annotated[Path, AfterValidator(_inside)] | None = None
    """Absolute; in the file it is relative to it."""
    repo: Annotated[str, _matching(REPO, "a repository on the Hub, as user/name")] | None = None
    revision: Annotated[str, _matching("[0-9a-f]{40}", "a full commit hash, 40 of 0–9 and a–f")] | None = None
    sha256: Annotated[str, _matching("[0-9a-f]{64}", "the SHA-256 of the weights, 64 of 0–9 and a–f")]

    @model_validator(mode="after")
    def _one_source(self) -> "Entry":
        if (self.path is None) == (self.repo is None) or (self.repo is None) != (self.revision is None):
            raise PydanticCustomError("source", "should have either a path, or a repo and its revision")
        return self

    @property
    def preview(self) -> Path | None:
        """The picture that a gallery shows, where it is at hand without the Hub."""
        from nst_core.style import PREVIEW

        path = self.path and self.path / PREVIEW
        return path if path and path.is_file() else None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal["1"]
    styles: list[dict[str, Any]]


class Registry:
    """Styles by id; iterating gives their entries, in the order of the file."""

    def __init__(self, entries: tuple[Entry, ...]) -> None:
        self._entries = {entry.id: entry for entry in entries}
        self._loading = {entry.id: threading.Lock() for entry in entries}
        self._opened: dict[str, Style] = {}
        self._opened_lock = threading.Lock()

    @classmethod
    def load(cls, source: str | Path | None = None) -> "Registry":
        """Read a registry: a YAML file, a folder that holds ``registry.yaml``, or by default the one that comes along.

        Raises:
            RegistryError: there is none, or something in it is not as it should be.
        """
        path = _find(Path(source) if source is not None else None)
        try:
            document = load_yaml(read_text(path, MAX_REGISTRY))
        except OSError as error:
            raise RegistryError(f"{path.name} could not be read: {error.strerror}.") from error
        except ValueError as error:
            raise RegistryError(f"{path.name} is not a registry that can be read: {error}.") from error
        return cls(_entries(document, path))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, id: str) -> Entry:
        """The entry of that id.

        Raises:
            RegistryError: there is none; it names those that are near.
        """
        if id in self._entries:
            return self._entries[id]
        near = difflib.get_close_matches(id.strip().lower().replace(" ", "-"), self._entries, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"there are {few(list(self._entries), 8) or 'none'}."
        raise RegistryError(f"There is no style {quoted(id)}; {hint}")

    def open(self, ref: str | Path) -> "Style":
        """A style by its id, a folder, or ``user/repo`` or ``user/repo@revision`` on the Hub, tried in that order.

        A style of this registry is what its entry says: that hash, that title. It is loaded once, also when several
        threads ask at the same time, and the last few stay loaded.

        Raises:
            RegistryError: there is no such style.
            HubError: it cannot be had from the Hub.
            StyleError, WeightsError: it is there, but cannot be used.
        """
        if ref not in self._entries:
            if isinstance(ref, Path) or os.path.isdir(ref):
                return _open_folder(Path(ref))
            if match := re.fullmatch(rf"({REPO})(?:@({REVISION}))?", ref, re.ASCII):
                style = _open_folder(_fetch(match[1], match[2]), name=match[1])
                return dataclasses.replace(style, id=ref)
        entry = self[str(ref)]
        with self._loading[entry.id]:
            with self._opened_lock:
                kept = self._opened.pop(entry.id, None)
            style = kept or _open_entry(entry)
            with self._opened_lock:
                self._opened[entry.id] = style
                if len(self._opened) > KEPT:
                    del self._opened[next(iter(self._opened))]
        return style


def _open_entry(entry: Entry) -> "Style":
    if entry.path is not None:
        folder = entry.path
    else:
        assert entry.repo is not None
        folder = _fetch(entry.repo, entry.revision)
    style = _open_folder(folder, sha256=entry.sha256)
    return dataclasses.replace(
        style, id=entry.id, title=entry.title, artist=entry.artist, license=entry.license, tags=entry.tags
    )


def _open_folder(folder: Path, *, sha256: str | None = None, name: str | None = None) -> "Style":
    # Opening needs torch; looking through a registry should not wait for it.
    from nst_core.style import Style

    return Style.open(folder, sha256=sha256, name=name)


def _fetch(repo: str, revision: str | None) -> Path:
    from nst_core.hub import fetch

    return fetch(repo, revision)


def _find(source: Path | None) -> Path:
    package = Path(__file__).resolve().parent
    places = [package, package.parent] if source is None else [source]
    files = [place / REGISTRY if place.is_dir() else place for place in places]
    for file in files:
        if file.is_file():
            return file
    raise RegistryError(f"There is no {REGISTRY} at {' or '.join(map(str, places))}.")


def _entries(document: Any, path: Path) -> tuple[Entry, ...]:
    try:
        styles = _File.model_validate(document).styles
    except ValidationError as error:
        raise RegistryError(explain(error, path.name)) from error
    entries: dict[str, Entry] = {}
    for number, style in enumerate(styles, start=1):
        where = f"{path.name}'s style {quoted(style.get('id', number))}"
        try:
            entry = Entry.model_validate(style, context={"folder": path.resolve().parent})
        except ValidationError as error:
            raise RegistryError(explain(error, where)) from error
        if entry.id in entries:
            raise RegistryError(f"{path.name} has two styles {quoted(entry.id)}; each should have an id of its own.")
        entries[entry.id] = entry
    return tuple(entries.values())
