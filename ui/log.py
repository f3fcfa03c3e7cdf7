"""What an operator is told: one JSON object per line on stderr, and the same in numbers for Prometheus.

Nothing about people is in it: no picture, no file's name, no address, no text that somebody wrote.
"""

import json
import logging
import sys
import traceback
from datetime import datetime, timezone

from huggingface_hub.utils.logging import get_logger
from prometheus_client import Counter, Histogram

from nst_core import images

logger = logging.getLogger("nst")

EVENTS = Counter("nst_events", "What happened, by its name in the log.", ["event"])
PAINTING_SECONDS = Histogram(
    "nst_painting_seconds",
    "How long a network took to paint a photograph.",
    ["style"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
WAITING_SECONDS = Histogram(
    "nst_waiting_seconds",
    "How long a person waited in the queue before their turn.",
    buckets=(0.01, 0.1, 1, 5, 15, 60, 300),
)
OURS = ("nst_core", "ui", "py")
"""Whose messages are written down as they are, ``py.warnings`` among them: those of others may hold anybody's words."""
MAX_MESSAGE = 500
"""The most characters of a message."""
MAX_TRACEBACK_FRAMES = 12
"""How many of the innermost frames of a failure are logged."""


def log_event(event: str, level: int = logging.INFO, **facts: str | int | float | list[str] | None) -> None:
    """Write down and count that something happened; a fact that is None is left out."""
    EVENTS.labels(event).inc()
    known = {name: fact for name, fact in facts.items() if fact is not None}
    rounded = {name: round(fact, 3) if isinstance(fact, float) else fact for name, fact in known.items()}
    logger.log(level, event, extra={"facts": rounded})


def log_failure(error: BaseException) -> None:
    """Write down an unforeseen error."""
    log_event("failed", logging.ERROR, error=type(error).__name__, where=where(error))


def where(error: BaseException) -> list[str]:
    """Where it was; its words, which may be a person's, are not written down."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_TRACEBACK_FRAMES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


class JSONLines(logging.Formatter):
    """One object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
        }
        if hasattr(record, "facts"):
            line |= {"event": record.getMessage(), **record.facts}
        else:
            words = str(record.msg).replace("%s", "…") if record.args else "…"
            # Messages about a picture contain its file's name.
            if record.name.partition(".")[0] in OURS and record.name != images.__name__:
                words = record.getMessage()
            line |= {"event": "log", "logger": record.name, "message": words[:MAX_MESSAGE]}
            line["where"] = [f"{record.pathname}:{record.lineno} {record.funcName}"]
            if record.exc_info and (error := record.exc_info[1]):
                line |= {"error": type(error).__name__, "where": where(error)}
        return json.dumps(line)


def log_to_stderr() -> None:
    """Have this process write nothing else there, even for the libraries' warnings."""
    get_logger().handlers.clear()  # the Hub's client brings one of its own, which would write everything again
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JSONLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logger.setLevel(logging.INFO)


def take_over_uvicorn() -> None:
    """Drop the web server's own handlers, once it runs."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # it would write addresses
