"""Which registries an account may name.

A registry is spoken to by a node, from inside the data center's network, and an engine takes 127.0.0.0/8 without TLS.
So a host that is, or resolves to, an address of an inner network is refused, unless the operator has listed it.

The service's own client connects to the addresses that were looked at. The engine resolves the name once more; a name
that changes its address between the two is not caught here. Nodes need a firewall for that.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection, Iterable

from app.domain.image_reference import DEFAULT_HOST
from app.errors import Forbidden

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: IPv6 networks whose addresses stand for IPv4 ones, and where in the address these are.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def resolve(host: str) -> list[str]:
    """The addresses of a host; none where it does not resolve."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


class RegistryPolicy:
    """`allowed` is the operator's list: "host" or "host:port"."""

    def __init__(self, allowed: Collection[str], resolve: Callable[[str], Iterable[str]] = resolve) -> None:
        self._allowed = frozenset(allowed)
        self._resolve = resolve

    def check(self, registry: str) -> None:
        """`registry` is the host part of a reference. Raises Forbidden."""
        if registry != DEFAULT_HOST and not self.listed(registry):
            self.addresses(registry)

    def listed(self, registry: str) -> bool:
        """Whether the operator has listed it."""
        return registry in self._allowed or _without_port(registry) in self._allowed

    def resolve(self, registry: str) -> list[str]:
        """Where a host is, allowed or not."""
        # Forms like 127.1 are addresses for resolvers alone, so literals are resolved as well.
        return list(self._resolve(_without_port(registry).strip("[]")))

    def addresses(self, registry: str) -> list[str]:
        """The addresses at which a host ("host" or "host:port") may be spoken to. Raises Forbidden where it may not."""
        addresses = self.resolve(registry)
        if self.listed(registry):
            return addresses
        if not addresses:
            # A node may know the name, and by an inner address.
            raise Forbidden(f"registry {registry} is not allowed: its name is not known here; an operator may list it")
        if any(_is_inner(address) for address in addresses):
            raise Forbidden(f"registry {registry} is not allowed: it is at an address of an inner network")
        return addresses


def _without_port(registry: str) -> str:
    name, colon, port = registry.rpartition(":")
    return name if colon and port.isdigit() and not (name.startswith("[") and not name.endswith("]")) else registry


def _is_inner(text: str) -> bool:
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        address = _embedded(address) or address
    return address.is_multicast or not address.is_global


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour
