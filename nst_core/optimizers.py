"""Optimisers of pixels: L-BFGS, Adam and SGD within 0–1, whatever the scale of the loss."""

import math
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Point:
    """A picture (1, 3, H, W) in 0–1, the losses there, weights applied, and the gradient of their total."""

    picture: Tensor
    gradient: Tensor
    total: float
    content: float
    style: float
    total_variation: float
    layers: dict[str, float]


Evaluate = Callable[[Tensor], Point]


class Optimizer(Protocol):
    """Steps from one point to the next; its state can be taken at any step and given back."""

    def step(self, here: Point, evaluate: Evaluate) -> Point:
        """The next point, which is ``here`` itself if no better one is found."""

    def state(self) -> list[Any]:
        """All that it remembers; later steps do not change what was returned."""

    def restore(self, state: list[Any]) -> None:
        """Go on from what ``state`` returned."""


class LBFGS:
    """Limited-memory BFGS (Liu and Nocedal 1989), projected to 0–1, nearly always at one evaluation a step.

    Where the textbook begins its estimate of the inverse Hessian with a multiple of the identity, this one begins with
    a multiple for each band of spatial frequencies and each of three colours, learned from the same pairs: broad areas
    and fine grain, light and hue differ in curvature by orders of magnitude. Per evaluation it gets about twice as far.

    The first step is measured in pixel values, so the scale of the loss does not matter. A pixel at its bound that
    would leave 0–1 is held. A step that makes the loss worse is shortened, and if that does not help either, the
    memory is dropped, as it may be of another place.
    """

    def __init__(self, learning_rate: float = 0.02, memory: int = 20) -> None:
        self.learning_rate = learning_rate
        self.memory = memory
        self._unit = 0.0
        self._pairs: list[tuple[Tensor, Tensor, float]] = []
        """Change of the picture, change of the gradient, and their dot product."""
        self._bands: _Bands | None = None

    def step(self, here: Point, evaluate: Evaluate) -> Point:
        self._unit = self._unit or _root_mean_square(here.gradient)
        if not self._unit:
            return here
        self._bands = self._bands or _Bands(here.gradient)
        direction = self._direction(here, self._bands)
        for length in (1.0, 0.3, 0.1, 1e-2, 1e-3, 1e-4):
            there = evaluate((here.picture + length * direction).clamp(0, 1))
            if there.total <= here.total * (1 + 1e-4):
                break
        else:
            if not self._pairs:
                return here
            self._pairs, self._bands = [], None
            return self.step(here, evaluate)
        change, bend = there.picture - here.picture, (there.gradient - here.gradient).div_(self._unit)
        product = _dot(change, bend)
        if product > 1e-8 * float(change.norm() * bend.norm()):
            self._pairs = [*self._pairs[1 - self.memory :], (change, bend, product)]
            self._bands = self._bands.learned(change, bend)
        return there

    def _direction(self, here: Point, bands: "_Bands") -> Tensor:
        """−H·gradient by the two-loop recursion over the pairs (Nocedal 1980)."""
        held = ((here.picture <= 0) & (here.gradient > 0)) | ((here.picture >= 1) & (here.gradient < 0))
        q = (here.gradient / self._unit).masked_fill(held, 0)
        if not self._pairs:
            q = bands.scaled(q)
            return -self.learning_rate / max(_root_mean_square(q), 1e-30) * q
        parts = []
        for change, bend, product in reversed(self._pairs):
            parts.append(_dot(change, q) / product)
            q.sub_(bend, alpha=parts[-1])
        q = bands.scaled(q)
        for (change, bend, product), part in zip(self._pairs, reversed(parts), strict=True):
            q.add_(change, alpha=part - _dot(bend, q) / product)
        return -q.masked_fill(held, 0)

    def state(self) -> list[Any]:
        bands = self._bands and (self._bands.sums, self._bands.factors)
        return [self._unit, self._pairs, bands]

    def restore(self, state: list[Any]) -> None:
        self._unit, self._pairs, bands = state
        self._bands = _Bands(self._pairs[0][0], *bands) if self._pairs else None


