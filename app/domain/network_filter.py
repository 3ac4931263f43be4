"""Filters of `docker network ls` and `docker network prune`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain import label_filter
from app.domain import pattern as pattern_of
from app.domain.label_filter import Filters
from app.domain.network import PREDEFINED, Network
from app.errors import InvalidParameter

Json = dict[str, Any]

LIST = frozenset({"dangling", "driver", "id", "label", "name", "scope", "type"})
PRUNE = frozenset({"label", "label!", "until"})
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")


def check(filters: Filters, known: frozenset[str]) -> None:
    """Raises InvalidParameter in the engine's words."""
    for key, values in filters.items():
        if key not in known:
            raise InvalidParameter(f"Invalid filter '{key[:64]}'")
        if key == "type":
            for value in values:
                if value not in ("custom", "builtin"):
                    raise InvalidParameter(f"invalid filter: 'type'='{value[:64]}'")
        if key == "dangling":
            if len(values) > 1:
                raise InvalidParameter('got more than one value for filter key "dangling"')
            for value in values:
                _boolean(value)


def _boolean(value: str) -> bool:
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise InvalidParameter('invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")')


def select(shown: list[Json], filters: Filters) -> list[Json]:
    """Those networks (as inspect shows them, with `Containers`) that pass all filters."""
    return [network for network in shown if all(_passes(network, key, values) for key, values in filters.items())]


def _passes(network: Json, key: str, values: Sequence[str]) -> bool:
    if not values:
        return True
    match key:
        case "driver":
            return network["Driver"] in values
        case "scope":
            return network["Scope"] in values
        case "id":
            return any(network["Id"].startswith(value) for value in values)
        case "name":
            return any(_matches(network["Name"], value) for value in values)
        case "label":
            return label_filter.passes(network["Labels"], {"label": values})
        case "type":
            return ("builtin" if network["Name"] in PREDEFINED else "custom") in values
        case _:
            used = bool(network["Containers"]) or network["Name"] in PREDEFINED
            return used is not _boolean(values[0])


def _matches(name: str, pattern: str) -> bool:
    """A regular expression that is found in the name; RE2, so that it cannot be made to run away."""
    try:
        return bool(pattern_of.compile(pattern).search(name))
    except pattern_of.error:
        # As the engine does: what is no pattern matches nothing but itself.
        return name == pattern


@dataclass(frozen=True)
class Prune:
    """The filters of `docker network prune`."""

    until: datetime | None
    labels: Filters

    @classmethod
    def parse(cls, filters: Filters) -> Prune:
        """Raises InvalidParameter in the engine's words."""
        check(filters, PRUNE)
        labels = {key: filters[key] for key in ("label", "label!") if key in filters}
        return cls(label_filter.until(filters), labels)

    def takes(self, network: Network) -> bool:
        if self.until is not None and network.created_at is not None and network.created_at > self.until:
            return False
        return label_filter.passes(network.labels, self.labels)
