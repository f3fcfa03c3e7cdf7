"""Spreads work over several machines: each core of a Ray cluster holds the styles and does one item at a time.

Only bytes go there and come back. Those machines need nst-core, but none of this one's files.
"""

import logging
import os
import re
import socket
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from nst_core.errors import NSTError
from nst_core.memory import keep_freed_memory
from nst_core.style import CARD, CONFIG, WEIGHTS, Style

log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")
Work = Callable[[Sequence[Style], Item], Result]

TRIES = 3
"""Workers that may die on an item before it is given up; also, how many in a row may die before one is ready."""
AHEAD = 2
"""Items per worker that may be in progress, or done and waiting for their turn."""


class ClusterError(NSTError):
    """A Ray cluster that is not there, or whose workers do not last."""


def spread(
    work: Work[Item, Result], styles: Sequence[Style], items: Iterable[Item], name: Callable[[Item], str]
) -> Generator[Result | ClusterError, None, None]:
    """Yield ``work(styles, item)`` for each item, in order, each computed on one core of a Ray cluster.

    The cluster is the one that the environment variable ``RAY_ADDRESS`` names, or that this process is connected to
    already, or else one of this machine alone, listening at 127.0.0.1. Items are taken as workers become free. If a
    worker or its machine dies, another worker repeats the item; once ``TRIES`` workers have died on it, the item is
    given up and a ``ClusterError`` yielded in its place. ``name`` says what messages call an item.

    Raises:
        ClusterError: Ray is not installed, no cluster answers, or workers do not start.
        NSTError: as ``work``.
    """
    ray, connected_here = _connected()
    crew = _Crew(ray, work, styles)
    try:
        yield from crew.results(items, name)
    finally:
        crew.dismiss()
        if connected_here:
            ray.shutdown()


def _connected() -> tuple[ModuleType, bool]:
    """Ray, and whether this call connected it."""
    address = os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not address:
        # Ray then takes 127.0.0.1 as this machine's address, as on macOS and Windows, and listens nowhere else.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise ClusterError('Painting in parallel needs Ray: pip install "nst-core[cluster]" installs it.') from error
    if ray.is_initialized():
        return ray, False
    try:
        if match := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address or ""):
            # Ray would try for minutes.
            socket.create_connection((match[1], int(match[2])), timeout=10).close()
        ray.init(address or "local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        where = f"at {address}, which is RAY_ADDRESS" if address else "on this machine"
        raise ClusterError(
            f"No Ray cluster answers {where}: start one, or set RAY_ADDRESS to the address of a running one."
        ) from error
    return ray, True


class _Files(NamedTuple):
    """A style's files, to open it from on another machine."""

    id: str
    files: dict[str, bytes]


class _Worker:
    """One core's process, an actor of Ray's."""

    def __init__(self, work: Work[Any, Any], styles: list[_Files]) -> None:
        os.environ["OPENCV_FOR_THREADS_NUM"] = "1"  # Ray itself limits torch's threads
        keep_freed_memory()
        self._work, self._files = work, styles
        self._styles: list[Style] = []

    def get_ready(self) -> None:
        if self._styles:
            return
        for id, files in self._files:
            with TemporaryDirectory() as folder:
                for name, data in files.items():
                    Path(folder, name).write_bytes(data)
                self._styles.append(Style.open(folder, name=id))

    def do(self, item: Any) -> Any:
        return self._work(self._styles, item)


class _Crew:
    """The workers, and the item that each is working on."""

    def __init__(self, ray: ModuleType, work: Work[Any, Any], styles: Sequence[Style]) -> None:
        self._ray = ray
        self._most = max(1, int(ray.cluster_resources().get("CPU", 1)))
        # A retry by Ray itself would be for the same worker, which would wait for a free core.
        self._actor = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Worker)
        self._arguments = [ray.put(work), ray.put([_files(style) for style in styles])]
        self._workers: list[Any] = []
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, tuple[int, Any] | None]] = {}
        """By a result's reference: the worker, and the item with its number, or None while the worker gets ready."""
        self._ended: Counter[int | None] = Counter()
        """How many workers died, by the item's number; None counts those in a row that did not get ready."""

    def results(self, items: Iterable[Item], name: Callable[[Item], str]) -> Generator[Any, None, None]:
        rest, waiting = enumerate(items), deque[tuple[int, Item]]()
        done: dict[int, Any] = {}
        sent = given = 0
        while True:
            free = self._most - self._in_progress
            while len(waiting) < max(1, free) and sent < given + AHEAD * self._most and (item := next(rest, None)):
                waiting.append(item)
                sent += 1
            if not waiting and not self._in_progress:
                return
            self._hire(min(self._most, self._in_progress + len(waiting)))
            while waiting and self._idle:
                worker, item = self._idle.pop(), waiting.popleft()
                self._busy[worker.do.remote(item[1])] = worker, item
            for reference in self._ray.wait(list(self._busy))[0]:
                worker, task = self._busy.pop(reference)
                try:
                    result = self._ray.get(reference)
                except self._ray.exceptions.RayTaskError as error:
                    raise _refusal(error, task is None) from error
                except self._ray.exceptions.RayError as error:
                    lost = self._lose(worker, task and task[0], name(task[1]) if task else "", error)
                    if task and lost:
                        done[task[0]] = lost
                    elif task:
                        waiting.appendleft(task)
                    continue
                self._idle.append(worker)
                if task:
                    done[task[0]] = result
                else:
                    self._ended[None] = 0
            while given in done:
                yield done.pop(given)
                given += 1

    @property
    def _in_progress(self) -> int:
        """How many items are in progress."""
        return sum(task is not None for _, task in self._busy.values())

    def _hire(self, count: int) -> None:
        while len(self._workers) < count:
            worker = self._actor.remote(*self._arguments)
            self._workers.append(worker)
            self._busy[worker.get_ready.remote()] = worker, None

    def _lose(self, worker: Any, number: int | None, name: str, error: Exception) -> ClusterError | None:
        """Forget a worker that died; returns an error if its item is given up.

        Raises:
            ClusterError: no worker gets ready.
        """
        self._workers.remove(worker)
        # Others on the same machine may be gone, too: each has to answer before it gets an item.
        for other in self._idle:
            self._busy[other.get_ready.remote()] = other, None
        self._idle.clear()
        self._ended[number] += 1
        if self._ended[number] < TRIES:
            if name:
                log.warning("A worker ended with %s; another one repeats its part.", name)
            return None
        if number is None:
            reason = str(error).strip().splitlines()[-1]
            raise ClusterError(f"No worker of the Ray cluster starts: {reason}") from error
        return ClusterError(f"{TRIES} workers ended one after the other, each with {name}: it may need more memory.")

    def dismiss(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)


def _files(style: Style) -> _Files:
    names = [name for name in (CARD, CONFIG, WEIGHTS) if (style.folder / name).is_file()]
    return _Files(style.id, {name: (style.folder / name).read_bytes() for name in names})


def _refusal(error: Any, getting_ready: bool) -> Exception:
    """What to raise for a worker's error; if it was getting ready, something is not installed there."""
    if isinstance(error.cause, NSTError):
        return error.cause
    if getting_ready:
        reason = str(error.cause).strip().splitlines()[-1]
        return ClusterError(
            f"A worker of the Ray cluster cannot start ({reason}): every machine needs this version of nst-core, too."
        )
    return error
