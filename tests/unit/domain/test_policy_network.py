"""Network create, connect and disconnect: what every field may be."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.policy import Rules
from app.domain.policy.network_create import decide_connect, decide_disconnect, decide_network
from app.errors import Error, Forbidden, InvalidParameter, NotFound


def pool(**values: Any) -> dict:
    return {"IPAM": {"Config": [{"Subnet": "10.66.0.0/24", **values}]}}


def test_the_defaults() -> None:
    """As the CLI sends it."""
    spec = decide_network(
        {
            "CheckDuplicate": True,
            "Driver": "bridge",
            "Scope": "",
            "EnableIPv6": False,
            "IPAM": {"Driver": "default", "Options": {}, "Config": []},
            "Internal": False,
            "Attachable": False,
            "Ingress": False,
            "ConfigOnly": False,
            "ConfigFrom": None,
            "Options": {},
            "Labels": {},
            "Name": "front",
        },
        Rules(),
    )
    assert (spec.name, spec.subnet, spec.options, spec.labels, spec.warnings) == ("front", None, {}, {}, ())


def test_everything_that_may_be_chosen() -> None:
    config = {
        "Subnet": "10.66.0.5/24",
        "IPRange": "10.66.0.128/25",
        "Gateway": "10.66.0.254",
        "AuxiliaryAddresses": {"printer": "10.66.0.9"},
    }
    options = {"com.docker.network.driver.mtu": "1400", "com.docker.network.bridge.enable_icc": "false"}
    spec = decide_network(
        {
            "Name": "a b/c",
            "Internal": True,
            "Attachable": True,
            "Options": options,
            "Labels": {"a": "b"},
            "IPAM": {"Config": [config]},
        },
        Rules(),
    )
    assert (str(spec.subnet), str(spec.ip_range), str(spec.gateway)) == (
        "10.66.0.0/24",
        "10.66.0.128/25",
        "10.66.0.254",
    )
    assert (spec.aux_addresses, spec.options, spec.labels) == ({"printer": "10.66.0.9"}, options, {"a": "b"})
    assert spec.internal and spec.attachable


def test_an_unknown_field_is_told() -> None:
    assert decide_network({"Name": "n", "Foo": 1}, Rules()).warnings == ("Foo is not known here and was ignored",)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (InvalidParameter, None, "EOF"),
        (InvalidParameter, [], "cannot unmarshal"),
        (InvalidParameter, {}, "invalid name: "),
        (InvalidParameter, {"Name": " "}, "invalid name: "),
        (InvalidParameter, {"Name": 5}, "field Name of type string"),
        (InvalidParameter, {"Name": "a" * 201}, "more than 200"),
        (InvalidParameter, {"Name": "a\nb"}, "control"),
        (InvalidParameter, {"Name": "container:x"}, "invalid name"),
        (Forbidden, {"Name": "bridge"}, "^operation is not permitted on predefined bridge network$"),
        (Forbidden, {"Name": "none"}, "predefined none"),
        (Forbidden, {"Name": "host"}, "predefined host"),
        (Forbidden, {"Name": "default"}, "predefined default"),
        (InvalidParameter, {"Name": "n", "CheckDuplicate": "x"}, "CheckDuplicate"),
        (Forbidden, {"Name": "n", "Driver": "host"}, r"the network driver host \(Driver\)"),
        (Forbidden, {"Name": "n", "Driver": "macvlan"}, "macvlan"),
        (Forbidden, {"Name": "n", "Driver": "ipvlan"}, "ipvlan"),
        (Forbidden, {"Name": "n", "Driver": "overlay"}, "overlay"),
        (NotFound, {"Name": "n", "Driver": "foo"}, '^plugin "foo" not found$'),
        (Forbidden, {"Name": "n", "Scope": "swarm"}, "Scope"),
        (Forbidden, {"Name": "n", "Ingress": True}, "Ingress"),
        (Forbidden, {"Name": "n", "ConfigOnly": True}, "ConfigOnly"),
        (Forbidden, {"Name": "n", "ConfigFrom": {"Network": "x"}}, "ConfigFrom"),
        (InvalidParameter, {"Name": "n", "ConfigFrom": {"Other": "x"}}, "unknown field"),
        (InvalidParameter, {"Name": "n", "EnableIPv6": True}, "IPv6 networks are not available"),
        (InvalidParameter, {"Name": "n", "EnableIPv4": False}, "without IPv4"),
        (InvalidParameter, {"Name": "n", "Internal": 1}, "Internal"),
        (Forbidden, {"Name": "n", "Options": {"com.docker.network.bridge.name": "docker0"}}, "bridge.name"),
        (Forbidden, {"Name": "n", "Options": {"parent": "eth0"}}, "parent"),
        (Forbidden, {"Name": "n", "Options": {"com.docker.network.bridge.inhibit_ipv4": "true"}}, "inhibit"),
        (InvalidParameter, {"Name": "n", "Options": {"com.docker.network.driver.mtu": "x"}}, "mtu"),
        (InvalidParameter, {"Name": "n", "Options": {"com.docker.network.driver.mtu": "99999"}}, "mtu"),
        (InvalidParameter, {"Name": "n", "Options": {"com.docker.network.bridge.enable_icc": "x"}}, "icc"),
        (InvalidParameter, {"Name": "n", "Options": []}, "Options"),
        (Forbidden, {"Name": "n", "Labels": {"sdc.account": "x"}}, "reserved label"),
        (NotFound, {"Name": "n", "IPAM": {"Driver": "foo"}}, 'plugin "foo" not found'),
        (Forbidden, {"Name": "n", "IPAM": {"Options": {"a": "b"}}}, "IPAM.Options"),
        (InvalidParameter, {"Name": "n", "IPAM": {"Foo": "b"}}, "unknown field"),
        (Forbidden, {"Name": "n", "IPAM": {"Config": [{}, {}]}}, "multiple subnets"),
        (InvalidParameter, {"Name": "n", **pool(Subnet="10.1.0.0/33")}, "invalid CIDR address: 10.1.0.0/33"),
        (InvalidParameter, {"Name": "n", **pool(Subnet="10.1.0.0")}, "invalid CIDR"),
        (InvalidParameter, {"Name": "n", "IPAM": {"Config": [{"Gateway": "10.1.0.1"}]}}, "Invalid subnet"),
        (InvalidParameter, {"Name": "n", **pool(Subnet="fd00::/64")}, "IPv6"),
        (InvalidParameter, {"Name": "n", **pool(Subnet="10.0.0.0/8")}, "16 to 29"),
        (InvalidParameter, {"Name": "n", **pool(Subnet="10.0.0.0/30")}, "16 to 29"),
        *[
            (InvalidParameter, {"Name": "n", **pool(Subnet=subnet)}, "private addresses")
            for subnet in (
                "8.8.8.0/24",
                "127.0.0.0/24",
                "169.254.0.0/16",
                "224.0.0.0/24",
                "0.0.0.0/24",
                "100.64.0.0/24",
                "255.255.255.0/24",
            )
        ],
        (InvalidParameter, {"Name": "n", **pool(Gateway="10.67.0.1")}, "out of range"),
        (InvalidParameter, {"Name": "n", **pool(Gateway="10.66.0.0")}, "out of range"),
        (InvalidParameter, {"Name": "n", **pool(Gateway="10.66.0.255")}, "out of range"),
        (InvalidParameter, {"Name": "n", **pool(Gateway="x")}, "invalid gateway address x"),
        (InvalidParameter, {"Name": "n", **pool(IPRange="10.67.0.0/25")}, "no matching subnet for range"),
        (InvalidParameter, {"Name": "n", **pool(IPRange="q")}, "Invalid Address SubPool"),
        (InvalidParameter, {"Name": "n", **pool(AuxiliaryAddresses={"a": "10.9.0.1"})}, "out of range"),
        (InvalidParameter, {"Name": "n", **pool(AuxiliaryAddresses={"a": 5})}, "AuxiliaryAddresses"),
        (InvalidParameter, {"Name": "n", **pool(Foo="x")}, "unknown field"),
    ],
)
def test_refusals(kind: type[Error], body: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        decide_network(body, Rules())


def test_connect() -> None:
    config = {
        "IPAMConfig": {"IPv4Address": "10.66.0.9"},
        "Aliases": ["db"],
        "Links": ["web:shop"],
        "NetworkID": "echoed",
        "DriverOpts": None,
    }
    wanted = decide_connect({"Container": "web", "EndpointConfig": config}, Rules())
    assert (wanted.container, wanted.endpoint.ipv4, wanted.endpoint.aliases) == ("web", "10.66.0.9", ("db",))
    assert wanted.endpoint.links == (("web", "shop"),)
    assert decide_connect({"Container": "web", "EndpointConfig": None}, Rules()).endpoint.aliases == ()


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        (InvalidParameter, None, "EOF"),
        (InvalidParameter, {}, 'invalid name or ID supplied: ""'),
        (InvalidParameter, {"Container": "/"}, "invalid name or ID"),
        (InvalidParameter, {"Container": 5}, "Container"),
        (InvalidParameter, {"Container": "c", "EndpointConfig": []}, "EndpointConfig"),
        (InvalidParameter, {"Container": "c", "EndpointConfig": {"Aliases": ["a b"]}}, "invalid alias"),
        (InvalidParameter, {"Container": "c", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "x"}}}, "invalid"),
        (Forbidden, {"Container": "c", "EndpointConfig": {"DriverOpts": {"a": "b"}}}, "driver options"),
        (InvalidParameter, {"Container": "c", "EndpointConfig": {"Foo": "b"}}, "unknown field"),
    ],
)
def test_connect_refusals(kind: type[Error], body: Any, words: str) -> None:
    with pytest.raises(kind, match=words):
        decide_connect(body, Rules())


def test_disconnect() -> None:
    assert decide_disconnect({"Container": "web", "Force": True}) == ("web", True)
    assert decide_disconnect({"Container": "web"}) == ("web", False)
    for body in (None, {}, {"Container": ""}, {"Container": "web", "Force": "x"}):
        with pytest.raises(InvalidParameter):
            decide_disconnect(body)
