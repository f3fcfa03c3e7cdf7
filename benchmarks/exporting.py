"""Is an exported style faster on other people's devices than what PyTorch's exporter makes of the network as it is?

    python benchmarks/exporting.py
    python benchmarks/exporting.py --runtime package/dist --style udnie-lite --size 320 240
    python benchmarks/exporting.py --runtime package/dist --graphics --size 160 120 --rounds 3

ONNX Runtime paints one photograph with both files in turn, on one thread; with ``--runtime``, a folder with the files
of onnxruntime-web's ``dist``, ONNX Runtime Web does so in Chromium, with the page's own worker, and with ``--graphics``
through WebGPU on a software adapter, which says which is faster, not how fast either is. Reported are medians over all
rounds, the plain file's time divided by ours, and each one's difference from PyTorch in float32, as PSNR of the rounded
pictures.
"""

import argparse
import math
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import onnxruntime
import torch
from inference import photograph
from page import CHROMIUM
from playwright.sync_api import sync_playwright

from nst_core import Registry, Style, export_style
from nst_core.exporting import OPSET
from ui.live import FILES, PAINTER

SIZES = [(320, 240), (640, 480)]
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}
PAINT = """async ([kind, script, program, pixels, width, height, rounds, files]) => {
    const ask = (worker, task, given) => new Promise((resolve, reject) => {
        worker.onmessage = ({ data }) => data.error ? reject(new Error(data.error)) : resolve(data.result);
        worker.postMessage({ id: 0, task, ...given });
    });
    const read = async (file) => (await fetch(file)).arrayBuffer();
    const workers = [], seconds = files.map(() => []), pictures = [];
    for (const file of files) {
        const worker = new Worker("/painter.js");
        await ask(worker, "start", { script: new URL(script, location).href, program: await read(program), kind });
        const used = await ask(worker, "load", { weights: await read(file) });
        if (used !== kind) throw new Error("This browser has no " + kind);
        workers.push(worker);
    }
    for (let round = 0; round <= rounds; round++) {
        for (const [number, worker] of workers.entries()) {
            const given = { pixels: Uint8ClampedArray.from(pixels), width, height };
            const began = performance.now();
            pictures[number] = await ask(worker, "paint", given);
            if (round) seconds[number].push((performance.now() - began) / 1000); // the first compiles
        }
    }
    return [seconds, pictures.map((picture) => [...picture])];
}"""

Timed = tuple[list[list[float]], list[np.ndarray]]
"""Of each file the seconds of each round, and the picture, (H, W, 3) of uint8."""


def export_plainly(style: Style, path: Path, size: tuple[int, int]) -> None:
    """What one gets without us: the network, traced at one size."""
    photo = torch.zeros(1, 3, size[1], size[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's exporter warns about PyTorch's own calls
        program = torch.onnx.export(
            style.network.eval(),
            (photo,),
            input_names=["photo"],
            output_names=["painted"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.save(str(path))


def in_onnxruntime(files: list[Path], photo: np.ndarray, rounds: int) -> Timed:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"]) for file in files]
    values = photo.transpose(2, 0, 1)[None].astype(np.float32)
    seconds: list[list[float]] = [[] for _ in files]
    pictures: list[np.ndarray] = []
    for number in range(rounds + 1):
        pictures.clear()
        for session, times in zip(sessions, seconds, strict=True):
            began = time.perf_counter()
            [painted] = session.run(None, {"photo": values})
            if number:
                times.append(time.perf_counter() - began)
            pictures.append(painted[0].transpose(1, 2, 0).round().clip(0, 255).astype(np.uint8))
    return seconds, pictures


def in_chromium(runtime: Path, kind: str, files: list[Path], photo: np.ndarray, rounds: int) -> Timed:
    script, program = FILES[kind]
    flags = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"]
    height, width, _ = photo.shape
    pixels = np.dstack([photo, np.full((height, width), 255, np.uint8)]).ravel().tolist()
    given = {f"/{path.name}": path for path in (PAINTER, runtime / script, runtime / program, *files)}
    with serving(given) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags if kind == "webgpu" else [])
        page = browser.new_page()
        page.goto(url)
        names = [f"/{file.name}" for file in files]
        seconds, made = page.evaluate(PAINT, [kind, f"/{script}", f"/{program}", pixels, width, height, rounds, names])
        browser.close()
    return seconds, [np.array(picture, np.uint8).reshape(height, width, 4)[..., :3] for picture in made]


@contextmanager
def serving(files: dict[str, Path]) -> Iterator[str]:
    """Files at their addresses, and an empty page at any other."""

    class Handler(SimpleHTTPRequestHandler):
        def guess_type(self, path: object) -> str:
            return TYPES.get(Path(str(path)).suffix, "text/html")

        def translate_path(self, path: str) -> str:
            return str(files.get(unquote(path), "/dev/null"))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def psnr(picture: np.ndarray, expected: np.ndarray) -> float:
    error = np.square((picture.astype(float) - expected) / 255).mean()
    return -10 * math.log10(error) if error else math.inf


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", action="append", help="may be repeated; by default udnie and its lite")
    parser.add_argument(
        "--size", type=int, nargs=2, action="append", metavar=("WIDTH", "HEIGHT"), help="multiples of 4"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--runtime", type=Path, help="a folder with the files of onnxruntime-web's dist")
    parser.add_argument("--graphics", action="store_true", help="WebGPU, too, on a software adapter")
    arguments = parser.parse_args()
    runs: dict[str, Callable[[list[Path], np.ndarray, int], Timed]] = {"ONNX Runtime": in_onnxruntime}
    if arguments.runtime:
        runs["Chromium, WebAssembly"] = partial(in_chromium, arguments.runtime, "wasm")
        if arguments.graphics:
            runs["Chromium, WebGPU"] = partial(in_chromium, arguments.runtime, "webgpu")
    registry = Registry.load()
    with tempfile.TemporaryDirectory() as folder:
        ours, plain = Path(folder, "ours.onnx"), Path(folder, "plain.onnx")
        for id, size in product(arguments.style or ["udnie", "udnie-lite"], map(tuple, arguments.size or SIZES)):
            style = registry.open(id)
            export_style(style, ours)
            export_plainly(style, plain, size)
            photo = np.array(photograph(*size))
            with torch.no_grad():
                values = style.network(torch.from_numpy(photo).permute(2, 0, 1)[None].float())[0]
            expected = values.permute(1, 2, 0).round().clamp(0, 255).numpy()
            print(f"{id}, {size[0]} × {size[1]} px")
            for where, run in runs.items():
                seconds, pictures = run([ours, plain], photo, arguments.rounds)
                mine, theirs = map(statistics.median, seconds)
                told = ", ".join(f"{psnr(picture, expected):.1f} dB" for picture in pictures)
                print(
                    f"    {where:22} {mine:6.3f} s, plain {theirs:6.3f} s: {theirs / mine:4.2f} × ({told})", flush=True
                )


if __name__ == "__main__":
    main()
