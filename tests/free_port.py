"""A port for a server of a test: of those that Gradio would look for, another worker may take the same one."""

import random
import socket
from contextlib import suppress


def free_port() -> int:
    """A port below those that a system hands out by itself: a server takes it seconds later."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as free, suppress(OSError):
            free.bind(("127.0.0.1", port))
            return port
    raise AssertionError("a hundred ports are taken")
