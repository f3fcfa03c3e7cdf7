"""Muon for convolutional networks: kernels learn by orthogonalised momentum, vectors by Adam."""

from typing import Any

import torch
from torch import Tensor, nn


class Muon:
    """Muon (Jordan et al. 2024) for kernels and matrices, Adam for vectors.

    At a learning rate r each step moves a kernel's entries by about 0.2 r (Liu et al. 2025), a vector's by about r.
    """

    def __init__(self, network: nn.Module) -> None:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.vectors = [parameter for parameter in learned if parameter.dim() == 1]
        self.kernels = [parameter for parameter in learned if parameter.dim() > 1]
        # PyTorch's takes matrices alone: these share the memory of the kernels.
        self.matrices = [nn.Parameter(self._matrix(kernel.data)) for kernel in self.kernels]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.Adam(self.vectors),
            torch.optim.Muon(self.matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        ]

    @staticmethod
    def _matrix(kernel: Tensor) -> Tensor:
        """(O, I, h, w) as (O, h·w·I), a view if it is laid out channels-last."""
        return kernel.permute(0, 2, 3, 1).flatten(1)

    def step(self, learning_rate: float) -> None:
        """Change the parameters and forget their gradients."""
        for matrix, kernel in zip(self.matrices, self.kernels, strict=True):
            matrix.grad = None if kernel.grad is None else self._matrix(kernel.grad)
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = learning_rate
            part.step()
        for parameter in (*self.vectors, *self.kernels):
            parameter.grad = None

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)
