"""Scripts of the project, as modules that tests look into."""

import importlib.util
from pathlib import Path
from types import ModuleType


def loaded(script: str) -> ModuleType:
    """A script, by its path in the project, without its being run."""
    path = Path(__file__).resolve().parents[1] / script
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
