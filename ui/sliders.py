"""Sliders whose numbers are within their ends, whatever somebody types beside them."""

import json
from collections.abc import Iterable
from typing import Any

import gradio as gr


def slider(least: float, most: float, **options: Any) -> gr.Slider:
    """A slider without Gradio's button ↺, of which no listener hears."""
    return gr.Slider(least, most, buttons=[], **options)


def within(inputs: Iterable[Any]) -> str:
    """JavaScript that brings an event's inputs within the ends of those that are sliders.

    Of a number that is typed beyond its ends a slider makes its end, and tells nobody.
    """
    ends = [[one.minimum, one.maximum, one.step] if isinstance(one, gr.Slider) else None for one in inputs]
    return f"""(...values) => values.map((value, at) => {{
        const [least, most, step] = {json.dumps(ends)}[at] ?? [];
        if (step === undefined) return value;
        return Math.min(most, Math.max(least, step === 1 ? Math.round(value) : value));  // an emptied field is 0
    }})"""
