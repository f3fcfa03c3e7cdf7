"""The tensors in what ``torch.save`` wrote, of which nothing is run: a pickle is read as the list of steps that it is.

Of the steps there are those that put plain values together, and of what a pickle may call, what makes tensors and
dictionaries: these are made here, in its place. Anything else is refused.
"""

import struct
import zipfile
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path, PurePosixPath
from pickletools import genops
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from nst_core.text import quoted

PICKLE = "data.pkl"
"""What the pickle is called in a zip; each storage's bytes are in a file beside it."""
MAX_PICKLE = 2**17
"""Bytes; the names and shapes of a network here and of its optimiser's state take a fifth."""
OLD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""How all files began before PyTorch 1.6: a pickle of one number."""

_TYPES = {
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Double": torch.float64,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
}
_VALUES = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_ARGUMENTS = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "BINSTRING", "SHORT_BINSTRING")
_DAMAGED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error)


T = TypeVar("T")


class _Refused(Exception):
    """A file that holds something else; why, without its subject."""


class _Name(str):
    """What a pickle would import: module and name."""


class _View(NamedTuple):
    """A tensor, but for its bytes."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state(path: Path) -> dict[str, Tensor]:
    """The state dict in a file of ``torch.save``: by itself, or beside other things as ``state_dict``.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, or something else; the message lacks its subject, the file's name.
    """
    data = bytearray(path.stat().st_size)
    with path.open("rb") as file:
        file.readinto(data)
    try:
        return _state(path, data)
    except _Refused as error:
        raise ValueError(str(error)) from None
    except (*_DAMAGED, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError("is damaged, or no checkpoint of PyTorch") from error


def _state(path: Path, data: bytearray) -> dict[str, Tensor]:
    reader = _Reader()
    if data.startswith(OLD):
        held, storages = _old(reader, data)
    elif data.startswith(b"PK"):
        held, storages = _zipped(reader, path, data)
    else:
        raise _Refused("is no checkpoint of tensors alone, as torch.save writes it")
    if isinstance(held, dict) and isinstance(held.get("state_dict"), dict):
        held = held["state_dict"]
    views = isinstance(held, dict) and all(isinstance(name, str) and type(held[name]) is _View for name in held)
    if not held or not views:
        raise _Refused("holds no state dict: a dict of tensors by their names would be right")
    state = {}
    for name, view in held.items():
        storage = torch.frombuffer(storages[view.storage], dtype=reader.types[view.storage])
        state[name] = storage.as_strided(view.shape, view.strides, view.offset)  # within the storage, or it fails
    return state


def _zipped(reader: "_Reader", path: Path, data: bytearray) -> tuple[Any, Mapping[str, memoryview]]:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        [pickle] = [name for name in entries if PurePosixPath(name).name == PICKLE]
        with archive.open(pickle) as file:
            steps = file.read(MAX_PICKLE + 1)
    if len(steps) > MAX_PICKLE:
        raise _Refused(f"lists what it holds in more than {MAX_PICKLE:,} bytes, and a network's tensors take fewer")
    held = reader.read(BytesIO(steps))
    storages = {}
    for key in reader.types:
        entry = entries[str(PurePosixPath(pickle).with_name("data") / key)]
        if entry.compress_type != zipfile.ZIP_STORED:
            raise _Refused("is a checkpoint that was packed anew: as torch.save wrote it, it would be right")
        names = struct.unpack_from("<HH", data, entry.header_offset + 26)
        begin = entry.header_offset + 30 + sum(names)
        storages[key] = memoryview(data)[begin : begin + entry.file_size]
    return held, storages


def _old(reader: "_Reader", data: bytearray) -> tuple[Any, Mapping[str, memoryview]]:
    """As all files were before PyTorch 1.6: pickles, one after the other, and then the storages."""
    pickles = BytesIO(data[:MAX_PICKLE])
    for _ in ("a number that is always the same", "the version", "the machine"):
        reader.read(pickles)
    held, keys = reader.read(pickles), reader.read(pickles)
    at, storages = pickles.tell(), {}
    for key in (_as(str, key) for key in keys):
        [count] = struct.unpack_from("<Q", data, at)
        end = at + 8 + count * reader.types[key].itemsize
        storages[key] = memoryview(data)[at + 8 : end]
        at = end
    return held, storages


class _Reader:
    """Reads pickles, each with what was read before it at hand."""

    def __init__(self) -> None:
        self.types: dict[str, torch.dtype] = {}
        """Of all storages that were named, by their keys."""

    def read(self, pickle: BytesIO) -> Any:
        """What the pickle stands for; the next one may follow."""
        stack: list[Any] = []
        marks: list[int] = []
        memo: dict[int, Any] = {}

        def taken(begin: int) -> list[Any]:
            if begin < 0:
                raise IndexError
            items = stack[begin:]
            del stack[begin:]
            return items

        for opcode, said, _ in genops(pickle):
            match opcode.name:
                case "PROTO" | "STOP":
                    pass
                case name if name in _VALUES:
                    stack.append(_VALUES[name])
                case name if name in _ARGUMENTS:
                    stack.append(said)
                case "EMPTY_DICT":
                    stack.append({})
                case "EMPTY_LIST":
                    stack.append([])
                case "GLOBAL":
                    stack.append(_Name(said))
                case "MARK":
                    marks.append(len(stack))
                case "TUPLE":
                    stack.append(tuple(taken(marks.pop())))
                case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                    stack.append(tuple(taken(len(stack) - int(name[-1]))))
                case "BINPUT" | "LONG_BINPUT":
                    memo[_as(int, said)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[_as(int, said)])
                case "APPEND" | "APPENDS" as name:
                    items = taken(marks.pop() if name == "APPENDS" else len(stack) - 1)
                    _as(list, stack[-1]).extend(items)
                case "SETITEM" | "SETITEMS" as name:
                    items = taken(marks.pop() if name == "SETITEMS" else len(stack) - 2)
                    _fill(_as(dict, stack[-1]), zip(items[::2], items[1::2], strict=True))
                case "BINPERSID":
                    stack.append(self._storage(*stack.pop()))
                case "REDUCE" | "NEWOBJ":
                    called, arguments = taken(len(stack) - 2)
                    stack.append(_made(called, arguments))
                case "BUILD":  # of a dictionary: notes of PyTorch's own
                    stack.pop()
                case _:
                    raise _Refused("is no checkpoint of tensors alone: what model.state_dict() gives would be right")
        return stack.pop()

    def _storage(self, kind: str, type: str, key: str, place: str, count: int, view: None = None) -> str:
        named = _as(_Name, type).rpartition(" ")[2].removesuffix("Storage")
        if kind != "storage" or view is not None:
            raise TypeError
        if named not in _TYPES:
            raise _Refused(f"holds tensors of {quoted(named, 40)}, and floating-point numbers would be right")
        self.types[_as(str, key)] = _TYPES[named]
        return key


def _made(name: Any, arguments: Any) -> Any:
    """What a pickle would have called."""
    match name:
        case "collections OrderedDict":
            return _fill({}, *arguments)
        case "torch._utils _rebuild_tensor" | "torch._utils _rebuild_tensor_v2":
            storage, *place = arguments[:4]
            return _View(_as(str, storage), *place)
        case "torch._utils _rebuild_parameter":
            return arguments[0]
    called = quoted(".".join(name.split()), 60) if type(name) is _Name else "something"
    raise _Refused(
        f"is no checkpoint of tensors alone: it wants to call {called}, which it may not; what model.state_dict() "
        "gives would be right"
    )


def _fill(held: dict[Any, Any], pairs: Any = ()) -> dict[Any, Any]:
    for key, value in pairs:
        if not isinstance(key, str | int):  # a small pickle can hold a tuple that takes years to hash
            raise TypeError
        held[key] = value
    return held


def _as(kind: type[T], value: Any) -> T:
    if type(value) is not kind:
        raise TypeError
    return value
