"""Does the server withstand a long, mixed crowd? Failures, waits, and whether its memory grows.

    python benchmarks/load.py
    python benchmarks/load.py --people 20 --minutes 3

Each person is a client of the HTTP API of the real server and does one thing after the other, by chance: they repaint
a photograph, at times with a second style over the first; optimise one for a few steps; leave in the middle of that, or
of a large picture; send what has to be refused; and go, to come back as somebody else. Reported are the requests by
kind, with how many were turned away because too many waited, and how many failed, which should be none; the median and
the 95th percentile of the waits; what the server itself counts as failed; and its resident memory minute by minute,
with the slope of a straight line through all minutes after the first five (or after the first fifth).
"""

import argparse
import random
import re
import statistics
import tempfile
import threading
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from gradio_client import Client, handle_file
from inference import photograph, resident
from page import serving

LOOK = 1.0
"""Seconds for which a person looks at what they got."""
STAY = 12
"""How many things a person does, at most, before somebody else comes in their place."""
TURNED_AWAY = re.compile("waiting for this|already in the queue|pictures waiting|queue is full", re.IGNORECASE)


class Failure(Exception):
    """What should have been refused was not, or what was refused should not have been."""


@dataclass
class Tally:
    """What all people together saw, by the kind of thing that they did."""

    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    away: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, kind: str, work: Callable[[], None]) -> None:
        """Do it, and take down how it went."""
        began = time.monotonic()
        try:
            work()
        except Exception as error:  # noqa: BLE001, every kind of failure counts
            with self.lock:
                if TURNED_AWAY.search(str(error)):
                    self.away[kind] += 1
                else:
                    self.failed[kind] += 1
                    self.failures.append(f"{kind}: {error!r:.300}")
        else:
            with self.lock:
                self.waits[kind].append(time.monotonic() - began)


class Person:
    """A client with its own session."""

    def __init__(self, url: str, folder: Path, styles: list[str], chance: random.Random) -> None:
        self.url, self.folder, self.styles, self.chance = url, folder, styles, chance
        self.client = Client(url, verbose=False)
        self.photo = handle_file(folder / chance.choice(["large.jpg", "small.png"]))

    def deeds(self) -> dict[str, tuple[int, Callable[[], None]]]:
        """What they may do, and how often of a hundred times."""
        return {
            "stylize": (50, self.stylize),
            "second style": (15, lambda: self.stylize(second=self.chance.choice(self.styles), mix=0.4)),
            "optimize": (5, self.optimize),
            "optimize, left": (5, lambda: self.leave("optimize", content=None, style=None, size=256)),
            "stylize, left": (10, lambda: self.leave("stylize", photo=None, style=self.styles[0], size=2048)),
            "refused": (15, self.err),
        }

    def stylize(self, **more: Any) -> None:
        wish: dict[str, Any] = {
            "style": self.chance.choice(self.styles),
            "size": self.chance.choice((256, 384, 512, 768, 1024)),
        }
        wish |= {"color": self.chance.choice(("style", "photo")), "strength": self.chance.choice((0.6, 1.0))}
        painted = Path(self.client.predict(self.photo, **wish, **more, api_name="/stylize"))
        if painted.read_bytes()[:4] != b"\x89PNG":
            raise Failure(f"{painted.name} is no PNG")
        painted.unlink()

    def optimize(self) -> None:
        painting = handle_file(self.folder / "painting.png")
        job = self.client.submit(self.photo, painting, size=192, steps=self.chance.randint(5, 15), api_name="/optimize")
        _, losses = job.result()
        if not losses["total"] > 0:
            raise Failure(f"The losses are {losses}")

    def leave(self, name: str, **asked: Any) -> None:
        """Ask, listen for a moment, and hang up."""
        api = f"{self.url}/gradio_api"
        with httpx.Client(timeout=120) as http:
            for picture in [key for key, value in asked.items() if value is None]:
                with (self.folder / "large.jpg").open("rb") as file:
                    [asked[picture]] = [
                        {"path": path} for path in http.post(f"{api}/upload", files={"files": file}).json()
                    ]
            answer = http.post(f"{api}/call/v2/{name}", json=asked)
            if answer.is_error:
                raise Failure(answer.text)
            until = time.monotonic() + self.chance.uniform(0.1, 3)
            address = f"{api}/call/{name}/{answer.json()['event_id']}"
            with (
                suppress(httpx.ReadTimeout),
                http.stream("GET", address, timeout=until - time.monotonic()) as listening,
            ):
                for line in listening.iter_lines():
                    if "error" in line:
                        raise Failure(line)
                    if time.monotonic() > until:
                        return

    def err(self) -> None:
        """Ask for what has to be refused, with a sentence."""
        wrong: dict[str, Any] = self.chance.choice(
            [
                {"style": "no-such-style"},
                {"style": self.styles[0], "size": 10**6},
                {"style": self.styles[0], "strength": 7},
                {"style": self.styles[0], "photo": handle_file(self.folder / "words.png")},
            ]
        )
        try:
            self.client.predict(**({"photo": self.photo} | wrong), api_name="/stylize")
        except Exception as error:
            if not re.search(r"[A-Z'].*[.?]", str(error)) or "went wrong" in str(error):
                raise
        else:
            raise Failure(f"{wrong} was not refused")


