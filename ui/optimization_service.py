"""What the tab *Advanced* and the HTTP API share: optimisations within this server's bounds, and their results."""

import csv
import re
import threading
import time
from bisect import bisect_right
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from nst_core.errors import NSTError, check_number, one_line
from nst_core.features import FeatureNetwork, load_features, nearest_layers
from nst_core.history import row
from nst_core.images import save_picture
from nst_core.method import METHODS, SIZES, Method
from nst_core.optimization import OptimizationState, OptimizationStep, optimize
from nst_core.stages import work, work_of_step
from nst_core.text import parse_layer
from ui import zerogpu
from ui.errors import PageError
from ui.files import KEEP_SECONDS, keeping
from ui.line import Closed
from ui.links import recipe
from ui.log import log_event
from ui.session_cache import SessionCache
from ui.studio import Studio
from ui.watched import VIEW_INTERVAL, Service, Watched, duration, modestly
from ui.words import Phrase, counted, phrase

T = TypeVar("T")

MAX_SIDE = 1024
MAX_STEPS = 2000
"""The most steps of a run, with every continuation."""
MAX_SECONDS = 900
"""From one press of a button to the end; others may be waiting."""


@dataclass(frozen=True)
class OptimizationRequest:
    """Pictures and settings of a run."""

    name: str
    """The name of its output files."""
    content: Image.Image
    styles: list[Image.Image]
    method: Method
    features: str
    """One of the networks that this server offers."""
    weights: list[float] | None = None
    masks: list[Image.Image | None] | None = None
    start: Image.Image | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings that the picture is to tell, see ``ui.links.recipe``."""


def read_layers(text: str) -> dict[str, float]:
    """The weights of layers as people type them, ``conv1_2, conv4_1=0.5``; 1 where none is said.

    Raises:
        NSTError: as ``parse_layer``.
    """
    # Spaces around the = and a decimal comma, as many people write one, begin no new layer.
    joined = re.sub(r"=(\d+),(\d)", r"=\1.\2", "=".join(part.strip() for part in str(text).split("=")))
    return dict(map(parse_layer, re.findall(r"[^\s,]+", joined)))


def write_layers(layers: Mapping[str, float]) -> str:
    """What ``read_layers`` reads."""
    return ", ".join(name if weight == 1 else f"{name}={weight:g}" for name, weight in layers.items())


class OptimizationRun(Watched):
    """One optimisation; its losses are the columns of ``nst_core.history``."""

    def __init__(self, steps: int, folder: Path) -> None:
        super().__init__(steps, folder)
        self.last: OptimizationStep | None = None
        """The latest step while it runs."""
        self.picture: Path | None = None
        self.table: Path | None = None

    def add(self, step: OptimizationStep) -> None:
        self.last = step
        for name, value in row(step).items():
            self.losses.setdefault(name, []).append(value)
        first = step.step == 1
        left = phrase("measuring the speed") if first else phrase("about {} left", duration(step.remaining))
        at = phrase("Step {} of at most {}", step.step, self.steps)
        self.status = [at, _size(step), phrase("{}", duration(step.seconds)), left]
        self.progress = step.progress

    def go_back(self, step: int) -> None:
        """Forget what came after a step: a continuation that was broken off begins there again."""
        kept = bisect_right(self.losses.get("step", []), step)
        for column in self.losses.values():
            del column[kept:]
        self.snapshots = [one for one in self.snapshots if one[0] <= step]

    def end(self, picture: Path, table: Path, note: str) -> None:
        """Write the best picture, with a note, and the losses, and say why it ended."""
        assert self.last is not None
        last, point = self.last, self.last.state.best
        self.last = None  # it holds the pictures and all that the optimiser remembers
        totals = zip(self.losses["step"], self.losses["total"], strict=True)
        step = next((int(step) for step, total in totals if total == point.total), last.step)
        if self.trouble or self.stopped:
            how = "Stopped"
        elif last.finished == "saturated":
            how = "Finished: the losses have all but stopped falling"
        elif last.finished == "time":
            how = "Stopped: others may be waiting"
        else:
            how = "Finished"
        done = counted("1 step", "{} steps", last.step)
        self.status = [phrase(how), done, phrase("{}", duration(last.seconds)), _size(last)]
        self.progress = 1.0
        self.snap(step, last.best)
        save_picture(last.best, picture, note=note)
        with keeping("the losses"), table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(self.losses)
            writer.writerows(zip(*self.losses.values(), strict=True))
        self.picture, self.table = picture, table


@dataclass(frozen=True)
class Resumable:
    """A run, and what it takes to go on with it."""

    run: OptimizationRun
    request: OptimizationRequest
    state: OptimizationState


class OptimizationService(Service[OptimizationRun]):
    """Optimises for one person at a time; gives way whenever the studio paints: between steps, and by its priority.

    The last run of a session may be past continuing, see ``goes_on``.
    """

    def __init__(self, studio: Studio, features: Mapping[str, str | Path]) -> None:
        """``features`` are the networks on offer: by name, what ``load_features`` takes."""
        super().__init__(KEEP_SECONDS, 64)
        self.studio = studio
        self.features = features
        self.max_side = min(studio.max_side, MAX_SIDE)
        # Half a gigabyte each, at 1024 pixels with L-BFGS.
        self._resumable: SessionCache[Resumable] = SessionCache(3, KEEP_SECONDS)
        self._paces: dict[tuple[str, ...], float] = {}
        self._probing = threading.Lock()
        self._thread = ThreadPoolExecutor(1, "optimization", initializer=None if zerogpu.ZERO_GPU else modestly)

    def method(self, name: str, **changes: Any) -> Method:
        """One of ``METHODS``, changed, within this server's bounds.

        Raises:
            NSTError: a setting makes no sense or is beyond the bounds.
        """
        if not isinstance(name, str) or name not in METHODS:
            raise PageError(f"There is no method {one_line(name)}: choose one of {', '.join(METHODS)}.")
        bounds = {"size": (SIZES[0], self.max_side), "steps": (1, MAX_STEPS), "seconds": (0.1, MAX_SECONDS)}
        for setting, (least, most) in bounds.items():
            if setting in changes:
                whole = setting != "seconds"
                check_number(PageError, f"{setting} on this server", changes[setting], least, most, whole=whole)
        method = METHODS[name]
        method = replace(method, **{"size": min(method.size, self.max_side), "seconds": MAX_SECONDS, **changes})
        side = round(method.size * method.style_size)
        if side > self.max_side:
            raise PageError(
                f"This server studies a painting at up to {self.max_side} px, not {side}: choose a smaller style size."
            )
        return method

    def network(self, name: str) -> str | Path:
        """What ``load_features`` takes for one of the networks on offer.

        Raises:
            PageError: it is not on offer.
        """
        if not isinstance(name, str) or name not in self.features:
            raise PageError(f"This server has no feature network {one_line(name)}; it has {', '.join(self.features)}.")
        return self.features[name]

    def watch(self, session: str | None, request: OptimizationRequest) -> Iterator[OptimizationRun]:
        """Run it; yields the same run again and again, a few times a second, as it grows.

        Raises:
            NSTError: whatever the library refuses before the first step; later, the run has it as its ``trouble``.
        """
        run = OptimizationRun(request.method.steps, self.studio.folder)
        try:
            yield from self._watch(session, run, request, None)
        finally:
            run.running = False
        yield run

    def go_on(self, session: str | None, steps: int) -> Generator[OptimizationRun, None, None]:
        """Make that many more steps of the session's run.

        Raises:
            NSTError: there is none to go on with, or it has had its steps.
        """
        ended = self._resumable.get(session)
        if ended is None:
            raise PageError("There is no longer a run to continue: press Run to start one.")
        if ended.state.step >= MAX_STEPS:
            raise PageError(f"This run has taken {MAX_STEPS} steps, the most that a run may take here.")
        steps = check_number(PageError, "steps on this server", steps, 1, MAX_STEPS, whole=True)
        run, before = ended.run, (ended.run.steps, ended.run.status)
        run.steps, run.status = min(ended.state.step + steps, MAX_STEPS), [phrase("Continuing …")]
        try:
            yield from self._watch(session, run, ended.request, ended.state)
        except (NSTError, GeneratorExit):  # which is Stop, where it comes before the first look
            run.steps, run.status = before
            raise
        finally:
            run.running = False
        yield run

    def come_back(self, session: str | None, id: str) -> OptimizationRun | None:
        run = super().come_back(session, id)
        self._resumable.move(session, lambda _, ended: ended.run is run)
        return run

    def begun_with(self, session: str | None) -> Mapping[str, Any]:
        """The settings of the run that the session would go on with, as its request has them."""
        ended = self._resumable.get(session)
        return ended.request.settings if ended else {}

    def goes_on(self, run: OptimizationRun) -> bool:
        """Whether a run can still be continued: what that takes is kept of a few alone."""
        self._resumable.expire()
        return any(ended.run is run for ended in self._resumable.values())

    def finish(self, session: str | None, run: OptimizationRun) -> None:
        """Stop a run, and drop what continuing it would take; its pictures can be fetched for a while."""
        run.stopped = True
        if self.goes_on(run):
            self._resumable.forget(session)

    def seconds(self, method: Method, features: str) -> float:
        """About how long a run would take here at most: by the pace of the last one, or of a trial.

        Raises:
            NSTError: the feature network or one of its layers is not available.
        """
        pace = self._paces.get(_kind(method, features))
        if pace is None and zerogpu.ZERO_GPU:
            pace = zerogpu.PACE
        elif pace is None:
            with self._probing:
                pace = self._paces.get(_kind(method, features)) or self._probe(method, features)
        most = zerogpu.MAX_LOAN if zerogpu.ZERO_GPU else MAX_SECONDS
        return min(most, method.seconds or most, pace * work(method, (1, 1)))  # a square has the most pixels

    def stand_ins(self, method: Method, features: str) -> dict[str, str]:
        """The layers of the method that the feature network lacks, each with the one of its own that replaces it.

        Raises:
            NSTError: the feature network is not available.
        """
        given = _load(self.network(features), method.pooling).layers
        wanted = [*method.content_layers, *method.style_layers]
        nearest = {layer: next(iter(nearest_layers({layer: 1.0}, given))) for layer in wanted}
        return {layer: other for layer, other in nearest.items() if other != layer}

    def _watch(
        self, session: str | None, run: OptimizationRun, request: OptimizationRequest, state: OptimizationState | None
    ) -> Iterator[OptimizationRun]:
        run.running, run.stopped, run.trouble = True, False, None
        run.go_back(state.step if state else 0)
        yield run
        self.running.put(session, run)  # only now: the caller may have stopped at the first yield
        earlier = state.seconds if state else 0.0
        method = replace(request.method, steps=run.steps, seconds=earlier + (request.method.seconds or MAX_SECONDS))
        began = shown = snapped = time.monotonic()
        try:
            optimizing = self._begin(request, method, state)
            context = copy_context()  # a lent GPU's owner asks whose request it is for
            try:
                while step := self._result(self._thread.submit(context.run, lambda: next(optimizing, None))):
                    run.add(step)
                    now = time.monotonic()
                    # If several came together, only the last has its own picture.
                    whole = step.state.step == step.step
                    # The first steps change the most.
                    if whole and now - snapped > min(1, (now - began) / 5):
                        snapped = now
                        run.snap(step.step, step.picture)
                    if step.finished or (run.stopped and whole):
                        break
                    if now - shown > VIEW_INTERVAL:
                        shown = now
                        yield run
                    if not zerogpu.ZERO_GPU:  # a lent GPU takes nothing from those who paint, and costs
                        self.studio.line.wait()
            finally:
                # Returning a lent GPU takes time, and this may be the server's own event loop.
                self._thread.submit(context.run, optimizing.close)
        except NSTError as error:
            if run.last is None:
                raise
            run.fail(error)
        if run.last is None:
            raise PageError("The run ended before its first step.")
        if state is None and len(request.styles) == 1:  # as the estimate assumes
            self._remember_pace(run, method, request.features)
        resumable = Resumable(run, request, run.last.state)
        width, height = run.last.size
        log_event("optimized", pixels=width * height, steps=run.last.step, seconds=run.last.seconds)
        note = request.settings and recipe("advanced", {**request.settings, "steps": run.steps})
        try:
            run.end(self.studio.file(f"{request.name}.png"), self.studio.file(f"{request.name}-losses.csv"), note or "")
        finally:  # there may be no space for them
            self._ended.put(session, run)
            self._resumable.put(session, resumable)

    def _begin(
        self, request: OptimizationRequest, method: Method, state: OptimizationState | None
    ) -> Generator[OptimizationStep, None, None]:
        """``nst_core.optimize``, here or on a lent GPU; ``method`` has the steps and seconds of the whole run."""
        wish: dict[str, Any] = {
            "content": request.content,
            "styles": request.styles,
            "method": method,
            "weights": request.weights,
            "masks": request.masks,
            "start": request.start,
            "resume": state,
        }
        network = self.network(request.features)
        if not zerogpu.ZERO_GPU:
            return optimize(features=_load(network, method.pooling), **wish)
        left = replace(request.method, steps=method.steps - (state.step if state else 0))
        if state:  # a continuation is at full size, and exact
            left = replace(left, scales=1, precision="exact")
        return zerogpu.optimize_there(zerogpu.loan_for(self.seconds(left, request.features)), features=network, **wish)

    def _result(self, step: Future[T]) -> T:
        """A step's result, which may take longer than this server still has.

        Raises:
            Closed: this server ends.
        """
        while not wait([step], VIEW_INTERVAL).done:
            if self.studio.line.closed:
                raise Closed
        return step.result()

    def _remember_pace(self, run: OptimizationRun, method: Method, features: str) -> None:
        """Note the seconds per unit of work."""
        if run.last and run.last.step >= 10 and run.last.finished == "steps":
            self._paces[_kind(method, features)] = run.last.seconds / work(method, run.last.size)

    def _probe(self, method: Method, features: str) -> float:
        picture = Image.effect_noise((160, 120), 60).convert("RGB")
        # Enough steps that the first of them are of one stage.
        trial = replace(method, size=160, steps=100, seconds=None, scales=1, saturation=0, init="noise", style_size=1)
        network = _load(self.network(features), method.pooling)
        steps = self._thread.submit(
            lambda: [step.seconds for step in islice(optimize(picture, picture, trial, features=network), 5)]
        )
        seconds = steps.result()
        # The first step allocates memory that all later ones reuse.
        pace = (seconds[-1] - seconds[0]) / (len(seconds) - 1) / work_of_step(trial, picture.size)
        self._paces[_kind(method, features)] = pace
        return pace


def _size(step: OptimizationStep) -> Phrase:
    return phrase("{} × {} px", *step.size)


def _kind(method: Method, features: str) -> tuple[str, ...]:
    """What the pace depends on, besides pixels and steps."""
    return features, method.optimizer, *sorted({*method.content_layers, *method.style_layers})


@lru_cache(maxsize=4)
def _load(source: str | Path, pooling: Any) -> FeatureNetwork:
    return load_features(source, pooling=pooling)
