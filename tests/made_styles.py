"""Styles for tests, made of random numbers that paint something."""

import math
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from nst_core.architectures import ARCHITECTURES
from nst_core.style import Card, StyleConfig, write_style

JOHNSON = ARCHITECTURES["johnson"]


def lively_state(seed: int = 0) -> dict[str, Tensor]:
    """A random johnson state dict, no norm in it an identity, whose pictures span 0–255."""
    numbers = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in JOHNSON.shapes.items():
        fan_in = math.prod(shape[1:])
        state[name] = torch.randn(shape, generator=numbers) / math.sqrt(4 * fan_in)
        if len(shape) == 1 and name.endswith("weight"):
            state[name] += 1
    state["deconv3.conv2d.weight"] *= 60
    state["deconv3.conv2d.bias"] += 128
    return state


def make_style(folder: Path, *, seed: int = 0, dtype: torch.dtype = torch.float32, **card: Any) -> Path:
    """Write a complete style into ``folder`` and return the folder."""
    write_style(
        folder,
        network_state=lively_state(seed),
        config=StyleConfig(architecture="johnson", architecture_version=1, training={"seed": seed}),
        card=Card(**{"title": "A Title", "artist": "An Artist", "license": "mit", "text": "# A Title", **card}),
        preview=Image.new("RGB", (64, 48), "teal"),
        dtype=dtype,
    )
    return folder
