"""Small pictures and a narrow VGG19 of random weights, for tests of the optimisation."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from nst_core.features import IMAGENET_MEAN, IMAGENET_STD, VGG19


def small_network(seed: int = 0, *, last: str = "conv5_1", channels: tuple[int, ...] = (6, 8, 8, 8, 8)) -> VGG19:
    """VGG19's plan with few channels, weights that keep the activations' size, and ImageNet's scale of colours."""
    torch.manual_seed(seed)
    network = VGG19(last=last, channels=channels)
    for name, module in network.named_children():
        if isinstance(module, nn.Conv2d) and name != "conv0":
            nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        scale = torch.tensor(IMAGENET_STD).reciprocal()
        network.conv0.weight.copy_(torch.diag(scale)[:, :, None, None])
        network.conv0.bias.copy_(-torch.tensor(IMAGENET_MEAN) * scale)  # type: ignore[union-attr]
    return network.eval().requires_grad_(False)


def made_picture(seed: int, size: tuple[int, int] = (64, 64), *, least: int = 40, most: int = 215) -> Image.Image:
    """Blots of colour with some grain, RGB, no sample outside ``least`` to ``most``."""
    numbers = np.random.default_rng(seed)
    blots = Image.fromarray(numbers.integers(0, 256, (6, 6, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = numbers.normal(0, 12, (size[1], size[0], 3))
    values = (np.asarray(blots, np.float64) + grain).clip(0, 255)
    return Image.fromarray((least + values * (most - least) / 255).round().astype(np.uint8))
