"""The fast path of johnson networks: in strips of rows, exactly, faster than layer by layer, at any size.

Instance normalisation needs the statistics of whole feature maps, so a picture cannot be painted tile by tile. Here
each layer goes through its rows once and keeps its convolution's output, in strips, and the statistics of the whole;
the next layer normalises the rows that it reads. So the strips leave no seams.

What makes it fast, beside strips that stay in the CPU's cache:

- a normalisation and its ReLU are one comparison: relu(scale · x + shift) is scale · (max(x, floor) - floor), where
  floor is -shift / scale, and all but max(x, floor) goes into the kernel and the bias of the next convolution;
- upsampling by two and the convolution after it are one transposed convolution of the small map, with a 4 × 4 kernel:
  four ninths of the multiplications, and no large map between the two;
- the 3 × 3 convolutions of the residual blocks are Winograd's F(6 × 6, 3 × 3), with a fifth of the multiplications
  (Lavin and Gray 2016);
- the last convolution gives only three channels, at which CPUs are slow: it gives those of five rows at a time, as
  fifteen channels, with a kernel that is four rows longer;
- biases before a normalisation cancel, and are left out.
"""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nst_core.memory import check_memory, free_memory
from nst_core.modes import FLOAT32_ON_CPU
from nst_core.precision import fast_bfloat16
from nst_core.progress import Progress
from nst_core.winograd import TILE, measured_once, winograd, winograd_kernel

if TYPE_CHECKING:
    from nst_core.architectures.johnson import JohnsonNetwork
    from nst_core.layers import ConvLayer, InstanceNorm

STRIP = {torch.float32: 3 * 2**20, torch.bfloat16: 8 * 2**20}
"""Approximate bytes of a strip of a feature map."""
AT_ONCE = 5
"""Rows of the painted picture that the last convolution gives at a time: 15 numbers, as CPUs have 16 lanes."""
LEAST = 2 * TILE
"""The fewest rows of a strip: above and below it, a convolution reads up to eight more."""
KEEP_ALL = 9_000_000
"""Pixels up to which full-size feature maps are kept. For larger pictures, they are computed twice, as are, where
memory is short, those of half size and those inside the residual blocks."""
AROUND = 30
"""Approximate memory, in strips, that a picture takes beside its feature maps and itself."""


