"""Films and photographs on a Ray cluster: two machines, on this one, of which one is lost while they paint."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from commands import begun
from made_films import make_film, see
from PIL import Image

# So that it listens at 127.0.0.1 alone, as the library has it; Ray reads that when it is imported.
os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0")
ray: Any = pytest.importorskip("ray", reason="Ray is part of the extra cluster")
from ray.cluster_utils import Cluster  # noqa: E402

from nst_core import video_segments  # noqa: E402
from nst_core.cluster import ClusterError, spread  # noqa: E402
from nst_core.errors import NSTError  # noqa: E402
from nst_core.frames import FramePainter, paint_piece  # noqa: E402
from nst_core.images import open_picture  # noqa: E402
from nst_core.registry import Registry  # noqa: E402
from nst_core.style import Style  # noqa: E402
from nst_core.stylization import stylize  # noqa: E402
from nst_core.video import stylize_video  # noqa: E402
from nst_core.video_reader import open_film  # noqa: E402

pytestmark = pytest.mark.slow
# Workers could not import modules of this process, tests included.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head, which paints nothing, and two machines of one core each."""
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1)
    yield made
    ray.shutdown()
    made.shutdown()


def nst(*words: object, folder: Path, address: str = "") -> "subprocess.Popen[str]":
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    there = {"PYTHONWARNINGS": "ignore:Core Pydantic V1"}  # Ray imports that, and Python 3.14 warns of it
    if address:
        there["RAY_ADDRESS"] = address
    return begun(*words, folder=folder, environment=environment | there)


def wait_for(folder: Path, pattern: str, process: "subprocess.Popen[str]", count: int = 1) -> None:
    while len(list(folder.glob(pattern))) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def workers() -> list[psutil.Process]:
    return [one for one in psutil.Process().children(recursive=True) if "_Worker" in "".join(one.cmdline())]


