"""The fast path of johnson's networks: in strips of rows, exactly, faster than layer by layer, at any size.

Instance normalisation needs the statistics of whole feature maps, so a picture cannot be painted tile by tile. Here
each layer runs through its rows once, and leaves what its convolution gave, in strips, and the statistics of all of it;
whoever reads rows of it normalises them then. Nothing is seen at a border that the whole picture would not show there.

What makes it fast, beside strips that stay in a processor core's cache, one thread each:

- an enlargement to twice the size and the convolution after it are one transposed convolution of the small map, with a
  kernel of 4 × 4: four ninths of the multiplications, and no large map between the two;
- the 3 × 3 convolutions of the residual blocks are Winograd's F(4 × 4, 3 × 3), with a third of the multiplications
  (Lavin and Gray 2016);
- the last convolution gives three channels only, which processors are slow at: it is taken apart into the rows of its
  kernel, 27 channels, and their sums;
- biases before a normalisation cancel, and are left out.
"""

import threading
import timeit
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nst_core.errors import NSTError
from nst_core.memory import free_memory
from nst_core.precision import fast_bfloat16

if TYPE_CHECKING:
    from nst_core.architectures.johnson import JohnsonNetwork
    from nst_core.layers import ConvLayer, InstanceNorm

STRIP = 2**20
"""Bytes of a strip of a feature map, about."""
TILE = 4
"""Rows and columns of what Winograd's convolution gives at a time."""
KEEP_ALL = 5_000_000
"""Pixels up to which the feature maps of full size are kept; of larger pictures they are computed twice."""
AROUND = 100_000_000
"""Bytes that a picture takes beside its feature maps and itself, about."""
# Of F(4 × 4, 3 × 3), which evaluates polynomials at 0, ±1, ±2 and infinity.
INPUT = [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0], [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0],
         [0, 4, 0, -5, 0, 1]]  # fmt: skip
KERNEL = [[1 / 4, 0, 0], [-1 / 6, -1 / 6, -1 / 6], [-1 / 6, 1 / 6, -1 / 6], [1 / 24, 1 / 12, 1 / 6],
          [1 / 24, -1 / 12, 1 / 6], [0, 0, 1]]  # fmt: skip
OUTPUT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]

Progress = Callable[[float], None]
Item = TypeVar("Item")
Result = TypeVar("Result")


