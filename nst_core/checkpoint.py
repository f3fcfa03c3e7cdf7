"""Reads what ``torch.save`` wrote: tensors and plain values, and nothing that would run."""

import struct
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

# What PyTorch's reader meets in a damaged file, it raises as it comes.
_DAMAGED = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError,
    struct.error,
)  # fmt: skip


def load_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> Any:
    """What is in the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is damaged, something else, or wants to run something of its own; says which of it.
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
