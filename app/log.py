"""Structured logs, one JSON object a line, on standard error. Never bodies, queries, environments, or registry
credentials.

Libraries that log in their own way (gunicorn is one) end in the same form, and so does an exception that nobody caught.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections.abc import MutableMapping
from typing import Any

import structlog

#: What PostgreSQL says of a row that it refused holds the row's values, line ends and all.
_VALUES = re.compile(r"(DETAIL: ).*?(?=\n\[SQL|\n\nThe above exception|\n\nDuring handling|\Z)", re.DOTALL)


def _without_values(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in ("exception", "error", "cause"):
        if isinstance(text := line.get(key), str):
            line[key] = _VALUES.sub(r"\1(left out)", text)
    return line


_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    _without_values,
]


def configure(level: str) -> None:
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(number),
        processors=[*_PROCESSORS, structlog.processors.JSONRenderer()],
        # A line in one write: threads and processes share what it goes to.
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def formatter() -> logging.Formatter:
    """Makes a line of the same form of what comes through `logging`."""
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *_PROCESSORS],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )


def for_gunicorn(level: str) -> dict[str, Any]:
    """gunicorn's `logconfig_dict`."""
    to_us = {"level": level.upper(), "handlers": ["ours"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"ours": {"()": formatter}},
        "handlers": {"ours": {"class": "logging.StreamHandler", "formatter": "ours", "stream": "ext://sys.stderr"}},
        "root": {"level": "WARNING", "handlers": ["ours"]},
        "loggers": {"gunicorn.error": to_us, "gunicorn.access": to_us},
    }


def _uncaught(kind: Any, error: Any, trace: Any) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt):
        structlog.get_logger().error("uncaught", exc_info=(kind, error, trace))
