"""The refusals that are the page's own."""

from nst_core.errors import NSTError


class PageError(NSTError):
    """This server refuses what was asked for, though the library would do it."""