def visit(number: int, url: str, folder: Path, styles: list[str], until: float, tally: Tally) -> None:
    """Come, do this and that, and go, again and again until it is time."""
    chance = random.Random(number)
    while time.monotonic() < until:
        person = Person(url, folder, styles, chance)
        deeds = person.deeds()
        for kind in chance.choices([*deeds], [often for often, _ in deeds.values()], k=chance.randint(1, STAY)):
            if time.monotonic() < until:
                tally.record(kind, deeds[kind][1])
                time.sleep(LOOK)
        person.client.close()


def counted_as_failed(url: str) -> float:
    """How many unexpected errors the server has counted."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
        found = re.search(r'^nst_events_total\{event="failed"\} (\S+)', answer.read().decode(), re.MULTILINE)
    return float(found[1]) if found else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as (url, process):
        folder = Path(name)
        photograph(1200, 1600).save(folder / "large.jpg", quality=90)
        photograph(375, 500).convert("RGBA").save(folder / "small.png")
        photograph(225, 300).save(folder / "painting.png")
        (folder / "words.png").write_text("This is no picture.")
        styles = [entry["id"] for entry in Client(url, verbose=False).predict(api_name="/styles")]
        tally, began = Tally(), time.monotonic()
        until = began + 60 * arguments.minutes
        people = [
            threading.Thread(target=visit, args=[number, url, folder, styles, until, tally], daemon=True)
            for number in range(arguments.people)
        ]
        print(f"{arguments.people} people, {arguments.minutes:g} minutes, {len(styles)} styles")
        for thread in people:
            thread.start()
        memory: list[float] = []
        while time.monotonic() < until:
            time.sleep(max(0.0, min(until, began + 60 * (len(memory) + 1)) - time.monotonic()))
            memory.append(resident("VmRSS", process) / 1e6)
            done = sum(map(len, tally.waits.values()))
            print(
                f"{len(memory):4} min  {memory[-1]:6.0f} MB  {done} done, {sum(tally.failed.values())} failed",
                flush=True,
            )
        for thread in people:
            thread.join(300)
        stuck = sum(thread.is_alive() for thread in people)
        failed = counted_as_failed(url)
    print(f"{'':16} {'done':>6} {'turned away':>12} {'failed':>7} {'median s':>9} {'95 % s':>7}")
    for kind in sorted({*tally.waits, *tally.away, *tally.failed}):
        waits = sorted(tally.waits[kind]) or [float("nan")]
        print(
            f"{kind:16} {len(tally.waits[kind]):6} {tally.away[kind]:12} {tally.failed[kind]:7} "
            f"{statistics.median(waits):9.1f} {waits[int(0.95 * (len(waits) - 1))]:7.1f}"
        )
    print(f"{stuck} people never got an answer; the server counts {failed:.0f} failures of its own")
    settled = memory[min(5, len(memory) // 5) :]
    slope = np.polyfit(range(len(settled)), settled, 1)[0] if len(settled) > 1 else float("nan")
    print(f"Memory: {memory[0]:.0f} MB after a minute, {memory[-1]:.0f} MB at the end, {slope:+.2f} MB a minute")
    for failure in tally.failures[:5]:
        print(failure)


if __name__ == "__main__":
    main()