class StripNetwork:
    """What a johnson network makes of a picture, within rounding; several threads may call it at a time.

    With bfloat16, feature maps and kernels are in it, and Winograd's convolution, which would lose too much, is not
    used; statistics are float32's, and so is what is painted.
    """

    def __init__(self, network: "JohnsonNetwork", dtype: torch.dtype = torch.float32) -> None:
        self._dtype = dtype
        enlarging = [(network.deconv1, network.in4), (network.deconv2, network.in5)]
        reducing = [(network.conv1, network.in1), (network.conv2, network.in2), (network.conv3, network.in3)]
        self._down = [(self._laid_out(_kernel(layer)), _Norm(norm)) for layer, norm in reducing]
        self._blocks = [
            [
                (
                    Winograd(_kernel(layer)) if dtype == torch.float32 else self._laid_out(_kernel(layer)),
                    _Norm(norm),
                )
                for layer, norm in ((block.conv1, block.in1), (block.conv2, block.in2))
            ]
            for block in network.residual_blocks()
        ]
        self._up = [(self._laid_out(enlarging_kernel(_kernel(layer))), _Norm(norm)) for layer, norm in enlarging]
        last = _kernel(network.deconv3)
        # Output channels are the kernel's rows, and of each the three colours.
        self._last = self._laid_out(last.permute(2, 0, 1, 3).reshape(-1, last.shape[1], 1, last.shape[3]))
        assert network.deconv3.conv2d.bias is not None
        self._colour = network.deconv3.conv2d.bias.detach().float().reshape(3, 1, 1)
        self._reach = network.deconv3.padding

    def __call__(self, photo: Tensor, progress: Progress | None = None) -> Tensor:
        """Repaint RGB in 0–255, (H, W, 3) of any type; gives (H, W, 3) of uint8, rounded and clamped.

        ``progress`` is told, strip by strip, which part is done, in 0–1; what it raises ends the work.

        Raises:
            NSTError: less memory is free than that takes.
        """
        height, width, _ = photo.shape
        self._check_memory(height, width)
        painted = torch.empty(height, width, 3, dtype=torch.uint8)
        for row, values in self.strips(photo, progress):
            painted[row : row + len(values)] = values.round().clamp(0, 255)
        return painted

    @torch.inference_mode()
    def strips(self, photo: Tensor, progress: Progress | None = None) -> Iterator[tuple[int, Tensor]]:
        """The same as strips of float32 (rows, W, 3), each with the number of its first row."""
        height, width, _ = photo.shape
        run = _Run(len(self._down) + 2 * len(self._blocks) + len(self._up) + 1, self._line(width), progress)
        keep_full = height * width <= KEEP_ALL
        now = _Map(height, width, 3, self._dtype, lambda low, high: photo[low:high].to(self._dtype))
        for (kernel, norm), kept in zip(self._down, (keep_full, True, True), strict=True):
            now = _convolved(now, kernel, stride=2 if now.channels > 3 else 1)
            run.measure(now, norm, keep=kept)
        trunk = now.normalised()
        for (first, first_norm), (second, second_norm) in self._blocks:
            inner = _inside(trunk, first, read_again=True)
            run.measure(inner, first_norm)
            outer = _inside(inner, second)
            run.measure(outer, second_norm)
            for row, strip in outer.give():
                for begin, part in trunk.between(row, row + len(strip)):
                    more = strip[begin - row : begin - row + len(part)]
                    torch.addcmul(part, more, outer.scale, out=part).add_(outer.shift)
        now = trunk
        for (kernel, norm), kept in zip(self._up, (True, keep_full), strict=True):
            now = _enlarged(now, kernel)
            run.measure(now, norm, keep=kept)

        def paint(part: tuple[int, int]) -> Tensor:
            return self._paint(now, *part)[:, :width]

        parts = _parts(height, max(16, 2 * STRIP // (4 * 27 * now.width)))
        for (low, _), values in zip(parts, run.each(paint, parts), strict=True):
            now.release(low - self._reach)
            yield low, values

    def _check_memory(self, height: int, width: int) -> None:
        # Of whole maps: those of full size, which are kept of small pictures, have four times the numbers of the trunk.
        maps = (4 if height * width <= KEEP_ALL else 2) * -(-height // 4) * self._line(width) * self._dtype.itemsize
        needed, free = maps + 6 * height * width + AROUND, free_memory()
        if free is not None and needed > free:
            raise NSTError(
                f"To paint {width} × {height} px takes {needed / 1e9:.1f} GB of memory, and "
                f"{max(0, free) / 1e9:.1f} GB are free: choose a smaller size."
            )

    def _line(self, width: int) -> int:
        """The most numbers that a row of a map has, for a photograph of that width: about the same at every scale."""
        full, half, quarter = (kernel.shape[0] for kernel, _ in self._down)
        return -(-width // 4) * max(4 * full, 2 * half, quarter)

    def _paint(self, source: "_Map", low: int, high: int) -> Tensor:
        seen = source.rows(low - self._reach, high + self._reach, self._reach)
        lines = F.conv2d(_batch(seen), self._last)[0]
        values = lines[:3, : high - low] + self._colour  # of float32, as is the sum
        for row in range(1, 2 * self._reach + 1):
            values += lines[3 * row : 3 * row + 3, row : row + high - low]
        return values.permute(1, 2, 0)

    def _laid_out(self, kernel: Tensor) -> Tensor:
        return kernel.to(self._dtype).contiguous(memory_format=torch.channels_last)


class Winograd:
    """A 3 × 3 convolution by tiles of 4 × 4 (Lavin and Gray 2016, *Fast algorithms for convolutional networks*)."""

    def __init__(self, kernel: Tensor) -> None:
        g = torch.tensor(KERNEL, dtype=torch.float64)
        transformed = torch.einsum("ai,bj,oij->abo", g, g, kernel.double().flatten(0, 1).reshape(-1, 3, 3))
        outputs, inputs = kernel.shape[:2]
        self.kernel = transformed.reshape(36, outputs, inputs).transpose(1, 2).float().contiguous()
        self.into, self.back = (torch.kron(m, m) for m in (torch.tensor(INPUT).float(), torch.tensor(OUTPUT).float()))

    def __call__(self, x: Tensor) -> Tensor:
        """(4·m + 2, 4·n + 2, inputs), padded, to (4·m, 4·n, outputs), which hold until the thread's next call."""
        tiles = x.unfold(0, 6, 4).unfold(1, 6, 4).permute(3, 4, 0, 1, 2)
        down, across, channels = tiles.shape[2:]
        count, outputs = down * across, self.kernel.shape[2]
        laid, seen = _scratch("even", 36, count * channels), _scratch("odd", 36, count * channels)
        laid.view(tiles.shape).copy_(tiles)
        torch.mm(self.into, laid, out=seen)
        made = torch.bmm(seen.view(36, count, channels), self.kernel, out=_scratch("even", 36, count, outputs))
        values = torch.mm(self.back, made.view(36, -1), out=_scratch("odd", 16, count * outputs))
        laid = _scratch("even", down, 4, across, 4, outputs)
        laid.copy_(values.view(4, 4, down, across, outputs).permute(2, 0, 3, 1, 4))
        return laid.view(4 * down, 4 * across, outputs)


def enlarging_kernel(kernel: Tensor) -> Tensor:
    """(out, in, 3, 3) after nearest-neighbour enlargement by two, as (in, out, 4, 4) of a transposed convolution.

    That has stride 2 and padding 3, on a map that is padded by one with its own edge.
    """
    kernel = kernel.double()
    for axis in (2, 3):
        a, b, c = kernel.unbind(axis)
        kernel = torch.stack([c, b + c, a + b, a], axis)
    return kernel.transpose(0, 1).float()


def _scratch(name: str, *shape: int) -> Tensor:
    """Memory of this thread's own for values that are soon forgotten, by a name for each that lives at a time."""
    count = prod(shape)
    held: Tensor | None = getattr(_held, name, None)
    if held is None or len(held) < count:
        held = torch.empty(count)
        setattr(_held, name, held)
    return held[:count].view(shape)


_held = threading.local()


class _Norm:
    """An instance normalisation's parameters."""

    def __init__(self, layer: "InstanceNorm") -> None:
        self.scale, self.shift, self.eps = layer.weight.detach().double(), layer.bias.detach().double(), layer.eps


@cache
@torch.inference_mode()
def quickest_type() -> torch.dtype:
    """Of feature maps on this processor: bfloat16 if it has instructions for it that beat Winograd's convolution."""
    if not fast_bfloat16(torch.device("cpu")):
        return torch.float32
    x, kernel = torch.rand(34, 66, 128), torch.rand(128, 128, 3, 3)
    winograd, seen = Winograd(kernel), _batch(x.bfloat16())
    laid_out = kernel.bfloat16().contiguous(memory_format=torch.channels_last)

    def seconds(work: Callable[[], Tensor]) -> float:
        work()
        return min(timeit.repeat(work, repeat=5, number=1))

    quicker = seconds(lambda: F.conv2d(seen, laid_out)) < seconds(lambda: winograd(x))
    return torch.bfloat16 if quicker else torch.float32


@dataclass
class _Sums:
    """Of a strip's values about a pivot, by channel: one pass, and still exact where a mean is large."""

    count: int
    pivot: Tensor
    first: Tensor
    second: Tensor

    @classmethod
    def of(cls, strip: Tensor) -> "_Sums":
        rows, width, _ = strip.shape
        ones = torch.ones(1, 1, 1).expand(rows, 1, width)
        pivot = strip[0].mean(0, dtype=torch.float32)
        values = torch.sub(strip, pivot, out=_scratch("odd", *strip.shape))
        first = torch.bmm(ones, values).sum((0, 1), dtype=torch.float64)
        second = torch.bmm(ones, values.square_()).sum((0, 1), dtype=torch.float64)
        return cls(rows * width, pivot.double(), first, second)


class _Blocks:
    """Memory for the strips that are kept, all of one size: what one leaves, another fills.

    The C library's allocator would leave holes, for it fills none with an aligned block of the hole's own size.
    """

    def __init__(self, count: int) -> None:
        """``count`` is of numbers, the most that a strip has."""
        self._count = count
        self._free: list[Tensor] = []
        self._lock = threading.Lock()

    def fill(self, values: Tensor) -> Tensor:
        """A copy of a strip."""
        with self._lock:
            if not self._free:
                self._free.extend(torch.empty(16, self._count, dtype=values.dtype))
            block = self._free.pop()
        return block[: values.numel()].view(values.shape).copy_(values)

    def take_back(self, strip: Tensor) -> None:
        """Have the memory of a strip that nobody looks at any more."""
        self._free.append(strip.as_strided((self._count,), (1,)))


class _Map:
    """A feature map (height, width, channels): what a convolution gives, and how to normalise it."""

    def __init__(
        self,
        height: int,
        width: int,
        channels: int,
        dtype: torch.dtype,
        compute: Callable[[int, int], Tensor],
        let_go: Callable[[int], None] = lambda row: None,
    ) -> None:
        self.height, self.width, self.channels, self.dtype = height, width, channels, dtype
        self.compute = compute
        """Gives the rows from one to another, before normalisation."""
        self.let_go = let_go
        """Lets go of what only the rows before one are computed of."""
        self.strips: list[tuple[int, Tensor]] | None = None
        """Such rows, kept, each with the number of its first; None where they are computed when they are asked for."""
        self.blocks = _Blocks(0)
        """Whose memory the strips are in."""
        self.scale = self.shift = torch.empty(0)
        """Of its normalisation, by channel; empty before it is measured, or where there is none."""

    def standardise(self, sums: list[_Sums], norm: _Norm) -> None:
        """Normalise by these statistics from now on, those of all strips."""
        count = sum(part.count for part in sums)
        mean = sum((part.first + part.count * part.pivot for part in sums), torch.zeros(1)) / count
        apart = [(part.pivot - mean, part) for part in sums]
        squares = [part.second + 2 * gap * part.first + part.count * gap.square() for gap, part in apart]
        variance = sum(squares, torch.zeros(1)) / count
        scale = norm.scale / (variance + norm.eps).sqrt()
        self.scale, self.shift = scale.to(self.dtype), (norm.shift - mean * scale).to(self.dtype)

    def normalise(self, strip: Tensor, out: Tensor) -> None:
        """Write a strip, normalised and rectified, where it is wanted."""
        if len(self.scale):
            torch.addcmul(self.shift, strip, self.scale, out=out).relu_()
        else:
            out.copy_(strip)

    def rows(self, low: int, high: int, margin: int, *, mirrored: bool = True, tiled: bool = False) -> Tensor:
        """Rows, normalised, with ``margin`` more columns on each side.

        Beyond the edges the map is mirrored, or repeated; ``tiled`` adds zeros to the right and below that fill tiles.
        """
        # What lies beyond an edge may mirror rows that were not asked for.
        first = max(0, min(low, 2 * self.height - 1 - high) if high > self.height and mirrored else low)
        last = min(self.height, max(high, 1 - low) if low < 0 and mirrored else high)
        start, stop = min(low, first), max(high, last)
        spare = [-(high - low - 2) % 4, -self.width % 4] if tiled else [0, 0]
        padded = torch.empty(
            stop - start + spare[0], self.width + 2 * margin + spare[1], self.channels, dtype=self.dtype
        )
        for row, strip in self.between(first, last):
            self.normalise(strip, padded[row - start : row - start + len(strip), margin : margin + self.width])
        inside = padded[:, margin : margin + self.width]
        for row in range(low, 0):
            inside[row - start] = inside[(-row if mirrored else 0) - start]
        for row in range(self.height, high):
            inside[row - start] = inside[(2 * self.height - 2 - row if mirrored else self.height - 1) - start]
        for step in range(1, margin + 1):
            left, right = (step, self.width - 1 - step) if mirrored else (0, self.width - 1)
            padded[:, margin - step] = inside[:, left]
            padded[:, margin + self.width - 1 + step] = inside[:, right]
        if tiled:
            padded[stop - start :] = 0
            padded[:, self.width + 2 * margin :] = 0
        return padded[low - start : high - start + spare[0]]

    def normalised(self) -> "_Map":
        """The same with its normalisation done, in its place; this one is no longer of use."""
        for _, strip in self.strips or []:
            self.normalise(strip, out=strip)
        after = _Map(self.height, self.width, self.channels, self.dtype, self.compute)
        after.strips, after.blocks, self.strips = self.strips, self.blocks, None
        return after

    def give(self) -> Iterator[tuple[int, Tensor]]:
        """The strips, each for the last time."""
        while self.strips:
            yield self.strips[0]
            self.blocks.take_back(self.strips.pop(0)[1])

    def release(self, row: int) -> None:
        """Let go of the strips that lie before a row, or of what they are computed of."""
        if self.strips is None:
            self.let_go(row)
        elif self.strips and self.strips[0][0] + len(self.strips[0][1]) <= row:
            past = [strip for first, strip in self.strips if first + len(strip) <= row]
            # A new list: others may be going through the old one.
            self.strips = self.strips[len(past) :]
            for strip in past:
                self.blocks.take_back(strip)

    def between(self, low: int, high: int) -> Iterator[tuple[int, Tensor]]:
        """The rows from one to another, in pieces, each with the number of its first, before normalisation."""
        if self.strips is None:
            yield low, self.compute(low, high)
            return
        for row, strip in self.strips:
            begin, end = max(low, row), min(high, row + len(strip))
            if begin < end:
                yield begin, strip[begin - row : end - row]


def _convolved(source: _Map, kernel: Tensor, stride: int) -> _Map:
    size = kernel.shape[2]

    def compute(low: int, high: int) -> Tensor:
        top = stride * low - size // 2
        seen = source.rows(top, top + stride * (high - low - 1) + size, size // 2)
        return F.conv2d(_batch(seen), kernel, stride=stride)[0].permute(1, 2, 0)

    height, width = (-(-side // stride) for side in (source.height, source.width))
    return _Map(
        height, width, kernel.shape[0], source.dtype, compute, lambda row: source.release(stride * row - size // 2)
    )


def _inside(source: _Map, convolution: Winograd | Tensor, *, read_again: bool = False) -> _Map:
    """A convolution of a residual block; ``read_again`` says that the source is needed after it."""
    if isinstance(convolution, Winograd):
        made = _tiled(source, convolution)
    else:
        made = _convolved(source, convolution, stride=1)
    if read_again:
        made.let_go = lambda row: None
    return made


def _tiled(source: _Map, convolution: Winograd) -> _Map:
    def compute(low: int, high: int) -> Tensor:
        return convolution(source.rows(low - 1, high + 1, 1, tiled=True))[: high - low, : source.width]

    channels = convolution.kernel.shape[2]
    return _Map(source.height, source.width, channels, source.dtype, compute, lambda row: source.release(row - 1))


def _enlarged(source: _Map, kernel: Tensor) -> _Map:
    def compute(low: int, high: int) -> Tensor:
        first, last = low // 2, -(-high // 2)
        seen = source.rows(first - 1, last + 1, 1, mirrored=False)
        made = F.conv_transpose2d(_batch(seen), kernel, stride=2, padding=3)[0].permute(1, 2, 0)
        return made[low - 2 * first : high - 2 * first]

    height, width = 2 * source.height, 2 * source.width
    return _Map(height, width, kernel.shape[1], source.dtype, compute, lambda row: source.release(row // 2 - 1))


class _Run:
    """One picture on its way: the layers that were gone through, and who is told."""

    def __init__(self, passes: int, line: int, progress: Progress | None) -> None:
        """``line`` is the most numbers that a row of a map has."""
        self._passes, self._progress = passes, progress
        self._done = 0
        self._rows = max(1, STRIP // (4 * line) // TILE) * TILE
        self._blocks = _Blocks(self._rows * line)

    def each(self, work: Callable[[Item], Result], items: list[Item]) -> Iterator[Result]:
        """What ``work`` gives of each item, in their order; several are worked on at a time."""
        for number, result in enumerate(_spread(torch.inference_mode()(work), items), start=1):
            if self._progress:
                self._progress((self._done + number / len(items)) / self._passes)
            yield result
        self._done += 1

    def measure(self, layer: _Map, norm: _Norm, *, keep: bool = True) -> None:
        """Go through a layer's rows for its statistics, and keep them or not."""
        parts = _parts(layer.height, self._rows)

        def work(part: tuple[int, int]) -> tuple[_Sums, Tensor | None]:
            strip = layer.compute(*part)
            return _Sums.of(strip), self._blocks.fill(strip) if keep else None

        sums, strips = [], []
        for (low, high), (sum_, strip) in zip(parts, self.each(work, parts), strict=True):
            sums.append(sum_)
            if strip is not None:
                strips.append((low, strip))
                layer.let_go(high)
        if keep:
            layer.strips, layer.blocks = strips, self._blocks
        layer.standardise(sums, norm)


def _spread(work: Callable[[Item], Result], items: list[Item]) -> Iterable[Result]:
    threads = torch.get_num_threads()
    return map(work, items) if threads == 1 else _workers(threads).map(work, items)


@cache
def _workers(threads: int) -> ThreadPoolExecutor:
    """Threads in which PyTorch itself starts none, for it would make them wait for one another at every layer."""
    # The setting is the calling thread's own, and the default of threads to come.
    pool = ThreadPoolExecutor(threads, "strips", initializer=torch.set_num_threads, initargs=(1,))
    list(pool.map(lambda _: None, range(threads)))
    torch.set_num_threads(threads)
    return pool


def _parts(height: int, rows: int) -> list[tuple[int, int]]:
    """Rows from 0 to ``height``, so many at a time."""
    return [(low, min(low + rows, height)) for low in range(0, height, rows)]


def _kernel(layer: "ConvLayer") -> Tensor:
    return layer.conv2d.weight.detach().float()


def _batch(rows: Tensor) -> Tensor:
    """(rows, width, channels) as a batch of one, in the memory format that it has."""
    return rows.permute(2, 0, 1)[None]
