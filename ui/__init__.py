"""The page: what a person sees of ``nst_core``, one file per tab."""

from ui.page import build_page

__all__ = ["build_page"]
