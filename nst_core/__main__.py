"""``python -m nst_core``: see ``nst_core.cli``."""

from nst_core.cli import main

main()
