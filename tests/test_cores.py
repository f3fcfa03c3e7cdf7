"""A thread computes on as many cores as it was told, and no other thread does because of that."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from made_styles import make_style
from PIL import Image

from nst_core import cores
from nst_core.cores import LARGE, compute_on
from nst_core.errors import NSTError
from nst_core.style import Style
from nst_core.stylization import stylize


def test_a_thread_has_cores_of_its_own() -> None:
    before = torch.get_num_threads()
    together = threading.Barrier(3)

    def counted(cores: int) -> int:
        compute_on(cores, before)
        together.wait(timeout=30)
        torch.rand(64, 64) @ torch.rand(64, 64)
        return torch.get_num_threads()

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(counted, [1, 2, 3])) == [1, 2, 3]
    with ThreadPoolExecutor(1) as another:
        assert another.submit(torch.get_num_threads).result() == before
    assert torch.get_num_threads() == before


@pytest.fixture(scope="module")
def style(tmp_path_factory: pytest.TempPathFactory) -> Style:
    return Style.open(make_style(tmp_path_factory.mktemp("made") / "wave"))


@pytest.mark.parametrize(
    ("pixels", "free", "expected"),
    [
        (LARGE, 10**11, 4),
        (LARGE, 3 * 10**9, 2),
        (LARGE, 10**6, 1),
        (10**6, 10**9, 4),
        (10**6, None, 4),
        (10**7, None, 1),
    ],
)
def test_no_more_pictures_at_once_than_there_is_memory_for(
    style: Style, monkeypatch: pytest.MonkeyPatch, pixels: int, free: int | None, expected: int
) -> None:
    monkeypatch.setattr(cores, "free_memory", lambda: free)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert cores.pictures_at_once([style], pixels) == expected


def test_a_network_without_a_fast_way_takes_more_memory(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = replace(style, architecture=replace(style.architecture, fast=None))
    monkeypatch.setattr(cores, "free_memory", lambda: 10**9)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert cores.pictures_at_once([style], 10**6) == 4 and cores.pictures_at_once([style, slow], 10**6) == 2
    monkeypatch.setattr("nst_core.memory.free_memory", lambda: 1_000_000)
    with pytest.raises(NSTError, match=r"^To paint 60 × 50 px takes about 0\.0 GB .* choose a smaller size\.$"):
        stylize(Image.new("RGB", (60, 50)), slow)
    assert stylize(Image.new("RGB", (40, 40)), slow).size == (40, 40)
