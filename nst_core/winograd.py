"""Winograd's 3 × 3 convolution, F(6 × 6, 3 × 3): a fifth of the multiplications, exact up to rounding.

Lavin and Gray 2016, *Fast algorithms for convolutional networks*: a tile of 6 × 6 outputs is the elementwise product of
8 × 8 inputs and a kernel, both transformed, and transformed back.
"""

import threading
import time
from collections.abc import Callable
from functools import cache, wraps
from math import prod
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nst_core.modes import FLOAT32_ON_CPU

Result = TypeVar("Result")
TILE = 6
"""Rows and columns of a tile of outputs."""
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

_INTO, _BACK = torch.tensor(INPUT, **FLOAT32_ON_CPU), torch.tensor(OUTPUT, **FLOAT32_ON_CPU)
_CONSTANT = sum(INPUT[1]) ** 2


def measured_once(measure: Callable[[], Result]) -> Callable[[], Result]:
    """``measure``, done once for all: threads that measured at the same time might get different answers."""
    lock, cached = threading.Lock(), cache(measure)

    @wraps(measure)
    def answer() -> Result:
        with lock:
            return cached()

    return answer


def winograd_kernel(kernel: Tensor) -> Tensor:
    """A kernel (out, in, 3, 3) as Winograd's (64, out, in), the 64 in the order used on this CPU."""
    g = torch.tensor(KERNEL, dtype=torch.float64, device="cpu")
    order = "ba" if _grouped() else "ab"
    transformed = torch.einsum(f"ai,bj,oijk->{order}ok", g, g, kernel.double().permute(0, 2, 3, 1))
    return transformed.flatten(0, 1).float().contiguous()


def winograd(x: Tensor, kernel: Tensor, less: Tensor | None = None) -> Tensor:
    """A 3 × 3 convolution by tiles of 6 × 6.

    (6·m + 2, 6·n + 2, inputs), padded, to (6·m, 6·n, outputs). ``less`` is subtracted from the inputs, by channel. This
    thread's next call overwrites the result.
    """
    seen, columns, channels = TILE + 2, x.shape[1], x.shape[2]
    down, across, outputs = (len(x) - 2) // TILE, (columns - 2) // TILE, kernel.shape[1]
    count, grouped = down * across, _grouped()
    # First the vertical transform, for all columns, then the horizontal one: there, tiles share two columns.
    below = x.unfold(0, seen, TILE).permute(0, 3, 1, 2).flatten(2)
    below = torch.bmm(_INTO.expand(down, seen, seen), below, out=_scratch("odd", down, seen, columns * channels))
    tiles = below.view(down, seen, columns, channels).unfold(2, seen, TILE)
    # Either a tile's 64 numbers side by side, or all tiles' first ones, then all their second ones …
    tiles = tiles.permute(0, 2, 4, 1, 3) if grouped else tiles.permute(1, 4, 0, 2, 3)
    batch = count if grouped else seen
    laid = _scratch("even", batch, seen, seen * count // batch * channels)
    laid.view(tiles.shape).copy_(tiles)
    laid = torch.bmm(_INTO.expand(batch, seen, seen), laid, out=_scratch("odd", *laid.shape))
    laid = laid.view(count, -1, channels) if grouped else laid.view(-1, count, channels)
    if less is not None:
        laid.select(1 if grouped else 0, seen + 1).sub_(_CONSTANT * less)  # the only one that a constant affects
    made = _by_groups(laid, kernel) if grouped else _by_matrices(laid, kernel)
    made = torch.bmm(
        _BACK.expand(batch, TILE, seen),
        made.view(batch, seen, -1),
        out=_scratch("odd", batch, TILE, seen * count // batch * outputs),
    )
    turned = _scratch("even", down, seen, across, TILE, outputs)
    if grouped:
        turned.copy_(made.view(down, across, TILE, seen, outputs).permute(0, 3, 1, 2, 4))
    else:
        turned.copy_(made.view(seen, TILE, down, across, outputs).permute(2, 0, 3, 1, 4))
    values = _scratch("odd", down, TILE, across * TILE * outputs)
    torch.bmm(_BACK.expand(down, TILE, seen), turned.view(down, seen, -1), out=values)
    return values.view(down * TILE, across * TILE, outputs)


def _by_matrices(laid: Tensor, kernel: Tensor) -> Tensor:
    """(64, tiles, inputs) by (64, outputs, inputs) to (64, tiles, outputs)."""
    return torch.bmm(laid, kernel.mT, out=_scratch("even", *laid.shape[:2], kernel.shape[1]))


def _by_groups(laid: Tensor, kernel: Tensor) -> Tensor:
    """(tiles, 64, inputs) by (64, outputs, inputs) to (tiles, 64, outputs): a convolution of 1 × 1 in 64 groups."""
    pixels = laid.view(1, len(laid), 1, -1).permute(0, 3, 1, 2)
    made = F.conv2d(pixels, kernel.reshape(-1, kernel.shape[2], 1, 1), groups=len(kernel))
    return made.permute(0, 2, 3, 1).reshape(len(laid), *kernel.shape[:2])


@measured_once
def _grouped() -> bool:
    """Whether the products are faster as a convolution, by oneDNN: on some CPUs in half the time."""
    kernel = torch.ones(64, 128, 128, **FLOAT32_ON_CPU)
    groups, matrices = torch.ones(172, 64, 128, **FLOAT32_ON_CPU), torch.ones(64, 172, 128, **FLOAT32_ON_CPU)

    def seconds(product: Callable[[Tensor, Tensor], Tensor], laid: Tensor) -> float:
        began = time.perf_counter()
        product(laid, kernel)
        return time.perf_counter() - began

    # In turn, as the CPU may be busy for a while.
    took = [(seconds(_by_groups, groups), seconds(_by_matrices, matrices)) for _ in range(6)]
    one, other = map(min, zip(*took, strict=True))
    return one < 0.85 * other  # the steps before and after it take longer


def _scratch(name: str, *shape: int) -> Tensor:
    """This thread's own memory of that name: its content lasts until the name is asked for again."""
    count = prod(shape)
    held: Tensor | None = getattr(_held, name, None)
    if held is None or len(held) < count:
        held = torch.empty(count, **FLOAT32_ON_CPU)
        setattr(_held, name, held)
    return held[:count].view(shape)


_held = threading.local()
