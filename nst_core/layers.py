"""Layers of transformation networks."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core.precision import fast_bfloat16


class ConvLayer(nn.Module):
    """Convolution that keeps the size (up to its stride), after reflection padding by half the kernel."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.padding = kernel_size // 2
        self.conv2d = nn.Conv2d(in_channels, out_channels, kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        device = x.device.type
        if torch.is_autocast_enabled(device):
            x = x.to(torch.get_autocast_dtype(device))
        # Under autocast, the padding would run in float32 and return that.
        with torch.autocast(device, enabled=False):
            x = F.pad(x, [self.padding] * 4, mode="reflect")
        return self.conv2d(x)


class UpsampleConvLayer(ConvLayer):
    """Nearest-neighbour upsampling by two before the convolution: no checkerboard, unlike a transposed one."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class InstanceNorm(nn.InstanceNorm2d):
    """Instance normalisation with a scale and a shift (Ulyanov et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        trains = torch.is_grad_enabled() and x.requires_grad
        if trains and x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last):
            return _ChannelsLastNorm.apply(x, self.weight, self.bias, self.eps)
        return super().forward(x)


class _ChannelsLastNorm(torch.autograd.Function):
    """Keeps a batch's memory format; PyTorch's own does not, which slows the convolutions after it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        batch, channels, height, width = x.shape
        y, mean, inverse_deviation = torch.native_group_norm(
            x, weight, bias, batch, channels, height * width, channels, eps
        )
        ctx.save_for_backward(x, weight, mean, inverse_deviation)
        ctx.eps = eps
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, weight, mean, inverse_deviation = ctx.saved_tensors
        positions, digits = x[0, 0].numel(), torch.promote_types(x.dtype, torch.float32)
        if torch.is_grad_enabled():  # for second derivatives, which saved values would not give
            variance, mean = torch.var_mean(x.to(digits), (2, 3), correction=0)
            inverse_deviation = (variance + ctx.eps).rsqrt()

        def spread(per_channel: Tensor) -> Tensor:
            return per_channel.to(x.dtype)[..., None, None]

        normal = torch.addcmul(spread(-mean * inverse_deviation), x, spread(inverse_deviation))
        shift = gradient.sum((2, 3), dtype=digits)
        scale = (gradient * normal).sum((2, 3), dtype=digits)
        slope = weight * inverse_deviation
        change = torch.addcmul(spread(-slope * shift / positions), normal, spread(-slope * scale / positions))
        return change.addcmul_(gradient, spread(slope)), scale.sum(0), shift.sum(0), None


class ResidualBlock(nn.Module):
    """A skip connection around two 3 × 3 convolutions, with no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, kernel_size=3)
        self.in1 = InstanceNorm(channels)
        self.conv2 = ConvLayer(channels, channels, kernel_size=3)
        self.in2 = InstanceNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.in1(self.conv1(x)))
        return self.in2(self.conv2(y)) + x


def lay_out(network: nn.Module, device: torch.device) -> None:
    """Give a network, which is on ``device``, the memory format in which it trains fastest.

    That is channels-last, but on a CPU in float32 only for layers with few output channels: there, it halves the speed
    of the kernel gradients of all others (oneDNN).
    """
    everywhere = device.type != "cpu" or fast_bfloat16(device)
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and (everywhere or module.out_channels < 8):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload, unused-ignore]