def work(log: Path, styles: Sequence[Style], item: int) -> tuple[int, str]:
    """Notes that it was done; with some items its process ends, once or always."""
    time.sleep(0.05)
    with log.open("a") as file:
        file.write(f"{item}\n")
    if item == 100 or (item == 3 and log.read_text().split().count("3") == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 200:
        raise NSTError("That is too much.")
    return item, styles[0].id


def test_a_lost_workers_item_is_done_again_and_no_other(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    styles, asked = [Registry.load().open("udnie-lite")], []

    def items() -> Iterator[int]:
        for item in range(20):
            asked.append(item)
            yield item

    results = spread(partial(work, tmp_path / "log"), styles, items(), "number {}".format)
    assert next(results) == (0, "udnie-lite") and len(asked) <= 4  # no more than two for each worker
    assert list(results) == [(item, "udnie-lite") for item in range(1, 20)]
    assert Counter((tmp_path / "log").read_text().split()) == {str(item): 1 + (item == 3) for item in range(20)}
    assert [record.getMessage() for record in caplog.records if record.name == "nst_core.cluster"] == [
        "A worker ended with number 3; another one repeats its part."
    ]
    given = list(spread(partial(work, tmp_path / "log"), styles, [1, 100, 2], "number {}".format))
    assert given[::2] == [(1, "udnie-lite"), (2, "udnie-lite")]
    assert isinstance(given[1], ClusterError)
    assert str(given[1]).startswith("3 workers ended one after the other, each with number 100:")
    with pytest.raises(NSTError, match=r"^That is too much\.$"):
        list(spread(partial(work, tmp_path / "log"), styles, [1, 200], "number {}".format))


def test_a_film_that_one_machine_began_is_gone_on_with_although_a_worker_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    made = make_film(tmp_path / "film.mov", frames=400, sound="pcm_s16le", options={"g": "25"})
    style, film = Registry.load().open("udnie-lite"), open_film(made)
    begun = stylize_video(made, style, tmp_path / "out.mkv", precision="exact", lossless=True)
    first = [step.pixels for step in islice(begun, 20)]
    begun.close()
    done = len(see(tmp_path / "out.part.mkv").pictures)
    run = nst(
        *["video", made.name, "--style", "udnie-lite", "--precision", "exact", "--lossless", "-o", "out.mkv"],
        *["--ray", "--resume"],
        folder=tmp_path,
        address=cluster.address,
    )
    wait_for(tmp_path, "out.mkv.part/*.nut", run, 2)
    workers()[0].kill()
    told, warned = run.communicate(timeout=200)
    assert run.returncode == 0, warned
    assert "96 × 64 px, 400 frames" in told.splitlines()[-1]
    assert warned.count("another one repeats its part.") == warned.count("\n") == 1, warned
    seen, before = see(tmp_path / "out.mkv"), see(made)
    assert (seen.times, seen.seconds) == (before.times, before.seconds)
    assert [b"".join(packets) for _, packets, _ in seen.sound] == [b"".join(packets) for _, packets, _ in before.sound]
    np.testing.assert_array_equal(seen.pictures[:20], first)
    # And each piece is what this machine makes of it.
    painter = FramePainter(
        full=film.size(),
        size=film.size(),
        strength=1.0,
        color="style",
        stroke=1.0,
        precision="exact",
        steady=True,
        lossless=True,
    )
    for piece in video_segments.cut(film, after=(done - 1) * film.step):
        result = paint_piece(film, painter, [style], piece)
        done += result.frames
        np.testing.assert_array_equal(result.pixels, seen.pictures[done - 1])
    assert done == 400


def test_a_folder_is_painted_although_a_machine_is_lost(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(60):
        noise = np.random.default_rng(number).integers(0, 255, (6, 9, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((180, 120)).save(tmp_path / "photos" / f"{number:02}.jpg")
    (tmp_path / "photos" / "07.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (tmp_path / "photos" / "notes.txt").touch()
    node = cluster.add_node(num_cpus=1)
    run = nst(
        "stylize", "photos", "--style", "udnie-lite", "--precision", "exact", "--size", 400, "-o", "out", "--ray",
        folder=tmp_path, address=cluster.address,
    )  # fmt: skip
    wait_for(tmp_path, "out/*.png", run, 5)
    cluster.remove_node(node, allow_graceful=False)
    made, told = run.communicate(timeout=200)
    lines = [line for line in made.splitlines() if line.endswith(" s")]  # Ray tells there of the lost machine, too
    names = [f"{number:02}-udnie-lite.png" for number in range(60) if number != 7]
    assert [line.split()[0] for line in lines] == [f"out/{name}" for name in names]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert run.returncode == 1 and "'07.jpg' looks like JPEG but is damaged" in told.splitlines()[-1]
    style = Registry.load().open("udnie-lite")
    for number in (0, 31, 59):
        photo = open_picture(tmp_path / "photos" / f"{number:02}.jpg")
        expected = stylize(photo, style, size=400, precision="exact")
        assert open_picture(tmp_path / "out" / f"{number:02}-udnie-lite.png").tobytes() == expected.tobytes()


def test_on_this_machine_alone_interrupted_and_gone_on_with(tmp_path: Path) -> None:
    made = make_film(tmp_path / "film.mp4", frames=480, sound="aac", options={"g": "25"})
    words = ["video", made.name, "--style", "udnie-lite", "-o", "out.mp4", "--ray"]
    run = nst(*words, folder=tmp_path)
    wait_for(tmp_path, "out.mp4.part/*.nut", run)
    processes = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
    listening = [
        connection.laddr.ip
        for one in processes
        for connection in one.net_connections()
        if connection.status == "LISTEN"
    ]
    assert listening and set(listening) <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    run.send_signal(signal.SIGINT)
    told = run.communicate(timeout=60)[1]
    assert run.returncode == 130, told
    assert told == "Interrupted: out.part.mp4 has what was painted so far; --resume continues.\n"
    half = len(see(tmp_path / "out.part.mp4").pictures)
    assert 0 < half < 480 and half % video_segments.FRAMES == 0
    again = nst(*words[:-1], "--resume", folder=tmp_path)  # and without Ray
    told, warned = again.communicate(timeout=200)
    assert again.returncode == 0 and warned == "", warned
    assert "480 frames" in told
    seen, film = see(tmp_path / "out.mp4"), see(made)
    assert (seen.times, seen.seconds, seen.sound) == (film.times, film.seconds, film.sound)


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"^No Ray cluster answers at 127\.0\.0\.1:1, which is RAY_ADDRESS"):
        next(spread(print, [], [1], str))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match=r"pip install \"nst-core\[cluster\]\""):
        next(spread(print, [], [1], str))
