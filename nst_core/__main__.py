"""``python -m nst_core``: see ``nst_core.cli``."""

import atexit
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Run; Ctrl-C, SIGTERM, or a closed terminal ends it quietly at any moment, with exit status 130."""
    status = 1  # as after a traceback

    def leave() -> None:
        for stream in (sys.stdout, sys.stderr):
            if stream:
                stream.flush()
        os._exit(status)

    # What is registered first runs last, when all else is done. Python would go on to take PyTorch's libraries for GPUs
    # apart, which takes half a second and, for that moment, more memory than was needed until then.
    atexit.register(leave)
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _interrupt)
    try:
        from nst_core import cli  # here: it takes a while, and Ctrl-C is to be quiet then, too

        cli.main()
        status = 0
    except SystemExit as ended:
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        raise
    except KeyboardInterrupt:
        status = 130
        sys.exit(status)


def _interrupt(*_: Any) -> None:
    """Act as on Ctrl-C, even where that is ignored, as in a script's background jobs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    main()