class StripNetwork:
    """Gives what a johnson network does, within rounding, and faster; several threads may call it at a time.

    With bfloat16, feature maps and kernels are of that type, and Winograd's convolution, which would lose too many
    digits, is not used; statistics and the painted picture are float32.
    """

    def __init__(self, network: "JohnsonNetwork", dtype: torch.dtype = torch.float32) -> None:
        self._dtype = dtype
        down = (network.conv1, network.in1), (network.conv2, network.in2), (network.conv3, network.in3)
        self._down = [_Layer(layer, norm) for layer, norm in down]
        inside = winograd_kernel if dtype == torch.float32 else None
        self._blocks = [
            (_Layer(block.conv1, block.in1, inside), _Layer(block.conv2, block.in2, inside))
            for block in network.residual_blocks()
        ]
        up = (network.deconv1, network.in4), (network.deconv2, network.in5)
        self._up = [_Layer(layer, norm, enlarging_kernel) for layer, norm in up]
        # Copied, like all else: training changes the network's own.
        self._last = network.deconv3.conv2d.weight.detach().to(torch.float32, copy=True)
        self._blank = network.in5.bias.detach().to(torch.float32, copy=True)
        assert network.deconv3.conv2d.bias is not None
        self._colour = network.deconv3.conv2d.bias.detach().to(torch.float32, copy=True)

    def __call__(self, photo: Tensor, progress: Progress | None = None) -> Tensor:
        """Repaint RGB in 0–255, (H, W, 3) of any type; returns (H, W, 3) of uint8, rounded and clamped.

        Raises:
            NSTError: too little memory is free.
        """
        height, width, _ = photo.shape
        self._kept(height, width)  # refuses what there is no memory for
        painted = torch.empty(height, width, 3, dtype=torch.uint8, device="cpu")
        for row, values in self.strips(photo, progress):
            painted[row : row + len(values)] = values.round().clamp(0, 255)
        return painted

    @torch.inference_mode()
    def strips(self, photo: Tensor, progress: Progress | None = None) -> Iterator[tuple[int, Tensor]]:
        """The result before it is rounded, in strips of float32 (rows, W, 3), each with the number of its first row."""
        height, width, _ = photo.shape
        if (photo[0] == photo[0, 0]).all() and (photo == photo[0, 0]).all():
            # All one colour: normalisations give only their shift, and would magnify rounding errors.
            colour = self._colour + self._last.sum((2, 3)) @ self._blank.relu()
            for row in range(0, height, LEAST):
                yield row, colour.expand(min(LEAST, height - row), width, 3)
            if progress:
                progress(1.0)
            return
        kept = self._kept(height, width)
        passes = len(self._down) + (2 if kept > 1 else 3) * len(self._blocks) + len(self._up) + 1
        size = self._rows(width) * self._line(width)
        room = _Room(-(-kept * -(-height // 4) // self._rows(width)) + 4, size, self._dtype)
        run = _Run(passes, self._rows(width), room, progress)
        inside = _tiled if self._dtype == torch.float32 else _convolved
        # Normalisation removes the mean anyway, and in bfloat16, the mean would leave a faint photograph few digits.
        middle = photo[::8, ::8].float().mean((0, 1)).round()
        now = _Map(height, width, 3, self._dtype, lambda low, high: (photo[low:high] - middle).to(self._dtype))
        for layer, keep in zip(self._down, (kept > 2, kept > 1, True), strict=True):
            now = _convolved(now, layer.kernel, stride=2 if now.channels > 3 else 1)
            run.measure(now, layer, keep=keep)
        trunk = now.rectified()
        for first, second in self._blocks:
            inner = inside(trunk, first.kernel)
            inner.let_go = lambda row: None  # the trunk is read again
            run.measure(inner, first, keep=kept > 1)
            outer = inside(inner, second.kernel)
            run.measure(outer, second, keep=kept > 1)
            # Without the shift: it is the same everywhere, and later normalisations would remove it.
            scale = outer.scale.to(self._dtype)
            for row, strip in outer.give() if kept > 1 else run.late(outer):
                for begin, part in trunk.between(row, row + len(strip)):
                    more = strip[begin - row : begin - row + len(part)]
                    torch.addcmul(part, more, scale, out=part)
        now = trunk
        for layer, keep in zip(self._up, (kept > 1, kept > 2), strict=True):
            now = _enlarged(now, layer.kernel)
            run.measure(now, layer, keep=keep)
        yield from self._painted(now, height, width, run)

    def _painted(self, source: "_Map", height: int, width: int, run: "_Run") -> Iterator[tuple[int, Tensor]]:
        reach = self._last.shape[2] // 2
        scaled = self._last * source.scale[:, None, None]
        # Each row's kernel is one row further down.
        kernel = torch.cat([F.pad(scaled, (0, 0, row, AT_ONCE - 1 - row)) for row in range(AT_ONCE)])
        kernel = _laid_out(kernel, self._dtype)
        colour = self._colour + self._last.sum((2, 3)) @ source.shift()
        for low, high in run.each(height, 4 * AT_ONCE):  # the taller, the fewer rows are read twice
            seen = source.rows(low - reach, high + reach, reach, spare=(-(high - low) % AT_ONCE, 0))
            values = F.conv2d(_batch(seen), kernel, stride=(AT_ONCE, 1))[0].unflatten(0, (AT_ONCE, 3))
            source.release(high - reach)
            values = values.permute(2, 0, 3, 1).flatten(0, 1)  # (rows, width, 3)
            yield low, values[: high - low, :width].float() + colour

    def _kept(self, height: int, width: int) -> int:
        """How much memory there is for feature maps, in quarter-size maps: 4, 2 or 1 of them.

        A full-size map has four times as many numbers, and a half-size one twice as many.

        Raises:
            NSTError: there is not enough for one.
        """
        free = free_memory()
        for kept in (4, 2, 1) if height * width <= KEEP_ALL else (2, 1):
            rows = kept * -(-height // 4) + AROUND * self._rows(width)
            needed = rows * self._line(width) * self._dtype.itemsize + 6 * height * width
            if free is None or needed <= free:
                return kept
        check_memory(needed, f"paint {width} × {height} px")
        return kept  # some memory has become free meanwhile

    def _rows(self, width: int) -> int:
        """How many rows a strip has, for a photograph of that width."""
        return max(LEAST, STRIP[self._dtype] // (self._dtype.itemsize * self._line(width)) // TILE * TILE)

    def _line(self, width: int) -> int:
        """The most numbers that a row of a map has, for a photograph of that width: about the same at every scale."""
        full, half, quarter = (layer.kernel.shape[0] for layer in self._down)
        return -(-width // 4) * max(4 * full, 2 * half, quarter)


class _Layer:
    """A convolution and its normalisation, whose scale is made positive: the kernel takes over the sign."""

    def __init__(
        self, layer: "ConvLayer", norm: "InstanceNorm", arranged: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        weight, kernel = norm.weight.detach().double(), layer.conv2d.weight.detach()
        kernel = torch.where(weight < 0, -1, 1)[:, None, None, None] * kernel.float()
        self.kernel = arranged(kernel) if arranged else kernel
        # A divisor, which must not be 0.
        self.scale = weight.abs().clamp(min=1e-12)
        self.shift, self.eps = norm.bias.detach().double(), norm.eps


def enlarging_kernel(kernel: Tensor) -> Tensor:
    """A kernel (out, in, 3, 3) after nearest-neighbour upsampling by two, as a transposed one, (in, out, 4, 4).

    Its convolution has stride 2 and padding 3, on a map that is padded by one with its own edge.
    """
    kernel = kernel.double()
    for axis in (2, 3):
        a, b, c = kernel.unbind(axis)
        kernel = torch.stack([c, b + c, a + b, a], axis)
    return kernel.transpose(0, 1).float()


@measured_once
@torch.inference_mode()
def quickest_type() -> torch.dtype:
    """The fastest type of feature maps on this CPU: bfloat16, if its instructions beat float32 with Winograd."""
    if not fast_bfloat16(torch.device("cpu")):
        return torch.float32
    x = torch.ones(5 * TILE + 2, 11 * TILE + 2, 128, **FLOAT32_ON_CPU)
    kernel = torch.ones(128, 128, 3, 3, **FLOAT32_ON_CPU)
    tiled = winograd_kernel(kernel)

    def seconds(dtype: torch.dtype) -> float:
        seen, laid_out = _batch(x.to(dtype)), _laid_out(kernel, dtype)
        began = time.perf_counter()
        winograd(x, tiled) if dtype == torch.float32 else F.conv2d(seen, laid_out)
        # A network has half as many multiplications again outside of its residual blocks.
        F.conv2d(seen[:, :, : len(x) // 2], laid_out)
        return time.perf_counter() - began

    # In turn, as the CPU may be busy for a while.
    took = [(seconds(torch.float32), seconds(torch.bfloat16)) for _ in range(6)]
    exact, rough = map(min, zip(*took, strict=True))
    return torch.bfloat16 if rough < exact else torch.float32


class _Map:
    """A feature map (height, width, channels): a convolution's output, and how to normalise it."""

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
        """Computes the rows from one to another, before normalisation."""
        self.let_go = let_go
        """Frees what only the rows before a given one are computed from."""
        self.strips: list[tuple[int, Tensor]] | None = None
        """Strips of such rows that are kept, with the number of the first; None if rows are computed when asked for."""
        self.room: _Room | None = None
        """The memory of those strips."""
        self.scale = torch.ones(channels, **FLOAT32_ON_CPU)
        """The scale of its normalisation, by channel."""
        self.floor: Tensor | None = None
        """The value up to which normalisation and ReLU give 0, by channel; None where there are none."""

    def standardise(self, moments: list[tuple[int, Tensor, Tensor]], layer: _Layer) -> None:
        """Set the normalisation from the moments of all its parts."""
        counts = torch.tensor([count for count, _, _ in moments], dtype=torch.float64, device="cpu")
        means, variances = (torch.stack(values) for values in list(zip(*moments, strict=True))[1:])
        mean = counts @ means / counts.sum()
        variance = counts @ (variances + (means - mean).square()) / counts.sum()
        scale = layer.scale / (variance + layer.eps).sqrt()
        self.scale, self.floor = scale.float(), (mean - layer.shift / scale).to(self.dtype)

    def shift(self) -> Tensor:
        """The shift of its normalisation, by channel."""
        return torch.zeros(self.channels, **FLOAT32_ON_CPU) if self.floor is None else -self.scale * self.floor

    def rows(
        self, low: int, high: int, margin: int, *, mirrored: bool = True, spare: tuple[int, int] = (0, 0)
    ) -> Tensor:
        """Rows, normalised and rectified but for scale and shift, with ``margin`` more columns on each side.

        Beyond the edges, the map is mirrored, or its edge repeated; below and to the right are ``spare`` rows and
        columns of 0.
        """
        # What lies beyond an edge may mirror rows that were not asked for.
        first = max(0, min(low, 2 * self.height - 1 - high) if high > self.height and mirrored else low)
        last = min(self.height, max(high, 1 - low) if low < 0 and mirrored else high)
        start, stop = min(low, first), max(high, last)
        shape = stop - start + spare[0], self.width + 2 * margin + spare[1], self.channels
        padded = torch.empty(shape, dtype=self.dtype, device="cpu")
        inside = padded[:, margin : margin + self.width]
        for row, strip in self.between(first, last):
            here = inside[row - start : row - start + len(strip)]
            here.copy_(strip) if self.floor is None else torch.maximum(strip, self.floor, out=here)
        for row in range(low, 0):
            inside[row - start] = inside[(-row if mirrored else 0) - start]
        for row in range(self.height, high):
            inside[row - start] = inside[(2 * self.height - 2 - row if mirrored else self.height - 1) - start]
        for step in range(1, margin + 1):
            left, right = (step, self.width - 1 - step) if mirrored else (0, self.width - 1)
            padded[:, margin - step] = inside[:, left]
            padded[:, margin + self.width - 1 + step] = inside[:, right]
        padded[stop - start :] = 0
        padded[:, self.width + 2 * margin :] = 0
        return padded[low - start : high - start + spare[0]]

    def rectified(self) -> "_Map":
        """This map, normalised and rectified in the same memory; this object is not to be used after."""
        scale, shift = (values.to(self.dtype) for values in (self.scale, self.shift()))
        for _, strip in self.strips or []:
            torch.addcmul(shift, strip, scale, out=strip).relu_()
        after = _Map(self.height, self.width, self.channels, self.dtype, self.compute)
        after.strips, after.room, self.strips = self.strips, self.room, None
        return after

    def give(self) -> Iterator[tuple[int, Tensor]]:
        """The strips, each of which is freed when the next is asked for."""
        while self.strips:
            row, strip = self.strips[0]
            yield row, strip
            self.release(row + len(strip))

    def release(self, row: int) -> None:
        """Free the strips before a row, or what they are computed from."""
        if self.strips is None:
            self.let_go(row)
            return
        assert self.room
        while self.strips and self.strips[0][0] + len(self.strips[0][1]) <= row:
            self.room.free(self.strips.pop(0)[1])

    def between(self, low: int, high: int) -> Iterator[tuple[int, Tensor]]:
        """The rows from ``low`` to ``high``, before normalisation, in pieces, each with its first row's number."""
        if self.strips is None:
            yield low, self.compute(low, high)
            return
        for row, strip in self.strips:
            begin, end = max(low, row), min(high, row + len(strip))
            if begin < end:
                yield begin, strip[begin - row : end - row]


def _convolved(source: _Map, kernel: Tensor, stride: int = 1) -> _Map:
    outputs, _, size, _ = kernel.shape
    bias = (kernel.sum((2, 3)) @ source.shift()).to(source.dtype)
    kernel = _laid_out(kernel * source.scale[:, None, None], source.dtype)

    def compute(low: int, high: int) -> Tensor:
        top = stride * low - size // 2
        seen = source.rows(top, top + stride * (high - low - 1) + size, size // 2)
        return F.conv2d(_batch(seen), kernel, bias, stride=stride)[0].permute(1, 2, 0)

    height, width = (-(-side // stride) for side in (source.height, source.width))
    return _Map(height, width, outputs, source.dtype, compute, lambda row: source.release(stride * row - size // 2))


def _tiled(source: _Map, kernel: Tensor) -> _Map:
    scaled = kernel * source.scale

    def compute(low: int, high: int) -> Tensor:
        seen = source.rows(low - 1, high + 1, 1, spare=(-(high - low) % TILE, -source.width % TILE))
        return winograd(seen, scaled, source.floor)[: high - low, : source.width]

    return _Map(
        source.height, source.width, kernel.shape[1], source.dtype, compute, lambda row: source.release(row - 1)
    )


def _enlarged(source: _Map, kernel: Tensor) -> _Map:
    # Each pixel sees 2 × 2 of a kernel's 4 × 4 numbers, and their sum is the same everywhere.
    bias = (source.shift() @ kernel.sum((2, 3)) / 4).to(source.dtype)
    kernel = _laid_out(kernel * source.scale[:, None, None, None], source.dtype)

    def compute(low: int, high: int) -> Tensor:
        first, last = low // 2, -(-high // 2)
        seen = source.rows(first - 1, last + 1, 1, mirrored=False)
        made = F.conv_transpose2d(_batch(seen), kernel, bias, stride=2, padding=3)[0].permute(1, 2, 0)
        return made[low - 2 * first : high - 2 * first]

    height, width = 2 * source.height, 2 * source.width
    return _Map(height, width, kernel.shape[1], source.dtype, compute, lambda row: source.release(row // 2 - 1))


class _Room:
    """Memory for the strips that are kept, in pieces of one size, which are reused once their strip is freed.

    PyTorch has malloc align its memory, so that the gap that one strip leaves is a few bytes too small for the next,
    and the process grows by half. These pieces are allocated unaligned, and aligned here.
    """

    ALIGNED = 64

    def __init__(self, count: int, numbers: int, dtype: torch.dtype) -> None:
        self._numbers = numbers
        size = numbers * dtype.itemsize
        given = [torch.from_numpy(np.empty(size + self.ALIGNED, np.uint8)) for _ in range(count)]
        self._free = [memory[-memory.data_ptr() % self.ALIGNED :][:size].view(dtype) for memory in given]

    def keep(self, strip: Tensor) -> Tensor:
        """A copy of a strip, in a piece of this memory."""
        return self._free.pop()[: strip.numel()].view(strip.shape).copy_(strip)

    def free(self, strip: Tensor) -> None:
        """Take back the memory of what ``keep`` returned."""
        self._free.append(strip.as_strided((self._numbers,), (1,), strip.storage_offset()))


class _Run:
    """Goes through a picture's layers strip by strip, and tells its progress."""

    def __init__(self, passes: int, rows: int, room: _Room, progress: Progress | None) -> None:
        """``rows`` are a strip's."""
        self._passes, self._rows, self._room, self._progress = passes, rows, room, progress
        self._done = 0

    def each(self, height: int, multiple: int = 1) -> Iterator[tuple[int, int]]:
        """The strips of a layer, from one row to another; each counts as done when the next is asked for.

        All but the last have a multiple of ``multiple`` rows.
        """
        rows = -(-self._rows // multiple) * multiple
        for low in range(0, height, rows):
            high = min(low + rows, height)
            yield low, high
            if self._progress:
                self._progress((self._done + high / height) / self._passes)
        self._done += 1

    def late(self, map_: _Map) -> Iterator[tuple[int, Tensor]]:
        """A map's strips, computed again; each is given once the next is computed: then its source may be changed."""
        before = None
        for low, high in self.each(map_.height):
            strip = self._room.keep(map_.compute(low, high))
            if before:
                yield before
                self._room.free(before[1])
            before = low, strip
        if before:
            yield before
            self._room.free(before[1])

    def measure(self, map_: _Map, layer: _Layer, *, keep: bool = True) -> None:
        """Compute a map's rows for its statistics, and ``keep`` those rows or not."""
        moments: list[tuple[int, Tensor, Tensor]] = []
        strips = []
        for low, high in self.each(map_.height):
            strip = map_.compute(low, high)
            strip = self._room.keep(strip) if keep else strip.contiguous()
            moments += _moments(strip)
            if keep:
                strips.append((low, strip))
                map_.let_go(high)
        if keep:
            map_.let_go(map_.height + LEAST)  # of the last rows too
            map_.strips, map_.room = strips, self._room
        map_.standardise(moments, layer)


def _moments(strip: Tensor) -> Iterator[tuple[int, Tensor, Tensor]]:
    """The moments of one or two parts of a strip: the number of pixels, and by channel mean and variance, in float64.

    To PyTorch, 16 pixels are one that has more channels, at which it is faster, the more so the fewer there are. Its
    sums are shorter then, too, and round less.
    """
    pixels = strip.view(-1, strip.shape[2])
    beside = min(16, len(pixels))
    count = len(pixels) // beside * beside
    running = torch.ones(beside * strip.shape[2], **FLOAT32_ON_CPU)  # only its type matters: that of the statistics
    wide = torch.batch_norm_update_stats(pixels[:count].view(-1, len(running)), running, running, 0.0)
    means, variances = (values.view(beside, -1).double() for values in wide)
    between, mean = torch.var_mean(means, 0, correction=0)
    yield count, mean, between + variances.mean(0)
    if count < len(pixels):
        variance, mean = torch.var_mean(pixels[count:].double(), 0, correction=0)
        yield len(pixels) - count, mean, variance


def _laid_out(kernel: Tensor, dtype: torch.dtype) -> Tensor:
    return kernel.to(dtype).contiguous(memory_format=torch.channels_last)


def _batch(rows: Tensor) -> Tensor:
    """(rows, width, channels) as a batch of one, in the memory format that it has."""
    return rows.permute(2, 0, 1)[None]
