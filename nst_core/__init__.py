"""Neural style transfer: repaint photographs with trained networks, and train them."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nst_core.architectures import ARCHITECTURES, Architecture, register
    from nst_core.errors import NSTError
    from nst_core.exporting import export_style
    from nst_core.features import load_features
    from nst_core.images import open_picture, save_picture
    from nst_core.losses import PerceptualLoss, StyleTarget, gram_matrix
    from nst_core.method import METHODS, Method
    from nst_core.optimization import OptimizationState, OptimizationStep, optimize
    from nst_core.recipe import Recipe
    from nst_core.registry import Registry
    from nst_core.style import Card, Style, StyleConfig, write_style
    from nst_core.stylization import blend, repaint, stylize
    from nst_core.training import TrainingStep, new_network, train
    from nst_core.video import VideoStep, stylize_video

__version__ = "0.1.0"

# Names are resolved when first used: torch alone takes seconds, and a script that only lists styles needs none of it.
_HOMES = {
    "ARCHITECTURES": "architectures",
    "Architecture": "architectures",
    "Card": "style",
    "METHODS": "method",
    "Method": "method",
    "NSTError": "errors",
    "OptimizationStep": "optimization",
    "PerceptualLoss": "losses",
    "Recipe": "recipe",
    "Registry": "registry",
    "OptimizationState": "optimization",
    "Style": "style",
    "StyleConfig": "style",
    "StyleTarget": "losses",
    "TrainingStep": "training",
    "VideoStep": "video",
    "blend": "stylization",
    "export_style": "exporting",
    "gram_matrix": "losses",
    "load_features": "features",
    "new_network": "training",
    "open_picture": "images",
    "optimize": "optimization",
    "register": "architectures",
    "repaint": "stylization",
    "save_picture": "images",
    "stylize": "stylization",
    "stylize_video": "video",
    "train": "training",
    "write_style": "style",
}
__all__ = [
    "ARCHITECTURES",
    "METHODS",
    "Architecture",
    "Card",
    "Method",
    "NSTError",
    "OptimizationState",
    "OptimizationStep",
    "PerceptualLoss",
    "Recipe",
    "Registry",
    "Style",
    "StyleConfig",
    "StyleTarget",
    "TrainingStep",
    "VideoStep",
    "blend",
    "export_style",
    "gram_matrix",
    "load_features",
    "new_network",
    "open_picture",
    "optimize",
    "register",
    "repaint",
    "save_picture",
    "stylize",
    "stylize_video",
    "train",
    "write_style",
]


if not TYPE_CHECKING:  # or a type checker would accept any name

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
