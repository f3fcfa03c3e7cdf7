"""The registry: a curated list of styles, bundled or on the Hub, each loaded when it is first used."""

import dataclasses
import difflib
import json
import os
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from nst_core.errors import NSTError, one_line
from nst_core.text import PlainText, Tags, explain, few, load_yaml, quoted, read_text

if TYPE_CHECKING:
    from nst_core.style import Style

REGISTRY = "registry.yaml"
MAX_REGISTRY = 2**19
"""Bytes: of some 1500 styles on the Hub."""
KEPT = 8
"""How many opened styles a registry keeps. Each has some 7 MB, 14 MB more once it has painted in bfloat16, and 50 MB
more once it has in float32."""
REPO = r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*"
COMMIT = "[0-9a-f]{40}"
REVISION = r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*"
REASON = "(?!(?i:true|false|yes|no|on|off)$).+"


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
    if "\\" in path.as_posix():  # on Windows alone it would be found
        raise PydanticCustomError(
            "backslash", "should have / between its folders, as in styles/great-wave, and no backslash"
        )
    with suppress(OSError, ValueError):  # for one that is too long, or contains a null character
        if (real := Path(os.path.realpath(folder / path))).is_relative_to(folder):
            return real
    raise PydanticCustomError("outside", "should be a folder inside the registry's own")


SomeText = Annotated[PlainText, _matching(".+", "text that can be seen")]
Repo = Annotated[str, _matching(REPO, "a repository on the Hub, as user/name")]
Commit = Annotated[str, _matching(COMMIT, "a full commit hash, 40 of 0–9 and a–f")]


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
    """Absolute; in the file, relative to its folder."""
    repo: Repo | None = None
    revision: Commit | None = None
    sha256: Annotated[str, _matching("[0-9a-f]{64}", "the SHA-256 of the weights, 64 of 0–9 and a–f")]
    withdrawn: Annotated[PlainText, _matching(REASON, "the reason in words, or left out")] | None = None
    """Why it was taken out of the gallery; people who follow a link to it are told so."""

    @model_validator(mode="after")
    def _one_source(self) -> "Entry":
        if (self.path is None) == (self.repo is None) or (self.repo is None) != (self.revision is None):
            raise PydanticCustomError("source", "should have either a path, or a repo and its revision")
        return self

    @property
    def preview(self) -> Path | None:
        """The file of the picture that a gallery shows; None if the style is on the Hub or has none."""
        from nst_core.style import PREVIEW

        path = self.path and self.path / PREVIEW
        return path if path and os.path.isfile(path) else None


