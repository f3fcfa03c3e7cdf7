"""Checkpoints of other projects, read as state dicts of the architectures here.

The page never imports this file: others' styles are unpickled only here, on a person's own command line, and only by
``torch.load(weights_only=True)``, which builds tensors and containers and calls nothing else.
"""

import json
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, RootModel, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from nst_core.architectures import ARCHITECTURES, Architecture
from nst_core.architectures.fast_style_transfer import FAST_STYLE_TRANSFER
from nst_core.architectures.johnson import JOHNSON
from nst_core.checkpoint import load_checkpoint, unpacked_size
from nst_core.errors import NSTError, check_number
from nst_core.features import IMAGENET_MEAN, IMAGENET_STD
from nst_core.gate import IS_POINTER, POINTER, WeightsError, load_network, other_kind, recognise
from nst_core.losses import CONVENTIONS
from nst_core.recipe import Recipe
from nst_core.text import count, explain, few, plain, quoted, read_text

MANIFEST = "manifest.json"
MAX_MANIFEST = 100_000  # bytes
MAX_CHECKPOINT = 2**28
"""Bytes: a checkpoint may hold the optimiser's state beside a network of 7 MB."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Batch statistics, which old versions of PyTorch saved for instance normalisation, too; nothing reads them."""
LAYER, SHA256 = re.compile("(conv|relu)[1-5]_[1-4]"), re.compile("[0-9a-f]{64}")
State = dict[str, Tensor]


class ImportingError(NSTError):
    """A checkpoint that cannot be read as one of the architectures here."""


class _Variable(BaseModel):
    filename: str
    shape: tuple[int, ...]


class _Manifest(RootModel[dict[str, _Variable]]):
    pass


@dataclass(frozen=True)
class Training:
    """The settings of a training, and how far it came."""

    recipe: Recipe
    step: int
    painting: str
    """Its SHA-256."""
    features: int
    """The feature network's ``fingerprint``."""


@dataclass(frozen=True)
class Imported:
    """Another project's network, as one of an architecture here."""

    architecture: Architecture
    state: State
    origin: str
    """The project it is from; for a safetensors file with the names used here, the architecture."""
    training: Training | None = None
    """If a training here wrote it, and says it in full, how it was made."""


def read_checkpoint(path: Path) -> Imported:
    """Read a checkpoint: a ``.pth`` (or ``.pt``, ``.model``), a ``.safetensors``, or a folder as ml5.js has it.

    A training's own ``checkpoint.pt`` will do, too.

    The project is recognised by the names and shapes of its tensors.

    Raises:
        ImportingError: it cannot be read, or is from no known project.
        WeightsError: it is safetensors, of no known project, or does not pass the gate.
    """
    if os.path.isdir(path):
        return Imported(FAST_STYLE_TRANSFER, read_ml5(path), "lengstrom/fast-style-transfer, as ml5.js has it")
    if path.suffix.lower() == ".safetensors":
        try:
            architecture = recognise(path)
        except WeightsError:
            if imported := _of_a_family(_bare(_read_safetensors(path))):
                return imported
            raise
        return Imported(architecture, load_network(path, architecture).state_dict(), f"weights of {architecture.id}")
    state, settings = _unpickle(path)
    if settings is not None:
        trained_as = str(settings["architecture"])
        if trained_as not in ARCHITECTURES:
            raise ImportingError(
                f"{path.name} comes from a training of the architecture {quoted(trained_as)}, which is not one of "
                f"those here: {few(list(ARCHITECTURES), 8)}."
            )
        architecture = ARCHITECTURES[trained_as]
        return Imported(architecture, _checked(state, architecture), "nst-core", _training(settings))
    if imported := _of_a_family(state):
        return imported
    known = ", ".join(family.origin for family in FAMILIES)
    raise ImportingError(f"{path.name} holds {few(list(state))}: that is not a network of any of {known}.")


def _of_a_family(state: State) -> Imported | None:
    for family in FAMILIES:
        if renamed := family.rename(state):
            ours = _checked(renamed, JOHNSON)
            return Imported(JOHNSON, _of_pixels(ours) if family.normalises else ours, family.origin)
    return None


def _bare(state: State) -> State:
    """The tensors without what PyTorch's DataParallel, for several GPUs, and torch.compile put before their names."""
    return {re.sub(r"^(module\.|_orig_mod\.)+", "", name): tensor for name, tensor in state.items()}


def _read_safetensors(path: Path) -> State:
    """The tensors that the gate refused, layer by layer; none if they cannot be read at all, as its refusal says."""
    try:
        state = load_file(path) if path.stat().st_size <= MAX_CHECKPOINT else {}
    except (OSError, SafetensorError):
        return {}

    def place(name: str) -> str:
        return re.sub(r"\d+", lambda number: number[0].zfill(9), name.removesuffix("weight"))

    # The format has them in the order of the alphabet, where layer 10 is before layer 2, and a bias before its weight.
    return {name: state[name] for name in sorted(state, key=place)}


