"""Muon for convolutional networks: kernels learn by orthogonalised momentum, vectors by Adam."""

from typing import Any

import torch
from torch import Tensor, nn

from nst_core.precision import fast_bfloat16

MOMENTUM = 0.95


class Muon:
    """Muon (Jordan et al. 2024) for kernels and matrices, Adam for vectors and single numbers.

    At a learning rate r each step moves a kernel's entries by about 0.2 r (Liu et al. 2025), a vector's by about r.
    """

    def __init__(self, network: nn.Module) -> None:
        learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.kernels = [parameter for parameter in learned if parameter.dim() > 1]
        self.momenta = [torch.zeros_like(kernel, requires_grad=False) for kernel in self.kernels]
        # In a group, as there may be none.
        self.vectors = torch.optim.Adam([{"params": [parameter for parameter in learned if parameter.dim() < 2]}])

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Change the parameters and forget their gradients."""
        for kernel, momentum in zip(self.kernels, self.momenta, strict=True):
            if kernel.grad is not None:
                momentum.lerp_(kernel.grad, 1 - MOMENTUM)
                # Nesterov's: what the momentum would be after another such gradient.
                direction = orthogonalised(kernel.grad.lerp(momentum, MOMENTUM).flatten(1))
                size = 0.2 * max(direction.shape) ** 0.5
                kernel.sub_(direction.view(kernel.shape), alpha=learning_rate * size)
                kernel.grad = None
        self.vectors.param_groups[0]["lr"] = learning_rate
        with torch.device("cpu"):  # where Adam counts its steps, whatever a program's default device is
            self.vectors.step()
        self.vectors.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        return {"momenta": self.momenta, "vectors": self.vectors.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for momentum, saved in zip(self.momenta, state["momenta"], strict=True):
            momentum.copy_(saved)
        self.vectors.load_state_dict(state["vectors"])


def orthogonalised(matrix: Tensor) -> Tensor:
    """About U Vᵀ of a matrix U Σ Vᵀ: five Newton–Schulz steps (Jordan et al. 2024).

    Singular values above about a 500th of the matrix's norm become 0.7 to 1.2; smaller ones stay below that.
    PyTorch's own version always uses bfloat16, which on a CPU without it takes longer than the gradients.
    """
    x = matrix.to(torch.bfloat16 if fast_bfloat16(matrix.device) else torch.float32)
    tall = x.shape[0] > x.shape[1]
    x = x.mT if tall else x
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = torch.addmm(x, torch.addmm(square, square, square, beta=-4.7750, alpha=2.0315), x, beta=3.4445)
    return (x.mT if tall else x).to(matrix.dtype)
