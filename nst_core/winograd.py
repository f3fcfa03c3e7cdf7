"""Winograd's 3 × 3 convolution, F(6 × 6, 3 × 3): a fifth of the multiplications, exact to rounding.

Lavin and Gray 2016, *Fast algorithms for convolutional networks*: a tile of 6 × 6 outputs is the product, number by
number, of 8 × 8 inputs and a kernel that are transformed each, and transformed back.
"""

import threading
from math import prod
from typing import Any

import torch
from torch import Tensor

TILE = 6
"""Rows and columns of what is given at a time."""
# Polynomials are evaluated at 0, ±1, ±2, ±1/2 and infinity.
INPUT = [
    [1, 0, -21 / 4, 0, 21 / 4, 0, -1, 0],
    [0, 1, 1, -17 / 4, -17 / 4, 1, 1, 0],
    [0, -1, 1, 17 / 4, -17 / 4, -1, 1, 0],
    [0, 1 / 2, 1 / 4, -5 / 2, -5 / 4, 2, 1, 0],
    [0, -1 / 2, 1 / 4, 5 / 2, -5 / 4, -2, 1, 0],
    [0, 2, 4, -5 / 2, -5, 1 / 2, 1, 0],
    [0, -2, 4, 5 / 2, -5, -1 / 2, 1, 0],
    [0, -1, 0, 21 / 4, 0, -21 / 4, 0, 1],
]
KERNEL = [
    [1, 0, 0],
    [-2 / 9, -2 / 9, -2 / 9],
    [-2 / 9, 2 / 9, -2 / 9],
    [1 / 90, 1 / 45, 2 / 45],
    [1 / 90, -1 / 45, 2 / 45],
    [32 / 45, 16 / 45, 8 / 45],
    [32 / 45, -16 / 45, 8 / 45],
    [0, 0, 1],
]
OUTPUT = [
    [1, 1, 1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0],
    [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0],
    [0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0],
    [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0],
    [0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1],
]

# Said with every new tensor, for a program may have changed PyTorch's defaults.
FLOAT32_ON_CPU: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}

_INTO, _BACK = torch.tensor(INPUT, **FLOAT32_ON_CPU), torch.tensor(OUTPUT, **FLOAT32_ON_CPU)
_CONSTANT = sum(INPUT[1]) ** 2


def winograd_kernel(kernel: Tensor) -> Tensor:
    """(out, in, 3, 3) as Winograd's (64, in, out)."""
    g = torch.tensor(KERNEL, dtype=torch.float64, device="cpu")
    transformed = torch.einsum("ai,bj,oijk->abko", g, g, kernel.double().permute(0, 2, 3, 1))
    return transformed.flatten(0, 1).float().contiguous()


def winograd(x: Tensor, kernel: Tensor, less: Tensor | None = None) -> Tensor:
    """A 3 × 3 convolution by tiles of 6 × 6.

    (6·m + 2, 6·n + 2, inputs), padded, to (6·m, 6·n, outputs). From the inputs ``less`` is subtracted, by channel. The
    result is overwritten when this thread calls again.
    """
    seen, columns, channels = TILE + 2, x.shape[1], x.shape[2]
    down, across, outputs = (len(x) - 2) // TILE, (columns - 2) // TILE, kernel.shape[2]
    count = down * across
    # First what lies below one another, for all columns, then what lies side by side: there, tiles share two columns.
    below = x.unfold(0, seen, TILE).permute(0, 3, 1, 2).flatten(2)
    below = torch.bmm(_INTO.expand(down, seen, seen), below, out=_scratch("odd", down, seen, columns * channels))
    tiles = below.view(down, seen, columns, channels).unfold(2, seen, TILE).permute(1, 4, 0, 2, 3)
    laid = _scratch("even", seen, seen, count * channels)
    laid.view(tiles.shape).copy_(tiles)
    laid = torch.bmm(_INTO.expand(seen, seen, seen), laid, out=_scratch("odd", *laid.shape)).view(-1, count, channels)
    if less is not None:
        laid[seen + 1].sub_(_CONSTANT * less)  # the one place where a constant is
    made = torch.bmm(laid, kernel, out=_scratch("even", seen**2, count, outputs)).view(seen, seen, count * outputs)
    made = torch.bmm(_BACK.expand(seen, TILE, seen), made, out=_scratch("odd", seen, TILE, count * outputs))
    turned = _scratch("even", down, seen, across, TILE, outputs)
    turned.copy_(made.view(seen, TILE, down, across, outputs).permute(2, 0, 3, 1, 4))
    values = _scratch("odd", down, TILE, across * TILE * outputs)
    torch.bmm(_BACK.expand(down, TILE, seen), turned.view(down, seen, -1), out=values)
    return values.view(down * TILE, across * TILE, outputs)


def _scratch(name: str, *shape: int) -> Tensor:
    """This thread's own memory of that name: what is in it lasts until the name is asked for again."""
    count = prod(shape)
    held: Tensor | None = getattr(_held, name, None)
    if held is None or len(held) < count:
        held = torch.empty(count, **FLOAT32_ON_CPU)
        setattr(_held, name, held)
    return held[:count].view(shape)


_held = threading.local()
