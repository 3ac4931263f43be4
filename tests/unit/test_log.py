"""The log: one JSON object a line from whoever logs, without values of rows. It is global, so in its own process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def said(code: str, level: str = "info") -> list[dict[str, Any]]:
    program = f"from app import log as logs\nlogs.configure({level!r})\n{code}"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_all_ways_to_log_end_in_the_same_form() -> None:
    found = said(
        """
import logging, logging.config, threading, warnings, structlog
structlog.contextvars.bind_contextvars(request="id-1")
structlog.get_logger().info("ours", number=1)
logging.getLogger("library").warning("theirs %s", 2)
warnings.warn("old")
logging.config.dictConfig(logs.for_gunicorn("info"))
logging.getLogger("gunicorn.error").info("gunicorn's")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("the last word")
"""
    )
    events = [line["event"] for line in found]
    assert events[:2] == ["ours", "theirs 2"] and "UserWarning: old" in events[2]
    assert events[3:] == ["gunicorn's", "uncaught", "uncaught"]
    assert all(line["level"] and line["timestamp"] for line in found)
    assert found[0]["number"] == 1 and found[0]["request"] == found[1]["request"] == "id-1"
    assert "ZeroDivisionError" in found[4]["exception"] and "the last word" in found[5]["exception"]


def test_the_values_of_a_refused_row_are_left_out() -> None:
    (line,) = said(
        """
import structlog
try:
    try:
        raise ValueError('violates "ck"\\nDETAIL:  Failing row contains (1, {"PASSWORD": "canary"},\\nmore canary).\\n')
    except ValueError as error:
        raise RuntimeError("again") from error
except RuntimeError:
    structlog.get_logger().exception("defect", error="x DETAIL: canary")
"""
    )
    assert "canary" not in json.dumps(line)
    assert "RuntimeError: again" in line["exception"] and 'violates "ck"' in line["exception"]


def test_the_level_is_kept_to() -> None:
    assert said("import structlog\nstructlog.get_logger().info('quiet')", "warning") == []


def test_lines_of_many_threads_and_processes_stay_whole() -> None:
    program = (
        "import os, threading; from app import log; import structlog\n"
        "log.configure('info'); os.fork(); write = structlog.get_logger().info\n"
        "go = lambda: [write('event', text='x' * 200) for _ in range(300)]\n"
        "threads = [threading.Thread(target=go) for _ in range(4)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)
    lines = done.stderr.decode().splitlines()
    assert len(lines) == 2400 and all(json.loads(line)["event"] == "event" for line in lines)
