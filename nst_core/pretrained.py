"""Finds torchvision's VGG19 convolutions on this machine or fetches them from the Hub, checks and keeps them."""

import hashlib
import json
import logging
import math
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import (  # type: ignore[attr-defined]  # its exports are lazy
    build_hf_headers,
    get_session,
    hf_raise_for_status,
    httpx,
    tqdm,
)
from pydantic import BaseModel, TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from nst_core.checkpoint import load_checkpoint
from nst_core.features import FeaturesError
from nst_core.files import replacing
from nst_core.text import explain, few, plain, quoted

logger = logging.getLogger(__name__)

REPO, REVISION, FILE = "timm/vgg19.tv_in1k", "128d4708565b3a414bcbb9bbad440b2fe37b9f18", "model.safetensors"
TORCHVISION_FILE, TORCHVISION_SHA256 = "vgg19-dcbb9e9d.pth", "dcbb9e9d"
"""Where torch.hub keeps torchvision's own copy, and how its SHA-256 begins."""
MAX_HEADER = 2**16
"""The most bytes of a safetensors header and its length; VGG19's 38 tensors take 4 KB."""
Shapes = Mapping[str, tuple[int, ...]]


class _TensorHeader(BaseModel):
    """A tensor's entry in a safetensors header; the entry ``__metadata__`` has none of these fields."""

    dtype: str = ""
    shape: tuple[int, ...] = ()
    data_offsets: tuple[int, int] = (0, 0)


def torchvision_weights(
    shapes: Shapes, *, repo: str = REPO, revision: str = REVISION, sha256: str = TORCHVISION_SHA256
) -> dict[str, Tensor]:
    """The tensors of torchvision's VGG19 that ``shapes`` names, float32, each of the shape given there.

    They come from the file that was kept here before; else from torchvision's own, if torch.hub has it, or one in the
    Hub's cache; else from the Hub, where only the range of bytes that holds them is read, and then they are kept. A
    damaged file is passed over with a warning.

    Raises:
        FeaturesError: none of these can be read or fetched.
    """
    kept = Path(constants.HF_ASSETS_CACHE) / "nst-core" / f"{repo.replace('/', '--')}-{revision}.safetensors"
    cached = try_to_load_from_cache(repo, FILE, revision=revision)
    found = [kept, Path(torch.hub.get_dir()) / "checkpoints" / TORCHVISION_FILE]
    if isinstance(cached, str):
        found.append(Path(cached))
    for path in filter(os.path.isfile, found):  # pathlib's is_file raises where the folder may not be read
        try:
            return _read_pickle(path, shapes, sha256) if path.suffix == ".pth" else _read(path, shapes)
        except (OSError, SafetensorError, LookupError, TypeError, ValueError) as error:
            logger.warning("Skipped: %s cannot be used: %s.", path, error)
    data = _fetch(repo, revision, shapes)
    _keep(data, kept)
    return load(data)


def _read(path: Path, shapes: Shapes) -> dict[str, Tensor]:
    with safe_open(path, framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in shapes}
    _check(weights, shapes)
    return weights


def _read_pickle(path: Path, shapes: Shapes, sha256: str) -> dict[str, Tensor]:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    if not digest.hexdigest().startswith(sha256):
        raise ValueError(f"its SHA-256 begins with {digest.hexdigest()[:8]}, but should begin with {sha256}")
    # Not memory-mapped: torchvision's file is from 2017, and PyTorch refuses mmap for the format of that time.
    state = load_checkpoint(path)
    weights = {name: state[name].detach() for name in shapes}
    _check(weights, shapes)
    return weights


def _check(weights: Mapping[str, Tensor], shapes: Shapes) -> None:
    for name, tensor in weights.items():
        if tensor.shape != shapes[name] or tensor.dtype != torch.float32:
            raise ValueError(
                f"{name} is {tensor.dtype} of {tuple(tensor.shape)}, but should be torch.float32 of {shapes[name]}"
            )
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} holds NaN or infinity, but every weight should be a finite number")


