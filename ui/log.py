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
HUB = get_logger().name
MAX_TRACEBACK_FRAMES = 12
"""How many of the innermost frames of a failure are logged."""


def log_event(event: str, level: int = logging.INFO, **facts: str | int | float | list[str]) -> None:
    """Write down and count that something happened."""
    EVENTS.labels(event).inc()
    rounded = {name: round(fact, 3) if isinstance(fact, float) else fact for name, fact in facts.items()}
    logger.log(level, event, extra={"facts": rounded})


def log_failure(error: BaseException) -> None:
    """Write down an unforeseen error: where it was and its type alone, as its words may be a person's."""
    frames = traceback.extract_tb(error.__traceback__)[-MAX_TRACEBACK_FRAMES:]
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    log_event("failed", logging.ERROR, error=type(error).__name__, where=where)


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
            # Messages about a picture contain its file's name.
            words = record.msg.replace("%s", "…") if record.name == images.__name__ else record.getMessage()
            if record.name.startswith(HUB):  # its words name the repository that a person asked for
                words = "…"
            line |= {"event": "log", "logger": record.name, "message": words}
            if record.exc_info:
                line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


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
