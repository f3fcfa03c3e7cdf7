"""A training's recipe: every hyper-parameter, and the learning rate that follows from them."""

import math
from dataclasses import dataclass, field, fields
from functools import partial

from nst_core.errors import NSTError, check_setting, check_weights, one_line
from nst_core.text import count

MAX_SIDE = 4096
"""The largest side of a crop, and longer side of the painting, in pixels."""
MAX_SEED = 2**63 - 1


class RecipeError(NSTError):
    """A hyper-parameter that makes no sense."""


@dataclass(frozen=True)
class Recipe:
    """Every hyper-parameter of a training; a style's ``config.json`` holds them all.

    No weight is negative, and not all are 0. ``train`` checks whether the layers and the convention exist.

    Raises:
        RecipeError: a value is out of its range.
    """

    architecture: str = "johnson"
    """An id in ``nst_core.ARCHITECTURES``."""
    steps: int = 2000
    """At least 1."""
    reconstruction_steps: int = 150
    """The first of the steps, in which the network learns to reproduce the photograph: cheap steps that save many. A
    network that begins as a style's needs none."""
    batch_size: int = 4
    """Photographs per step, of all processes together."""
    crop: int = 192
    """Side of the squares cut from the photographs, in pixels, 16 to 4096."""
    zoom: float = 1.25
    """Photographs are enlarged at random, up to this factor, at least 1, to show smooth areas as large pictures do."""
    noise: float = 4.0
    """Standard deviation, in levels of 255, of the noise on the network's input; the losses see the photograph without
    it. That teaches a network to paint the same from one frame of a film to the next."""
    style_size: int = 400
    """Longer side to which the painting is scaled, in pixels, 16 to 4096: larger gives larger strokes."""
    content_layers: dict[str, float] = field(default_factory=lambda: {"relu2_2": 1.0})
    """Weight by layer of the feature network, at least 0."""
    style_layers: dict[str, float] = field(
        default_factory=lambda: {"relu1_2": 1.0, "relu2_2": 1.0, "relu3_1": 1.0, "relu4_1": 1.0, "relu5_1": 1.0}
    )
    """Weight by layer of the feature network, at least 0."""
    content_weight: float = 0.3
    """What every content layer's weight is multiplied by: larger keeps more of the photograph."""
    content_focus: float = 0.0
    """How much more details of the photograph count than flat parts, see ``nst_core.losses.detail_map``: larger keeps
    faces, and leaves skies to the painting. At 0, all positions count the same, as in the papers."""
    style_weight: float = 1.0
    """What every style layer's weight is multiplied by: larger keeps more of the painting."""
    total_variation: float = 0.2
    """The weight of the total variation: larger gives smoother pictures."""
    convention: str = "relative"
    """Of the losses: a name in ``nst_core.losses.CONVENTIONS``."""
    learning_rate: float = 1e-2
    """Muon's, at its highest."""
    warm_up: float = 0.1
    """Share of the steps after reconstruction, 0–1, over which the learning rate rises; then it falls as a cosine."""
    seed: int = 0
    """0 to 2⁶³ − 1."""

    def __post_init__(self) -> None:
        check = partial(check_setting, RecipeError, self)
        for name, least in (("steps", 1), ("reconstruction_steps", 0), ("batch_size", 1)):
            check(name, least, whole=True)
        for name in ("crop", "style_size"):
            check(name, 16, MAX_SIDE, whole=True)
        check("seed", 0, MAX_SEED, whole=True)
        check("zoom", 1)
        check("warm_up", 0, 1)
        for name in ("noise", "content_weight", "content_focus", "style_weight", "total_variation", "learning_rate"):
            check(name, 0)
        for name, usual in (("architecture", "johnson"), ("convention", "relative")):
            if not isinstance(getattr(self, name), str):
                raise RecipeError(
                    f"The {name} should be a name such as {usual!r}, not {one_line(getattr(self, name))}."
                )
        check_weights(RecipeError, self)

    def options(self, *, warm: bool = False) -> list[str]:
        """The options of ``python -m nst_core train`` for all settings that differ from their defaults, as words.

        With a ``warm`` start, ``train`` itself leaves the reconstruction out.
        """
        words, usual = [], Recipe()
        for setting in fields(self):
            value, default = getattr(self, setting.name), getattr(usual, setting.name)
            if value == default or (warm and setting.name == "reconstruction_steps"):
                continue
            option = f"--{setting.name.replace('_', '-')}"
            if isinstance(value, dict):
                # No layer at all, which an option cannot say, is written as the default ones with weight 0.
                for layer, weight in (value or dict.fromkeys(default, 0)).items():
                    words += [option.removesuffix("s"), f"{layer}={weight}".removesuffix(".0")]
            else:
                words += [option, str(value).removesuffix(".0")]
        return words

    def rate_at(self, step: int) -> float:
        """Learning rate at a step, 0 ≤ step < steps."""
        steps = self.steps - self.reconstruction_steps
        step -= self.reconstruction_steps
        if step < 0:
            return self.learning_rate
        rise = max(1.0, self.warm_up * steps)
        if step < rise:
            return self.learning_rate * min(1.0, (step + 1) / rise)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, steps - rise)))


def check_recipe(recipe: object) -> None:
    """Refuse what is not a ``Recipe``, such as the id of an architecture, and one that leaves no step for the painting.

    Raises:
        RecipeError: it is one of these.
    """
    if not isinstance(recipe, Recipe):
        raise RecipeError(f"A recipe is Recipe(architecture='johnson', …), not {one_line(recipe)}.")
    if recipe.reconstruction_steps >= recipe.steps:
        raise RecipeError(
            f"It takes {count(recipe.reconstruction_steps, 'step')} to teach the network to give a photograph back, "
            f"which leaves none of {recipe.steps} for the painting: choose more steps, or fewer reconstruction steps."
        )
