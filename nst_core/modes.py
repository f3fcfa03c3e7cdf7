"""Keeps the library's generators unaffected by the PyTorch modes in which a program runs them."""

from collections.abc import Callable, Generator
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from nst_core.precision import best_device

P = ParamSpec("P")
Step = TypeVar("Step")


def unaffected(generator: Callable[P, Generator[Step, None, None]]) -> Callable[P, Generator[Step, None, None]]:
    """Decorate a generator function so that its steps run with gradients and without autocast, in any caller's mode."""

    @wraps(generator)
    def made(*args: P.args, **kwargs: P.kwargs) -> Generator[Step, None, None]:
        kind, steps = best_device().type, generator(*args, **kwargs)
        try:
            while True:
                with torch.inference_mode(False), torch.enable_grad(), torch.autocast(kind, enabled=False):
                    step = next(steps, None)
                if step is None:
                    return
                yield step
        finally:
            steps.close()

    return made
