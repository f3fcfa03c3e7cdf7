"""Architectures of transformation networks: each file beside this one is a plug-in that registers itself, and so is
each module that another installed package names as an entry point of the group ``nst_core.architectures``."""

import importlib
import logging
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

import torch
from torch import Tensor, nn

from nst_core.errors import NSTError, check_number, one_line
from nst_core.progress import Progress
from nst_core.text import quoted

logger = logging.getLogger(__name__)

ARCHITECTURES: dict[str, "Architecture"] = {}
"""The newest version of each, by id."""
VERSIONS: dict[tuple[str, int], "Architecture"] = {}
"""All versions, by id and version: a style is painted by the version that it was trained with."""

MAX_VERSION = 9999

Paint = Callable[[Tensor, Progress | None], Tensor]
"""Repaints RGB in 0–255, uint8 (H, W, 3): returns the same, rounded, clamped and cropped, and calls ``Progress`` at
least once, at the end."""


@dataclass(frozen=True, eq=False)
class Architecture:
    """A kind of transformation network; a style's ``config.json`` names its ``id`` and ``version``.

    ``network()`` builds an ``nn.Module`` that takes a batch (N, 3, H, W) of RGB in 0–255 and returns the repainted
    batch in the same convention, at least as large: whoever calls it crops to H × W and clamps to 0–255.
    """

    id: str
    version: int
    network: Callable[[], nn.Module] = field(repr=False)
    min_size: int
    """The smallest side, in pixels, that the network takes."""
    fast: Callable[[Any, torch.dtype], Paint] | None = field(default=None, repr=False)
    """``fast(network, dtype)`` returns a faster function with the network's result, for a CPU; it keeps feature maps in
    ``dtype``, float32 or bfloat16."""

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The exact name and shape of every tensor in ``model.safetensors``.

        Raises:
            NSTError: ``network()`` builds no network.
        """
        with torch.device("meta"):
            network = self.network()
        if not isinstance(network, nn.Module):
            raise NSTError(f"The network() of {self.id} should build an nn.Module, not {type(network).__name__}.")
        return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def register(architecture: Architecture) -> Architecture:
    """Make an architecture known by its id and version.

    Raises:
        NSTError: it is not an ``Architecture``, another one has that id and version already, its ``id`` is not a name,
            its ``version`` is not in 1–9999, its ``min_size`` is not a whole number of 1 or more, or its ``network`` is
            not a class or function.
    """
    if not isinstance(architecture, Architecture):
        right = "Architecture(id='my-network', version=1, network=MyNetwork, min_size=16)"
        raise NSTError(f"An architecture is {right}, not {one_line(architecture)}.")
    if not isinstance(architecture.id, str) or not architecture.id.strip():
        raise NSTError(f"The id of an architecture is a name such as 'my-network', not {one_line(architecture.id)}.")
    check_number(NSTError, f"version of {architecture.id}", architecture.version, 1, MAX_VERSION, whole=True)
    check_number(NSTError, f"min_size of {architecture.id}", architecture.min_size, 1, whole=True)
    if not callable(architecture.network) or isinstance(architecture.network, nn.Module):
        raise NSTError(
            f"The network of {architecture.id} should be a class or a function that builds an nn.Module, "
            f"not {one_line(architecture.network)}."
        )
    key = architecture.id, architecture.version
    if key in VERSIONS:
        raise NSTError(
            f"There is already an architecture {quoted(architecture.id)}, version {architecture.version}: choose "
            "another id, or a higher version."
        )
    VERSIONS[key] = architecture
    newest = ARCHITECTURES.get(architecture.id)
    if newest is None or newest.version < architecture.version:
        ARCHITECTURES[architecture.id] = architecture
    return architecture


for _plugin in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_plugin.name}")
for _entry in entry_points(group=__name__):
    try:
        importlib.import_module(_entry.module)
    except Exception as _error:  # noqa: BLE001, for it is another's, and the other architectures serve without it
        logger.warning(
            "The architecture %s is left out, as its module %s cannot be imported: %r.",
            _entry.name,
            _entry.module,
            _error,
        )
