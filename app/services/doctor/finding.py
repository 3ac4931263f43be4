"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    name: str
    verdict: Verdict
    #: What is seen, and what to do where it is not well.
    seen: str
    advice: str = ""


def ok(name: str, seen: str) -> Finding:
    return Finding(name, Verdict.OK, seen)


def warn(name: str, seen: str, advice: str) -> Finding:
    return Finding(name, Verdict.WARN, seen, advice)


def bad(name: str, seen: str, advice: str) -> Finding:
    return Finding(name, Verdict.BAD, seen, advice)


def span(seconds: float) -> str:
    """A length of time as people say it."""
    for unit, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"


def size(value: float) -> str:
    return f"{value / (1 << 30):.1f} GiB"
