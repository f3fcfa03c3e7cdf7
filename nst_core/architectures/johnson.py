"""``johnson``: the image transformation network of Johnson, Alahi and Fei-Fei (2016), as pytorch/examples has it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core.architectures import Architecture, register


class ConvLayer(nn.Module):
    """Convolution that keeps the size (up to its stride): reflection padding of half the kernel first."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.padding = kernel_size // 2
        self.conv2d = nn.Conv2d(in_channels, out_channels, kernel_size, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2d(F.pad(x, [self.padding] * 4, mode="reflect"))


class UpsampleConvLayer(ConvLayer):
    """Nearest-neighbour enlargement by two before the convolution: no checkerboard, unlike a transposed one."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions around a skip connection, with no ReLU after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, kernel_size=3)
        self.in1 = nn.InstanceNorm2d(channels, affine=True)
        self.conv2 = ConvLayer(channels, channels, kernel_size=3)
        self.in2 = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.in1(self.conv1(x)))
        return self.in2(self.conv2(y)) + x


class JohnsonNetwork(nn.Module):
    """Johnson et al. 2016, supplementary table 1, with instance normalisation (Ulyanov et al. 2016).

    Takes and returns (N, 3, H, W), RGB in 0–255; the output's sides are 4·ceil(H/4) and 4·ceil(W/4), and its values
    are not clamped. Parameter names and arithmetic are those of pytorch/examples' ``fast_neural_style``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = ConvLayer(3, 32, kernel_size=9)
        self.in1 = nn.InstanceNorm2d(32, affine=True)
        self.conv2 = ConvLayer(32, 64, kernel_size=3, stride=2)
        self.in2 = nn.InstanceNorm2d(64, affine=True)
        self.conv3 = ConvLayer(64, 128, kernel_size=3, stride=2)
        self.in3 = nn.InstanceNorm2d(128, affine=True)
        self.res1 = ResidualBlock(128)
        self.res2 = ResidualBlock(128)
        self.res3 = ResidualBlock(128)
        self.res4 = ResidualBlock(128)
        self.res5 = ResidualBlock(128)
        self.deconv1 = UpsampleConvLayer(128, 64, kernel_size=3)
        self.in4 = nn.InstanceNorm2d(64, affine=True)
        self.deconv2 = UpsampleConvLayer(64, 32, kernel_size=3)
        self.in5 = nn.InstanceNorm2d(32, affine=True)
        self.deconv3 = ConvLayer(32, 3, kernel_size=9)
        self._start_as_a_picture()

    def _start_as_a_picture(self) -> None:
        """Begin training grey, at a picture's contrast, with quiet blocks, and large kernels that look at their middle.

        Left alone, 9 × 9 kernels of noise see every edge several times, and training takes thousands of steps to
        unlearn such ghosts.
        """
        last = self.deconv3.conv2d
        assert last.bias is not None
        middle = torch.exp(-0.5 * torch.arange(-4.0, 5.0).square())
        taper = torch.outer(middle, middle)
        taper /= taper.square().mean().sqrt()
        with torch.no_grad():
            self.conv1.conv2d.weight.mul_(taper)
            last.weight.mul_(30 * taper)
            last.bias.fill_(127.5)
            for block in (self.res1, self.res2, self.res3, self.res4, self.res5):
                block.in2.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.in1(self.conv1(x)))
        x = F.relu(self.in2(self.conv2(x)))
        x = F.relu(self.in3(self.conv3(x)))
        for block in (self.res1, self.res2, self.res3, self.res4, self.res5):
            x = block(x)
        x = F.relu(self.in4(self.deconv1(x)))
        x = F.relu(self.in5(self.deconv2(x)))
        return self.deconv3(x)


# Reflection pads by 4 at full size and by 1 at a quarter of it, and a pad must be smaller than what it mirrors.
JOHNSON = register(Architecture(id="johnson", version=1, network=JohnsonNetwork, min_size=5))
