"""Networks."""

from __future__ import annotations

import pytest

from app.errors import Conflict, Error, Forbidden, Internal, InvalidParameter, NotFound
from tests.contract.conftest import Subject


def network(subject: Subject, word: str = "one", subnet: str = "10.231.7.0/24", **more: object) -> str:
    pool = {"Subnet": subnet, "Gateway": subnet.replace(".0/24", ".1")}
    body = {"Name": subject.name(word), "CheckDuplicate": True, "Driver": "bridge", "IPAM": {"Config": [pool]}, **more}
    return subject.engine.create_network(body)


def test_create_find_remove(subject: Subject) -> None:
    new = network(subject, Labels={"a": "b"})
    seen = subject.engine.find_network(subject.name())
    assert seen is not None
    assert (seen["Id"], seen["Name"], seen["Driver"], seen["Labels"]) == (new, subject.name(), "bridge", {"a": "b"})
    assert seen["IPAM"]["Config"] == [{"Subnet": "10.231.7.0/24", "Gateway": "10.231.7.1"}]
    assert subject.engine.find_network(subject.name()[:-1]) is None
    assert [n["Name"] for n in subject.engine.list_networks(["a=b"])] == [subject.name()]
    assert subject.engine.list_networks(["a=c"]) == []
    assert subject.engine.network_endpoints(subject.name()) == {}
    subject.engine.remove_network(subject.name())
    assert subject.engine.find_network(subject.name()) is None
    with pytest.raises(NotFound, match=f"network {subject.name()} not found"):
        subject.engine.remove_network(subject.name())


def test_name_and_subnet_are_taken_once(subject: Subject) -> None:
    network(subject)
    with pytest.raises(Conflict, match=f"network with name {subject.name()} already exists"):
        network(subject, subnet="10.231.8.0/24")
    with pytest.raises(Forbidden, match="Pool overlaps with other one on this address space"):
        network(subject, "two")


def test_a_container_gets_the_address_that_it_asks_for(subject: Subject) -> None:
    network(subject)
    endpoint = {"IPAMConfig": {"IPv4Address": "10.231.7.77"}, "Aliases": ["web"]}
    new = subject.create(
        "sleep",
        "1000",
        host={"NetworkMode": subject.name()},
        NetworkingConfig={"EndpointsConfig": {subject.name(): endpoint}},
    )
    subject.engine.start_container(new)
    seen = subject.engine.inspect_container(new)["NetworkSettings"]["Networks"][subject.name()]
    assert (seen["IPAddress"], seen["IPPrefixLen"], seen["Gateway"]) == ("10.231.7.77", 24, "10.231.7.1")
    assert "web" in seen["Aliases"]
    name = subject.engine.inspect_container(new)["Name"].lstrip("/")
    assert subject.engine.network_endpoints(subject.name()) == {new: name}
    with pytest.raises(Forbidden, match=r"^error while removing network: network .* has active endpoints$"):
        subject.engine.remove_network(subject.name())


def test_connect_and_disconnect(subject: Subject) -> None:
    network(subject)
    new = subject.create("sleep", "1000")
    subject.engine.start_container(new)
    subject.engine.connect_network(subject.name(), new, {})
    assert subject.engine.inspect_container(new)["NetworkSettings"]["Networks"][subject.name()]["IPAddress"]
    with pytest.raises(Forbidden, match="already exists in network"):
        subject.engine.connect_network(subject.name(), new, {})
    subject.engine.disconnect_network(subject.name(), new)
    assert subject.name() not in subject.engine.inspect_container(new)["NetworkSettings"]["Networks"]
    with pytest.raises(Internal, match="is not connected to network"):
        subject.engine.disconnect_network(subject.name(), new)
    with pytest.raises(NotFound, match="network n-none not found"):
        subject.engine.connect_network("n-none", new, {})
    with pytest.raises(NotFound, match="No such container: c-none"):
        subject.engine.connect_network(subject.name(), "c-none", {})


