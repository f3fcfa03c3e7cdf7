"""A Space with a shared GPU, on a machine without one: the real ``spaces`` lends it a processor, in another process.

    SPACES_ZERO_GPU=1 SPACES_ZERO_DEVICE_API_URL=… python made_lent.py REGISTRY FOLDER

Prints, as JSON, what came of a few runs.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio_client
import spaces.zero.torch
from made_page import launched_page
from PIL import Image

from nst_core.errors import NSTError
from nst_core.method import METHODS
from ui.runs import Easel, Order, Run

# There is none to take.
spaces.zero.torch.init = lambda uuid: None
spaces.zero.torch.move = lambda callback=None: None

STEPS = 12
METHOD = replace(METHODS["quick"], size=48, steps=STEPS, scales=2, saturation=0.0)


def picture() -> Image.Image:
    return Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 50).convert("RGB")


def painting() -> Image.Image:
    return Image.linear_gradient("L").resize((50, 50)).convert("RGB")


def ended(steps: Iterator[Run]) -> Run:
    *_, last = steps
    return last


def runs(easel: Easel) -> dict[str, Any]:
    order = Order("lion-wave", picture(), [painting()], METHOD, "compact")
    whole = ended(easel.watch("ann", order))
    losses = list(whole.losses["total"])
    more = ended(easel.go_on("ann", 3))
    watched = easel.watch("bob", replace(order, method=replace(METHOD, steps=2000)))
    for run in watched:
        if run.losses:
            easel.stop("bob")
    stopped, line = len(run.losses["step"]), run.line
    again = ended(easel.go_on("bob", 2))
    try:
        ended(easel.watch("eve", replace(order, weights=[0.0])))
        refusal = ""
    except NSTError as error:
        refusal = str(error)
    return {
        "totals": losses,
        "gone on": more.losses["total"],
        "picture": more.picture and Image.open(more.picture).size,
        "stopped": [stopped, line, len(again.losses["step"])],
        "refusal": refusal,
    }


def main(registry: Path, folder: Path) -> None:
    with launched_page(registry, folder) as page:
        answer = runs(page.easel)
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
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