def _fetch(repo: str, revision: str, shapes: Shapes) -> bytes:
    """A safetensors file of exactly these tensors, out of a larger one on the Hub."""
    try:
        return _fetch_tensors(hf_hub_url(repo, FILE, revision=revision), shapes)
    # A wrong HF_ENDPOINT ends in InvalidURL.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, SafetensorError, ValueError) as error:
        remedy = "connect once, or choose compact or a folder of feature networks"
        match error:
            case OfflineModeIsEnabled():
                reason = "HF_HUB_OFFLINE is set"
            case HfHubHTTPError():
                reason = f"it answered {error.response.status_code}"
            case SafetensorError() | ValueError():
                reason, remedy = f"{FILE} is not as it should be: {error}", "choose compact or a folder instead"
            case _:
                reason = "it could not be reached, or the connection was lost"
        raise FeaturesError(
            f"VGG19's weights could not be fetched from {repo} on the Hugging Face Hub ({reason}); {remedy}."
        ) from error


def _fetch_tensors(url: str, shapes: Shapes) -> bytes:
    start = _fetch_range(url, 0, MAX_HEADER)
    body = 8 + int.from_bytes(start[:8], "little")
    if not 8 < body <= len(start):
        raise ValueError(f"its header should take at most {MAX_HEADER - 8:,} bytes")
    try:
        header = TypeAdapter(dict[str, _TensorHeader]).validate_json(start[8:body])
    except ValidationError as error:
        raise ValueError(explain(error, "its header").removesuffix(".")) from error
    if missing := [name for name in shapes if name not in header]:
        raise ValueError(f"it lacks {few(missing)}")
    for name, shape in shapes.items():
        given = header[name]
        if given.dtype != "F32" or given.shape != shape:
            raise ValueError(
                f"{name} is {quoted(given.dtype)} of {plain(str(given.shape))}, but should be 'F32' of {shape}"
            )
    # The tensors lie in the order of their names, so that those of the convolutions are one range.
    first = min(header[name].data_offsets[0] for name in shapes)
    last = max(header[name].data_offsets[1] for name in shapes)
    size = 4 * sum(math.prod(shape) for shape in shapes.values())
    if first < 0 or last - first != size:
        raise ValueError(f"the convolutions should be {size:,} bytes in one piece")
    tensors = _fetch_range(url, body + first, size)
    if len(tensors) != size:
        raise ValueError("it was cut short")

    entries = {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [offset - first for offset in header[name].data_offsets]}
        for name, shape in shapes.items()
    }
    new = json.dumps(entries).encode()
    new += b" " * (-len(new) % 8)
    data = len(new).to_bytes(8, "little") + new + tensors
    _check(load(data), shapes)  # safetensors checks that tensors neither overlap nor leave gaps
    return data


def _fetch_range(url: str, first: int, size: int) -> bytes:
    """``size`` bytes of a file on the Hub, from ``first`` on; fewer where it ends before."""
    headers = {**build_hf_headers(), "Range": f"bytes={first}-{first + size - 1}", "Accept-Encoding": "identity"}
    data = bytearray()
    with get_session().stream(
        "GET", url, headers=headers, timeout=constants.HF_HUB_DOWNLOAD_TIMEOUT, follow_redirects=True
    ) as response:
        hf_raise_for_status(response)
        # A server that ignores the range would send the whole file, 575 MB.
        if not response.headers.get("Content-Range", "").startswith(f"bytes {first}-"):
            raise ValueError("the server did not send the range that was asked for")
        with tqdm(total=size, unit="B", unit_scale=True, desc="VGG19", disable=size <= MAX_HEADER or None) as progress:
            for chunk in response.iter_bytes():
                data += chunk
                if len(data) > size:
                    raise ValueError("the server sent more than was asked for")
                progress.update(len(chunk))
    return bytes(data)


def _keep(data: bytes, path: Path) -> None:
    """Write a file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as new:
            new.write_bytes(data)
    except OSError as error:
        logger.warning(
            "VGG19's weights could not be saved in %s (%s): they will be fetched again next time.",
            path.parent,
            error.strerror,
        )
