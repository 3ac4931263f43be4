"""What is known of a container while its request is being decided, field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.domain.policy.rules import Rules
from app.domain.policy.values import MOST_WARNINGS, Reader, Struct, boolean, forbid
from app.domain.spec import Endpoint, Namespace, PortBinding, TmpfsMount, VolumeMount


@dataclass
class Draft:
    """The parts of a `ContainerSpec` under construction. A decision adds to it, warns, or raises."""

    rules: Rules
    image: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)
    exposed: dict[str, dict[str, Any]] = field(default_factory=dict)
    volumes: list[VolumeMount] = field(default_factory=list)
    anonymous: list[str] = field(default_factory=list)
    covered: list[str] = field(default_factory=list)
    tmpfs: list[TmpfsMount] = field(default_factory=list)
    binds: list[str] = field(default_factory=list)
    volumes_from: list[tuple[str, str]] = field(default_factory=list)
    volume_driver: str = ""
    network: Namespace = field(default_factory=Namespace)
    ipc: Namespace = field(default_factory=Namespace)
    pid: Namespace = field(default_factory=Namespace)
    ports: list[PortBinding] = field(default_factory=list)
    publish_all: bool = False
    links: list[tuple[str, str]] = field(default_factory=list)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    mac: str = ""
    #: The endpoint that is being decided, as arguments of `Endpoint`.
    endpoint: dict[str, Any] = field(default_factory=dict)
    #: `HostConfig` fields in the tenant's own spelling, of which the others hold what was made.
    written: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, line: str) -> None:
        """Add a line to the answer's `Warnings`."""
        if len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(line)


Decision = Callable[[Draft, str, Any], None]
"""Decide one field: (draft, path, value); the value is never null."""


class Table(Struct):
    """Field name -> decision, for one JSON object."""

    def __init__(self, decisions: Mapping[str, Decision], *, unknown: str = "warn") -> None:
        super().__init__(decisions, unknown=unknown)
        self.decisions = dict(decisions)

    def decide(self, draft: Draft, path: str, value: Any) -> None:
        """Decide every field of `value`, in the table's order."""
        for name, item in self.read(path, value, draft.warnings).items():
            self.decisions[name](draft, f"{path}.{name}" if path else name, item)


def field_name(path: str) -> str:
    """The last part of a path: "Memory" of "HostConfig.Memory"."""
    return path.rpartition(".")[2]


def config(reader: Reader) -> Decision:
    """Keep the field in `Config` as `reader` reads it."""

    def decide(draft: Draft, path: str, value: Any) -> None:
        draft.config[field_name(path)] = reader(path, value)

    return decide


def host(reader: Reader) -> Decision:
    """Keep the field in `HostConfig` as `reader` reads it."""

    def decide(draft: Draft, path: str, value: Any) -> None:
        draft.host[field_name(path)] = reader(path, value)

    return decide


def host_as_written(reader: Reader) -> Decision:
    """As `host`; inspect shows the tenant's own spelling."""
    keep = host(reader)

    def decide(draft: Draft, path: str, value: Any) -> None:
        keep(draft, path, value)
        if value:
            draft.written[field_name(path)] = value

    return decide


def endpoint(field: str, reader: Reader) -> Decision:
    """Keep the field of the endpoint that is being decided as `Endpoint.<field>`."""

    def decide(draft: Draft, path: str, value: Any) -> None:
        draft.endpoint[field] = reader(path, value)

    return decide


def resource(field: str, reader: Reader) -> Decision:
    """Keep the field as `Resources.<field>`."""

    def decide(draft: Draft, path: str, value: Any) -> None:
        draft.resources[field] = reader(path, value)

    return decide


def refuse(what: str) -> Decision:
    """Refuse the field unless it is empty (null, false, 0, "", [], {})."""

    def decide(_draft: Draft, path: str, value: Any) -> None:
        if value:
            forbid(what, path)

    return decide


def refuse_true(what: str) -> Decision:
    """Refuse a flag that is set."""

    def decide(_draft: Draft, path: str, value: Any) -> None:
        if boolean(path, value):
            forbid(what, path)

    return decide


def ignore(draft: Draft, path: str, value: Any) -> None:
    """Not honoured, and the answer says so."""
    if value:
        draft.warn(f"{path} is not supported here and was ignored")


def drop(_draft: Draft, _path: str, _value: Any) -> None:
    """What clients send back from an earlier answer, or what means something on their own side only."""
