"""Winograd's 3 × 3 convolution, F(6 × 6, 3 × 3): a fifth of the multiplications, exact to rounding.

Lavin and Gray 2016, *Fast algorithms for convolutional networks*: a tile of 6 × 6 outputs is the product, number by
number, of 8 × 8 inputs and a kernel that are transformed each, and transformed back.
"""

import threading
import time
from collections.abc import Callable
from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

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
    """(out, in, 3, 3) as Winograd's (64, out, in)."""
    g = torch.tensor(KERNEL, dtype=torch.float64, device="cpu")
    transformed = torch.einsum("ai,bj,oijk->baok", g, g, kernel.double().permute(0, 2, 3, 1))
    return transformed.flatten(0, 1).float().contiguous()


def winograd(x: Tensor, kernel: Tensor, less: Tensor | None = None) -> Tensor:
    """A 3 × 3 convolution by tiles of 6 × 6.

    (6·m + 2, 6·n + 2, inputs), padded, to (6·m, 6·n, outputs). From the inputs ``less`` is subtracted, by channel. The
    result is overwritten when this thread calls again.
    """
    seen, columns, channels = TILE + 2, x.shape[1], x.shape[2]
    down, across, outputs = (len(x) - 2) // TILE, (columns - 2) // TILE, kernel.shape[1]
    count = down * across
    # First what lies below one another, for all columns, then what lies side by side: there, tiles share two columns.
    below = x.unfold(0, seen, TILE).permute(0, 3, 1, 2).flatten(2)
    below = torch.bmm(_INTO.expand(down, seen, seen), below, out=_scratch("odd", down, seen, columns * channels))
    tiles = below.view(down, seen, columns, channels).unfold(2, seen, TILE).permute(0, 2, 4, 1, 3)
    laid = _scratch("even", count, seen, seen * channels)
    laid.view(tiles.shape).copy_(tiles)
    laid = torch.bmm(_INTO.expand(count, seen, seen), laid, out=_scratch("odd", *laid.shape))
    laid = laid.view(count, seen**2, channels)
    if less is not None:
        laid[:, seen + 1].sub_(_CONSTANT * less)  # the one place where a constant is
    made = _quickest_product()(laid, kernel).view(count, seen, seen * outputs)
    made = torch.bmm(_BACK.expand(count, TILE, seen), made, out=_scratch("odd", count, TILE, seen * outputs))
    turned = _scratch("even", down, seen, across, TILE, outputs)
    turned.copy_(made.view(down, across, TILE, seen, outputs).permute(0, 3, 1, 2, 4))
    values = _scratch("odd", down, TILE, across * TILE * outputs)
    torch.bmm(_BACK.expand(down, TILE, seen), turned.view(down, seen, -1), out=values)
    return values.view(down * TILE, across * TILE, outputs)


def _as_matrices(laid: Tensor, kernel: Tensor) -> Tensor:
    """(tiles, 64, inputs) by (64, outputs, inputs) to (tiles, 64, outputs)."""
    made = _scratch("even", len(laid), *kernel.shape[:2])
    torch.bmm(laid.transpose(0, 1), kernel.mT, out=made.transpose(0, 1))
    return made


def _as_groups(laid: Tensor, kernel: Tensor) -> Tensor:
    """The same as a convolution of 1 × 1 in groups, which oneDNN computes: on some processors twice as fast."""
    pixels = laid.view(1, len(laid), 1, -1).permute(0, 3, 1, 2)
    made = F.conv2d(pixels, kernel.reshape(-1, kernel.shape[2], 1, 1), groups=len(kernel))
    return made.permute(0, 2, 3, 1).reshape(len(laid), *kernel.shape[:2])


@cache
def _quickest_product() -> Callable[[Tensor, Tensor], Tensor]:
    laid, kernel = torch.ones(172, 64, 128, **FLOAT32_ON_CPU), torch.ones(64, 128, 128, **FLOAT32_ON_CPU)

    def seconds(product: Callable[[Tensor, Tensor], Tensor]) -> float:
        began = time.perf_counter()
        product(laid, kernel)
        return time.perf_counter() - began

    # In turn, for the processor may be busy for a while.
    took = [(seconds(_as_matrices), seconds(_as_groups)) for _ in range(6)]
    matrices, groups = map(min, zip(*took, strict=True))
    return _as_groups if groups < matrices else _as_matrices


def _scratch(name: str, *shape: int) -> Tensor:
    """This thread's own memory of that name: what is in it lasts until the name is asked for again."""
    count = prod(shape)
    held: Tensor | None = getattr(_held, name, None)
    if held is None or len(held) < count:
        held = torch.empty(count, **FLOAT32_ON_CPU)
        setattr(_held, name, held)
    return held[:count].view(shape)


_held = threading.local()
