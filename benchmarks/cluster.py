"""How fast do one and two workers of a Ray cluster paint a film, and what would a long one take on more?

    python benchmarks/cluster.py
    python benchmarks/cluster.py --style udnie --rounds 2

A film that pans over a drawn picture is painted as ``python -m nst_core video --ray`` does it, by one worker, which has
one core, and by two. Frames a second are measured from the moment when each worker has returned one piece to the last
piece of all, so that neither the start nor the end is counted; so are those that this machine cuts into pieces, which
one machine does for all. The hours of a long film are computed: from what a worker paints where two work, times the
workers, but no faster than the film is cut; it supposes cores like these and a network that keeps up.
"""

import argparse
import logging
import os
import tempfile
import time
from pathlib import Path

from film import make_film

from nst_core import Registry, stylize_video
from nst_core.text import count
from nst_core.video_reader import open_film
from nst_core.video_segments import FRAMES, cut

LONG = 2 * 60 * 60 * 24
"""Frames of two hours, 24 a second."""
WORKERS = (1, 4, 32)


def paint(film: Path, style: str, workers: int) -> float:
    """Frames a second."""
    import ray

    ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        out = film.with_name(f"painted-{workers}.mp4")
        times = [
            (step.frame, time.perf_counter())
            for step in stylize_video(film, Registry.load().open(style), out, ray=True)
        ]
    finally:
        ray.shutdown()
    (first, began), (last, ended) = times[workers - 1], times[-1]
    return (last - first) / (ended - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--style", default="great-wave-lite")
    parser.add_argument("--size", type=int, nargs=2, default=(1280, 720), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--rounds", type=int, default=3, help="pieces that each worker paints after its first")
    arguments = parser.parse_args()
    # Ray reads these when it is imported; see nst_core/cluster.py.
    os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0")
    rates = {}
    print(f"{arguments.style}, {' × '.join(map(str, arguments.size))} px, pieces of {FRAMES} frames")
    with tempfile.TemporaryDirectory() as folder:
        for workers in (1, 2):
            film = Path(folder, f"film-{workers}.mp4")
            make_film(film, FRAMES * workers * (1 + arguments.rounds), tuple(arguments.size))
            rates[workers] = paint(film, arguments.style, workers)
            print(f"measured: {count(workers, 'worker')}, {rates[workers]:.2f} frames/s", flush=True)
        began = time.perf_counter()
        pieces = list(cut(open_film(film)))
        cutting = FRAMES * len(pieces) / (time.perf_counter() - began)
    print(f"measured: one machine cuts {cutting:.0f} frames/s into pieces")
    for workers in WORKERS:
        rate = min(workers * rates[2] / 2, cutting)
        print(f"computed: two hours of 24 frames/s, workers {workers}: {LONG / rate / 3600:.2f} hours")


if __name__ == "__main__":
    main()
