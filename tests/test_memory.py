"""Memory that is kept: what a second picture of the same size asks of the system."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from nst_core import memory

FAULTS = """
import resource, sys, torch
from nst_core.architectures.johnson import JohnsonNetwork
from nst_core.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
network = JohnsonNetwork().eval()
picture = torch.rand(1, 3, 384, 384)
def paint():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    with torch.inference_mode():
        network(picture)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
paint()
paint()
print(paint())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told to keep memory")
def test_what_was_freed_is_used_again() -> None:
    faults = {
        how: int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("plain", "keep")
    }
    assert faults["keep"] < 0.3 * faults["plain"], faults


KEPT = """
import torch
from nst_core.memory import free_memory, keep_freed_memory
keep_freed_memory()
picture, other = torch.ones(50, 2**21), torch.ones(1000)
while_it_was_used = free_memory()
del picture
print(free_memory() - while_it_was_used)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much is free")
def test_what_was_freed_counts_as_free() -> None:
    gained = int(subprocess.run([sys.executable, "-c", KEPT], capture_output=True, text=True, check=True).stdout)
    assert gained > 300_000_000  # of 420 million; others may take some meanwhile


BOUNDED = """
import resource, sys
from PIL import Image
from nst_core import Registry, stylize
from nst_core.errors import NSTError
from nst_core.memory import free_memory, keep_freed_memory
keep_freed_memory()
style = Registry.load().open("great-wave")
stylize(Image.new("RGB", (64, 64)), style)
if sys.argv[1] == "process":
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 3 * 2**29, resource.RLIM_INFINITY))
print(free_memory())
try:
    stylize(Image.new("RGB", (8000, 8000)), style)
except NSTError as error:
    print(error)
print(stylize(Image.new("RGB", (32, 32)), style).size)
"""


def check_bounded(said: str) -> None:
    free, refusal, size = said.splitlines()
    assert int(free) < 2**31
    assert refusal.startswith("To paint 8000 × 8000 px takes ") and refusal.endswith("choose a smaller size.")
    assert size == "(32, 32)"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much is free")
def test_a_bound_of_this_process_is_heeded() -> None:
    command = [sys.executable, "-c", BOUNDED, "process"]
    check_bounded(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("version", [2, 1])
@pytest.mark.parametrize(
    ("limit", "stat", "free"),
    [
        ("50000000", "anon 7\n{} 3000000\n{}_more 9\n", 13_000_000),  # the file cache is given up on demand
        ("50000000", "", 10_000_000),
        ("30000000", "", -10_000_000),
        ("max", "", None),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says how much is free")
def test_a_container_has_what_its_limit_leaves(
    version: int, limit: str, stat: str, free: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, *names, cached = memory.CGROUPS[2 - version]
    for name, text in zip((*names, "memory.stat"), (limit, "40000000", stat.format(cached, cached)), strict=True):
        (tmp_path / name).write_text(f"{text}\n")
    monkeypatch.setattr(memory, "CGROUPS", ((str(tmp_path), *names, cached), ("/nowhere", *names, cached)))
    assert memory._available() == free if free else (memory._available() or 0) > 100_000_000


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A group of version 1 with two gigabytes, as a container has it."""
    group = Path("/sys/fs/cgroup/memory", f"nst-{os.getpid()}")
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(2**31))
        subprocess.run(["unshare", "-m", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("only an administrator of a system with such groups can make one")
    try:
        yield group
    finally:
        group.rmdir()


def test_a_bound_of_an_older_container_is_heeded(cgroup: Path) -> None:
    inside = 'echo $$ > "$0/cgroup.procs" && mount --bind "$0" /sys/fs/cgroup/memory && exec "$@"'
    command = ["unshare", "-m", "sh", "-c", inside, str(cgroup), sys.executable, "-c", BOUNDED, "container"]
    check_bounded(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize(
    ("take", "lacking"),
    [
        (lambda: torch.empty(2**55), True),
        (lambda: bytearray(2**62), True),
        (lambda: torch.ones(2) @ torch.ones(3), False),
        (lambda: Path("/nowhere").read_bytes(), False),
    ],
)
def test_what_goes_wrong_for_want_of_memory_is_told_from_all_else(take: Callable[[], object], lacking: bool) -> None:
    with pytest.raises(Exception) as raised:  # noqa: PT011, of several kinds
        take()
    assert memory.out_of_memory(raised.value) == lacking
