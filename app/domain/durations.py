"""Durations as Docker writes them (github.com/docker/go-units, HumanDuration)."""

from __future__ import annotations

import re
from datetime import UTC, datetime

_GO_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)")


def human(seconds: float) -> str:
    """ "Less than a second", "5 seconds", "About a minute", "3 hours" and so on."""
    whole = int(seconds)
    minutes = whole // 60
    hours = int(seconds / 3600 + 0.5)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{int(seconds / 3600) // 24 // 365} years"


def parse_go_time(text: str) -> datetime | None:
    """An engine's RFC 3339 time with nanoseconds; None for Go's zero time."""
    if not text or text.startswith("0001-"):
        return None
    match = _GO_TIME.fullmatch(text)
    if match is None:
        return None
    moment, fraction, zone = match.groups()
    micros = f"{(fraction or '0')[:6]:0<6}"
    return datetime.fromisoformat(f"{moment}.{micros}{'+00:00' if zone == 'Z' else zone}").astimezone(UTC)
