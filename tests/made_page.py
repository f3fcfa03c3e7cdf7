"""The page with feature networks of random weights, served by this process so that tests can look inside."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

import pytest
from free_port import free_port
from made_features import make_features
from made_registry import MAX_SIDE

from nst_core.registry import Registry
from ui import build_page
from ui.gallery import style_cards
from ui.looks import CSS, THEME
from ui.server import Page, options as served
from ui.words import WORDS


@contextmanager
def served_page(registry_file: Path, folder: Path, **options: Any) -> Iterator[str]:
    """Where it answers; the options are those of ``build_page``."""
    with launched_page(registry_file, folder, **options) as page:
        assert page.local_url
        yield page.local_url.rstrip("/")


@contextmanager
def launched_page(registry_file: Path, folder: Path, **options: Any) -> Iterator[Page]:
    """The page itself, while it answers."""
    features = folder / "features"
    features.mkdir()
    registry = Registry.load(registry_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(folder / "files"))
        page = build_page(registry, max_side=MAX_SIDE, features=make_features(features), **options)
        looks: dict[str, Any] = {"theme": THEME, "css": style_cards(registry), "css_paths": CSS, "i18n": WORDS}
        page.launch(**served(page), **looks, server_port=free_port(), prevent_thread_lock=True, quiet=True)
        yield page
        page.close()
