"""Links on the default network: what a container is told of another one in its environment and its hosts file.

The engine knows links on its own default bridge alone, which no account is on, so both are composed here, when the
container is made. They stay true: containers keep their addresses on the default network as long as they live.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: Of the linked container's environment these say nothing to another one.
_NOT_TOLD = ("HOME", "PATH")


@dataclass(frozen=True)
class Link:
    """A container that another one calls `alias`."""

    container_id: str
    name: str
    alias: str
    address: str
    hostname: str
    #: "80/tcp" ...
    ports: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()


def of(container_id: str, name: str, alias: str, address: str, config: Mapping[str, Any]) -> Link:
    """`config` is the linked container's Config as inspect shows it."""
    return Link(
        container_id,
        name,
        alias,
        address,
        config.get("Hostname") or container_id[:12],
        tuple(config.get("ExposedPorts") or {}),
        tuple(config.get("Env") or ()),
    )


def hosts(links: Iterable[Link]) -> list[str]:
    """`ExtraHosts` entries: the alias, the host name and the name of each."""
    entries = []
    for link in links:
        entries += [f"{word}:{link.address}" for word in dict.fromkeys((link.alias, link.hostname, link.name))]
    return entries


def environment(own_name: str, links: Iterable[Link]) -> list[str]:
    """`DB_PORT_5432_TCP_ADDR=...` and so on, as Docker has always named them."""
    lines: list[str] = []
    for link in links:
        prefix = link.alias.upper().replace("-", "_")
        ports = sorted((_port(port) for port in link.ports), key=lambda port: (port[1] != "tcp", port[1], port[0]))
        if ports:
            number, protocol = min(ports, key=lambda port: (port[0], port[1] != "tcp"))
            lines.append(f"{prefix}_PORT={protocol}://{link.address}:{number}")
        lines += _ranges(prefix, link.address, ports)
        for number, protocol in ports:
            word = f"{prefix}_PORT_{number}_{protocol.upper()}"
            lines.append(f"{word}={protocol}://{link.address}:{number}")
            lines += [f"{word}_ADDR={link.address}", f"{word}_PORT={number}", f"{word}_PROTO={protocol}"]
        lines.append(f"{prefix}_NAME=/{own_name}/{link.alias}")
        for line in link.environment:
            name, equals, value = line.partition("=")
            if equals and name not in _NOT_TOLD:
                lines.append(f"{prefix}_ENV_{name}={value}")
    return lines


def _port(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol or "tcp"


def _ranges(prefix: str, address: str, ports: list[tuple[int, str]]) -> list[str]:
    """Three ports in a row or more are told as a range, too."""
    lines: list[str] = []
    start = 0
    while start < len(ports):
        end = start
        while end + 1 < len(ports) and ports[end + 1] == (ports[end][0] + 1, ports[start][1]):
            end += 1
        if end > start + 1:
            (low, protocol), (high, _) = ports[start], ports[end]
            word = f"{prefix}_PORT_{low}_{protocol.upper()}"
            lines += [
                f"{word}_START={protocol}://{address}:{low}",
                f"{word}_ADDR={address}",
                f"{word}_PROTO={protocol}",
                f"{word}_PORT_START={low}",
                f"{word}_END={protocol}://{address}:{high}",
                f"{word}_PORT_END={high}",
            ]
        start = end + 1
    return lines
