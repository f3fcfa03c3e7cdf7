"""The page's looks: a theme in the colours of paper, ink and Prussian blue, and CSS for what it cannot say."""

from pathlib import Path

import gradio as gr

CSS = Path(__file__).with_name("page.css")

PRUSSIAN = gr.themes.Color(
    name="prussian",
    c50="#eef4f8", c100="#d9e6ef", c200="#b6cfdf", c300="#88afc8", c400="#5388aa", c500="#2f6a8f",
    c600="#1f5377", c700="#1a4461", c800="#18394f", c900="#152f42", c950="#0d1e2c",
)  # fmt: skip
PAPER = gr.themes.Color(
    name="paper",
    c50="#faf8f4", c100="#f3efe8", c200="#e6e0d5", c300="#d0c8ba", c400="#a39a8b", c500="#7a7266",
    c600="#5d564c", c700="#443f38", c800="#2a2723", c900="#1d1b18", c950="#141311",
)  # fmt: skip

# System fonts alone: the page asks no other server for anything.
THEME = gr.themes.Base(
    primary_hue=PRUSSIAN,
    secondary_hue=PRUSSIAN,
    neutral_hue=PAPER,
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"],
    font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_text_color_subdued="*neutral_600",
    link_text_color_dark="*primary_300",
    link_text_color_hover_dark="*primary_200",
    link_text_color_visited_dark="*primary_300",
    link_text_color_active_dark="*primary_200",
    block_background_fill_dark="*neutral_900",
    block_border_color_dark="*neutral_800",
    block_radius="10px",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    block_label_border_width="0",
    block_label_text_color="*neutral_600",
    block_label_text_color_dark="*neutral_400",
    block_title_text_color="*neutral_600",
    block_title_text_color_dark="*neutral_400",
    button_secondary_background_fill="*primary_600",
    button_secondary_background_fill_hover="*primary_500",
    button_secondary_text_color="white",
    button_secondary_background_fill_dark="*primary_500",
    button_secondary_background_fill_hover_dark="#3d7497",
    input_placeholder_color="*neutral_600",
    input_placeholder_color_dark="*neutral_300",
    slider_color="*primary_600",
    slider_color_dark="*primary_400",
    checkbox_label_background_fill="white",
    checkbox_label_background_fill_dark="*neutral_900",
    checkbox_label_background_fill_hover="*neutral_100",
    checkbox_label_background_fill_hover_dark="*neutral_800",
    checkbox_label_border_width="1px",
    checkbox_label_border_width_dark="1px",
    checkbox_label_padding="6px 10px",
    checkbox_label_gap="6px",
    checkbox_label_text_color="*neutral_700",
    checkbox_label_text_color_dark="*neutral_300",
    checkbox_label_background_fill_selected="*primary_600",
    checkbox_label_background_fill_selected_dark="*primary_500",
    checkbox_label_text_color_selected="white",
    checkbox_label_text_color_selected_dark="white",
)
