"""The filters of `docker volume ls` and `docker volume prune`, on the volumes of one account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from app.domain import label_filter
from app.domain import pattern as pattern_of
from app.domain.label_filter import Filters
from app.domain.volume import ANONYMOUS_LABEL, Volume

KNOWN = ("dangling", "driver", "label", "name")
PRUNE_KNOWN = ("all", "label", "label!")


def check(filters: Filters) -> None:
    """Raises InvalidParameter."""
    label_filter.check_known(filters, KNOWN)
    label_filter.boolean(filters, "dangling")


def select(volumes: Iterable[Volume], filters: Filters) -> list[Volume]:
    """Those that pass all filters, in the given order. Raises InvalidParameter."""
    check(filters)
    dangling = label_filter.boolean(filters, "dangling")
    drivers, names = filters.get("driver") or ("local",), list(filters.get("name", ()))
    patterns = [pattern for name in names if (pattern := _pattern(name)) is not None]
    return [
        v
        for v in volumes
        if (dangling is None or dangling == (v.mounts == 0))
        and "local" in drivers
        and (not names or v.name in names or any(p.search(v.name) for p in patterns))
        and label_filter.passes(v.labels, {"label": filters.get("label", ())})
    ]


def to_prune(volumes: Iterable[Volume], filters: Filters) -> list[Volume]:
    """Unused ones that a prune takes: those without a name of somebody's choice, or with `all` any."""
    label_filter.check_known(filters, PRUNE_KNOWN)
    everything = bool(label_filter.boolean(filters, "all"))
    return [
        v
        for v in volumes
        if v.mounts == 0 and (everything or ANONYMOUS_LABEL in v.labels) and label_filter.passes(v.labels, filters)
    ]


def _pattern(text: str) -> Any:
    try:
        return pattern_of.compile(text)
    except pattern_of.error:
        return None  # as Docker does: what is no expression matches as text only
