"""What all tabs and the HTTP API share: the registry, this server's bounds, and a person's pictures."""

import logging
import re
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from nst_core.errors import NSTError
from nst_core.images import fit, open_picture, save_picture
from nst_core.progress import Progress, part_of
from nst_core.registry import Registry, on_the_hub
from nst_core.style import Style
from nst_core.stylization import STROKES, repaint, stylize
from nst_core.text import plain
from ui.errors import PageError
from ui.files import KEEP_FILES_SECONDS, KEEP_SECONDS, claim
from ui.line import PROGRESS_INTERVAL, Ended, Line, Turn
from ui.log import PAINTING_SECONDS, log_event
from ui.session_cache import SessionCache
from ui.wish import Wish

HUB_TIMEOUT = 45
"""Seconds for which a person waits for a style from the Hub; after that, it is still being fetched."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Original:
    """A photograph at the size at which it is painted, and the file that the page compares the painting with."""

    picture: Image.Image
    file: Path


@dataclass(frozen=True)
class Painting:
    """What the network made of a photograph: enough to change strength and colour without it.

    On the page, and where styles are learned, a painting is the artwork that a style comes from; here it is a result.
    """

    original: Original
    painted: Image.Image
    style: Style
    seconds: float
    """How long the network took."""
    second: "Painting | None" = None
    """The same in a second style, to be laid over this one."""


class Studio:
    """Paints one photograph at a time, with the registry's styles, at most ``max_side`` pixels per side.

    What is kept of a person's pictures is found by their session alone, goes when their page does, and is bounded: all
    of it together is at most a gigabyte at 2048 pixels per side. A style of their own stays for an hour.
    """

    def __init__(self, registry: Registry, folder: Path, max_side: int) -> None:
        """``folder`` is where files go; whoever serves them deletes them, after ``KEEP_FILES_SECONDS``."""
        self.registry = registry
        self.max_side = max_side
        self.folder = folder
        self._own: SessionCache[Style] = SessionCache(32, KEEP_FILES_SECONDS)
        self._guests: SessionCache[Style] = SessionCache(4, KEEP_SECONDS)
        self._fetching: dict[str, Future[Style]] = {}
        self._fetching_lock = threading.Lock()
        self._fetchers = ThreadPoolExecutor(4, "fetch")
        self._originals: SessionCache[Original] = SessionCache(12, KEEP_SECONDS)
        self._paintings: SessionCache[Painting] = SessionCache(24, KEEP_SECONDS)
        self.line = Line()
        self._wishes: SessionCache[Wish] = SessionCache(1000, KEEP_SECONDS)
        """What each page asked for last."""
        self.gone: SessionCache[bool] = SessionCache(1000, KEEP_SECONDS)
        """Agents' messages for whose answer nobody waits any more."""
        self.shown: SessionCache[Wish] = SessionCache(1000, KEEP_SECONDS)
        """What made the picture that each page shows."""

    def ensure_folder(self) -> None:
        """Make the folder again if it has gone: a system may clean up what nobody has read for days.

        Raises:
            OSError: it cannot be made.
        """
        if not self.folder.is_dir():
            claim(self.folder)
            logger.warning(
                "The folder of the page's files had gone, the examples' too: restart it to have these again."
            )

    def take(self, session: str | None, style: Style) -> str:
        """Keep a style of a person's own, which nobody else can ask for; returns the name to ask for it by.

        Its folder goes when it does.
        """
        weakref.finalize(style, shutil.rmtree, style.folder, ignore_errors=True)
        name = f"own:{secrets.token_hex(8)}"
        self._own.put(session, style, name)
        return name

    def hand_over(self, session: str | None, name: str) -> None:
        """Let a style of a person's own be that session's, which is the same person's."""
        self._own.move(session, lambda key, _: key == name)

    def style(self, session: str | None, name: str, wanted: Callable[[], bool] = lambda: True) -> Style:
        """A style of the registry, of the Hub, or of the person's own; it waits for the Hub no longer than HUB_TIMEOUT.

        Raises:
            Ended: it is not ``wanted`` any more, and the Hub has not answered.
            PageError: the Hub takes its time, or the person's own style has been dropped.
            NSTError: whatever the library refuses.
        """
        if name.startswith("own:"):
            if own := self._own.get(session, name):
                return own
            raise PageError("Your own style is no longer here: drop its file again.")
        if guest := self._guests.get(None, name):
            return guest
        if self.is_here(name):
            return self.registry.open(self.registry[name].id)  # by id: it would also take a folder of this server
        with self._fetching_lock:
            if name not in self._fetching:
                self._fetching[name] = self._fetchers.submit(self._fetch, name)
            coming = self._fetching[name]
        end = time.monotonic() + HUB_TIMEOUT
        while not wait([coming], PROGRESS_INTERVAL).done and time.monotonic() < end:
            if not wanted():
                raise Ended
        if not coming.done():
            raise PageError(
                f"{plain(name)} is still being downloaded from the Hugging Face Hub: try again in a moment."
            )
        if not wanted():
            raise Ended  # whatever the Hub says of it
        return coming.result()

    def is_here(self, name: str) -> bool:
        """Whether a style can be opened without asking the Hub, as far as this server knows."""
        if name.startswith("own:") or self._guests.get(None, name):
            return True
        return not on_the_hub(name) and self.registry[name].path is not None

    def _fetch(self, name: str) -> Style:
        try:
            match = on_the_hub(name)
            style = self._fetch_guest(match[1], match[2]) if match else self.registry.open(name)
            self._guests.put(None, style, name)
            return style
        finally:
            with self._fetching_lock:
                del self._fetching[name]

    def _fetch_guest(self, repo: str, revision: str | None) -> Style:
        """A style on the Hub; anybody may ask for any of them, so its files go when it does."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        try:
            style = self.registry.open_from_hub(repo, revision, into=folder)
        except NSTError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        weakref.finalize(style, shutil.rmtree, folder, ignore_errors=True)
        return style

    def stylize(
        self, session: str | None, photo: Path | Image.Image, wish: Wish, mask: Image.Image | None = None
    ) -> Turn[Image.Image]:
        """``nst_core.stylize`` within this server's bounds, nothing kept; ``mask`` is what the wish's was made of.

        Raises:
            NSTError: the style is refused; if the photograph or the numbers are, the turn raises it.
        """
        styles = [self.style(session, name) for name in wish.styles]

        def paint(progress: Progress) -> Image.Image:
            picture = open_picture(photo)  # in its turn: those of all who wait would take gigabytes
            settings = wish.model_dump(exclude={"style", "second", "mix"})
            settings |= {"size": self._size(picture, wish), "mask": mask}
            if wish.second:
                settings |= {"second": styles[1], "mix": wish.mix}
            began = time.perf_counter()
            painted = stylize(picture, styles[0], progress=progress, **settings)
            self._log(wish.style, painted, time.perf_counter() - began)
            return painted

        return self.line.join(session, paint)

    def painting(self, session: str | None, photo: Path, wish: Wish) -> Turn[Painting]:
        """The painting of a person's photograph, kept from before or painted in their turn.

        What their page asked for before this is not wanted any more, see ``wants``.

        Raises:
            Ended: something else has been asked for in the meantime.
            NSTError: the style is refused; if the photograph or the numbers are, the turn raises it.
        """
        self._wishes.put(session, wish)

        def wanted() -> bool:
            return self.wants(session, wish)

        keys = [(photo, name, wish.size, wish.stroke) for name in wish.styles]
        kept = [painting for key in keys if (painting := self._paintings.get(session, key))]
        all_kept = len(kept) == len(keys)
        if all_kept or not all(self.is_here(name) for name in wish.styles):
            self.line.end(session, keyed=True, wanted=wanted)  # who waits for the Hub lets the others pass
        if all_kept:
            return self.line.skip(_whole(kept))
        styles = [self.style(session, name, wanted) for name in wish.styles]

        def paint(progress: Progress) -> Painting:
            paintings = []
            for number, (key, style) in enumerate(zip(keys, styles, strict=True)):
                painting = self._paintings.get(session, key)
                if painting is None:
                    painting = self._paint(session, photo, style, wish, part_of(progress, number, len(keys)))
                    self._log(wish.styles[number], painting.painted, painting.seconds)
                self._paintings.put(session, painting, key)
                paintings.append(painting)
            return _whole(paintings)

        return self.line.join(session, paint, tuple(keys), wanted)

    def wants(self, session: str | None, wish: Wish) -> bool:
        """Whether this very wish is the last that the session's page made."""
        return self._wishes.get(session) is wish

    def dismiss(self, session: str | None) -> None:
        """Give up whatever the session's page has asked for, or shows."""
        self._wishes.forget(session)
        self.shown.forget(session)
        self.line.end(session, keyed=True)

    def forget(self, session: str | None) -> None:
        """End what is painted for a session, and drop its pictures, which could be painted again."""
        self.dismiss(session)
        self.line.end(session)
        self._originals.forget(session)
        self._paintings.forget(session)

    def file(self, name: str) -> Path:
        """A path of that name in a folder of its own, so that it can be downloaded by that name."""
        stem, dot, suffix = name.rpartition(".")
        # A file's name has at most 255 bytes, and not every character may be in it.
        stem = re.sub(r"[^\w.-]+", "-", stem).encode()[-200:].decode(errors="ignore").strip(".-")
        return Path(tempfile.mkdtemp(dir=self.folder), f"{stem or 'picture'}{dot}{suffix}")

    def save_original(self, picture: Image.Image, name: str) -> Original:
        """Write the file that a painting of the picture is compared with, as before and after."""
        file = self.file(f"{name}.{'png' if picture.mode == 'RGBA' else 'jpg'}")
        save_picture(picture, file)
        return Original(picture, file)

    def _paint(self, session: str | None, photo: Path, style: Style, wish: Wish, progress: Progress) -> Painting:
        key = (photo, wish.size, wish.stroke)
        original = self._originals.get(session, key)
        picture = original.picture if original and wish.stroke == 1 else open_picture(photo)
        size = self._size(picture, wish)
        if original is None:
            original = self.save_original(fit(picture, size) if size else picture, photo.stem)
            self._originals.put(session, original, key)
        # With other strokes, the network sees the photograph at another size than it is shown at.
        seen = original.picture if wish.stroke == 1 else picture
        started = time.perf_counter()
        painted = repaint(seen, style, size=size, stroke=wish.stroke, progress=progress)
        return Painting(original, painted, style, seconds=time.perf_counter() - started)

    def _log(self, name: str, picture: Image.Image, seconds: float) -> None:
        """Tell the operator; for styles that are not the registry's, only their kind."""
        style = name if name in self.registry else "own" if name.startswith("own:") else "community"
        PAINTING_SECONDS.labels(style).observe(seconds)
        log_event("painted", style=style, pixels=picture.width * picture.height, seconds=seconds)

    def limit(self, wish: Wish) -> int:
        """The longest side of what is painted with such strokes here, in pixels."""
        return int(self.max_side * min(1, max(wish.stroke, STROKES[0])))

    def _size(self, photo: Image.Image, wish: Wish) -> int | None:
        limit = self.limit(wish)
        if wish.size is None:
            return limit if max(photo.size) > limit else None
        if wish.size > limit:
            strokes = "With these strokes, this" if wish.stroke < 1 else "This"
            raise PageError(f"{strokes} server paints at most {limit} px, not {wish.size}: choose a smaller size.")
        return wish.size


def _whole(paintings: list[Painting]) -> Painting:
    """One painting, of all styles."""
    return replace(paintings[0], second=paintings[1]) if len(paintings) > 1 else paintings[0]
