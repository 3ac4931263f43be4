"""The filters of `docker images` and `docker image prune`, on the images of one account.

As in moby daemon/images/images.go and image_prune.go, engine 20.10.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import re2

from app.domain import image_view
from app.errors import InvalidParameter

Filters = Mapping[str, Sequence[str]]

KNOWN = ("dangling", "label", "before", "since", "reference")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Candidate:
    """An image, its names as people write them, and whether another image of the account was made from it."""

    content: dict[str, Any]
    tags: list[str]
    digests: list[str]
    has_children: bool


def select(
    candidates: Collection[Candidate],
    filters: Filters,
    *,
    everything: bool,
    created_of: Callable[[str], datetime | None],
) -> list[Candidate]:
    """Those that pass, in the given order, each with the names that pass.

    `created_of` gives the time of the image that `before` or `since` names. Raises InvalidParameter and what it raises.
    """
    check(filters)
    dangling = _dangling(filters)
    before = min((created_of(name) or _EPOCH for name in filters.get("before", ())), default=None)
    since = max((created_of(name) or _EPOCH for name in filters.get("since", ())), default=None)
    patterns = [_pattern(text) for text in filters.get("reference", ())]
    chosen = []
    for candidate in candidates:
        moment = image_view.created(candidate.content) or _EPOCH
        if (before is not None and moment >= before) or (since is not None and moment <= since):
            continue
        if not _labelled(candidate, filters.get("label", ())):
            continue
        tags, digests = candidate.tags, candidate.digests
        if patterns:
            tags = [name for name in tags if _matches(patterns, name, name.rpartition(":")[0])]
            digests = [name for name in digests if _matches(patterns, name, name.partition("@")[0])]
        if not tags and not digests:
            # Without a name, or without one that was asked for.
            if patterns or dangling is False or (candidate.has_children and not everything):
                continue
        elif dangling and tags:
            continue
        chosen.append(Candidate(candidate.content, tags, digests, candidate.has_children))
    return chosen


def check(filters: Filters) -> None:
    """Raises InvalidParameter where there is a filter that is not known."""
    for key in filters:
        if key not in KNOWN:
            raise InvalidParameter(f"Invalid filter '{key[:64]}'")


def _dangling(filters: Filters) -> bool | None:
    values = list(filters.get("dangling", ()))
    if not values:
        return None
    words = {"true": True, "1": True, "false": False, "0": False}
    if len({words.get(value) for value in values}) != 1 or values[0] not in words:
        raise InvalidParameter(f"Invalid filter 'dangling=[{' '.join(values)[:64]}]'")
    return words[values[0]]


def _labelled(candidate: Candidate, wanted: Sequence[str]) -> bool:
    labels = image_view.labels(candidate.content) or {}
    return all(_has_label(labels, text) for text in wanted)


def _matches(patterns: Sequence[Any], full: str, repository: str) -> bool:
    return any(p.fullmatch(full) or p.fullmatch(repository) for p in patterns)


def _pattern(glob: str) -> Any:
    """A glob of Go's path.Match as a regular expression, RE2 so that it cannot be made to run away."""
    out = []
    rest = glob
    try:
        while rest:
            first, rest = rest[0], rest[1:]
            if first == "*":
                out.append("[^/]*")
            elif first == "?":
                out.append("[^/]")
            elif first == "[":
                text, rest = _class(rest)
                out.append(text)
            elif first == "\\":
                out.append(re2.escape(rest[0]))
                rest = rest[1:]
            else:
                out.append(re2.escape(first))
        return re2.compile("".join(out))
    except (IndexError, re2.error):
        raise InvalidParameter("syntax error in pattern") from None


def _class(rest: str) -> tuple[str, str]:
    """A character class behind its bracket: (as regular expression, what follows). Raises IndexError if malformed."""
    negated = rest[0] == "^"
    rest = rest[1:] if negated else rest
    ranges: list[str] = []
    while rest[0] != "]" or not ranges:
        low, rest = _character(rest)
        high = low
        if rest[0] == "-":
            high, rest = _character(rest[1:])
        if low <= high:
            ranges.append(f"\\x{{{ord(low):x}}}-\\x{{{ord(high):x}}}")
        else:
            raise IndexError
    return f"[{'^' if negated else ''}{''.join(ranges)}]", rest[1:]


def _character(rest: str) -> tuple[str, str]:
    if rest[0] in "-]":
        raise IndexError
    if rest[0] == "\\":
        return rest[1], rest[2:]
    return rest[0], rest[1:]


@dataclass(frozen=True)
class Prune:
    """The filters of `docker image prune`."""

    dangling: bool
    until: datetime | None
    labels: tuple[str, ...]
    not_labels: tuple[str, ...]

    KNOWN: ClassVar = ("dangling", "label", "label!", "until")

    @classmethod
    def parse(cls, filters: Filters) -> Prune:
        """Raises InvalidParameter in dockerd's words."""
        for key in filters:
            if key not in cls.KNOWN:
                raise InvalidParameter(f"Invalid filter '{key[:64]}'")
        dangling = _dangling(filters)
        moments = list(filters.get("until", ()))
        if len(moments) > 1:
            raise InvalidParameter("more than one until filter specified")
        until = _moment(moments[0]) if moments else None
        labels, not_labels = tuple(filters.get("label", ())), tuple(filters.get("label!", ()))
        return cls(dangling is not False, until, labels, not_labels)

    def takes(self, content: dict[str, Any], labels_of: Callable[[dict[str, Any]], dict[str, str] | None]) -> bool:
        moment = image_view.created(content) or _EPOCH
        if self.until is not None and moment > self.until:
            return False
        labels = labels_of(content) or {}
        if not all(_has_label(labels, wanted) for wanted in self.labels):
            return False
        return not any(_has_label(labels, wanted) for wanted in self.not_labels)


def _has_label(labels: Mapping[str, str], wanted: str) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(h|ms|m|us|µs|ns|s)")
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def _moment(text: str) -> datetime:
    """A time: seconds since 1970, a date in ISO form (UTC unless it says otherwise), or a duration before now."""
    try:
        if re.fullmatch(r"[0-9]{1,11}(?:\.[0-9]{1,9})?", text):
            return datetime.fromtimestamp(float(text), UTC)
        if _DURATION.match(text) and not _DURATION.sub("", text):
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))
            return datetime.now(UTC) - timedelta(seconds=seconds)
        if re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            moment = datetime.fromisoformat(text)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidParameter(f'failed to parse value as time or duration: "{text[:64]}"')
