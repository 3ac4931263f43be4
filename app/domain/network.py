"""A network of an account, and a container's place on it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID

from app.domain.container import Container

#: How the account's default network is called; it is a network of the account's own like any other on its engine.
DEFAULT = "bridge"
#: Networks that every account is shown and that have no row, with their drivers.
UNMADE = {"host": "host", "none": "null"}
#: Names that no account may give or take away.
PREDEFINED = frozenset({DEFAULT, "default", *UNMADE})


@dataclass(frozen=True)
class Network:
    #: 64 hex digits, what the tenant sees.
    id: str
    uuid: UUID
    account_id: UUID
    name: str
    subnet: str
    gateway: str
    ready: bool
    #: True while it is being removed: nothing may join it.
    removing: bool = False
    #: The tenant chose the subnet, so that no other will do.
    chosen: bool = False
    internal: bool = False
    attachable: bool = False
    ip_range: str | None = None
    aux_addresses: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None

    @property
    def engine_name(self) -> str:
        return f"n-{self.uuid}"

    @property
    def is_default(self) -> bool:
        return self.name == DEFAULT


def uuid_of(engine_name: str) -> UUID | None:
    """Of the network that an engine calls so; None where the name is none of ours."""
    try:
        return UUID(engine_name[2:]) if engine_name.startswith("n-") else None
    except ValueError:
        return None


@dataclass(frozen=True)
class NetworkSpec:
    """A decided create request. `subnet` None leaves the choice to the data center."""

    name: str
    subnet: IPv4Network | None = None
    gateway: IPv4Address | None = None
    ip_range: IPv4Network | None = None
    aux_addresses: Mapping[str, str] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """What a container has asked for, or been given, on a network."""

    network: Network
    ipv4: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    #: (container id, name): names that this container alone resolves.
    links: tuple[tuple[str, str], ...] = ()


def dns_names(name: str, short_id: str, aliases: tuple[str, ...]) -> list[str]:
    """All names that a container has in a network's DNS. The engine adds its own, of which no tenant is told."""
    return list(dict.fromkeys([name, short_id, *aliases]))


def endpoint_settings(name: str, short_id: str, place: Place, linked: Mapping[str, str]) -> dict[str, Any]:
    """An engine's EndpointSettings; `linked` has the engine names of containers by their ids."""
    settings: dict[str, Any] = {"Aliases": dns_names(name, short_id, place.aliases)}
    if place.ipv4:
        settings["IPAMConfig"] = {"IPv4Address": place.ipv4}
    # A link follows its container: the engine resolves the alias through the container's own name.
    if links := [f"{linked[target]}:{alias}" for target, alias in place.links if target in linked]:
        settings["Links"] = links
    return settings


def engine_body(network: Network, labels: Mapping[str, str]) -> dict[str, Any]:
    """The body of POST /networks/create at the engine. The tenant's labels are in the row alone."""
    pool: dict[str, Any] = {"Subnet": network.subnet, "Gateway": network.gateway}
    if network.ip_range:
        pool["IPRange"] = network.ip_range
    elif network.is_default:
        # Containers are given the lowest addresses here, and keep them. The engine gives some by itself, to the
        # containers of builds: none that a container has, or that the next one gets, which could not be started.
        *_, highest = IPv4Network(network.subnet).subnets(prefixlen_diff=2)
        pool["IPRange"] = str(highest)
    if network.aux_addresses:
        pool["AuxiliaryAddresses"] = dict(network.aux_addresses)
    body: dict[str, Any] = {
        "Name": network.engine_name,
        "Driver": "bridge",
        "CheckDuplicate": True,
        "IPAM": {"Driver": "default", "Config": [pool]},
        "Labels": dict(labels),
    }
    if network.internal:
        body["Internal"] = True
    if network.options:
        body["Options"] = dict(network.options)
    return body


def unmade_id(account_id: UUID, name: str) -> str:
    """The id of `host` or `none` as the account sees it."""
    return hashlib.sha256(f"{account_id}/{name}".encode()).hexdigest()


def endpoint_id(container: Container, network_id: str) -> str:
    """64 hex digits that stand for the engine's id of an endpoint."""
    return hashlib.sha256(f"{container.id}/{network_id}".encode()).hexdigest()
