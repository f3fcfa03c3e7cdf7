"""The processes that train one network together, as ``accelerate launch`` and ``torchrun`` start them, or one alone."""

import atexit
import os
from typing import TYPE_CHECKING, Any

from nst_core.errors import NSTError
from nst_core.precision import best_device

if TYPE_CHECKING:
    from torch import Tensor, nn

# torch takes seconds to import, and not everything that asks which process this is needs it.


class ProcessesError(NSTError):
    """Processes that cannot train together."""


def is_alone() -> bool:
    """Whether this is the only one."""
    return int(os.environ.get("WORLD_SIZE") or 1) == 1


def is_first() -> bool:
    """Whether this is the one that writes files and messages."""
    return os.environ.get("RANK", "0") == "0"


class Processes:
    """What this process shares with the others; one alone does not need accelerate."""

    def __init__(self) -> None:
        """Join the others.

        Raises:
            ProcessesError: there are some, and accelerate is not installed.
        """
        self._accelerator: Any = None
        self._count, self._index = 1, 0
        self.device = best_device()
        if not is_alone():
            try:
                from accelerate import Accelerator
            except ImportError as error:
                raise ProcessesError(
                    'Training in several processes needs accelerate: pip install "nst-core[train]" installs it.'
                ) from error
            # Whatever is configured for other trainings, these losses are to be those of one process.
            self._accelerator = Accelerator(mixed_precision="no", dynamo_backend="no")
            self._count, self._index = self._accelerator.num_processes, self._accelerator.process_index
            self.device = self._accelerator.device
            atexit.register(_leave)

    def share(self, batch_size: int) -> slice:
        """Which part of a batch this process works on.

        Raises:
            ProcessesError: the batch is not a multiple of the processes.
        """
        if batch_size % self._count:
            raise ProcessesError(
                f"{self._count} processes cannot share a batch of {batch_size} equally: choose a batch size of "
                f"{-(-batch_size // self._count) * self._count}."
            )
        size = batch_size // self._count
        return slice(self._index * size, (self._index + 1) * size)

    def joined(self, network: "nn.Module") -> "nn.Module":
        """The network to call instead, whose gradients are the means over all processes."""
        return self._accelerator.prepare(network) if self._accelerator else network

    def mean(self, values: "Tensor") -> "Tensor":
        """Means of values over all processes."""
        return self._accelerator.reduce(values, "mean") if self._accelerator else values


def _leave() -> None:
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
