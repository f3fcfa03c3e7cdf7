"""What changes the pixels: L-BFGS, Adam and SGD within 0–1, whatever the scale of the loss."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor


@dataclass(frozen=True)
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
    """From one point to the next; its state can be taken at any step and given back."""

    def step(self, here: Point, evaluate: Evaluate) -> Point:
        """The next point, which is ``here`` itself when there is nowhere better to go."""

    def state(self) -> list[Any]:
        """All that it remembers, nothing of which is changed later."""

    def restore(self, state: list[Any]) -> None:
        """Go on from what ``state`` gave."""


class LBFGS:
    """Limited-memory BFGS (Liu and Nocedal 1989), projected to 0–1, nearly always at one evaluation a step.

    The first step is measured in pixel values, so the scale of the loss does not matter. A pixel at its bound that
    wants to leave is held. A step that makes the loss worse is shortened, and where that does not help either the
    memory is dropped, for it may have been of another place.
    """

    def __init__(self, learning_rate: float = 0.02, memory: int = 20) -> None:
        self.first_step = learning_rate
        self.memory = memory
        self._pairs: list[tuple[Tensor, Tensor]] = []

    def step(self, here: Point, evaluate: Evaluate) -> Point:
        direction = self._direction(here)
        for length in (1.0, 0.3, 0.1, 0.01):
            there = evaluate((here.picture + length * direction).clamp(0, 1))
            if there.total <= here.total * (1 + 1e-4):
                break
        else:
            if not self._pairs:
                return here
            self._pairs = []
            return self.step(here, evaluate)
        change, bend = (there.picture - here.picture).flatten(), (there.gradient - here.gradient).flatten()
        if torch.dot(change, bend) > 1e-8 * change.norm() * bend.norm():
            self._pairs = [*self._pairs[1 - self.memory :], (change, bend)]
        return there

    def _direction(self, here: Point) -> Tensor:
        """−H·gradient by the two loops over the pairs (Nocedal 1980)."""
        held = ((here.picture <= 0) & (here.gradient > 0)) | ((here.picture >= 1) & (here.gradient < 0))
        q = here.gradient.masked_fill(held, 0).flatten()
        if not self._pairs:
            size = q.square().mean().sqrt()
            return (-self.first_step / size.clamp(min=1e-30) * q).view_as(held)
        parts = []
        for change, bend in reversed(self._pairs):
            part = torch.dot(change, q) / torch.dot(change, bend)
            q = q - part * bend
            parts.append(part)
        change, bend = self._pairs[-1]
        q = q * (torch.dot(change, bend) / torch.dot(bend, bend))
        for (change, bend), part in zip(self._pairs, reversed(parts), strict=True):
            q = q + (part - torch.dot(bend, q) / torch.dot(change, bend)) * change
        return -q.view_as(held).masked_fill(held, 0)

    def state(self) -> list[Any]:
        return list(self._pairs)

    def restore(self, state: list[Any]) -> None:
        self._pairs = list(state)


class Adam:
    """Kingma and Ba 2014; the learning rate is about what a pixel changes in a step."""

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._moments: tuple[int, Tensor, Tensor] | None = None

    def step(self, here: Point, evaluate: Evaluate) -> Point:
        gradient = here.gradient
        steps, mean, square = self._moments or (0, torch.zeros_like(gradient), torch.zeros_like(gradient))
        steps, mean, square = steps + 1, mean.lerp(gradient, 0.1), square.lerp(gradient.square(), 0.01)
        self._moments = steps, mean, square
        size = (square / (1 - 0.99**steps)).sqrt()
        # Of the gradient's own scale: a fixed epsilon would stop small losses.
        change = mean / (1 - 0.9**steps) / (size + 1e-3 * size.mean() + 1e-38)
        return evaluate((here.picture - self.learning_rate * change).clamp(0, 1))

    def state(self) -> list[Any]:
        return list(self._moments or ())

    def restore(self, state: list[Any]) -> None:
        self._moments = (state[0], state[1], state[2]) if state else None


class SGD:
    """Gradient descent with momentum 0.9; the first step's root mean square is the learning rate."""

    def __init__(self, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self._memory: tuple[float, Tensor] | None = None

    def step(self, here: Point, evaluate: Evaluate) -> Point:
        if self._memory is None:
            size = float(here.gradient.square().mean().sqrt())
            self._memory = self.learning_rate / max(size, 1e-30), torch.zeros_like(here.gradient)
        rate, momentum = self._memory
        momentum = 0.9 * momentum - rate * here.gradient
        self._memory = rate, momentum
        return evaluate((here.picture + momentum).clamp(0, 1))

    def state(self) -> list[Any]:
        return list(self._memory or ())

    def restore(self, state: list[Any]) -> None:
        self._memory = (state[0], state[1]) if state else None


OPTIMIZERS: dict[str, Callable[[float], Optimizer]] = {"lbfgs": LBFGS, "adam": Adam, "sgd": SGD}
