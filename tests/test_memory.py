"""Memory that is kept: what a second picture of the same size asks of the system."""

import subprocess
import sys

import pytest

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
