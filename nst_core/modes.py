"""Keeps the library's computations unaffected by a program's PyTorch modes, default type and random numbers."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from inspect import isfunction, signature
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

from nst_core.precision import best_device

P = ParamSpec("P")
Step = TypeVar("Step")

FLOAT32_ON_CPU: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
"""Given with every new tensor, as a program may have changed PyTorch's defaults."""
_CREATING = {torch.empty, torch.zeros, torch.ones, torch.eye, torch.linspace, torch.rand, torch.randn}
_INITIALISING = {made for made in vars(init).values() if isfunction(made) and "generator" in signature(made).parameters}
_RANDOM = {torch.rand, torch.randn, Tensor.uniform_, Tensor.normal_} | _INITIALISING


class OwnNumbers(TorchFunctionMode):
    """While entered, this thread makes float32 tensors, and random ones by ``seed``, unless a call says otherwise.

    The same seed gives the same numbers whatever the program and its other threads do, and theirs stay what they are.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self._numbers = torch.Generator("cpu").manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _CREATING and kwargs.get("dtype") is None:
            kwargs["dtype"] = torch.float32
        if func in _RANDOM and kwargs.get("generator") is None:
            kwargs["generator"] = self._numbers
        return func(*args, **kwargs)


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
