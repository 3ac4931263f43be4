"""Network mode, endpoints, published ports, links, and what goes into the container's hosts and resolv.conf files."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from typing import Any

from app.domain import ports
from app.domain.policy.draft import Decision, Draft, Table
from app.domain.policy.values import (
    Reader,
    Struct,
    array,
    boolean,
    forbid,
    integer,
    line,
    mapping,
    shown,
    text,
    wrong,
)
from app.domain.spec import Endpoint, Namespace, PortBinding

#: How a tenant may write the account's own default network, and how `ContainerSpec.endpoints` has it.
DEFAULT_NETWORK = "bridge"
DEFAULT_NETWORK_NAMES = frozenset({"", "default", DEFAULT_NETWORK})

_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})  # noqa: S104  (what a client writes, not what we listen on)
_MAC = re.compile(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}")
_ALIAS = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,252}")
_HOST_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,252}")
_WORD = re.compile(r"[!-~]{1,256}")
_BINDING = Struct(("HostIp", "HostPort"), unknown="refuse")
_LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))


def network_mode(draft: Draft, path: str, value: Any) -> None:
    """The account's default network, `none`, `container:x`, or a network of the account; never the node's own."""
    mode = line(300)(path, value)
    if mode in DEFAULT_NETWORK_NAMES:
        draft.network = Namespace()
        draft.written["NetworkMode"] = mode or "default"
    elif mode == "none":
        draft.network = Namespace("none")
    elif mode == "host":
        forbid("the host network", path)
    elif mode == "container" or mode.startswith("container:"):
        draft.network = Namespace("container", container_reference(mode, "Invalid network mode: "))
    else:
        draft.network = Namespace("network", mode)


def container_reference(mode: str, complaint: str = "") -> str:
    """The container of `container:x`. Raises InvalidParameter, after `complaint`, where there is none."""
    name = mode.partition(":")[2].removeprefix("/")
    if not name:
        wrong(f"{complaint}invalid container format container:<name|id>")
    return name


def published_ports(draft: Draft, path: str, value: Any) -> None:
    """`{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`; a port without bindings is exposed only."""
    written: dict[str, list[dict[str, str]]] = {}
    for key, bindings in mapping(path, value, draft.rules.max_exposed_ports).items():
        where = f"{path}[{shown(key, 64)}]"
        number, protocol = ports.split_protocol(key)
        port, last = ports.parse_range(number)
        if port != last:
            wrong(f'invalid port specification: "{shown(number, 64)}"')
        draft.exposed[f"{port}/{protocol}"] = {}
        for item in array(where, bindings if bindings is not None else [], draft.rules.max_published_ports):
            binding, as_typed = _binding(draft, where, item, port, protocol)
            written.setdefault(f"{port}/{protocol}", []).append(as_typed)
            # Clients publish on 0.0.0.0 and on [::] by two bindings, which are one on a node's public address.
            if binding.host_port == 0 or binding not in draft.ports:
                draft.ports.append(binding)
    if len(draft.ports) > draft.rules.max_published_ports:
        wrong(f"invalid {path}: more than {draft.rules.max_published_ports} published ports")
    draft.written["PortBindings"] = written


def _binding(draft: Draft, path: str, value: Any, port: int, protocol: str) -> tuple[PortBinding, dict[str, str]]:
    """What is published, and how it was written."""
    fields = _BINDING.read(path, value, draft.warnings)
    host_ip = text(f"{path}.HostIp", fields.get("HostIp", ""))
    _check_host_ip(f"{path}.HostIp", host_ip)
    host_port = text(f"{path}.HostPort", fields.get("HostPort", ""))
    first, last = (0, 0) if host_port in ("", "0") else ports.parse_range(host_port)
    for reserved in draft.rules.reserved_ports:
        if first <= reserved <= last:
            forbid(f"port {reserved}, which the node itself uses", f"{path}.HostPort")
    return PortBinding(port, protocol, first, last), {"HostIp": host_ip, "HostPort": host_port}


def _check_host_ip(path: str, value: str) -> None:
    """Any address: it means the node's public one."""
    if value and (address := str(_address(path, value))) not in _ANY_ADDRESS:
        forbid(f"publishing on the address {address}", path)


