"""Neural style transfer: repaint photographs with trained networks, and train them."""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Names are resolved when first used: torch alone takes seconds, and a script that only lists styles needs none of it.
_MODULES = {
    "architectures": "ARCHITECTURES Architecture register",
    "errors": "NSTError",
    "exporting": "export_style",
    "features": "load_features",
    "images": "open_picture save_picture",
    "losses": "PerceptualLoss StyleTarget gram_matrix",
    "method": "METHODS Method",
    "optimization": "OptimizationState OptimizationStep optimize",
    "recipe": "Recipe",
    "registry": "Registry",
    "style": "Card Style StyleConfig write_style",
    "stylization": "blend repaint stylize",
    "training": "TrainingStep new_network train",
    "video": "VideoStep stylize_video",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}
__all__ = sorted(_HOMES)

if TYPE_CHECKING:  # what type checkers read, which would accept any name from __getattr__
    from nst_core.architectures import (
        ARCHITECTURES as ARCHITECTURES,
        Architecture as Architecture,
        register as register,
    )
    from nst_core.errors import NSTError as NSTError
    from nst_core.exporting import export_style as export_style
    from nst_core.features import load_features as load_features
    from nst_core.images import open_picture as open_picture, save_picture as save_picture
    from nst_core.losses import PerceptualLoss as PerceptualLoss, StyleTarget as StyleTarget, gram_matrix as gram_matrix
    from nst_core.method import METHODS as METHODS, Method as Method
    from nst_core.optimization import (
        OptimizationState as OptimizationState,
        OptimizationStep as OptimizationStep,
        optimize as optimize,
    )
    from nst_core.recipe import Recipe as Recipe
    from nst_core.registry import Registry as Registry
    from nst_core.style import Card as Card, Style as Style, StyleConfig as StyleConfig, write_style as write_style
    from nst_core.stylization import blend as blend, repaint as repaint, stylize as stylize
    from nst_core.training import TrainingStep as TrainingStep, new_network as new_network, train as train
    from nst_core.video import VideoStep as VideoStep, stylize_video as stylize_video
else:

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
