"""How fast is a picture painted, and in how much memory? Beside pytorch/examples' own network, run as its script does.

    python benchmarks/inference.py
    python benchmarks/inference.py --size 1024 1024 --size 3840 2160 --rounds 3
    python benchmarks/inference.py --precision auto --style udnie --style great-wave
    python benchmarks/inference.py --size 1024 1024 --busy 1

Each round starts a process for the one and a process for the other, in turn; each paints the same photograph of noise
and shapes once for nothing and then for the clock. Reported are medians over all rounds, the peer's time divided by
ours, the most memory that either process needed over what it held before the first picture, and how much our picture
differs from the peer's, both before rounding. ``--busy`` has other processes keep a core each from them all the while.
"""

import argparse
import atexit
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from nst_core import Registry
from nst_core.architectures.johnson import JohnsonNetwork
from nst_core.memory import keep_freed_memory
from nst_core.precision import Precision
from nst_core.quota import SPINS
from nst_core.streaming import StripNetwork, quickest_type

SIZES = [(512, 512), (1024, 1024), (1920, 1080)]


class Peer(torch.nn.Module):
    """pytorch/examples' ``TransformerNet``, written out in the functions that it calls, with a style's weights."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.state = state
        self.blocks = sum(name.endswith(".conv1.conv2d.weight") for name in state)

    def forward(self, x: Tensor) -> Tensor:
        """(1, 3, H, W) to the same."""
        for place, stride in (("1", 1), ("2", 2), ("3", 2)):
            x = F.relu(self._norm(self._convolution(x, f"conv{place}", stride), f"in{place}"))
        for block in range(1, self.blocks + 1):
            y = F.relu(self._norm(self._convolution(x, f"res{block}.conv1"), f"res{block}.in1"))
            x = self._norm(self._convolution(y, f"res{block}.conv2"), f"res{block}.in2") + x
        for place, norm in (("1", "in4"), ("2", "in5")):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = F.relu(self._norm(self._convolution(x, f"deconv{place}"), norm))
        return self._convolution(x, "deconv3")

    def _convolution(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight, bias = (self.state[f"{name}.conv2d.{part}"] for part in ("weight", "bias"))
        return F.conv2d(F.pad(x, [weight.shape[-1] // 2] * 4, mode="reflect"), weight, bias, stride=stride)

    def _norm(self, x: Tensor, name: str) -> Tensor:
        return F.instance_norm(x, weight=self.state[f"{name}.weight"], bias=self.state[f"{name}.bias"])


def photograph(width: int, height: int) -> Image.Image:
    """Shapes of every scale and a little noise, RGB."""
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (9, 16, 3), dtype=np.uint8)).resize((width, height))
    noise = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
    return Image.blend(picture, noise, 0.15)


def resident(key: str, process: int | str = "self") -> int:
    """Bytes of memory that a process holds: ``VmRSS`` now, or ``VmHWM`` the most so far."""
    line = next(line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


def paint(
    who: str, precision: Precision, style: str, width: int, height: int, pictures: int, out: Path | None
) -> dict[str, Any]:
    """Paint ``pictures`` times and one more; the seconds each took, and the most memory."""
    network = Registry.load().open(style).network
    photo = torch.from_numpy(np.array(photograph(width, height)))
    if who == "ours":
        keep_freed_memory()
    assert isinstance(network, JohnsonNetwork)
    fast = StripNetwork(network, quickest_type() if precision == "auto" else torch.float32)
    peer = Peer(network.state_dict())

    def values() -> Tensor:
        if who == "ours":
            return torch.cat([strip for _, strip in fast.strips(photo)])
        with torch.no_grad():
            return peer(photo.permute(2, 0, 1)[None].float())[0].permute(1, 2, 0)[:height, :width]

    def run() -> Tensor:
        return fast(photo) if who == "ours" else values().clone().clamp(0, 255).to(torch.uint8)

    before = resident("VmRSS")
    seconds = []
    for _ in range(pictures + 1):
        began = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - began)
    memory = resident("VmHWM") - before
    if out:
        torch.save(values().clone(), out)
    return {"seconds": seconds[1:], "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", action="append", help="may be repeated; by default udnie")
    parser.add_argument("--precision", choices=["exact", "auto"], default="exact")
    parser.add_argument("--size", type=int, nargs=2, action="append", metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--rounds", type=int, default=3, help="processes of each")
    parser.add_argument("--pictures", type=int, default=3, help="that a process is timed for")
    parser.add_argument("--busy", type=int, default=0, help="processes that compute something else meanwhile")
    parser.add_argument("--alone", action="store_true", help="without the peer, which needs gigabytes for large ones")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        who, out = arguments.child
        [(width, height)] = arguments.size
        [style] = arguments.style
        answer = paint(who, arguments.precision, style, width, height, arguments.pictures, Path(out) if out else None)
        print(json.dumps(answer))
        return
    people = ["ours"] if arguments.alone else ["peer", "ours"]
    # As in our programs (``share_cores``), but not in the peer's.
    environments = {"peer": dict(os.environ), "ours": {"GOMP_SPINCOUNT": str(SPINS), **os.environ}}
    for _ in range(arguments.busy):
        atexit.register(subprocess.Popen([sys.executable, "-c", "while True: pass"]).kill)
    kind = quickest_type() if arguments.precision == "auto" else torch.float32
    print(f"{arguments.precision}: {kind}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    names = f"{'peer s':>8} {'ours s':>8} {'ratio':>6} {'peer GB':>8} {'ours GB':>8} {'PSNR dB':>8}"
    print(f"{'style':>18} {'size':>13} {names}")
    for style, (width, height) in product(arguments.style or ["udnie"], arguments.size or SIZES):
        seconds: dict[str, list[float]] = {who: [] for who in people}
        memory = dict.fromkeys(people, 0)
        folder = Path(tempfile.mkdtemp())
        files = {who: folder / f"{who}.pt" for who in people}
        for number in range(arguments.rounds):
            for who in people:
                out = str(files[who]) if number == 0 and len(people) > 1 else ""
                words = ["--child", who, out, "--style", style, "--precision", arguments.precision]
                words += ["--pictures", str(arguments.pictures), "--size", str(width), str(height)]
                command = [sys.executable, __file__, *words]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environments[who])
                answer = json.loads(done.stdout.splitlines()[-1])
                seconds[who] += answer["seconds"]
                memory[who] = max(memory[who], answer["memory"])
        psnr = float("nan")
        if len(people) > 1:
            theirs, ours = (torch.load(files[who], weights_only=True) for who in people)
            psnr = -10 * ((theirs - ours) / 255).double().square().mean().log10().item()
        shutil.rmtree(folder)
        medians = {who: statistics.median(seconds[who]) if who in seconds else float("nan") for who in ("peer", "ours")}
        gigabytes = {who: memory.get(who, float("nan")) / 1e9 for who in ("peer", "ours")}
        print(
            f"{style:>18} {width:>6} × {height:<4} {medians['peer']:8.3f} {medians['ours']:8.3f} "
            f"{medians['peer'] / medians['ours']:6.2f} {gigabytes['peer']:8.2f} {gigabytes['ours']:8.2f} {psnr:8.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