def test_a_start_on_a_missing_network(subject: Subject) -> None:
    new = subject.create("true", host={"NetworkMode": "n-none"})
    with pytest.raises(Error, match="network n-none not found"):
        subject.engine.start_container(new)
    assert subject.engine.inspect_container(new)["State"]["Status"] == "created"


def running(subject: Subject, name: str, endpoint: dict | None = None) -> str:
    new = subject.create(
        "sleep",
        "1000",
        name=name,
        host={"NetworkMode": subject.name()},
        NetworkingConfig={"EndpointsConfig": {subject.name(): endpoint or {}}},
    )
    subject.engine.start_container(new)
    return new


def endpoint_of(subject: Subject, container: str) -> dict:
    return subject.engine.inspect_container(container)["NetworkSettings"]["Networks"][subject.name()]


def test_addresses_have_one_owner(subject: Subject) -> None:
    pool = {"Subnet": "10.231.7.0/24", "Gateway": "10.231.7.1", "AuxiliaryAddresses": {"x": "10.231.7.2"}}
    network(subject, IPAM={"Config": [pool]})
    one = running(subject, "one")
    assert endpoint_of(subject, one)["IPAddress"] == "10.231.7.3"
    for address, kind, words in (
        ("10.231.7.3", Forbidden, "Address already in use"),
        ("10.231.7.1", Forbidden, "Address already in use"),
        ("10.231.7.2", Forbidden, "Address already in use"),
        ("10.99.9.9", Internal, "Invalid address 10.99.9.9: It does not belong to any of this network's subnets"),
    ):
        new = subject.create("sleep", "9", name="two", host={"NetworkMode": subject.name()})
        subject.engine.disconnect_network(subject.name(), new)
        subject.engine.connect_network(subject.name(), new, {"IPAMConfig": {"IPv4Address": address}})
        with pytest.raises(kind, match=words):
            subject.engine.start_container(new)
        subject.engine.remove_container(new, force=True, volumes=True)
    subject.engine.stop_container(one, seconds=0)
    assert endpoint_of(subject, one)["IPAddress"] == ""
    subject.engine.start_container(one)
    assert endpoint_of(subject, one)["IPAddress"] == "10.231.7.3"


def test_a_stopped_one_stays_as_it_joined_first(subject: Subject) -> None:
    network(subject)
    new = subject.create("sleep", "1000")
    subject.engine.connect_network(subject.name(), new, {"Aliases": ["one"]})
    subject.engine.connect_network(subject.name(), new, {"Aliases": ["two"]})
    assert "one" in endpoint_of(subject, new)["Aliases"] and "two" not in endpoint_of(subject, new)["Aliases"]
    subject.engine.disconnect_network(subject.name(), new, force=True)
    with pytest.raises(Internal, match="is not connected to the network"):
        subject.engine.disconnect_network(subject.name(), new)


def test_none_is_left_before_another_is_joined(subject: Subject) -> None:
    network(subject)
    new = subject.create("sleep", "1000", host={"NetworkMode": "none"})
    with pytest.raises(InvalidParameter, match="one of the networks in private"):
        subject.engine.connect_network(subject.name(), new, {})
    subject.engine.disconnect_network("none", new)
    subject.engine.connect_network(subject.name(), new, {})
    assert list(subject.engine.inspect_container(new)["NetworkSettings"]["Networks"]) == [subject.name()]


def test_a_network_that_was_made_again(subject: Subject) -> None:
    """A container goes by the lost one's id, until it joins anew."""
    network(subject)
    new = running(subject, "one")
    subject.engine.stop_container(new, seconds=0)
    subject.engine.remove_network(subject.name())
    with pytest.raises(NotFound, match=r"network \S+ not found"):
        subject.engine.start_container(new)
    network(subject)
    subject.engine.disconnect_network(subject.name(), new)
    subject.engine.connect_network(subject.name(), new, {})
    subject.engine.start_container(new)
    assert endpoint_of(subject, new)["IPAddress"] == "10.231.7.2"
