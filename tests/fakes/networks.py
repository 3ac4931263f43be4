"""The networks of a fake engine."""

from __future__ import annotations

import copy
import ipaddress
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from app.errors import Conflict, Forbidden, Internal, InvalidParameter, NotFound
from tests.fakes import shapes
from tests.fakes.traps import recorded

Json = dict[str, Any]


class FakeNetworks:
    """The mixin's user has `containers`, `_find`, `_changed`, `_log` and `_emit_network`."""

    containers: dict[str, Any]
    _changed: Any
    _find: Any
    _log: Any
    _emit_network: Any

    def __init__(self) -> None:
        super().__init__()
        self.networks: dict[str, Json] = {}
        self._add_network("bridge", "172.17.0.0/16", {})

    @recorded
    def create_network(self, body: Json) -> str:
        name = body["Name"]
        with self._changed:
            if name in self.networks:
                raise Conflict(f"network with name {name} already exists")
            pools = (body.get("IPAM") or {}).get("Config") or []
            subnet = pools[0]["Subnet"] if pools else f"172.{18 + len(self.networks)}.0.0/16"
            wanted = ipaddress.ip_network(subnet)
            for other in self.networks.values():
                if wanted.overlaps(ipaddress.ip_network(other["IPAM"]["Config"][0]["Subnet"])):
                    raise Forbidden("Pool overlaps with other one on this address space")
            return self._add_network(name, subnet, body)

    def _add_network(self, name: str, subnet: str, body: Json) -> str:
        new = secrets.token_hex(32)
        first = str(next(ipaddress.ip_network(subnet).hosts()))
        pools = (body.get("IPAM") or {}).get("Config") or []
        gateway = (pools[0].get("Gateway") if pools else None) or first
        pool = {**(pools[0] if pools else {}), "Subnet": subnet, "Gateway": gateway}
        self.networks[name] = {
            "Name": name,
            "Id": new,
            "Created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "Scope": "local",
            "Driver": body.get("Driver") or "bridge",
            "EnableIPv6": False,
            "IPAM": {"Driver": "default", "Options": None, "Config": [pool]},
            "Internal": bool(body.get("Internal")),
            "Attachable": False,
            "Ingress": False,
            "ConfigFrom": {"Network": ""},
            "ConfigOnly": False,
            "Containers": {},
            "Options": body.get("Options") or {},
            "Labels": body.get("Labels") or {},
        }
        return new

    @recorded
    def find_network(self, name: str) -> Json | None:
        with self._changed:
            return copy.deepcopy(self.networks.get(name))

    @recorded
    def list_networks(self, labels: Iterable[str]) -> list[Json]:
        wanted = [label.partition("=") for label in labels]
        with self._changed:
            return [
                copy.deepcopy(network)
                for network in self.networks.values()
                if all(network["Labels"].get(key) == value for key, _, value in wanted)
            ]

    @recorded
    def network_endpoints(self, name: str) -> dict[str, str]:
        """`Containers` of a network are what it has of containers that are no more."""
        network = self._network(name)
        with self._changed:
            here = {c.id: c.name for c in self.containers.values() if c.running and name in c.networks}
        return here | {container: endpoint["Name"] for container, endpoint in network["Containers"].items()}

    @recorded
    def remove_network(self, name: str) -> None:
        with self._changed:
            network = self._network(name)
            if network["Containers"] or any(c.running and name in c.networks for c in self.containers.values()):
                raise Forbidden(f"error while removing network: network {name} id {network['Id']} has active endpoints")
            del self.networks[name]
            self._log({}, "network", "destroy", network["Id"], {"name": name, "type": network["Driver"]})

    @recorded
    def connect_network(self, network: str, container: str, endpoint: Json) -> None:
        target = self._find(container)
        self._network(network)
        with self._changed:
            if network in target.networks and target.running:
                raise Forbidden(f"endpoint with name {target.name} already exists in network {network}")
            joined = shapes.ENDPOINT | copy.deepcopy(endpoint)
            if target.running:
                joined |= self._address(network, joined, target)
            if network in target.networks:
                # Of a stopped one that is there already the engine takes nothing.
                return
            if "none" in target.networks:
                raise InvalidParameter(
                    "container cannot be connected to multiple networks with one of the networks in private (none) mode"
                )
            target.networks[network] = joined
        self._emit_network(target, "connect", network)

    @recorded
    def disconnect_network(self, network: str, container: str, *, force: bool = False) -> None:
        left = self.networks.get(network, {"Containers": {}})["Containers"]
        gone = [known for known, endpoint in left.items() if endpoint["Name"] == container]
        if force and gone:
            del left[gone[0]]
            return
        target = self._find(container)
        if network != "none":
            self._network(network)
        with self._changed:
            joined = target.networks.pop(network, None) is not None
        if not joined:
            the = "" if target.running else "the "
            raise Internal(f"container {target.id} is not connected to {the}network {network}")
        self._emit_network(target, "disconnect", network)

    def _network(self, name: str) -> Json:
        if name not in self.networks:
            raise NotFound(f"network {name} not found")
        return self.networks[name]

    def _address(self, network: str, endpoint: Json, container: Any) -> Json:
        """What a container that runs has there. Raises Forbidden, Internal where the address cannot be its own."""
        found = self.networks[network]
        pool = found["IPAM"]["Config"][0]
        subnet = ipaddress.ip_network(pool["Subnet"])
        taken = {
            c.networks[network]["IPAddress"]
            for c in self.containers.values()
            if c is not container and c.running and network in c.networks
        }
        taken |= {pool["Gateway"], *(pool.get("AuxiliaryAddresses") or {}).values()}
        wanted = (endpoint.get("IPAMConfig") or {}).get("IPv4Address")
        if wanted in taken:
            raise Forbidden("Address already in use")
        if wanted and ipaddress.ip_address(wanted) not in subnet:
            raise Internal(f"Invalid address {wanted}: It does not belong to any of this network's subnets")
        given = ipaddress.ip_network(pool.get("IPRange") or pool["Subnet"])
        free = (host for host in given.hosts() if str(host) not in taken)
        address = ipaddress.ip_address(wanted) if wanted else next(free)
        return {
            "NetworkID": found["Id"],
            "EndpointID": secrets.token_hex(32),
            "Gateway": pool["Gateway"],
            "IPAddress": str(address),
            "IPPrefixLen": subnet.prefixlen,
            "MacAddress": "02:42:" + ":".join(f"{byte:02x}" for byte in address.packed),
        }
