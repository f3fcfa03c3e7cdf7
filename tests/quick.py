"""Processes that begin with torch and others imported, which takes seconds, but nothing that reads settings then.

``gradio`` and ``huggingface_hub`` read the environment when they are imported.
"""

import gc
import multiprocessing
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

QUICK = multiprocessing.get_context("forkserver")
QUICK.set_forkserver_preload(
    ["torch", "numpy", "PIL.Image", "pydantic", "typer", "rich.progress", "httpx", "pandas", "fastapi", "mcp.server"]
)


def become(environment: Mapping[str, str], output: Path, errors: Path) -> None:
    """Have that environment, and write what is said into those files."""
    gc.freeze()  # else what the process began with is looked through while it imports the rest
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in ((1, output), (2, errors)):
        with path.open("a") as file:
            os.dup2(file.fileno(), stream)


def run_script(script: str, environment: Mapping[str, str], folder: Path) -> "subprocess.CompletedProcess[str]":
    """What Python says of a script in that environment, and ends with; ``folder`` has what it says meanwhile."""
    output, errors = folder / "output", folder / "errors"
    process = QUICK.Process(target=_run, args=(script, dict(environment), output, errors))
    process.start()
    process.join(300)
    process.kill()
    process.join()
    return subprocess.CompletedProcess(script, process.exitcode or 0, output.read_text(), errors.read_text())


def _run(script: str, environment: dict[str, str], output: Path, errors: Path) -> None:
    become(environment, output, errors)
    exec(script, {"__name__": "__main__"})
