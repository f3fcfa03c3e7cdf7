"""The Space's entry: registry in, page out, launch.

Gradio's own environment variables hold (GRADIO_SERVER_NAME, GRADIO_SERVER_PORT, GRADIO_ROOT_PATH …), and eight more:
NST_REGISTRY, another registry than ./registry.yaml: a path, or user/repo on the Hub; NST_MAX_SIDE, the most pixels
per side that this server paints (2048); NST_VGG19=1, which offers VGG19 on the tab Advanced and fetches it from the Hub
when it is chosen; NST_PHOTOS, a folder of photographs on which people may train styles where there is a GPU, and
NST_TRAIN=1, which lets them without one; NST_LOGIN=1, which lets whoever can open the page publish under the name that
this machine is logged in with; NST_ORT, a folder with onnxruntime-web's dist, which browsers fetch from a CDN
otherwise; NST_GRACE, the seconds for which it still works when it is told to stop (8). An empty one counts as unset.
"""

import gc
import os
import sys
import tempfile
from contextlib import suppress
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Any

if missing := [name for name in ("gradio", "mcp", "prometheus_client") if find_spec(name) is None]:
    sys.exit(f"The page needs {' and '.join(missing)}: pip install -r requirements.txt installs what is missing.")

for name, value in [*os.environ.items()]:
    if not value and name.startswith(("NST_", "GRADIO_")):  # as compose's ${NAME:-} gives
        del os.environ[name]

# Read when gradio is imported. Whatever is in the folder is finally deleted: it has to be this server's own.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
if "SPACE_ID" in os.environ:  # by this Gradio knows that sign-in is real there; a Space of a container lacks it
    os.environ.setdefault("SYSTEM", "spaces")
os.environ["GRADIO_TEMP_DIR"] = str(
    Path(
        os.environ.get("GRADIO_TEMP_DIR", tempfile.gettempdir()),
        f"nst-page-{os.environ.get('GRADIO_SERVER_PORT', '7860')}",
    )
)

from nst_core.quota import heed_quota, share_cores

share_cores()
gc.disable()  # what is imported would be looked through for garbage again and again, for a quarter of the time

import torch

from nst_core.errors import NSTError, check_number
from nst_core.memory import keep_freed_memory
from nst_core.registry import Registry
from ui import build_page
from ui.gallery import style_cards
from ui.log import log_to_stderr
from ui.looks import CSS, THEME
from ui.server import ANSWER_SECONDS, GRACE_SECONDS, await_port, serve
from ui.words import WORDS
from ui.zerogpu import ZERO_GPU


def number(name: str, default: float, least: float) -> float:
    """What an environment variable says.

    Raises:
        NSTError: it is no such number.
    """
    value: Any = os.environ.get(name, default)
    with suppress(ValueError):
        value = float(value)
    checked: float = check_number(NSTError, f"variable {name}", value, least)
    return checked


def flag(name: str) -> bool:
    """Whether an environment variable says yes; without it, no.

    Raises:
        NSTError: it says neither.
    """
    said = os.environ.get(name, "0")
    if said.lower() not in ("1", "true", "yes", "0", "false", "no"):
        raise NSTError(f"The variable {name} should be 1, true or yes, or 0, false or no, not {said!r:.80}.")
    return said.lower() in ("1", "true", "yes")


log_to_stderr()
keep_freed_memory()
heed_quota()
photos = os.environ.get("NST_PHOTOS")
runtime = os.environ.get("NST_ORT")
space = os.environ.get("SPACE_ID")
try:
    trains = (flag("NST_TRAIN") or torch.cuda.is_available()) and not ZERO_GPU
    if photos and trains and find_spec("matplotlib") is None:
        sys.exit("Training draws its losses with matplotlib: pip install matplotlib, or leave NST_PHOTOS out.")
    grace = number("NST_GRACE", GRACE_SECONDS, 0)
    if __name__ == "__main__":
        await_port(grace + 3 * ANSWER_SECONDS)  # for as long as a server like this one takes to stop
    registry = Registry.load(os.environ.get("NST_REGISTRY"))
    page = build_page(
        registry,
        max_side=int(number("NST_MAX_SIDE", 2048, 64)),
        vgg19=flag("NST_VGG19"),
        # On one's own machine the sign-in is that of whoever runs it; a Space with hf_oauth has the second.
        login=flag("NST_LOGIN") or "OAUTH_CLIENT_ID" in os.environ,
        # A Space's own list is in its own repository.
        proposals=registry.repo or (f"spaces/{space}" if space and "NST_REGISTRY" not in os.environ else None),
        photos=Path(photos) if photos and trains else None,
        runtime=Path(runtime) if runtime else None,
    )
except NSTError as error:
    sys.exit(str(error))
gc.freeze()  # all this stays, and is not looked through while people wait
gc.enable()

if __name__ == "__main__":
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a file's encoding may lack Gradio's 🔨, as on Windows
    serve(page, grace, theme=THEME, css=style_cards(registry), css_paths=CSS, footer_links=["api"], i18n=WORDS)
