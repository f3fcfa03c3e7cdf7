"""Keeps the library's computations unaffected by the PyTorch modes in which a program runs them."""

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

from nst_core.precision import best_device

P = ParamSpec("P")
Step = TypeVar("Step")


@contextmanager
def own_modes() -> Iterator[None]:
    """Compute with gradients and without autocast, in any caller's mode; it decorates functions, too.

    Autocast's cache of weights is off, too: it is emptied only when the outermost autocast ends. A caller's may end
    after the last step, and until then a training would go on with the rounded weights of the first.
    """
    autocast = torch.autocast(best_device().type, enabled=False, cache_enabled=False)
    with torch.inference_mode(False), torch.enable_grad(), autocast:
        yield


def unaffected(generator: Callable[P, Generator[Step, None, None]]) -> Callable[P, Generator[Step, None, None]]:
    """Decorate a generator function so that each of its steps, but not what is between them, runs in ``own_modes``."""

    @wraps(generator)
    def made(*args: P.args, **kwargs: P.kwargs) -> Generator[Step, None, None]:
        steps = generator(*args, **kwargs)
        try:
            while True:
                with own_modes():
                    step = next(steps, None)
                if step is None:
                    return
                yield step
        finally:
            steps.close()

    return made
