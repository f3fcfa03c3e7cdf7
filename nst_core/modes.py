"""What a program has PyTorch do around the library's generators is its own business, and not theirs."""

from collections.abc import Generator
from typing import TypeVar

import torch

Step = TypeVar("Step")


def unaffected(steps: Generator[Step, None, None]) -> Generator[Step, None, None]:
    """The same steps, made with gradients and without autocast whatever the caller has around it."""
    kind = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        while True:
            with torch.inference_mode(False), torch.enable_grad(), torch.autocast(kind, enabled=False):
                step = next(steps, None)
            if step is None:
                return
            yield step
    finally:
        steps.close()
