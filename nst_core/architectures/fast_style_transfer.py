"""``fast-style-transfer``: the network of lengstrom/fast-style-transfer (TensorFlow), which ml5.js and others share."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nst_core.architectures import Architecture, register


class NormalisedConvolution(nn.Module):
    """Convolution without bias, zero-padded as TensorFlow's SAME, and instance normalisation."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, bias=False)
        self.norm = nn.InstanceNorm2d(out_channels, eps=1e-3, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        # No negative number is divided: ONNX would round the quotient up.
        height, width = (max(0, (side - 1) // stride * stride + kernel - side) for side in x.shape[-2:])
        # If the padding is odd, the bottom and the right get one more.
        x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return self.norm(self.conv(x))


class NormalisedEnlargement(nn.Module):
    """Transposed convolution to exactly twice the size, without bias, and instance normalisation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(in_channels, out_channels, kernel_size=3, stride=2, bias=False)
        self.norm = nn.InstanceNorm2d(out_channels, eps=1e-3, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        # With SAME, the convolution whose transpose this is pads at the bottom and the right only.
        return self.norm(self.conv(x)[..., :-1, :-1])


class FastStyleTransferNetwork(nn.Module):
    """Takes and returns (N, 3, H, W), RGB in 0–255; the output's sides are 4·ceil(H/4) and 4·ceil(W/4)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = NormalisedConvolution(3, 32, 9)
        self.conv2 = NormalisedConvolution(32, 64, 3, stride=2)
        self.conv3 = NormalisedConvolution(64, 128, 3, stride=2)
        for number in range(1, 6):
            block = nn.ModuleList([NormalisedConvolution(128, 128, 3), NormalisedConvolution(128, 128, 3)])
            self.add_module(f"resid{number}", block)
        self.conv_t1 = NormalisedEnlargement(128, 64)
        self.conv_t2 = NormalisedEnlargement(64, 32)
        self.conv_t3 = NormalisedConvolution(32, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.conv1, self.conv2, self.conv3):
            x = F.relu(layer(x))
        for number in range(1, 6):
            first, second = self.get_submodule(f"resid{number}").children()
            x = x + second(F.relu(first(x)))
        x = F.relu(self.conv_t1(x))
        x = F.relu(self.conv_t2(x))
        return 150 * torch.tanh(self.conv_t3(x)) + 127.5


FAST_STYLE_TRANSFER = register(
    Architecture(id="fast-style-transfer", version=1, network=FastStyleTransferNetwork, min_size=5)
)
