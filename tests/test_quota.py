"""PyTorch heeds a container's quota, whether it is imported by then or not, and its threads do not spin for long."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from nst_core.quota import heed_quota, share_cores

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def threads() -> Iterator[None]:
    """Four of them, as long as a test lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 4),
        ({"cpu.max": "max 100000\n"}, 4),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "765000 100000\n"}, 4),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "390000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_no_more_threads_than_a_container_pays_for(
    threads: None, tmp_path: Path, files: dict[str, str], expected: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    heed_quota(tmp_path)
    assert torch.get_num_threads() == expected


BEFORE = """
import os, sys
from pathlib import Path
from nst_core.quota import heed_quota
os.cpu_count = lambda: int(sys.argv[2])
os.environ.pop("OMP_NUM_THREADS", None)
heed_quota(Path(sys.argv[1]))
assert "torch" not in sys.modules
if "OMP_NUM_THREADS" in os.environ:
    import torch
    print(torch.get_num_threads())
else:
    print(0)
"""


@pytest.mark.parametrize(("cores", "expected"), [(16, 1), (2, 0)])
def test_the_quota_is_heeded_by_what_is_imported_later(tmp_path: Path, cores: int, expected: int) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    command = [sys.executable, "-c", BEFORE, str(tmp_path), str(cores)]
    assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) == expected


# OpenMP tells its settings when torch is imported, before the page's own modules.
PAGE = ["-c", "import sys; sys.modules['ui'] = None; import app"]
COMMAND = ["-m", "nst_core", "stylize", "no.png", "--style", "udnie"]


@pytest.mark.parametrize("program", [PAGE, COMMAND])
@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch has GNU's OpenMP on Linux")
def test_threads_that_wait_leave_their_core_to_others(program: list[str]) -> None:
    unsaid = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = {**unsaid, "OMP_DISPLAY_ENV": "verbose"}
    run = subprocess.run([sys.executable, *program], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert "GOMP_SPINCOUNT = '1000'" in run.stderr


@pytest.mark.parametrize("said", [{"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "passive"}])
def test_what_the_environment_says_of_them_stays(said: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", said.copy())
    share_cores()
    assert os.environ == said