class Blocked(BaseModel):
    """A repository on the Hub, or one commit of it, that is not opened, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repo: Repo
    revision: Commit | None = None
    reason: SomeText


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    version: Literal["1"]
    styles: list[dict[str, Any]]
    blocked: list[Blocked] = []


class Registry:
    """Styles by id; iterating gives the entries that are neither withdrawn nor blocked, in the order of the file."""

    def __init__(self, entries: tuple[Entry, ...], blocked: Sequence[Blocked] = (), *, repo: str | None = None) -> None:
        self.repo = repo
        """The repository that it comes from, if any."""
        self._blocked = tuple(blocked)
        self._entries = {entry.id: entry for entry in entries}
        self._loading = {entry.id: threading.Lock() for entry in entries}
        self._opened: dict[str, Style] = {}
        self._opened_lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # Copied and pickled without its locks, and without the styles that it has opened.
        return partial(type(self), repo=self.repo), (self.entries, self._blocked)

    @classmethod
    def load(cls, source: str | Path | None = None) -> "Registry":
        """Read a registry: a YAML file, a folder that holds ``registry.yaml``, a repository on the Hub that does, as
        ``user/repo``, ``user/repo@revision`` or ``spaces/user/repo``, or by default the bundled one.

        Raises:
            RegistryError: there is none, or something in it is not as it should be.
            HubError: it cannot be fetched from the Hub.
        """
        if not isinstance(source, str | os.PathLike | None) or source == "":
            raise RegistryError(
                f"A registry is read from a path, or user/repo on the Hub, not from {one_line(source)}."
            )
        repo = None
        if isinstance(source, str) and not os.path.exists(source) and (match := registry_on_the_hub(source)):
            from nst_core.hub import fetch_registry

            repo = match[1]
            path = fetch_registry(match[1], match[2])
        else:
            path = _find(Path(source) if source is not None else None)
        return cls.parse(read_registry(path), path, repo=repo)

    @classmethod
    def parse(cls, text: str, path: Path, *, repo: str | None = None) -> "Registry":
        """Read the text of a registry; its entries' paths are relative to the folder of ``path``.

        Raises:
            RegistryError: something in it is not as it should be.
        """
        try:
            read = load_yaml(text)
        except ValueError as error:
            raise RegistryError(f"{path.name} is not a registry that can be read: {error}.") from error
        if not isinstance(read, dict):
            raise RegistryError(f"{path.name} is not a registry: it should have 'version: 1' and a list of 'styles'.")
        try:
            file = _File.model_validate(read)
        except ValidationError as error:
            raise RegistryError(explain(error, path.name)) from error
        entries = _entries(file.styles, path)
        if repo and (local := [entry.id for entry in entries if entry.path]):
            raise RegistryError(
                f"{path.name} of {repo} gives a path to {few(local)}, but on the Hub each entry should have a repo "
                "and its revision."
            )
        return cls(entries, file.blocked, repo=repo)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, withdrawn ones included."""
        return tuple(self._entries.values())

    def __repr__(self) -> str:
        return f"Registry({', '.join(entry.id for entry in self)})"

    def __iter__(self) -> Iterator[Entry]:
        return (entry for entry in self._entries.values() if not (entry.withdrawn or self._is_blocked(entry)))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, item: object) -> bool:
        """Whether it is an entry that iterating gives, or the id of one."""
        return any(item in (entry.id, entry) for entry in self)

    def __getitem__(self, id: str) -> Entry:
        """The entry of that id.

        Raises:
            RegistryError: there is none, and the message names similar ones; or it was withdrawn or blocked, and says
                why.
        """
        if not isinstance(id, str):
            raise RegistryError(f"A registry has its entries by id, such as 'udnie', and not by {one_line(id)}.")
        if entry := self._entries.get(id):
            if entry.withdrawn:
                raise RegistryError(f"{entry.title} was withdrawn from the gallery: {entry.withdrawn.rstrip('.')}.")
            if entry.repo:
                self.refuse_blocked(entry.repo, entry.revision)
            return entry
        shown = [entry.id for entry in self]
        near = difflib.get_close_matches(id.strip().lower().replace(" ", "-"), shown, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"the registry has {few(shown, 8) or 'none'}."
        raise RegistryError(f"There is no style {quoted(id)}; {hint}")

    def open(self, ref: str | Path) -> "Style":
        """A style by its id, a folder, or ``user/repo`` or ``user/repo@revision`` on the Hub, tried in that order.

        A style of this registry has the title, artist, licence and tags of its entry, and must have its hash. It is
        loaded once, even if several threads ask at the same time, and the last few stay loaded.

        Raises:
            RegistryError: there is no such style, or it was withdrawn or blocked.
            HubError: it cannot be fetched from the Hub.
            StyleError, WeightsError: it is there, but cannot be used.
        """
        if not isinstance(ref, str | os.PathLike):
            raise RegistryError(f"A style is opened by its id, a folder, or user/repo on the Hub, not {one_line(ref)}.")
        if ref not in self._entries:
            is_path = isinstance(ref, os.PathLike) or os.path.exists(ref)
            if not is_path and (match := on_the_hub(str(ref))):
                with perhaps_a_folder(str(ref)):
                    return dataclasses.replace(self.open_from_hub(match[1], match[2]), id=str(ref))
            # What reads as a path is never an id, even where nothing is there.
            if is_path or re.fullmatch(r"([.~\\]|[^\0/]*/)[^\0]*", str(ref)):
                return _open_folder(Path(ref))
        entry = self[str(ref)]
        with self._loading[entry.id]:
            with self._opened_lock:
                kept = self._opened.pop(entry.id, None)
            style = kept or self._open_entry(entry)
            with self._opened_lock:
                self._opened[entry.id] = style
                if len(self._opened) > KEPT:
                    del self._opened[next(iter(self._opened))]
        return style

    def open_from_hub(self, repo: str, revision: str | None = None, *, into: Path | None = None) -> "Style":
        """A style that is not of this registry, from its repository; its id is ``user/repo@<commit hash>``.

        ``into`` is for strangers' requests, see ``nst_core.hub.fetch``.

        Raises:
            RegistryError: it is blocked.
            HubError: it cannot be fetched from the Hub.
            StyleError, WeightsError: it is there, but cannot be used.
        """
        style = self._open_repo(repo, revision, into=into)
        return dataclasses.replace(style, id=f"{repo}@{style.folder.name}")

    def why_blocked(self, repo: str, revision: str | None = None) -> str | None:
        """Why that repository, or that commit of it, is not to be opened; None where it may be."""
        for blocked in self._blocked:
            if same_repo(blocked.repo, repo) and blocked.revision in (None, revision):
                return blocked.reason
        return None

    def _is_blocked(self, entry: Entry) -> bool:
        return bool(entry.repo and self.why_blocked(entry.repo, entry.revision))

    def refuse_blocked(self, repo: str, revision: str | None) -> None:
        """Refuse that repository, or that commit of it, if it is blocked, and say why.

        Raises:
            RegistryError: it is blocked.
        """
        if reason := self.why_blocked(repo, revision):
            raise RegistryError(f"{repo} is blocked by this registry: {reason.rstrip('.')}.")

    def fetch(self, repo: str, revision: str | None = None, **how: Any) -> Path:
        """``nst_core.hub.fetch``, but for what is blocked.

        Raises:
            RegistryError: it is blocked.
            HubError: it cannot be fetched.
        """
        from nst_core.hub import fetch

        self.refuse_blocked(repo, revision)
        folder = fetch(repo, revision, refuse=self.refuse_blocked, **how)
        self.refuse_blocked(repo, folder.name)  # for a cached copy, the Hub was not asked
        return folder

    def _open_entry(self, entry: Entry) -> "Style":
        try:
            if entry.path is not None:
                style = _open_folder(entry.path, sha256=entry.sha256)
            else:
                assert entry.repo is not None
                style = self._open_repo(entry.repo, entry.revision, sha256=entry.sha256)
        except NSTError as error:
            error.style = entry.id
            raise
        return dataclasses.replace(
            style, id=entry.id, title=entry.title, artist=entry.artist, license=entry.license, tags=entry.tags
        )

    def _open_repo(
        self, repo: str, revision: str | None, *, sha256: str | None = None, into: Path | None = None
    ) -> "Style":
        folder = self.fetch(repo, revision, into=into)
        try:
            return _open_folder(folder, sha256=sha256, name=repo)
        except NSTError:
            if into:
                raise
        # Its copy in the cache is perhaps damaged.
        return _open_folder(self.fetch(repo, revision, refresh=True), sha256=sha256, name=repo)


def read_registry(path: Path) -> str:
    """The text of a ``registry.yaml``.

    Raises:
        RegistryError: it cannot be read, is too large, or is not UTF-8.
    """
    return read_text(path, MAX_REGISTRY, RegistryError)


def add_entry(text: str, entry: Entry) -> str:
    """A registry's text with one more entry at the end of its styles, all else as it was.

    Raises:
        RegistryError: the text is not a registry, has that id or repository already, or blocks the repository.
    """
    path = Path(REGISTRY)
    registry = Registry.parse(text, path)
    if entry.repo:
        registry.refuse_blocked(entry.repo, entry.revision)
    for known in registry.entries:
        if same_repo(known.repo, entry.repo):
            raise RegistryError(
                f"{entry.repo} is in the registry already, as {quoted(known.id)}: its maintainer can change the title "
                "or the revision there."
            )
        if known.id == entry.id:
            raise RegistryError(f"The registry already has a style {quoted(entry.id)}: choose another name.")
    new = _with_item(text, entry.model_dump(mode="json", exclude_none=True))
    Registry.parse(new, path)
    return new


def _with_item(text: str, fields: dict[str, Any]) -> str:
    """A registry's text with one more item at the end of its styles, written as the others are."""
    root = yaml.compose(text)
    assert isinstance(root, yaml.MappingNode)
    [styles] = [value for key, value in root.value if key.value == "styles"]
    if (styles.value and styles.flow_style) or root.flow_style:
        # A list in brackets takes JSON as well.
        end = styles.value[-1].end_mark.index if styles.value else styles.end_mark.index - 1
        return text[:end] + (", " if styles.value else "") + json.dumps(fields, ensure_ascii=False) + text[end:]
    if styles.flow_style:  # empty: it is replaced by one as a person would write it
        before, after, margin = text[: styles.start_mark.index], text[styles.end_mark.index :], "  "
    else:
        before = text[: styles.end_mark.index].rstrip()
        # Comments above the next section stay there.
        while before.rpartition("\n")[2].startswith("#"):
            before = before.rpartition("\n")[0].rstrip()
        after = text[len(before) :]
        # As the present ones have, though not all that the list begins with is one: there may be a tag or an anchor.
        lines = text[styles.start_mark.index - styles.start_mark.column :]
        [margin, *_] = re.findall(r"^( *)-\s", lines, re.MULTILINE)
    item = yaml.safe_dump([fields], sort_keys=False, allow_unicode=True)
    indented = "".join(f"{margin}{line}\n" for line in item.splitlines())
    return f"{before.rstrip()}\n{indented}{after.removeprefix(chr(10))}"


def _open_folder(folder: Path, *, sha256: str | None = None, name: str | None = None) -> "Style":
    # Opening needs torch; looking through a registry should not wait for it.
    from nst_core.style import Style

    return Style.open(folder, sha256=sha256, name=name)


@contextmanager
def perhaps_a_folder(ref: str) -> Iterator[None]:
    """Let a refusal of the Hub also say that there is no folder ``ref``, which may have been meant."""
    from nst_core.hub import HubError

    try:
        yield
    except HubError as error:
        if "@" in ref:
            raise
        raise HubError(f"{error} Nor is there a folder {quoted(ref)} here.") from error


def same_repo(one: str | None, other: str | None) -> bool:
    """Whether two names are of one repository: on the Hub, no two differ in case alone."""
    return one is not None and other is not None and one.lower() == other.lower()


def on_the_hub(ref: str) -> re.Match[str] | None:
    """Match ``user/repo`` or ``user/repo@revision``; the two are groups."""
    return re.fullmatch(rf"({REPO})(?:@({REVISION}))?", ref, re.ASCII)


def registry_on_the_hub(ref: str) -> re.Match[str] | None:
    """Match ``user/repo`` or ``spaces/user/repo``, perhaps with ``@revision``, as two groups, but no YAML file."""
    return re.fullmatch(rf"((?:spaces/)?{REPO})(?:@({REVISION}))?(?<!\.yaml)(?<!\.yml)", ref, re.ASCII)


def _find(source: Path | None) -> Path:
    package = Path(__file__).resolve().parent
    places = [package, package.parent] if source is None else [source]
    files = [place / REGISTRY if os.path.isdir(place) else place for place in places]
    for file in files:
        if os.path.isfile(file):
            return file
    raise RegistryError(f"There is no {REGISTRY} at {' or '.join(map(os.path.abspath, places))}.")


def _entries(styles: list[dict[str, Any]], path: Path) -> tuple[Entry, ...]:
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
