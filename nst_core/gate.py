"""The weights gate: a file's description of itself is checked, byte for byte, before any of it becomes a network."""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core.architectures import ARCHITECTURES, Architecture
from nst_core.errors import NSTError
from nst_core.heif import is_heif
from nst_core.modes import FLOAT32_ON_CPU, OwnNumbers
from nst_core.text import count, explain, few, plain, unique_keys

DTYPE_BYTES = {"F32": 4, "F16": 2, "BF16": 2}
MAX_HEADER = 2**16
"""The most bytes of a safetensors header; johnson's 62 tensors take 6 KB."""
TRIAL_SIDE = 64
POINTER = b"version https://git-lfs"
"""How the text begins that Git LFS leaves in place of a file that was not fetched."""
IS_POINTER = "is only a Git LFS pointer: `git lfs pull` fetches the weights themselves"

_OTHERS = {
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"RIFF": "a picture",
    b"\x1a\x45\xdf\xa3": "a film",
    b"\3\0\0\0\1\0\0\0": "a network of Lua’s Torch, which PyTorch does not read either",
    b"\4\0\0\0\1\0\0\0": "a network of Lua’s Torch, which PyTorch does not read either",
    b"<": "a web page",
}
"""Files that people mistake for weights or a style, by their first bytes."""


class WeightsError(NSTError):
    """A weights file that is damaged, of another network, or of a network that does not paint."""