def _address(path: str, value: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        wrong(f"invalid {path}: invalid IP address: {shown(value, 64)}")


def publish_all(draft: Draft, path: str, value: Any) -> None:
    draft.publish_all = boolean(path, value)


def dns_servers(path: str, value: Any) -> list[str]:
    """Addresses. A link-local one would reach the metadata service of a cloud from the node's side."""
    servers = []
    for item in array(path, value, 8):
        address = _address(path, text(path, item))
        plain = getattr(address, "ipv4_mapped", None) or address
        if any(plain in network for network in _LINK_LOCAL):
            forbid(f"the link-local DNS server {address}", path)
        if getattr(address, "scope_id", None):
            wrong(f"invalid {path}: invalid IP address: {address}")
        servers.append(str(address))
    return servers


def resolver_words(path: str, value: Any) -> list[str]:
    """Entries that are written into resolv.conf as they are, so none may hold white space."""
    entries = []
    for item in array(path, value, 16):
        entry = text(path, item)
        if not _WORD.fullmatch(entry):
            wrong(f"invalid {path}: {shown(entry, 64)}")
        entries.append(entry)
    return entries


def extra_hosts(path: str, value: Any) -> list[str]:
    """`name:address` (or `name=address`)."""
    entries = []
    for item in array(path, value, 64):
        entry = line(512)(path, item)
        separator = "=" if "=" in entry and ":" not in entry.partition("=")[0] else ":"
        name, _, address = entry.partition(separator)
        if not _HOST_NAME.fullmatch(name) or not address:
            wrong(f'bad format for add-host: "{shown(entry, 64)}"')
        if address.lower() == "host-gateway":
            forbid("host-gateway", path)
        bare = address[1:-1] if address.startswith("[") and address.endswith("]") else address
        try:
            parsed = ipaddress.ip_address(bare)
        except ValueError:
            wrong(f'invalid IP address in add-host: "{shown(address, 64)}"')
        if getattr(parsed, "scope_id", None):
            wrong(f'invalid IP address in add-host: "{shown(address, 64)}"')
        entries.append(f"{name}:{parsed}")
    return entries


def parse_link(path: str, value: Any) -> tuple[str, str]:
    """(container, alias) of `name[:alias]`, or of `/name:/self/alias`, which is how inspect shows a link."""
    link = line(512)(path, value)
    if not link:
        wrong("empty string specified for links")
    name, _, alias = link.partition(":")
    if ":" in alias:
        wrong(f"bad format for links: {shown(link, 64)}")
    if name.startswith("/") and alias.startswith("/"):
        alias = alias.rpartition("/")[2]
    name = name.removeprefix("/")
    alias = alias or name
    if not name or not _ALIAS.fullmatch(alias):
        wrong(f"bad format for links: {shown(link, 64)}")
    return name, alias


def links(draft: Draft, path: str, value: Any) -> None:
    draft.links.extend(parse_link(path, item) for item in array(path, value, 64))


def mac_address(path: str, value: Any) -> str:
    """A unicast MAC address in lower case with colons, or "". Raises InvalidParameter."""
    address = text(path, value)
    if not address:
        return ""
    if not _MAC.fullmatch(address) or int(address[:2], 16) & 1:
        wrong(f"invalid {path}: invalid MAC address: {shown(address, 64)}")
    return address.lower().replace("-", ":")


def container_mac(draft: Draft, path: str, value: Any) -> None:
    """`Config.MacAddress` (gone at 1.52): the address on the main network."""
    draft.mac = mac_address(path, value)


def endpoints(table: Table) -> Decision:
    """A decision on `EndpointsConfig`: network as typed -> what `table` makes of its settings."""

    def decide(draft: Draft, path: str, value: Any) -> None:
        for key, item in mapping(path, value, 32).items():
            network = line(300)(path, key)
            network = DEFAULT_NETWORK if network in DEFAULT_NETWORK_NAMES else network
            if network in draft.endpoints:
                wrong(f'invalid {path}: network "{shown(network, 64)}" is given more than once')
            draft.endpoint = {}
            table.decide(draft, f"{path}[{shown(key, 64)}]", {} if item is None else item)
            draft.endpoints[network] = Endpoint(**draft.endpoint)

    return decide


def endpoint_links(path: str, value: Any) -> tuple[tuple[str, str], ...]:
    return tuple(parse_link(path, item) for item in array(path, value, 64))


def aliases(path: str, value: Any) -> tuple[str, ...]:
    """Names in the network's DNS, each once."""
    names: list[str] = []
    for item in array(path, value, 32):
        alias = text(path, item)
        if not _ALIAS.fullmatch(alias):
            wrong(f"invalid {path}: invalid alias: {shown(alias, 64)}")
        if alias not in names:
            names.append(alias)
    return tuple(names)


def endpoint_address(version: int) -> Reader:
    """A reader of a static address; whether the network has it free, the service finds out."""

    def read(path: str, value: Any) -> str:
        address = text(path, value)
        if not address:
            return ""
        parsed = _address(path, address)
        special = parsed.is_loopback or parsed.is_multicast or parsed.is_unspecified or parsed.is_link_local
        if parsed.version != version or special or getattr(parsed, "scope_id", None):
            wrong(f"invalid IPv{version} address: {shown(address, 64)}")
        return str(parsed)

    return read


def gw_priority(draft: Draft, path: str, value: Any) -> None:
    if integer(path, value):
        draft.warn(f"{path} is not supported here and was ignored")


def settle(draft: Draft) -> None:
    """What depends on the network mode, in the engine's words."""
    if draft.network.kind == "container":
        _settle_shared(draft)
        return
    if draft.network.kind == "none":
        draft.endpoints.pop("none", None)
        if draft.endpoints:
            wrong("container cannot be connected to multiple networks with one of the networks in private (none) mode")
    for name in draft.endpoints:
        if name == "host":
            forbid("the host network", "NetworkingConfig.EndpointsConfig")
        if name == "none" or name.startswith("container:"):
            wrong(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode"
                if name == "none"
                else "container sharing network namespace with another container or host cannot be connected to any "
                "other network"
            )
    if draft.mac:
        _settle_mac(draft)


def _settle_mac(draft: Draft) -> None:
    if draft.network.kind == "none":
        wrong("conflicting options: mac-address and the network mode")
    main = draft.network.ref or DEFAULT_NETWORK
    settings = draft.endpoints.get(main, Endpoint())
    if settings.mac not in ("", draft.mac):
        wrong(
            "the container-wide MAC address must match the endpoint-specific MAC address for the main network, "
            "or be left empty"
        )
    draft.endpoints[main] = dataclasses.replace(settings, mac=draft.mac)


def _settle_shared(draft: Draft) -> None:
    """A container in another one's network has nothing of its own there."""
    draft.endpoints = {name: e for name, e in draft.endpoints.items() if not name.startswith("container:")}
    conflicts = (
        (draft.config.get("Hostname"), "hostname and the network mode"),
        (
            draft.links,
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (draft.host.get("Dns"), "dns and the network mode"),
        (draft.host.get("ExtraHosts"), "custom host-to-IP mapping and the network mode"),
        (draft.mac, "mac-address and the network mode"),
        (draft.ports or draft.publish_all, "port publishing and the container type network mode"),
        (draft.exposed, "port exposing and the container type network mode"),
    )
    for given, words in conflicts:
        if given:
            wrong(f"conflicting options: {words}")
    if draft.endpoints:
        wrong(
            "container sharing network namespace with another container or host cannot be connected to any other "
            "network"
        )
    for key in draft.host.get("Sysctls", {}):
        if key.startswith("net."):
            wrong(f"sysctl '{key}' cannot be set for a shared network")
