"""Sliders whose numbers are within their ends, whatever somebody types beside them.

Of a number that is typed beyond its ends a slider makes its end, and tells nobody; of an emptied field, its least.
"""

import json
import math
from collections.abc import Iterable
from typing import Any

import gradio as gr


def slider(least: float, most: float, **options: Any) -> gr.Slider:
    """A slider without Gradio's button ↺, of which no listener hears."""
    return gr.Slider(least, most, buttons=[], **options)


def within(inputs: Iterable[Any], values: Iterable[Any]) -> list[Any]:
    """The values of an event's inputs, those of sliders within their ends."""
    # Not in the browser, where what "always_last" comes last would be lost if the one before it ended meanwhile.
    return [
        _shown(one, value) if isinstance(one, gr.Slider) else value for one, value in zip(inputs, values, strict=True)
    ]


def _shown(one: gr.Slider, value: Any) -> Any:
    if value is None:
        return one.minimum
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return value  # which is none, and is refused
    return min(one.maximum, max(one.minimum, round(value) if one.step == 1 else value))


def within_in_browser(inputs: Iterable[Any]) -> str:
    """JavaScript that does the same."""
    ends = [[one.minimum, one.maximum, one.step] if isinstance(one, gr.Slider) else None for one in inputs]
    return f"""(...values) => values.map((value, at) => {{
        const [least, most, step] = {json.dumps(ends)}[at] ?? [];
        if (step === undefined) return value;
        return Math.min(most, Math.max(least, step === 1 ? Math.round(value) : value));
    }})"""