class _TensorHeader(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    dtype: Literal["F32", "F16", "BF16"]
    shape: list[int]
    data_offsets: list[int] = Field(min_length=2, max_length=2)


def max_bytes(architecture: Architecture) -> int:
    """The most bytes that a weights file of this architecture can have."""
    return 8 + MAX_HEADER + 4 * sum(math.prod(shape) for shape in architecture.shapes.values())


def read_weights(path: Path, architecture: Architecture, *, sha256: str | None = None) -> dict[str, Tensor]:
    """A network's weights as float32, from a safetensors file that holds exactly them.

    With ``sha256`` (64 hexadecimal digits), the file must have that hash. The file is read once: what was checked
    is what is loaded.

    Raises:
        WeightsError: the file cannot be read, or differs in any way from what the architecture requires.
    """
    data = _read(path, max_bytes(architecture), architecture.id)
    _check_layout(data, path.name, architecture)
    if sha256 is not None:
        _check_hash(data, path.name, sha256)
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise WeightsError(f"{path.name} is not a valid safetensors file: {error}.") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{name} in {path.name} holds NaN or infinity: every weight should be a finite number.")
    return {name: tensor.float() for name, tensor in tensors.items()}


def check_file(path: Path, sha256: str) -> None:
    """Refuse a file that is not the weights of that hash, without the time that it takes to load them.

    Raises:
        WeightsError: it is not there, too large for any style's weights, or has another hash.
    """
    _check_hash(_read_any(path), path.name, sha256)


def recognise(path: Path) -> Architecture:
    """The architecture, in its newest version, whose tensors a weights file has.

    Raises:
        WeightsError: the file is not safetensors, or of no architecture here.
    """
    data = _read_any(path)
    header = _parse(data[8 : _start(data, path.name)], path.name)
    # The nearest by tensor names, so that a refusal can say what is wrong.
    nearest = max(ARCHITECTURES.values(), key=lambda known: -len(known.shapes.keys() ^ header.keys()))
    alike = [known for known in ARCHITECTURES.values() if known.shapes.keys() == nearest.shapes.keys()]
    for known in alike:
        if all(
            isinstance(said := header.get(name), dict) and said.get("shape") == list(shape)
            for name, shape in known.shapes.items()
        ):
            return known
    _check_tensors(header, path.name, nearest)
    return nearest


@torch.inference_mode(False)
def load_network(path: Path, architecture: Architecture, *, sha256: str | None = None) -> nn.Module:
    """The network of a weights file: checked, tried on a small picture, in evaluation mode, without gradients.

    Raises:
        WeightsError: see ``read_weights`` and ``try_network``.
    """
    state = read_weights(path, architecture, sha256=sha256)
    # Not on the meta device: what a network keeps outside its state dict, such as a mean, is made on this device.
    with torch.device("cpu"), OwnNumbers():
        network = architecture.network()
    network.load_state_dict(state, assign=True)
    network.eval().requires_grad_(False)
    try_network(network, architecture, path.name)
    return network


def try_network(network: nn.Module, architecture: Architecture, name: str) -> None:
    """Repaint a small picture and check the result; a refusal calls the weights ``name``.

    Raises:
        WeightsError: the result is not a picture of that size or larger, or not finite, mostly far outside 0–255, or of
            one flat colour.
    """
    side = max(TRIAL_SIDE, architecture.min_size)
    with torch.inference_mode():
        painted = network(trial_picture(side, blobs=8, seed=0))
    shape = tuple(painted.shape) if isinstance(painted, Tensor) else ()
    if len(shape) != 4 or shape[:2] != (1, 3) or min(shape[2:]) < side:
        given = shape or type(painted).__name__
        raise WeightsError(
            f"The network in {name} gives {given} for a picture of (1, 3, {side}, {side}): it should give a tensor "
            "of that shape, or with larger sides."
        )
    painted = painted[..., :side, :side]
    if not torch.isfinite(painted).all():
        raise WeightsError(f"The network in {name} paints NaN or infinity: every value should be a finite number.")
    if ((painted < -255) | (painted > 510)).float().mean() > 0.5:
        raise WeightsError(f"The network in {name} paints mostly far outside 0–255, the range of a picture's values.")
    painted = painted.clamp(0, 255)
    if (painted.amax(dim=(2, 3)) - painted.amin(dim=(2, 3))).max() < 8:
        raise WeightsError(f"The network in {name} paints one flat colour instead of a picture.")


def trial_picture(side: int, *, blobs: int, seed: int) -> Tensor:
    """A picture of ``blobs`` × ``blobs`` random colours, smooth in between: (1, 3, side, side) in 0–255."""
    numbers = torch.Generator("cpu").manual_seed(seed)
    colours = torch.rand(1, 3, blobs, blobs, generator=numbers, **FLOAT32_ON_CPU)
    return 255 * F.interpolate(colours, size=(side, side), mode="bilinear")


def other_kind(head: bytes) -> str:
    """The common name for a file that begins so, or empty text."""
    if head[4:8] == b"ftyp":
        return "a picture" if is_heif(head) or head[8:12] in (b"avif", b"avis") else "a film"
    if head.startswith(b"RIFF") and head[8:12] in (b"AVI ", b"WAVE"):
        return "a film" if head[8:12] == b"AVI " else "a sound file"
    return next((name for beginning, name in _OTHERS.items() if head.lstrip().startswith(beginning)), "")


def _read(path: Path, limit: int, architecture: str) -> bytes:
    if not os.path.isfile(path):
        raise WeightsError(f"There is no file {path.name}.")
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise WeightsError(f"{path.name} could not be read: {error.strerror}.") from error
    if not data:
        raise WeightsError(f"{path.name} is empty: it should hold {architecture} weights.")
    is_zip = data.startswith(b"PK\x03\x04")
    if is_zip and b"data.pkl" not in data:  # which PyTorch's have
        raise WeightsError(f"{path.name} is a zip, not weights: unpack it, and use what is in it.")
    # A pickle may begin like a header length of some hundred bytes, but the length's upper bytes would be zero.
    if is_zip or (data[:1] == b"\x80" and data[1:2] in b"\2\3\4\5" and any(data[2:8])):
        raise WeightsError(
            f"{path.name} is a pickle under another name: only safetensors are read, as a pickle can run any program."
        )
    if data.startswith(POINTER):
        raise WeightsError(f"{path.name} {IS_POINTER}.")
    # After the length that weights begin with, and that may look like any of these, comes a brace.
    if data[8:9] != b"{" and (kind := other_kind(data[:64])):
        raise WeightsError(f"{path.name} is {kind}: it should be a safetensors file.")
    if len(data) > limit:
        raise WeightsError(f"{path.name} has more than {limit:,} bytes, the most that {architecture} weights can take.")
    return data


def _read_any(path: Path) -> bytes:
    return _read(path, max(map(max_bytes, ARCHITECTURES.values())), "any style's")


def _check_hash(data: bytes, file: str, sha256: str) -> None:
    if (actual := hashlib.sha256(data).hexdigest()) != sha256:
        raise WeightsError(
            f"{file} is not the file that was promised: its SHA-256 is {actual}, but should be {sha256}."
        )


def _check_layout(data: bytes, file: str, architecture: Architecture) -> None:
    """Refuse a file that is not exactly the architecture's tensors, one after the other and nothing else."""
    start = _start(data, file)
    tensors = _check_tensors(_parse(data[8:start], file), file, architecture)

    end = 0
    for name, tensor in sorted(tensors.items(), key=lambda item: item[1].data_offsets):
        stop = end + DTYPE_BYTES[tensor.dtype] * math.prod(tensor.shape)
        if tensor.data_offsets != [end, stop]:
            raise WeightsError(
                f"{file} places {name} wrongly: it belongs at [{end}, {stop}], right after the tensor before it."
            )
        end = stop
    if len(data) < start + end:
        raise WeightsError(
            f"{file} was cut short: its header promises {start + end:,} bytes, but the file has {len(data):,}."
        )
    if len(data) > start + end:
        raise WeightsError(
            f"{file} has {count(len(data) - start - end, 'byte')} after its last tensor, where it should end: it "
            "should hold weights and nothing else."
        )


def _start(data: bytes, file: str) -> int:
    """Where the header ends and the tensors begin."""
    start = 8 + int.from_bytes(data[:8], "little")
    if start > 8 + MAX_HEADER:
        if data[8:9] != b"{":
            raise WeightsError(f"{file} is not a safetensors file: it should hold a style's weights in that format.")
        raise WeightsError(
            f"{file} is not a safetensors file: its header should have at most {MAX_HEADER:,} bytes, not {start - 8:,}."
        )
    if len(data) < max(8, start):
        raise WeightsError(f"{file} was cut short: it has {count(len(data), 'byte')}, fewer than its header takes.")
    return start


def _parse(header: bytes, file: str) -> dict[str, Any]:
    try:
        parsed = json.loads(header.decode("utf-8"), object_pairs_hook=unique_keys)
    except RecursionError:
        raise WeightsError(f"The header of {file} is nested too deeply to be a list of tensors.") from None
    except ValueError as error:
        # For a number of too many digits, Python's message goes on to say how to allow it.
        reason = str(error).partition(";")[0]
        raise WeightsError(f"The header of {file} is not valid JSON: {reason}.") from error
    if not isinstance(parsed, dict):
        raise WeightsError(f"The header of {file} should be a JSON object of tensors.")
    metadata = parsed.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise WeightsError(f"The header of {file} should have only text in its __metadata__.")
    return parsed


def _check_tensors(header: Mapping[str, Any], file: str, architecture: Architecture) -> dict[str, _TensorHeader]:
    missing = [name for name in architecture.shapes if name not in header]
    foreign = [name for name in header if name not in architecture.shapes]
    if missing or foreign:
        lacks = f"it lacks {few(missing)}" if missing else ""
        extra = f"it has the unexpected {few(foreign)}" if foreign else ""
        faults = " and ".join(filter(None, (lacks, extra)))
        raise WeightsError(f"{file} does not hold a {architecture.id} network: {faults}.")
    tensors = {}
    for name, shape in architecture.shapes.items():
        try:
            tensors[name] = _TensorHeader.model_validate(header[name])
        except ValidationError as error:
            raise WeightsError(explain(error, f"{file}'s header of {name}")) from error
        if tensors[name].shape != list(shape):
            raise WeightsError(
                f"{name} in {file} has the shape {plain(str(tensors[name].shape), 60)}, but should have {list(shape)}."
            )
    return tensors
