"""What tests of the page share: a registry of random styles, and the real app serving it."""

import gc
import multiprocessing.util
import os
import runpy
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

# Before torch is imported. Pictures in tests are tiny: threads that wait for each other cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from free_port import free_port
from made_registry import MAX_SIDE, make_registry
from quick import QUICK, become

ROOT = Path(__file__).parent.parent


def pytest_collection() -> None:
    """What is imported stays; to look through it for garbage again and again is half of what tests need to begin."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Have whatever is left in the folder of temporary files, as by Gradio's client, go with pytest's own."""
    multiprocessing.util.get_temp_dir()  # elsewhere, as it is removed as the process ends, when pytest's are gone
    tempfile.tempdir = str(tmp_path_factory.mktemp("temporary"))
    yield
    tempfile.tempdir = None


@pytest.fixture(scope="session")
def registry_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``registry.yaml`` with two styles, one of a hostile title, and a third whose weights are damaged."""
    return make_registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="session")
def app_url(registry_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where ``python app.py`` answers."""
    settings = {"NST_REGISTRY": str(registry_file), "NST_MAX_SIDE": str(MAX_SIDE), "HF_HUB_OFFLINE": "1"}
    with serving(tmp_path_factory.mktemp("app"), os.environ | settings) as url:
        yield url


@contextmanager
def serving(folder: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """``python app.py``, which keeps its files in ``folder``; yields the address where it answers."""
    with launched(folder, environment) as (url, _):
        yield url


@contextmanager
def launched(folder: Path, environment: Mapping[str, str]) -> Iterator[tuple[str, ForkServerProcess]]:
    """The same, with its process; what it says is in ``log.txt``."""
    port = free_port()
    env = {**environment, "GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "files")}
    url = f"http://127.0.0.1:{port}"
    log = folder / "log.txt"
    app = QUICK.Process(target=_serve, args=(env, log))
    app.start()
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except (urllib.error.URLError, TimeoutError):
                assert app.is_alive(), log.read_text()
                time.sleep(0.1)
        else:
            pytest.fail(f"The app did not answer: {log.read_text()}")
        yield url, app
    finally:
        app.terminate()
        app.join(20)
        assert not app.is_alive()


def _serve(environment: dict[str, str], log: Path) -> None:
    """As ``python app.py``."""
    become(environment, log, log)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    runpy.run_path("app.py", run_name="__main__")
