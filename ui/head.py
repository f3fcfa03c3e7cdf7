"""The head of the page's HTML: what messengers and search engines show of a link to it, and scripts that come first.

Gradio's template names Gradio first, whatever ``launch`` is given as ``head``, and messengers take what comes first.
"""

import re
from pathlib import Path
from typing import Any

from gradio.route_utils import STATIC_TEMPLATE_LIB
from gradio.routes import templates
from jinja2 import FileSystemLoader, FunctionLoader
from starlette.requests import Request

from nst_core.registry import Entry, Registry

HEAD = Path(__file__).with_name("head.html")
SCRIPTS = [Path(__file__).with_name(name) for name in ("page.js", "links.js", "repaint.js")]
"""What other scripts and the events call."""
CARD = Path(__file__).with_name("card.jpg")
"""Drawn by docs/card.py."""

TAGS = re.compile(r"""\s*<meta\s+(?:charset=|property="og:|name="twitter:)[^>]*>""")
ADDRESS = re.compile(r"https?://(?:[\w.-]+|\[[\da-fA-F:]+\])(?::\d+)?(?:/[\w.~/-]*)?", re.ASCII)


def introduce(registry: Registry) -> None:
    """Have Gradio's HTML say what the page is, and for a link with a style, which style, and begin with ``SCRIPTS``."""
    scripts = "\n".join(script.read_text(encoding="utf-8") for script in SCRIPTS)
    gradios = FileSystemLoader(STATIC_TEMPLATE_LIB)

    def load(name: str) -> str:
        source, _, _ = gradios.get_source(templates.env, name)
        return TAGS.sub("", source).replace("<head>", f"<head>{HEAD.read_text(encoding='utf-8')}", 1)

    def style_of(request: Request) -> Entry | None:
        named = request.query_params.get("style")
        return next((entry for entry in registry if entry.id == named), None)

    templates.env.loader = FunctionLoader(load)
    templates.env.globals.update(style_of=style_of, here_of=here_of, scripts=scripts)


def here_of(config: dict[str, Any]) -> str:
    """The page's own address as Gradio takes it from the request, whose headers anybody can write; or empty."""
    root = re.sub("/--replicas/[^/]+", "", str(config.get("root", "")))  # a Space's, until it is restarted
    return root if ADDRESS.fullmatch(root) else ""
