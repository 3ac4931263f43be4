"""The filters that several lists and prunes share: labels, and times before which something was made."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from app.errors import InvalidParameter

Filters = Mapping[str, Sequence[str]]

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})(h|ms|m|us|µs|ns|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def check_known(filters: Filters, known: Sequence[str]) -> None:
    """Raises InvalidParameter in dockerd's words for a filter that is not known."""
    for key in filters:
        if key not in known:
            raise InvalidParameter(f"Invalid filter '{key[:64]}'")


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """`wanted` is `key` or `key=value`."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def passes(labels: Mapping[str, str], filters: Filters) -> bool:
    """All of `label`, none of `label!`."""
    return all(has_label(labels, wanted) for wanted in filters.get("label", ())) and not any(
        has_label(labels, wanted) for wanted in filters.get("label!", ())
    )


def boolean(filters: Filters, key: str) -> bool | None:
    """A filter that is true or false, None where it is absent. Raises InvalidParameter in dockerd's words."""
    if key not in filters:
        return None
    values = set(filters[key])
    if values and values <= {"1", "true"}:
        return True
    if values and values <= {"0", "false"}:
        return False
    raise InvalidParameter(f"Invalid filter '{key}=[{' '.join(filters[key])[:64]}]'")


def until(filters: Filters) -> datetime | None:
    """The moment of `until`, None where it is absent. Raises InvalidParameter."""
    values = list(filters.get("until", ()))
    if len(values) > 1:
        raise InvalidParameter("more than one until filter specified")
    return moment(values[0]) if values else None


def moment(text: str) -> datetime:
    """A time: seconds since 1970, a date (UTC unless it says otherwise), or a duration before now."""
    try:
        if re.fullmatch(r"[0-9]{1,11}(?:\.[0-9]{1,9})?", text):
            return datetime.fromtimestamp(float(text), UTC)
        if _DURATION.match(text) and not _DURATION.sub("", text):
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))
            return datetime.now(UTC) - timedelta(seconds=seconds)
        if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            found = datetime.fromisoformat(text)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidParameter(f'failed to parse value as time or duration: "{text[:64]}"')
