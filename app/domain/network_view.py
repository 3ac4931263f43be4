"""Networks as the tenant sees them, at API 1.44. Every field is named here."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.domain.network import UNMADE, Network, unmade_id

Json = dict[str, Any]

_BRIDGE_OPTIONS = {
    "com.docker.network.bridge.default_bridge": "true",
    "com.docker.network.bridge.enable_icc": "true",
    "com.docker.network.bridge.enable_ip_masquerade": "true",
    "com.docker.network.driver.mtu": "1500",
}


def network(found: Network, attached: Json) -> Json:
    """`attached` is `Containers`."""
    pool: Json = {"Subnet": found.subnet, "Gateway": found.gateway}
    if found.ip_range:
        pool["IPRange"] = found.ip_range
    if found.aux_addresses:
        pool["AuxiliaryAddresses"] = dict(found.aux_addresses)
    return {
        **_head(found.name, found.id, found.created_at, "bridge"),
        "IPAM": {"Driver": "default", "Options": None if found.is_default else {}, "Config": [pool]},
        "Internal": found.internal,
        "Attachable": found.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": attached,
        "Options": dict(_BRIDGE_OPTIONS) if found.is_default else dict(found.options),
        "Labels": dict(found.labels),
    }


def unmade(account_id: UUID, created_at: datetime | None) -> list[Json]:
    """`host` and `none`, which are shown as every engine shows them."""
    return [
        {
            **_head(name, unmade_id(account_id, name), created_at, driver),
            "IPAM": {"Driver": "default", "Options": None, "Config": []},
            "Internal": False,
            "Attachable": False,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": {},
            "Options": {},
            "Labels": {},
        }
        for name, driver in UNMADE.items()
    ]


def attached(containers: Iterable[tuple[str, str, Json]]) -> Json:
    """`Containers` of (id, name, endpoint as the container's inspect shows it)."""
    return {container_id: _endpoint(name, endpoint) for container_id, name, endpoint in containers}


def _endpoint(name: str, endpoint: Json) -> Json:
    address = endpoint.get("IPAddress") or ""
    return {
        "Name": name,
        "EndpointID": endpoint.get("EndpointID") or "",
        "MacAddress": endpoint.get("MacAddress") or "",
        "IPv4Address": f"{address}/{endpoint.get('IPPrefixLen')}" if address else "",
        "IPv6Address": "",
    }


def _head(name: str, network_id: str, created_at: datetime | None, driver: str) -> Json:
    moment = (created_at or datetime.fromtimestamp(0, UTC)).astimezone(UTC)
    return {
        "Name": name,
        "Id": network_id,
        "Created": moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z",
        "Scope": "local",
        "Driver": driver,
        "EnableIPv6": False,
    }
