"""The filters of `docker ps`, on rows of one account (moby daemon/list.go).

Names and ids are matched as RE2 regular expressions, which is what Docker has and what cannot be made to run away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain import label_filter, ports
from app.domain import pattern as pattern_of
from app.domain.container_state import ACTIVE
from app.errors import InvalidParameter, NotFound

Filters = dict[str, list[str]]

KNOWN = frozenset(
    [
        "ancestor",
        "before",
        "exited",
        "expose",
        "health",
        "id",
        "isolation",
        "is-task",
        "label",
        "name",
        "network",
        "publish",
        "since",
        "status",
        "volume",
    ]
)
#: Those that ask about a container's networks, ports or mounts.
DETAILED = frozenset(["expose", "network", "publish", "volume"])
STATES = frozenset(["created", "running", "paused", "restarting", "removing", "exited", "dead"])
HEALTH = frozenset(["none", "starting", "healthy", "unhealthy"])


@dataclass(frozen=True)
class Candidate:
    """What filters may ask of a container, and its list entry."""

    id: str
    name: str
    state: str
    health: str
    exit_code: int | None
    image: str
    image_id: str
    labels: dict[str, str]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    list_head: str
    list_tail: str
    networks: dict[str, Any] | None = None
    ports: dict[str, Any] | None = None
    exposed: dict[str, Any] | None = None
    mounts: list[dict[str, Any]] | None = None


Test = Callable[[Candidate], bool]


def select(
    candidates: Sequence[Candidate], filters: Filters, *, everything: bool, limit: int, ancestors: frozenset[str] | None
) -> list[Candidate]:
    """Those that pass all filters, in the given order, at most `limit` where it is not 0.

    `ancestors` are the image ids that the `ancestor` filter's words mean; None where it is not used.
    Raises InvalidParameter for unknown filters and values, NotFound for unknown containers in before and since.
    """
    tests = _tests(candidates, filters, ancestors)
    everything = everything or limit > 0 or "status" in filters
    chosen = [c for c in candidates if (everything or c.state in ACTIVE) and all(passes(c) for passes in tests)]
    return chosen[:limit] if limit > 0 else chosen


def _tests(candidates: Sequence[Candidate], filters: Filters, ancestors: frozenset[str] | None) -> list[Test]:
    tests: list[Test] = []
    for key, values in filters.items():
        if key not in KNOWN:
            raise InvalidParameter(f"Invalid filter '{key}'")
        if not values:
            continue
        match key:
            case "id":
                tests.append(_regex(values, lambda c: (c.id,)))
            case "name":
                tests.append(_regex(values, lambda c: (f"/{c.name}", c.name)))
            case "label":
                tests.append(_labels(values))
            case "status":
                _one_of(key, values, STATES)
                tests.append(_state(frozenset(values)))
            case "health":
                for value in values:
                    if value not in HEALTH:
                        raise InvalidParameter(f"Unrecognised filter value for health: {value}")
                tests.append(_health(frozenset(values)))
            case "exited":
                tests.append(_exited(values))
            case "is-task":
                if label_filter.boolean(filters, key):
                    tests.append(lambda _: False)
            case "network":
                tests.append(_network(values))
            case "volume":
                tests.append(_volume(values))
            case "publish":
                tests.append(_ports(values, published=True))
            case "expose":
                tests.append(_ports(values, published=False))
            case "ancestor":
                tests.append(lambda c: c.image_id in (ancestors or frozenset()))
            case "before" | "since":
                tests.append(_relative(candidates, key, values))
    return tests


def _one_of(key: str, values: list[str], known: frozenset[str]) -> None:
    for value in values:
        if value not in known:
            raise InvalidParameter(f"Invalid filter '{key}={value}'")


def _regex(values: list[str], words: Callable[[Candidate], tuple[str, ...]]) -> Test:
    exact = frozenset(values)
    patterns = []
    for value in values:
        try:
            patterns.append(pattern_of.compile(value))
        except pattern_of.error:
            continue  # as Docker does: what is no expression matches as text only
    return lambda c: any(w in exact or any(p.search(w) for p in patterns) for w in words(c))


def _state(wanted: frozenset[str]) -> Test:
    return lambda c: c.state in wanted


def _health(wanted: frozenset[str]) -> Test:
    return lambda c: (c.health or "none") in wanted


def _labels(values: list[str]) -> Test:
    wanted = [value.partition("=") for value in values]

    def passes(c: Candidate) -> bool:
        return all(k in c.labels and (not eq or c.labels[k] == v) for k, eq, v in wanted)

    return passes


def _exited(values: list[str]) -> Test:
    try:
        codes = frozenset(int(value) for value in values)
    except ValueError:
        raise InvalidParameter(f"Invalid filter 'exited={values[0]}'") from None
    if any(not -(2**63) <= code < 2**63 for code in codes):
        raise InvalidParameter(f"Invalid filter 'exited={values[0][:64]}'")
    return lambda c: c.state not in ACTIVE and c.started_at is not None and c.exit_code in codes


def _network(values: list[str]) -> Test:
    wanted = frozenset(values)

    def passes(c: Candidate) -> bool:
        networks = c.networks or {}
        return any(name in wanted or (e or {}).get("NetworkID") in wanted for name, e in networks.items())

    return passes


def _volume(values: list[str]) -> Test:
    wanted = frozenset(values)
    return lambda c: any(m.get("Name") in wanted or m.get("Destination") in wanted for m in c.mounts or [])


def _ports(values: list[str], *, published: bool) -> Test:
    wanted: set[tuple[str, int]] = set()
    for value in values:
        try:
            low, high, protocol = ports.expand(value)
        except InvalidParameter:
            raise InvalidParameter(f'invalid port specification: "{value[:64]}"') from None
        wanted |= {(protocol, port) for port in range(low, high + 1)}

    def passes(c: Candidate) -> bool:
        bound = c.ports or {}
        if not published:
            keys = {*bound, *(c.exposed or {})}
            return any((k.partition("/")[2] or "tcp", int(k.partition("/")[0])) in wanted for k in keys)
        return any(
            (key.partition("/")[2], int(binding["HostPort"])) in wanted
            for key, bindings in bound.items()
            for binding in bindings or []
        )

    return passes


def _is_linked_as(c: Candidate, name: str) -> bool:
    """Whether a link `consumer/alias` is to it: its list entry begins with its id and its names."""
    return f'"/{name}"' in c.list_head.partition("]")[0]


def _relative(candidates: Sequence[Candidate], key: str, values: list[str]) -> Test:
    """Older (`before`) or newer (`since`) than a container, by the order of the list, which is newest first."""
    name = values[-1].removeprefix("/")
    found = [c for c in candidates if name in (c.id, c.name)] or [
        c for c in candidates if c.id.startswith(name) or ("/" in name and _is_linked_as(c, name))
    ]
    if len(found) != 1 or not name:
        raise NotFound(f"No such container: {values[-1]}")
    place = {c.id: i for i, c in enumerate(candidates)}
    pivot = place[found[0].id]
    if key == "before":
        return lambda c: place[c.id] > pivot
    return lambda c: place[c.id] < pivot