def _unpickle(path: Path) -> tuple[State, dict[Any, Any] | None]:
    """The state dict in a ``torch.save`` file, even among other things, and if a training here wrote it, its settings
    and its ``step``."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if head.startswith(POINTER):
            raise ValueError(IS_POINTER)
        if kind := other_kind(head):
            raise ValueError(f"is {kind}: it should be a checkpoint of PyTorch, a .pth or .safetensors")
        if (size := unpacked_size(path)) > MAX_CHECKPOINT:
            raise ValueError(f"has {size:,} bytes, but at most {MAX_CHECKPOINT:,} are allowed")
        held = load_checkpoint(path)
    except OSError as error:
        raise ImportingError(f"{path.name} could not be read: {error.strerror}.") from error
    except ValueError as error:
        raise ImportingError(f"{path.name} {error}.") from error
    settings = None
    if isinstance(held, dict):
        if isinstance(held.get("asked"), dict) and "architecture" in held["asked"]:
            settings = {**held["asked"], "step": held.get("step")}
        names = ("state_dict", "model_state_dict", "model") if settings is None else ("network",)
        held = next((held[name] for name in names if isinstance(held.get(name), dict)), held)
    if not isinstance(held, dict) or not held or not all(_named_tensor(*item) for item in held.items()):
        raise ImportingError(f"{path.name} holds no state dict: it should be a dict of tensors by their names.")
    return _bare(held), settings


def _training(settings: dict[Any, Any]) -> Training | None:
    """The training with these settings, if they make sense: anybody can have written them, and a style tells them."""
    names = [setting.name for setting in fields(Recipe)]
    try:
        # Tensors are not JSON, and what refuses a setting would print them.
        saved = json.loads(
            json.dumps({name: settings[name] for name in [*names, "step", "painting", "feature network"]})
        )
        recipe = Recipe(**{name: saved[name] for name in names})
        step = check_number(ImportingError, "step", saved["step"], 1, recipe.steps, whole=True)
        features = check_number(ImportingError, "fingerprint", saved["feature network"], 0, 2**32 - 1, whole=True)
        layers = [*recipe.content_layers, *recipe.style_layers]
        known = recipe.convention in CONVENTIONS, SHA256.fullmatch(saved["painting"]), *map(LAYER.fullmatch, layers)
    except (LookupError, TypeError, ValueError, RecursionError):
        return None
    return Training(recipe, step, saved["painting"], features) if all(known) else None


def _named_tensor(name: Any, value: Any) -> bool:
    return isinstance(name, str) and isinstance(value, Tensor) and value.layout is torch.strided and not value.is_nested


def _checked(state: State, architecture: Architecture) -> State:
    """The state as float32, if it has exactly an architecture's tensors, of floating-point numbers.

    Raises:
        ImportingError: it has not.
    """
    shapes = architecture.shapes
    if missing := [name for name in shapes if name not in state]:
        raise ImportingError(f"It is close to {architecture.id}, but lacks {few(missing)}.")
    if foreign := [name for name in state if name not in shapes]:
        raise ImportingError(f"It is close to {architecture.id}, but has the unexpected {few(foreign)}.")
    for name, shape in shapes.items():
        if tuple(state[name].shape) != shape:
            raise ImportingError(f"{quoted(name)} has the shape {tuple(state[name].shape)}, but should have {shape}.")
        if not state[name].is_floating_point() or state[name].is_meta:
            held = "no numbers at all" if state[name].is_meta else f"{state[name].dtype}".removeprefix("torch.")
            raise ImportingError(f"{quoted(name)} holds {held}, but should hold floating-point numbers.")
    return {name: state[name].to(torch.float32) for name in shapes}


def _pytorch_examples(state: State) -> State | None:
    """``fast_neural_style`` of pytorch/examples: ``johnson`` itself; old ones hold statistics that nothing reads."""
    if "deconv1.conv2d.weight" not in state or "conv1.conv2d.weight" not in state:
        return None
    return {name: tensor for name, tensor in state.items() if not name.endswith(STATISTICS)}


def _gordicaleksa(state: State) -> State | None:
    """gordicaleksa/pytorch-neural-style-transfer-johnson: other names for the upsampling layers."""
    if "up1.conv2d.conv2d.weight" not in state:
        return None
    names = {name: re.sub(r"^up(\d)(\.conv2d)+", r"deconv\1.conv2d", name) for name in state}
    return {names[name]: tensor for name, tensor in state.items()}


def _eriklindernoren(state: State) -> State | None:
    """eriklindernoren/Fast-Neural-Style-Transfer: each layer is a ``block`` that pads and convolves, and a ``norm``.

    The layers' names have changed there over time, but their order is johnson's.
    """
    kept = {name: tensor for name, tensor in state.items() if not name.endswith(STATISTICS)}
    convolutions = [name for name in kept if re.search(r"\.block\.1\.(weight|bias)$", name)]
    norms = [name for name in kept if re.search(r"\.norm\.(weight|bias)$", name)]
    ours = sorted(JOHNSON.shapes, key=lambda name: ".conv2d." not in name)  # stable: each kind keeps its order
    if len(convolutions) != sum(".conv2d." in name for name in ours) or len(convolutions + norms) != len(ours):
        return None
    return {to: kept[name] for to, name in zip(ours, convolutions + norms, strict=True)}


@dataclass(frozen=True)
class Family:
    """A project whose networks are johnson's under other names."""

    origin: str
    rename: Callable[[State], State | None]
    """Gives its tensors johnson's names, or returns None if they are not from that project."""
    normalises: bool
    """Whether pictures go in and come out normalised by ImageNet's statistics."""


