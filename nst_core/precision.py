"""The device that this machine computes on, the precision in which it is fast, and the one asked for."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

# torch takes seconds to import, and the names of precisions do not need it.

Precision = Literal["auto", "exact"]
"""float32 throughout, or bfloat16 as well where the machine is faster at it."""


def best_device() -> "torch.device":
    """The GPU, if PyTorch has one through CUDA, or else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fast_bfloat16(device: "torch.device") -> bool:
    """Whether bfloat16 has instructions of its own here; emulated, it is slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
