"""A network as lengstrom/fast-style-transfer trains it and ml5.js shares it, of random numbers."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Kernels = dict[str, NDArray[np.float32]]

# Height, width and channels of each convolution's kernel in TensorFlow's order; transposed ones have out before in.
SHAPES = [
    (9, 9, 3, 32),
    (3, 3, 32, 64),
    (3, 3, 64, 128),
    *[(3, 3, 128, 128)] * 10,
    (3, 3, 64, 128),
    (3, 3, 32, 64),
    (9, 9, 32, 3),
]


def make_variables(seed: int = 0) -> Kernels:
    """``Variable``, ``Variable_1``, …: kernel, shift, scale of each convolution, and training's step count."""
    numbers = np.random.default_rng(seed)
    arrays = []
    for place, shape in enumerate(SHAPES):
        out = shape[2] if place in (13, 14) else shape[3]
        arrays += [
            numbers.normal(0, 0.1, shape),
            numbers.normal(0, 0.2, out),
            numbers.normal(1 if place < 15 else 0.3, 0.1, out),
        ]
    arrays.append(np.array([1234.0]))
    return {f"Variable_{i}" if i else "Variable": array.astype("<f4") for i, array in enumerate(arrays)}


def make_ml5(folder: Path, seed: int = 0) -> Kernels:
    """Write them into ``folder``, a file each, with their manifest."""
    folder.mkdir(parents=True)
    variables = make_variables(seed)
    for name, array in variables.items():
        array.tofile(folder / name)
    manifest = {name: {"filename": name, "shape": list(array.shape)} for name, array in variables.items()}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return variables
