"""What the service counts, for Prometheus. `deploy/README.md` lists it.

Each process writes its own numbers to files in one folder, a few microseconds a time and without a system call; the
exporter (`exporter.py`, in the observer) adds them up. Before `start` nothing is counted: the operator's command and
tests have nothing to tell.

No label names an account or an object of one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
#: What a label may say of a client's method; clients may invent others.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE"})


class _Numbers:
    def __init__(self) -> None:
        registry = CollectorRegistry()  # not read here: the exporter reads the files
        self.requests = Counter(
            "sdc_requests", "Requests answered.", ["operation", "method", "status"], registry=registry
        )
        self.seconds = Histogram(
            "sdc_request_seconds",
            "From a complete request to the end of its answer, or to a stream's begin.",
            ["operation"],
            buckets=SECONDS,
            registry=registry,
        )
        self.streams = Gauge("sdc_streams", "Open streams.", ["kind"], multiprocess_mode="livesum", registry=registry)
        self.relayed = Counter("sdc_relay_bytes", "Bytes that streams moved.", ["direction"], registry=registry)
        self.worker = Gauge(
            "sdc_api",
            "Of all API workers: connections, threads, threads_busy, requests_waiting for a thread.",
            ["what"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.pool = Gauge(
            "sdc_database_connections",
            "Database connections: used, and the most that there may be.",
            ["what"],
            multiprocess_mode="livesum",
            registry=registry,
        )
        self.engine_seconds = Histogram(
            "sdc_engine_seconds",
            "Engine calls, from the request to the head of the answer.",
            ["method", "noun"],
            buckets=SECONDS,
            registry=registry,
        )
        self.engine_calls = Counter(
            "sdc_engine_calls",
            "Engine calls by outcome: ok, refused, failed, unreachable.",
            ["method", "noun", "outcome"],
            registry=registry,
        )
        self.event_delay = Histogram(
            "sdc_event_delay_seconds",
            "From an event at its engine, by the engine's clock, to its row.",
            buckets=SECONDS,
            registry=registry,
        )
        self.moved = {"up": 0, "down": 0}
        self.kinds: set[str] = set()


_numbers: _Numbers | None = None


def start(folder: Path) -> None:
    """Count from now on, in files in `folder`. To be called after the fork."""
    global _numbers  # noqa: PLW0603  (a process has one set of numbers)
    if _numbers is None:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        # Both are where prometheus-client looks when it makes a number.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        identity = f"{os.getpid()}-{process_start(os.getpid())}"
        values.ValueClass = values.MultiProcessValue(lambda: identity)
        _numbers = _Numbers()


def process_start(pid: int) -> str:
    """When a process started, in the kernel's ticks; with its id it tells it from all others. "" = there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def count_request(operation: str, method: str, status: int, seconds: float | None) -> None:
    if _numbers is not None:
        _numbers.requests.labels(operation or "none", method if method in _METHODS else "other", status).inc()
        if seconds is not None:
            _numbers.seconds.labels(operation or "none").observe(seconds)


def set_worker(*, connections: int, busy: int, threads: int, waiting: int) -> None:
    if _numbers is not None:
        for what, number in (
            ("connections", connections),
            ("threads", threads),
            ("threads_busy", busy),
            ("requests_waiting", waiting),
        ):
            _numbers.worker.labels(what).set(number)


def set_streams(kinds: Mapping[str, int], up: int, down: int) -> None:
    """Open streams by kind, and the bytes moved since the process began."""
    if _numbers is None:
        return
    _numbers.kinds |= kinds.keys()
    for kind in _numbers.kinds:
        _numbers.streams.labels(kind or "none").set(kinds.get(kind, 0))
    for direction, total in (("up", up), ("down", down)):
        _numbers.relayed.labels(direction).inc(total - _numbers.moved[direction])
        _numbers.moved[direction] = total


def set_database_pool(used: int, most: int) -> None:
    if _numbers is not None:
        _numbers.pool.labels("used").set(used)
        _numbers.pool.labels("most").set(most)


def count_engine_call(method: str, path: str, outcome: str, seconds: float) -> None:
    if _numbers is not None:
        # The first word of a path is one of the Engine API's nouns; what follows may be a name.
        noun = path.strip("/").partition("/")[0]
        _numbers.engine_calls.labels(method, noun, outcome).inc()
        _numbers.engine_seconds.labels(method, noun).observe(seconds)


def note_event_delay(seconds: float) -> None:
    if _numbers is not None:
        _numbers.event_delay.observe(max(seconds, 0.0))
