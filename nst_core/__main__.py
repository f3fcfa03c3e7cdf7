"""``python -m nst_core``: see ``nst_core.cli``."""

import signal
import sys
from typing import Any


def main() -> None:
    """Run; Ctrl-C, SIGTERM, or a closed terminal ends it quietly at any moment, with exit status 130."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    try:
        from nst_core import cli  # here: it takes a while, and Ctrl-C is to be quiet then, too

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


def _interrupt(*_: Any) -> None:
    """Act as on Ctrl-C, even where that is ignored, as in a script's background jobs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
