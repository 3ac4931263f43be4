"""The fields of POST /networks/create, and of connect and disconnect."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, NoReturn

from app.domain.network import PREDEFINED, NetworkSpec
from app.domain.policy import labels
from app.domain.policy.draft import Draft
from app.domain.policy.rules import Rules
from app.domain.policy.table import ENDPOINT
from app.domain.policy.values import Struct, array, boolean, forbid, line, mapping, shown, text, wrong
from app.domain.spec import Endpoint
from app.errors import Forbidden, NotFound

_CREATE = Struct(
    (
        "Name",
        "CheckDuplicate",
        "Driver",
        "Scope",
        "EnableIPv4",
        "EnableIPv6",
        "IPAM",
        "Internal",
        "Attachable",
        "Ingress",
        "ConfigOnly",
        "ConfigFrom",
        "Options",
        "Labels",
    )
)
_IPAM = Struct(("Driver", "Options", "Config"), unknown="refuse set")
_POOL = Struct(("Subnet", "IPRange", "Gateway", "AuxiliaryAddresses"), unknown="refuse set")
_CONNECT = Struct(("Container", "EndpointConfig"))
_DISCONNECT = Struct(("Container", "Force"))

#: Drivers that every engine has, and that would put a container on the node's own interfaces or past its bridges.
_ENGINE_DRIVERS = ("host", "null", "overlay", "macvlan", "ipvlan")
_MTU = "com.docker.network.driver.mtu"
_SWITCHES = ("com.docker.network.bridge.enable_icc", "com.docker.network.bridge.enable_ip_masquerade")
_TRUE, _FALSE = ("1", "t", "T", "TRUE", "true", "True"), ("0", "f", "F", "FALSE", "false", "False")

#: Where a tenant may choose a subnet: a bridge is a route of the whole node, so that anything else would be lost to it.
_PRIVATE = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
LARGEST, SMALLEST = 16, 29


def decide_network(body: Any, rules: Rules) -> NetworkSpec:
    """Raises InvalidParameter, Forbidden, NotFound."""
    draft = Draft(rules)
    if body is None:
        wrong("got EOF while reading request body")
    fields = _CREATE.read("", body, draft.warnings)
    name = line(200)("Name", fields.get("Name", ""))
    if not name.strip() or name.startswith("container:"):
        wrong(f"invalid name: {shown(name)}")
    if name in PREDEFINED:
        raise Forbidden(f"operation is not permitted on predefined {name} network")
    boolean("CheckDuplicate", fields.get("CheckDuplicate", False))
    _driver(line(200)("Driver", fields.get("Driver", "")))
    scope = text("Scope", fields.get("Scope", ""))
    if scope not in ("", "local"):
        forbid(f"a network of scope {shown(scope, 64)}", "Scope")
    if not boolean("EnableIPv4", fields.get("EnableIPv4", True)):
        wrong("a network without IPv4 is not available here (EnableIPv4)")
    if boolean("EnableIPv6", fields.get("EnableIPv6", False)):
        wrong("IPv6 networks are not available here (EnableIPv6)")
    for flag in ("Ingress", "ConfigOnly"):
        if boolean(flag, fields.get(flag, False)):
            forbid("networks of a swarm", flag)
    if (source := fields.get("ConfigFrom")) is not None:
        given = Struct(("Network",), unknown="refuse set").read("ConfigFrom", source, draft.warnings)
        if text("ConfigFrom.Network", given.get("Network", "")):
            forbid("networks of a swarm", "ConfigFrom")
    return NetworkSpec(
        name,
        **_ipam(draft, fields.get("IPAM")),
        internal=boolean("Internal", fields.get("Internal", False)),
        attachable=boolean("Attachable", fields.get("Attachable", False)),
        options=_options("Options", fields.get("Options", {})),
        labels=labels.read(draft, "Labels", fields.get("Labels", {})),
        warnings=tuple(draft.warnings),
    )


def _driver(driver: str) -> None:
    if driver in ("", "default", "bridge"):
        return
    if driver in _ENGINE_DRIVERS:
        forbid(f"the network driver {driver}", "Driver")
    raise NotFound(f'plugin "{shown(driver, 64)}" not found')


def _options(path: str, value: Any) -> dict[str, str]:
    options: dict[str, str] = {}
    for key, item in mapping(path, value, 16).items():
        option = "" if item is None else text(f"{path}[{shown(key, 64)}]", item)
        if key == _MTU:
            if not (option.isascii() and option.isdigit() and len(option) < 6 and 576 <= int(option) <= 9000):
                wrong(f"failed to parse {key} value: {shown(option, 64)} (it must be a number from 576 to 9000)")
        elif key in _SWITCHES:
            if option not in (*_TRUE, *_FALSE):
                wrong(f"failed to parse {key} value: {shown(option, 64)} (invalid syntax)")
        else:
            forbid(f"the network option {shown(key, 64)}", path)
        options[key] = option
    return options


def _ipam(draft: Draft, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    fields = _IPAM.read("IPAM", value, draft.warnings)
    driver = text("IPAM.Driver", fields.get("Driver", ""))
    if driver not in ("", "default"):
        raise NotFound(f'plugin "{shown(driver, 64)}" not found')
    if mapping("IPAM.Options", fields.get("Options", {}), 16):
        forbid("options of address management", "IPAM.Options")
    pools = array("IPAM.Config", fields.get("Config", []), 16)
    if not pools:
        return {}
    if len(pools) > 1:
        raise Forbidden("bridge driver doesn't support multiple subnets")
    pool = _POOL.read("IPAM.Config[0]", pools[0], draft.warnings)
    given = {key: text(f"IPAM.Config[0].{key}", pool.get(key, "")) for key in ("Subnet", "IPRange", "Gateway")}
    aux = mapping("IPAM.Config[0].AuxiliaryAddresses", pool.get("AuxiliaryAddresses", {}), 64)
    if not any(given.values()) and not aux:
        return {}
    subnet = _subnet(given["Subnet"])
    decided: dict[str, Any] = {"subnet": subnet}
    if given["IPRange"]:
        decided["ip_range"] = _part(given["IPRange"], subnet)
    if given["Gateway"]:
        decided["gateway"] = _inside("gateway", given["Gateway"], subnet)
    decided["aux_addresses"] = _aux(aux, subnet)
    return decided


def _subnet(value: str) -> ipaddress.IPv4Network:
    try:
        if "/" not in value:
            raise ValueError
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        wrong(f"Invalid subnet {shown(value, 64)} : invalid CIDR address: {shown(value, 64)}")
    if not isinstance(network, ipaddress.IPv4Network):
        wrong("IPv6 networks are not available here (IPAM.Config)")
    if not LARGEST <= network.prefixlen <= SMALLEST:
        wrong(f"invalid subnet {network}: a subnet here has from {LARGEST} to {SMALLEST} bits")
    if not any(network.subnet_of(private) for private in _PRIVATE):
        _reserved(network)
    return network


def _reserved(network: ipaddress.IPv4Network) -> NoReturn:
    ranges = ", ".join(map(str, _PRIVATE))
    wrong(f"invalid subnet {network}: it must be one of private addresses ({ranges})")


def _part(value: str, subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
    try:
        part = ipaddress.IPv4Network(value, strict=False)
    except ValueError:
        wrong(f'failed to parse pool request for subpool "{shown(value, 64)}": Invalid Address SubPool')
    if not part.subnet_of(subnet):
        wrong(f"no matching subnet for range {part}")
    return part


def _inside(what: str, value: str, subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Address:
    try:
        # Clients also write a gateway with the length of its network behind it.
        address = ipaddress.IPv4Address(value.partition("/")[0])
    except ValueError:
        wrong(f"invalid {what} address {shown(value, 64)} in Ipam configuration")
    if address not in subnet or address in (subnet.network_address, subnet.broadcast_address):
        wrong(f"failed to allocate {what} ({address}): Requested address is out of range")
    return address


def _aux(given: dict[str, Any], subnet: ipaddress.IPv4Network) -> dict[str, str]:
    addresses: dict[str, str] = {}
    for name, item in given.items():
        key = line(200)("IPAM.Config[0].AuxiliaryAddresses", name)
        addresses[key] = str(
            _inside("secondary ip address", text(f"AuxiliaryAddresses[{shown(key, 64)}]", item), subnet)
        )
    return addresses


@dataclass(frozen=True)
class Connect:
    """A decided connect request."""

    container: str
    endpoint: Endpoint


def decide_connect(body: Any, rules: Rules) -> Connect:
    """Which container is to join, and how. The answer has no place for warnings. Raises InvalidParameter, Forbidden."""
    draft = Draft(rules)
    if body is None:
        wrong("got EOF while reading request body")
    fields = _CONNECT.read("", body, draft.warnings)
    container = _container(fields)
    ENDPOINT.decide(draft, "EndpointConfig", fields.get("EndpointConfig", {}))
    return Connect(container, Endpoint(**draft.endpoint))


def decide_disconnect(body: Any) -> tuple[str, bool]:
    """(container, force). Raises InvalidParameter."""
    if body is None:
        wrong("got EOF while reading request body")
    fields = _DISCONNECT.read("", body, [])
    return _container(fields), boolean("Force", fields.get("Force", False))


def _container(fields: dict[str, Any]) -> str:
    container = line(300)("Container", fields.get("Container", ""))
    if not container.strip("/"):
        wrong('invalid name or ID supplied: ""')
    return container
