"""Processes that begin with torch and others imported, which takes seconds, but nothing that reads settings then.

``gradio`` and ``huggingface_hub`` read the environment when they are imported.
"""

import multiprocessing
import os
from collections.abc import Mapping
from pathlib import Path

QUICK = multiprocessing.get_context("forkserver")
QUICK.set_forkserver_preload(
    ["torch", "numpy", "PIL.Image", "pydantic", "typer", "rich.progress", "httpx", "pandas", "fastapi", "mcp.server"]
)


def become(environment: Mapping[str, str], output: Path, errors: Path) -> None:
    """Have that environment, and write what is said into those files."""
    os.environ.clear()
    os.environ.update(environment)
    for stream, path in ((1, output), (2, errors)):
        with path.open("a") as file:
            os.dup2(file.fileno(), stream)
