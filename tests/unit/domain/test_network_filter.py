"""Filters of `docker network ls` and `docker network prune`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.domain import network_filter, network_view
from app.domain.network_filter import LIST, Prune
from app.errors import InvalidParameter
from tests import factories

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ENDPOINT = {"IPAddress": "10.224.0.2", "IPPrefixLen": 24, "MacAddress": "02:42:0a:e0:00:02", "EndpointID": "e" * 64}
WEB = network_view.network(
    factories.network(name="web", id="ab" * 32, labels={"a": "b"}, created_at=NOW),
    network_view.attached([("c" * 64, "db", ENDPOINT)]),
)
BRIDGE = network_view.network(factories.network(name="bridge", id="cd" * 32, created_at=NOW), {})
IDLE = network_view.network(factories.network(name="idle", id="ef" * 32, created_at=NOW), {})
ALL = [WEB, BRIDGE, IDLE, *network_view.unmade(factories.number(1), NOW)]


def test_what_is_shown() -> None:
    assert WEB["Containers"] == {
        "c" * 64: {
            "Name": "db",
            "EndpointID": "e" * 64,
            "MacAddress": "02:42:0a:e0:00:02",
            "IPv4Address": "10.224.0.2/24",
            "IPv6Address": "",
        }
    }
    assert (WEB["Created"], WEB["Labels"], WEB["Driver"]) == ("2026-01-02T00:00:00.000000000Z", {"a": "b"}, "bridge")
    assert [(n["Name"], n["Driver"]) for n in ALL[3:]] == [("host", "host"), ("none", "null")]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["web", "bridge", "idle", "host", "none"]),
        ({"driver": ["bridge"]}, ["web", "bridge", "idle"]),
        ({"driver": ["null", "host"]}, ["host", "none"]),
        ({"id": ["abab"]}, ["web"]),
        ({"name": ["e"]}, ["web", "bridge", "idle", "none"]),
        ({"name": ["^we", "idle$"]}, ["web", "idle"]),
        ({"name": ["["]}, []),
        ({"label": ["a"]}, ["web"]),
        ({"label": ["a=b", "x"]}, []),
        ({"scope": ["local"], "type": ["custom"]}, ["web", "idle"]),
        ({"type": ["builtin"]}, ["bridge", "host", "none"]),
        ({"scope": ["swarm"]}, []),
        ({"dangling": ["true"]}, ["idle"]),
        ({"dangling": ["0"]}, ["web", "bridge", "host", "none"]),
    ],
)
def test_select(filters: dict, names: list[str]) -> None:
    network_filter.check(filters, LIST)
    assert [network["Name"] for network in network_filter.select(ALL, filters)] == names


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"foo": ["x"]}, "Invalid filter 'foo'"),
        ({"until": ["5m"]}, "Invalid filter 'until'"),
        ({"type": ["x"]}, "invalid filter: 'type'='x'"),
        ({"dangling": ["x"]}, "invalid value for filter 'dangling'"),
        ({"dangling": ["true", "false"]}, "more than one value"),
    ],
)
def test_wrong_filters(filters: dict, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        network_filter.check(filters, LIST)


def test_prune() -> None:
    old = factories.network(name="old", labels={"a": "b"}, created_at=datetime.now(UTC) - timedelta(hours=2))
    assert Prune.parse({}).takes(old)
    assert Prune.parse({"until": ["1h"]}).takes(old)
    assert not Prune.parse({"until": ["3h"]}).takes(old)
    assert not Prune.parse({"label": ["x"]}).takes(old)
    assert not Prune.parse({"label!": ["a=b"]}).takes(old)
    for wrong in ({"until": ["abc"]}, {"until": ["1h", "2h"]}, {"dangling": ["true"]}):
        with pytest.raises(InvalidParameter):
            Prune.parse(wrong)
