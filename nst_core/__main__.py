"""``python -m nst_core``: see ``nst_core.cli``."""

import sys


def main() -> None:
    """Run; Ctrl-C ends it quietly at any moment, with exit status 130."""
    try:
        from nst_core import cli  # here, for it takes a while, and Ctrl-C is to be quiet then, too

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
