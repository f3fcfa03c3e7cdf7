"""``johnson``: the image transformation network of Johnson, Alahi and Fei-Fei (2016), as pytorch/examples has it."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core.architectures import Architecture, register
from nst_core.layers import ConvLayer, InstanceNorm, ResidualBlock, UpsampleConvLayer
from nst_core.streaming import StripNetwork


class JohnsonNetwork(nn.Module):
    """Johnson et al. 2016, supplementary table 1, with instance normalisation (Ulyanov et al. 2016).

    Takes and returns (N, 3, H, W), RGB in 0–255; the output's sides are 4·ceil(H/4) and 4·ceil(W/4), and its values
    are not clamped. Parameter names and arithmetic are those of pytorch/examples' ``fast_neural_style``; other
    ``channels`` (at full, half and quarter size), ``kernel_size`` (of the first and last layer) and number of
    ``blocks`` make it narrower or shorter.
    """

    def __init__(
        self, channels: tuple[int, int, int] = (32, 64, 128), *, kernel_size: int = 9, blocks: int = 5
    ) -> None:
        super().__init__()
        full, half, quarter = channels
        self.conv1 = ConvLayer(3, full, kernel_size)
        self.in1 = InstanceNorm(full)
        self.conv2 = ConvLayer(full, half, kernel_size=3, stride=2)
        self.in2 = InstanceNorm(half)
        self.conv3 = ConvLayer(half, quarter, kernel_size=3, stride=2)
        self.in3 = InstanceNorm(quarter)
        self.blocks = [f"res{number}" for number in range(1, blocks + 1)]
        for name in self.blocks:
            self.add_module(name, ResidualBlock(quarter))
        self.deconv1 = UpsampleConvLayer(quarter, half, kernel_size=3)
        self.in4 = InstanceNorm(half)
        self.deconv2 = UpsampleConvLayer(half, full, kernel_size=3)
        self.in5 = InstanceNorm(full)
        self.deconv3 = ConvLayer(full, 3, kernel_size)
        if not self.deconv3.conv2d.weight.is_meta:  # there, nothing can be set, and torch's compiler would be imported
            self._start_as_a_picture()

    def _start_as_a_picture(self) -> None:
        """Initialise for training: grey with a picture's contrast, residual blocks that add nothing, tapered kernels.

        Without the taper, the random 9 × 9 kernels show every edge several times, and training takes thousands of steps
        to unlearn such ghosts.
        """
        last = self.deconv3.conv2d
        assert last.bias is not None
        reach = self.deconv3.padding
        middle = torch.exp(-0.5 * torch.arange(-reach, reach + 1, dtype=torch.float32).square())
        taper = torch.outer(middle, middle)
        taper /= taper.square().mean().sqrt()
        with torch.no_grad():
            self.conv1.conv2d.weight.mul_(taper)
            last.weight.mul_(30 * taper)
            last.bias.fill_(127.5)
            for name in self.blocks:
                self.get_parameter(f"{name}.in2.weight").zero_()

    def residual_blocks(self) -> Iterator[ResidualBlock]:
        """The residual blocks, in the order in which they are computed."""
        for name in self.blocks:
            block = self.get_submodule(name)
            assert isinstance(block, ResidualBlock)
            yield block

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.in1(self.conv1(x)))
        x = F.relu(self.in2(self.conv2(x)))
        x = F.relu(self.in3(self.conv3(x)))
        for block in self.residual_blocks():
            x = block(x)
        x = F.relu(self.in4(self.deconv1(x)))
        x = F.relu(self.in5(self.deconv2(x)))
        return self.deconv3(x)


# Reflection pads by 4 at full size and by 1 at a quarter of it, and a pad must be smaller than what it mirrors.
JOHNSON = register(Architecture(id="johnson", version=1, network=JohnsonNetwork, min_size=5, fast=StripNetwork))
