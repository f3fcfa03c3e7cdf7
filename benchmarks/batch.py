"""How much longer than the network alone does the command ``stylize`` take for many photographs?

    python benchmarks/batch.py
    python benchmarks/batch.py --photos 40 --rounds 3

In each round one process, with the pictures already in memory, does nothing but paint them, and then
``python -m nst_core stylize`` reads them from their files and writes what it paints as PNG. Reported are the seconds
of both, the command's from its start to its end, and the one divided by the other: 1 is a command that costs nothing
beside its network.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from inference import photograph
from PIL import Image

from nst_core import Registry
from nst_core.memory import keep_freed_memory
from nst_core.precision import Precision

SIZES = [(1024, 683), (683, 1024), (800, 600), (1200, 900), (640, 640)]


def network_alone(style: str, precision: Precision, files: list[Path]) -> float:
    """The seconds that painting takes, with nothing else to do."""
    keep_freed_memory()
    paint = Registry.load().open(style).painter(precision)
    pictures = [torch.from_numpy(np.array(Image.open(file))) for file in files]
    paint(pictures[0], None)
    began = time.perf_counter()
    for picture in pictures:
        paint(picture, None)
    return time.perf_counter() - began


def command(style: str, precision: Precision, files: list[Path], out: Path) -> float:
    """The seconds that ``stylize`` takes for all."""
    words = ["-m", "nst_core", "stylize", *map(str, files), "--style", style, "--precision", precision]
    words += ["-o", str(out)]
    began = time.perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", default="udnie")
    parser.add_argument("--precision", choices=["exact", "auto"], default="auto")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(network_alone(arguments.style, arguments.precision, sorted(arguments.child.glob("*.jpg"))))
        return
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{number:04}.jpg") for number in range(arguments.photos)]
        for number, file in enumerate(files):
            photograph(*SIZES[number % len(SIZES)]).save(file, quality=92)
        alone, whole = [], []
        for _ in range(arguments.rounds):
            words = [__file__, "--child", folder, "--style", arguments.style, "--precision", arguments.precision]
            done = subprocess.run([sys.executable, *words], check=True, stdout=subprocess.PIPE, text=True)
            alone.append(float(done.stdout))
            whole.append(command(arguments.style, arguments.precision, files, Path(folder, "painted")))
    network, stylize = statistics.median(alone), statistics.median(whole)
    print(
        f"{arguments.style}, {arguments.precision}, {arguments.photos} photographs, {torch.get_num_threads()} threads"
    )
    print(f"network {network:.1f} s, stylize {stylize:.1f} s: {network / stylize:.2f} of the network's rate")


if __name__ == "__main__":
    main()
