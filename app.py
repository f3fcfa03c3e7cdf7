"""The Space's entry: registry in, page out, launch.

Gradio's own environment variables hold (GRADIO_SERVER_NAME, GRADIO_SERVER_PORT, GRADIO_ROOT_PATH …), and three more:
NST_REGISTRY, a path to another registry than ./registry.yaml, NST_MAX_SIDE, the most pixels to a side that this server
paints (2048), and NST_VGG19=1, which offers VGG19 on the tab Advanced and fetches it from the Hub when it is chosen.
"""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

from nst_core.memory import keep_freed_memory
from nst_core.registry import Registry
from ui import build_page
from ui.looks import CSS, THEME
from ui.repaint import style_cards

keep_freed_memory()
registry = Registry.load(os.environ.get("NST_REGISTRY"))
page = build_page(
    registry, max_side=int(os.environ.get("NST_MAX_SIDE", "2048")), vgg19=os.environ.get("NST_VGG19") == "1"
)

if __name__ == "__main__":
    page.launch(
        theme=THEME,
        css=style_cards(registry),
        css_paths=CSS,
        footer_links=["api"],
        max_file_size="64mb",
        run_history=False,
        ssr_mode=False,
    )
