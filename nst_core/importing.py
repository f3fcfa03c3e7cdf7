"""Checkpoints of other projects, read as state dicts of the architectures here. Nothing is ever unpickled."""

from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, RootModel, ValidationError
from torch import Tensor

from nst_core.architectures import Architecture
from nst_core.architectures.fast_style_transfer import FAST_STYLE_TRANSFER
from nst_core.errors import NSTError
from nst_core.text import explain, read_text

MANIFEST = "manifest.json"
MAX_MANIFEST = 100_000  # bytes


class ImportingError(NSTError):
    """A checkpoint that cannot be read as one of the architectures here."""


class _Variable(BaseModel):
    filename: str
    shape: tuple[int, ...]


class _Manifest(RootModel[dict[str, _Variable]]):
    pass


def read_ml5(folder: Path) -> dict[str, Tensor]:
    """The state dict of a ``fast-style-transfer`` network that is shared as ml5.js does.

    That is a folder with ``manifest.json`` and a file of little-endian float32 for each variable; ``Variable``,
    ``Variable_1``, … are for each convolution in turn its kernel, the normalisation's shift, and its scale.

    Raises:
        ImportingError: a file is missing, or is not what the manifest or the architecture says.
    """
    try:
        manifest = _Manifest.model_validate_json(read_text(folder / MANIFEST, MAX_MANIFEST)).root
    except OSError as error:
        raise ImportingError(f"There is no {MANIFEST} that can be read in {folder.name}: {error.strerror}.") from error
    except ValidationError as error:
        raise ImportingError(explain(error, MANIFEST)) from error
    state = {}
    for index, (name, shape) in enumerate(_ml5_order(FAST_STYLE_TRANSFER)):
        variable = f"Variable_{index}" if index else "Variable"
        if variable not in manifest:
            raise ImportingError(f"{MANIFEST} has no {variable}, which is {name} of {FAST_STYLE_TRANSFER.id}.")
        # A kernel is (height, width, in, out) there, a transposed one (height, width, out, in).
        theirs = tuple(shape[place] for place in (2, 3, 1, 0)) if len(shape) == 4 else shape
        entry = manifest[variable]
        if entry.shape != theirs:
            raise ImportingError(f"{variable} is of the shape {entry.shape}, and {name} should be {theirs}.")
        path = folder / Path(entry.filename).name
        try:
            values = np.fromfile(path, dtype="<f4")
        except OSError as error:
            raise ImportingError(f"{path.name} could not be read: {error.strerror}.") from error
        if values.size != np.prod(theirs):
            raise ImportingError(f"{path.name} holds {values.size:,} numbers, and {variable} has {np.prod(theirs):,}.")
        tensor = torch.from_numpy(values.astype(np.float32)).reshape(theirs)
        state[name] = tensor.permute(3, 2, 0, 1).contiguous() if len(shape) == 4 else tensor
    return state


def _ml5_order(architecture: Architecture) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the architecture's tensors, layer by layer, each kernel, shift, scale."""
    layers = dict.fromkeys(name.rpartition(".conv.")[0] for name in architecture.shapes if ".conv." in name)
    names = [f"{layer}.{part}" for layer in layers for part in ("conv.weight", "norm.bias", "norm.weight")]
    return [(name, architecture.shapes[name]) for name in names]
