"""Reads what ``torch.save`` wrote: tensors and plain values, and nothing that would run."""

import struct
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

# PyTorch's reader raises whatever a damaged file happens to cause.
_DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError,
    struct.error,
)  # fmt: skip


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
            "is no checkpoint of tensors alone: it is something else, is damaged, or wants to run something of its "
            "own, which it may not"
        ) from error
    except _DAMAGED as error:
        raise ValueError("is damaged, or no checkpoint of PyTorch") from error
