"""Is our own path faster than the runtimes one would export a style for? Beside ONNX Runtime and OpenVINO.

    python benchmarks/runtimes.py
    python benchmarks/runtimes.py --style udnie --size 1920 1080 --rounds 5

The runtimes paint the file that ``python -m nst_core export`` writes, at one fixed size, which suits them best;
OpenVINO is skipped where it is not installed (pip install openvino). In each round everyone gets a process, in turn,
which paints one photograph once for nothing and then for the clock. Reported are medians over all rounds, how many
times as long as ``exact`` it took, and the difference from PyTorch's own layers in float32, as PSNR of the rounded
pictures.
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inference import SIZES, photograph

from nst_core import Registry, export_style
from nst_core.memory import keep_freed_memory

EVERYONE = ["exact", "auto", "ONNX Runtime", "OpenVINO, fp32", "OpenVINO, bf16"]


def painter(who: str, style: str, file: Path, photo: np.ndarray) -> Callable[[], np.ndarray]:
    """What paints the photograph, (H, W, 3) of uint8: with everything ready that is done once for many."""
    if who in ("exact", "auto"):
        ours = Registry.load().open(style).painter(who)  # type: ignore[arg-type]
        return lambda: ours(torch.from_numpy(photo), None).numpy()

    theirs: Callable[[dict[str, np.ndarray]], Any]
    shape = 1, 3, *photo.shape[:2]
    if who == "ONNX Runtime":
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        for name, side in zip(("height", "width"), shape[2:], strict=True):
            options.add_free_dimension_override_by_name(name, side)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        theirs = partial(session.run, None)
    else:
        import openvino

        core = openvino.Core()
        model = core.read_model(file)
        model.reshape(shape)
        hints = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
        precision = "bf16" if who.endswith("bf16") else "f32"
        theirs = core.compile_model(model, "CPU", {**hints, "INFERENCE_PRECISION_HINT": precision})

    def painted() -> np.ndarray:
        [values] = theirs({"photo": photo.transpose(2, 0, 1)[None].astype(np.float32)})[0]
        return values.transpose(1, 2, 0).round().astype(np.uint8)

    return painted


def paint(who: str, style: str, file: Path, size: tuple[int, int], pictures: int) -> tuple[list[float], float]:
    """Seconds of each picture, and its PSNR."""
    keep_freed_memory()
    photo = np.array(photograph(*size))
    run, seconds = painter(who, style, file, photo), []
    for _ in range(pictures + 1):
        began = time.perf_counter()
        picture = run()
        seconds.append(time.perf_counter() - began)
    with torch.no_grad():
        values = Registry.load().open(style).network(torch.from_numpy(photo).permute(2, 0, 1)[None].float())[0]
    expected = values.permute(1, 2, 0).round().clamp(0, 255).numpy()[: size[1], : size[0]]
    error = np.square((picture - expected) / 255, dtype=np.float64).mean()
    return seconds[1:], float(-10 * np.log10(error))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", action="append", help="may be repeated; by default udnie and its lite")
    parser.add_argument("--size", type=int, nargs=2, action="append", metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--rounds", type=int, default=3, help="processes of each")
    parser.add_argument("--pictures", type=int, default=5, help="that a process is timed for")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        who, file = arguments.child
        [style], [size] = arguments.style, arguments.size
        print(json.dumps(paint(who, style, Path(file), size, arguments.pictures)))
        return
    everyone = EVERYONE
    if not importlib.util.find_spec("openvino"):
        print("OpenVINO is not installed: skipped")
        everyone = [who for who in EVERYONE if not who.startswith("OpenVINO")]
    with tempfile.TemporaryDirectory() as folder:
        for style, size in product(arguments.style or ["udnie", "udnie-lite"], map(tuple, arguments.size or SIZES)):
            file = Path(folder, f"{style}.onnx")
            if not file.exists():
                export_style(Registry.load().open(style), file)
            seconds: dict[str, list[float]] = {who: [] for who in everyone}
            psnr = {}
            for _, who in product(range(arguments.rounds), everyone):
                words = ["--child", who, str(file), "--style", style, "--pictures", str(arguments.pictures)]
                command = [sys.executable, __file__, *words, "--size", *map(str, size)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                took, psnr[who] = json.loads(done.stdout.splitlines()[-1])
                seconds[who] += took
            print(f"{style}, {' × '.join(map(str, size))} px")
            for who in everyone:
                median = statistics.median(seconds[who])
                times = median / statistics.median(seconds["exact"])
                print(f"    {who:15} {median:6.3f} s, {times:4.2f} × exact, {psnr[who]:5.1f} dB", flush=True)


if __name__ == "__main__":
    main()
