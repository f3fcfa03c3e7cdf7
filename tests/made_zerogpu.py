"""A Space with a shared GPU, on a machine without one: the real ``spaces`` lends it a processor, in another process.

    SPACES_ZERO_GPU=1 SPACES_ZERO_DEVICE_API_URL=… python made_zerogpu.py REGISTRY FOLDER

Prints, as JSON, what came of a few runs.
"""

import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import gradio_client
import spaces.zero.torch
from made_page import launched_page
from PIL import Image

from nst_core.errors import NSTError
from nst_core.method import METHODS
from ui import zerogpu
from ui.optimization_service import OptimizationRequest, OptimizationRun, OptimizationService
from ui.words import spoken

# There is no GPU to take.
spaces.zero.torch.init = lambda uuid: None
spaces.zero.torch.move = lambda callback=None: None

STEPS = 12
METHOD = replace(METHODS["quick"], size=48, steps=STEPS, scales=2, saturation=0.0)


def picture() -> Image.Image:
    return Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB")


def painting() -> Image.Image:
    return Image.linear_gradient("L").resize((50, 50)).convert("RGB")


def ended(steps: Iterator[OptimizationRun]) -> OptimizationRun:
    *_, last = steps
    return last


def said(steps: Iterator[OptimizationRun]) -> str:
    """Why a run is refused."""
    try:
        ended(steps)
        return ""
    except NSTError as error:
        return str(error)


def given_back() -> int:
    """How many loans were given back."""
    with urllib.request.urlopen(os.environ["SPACES_ZERO_DEVICE_API_URL"]) as answer:
        return int(answer.read())


def beside_a_painter(optimizations: OptimizationService, request: OptimizationRequest) -> int:
    """The steps of a run during which somebody's photograph is being painted; 0 if it waits for that."""
    done = Event()
    turn = optimizations.studio.line.join("eve", lambda tell: done.wait(), "long")
    while turn.began is None:
        time.sleep(0.01)
    with ThreadPoolExecutor(1) as pool:
        try:
            return len(pool.submit(ended, optimizations.watch("kim", request)).result(timeout=60).losses["step"])
        except TimeoutError:
            return 0
        finally:
            done.set()


def left_alone(optimizations: OptimizationService, request: OptimizationRequest) -> tuple[int, int]:
    """The loans given back when nobody looks at a run any more: while the run's thread is busy, and soon after."""
    optimizations._thread.submit(int).result()  # the loans before it are given back there, too
    before, done = given_back(), Event()
    watched = optimizations.watch("joe", request)
    for run in watched:
        if run.losses:
            break
    optimizations._thread.submit(done.wait)
    watched.close()  # type: ignore[attr-defined]  # it is a generator
    time.sleep(0.5)
    at_once = given_back() - before
    done.set()
    until = time.monotonic() + 20
    while given_back() == before and time.monotonic() < until:
        time.sleep(0.1)
    return at_once, given_back() - before


def loan_to_go_on(optimizations: OptimizationService, request: OptimizationRequest) -> dict[str, int]:
    """The seconds to be lent for steps after the first ones, and for as many in a run of their own."""
    ended(optimizations.watch("amy", request))
    more = replace(request.method, steps=1500)
    seconds = {"own": zerogpu.loan_for(optimizations.seconds(more, request.features))}
    more = replace(more, scales=1, precision="exact")
    seconds["more"] = zerogpu.loan_for(optimizations.seconds(more, request.features))
    for run in optimizations.go_on("amy", 1500):
        if run.losses["step"][-1] > request.method.steps:
            optimizations.stop("amy")
    return seconds


def runs(optimizations: OptimizationService) -> dict[str, Any]:
    request = OptimizationRequest("lion-wave", picture(), [painting()], METHOD, "compact")
    whole = ended(optimizations.watch("ann", request))
    losses = list(whole.losses["total"])
    more = ended(optimizations.go_on("ann", 3))
    watched = optimizations.watch("bob", replace(request, method=replace(METHOD, steps=2000)))
    for run in watched:
        if run.losses:
            optimizations.stop("bob")
    stopped, line = len(run.losses["step"]), spoken(run.status)
    again = ended(optimizations.go_on("bob", 2))
    steps = again.losses["step"]
    refusal = said(optimizations.watch("eve", replace(request, weights=[0.0])))
    return {
        "beside": beside_a_painter(optimizations, request),
        "left": left_alone(optimizations, replace(request, method=replace(METHOD, steps=2000))),
        "loan": loan_to_go_on(
            optimizations, replace(request, method=replace(METHOD, steps=4, size=80, optimizer="adam"))
        ),
        "totals": losses,
        "gone on": more.losses["total"],
        "picture": more.picture and Image.open(more.picture).size,
        "stopped": [stopped, line, steps],
        "refusal": refusal,
    }


def main(registry: Path, folder: Path) -> None:
    with launched_page(registry, folder) as page:
        answer = runs(page.optimizations)
        picture().save(folder / "photo.png")
        painting().save(folder / "painting.png")
        sent, style = (gradio_client.handle_file(str(folder / name)) for name in ("photo.png", "painting.png"))
        client = gradio_client.Client(page.local_url, verbose=False)
        result, losses = client.predict(sent, style, size=48, steps=3, api_name="/optimize")
        answer["api"] = [Image.open(result).size, losses["step"]]
        painted = client.predict(sent, "first-style", api_name="/stylize")
        answer["painted"] = Image.open(painted).size
        try:
            client.predict(sent, style, size=48, steps=3, seed=99, api_name="/optimize")
        except gradio_client.exceptions.AppError as error:
            answer["none left"] = str(error)
        run = page.optimizations.ended("amy")
        assert run
        before = [spoken(run.status), run.steps]
        answer["not gone on"] = [said(page.optimizations.go_on("amy", 3)), before, [spoken(run.status), run.steps]]
        request = OptimizationRequest("lion-wave", picture(), [painting()], METHOD, "compact")
        answer["cut off"] = said(page.optimizations.watch("joe", request))
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
