"""The base of every refusal: an error whose message is one sentence for the person in front of it."""

import math
import sys
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, get_args


class NSTError(ValueError):
    """Something a person asked for cannot be done; ``str(error)`` says what was wrong and what would be right.

    The command line prints the message and exits 1, the page shows it; anything else that is raised is a bug.
    """

    style: str | None = None
    """The id of the registry's style that cannot be opened, if that is why."""


def one_line(value: object) -> str:
    """What was given instead of what would be right, on one line of at most 80 characters."""
    return " ".join(repr(value).split())[:80]


def check_number(
    error: type[NSTError], name: str, value: object, least: float, most: float = float("inf"), *, whole: bool = False
) -> Any:
    """``value`` as a Python number, finite, from ``least`` to ``most``; a ``whole`` one is an integer.

    Raises:
        error: it is not such a number; the message calls it ``name``.
    """
    number: Any = value
    # NumPy's numbers, which not every file format can hold; its float64 is a float, too.
    if isinstance(value, Real) and type(value) not in (bool, int, float):
        number = int(value) if isinstance(value, Integral) else float(value)
    # Infinity is refused even without an upper bound, and so are integers beyond the largest float.
    within = isinstance(number, int | float) and least <= number <= min(most, sys.float_info.max)
    if within and not isinstance(number, bool) and (not whole or number == int(number)):
        return int(number) if whole else number
    # As :g, a large integer would be rounded, perhaps to one beyond the bound.
    low, high = (str(bound) if isinstance(bound, int) else f"{bound:g}" for bound in (least, most))
    bounds = f"from {low} to {high}" if most < float("inf") else f"of at least {low}"
    raise error(f"The {name} should be a {'whole number' if whole else 'number'} {bounds}, not {one_line(value)}.")


def check_setting(
    error: type[NSTError], settings: object, name: str, least: float, most: float = float("inf"), *, whole: bool = False
) -> None:
    """Replace a number among the fields of a frozen dataclass by what ``check_number`` makes of it.

    Raises:
        error: as ``check_number``.
    """
    value = check_number(error, name.replace("_", " "), getattr(settings, name), least, most, whole=whole)
    object.__setattr__(settings, name, value)


def check_choice(error: type[NSTError], name: str, value: object, choices: Any) -> None:
    """Refuse a value that is none of ``choices``, a ``Literal`` of text.

    Raises:
        error: it is none of them; the message calls it ``name``.
    """
    if value not in get_args(choices):
        *most, last = get_args(choices)
        raise error(f"The {name} should be {', '.join(most)} or {last}, not {one_line(value)}.")


def check_layer_weights(error: type[NSTError], settings: object) -> None:
    """Replace the ``content_layers`` and ``style_layers`` of a frozen dataclass by dicts of weights by layer name.

    Raises:
        error: one of them is not a mapping of names, or a weight is negative or not a finite number.
    """
    for kind in ("content", "style"):
        layers = getattr(settings, f"{kind}_layers")
        if not isinstance(layers, Mapping) or not all(isinstance(layer, str) for layer in layers):
            raise error(
                f"The {kind} layers should be weights by name such as {{'conv2_2': 1.0}}, not {one_line(layers)}."
            )
        checked = {
            layer: check_number(error, f"weight of {kind} layer {layer}", weight, 0) for layer, weight in layers.items()
        }
        object.__setattr__(settings, f"{kind}_layers", checked)


def check_weights(error: type[NSTError], settings: Any) -> None:
    """``check_layer_weights``, and refuse weights of content, style and total variation that no loss can be made of.

    Raises:
        error: also, their products with the layers' weights are not finite, or all 0.
    """
    check_layer_weights(error, settings)
    content, style = (max(layers.values(), default=0) for layers in (settings.content_layers, settings.style_layers))
    most = max(settings.content_weight * content, settings.style_weight * style, settings.total_variation)
    if not 0 < most < math.inf:
        raise error("The weights of content, style and total variation should be finite and not all 0.")
