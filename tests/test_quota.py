"""PyTorch heeds a container's quota, whether it is imported by then or not, and its threads do not spin for long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
QUOTA = """
import sys, torch
from pathlib import Path
from nst_core.quota import heed_quota
for folder in sys.argv[1:]:
    torch.set_num_threads(4)
    heed_quota(Path(folder))
    print(torch.get_num_threads())
"""


def test_no_more_threads_than_a_container_pays_for(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, str], int]] = [
        ({}, 4),
        ({"cpu.max": "max 100000\n"}, 4),
        ({"cpu.max": "200000 100000\n"}, 2),
        ({"cpu.max": "765000 100000\n"}, 4),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "390000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ]
    folders = [tmp_path / str(number) for number in range(len(cases))]
    for folder, (files, _) in zip(folders, cases, strict=True):
        folder.mkdir()
        for name, text in files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
    run = subprocess.run([sys.executable, "-c", QUOTA, *folders], capture_output=True, text=True, check=True)
    assert [int(line) for line in run.stdout.split()] == [expected for _, expected in cases]


BEFORE = """
import os, sys
from pathlib import Path
from nst_core.quota import heed_quota
os.cpu_count = lambda: int(sys.argv[2])
os.environ.pop("OMP_NUM_THREADS", None)
heed_quota(Path(sys.argv[1]))
assert "torch" not in sys.modules
import torch
print(torch.get_num_threads() if "OMP_NUM_THREADS" in os.environ else 0)
"""


@pytest.mark.parametrize(("cores", "expected"), [(16, 1), (2, 0)])
def test_the_quota_is_heeded_by_what_is_imported_later(tmp_path: Path, cores: int, expected: int) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    command = [sys.executable, "-c", BEFORE, str(tmp_path), str(cores)]
    assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) == expected


# OpenMP tells its settings when torch is imported, before the page's own modules.
PAGE = ["-c", "import sys; sys.modules['ui'] = None; import app"]
COMMAND = ["-m", "nst_core", "stylize", "no.png", "--style", "udnie"]


@pytest.mark.parametrize(
    ("program", "said", "holds"),
    [
        (PAGE, {}, "1000"),
        (COMMAND, {}, "1000"),
        (COMMAND, {"GOMP_SPINCOUNT": "7"}, "7"),
        (COMMAND, {"OMP_WAIT_POLICY": "passive"}, "0"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch has GNU's OpenMP on Linux")
def test_threads_that_wait_leave_their_core_to_others(program: list[str], said: dict[str, str], holds: str) -> None:
    unsaid = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    environment = {**unsaid, "OMP_DISPLAY_ENV": "verbose", **said}
    run = subprocess.run([sys.executable, *program], env=environment, cwd=ROOT, capture_output=True, text=True)
    assert f"GOMP_SPINCOUNT = '{holds}'" in run.stderr
