"""The tab *Live*: the visitor's own device paints a photograph or what its camera sees, and no picture leaves it."""

import asyncio
import base64
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha384
from io import BytesIO
from pathlib import Path
from typing import Any

import gradio as gr
from anyio.to_thread import run_sync

from nst_core.errors import NSTError
from nst_core.exporting import export_style
from nst_core.images import open_picture
from nst_core.stylization import repaint
from nst_core.text import quoted
from ui.errors import PageError
from ui.files import address_of
from ui.gallery import preview_of, words_of
from ui.line import Turn
from ui.studio import Studio

LIVE, PAINTER = (Path(__file__).with_name(name) for name in ("live.js", "painter.js"))
RUNTIME = "1.30.0"
"""The version of onnxruntime-web."""
CDN = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{RUNTIME}/dist"
FILES = {
    "wasm": {
        "ort.wasm.bundle.min.mjs": "PLWz+nHEVHpjwBsO0YVdvQj6n5814Iv8E3b8FG0Rp/uIAtjFMCKOpP66iPzedrIG",
        "ort-wasm-simd-threaded.wasm": "vjBJ1z7qrhkTyYsNqKeF6c7N+nOJSU94czEo+tvZcu8G75JparGq9kB+kTnEUNVM",
    },
    "webgpu": {
        "ort.webgpu.bundle.min.mjs": "1ntMeyj+z5diX6vBR5h+zlJBPc4iNvhCxE6nlammh8daBYcLBZkzrwDkuJjhwI+f",
        "ort-wasm-simd-threaded.asyncify.wasm": "EPVDLTxuO663dkZO/pcKJF6vOyyfq/5z9FY1oksN0UWFX2ABH4wDDZQHeNoUleWR",
    },
}
"""The files of it that a browser fetches, by what it computes with: a script and a program, with their SHA-384."""
LITE = "lite"
"""The tag of styles that are quick enough for a camera."""
MAX_FRAMES = 8
"""How many frames of cameras may be in the studio's line."""
MAX_FRAME_SIDE = 640
"""The most pixels per side of a frame."""
PREFIX = "data:image/jpeg;base64,"


class Exports:
    """ONNX files of the registry's styles, each made when it is first asked for, one at a time."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.folder = studio.folder / "onnx"
        self.folder.mkdir(exist_ok=True)  # its path is to be one that Gradio serves
        self._thread = ThreadPoolExecutor(1, "export")
        self._files: dict[str, Future[Path]] = {}

    def of(self, id: str) -> "Future[Path]":
        """The file of a style.

        Raises:
            NSTError: there is no such style; whatever else is refused, the future raises.
        """
        entry = self.studio.registry[str(id)]
        file = self._files.get(entry.id)
        if file is None or (file.done() and (file.exception() or not file.result().is_file())):
            name = f"{entry.id}-{entry.sha256[:8]}.onnx"
            file = self._files[entry.id] = self._thread.submit(self._export, entry.id, self.folder / name)
        return file

    def _export(self, id: str, file: Path) -> Path:
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)  # a system may clean up what nobody has read for days
            export_style(self.studio.style(None, id), file)
        return file


class Frames:
    """Paints camera frames for devices that are too slow for it, each in its turn in the studio's line."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._turns: list[Turn[str]] = []

    def painted(self, id: str, photo: str) -> "Future[str]":
        """A frame, painted in a style; both are JPEGs as ``data:`` addresses.

        Raises:
            PageError: the frame is not such an address, the style is too slow, or too many frames wait already.
            NSTError: there is no such style; whatever else is refused, the future raises.
        """
        entry = self.studio.registry[id]
        if LITE not in entry.tags:
            raise PageError("This server paints only lite styles live: choose one, or let your own device paint.")
        try:
            jpeg = base64.b64decode(photo.removeprefix(PREFIX), validate=True)
        except ValueError as error:
            raise PageError("A frame should be a JPEG, in base64.") from error
        self._turns = [turn for turn in self._turns if not turn.future.done()]
        if len(self._turns) >= MAX_FRAMES:
            raise PageError(
                "Too many people are painting live on this server: let your own device paint, or try again later."
            )
        turn = self.studio.line.join(None, lambda progress: self._paint(entry.id, jpeg))
        self._turns.append(turn)
        return turn.future

    def _paint(self, id: str, jpeg: bytes) -> str:
        picture = open_picture(jpeg, max_pixels=MAX_FRAME_SIDE**2)
        made = BytesIO()
        repaint(picture, self.studio.style(None, id)).convert("RGB").save(made, "JPEG", quality=85)
        return PREFIX + base64.b64encode(made.getvalue()).decode()


def live_tab(studio: Studio, runtime: Path | None) -> None:
    """Lay the tab out in the ``gr.Blocks`` around it.

    ``runtime`` is a folder with the files of onnxruntime-web's ``dist``; without it browsers fetch them from a CDN.

    Raises:
        PageError: one of them is not there, or of another version.
    """
    digests = {runtime / name: digest for files in FILES.values() for name, digest in files.items()} if runtime else {}
    for file, digest in digests.items():
        if not file.is_file() or base64.b64encode(sha384(file.read_bytes()).digest()).decode() != digest:
            raise PageError(
                f"{quoted(runtime)} should be the dist folder of onnxruntime-web {RUNTIME}: its {file.name} is "
                "missing, or from another version."
            )
    exports, frames = Exports(studio), Frames(studio)
    gr.set_static_paths([exports.folder, *digests])

    async def weights(id: str) -> dict[str, str]:
        """Where a style's network is, or why there is none."""
        try:
            return {"url": address_of(await asyncio.wrap_future(exports.of(id)))}
        except NSTError as error:
            return {"refusal": str(error)}

    async def paint(frame: Any) -> dict[str, str]:
        """A frame of a camera, painted, or why it is not."""
        try:
            style, photo = (str(frame[name]) for name in ("style", "photo"))
            if style in studio.registry:  # it may have to come from the Hub: nobody else's picture waits for that
                await run_sync(studio.style, None, style)
            return {"painted": await asyncio.wrap_future(frames.painted(style, photo))}
        except (TypeError, KeyError):
            return {"refusal": "A frame should have a style and a photo."}
        except NSTError as error:
            return {"refusal": str(error)}

    where = address_of(runtime) if runtime else CDN
    runtimes = {
        kind: [[f"{where}/{name}", f"sha384-{digest}"] for name, digest in files.items()]
        for kind, files in FILES.items()
    }
    styles: list[dict[str, Any]] = [
        {"id": entry.id, "title": entry.title, "live": LITE in entry.tags, "preview": address_of(preview_of(entry))}
        for entry in sorted(studio.registry, key=lambda entry: LITE not in entry.tags)
    ]
    gr.HTML(
        html_template="",
        js_on_load=LIVE.read_text("utf-8"),
        elem_id="live",
        apply_default_css=False,
        server_functions=[weights, paint],
        painter=PAINTER.read_text("utf-8"),
        runtimes=runtimes,
        styles=styles,
        words=words_of(studio.registry),
    )
