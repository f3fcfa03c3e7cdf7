"""Makes tensors and networks without a program's default type and random numbers, which its other threads may use."""

from collections.abc import Callable, Sequence
from inspect import isfunction, signature
from typing import Any

import torch
from torch import Tensor
from torch.nn import init
from torch.overrides import TorchFunctionMode

FLOAT32_ON_CPU: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
"""Given with every new tensor, as a program may have changed PyTorch's defaults."""
_CREATING = {torch.empty, torch.zeros, torch.ones, torch.eye, torch.linspace, torch.rand, torch.randn}
_INITIALISING = {made for made in vars(init).values() if isfunction(made) and "generator" in signature(made).parameters}
_RANDOM = {torch.rand, torch.randn, Tensor.uniform_, Tensor.normal_} | _INITIALISING


class OwnNumbers(TorchFunctionMode):
    """Entered, this thread makes float32 tensors, and random ones by ``seed``, unless their maker says otherwise.

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
