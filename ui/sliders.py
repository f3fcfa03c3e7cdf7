"""Sliders whose numbers are within their ends, whatever somebody types beside them.

A slider turns a number typed beyond its ends into the end, and tells nobody. Of an emptied field, see ui/page.js.
"""

import math
from collections.abc import Iterable
from typing import Any

import gradio as gr


def slider(least: float, most: float, **options: Any) -> gr.Slider:
    """A slider without Gradio's button ↺, which listeners are not told of."""
    return gr.Slider(least, most, buttons=[], **options)


def within(inputs: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """The values of an event's inputs, those of sliders within their ends."""
    # Not in the browser: there, "always_last" would lose the last event if the one before it ended meanwhile.
    return [
        _shown(one, value) if isinstance(one, gr.Slider) else value for one, value in zip(inputs, values, strict=True)
    ]


def _shown(one: gr.Slider, value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return value  # no number, which is refused
    return min(one.maximum, max(one.minimum, round(value) if one.step == 1 else value))


def ends(inputs: Iterable[Any]) -> list[Any]:
    """Of each of an event's inputs that is a slider, its ends and step: ``within`` in ui/links.js takes them."""
    return [[one.minimum, one.maximum, one.step] if isinstance(one, gr.Slider) else None for one in inputs]
