"""Text that came from outside, made safe to read and to show: YAML without surprises, refusals in one sentence."""

import json
import re
import unicodedata
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, ValidationError

from nst_core.errors import NSTError, one_line

JOINERS = "\u200c\u200d"
"""Format characters that Persian, the Indic scripts and emoji need, and that turn nothing around."""

FILLERS = "\u115f\u1160\u2800\u3164\uffa0"
"""Letters and a symbol that are invisible."""
NULLS = ("~", "null", "Null", "NULL")
"""How YAML writes null, beside leaving the value out."""
MARKS = 6
"""The most combining marks on one letter in any script; more would hide the lines above."""


def plain(text: str, limit: int = 120) -> str:
    """One line of at most ``limit`` characters, without control, bidirectional, surrogate or invisible characters."""
    kept, marks = [], 0
    for c in text:
        category = unicodedata.category(c)
        if category != "Cf":  # left out, or a joiner: no new letter begins
            marks = marks + 1 if category in ("Mn", "Me") else 0
        seen = category not in ("Cc", "Cf", "Cs") and c not in FILLERS and marks <= MARKS
        if seen or c.isspace() or c in JOINERS:
            kept.append(c)
    line = " ".join("".join(kept).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """The first twenty of the names that are neither empty nor repeated."""
    return tuple(dict.fromkeys(name for name in names if name))[:20]


PlainText = Annotated[str, AfterValidator(plain)]
Tags = Annotated[tuple[PlainText, ...], AfterValidator(distinct)]


def quoted(name: object, limit: int = 80) -> str:
    """A name from outside as it may stand in a sentence: in quotation marks, nothing invisible in it.

    Of more than ``limit`` characters, it ends in an ellipsis.
    """
    text = repr(str(name)[: limit + 1])
    # An invisible character takes up to ten to write.
    return text if len(text) <= limit + 2 else f"{text[:limit]}…{text[0]}"


def count(number: int, thing: str) -> str:
    """``1 step``, ``1,200 steps``; the ``thing`` is a word whose plural ends in s."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def few(names: list[str], most: int = 3) -> str:
    """``'a', 'b', 'c' and 5 more``."""
    shown = ", ".join(quoted(name, 30) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def read_text(path: Path, limit: int, error: type[NSTError]) -> str:
    """The file's text.

    Raises:
        error: it cannot be read, has more than ``limit`` bytes, or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as cause:
        raise error(f"{path.name} could not be read: {cause.strerror}.") from cause
    if len(data) > limit:
        raise error(f"{path.name} cannot be used: it has more than {limit:,} bytes.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{path.name} cannot be used: it is not UTF-8 text.") from None


class _Loader(yaml.BaseLoader):
    """YAML as nested dict, list and str: no tags, no aliases (a few can make billions of nodes), no key twice."""

    def construct_scalar(self, node: yaml.ScalarNode) -> str:
        text = super().construct_scalar(node)
        return "" if node.style is None and text in NULLS else text

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.get_event().start_mark
            raise yaml.MarkedYAMLError(problem="an alias (*) is not allowed", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) < len(node.value):
            raise yaml.MarkedYAMLError(problem="a key appears twice in one mapping", problem_mark=node.start_mark)
        return mapping


def load_yaml(text: str) -> Any:
    """The document as nested dicts, lists and strings: ``1984`` and ``no`` stay text, no value is evaluated, and
    ``null`` is empty text unless it is quoted.

    Raises:
        ValueError: it is not YAML, or uses aliases or a key twice; the message says what and in which line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{(error.problem or 'it is damaged').removeprefix('but ')}{line}") from error
    except yaml.YAMLError as error:
        # The rest only says where in "<unicode string>".
        raise ValueError(plain(str(error).partition("\n")[0])) from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A dict, for ``json.loads`` as ``object_pairs_hook``; refuses repeated keys, which readers do not treat alike.

    Raises:
        ValueError: a key stands twice.
    """
    unique = dict(pairs)
    if len(unique) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"it has {quoted(name)} twice, but each name should appear once")
    return unique


def check_json(text: str) -> None:
    """Refuse JSON that not all readers understand alike: repeated keys, numbers that are not finite.

    Raises:
        ValueError: there is such a thing, or it is not JSON; the message says what.
    """

    def number(digits: str) -> float:
        value = float(digits)
        if value in (float("inf"), -float("inf")):
            raise ValueError(f"it has the number {plain(digits, 20)}, but the largest possible is about 1e308")
        return value

    def no_number(name: str) -> None:
        raise ValueError(f"it has {name}, which is not a number, instead of a number or null")

    json.loads(text, object_pairs_hook=unique_keys, parse_int=number, parse_float=number, parse_constant=no_number)


def explain(error: ValidationError, where: str) -> str:
    """The first thing that a model found wrong in ``where``, as one sentence that says what would be right."""
    first = error.errors(include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    match first["type"]:
        case "json_invalid":
            return f"{where} is not JSON: {first['msg'].removeprefix('Invalid JSON: ')}."
        case "missing":
            return f"{where} lacks {quoted(place)}."
        case "extra_forbidden":
            return f"{where} has {quoted(place)}, which means nothing there."
        case "value_error":  # one of ours, and a sentence already
            return first["msg"].removeprefix("Value error, ")
    subject = f"{quoted(place)} in {where}" if place else where
    should = re.sub(r"^.*?(?=should )| or instance of \w+|, unable to parse .*", "", first["msg"])
    # What pydantic calls a valid tuple or dictionary is a list or an object to the file's author.
    should = should.replace("a valid tuple", "a list").replace("a valid dictionary", "an object")
    return f"{subject} {should}."


def parse_layer(word: str) -> tuple[str, float]:
    """Name and weight of a layer, from ``NAME`` or ``NAME=WEIGHT``; the weight is 1 by default.

    Raises:
        NSTError: there is no name, or what follows the last = is not a number.
    """
    name, equals, weight = word.rpartition("=")
    with suppress(ValueError):
        if word and not equals:
            return word, 1.0
        if name:
            return name, float(weight)
    raise NSTError(f"{one_line(word)} is not a layer: give its name, or its name and weight as in conv4_1=0.5.")


def slug(title: str) -> str:
    """An id made from a title: ``The Great Wave`` gives ``the-great-wave``; nothing usable gives ``style``."""
    letters = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", letters).strip("-")[:64].strip("-") or "style"