FAMILIES = (
    Family("pytorch/examples", _pytorch_examples, normalises=False),
    Family("gordicaleksa/pytorch-neural-style-transfer-johnson", _gordicaleksa, normalises=True),
    Family("eriklindernoren/Fast-Neural-Style-Transfer", _eriklindernoren, normalises=True),
)


def _of_pixels(state: State) -> State:
    """Fold the input's normalisation by ImageNet's statistics, and its inverse at the output, into the weights.

    That is exact: the padding reflects, so that padded values are normalised, too.
    """
    first, last = state["conv1.conv2d.weight"].double(), state["deconv3.conv2d.weight"].double()
    mean, deviation = (255 * torch.tensor(values, dtype=torch.float64) for values in (IMAGENET_MEAN, IMAGENET_STD))
    seen = first / deviation.reshape(1, 3, 1, 1)
    painted = deviation * state["deconv3.conv2d.bias"] + mean
    moved = {
        "conv1.conv2d.weight": seen,
        "conv1.conv2d.bias": state["conv1.conv2d.bias"] - torch.einsum("oihw,i->o", seen, mean),
        "deconv3.conv2d.weight": deviation.reshape(3, 1, 1, 1) * last,
        "deconv3.conv2d.bias": painted,
    }
    return {**state, **{name: tensor.float() for name, tensor in moved.items()}}


def read_ml5(folder: Path) -> dict[str, Tensor]:
    """The state dict of a ``fast-style-transfer`` network in ml5.js's format.

    That is a folder with ``manifest.json`` and a file of little-endian float32 for each variable: for each convolution
    in turn, ``Variable``, ``Variable_1``, … are its kernel, and its normalisation's shift and scale.

    Raises:
        ImportingError: a file is missing, or is not what the manifest or the architecture says.
    """
    if not os.path.isfile(folder / MANIFEST):
        raise ImportingError(f"There is no {MANIFEST} in {folder.name}.")
    try:
        manifest = _Manifest.model_validate_json(read_text(folder / MANIFEST, MAX_MANIFEST, ImportingError)).root
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
            raise ImportingError(f"{variable} has the shape {entry.shape}, but {name} should have {theirs}.")
        path = folder / Path(entry.filename).name
        file = plain(path.name)
        try:
            held = path.stat().st_size // 4
            values = np.fromfile(path, dtype="<f4", count=min(held, math.prod(theirs)))
        except OSError as error:
            raise ImportingError(f"{file} could not be read: {error.strerror}.") from error
        except ValueError as error:  # such as one with a NUL
            raise ImportingError(
                f"{MANIFEST} gives {variable} the file {quoted(path.name)}, which is not a valid file name."
            ) from error
        if held != math.prod(theirs):
            raise ImportingError(f"{file} holds {count(held, 'number')}, but {variable} has {math.prod(theirs):,}.")
        tensor = torch.from_numpy(values.astype(np.float32)).reshape(theirs)
        state[name] = tensor.permute(3, 2, 0, 1).contiguous() if len(shape) == 4 else tensor
    return state


def _ml5_order(architecture: Architecture) -> list[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the architecture's tensors, layer by layer: kernel, shift, scale."""
    layers = dict.fromkeys(name.rpartition(".conv.")[0] for name in architecture.shapes if ".conv." in name)
    names = [f"{layer}.{part}" for layer in layers for part in ("conv.weight", "norm.bias", "norm.weight")]
    return [(name, architecture.shapes[name]) for name in names]
