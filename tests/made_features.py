"""A folder of feature networks for tests: the right names and shapes, random weights."""

import re
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from nst_core.features import VGG19


def make_features(folder: Path, seed: int = 0) -> Path:
    """Write the two files that ``load_features(folder)`` reads; returns the folder."""
    torch.manual_seed(seed)
    exact = VGG19(last="conv3_1")
    distilled = VGG19(last="conv5_1", channels=(16, 32, 64, 128, 128), heads=[f"{block}_1" for block in range(1, 6)])
    for network in (exact, distilled):
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        exact.get_parameter("conv1_1.weight").div_(100)  # its input has the span of 0–255
    state = {name: tensor for name, tensor in exact.state_dict().items() if not name.startswith("conv0")}
    save_file(state, folder / "vgg19_normalised_to_conv3_1.safetensors")
    state = {
        re.sub(r"^(conv|head)(\d)_(\d)", lambda m: f"conv{m[2]}{m[3]}" + "_aux" * (m[1] == "head"), name): tensor
        for name, tensor in distilled.state_dict().items()
    }
    save_file(state, folder / "vgg19_distilled_to_conv5_1.safetensors")
    return folder
