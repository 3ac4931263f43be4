"""Decide an update request: the limits of create, and the restart policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.policy import resources, security
from app.domain.policy.draft import Draft, Table, refuse
from app.domain.policy.rules import Rules
from app.domain.policy.table import RESOURCES
from app.domain.policy.values import wrong


@dataclass(frozen=True)
class UpdateSpec:
    """What is to be changed; what is not here stays. Keys of `resources` are the fields of `spec.Resources`."""

    resources: Mapping[str, Any] = field(default_factory=dict)
    #: `Name` and `MaximumRetryCount`, or None.
    restart_policy: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()


def _restart_policy(draft: Draft, path: str, value: Any) -> None:
    """Clients send an empty one where it is to stay."""
    if value == {} or (isinstance(value, dict) and value.get("Name") == ""):
        return
    security.restart_policy(draft, path, value)


_UPDATE = Table(
    {
        **RESOURCES,
        "Ulimits": refuse("ulimits of a container that is there already"),
        "RestartPolicy": _restart_policy,
    }
)


def decide_update(body: Any, rules: Rules) -> UpdateSpec:
    """What the request changes, each value typed and in range. Raises InvalidParameter, Forbidden."""
    if body is None:
        wrong("invalid JSON: got EOF while reading request body")
    draft = Draft(rules)
    _UPDATE.decide(draft, "", body)
    # 0 is how clients say that a limit is to stay; a limit of processes is taken back by 0 or -1.
    given = {
        key: value for key, value in draft.resources.items() if value or key in ("pids_limit", "memory_swappiness")
    }
    if given.get("memory_swappiness", 0) is not None and "memory_swappiness" in given:
        wrong("MemorySwappiness cannot be updated")
    given.pop("memory_swappiness", None)
    return UpdateSpec(given, draft.host.get("RestartPolicy"), tuple(draft.warnings))


def settle_update(spec: UpdateSpec, memory: int, rules: Rules) -> None:
    """What depends on the container's present `memory` limit. Raises InvalidParameter, Forbidden."""
    draft = Draft(rules)
    draft.resources = {"memory": memory, **spec.resources}
    resources.settle(draft)
