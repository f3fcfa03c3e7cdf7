"""A GPU that Spaces share (ZeroGPU): lent to another process, for seconds that are asked for beforehand."""

import io
import os
from collections.abc import Generator
from contextlib import closing
from dataclasses import replace
from typing import Any

import gradio as gr
import httpx
import torch

from nst_core.errors import NSTError
from nst_core.optimization import OptimizationStep, optimize
from ui.errors import PageError

ZERO_GPU = os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")
"""Whether this server is a Space that is lent a GPU now and then; its own process has none, though PyTorch says so."""
MIN_LOAN, MAX_LOAN = 20, 80
"""Seconds to ask for. A person has a few minutes a day, two without signing in; a GPU that is 1.5 times as fast uses up
1.5 times as many of them."""
START_SECONDS = 8
"""Seconds of them until the first step: a process starts, and the network goes to the GPU."""
PACE = 4e-7
"""Seconds per unit of ``nst_core.stages.work`` before any run has measured it: a cautious guess."""
BATCH_SECONDS = 0.25
"""Seconds whose steps are sent together."""


def loan_for(seconds: float) -> int:
    """How many seconds to ask for, for a run of about ``seconds``."""
    return round(min(MAX_LOAN, max(MIN_LOAN, START_SECONDS + 1.5 * seconds)))


def optimize_there(seconds: int, **wish: Any) -> Generator[OptimizationStep, None, None]:
    """``nst_core.optimize`` on a GPU that is lent for ``seconds``; the run ends before they are over.

    Of steps that come together, only the last has its own picture: the others have its ``state``. What an optimiser
    remembers comes only with the very last step, so a run that is stopped goes on from its picture.

    Raises:
        NSTError: as ``optimize``, or there is no GPU for this person at the moment.
    """
    method, earlier = wish["method"], wish["resume"].seconds if wish.get("resume") else 0.0
    wish["method"] = replace(method, seconds=min(method.seconds, earlier + seconds - START_SECONDS))
    try:
        with closing(_there(seconds, _packed(wish))) as sent:
            for packed in sent:
                batch = _unpacked(packed, "cpu")
                if isinstance(batch, NSTError):
                    raise batch
                yield from batch
    except (gr.Error, RuntimeError, httpx.HTTPError) as error:
        why = getattr(error, "message", error)
        raise PageError(f"The GPU that this Space shares with others could not continue: {why}") from error


def _optimize(seconds: int, packed: bytes) -> Generator[bytes, None, None]:
    """Where the GPU is: what ``optimize`` yields or refuses, packed; an exception would arrive without its message."""
    torch.set_num_threads(1)  # OpenMP's threads are not in this process, and would be waited for
    batch: list[OptimizationStep] = []
    began = 0.0
    try:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        for step in optimize(**_unpacked(packed, device)):
            batch.append(step)
            if step.finished or step.seconds - began > BATCH_SECONDS:
                began = step.seconds
                yield _packed(_together(batch))
                batch = []
    except NSTError as error:
        if batch:
            yield _packed(_together(batch))
        yield _packed(error)


def _together(batch: list[OptimizationStep]) -> list[OptimizationStep]:
    *_, last = batch
    state = last.state if last.finished else replace(last.state, optimizer=[])
    return [replace(step, state=state) for step in batch]


if ZERO_GPU:
    import spaces

    _there = spaces.GPU(_optimize, duration=lambda seconds, packed: seconds)
else:
    _there = _optimize


def _packed(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def _unpacked(packed: bytes, device: str) -> Any:
    return torch.load(io.BytesIO(packed), device, weights_only=False)  # our own, of a moment ago
