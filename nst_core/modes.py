"""Keeps the library's generators unaffected by the PyTorch modes in which a program runs them."""

from collections.abc import Callable, Generator
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from nst_core.precision import best_device

P = ParamSpec("P")
Step = TypeVar("Step")


def unaffected(generator: Callable[P, Generator[Step, None, None]]) -> Callable[P, Generator[Step, None, None]]:
    """Decorate a generator function so that its steps run with gradients and without autocast, in any caller's mode.

    Autocast's cache of weights is off, too: it is emptied only when the outermost autocast ends. A caller's may end
    after the last step, and until then a training would go on with the rounded weights of the first.
    """

    @wraps(generator)
    def made(*args: P.args, **kwargs: P.kwargs) -> Generator[Step, None, None]:
        kind, steps = best_device().type, generator(*args, **kwargs)
        try:
            while True:
                autocast = torch.autocast(kind, enabled=False, cache_enabled=False)
                with torch.inference_mode(False), torch.enable_grad(), autocast:
                    step = next(steps, None)
                if step is None:
                    return
                yield step
        finally:
            steps.close()

    return made
