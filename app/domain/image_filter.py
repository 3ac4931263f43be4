"""The filters of `docker images` and `docker image prune`, on the images of one account.

As in moby daemon/images/images.go and image_prune.go, engine 20.10.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from app.domain import image_view, label_filter
from app.domain import pattern as pattern_of
from app.domain.label_filter import Filters
from app.errors import InvalidParameter

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
    labels = {"label": filters.get("label", ())}
    chosen = []
    for candidate in candidates:
        moment = image_view.created(candidate.content) or _EPOCH
        if (before is not None and moment >= before) or (since is not None and moment <= since):
            continue
        if not label_filter.passes(image_view.labels(candidate.content) or {}, labels):
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
    label_filter.check_known(filters, KNOWN)


def _dangling(filters: Filters) -> bool | None:
    return label_filter.boolean(filters, "dangling") if filters.get("dangling") else None


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
                out.append(pattern_of.escape(rest[0]))
                rest = rest[1:]
            else:
                out.append(pattern_of.escape(first))
        return pattern_of.compile("".join(out))
    except (IndexError, pattern_of.error):
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
        label_filter.check_known(filters, cls.KNOWN)
        dangling = _dangling(filters)
        until = label_filter.until(filters)
        labels, not_labels = tuple(filters.get("label", ())), tuple(filters.get("label!", ()))
        return cls(dangling is not False, until, labels, not_labels)

    def takes(self, content: dict[str, Any], labels_of: Callable[[dict[str, Any]], dict[str, str] | None]) -> bool:
        moment = image_view.created(content) or _EPOCH
        if self.until is not None and moment > self.until:
            return False
        return label_filter.passes(labels_of(content) or {}, {"label": self.labels, "label!": self.not_labels})
