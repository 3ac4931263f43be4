"""docker network create, ls, inspect, rm, prune: what is made, what is shown, what is refused, and whose it is."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Stack
from tests.machine import wait_until

SLEEP = ("busybox", "sleep", "600")


def clear(stack: Stack) -> None:
    for account in ("alice", "bob"):
        stack.remove_all(account)
        stack.docker(account, "network", "prune", "-f")


@pytest.fixture(scope="module", autouse=True)
def _clear(stack: Stack) -> Iterator[None]:
    clear(stack)
    for account in ("alice", "bob"):
        stack.docker(account, "network", "ls")
    yield
    clear(stack)


def inspect(stack: Stack, name: str, account: str = "alice") -> Any:
    return json.loads(stack.docker(account, "network", "inspect", name).text)[0]


def test_life(stack: Stack, cli: str) -> None:
    words = ["--subnet", "10.66.0.0/24", "--ip-range", "10.66.0.128/25", "--gateway", "10.66.0.254", "--internal"]
    words += ["--aux-address", "x=10.66.0.128", "--label", "a=b", "--opt", "com.docker.network.driver.mtu=1400"]
    made = stack.docker("alice", "network", "create", *words, "web", cli=cli).text.strip()
    assert len(made) == 64
    shown = inspect(stack, "web")
    config = shown["IPAM"]["Config"][0]
    assert (shown["Id"], shown["Driver"], shown["Scope"], shown["Internal"]) == (made, "bridge", "local", True)
    assert config["Subnet"] == "10.66.0.0/24" and config["Gateway"] == "10.66.0.254"
    assert config["IPRange"] == "10.66.0.128/25" and config["AuxiliaryAddresses"] == {"x": "10.66.0.128"}
    assert shown["Labels"] == {"a": "b"} and shown["Options"] == {"com.docker.network.driver.mtu": "1400"}
    fields = "{{.ID}} {{.Name}} {{.Driver}} {{.Scope}} {{.IPv6}} {{.Internal}} {{.Labels}}"
    listed = stack.docker("alice", "network", "ls", "--format", fields, "--filter", "label=a", cli=cli).text
    assert listed == f"{made[:12]} web bridge local false true a=b\n"
    container = stack.docker("alice", "run", "-d", "--name", "cc", "--network", made[:10], *SLEEP).text.strip()
    attached = inspect(stack, "web")["Containers"]
    assert list(attached) == [container] and attached[container]["IPv4Address"] == "10.66.0.129/24"
    assert attached[container]["Name"] == "cc"
    refused = stack.docker("alice", "network", "rm", "web", cli=cli, check=False)
    assert refused.code == 1 and f"network web id {made} has active endpoints" in refused.said
    assert stack.docker("alice", "exec", "cc", "ip", "link", "show", "eth0").text.split()[4] == "1400"
    stack.docker("alice", "rm", "-f", "cc")
    assert stack.docker("alice", "network", "rm", "web", cli=cli).text == "web\n"
    assert stack.docker("alice", "network", "inspect", "web", check=False).code == 1
    assert not [n for n in stack.engine.call("GET", "/networks")[1] if n["IPAM"]["Config"] == [config]]


def test_what_every_account_has(stack: Stack, cli: str) -> None:
    for account in ("alice", "bob"):
        names = stack.docker(account, "network", "ls", "--format", "{{.Name}}/{{.Driver}}", cli=cli).text.split()
        assert names == ["bridge/bridge", "host/host", "none/null"]
    ids = {inspect(stack, name, account)["Id"] for name in ("bridge", "host", "none") for account in ("alice", "bob")}
    assert len(ids) == 6
    for name in ("bridge", "host", "none"):
        done = stack.docker("alice", "network", "rm", name, cli=cli, check=False)
        assert f"{name} is a pre-defined network and cannot be removed" in done.said
        done = stack.docker("alice", "network", "create", name, cli=cli, check=False)
        assert f"operation is not permitted on predefined {name} network" in done.said


def test_the_default_network_shows_its_containers(stack: Stack) -> None:
    container = stack.docker("alice", "run", "-d", *SLEEP).text.strip()
    assert list(inspect(stack, "bridge")["Containers"]) == [container]
    old = stack.request("alice", "GET", "/v1.27/networks").json()
    assert list(next(n for n in old if n["Name"] == "bridge")["Containers"]) == [container]
    new = stack.request("alice", "GET", "/v1.28/networks").json()
    assert next(n for n in new if n["Name"] == "bridge")["Containers"] == {}
    oldest = stack.request("alice", "GET", "/v1.21/networks/bridge").json()
    assert "Labels" not in oldest and "Name" not in oldest["Containers"][container]
    assert stack.request("alice", "GET", "/v1.20/networks").status == 400
    stack.docker("alice", "rm", "-f", container)


def test_another_account(stack: Stack) -> None:
    """Its networks are not there, its names are free, its subnets are taken by nobody knows whom."""
    hers = stack.docker("alice", "network", "create", "--subnet", "10.67.0.0/24", "front").text.strip()
    his = stack.docker("bob", "network", "create", "front").text.strip()
    assert hers != his
    for word in (hers, hers[:12]):
        with Unchanged(stack):
            for method, path, body in (
                ("GET", "", None),
                ("DELETE", "", None),
                ("POST", "/connect", {"Container": "x"}),
                ("POST", "/disconnect", {"Container": "x"}),
            ):
                answer = ask(stack, "bob", method, f"/networks/{word}{path}", body)
                assert (answer.status, message(answer)) == (404, f"network {word} not found"), method + path
    done = stack.docker("bob", "run", "--rm", "--network", hers, "busybox", "true", check=False)
    assert done.code == 125 and f"network {hers} not found" in done.said
    for subnet in ("10.67.0.0/24", "10.67.0.128/25", "10.67.0.0/16"):
        for account in ("alice", "bob"):
            body = {"Name": "second", "IPAM": {"Config": [{"Subnet": subnet}]}}
            with Unchanged(stack):
                answer = ask(stack, account, "POST", "/networks/create", body)
            assert (answer.status, message(answer)) == (403, "Pool overlaps with other one on this address space")
    stack.docker("bob", "network", "prune", "-f")
    assert inspect(stack, "front")["Id"] == hers
    stack.docker("alice", "network", "rm", "front")


def test_filters_and_prune(stack: Stack, cli: str) -> None:
    for name, label in (("one", "a=1"), ("two", "a=2"), ("used", "a=3")):
        stack.docker("alice", "network", "create", "--label", label, name, cli=cli)
    stack.docker("alice", "run", "-d", "--name", "uu", "--network", "used", *SLEEP)

    def names(*filters: str) -> set[str]:
        words = [word for text in filters for word in ("--filter", text)]
        return set(stack.docker("alice", "network", "ls", "--format", "{{.Name}}", *words, cli=cli).text.split())

    assert names("dangling=true") == {"one", "two"}
    assert names("type=custom", "name=^t") == {"two"}
    assert names("label=a=3") == {"used"} and names("driver=null") == {"none"}
    assert names("type=builtin") == {"bridge", "host", "none"} and names("scope=swarm") == set()
    done = stack.docker("alice", "network", "prune", "-f", "--filter", "label=a=1", cli=cli).text
    assert done == "Deleted Networks:\none\n\n"
    assert stack.docker("alice", "network", "prune", "-f", "--filter", "until=1h", cli=cli).text == ""
    assert "two" in stack.docker("alice", "network", "prune", "-f", cli=cli).text
    assert names("type=custom") == {"used"}
    stack.docker("alice", "rm", "-f", "uu")
    stack.docker("alice", "network", "prune", "-f")


CREATE = [
    ({}, 400, "invalid name: "),
    ({"Name": "x", "Driver": "macvlan"}, 403, "the network driver macvlan"),
    ({"Name": "x", "Driver": "overlay"}, 403, "the network driver overlay"),
    ({"Name": "x", "Driver": "weave"}, 404, 'plugin "weave" not found'),
    ({"Name": "x", "EnableIPv6": True}, 400, "IPv6 networks are not available here"),
    ({"Name": "x", "ConfigOnly": True}, 403, "ConfigOnly"),
    ({"Name": "x", "Options": {"com.docker.network.bridge.name": "docker0"}}, 403, "com.docker.network.bridge.name"),
    ({"Name": "x", "Labels": {"sdc.other": "x"}}, 403, "reserved label"),
    ({"Name": "x", "IPAM": {"Config": [{"Subnet": "8.8.8.0/24"}]}}, 400, "private addresses"),
    ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.0.0.0/8"}]}}, 400, "16 to 29 bits"),
    ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.224.0.0/16"}]}}, 400, "at least 24 bits"),
    ({"Name": "x", "IPAM": {"Config": [{"Subnet": "127.0.0.0/24"}]}}, 400, "private addresses"),
    ({"Name": "x", "IPAM": {"Config": [{"Subnet": "10.66.0.0/24", "Gateway": "10.1.0.1"}]}}, 400, "out of range"),
    ({"Name": "x" * 300}, 400, "more than 200"),
    ("x", 400, "unmarshal"),
]


def test_bad_input(stack: Stack) -> None:
    with Unchanged(stack):
        for body, status, words in CREATE:
            answer = ask(stack, "alice", "POST", "/networks/create", body)
            assert (answer.status, words in message(answer)) == (status, True), (body, message(answer))
        own = {"Name": "x", "IPAM": {"Config": [{"Subnet": f"{stack.node_address}/28"}]}}
        answer = ask(stack, "alice", "POST", "/networks/create", own)
        assert answer.status == 400 and "not available in this data center" in message(answer)
        for filters, words in (('{"foo":["x"]}', "Invalid filter 'foo'"), ('{"dangling":["x"]}', "dangling")):
            answer = ask(stack, "alice", "GET", f"/networks?filters={urllib.parse.quote(filters)}")
            assert answer.status == 400 and words in message(answer)
        until = urllib.parse.quote('{"until":["x"]}')
        answer = ask(stack, "alice", "POST", f"/networks/prune?filters={until}")
        assert answer.status == 400
        assert ask(stack, "alice", "GET", "/networks/bridge?verbose=x").status == 400
        assert ask(stack, "alice", "GET", "/networks/bridge?scope=swarm").status == 404
        assert ask(stack, "alice", "GET", "/networks/nosuch").status == 404
        assert ask(stack, "alice", "DELETE", "/networks/nosuch").status == 404
    assert stack.request("alice", "GET", "/networks/").status == 200


def test_events(stack: Stack) -> None:
    made = stack.docker("alice", "network", "create", "told").text.strip()
    stack.docker("alice", "network", "rm", "told")
    words = ("events", "--since", "10m", "--until", str(int(time.time()) + 1), "--filter", f"network={made}")
    told = stack.docker("alice", *words, "--format", "{{.Action}} {{.Actor.Attributes.name}}").text.split("\n")
    assert told[:2] == ["create told", "destroy told"]
    assert stack.docker("bob", *words).text == ""


def test_a_network_that_somebody_removed_on_the_engine_is_made_again(stack: Stack) -> None:
    stack.docker("alice", "network", "create", "--subnet", "10.66.0.0/24", "lost")
    stack.docker("alice", "run", "-d", "--name", "cc", "--network", "lost", *SLEEP)
    stack.docker("alice", "stop", "-t", "0", "cc")
    # The account's alone: other tests' accounts are on this engine too.
    [(account,)] = stack.psql("SELECT id::text FROM accounts WHERE login = 'alice'")
    filters = urllib.parse.quote(json.dumps({"label": [f"sdc.account={account}"]}))
    made = "SELECT 'n-' || uuid FROM networks WHERE account_id = %s AND ready"
    lost = {name for (name,) in stack.psql(made, [account])}

    def prune() -> None:
        assert stack.engine.call("POST", f"/networks/prune?filters={filters}")[0] == 200

    # A start that fails would be the end of these.
    stack.docker("alice", "create", "--rm", "--name", "brief", "--network", "lost", "busybox", "echo", "at once")
    prune()
    assert stack.docker("alice", "start", "-a", "brief").text == "at once\n"
    for network in ("lost", "bridge"):
        prune()
        said = stack.docker("alice", "run", "--rm", "--network", network, "busybox", "echo", "at once").text
        assert said == "at once\n"
    prune()
    wait_until(lambda: lost <= {n["Name"] for n in stack.engine.call("GET", "/networks")[1]}, "the networks again")
    prune()
    stack.docker("alice", "start", "cc")
    assert stack.docker("alice", "exec", "cc", "ip", "-4", "-o", "addr").text.count("10.66.0.2/24") == 1
    stack.docker("alice", "run", "-d", "--name", "dd", *SLEEP)
    stack.docker("alice", "rm", "-f", "cc", "dd")
    stack.docker("alice", "network", "rm", "lost")
