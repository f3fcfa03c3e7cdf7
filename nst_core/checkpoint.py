"""Reads what ``torch.save`` wrote: tensors and plain values, and nothing that would run code."""

import struct
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import torch

# The readers raise whatever a damaged file happens to cause.
_DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError,
    struct.error, BadZipFile,
)  # fmt: skip


def unpacked_size(path: Path) -> int:
    """The bytes that a ``torch.save`` file takes when it is read: a zip may hold more than its own size.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, compressed, or TorchScript; the message lacks its subject, the file's name.
    """
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\3\4"  # PyTorch goes by that, too
    size = path.stat().st_size
    if not is_zip:
        return size
    try:
        with ZipFile(path) as archive:
            entries = archive.infolist()
    except _DAMAGED as error:
        raise ValueError("is damaged, or not a checkpoint of PyTorch") from error
    if any(entry.filename.endswith("/constants.pkl") for entry in entries):  # by which PyTorch tells, too
        raise ValueError(
            "is TorchScript, which holds code, and that is not run: use what torch.save writes of the network's "
            "state_dict()"
        )
    if any(entry.compress_type != ZIP_STORED for entry in entries):
        raise ValueError("is compressed, which a checkpoint that PyTorch saved never is")
    return max(size, sum(entry.file_size for entry in entries))


def load_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> Any:
    """The content of a file that ``torch.save`` wrote.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, something else, or would run code; the message lacks its subject, the file's name.
    """
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            "is not a checkpoint of tensors alone: it is something else, is damaged, or holds code, which is not run"
        ) from error
    except _DAMAGED as error:
        raise ValueError("is damaged, or not a checkpoint of PyTorch") from error