class _Bands:
    """A diagonal estimate of the inverse Hessian in the basis of three colours and all spatial frequencies."""

    COUNT = 24
    LOWEST, HIGHEST = 2**-7, 0.5
    """Cycles per pixel at the middle of the first and of the last band."""
    MEMORY = 0.98
    """Weight of the sums over earlier pairs, beside 1 for a new pair."""
    RANGE = 10.0
    """The most times that a band's factor is above or below the mean: about some bands, the pairs tell little."""

    def __init__(self, like: Tensor, sums: Tensor | None = None, factors: Tensor | None = None) -> None:
        """By band: ``sums`` of change², bend² and change · bend over the pairs, and ``factors``, the estimate."""
        self.size = like.shape[-2:]
        place: dict[str, Any] = {"dtype": like.dtype, "device": like.device}
        colors = torch.tensor([[1, 1, 1], [1, 0, -1], [1, -2, 1]], **place)  # light and two hues
        self.colors = colors / colors.norm(dim=1, keepdim=True)
        down, across = torch.fft.fftfreq(self.size[0], **place), torch.fft.rfftfreq(self.size[1], **place)
        self.frequency = (down[:, None] ** 2 + across**2).sqrt()
        octaves = math.log2(self.HIGHEST / self.LOWEST)
        band = (self.frequency.clamp(self.LOWEST, self.HIGHEST) / self.LOWEST).log2() * (self.COUNT - 1) / octaves
        self.band = band.round().long() + self.COUNT * torch.arange(3, device=like.device)[:, None, None]
        # rfft2 keeps half of the spectrum: all its frequencies but those at the edges stand for two.
        self.weight = torch.where((across == 0) | (across == 0.5), 1.0, 2.0).to(like)
        self.sums, self.factors = sums, factors

    def _spectrum(self, pixels: Tensor) -> Tensor:
        return torch.fft.rfft2(torch.einsum("ij,jhw->ihw", self.colors, pixels[0]), norm="ortho")

    def scaled(self, pixels: Tensor) -> Tensor:
        """The inverse Hessian's estimate times pixels (1, 3, H, W)."""
        # At first, a guess: in natural pictures, amplitudes fall about as 1/f.
        factors = 1 / (self.frequency + 0.02) if self.factors is None else self.factors[self.band]
        by_color = torch.fft.irfft2(self._spectrum(pixels) * factors, s=self.size, norm="ortho")
        return torch.einsum("ij,ihw->jhw", self.colors, by_color)[None]

    def learned(self, change: Tensor, bend: Tensor) -> "_Bands":
        """A copy that has learned from one more pair, the changes of picture and gradient."""
        changes, bends = self._spectrum(change), self._spectrum(bend)
        parts = [changes.abs().square(), bends.abs().square(), (changes * bends.conj()).real]
        new = change.new_zeros(3, 3 * self.COUNT)
        new.index_add_(1, self.band.flatten(), (torch.stack(parts) * self.weight).flatten(1))
        known = copy(self)
        known.sums = new / new[1].sum() + (0 if self.sums is None else self.MEMORY * self.sums)
        changes, bends, products = known.sums
        # The geometric mean of the long and the short step of Barzilai and Borwein (1988), s·s / s·y and s·y / y·y: a
        # band's curvatures differ among themselves, and the short step alone would heed only the steepest of them.
        factors = (changes / bends.clamp(min=1e-30)).sqrt()
        mean = (factors * bends).sum() / bends.sum()
        factors = factors.clamp(mean / self.RANGE, mean * self.RANGE)
        # With these factors, whole steps are often too long; with factors scaled as Nocedal does, so that they explain
        # the bends on average, too short. The geometric mean of both needs the fewest evaluations.
        known.factors = factors * (products.sum() / (factors * bends).sum()).sqrt()
        return known


class Adam:
    """Kingma and Ba 2014, with β₂ = 0.99, as runs are short; a pixel changes by about the learning rate in a step."""

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._moments: tuple[int, Tensor, Tensor] | None = None

    def step(self, here: Point, evaluate: Evaluate) -> Point:
        gradient = here.gradient.double()  # a loss may be so small that squares in float32 would vanish
        steps, mean, square = self._moments or (0, torch.zeros_like(gradient), torch.zeros_like(gradient))
        steps, mean, square = steps + 1, mean.lerp(gradient, 0.1), square.lerp(gradient.square(), 0.01)
        self._moments = steps, mean, square
        size = (square / (1 - 0.99**steps)).sqrt()
        # Relative to the gradient's own scale: a fixed epsilon would stall small losses.
        change = mean / (1 - 0.9**steps) / (size + 1e-3 * size.mean() + 1e-300)
        return evaluate((here.picture - self.learning_rate * change.to(here.picture.dtype)).clamp(0, 1))

    def state(self) -> list[Any]:
        return list(self._moments or ())

    def restore(self, state: list[Any]) -> None:
        self._moments = (state[0], state[1], state[2]) if state else None


class SGD:
    """Gradient descent with momentum 0.9; the learning rate is the root mean square of the steepest gradient's step.

    A step that makes the loss worse is not taken: the momentum is dropped and the rate halved.
    """

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._steepest = 0.0
        self._momentum: Tensor | None = None

    def step(self, here: Point, evaluate: Evaluate) -> Point:
        self._steepest = max(self._steepest, _root_mean_square(here.gradient))
        if not self._steepest:
            return here
        slope = (here.gradient.double() / self._steepest).to(here.picture.dtype)
        for _ in range(10):
            change = -self.learning_rate * slope
            if self._momentum is not None:
                change = change + 0.9 * self._momentum
            there = evaluate((here.picture + change).clamp(0, 1))
            if there.total <= here.total:
                self._momentum = change
                return there
            self._momentum = None
            self.learning_rate /= 2
        return here

    def state(self) -> list[Any]:
        return [self.learning_rate, self._steepest, self._momentum]

    def restore(self, state: list[Any]) -> None:
        self.learning_rate, self._steepest, self._momentum = state


def _dot(left: Tensor, right: Tensor) -> float:
    return torch.dot(left.flatten(), right.flatten()).item()


def _root_mean_square(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt())


OPTIMIZERS: dict[str, Callable[[float], Optimizer]] = {"lbfgs": LBFGS, "adam": Adam, "sgd": SGD}
