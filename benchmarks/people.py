"""Do twenty people at once get their pictures? Everyone asks again and again, for two minutes.

    python benchmarks/people.py
    python benchmarks/people.py --people 40 --seconds 600

Each person is a client of the HTTP API of the real server, with a session of their own: they ask for a picture in one
of the bundled styles and in one of three sizes, wait for it, look at it for a second, and ask for another. Reported are
the pictures that came and that failed, the median and the 95th percentile of the waits, pictures a minute, how many of
those who waited longer than two seconds were told of the line or of the progress, and the server's resident memory,
every ten seconds.
"""

import argparse
import random
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from gradio_client import Client, handle_file
from page import photograph, serving

SIZES = (384, 512, 768)
LOOK, GLANCE = 1.0, 0.1


@dataclass
class Tally:
    """What all people together saw."""

    waits: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    long_waits: int = 0
    told: int = 0
    lines: set[str] = field(default_factory=set)


def person(number: int, url: str, photo: Path, styles: list[str], until: float, tally: Tally) -> None:
    """Ask for pictures until it is time to go."""
    chance = random.Random(number)
    client = Client(url, verbose=False)
    while time.monotonic() < until:
        began = time.monotonic()
        wish = {"style": chance.choice(styles), "size": chance.choice(SIZES)}
        job = client.submit(handle_file(photo), **wish, api_name="/stylize")
        said: set[str] = set()
        while not job.done():
            status = job.status()
            said |= {unit.desc for unit in status.progress_data or [] if unit.desc}
            if status.rank is not None:
                said.add("Gradio's queue")
            time.sleep(GLANCE)
        took = time.monotonic() - began
        if error := job.exception():
            tally.failures.append(f"{wish}: {error!r:.200}")
        else:
            tally.waits.append(took)
        if took > 2:
            tally.long_waits += 1
            tally.told += bool(said)
        tally.lines |= said
        time.sleep(LOOK)
    client.close()


def resident(process: int) -> float:
    """MB of memory that a process holds."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=120)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as (url, process):
        photo = Path(name, "photo.jpg")
        photograph(1200).save(photo, quality=90)
        client = Client(url, verbose=False)
        styles = [entry["id"] for entry in client.predict(api_name="/styles")]
        for style in styles:  # opened once, all of them, before memory is looked at
            client.predict(handle_file(photo), style, size=256, api_name="/stylize")
        tally, began = Tally(), time.monotonic()
        until = began + arguments.seconds
        people = [
            threading.Thread(target=person, args=[number, url, photo, styles, until, tally], daemon=True)
            for number in range(arguments.people)
        ]
        print(f"{arguments.people} people, {arguments.seconds:.0f} s, {len(styles)} styles, {SIZES} px")
        for thread in people:
            thread.start()
        memory = []
        while any(thread.is_alive() for thread in people):
            memory.append(resident(process))
            print(f"{time.monotonic() - began:6.0f} s  {memory[-1]:6.0f} MB  {len(tally.waits)} pictures", flush=True)
            for thread in people:
                thread.join(max(0.0, began + 10 * len(memory) - time.monotonic()))
        took = time.monotonic() - began
    waits = sorted(tally.waits)
    print(
        f"{len(waits)} pictures, {len(tally.failures)} failed; waits: median {statistics.median(waits):.1f} s, "
        f"95 % under {waits[int(0.95 * (len(waits) - 1))]:.1f} s; {60 * len(waits) / took:.1f} pictures a minute"
    )
    print(f"Of {tally.long_waits} who waited over 2 s, {tally.told} were told of it, as: {sorted(tally.lines)[:3]}")
    third = len(memory) // 3 or 1
    middle, end = statistics.mean(memory[third : 2 * third] or memory), statistics.mean(memory[-third:])
    print(f"Memory: {memory[0]:.0f} MB at first, {middle:.0f} MB in the middle third, {end:.0f} MB in the last")
    for failure in tally.failures[:5]:
        print(failure)


if __name__ == "__main__":
    main()
