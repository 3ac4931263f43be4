"""docker network connect and disconnect, --ip, --network-alias, several networks; who reaches whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Result, Stack

SLEEP = ("busybox", "sleep", "600")


@pytest.fixture(scope="module", autouse=True)
def _networks(stack: Stack) -> Iterator[None]:
    """alice has front (10.68.0.0/24) with cc, back with dd; bob has front with his own cc."""
    clear(stack)
    stack.docker("alice", "network", "create", "--subnet", "10.68.0.0/24", "front")
    stack.docker("alice", "network", "create", "--internal", "back")
    stack.docker("bob", "network", "create", "front")
    stack.docker("alice", "run", "-d", "--name", "cc", "--network", "front", "--network-alias", "shop", *SLEEP)
    stack.docker("alice", "run", "-d", "--name", "dd", "--network", "back", *SLEEP)
    stack.docker("bob", "run", "-d", "--name", "cc", "--network", "front", *SLEEP)
    yield
    clear(stack)


def clear(stack: Stack) -> None:
    for account in ("alice", "bob"):
        stack.remove_all(account)
        stack.docker(account, "network", "prune", "-f")


def networks(stack: Stack, name: str, account: str = "alice") -> Any:
    return json.loads(stack.docker(account, "inspect", name).text)[0]["NetworkSettings"]["Networks"]


def reaches(stack: Stack, name: str, other: str, account: str = "alice") -> bool:
    """Of a way that is there, which may take its time on a busy machine."""
    return inside(stack, name, f"timeout 20 ping -c 1 -W 10 {other}", account).code == 0


def cut_off(stack: Stack, name: str, other: str, account: str = "alice") -> bool:
    return inside(stack, name, f"timeout 2 ping -c 1 -W 1 {other}", account).code != 0


def inside(stack: Stack, name: str, script: str, account: str = "alice") -> Result:
    return stack.docker(account, "exec", name, "sh", "-c", script, check=False)


def test_connect_and_disconnect(stack: Stack, cli: str) -> None:
    """A running one: at once, over a restart and a rename."""
    assert cut_off(stack, "cc", "dd")
    stack.docker("alice", "network", "connect", "--alias", "till", "--ip", "10.68.0.77", "front", "dd", cli=cli)
    shown = networks(stack, "dd")
    assert set(shown) == {"front", "back"} and shown["front"]["IPAddress"] == "10.68.0.77"
    assert shown["front"]["IPAMConfig"] == {"IPv4Address": "10.68.0.77"} and "till" in shown["front"]["Aliases"]
    assert reaches(stack, "cc", "dd") and reaches(stack, "cc", "till") and reaches(stack, "dd", "shop")
    listed = stack.docker("alice", "ps", "--filter", "network=front", "--format", "{{.Names}} {{.Networks}}", cli=cli)
    assert "dd back,front" in listed.text or "dd front,back" in listed.text
    again = stack.docker("alice", "network", "connect", "front", "dd", cli=cli, check=False)
    assert again.code == 1 and "endpoint with name dd already exists in network front" in again.said
    stack.docker("alice", "restart", "-t", "0", "dd")
    assert networks(stack, "dd")["front"]["IPAddress"] == "10.68.0.77" and reaches(stack, "cc", "till")
    stack.docker("alice", "rename", "dd", "ddd")
    assert reaches(stack, "cc", "ddd") and reaches(stack, "cc", "till")
    assert inside(stack, "cc", "timeout 2 nslookup dd").code != 0
    stack.docker("alice", "rename", "ddd", "dd")
    stack.docker("alice", "network", "disconnect", "front", "dd", cli=cli)
    assert set(networks(stack, "dd")) == {"back"} and cut_off(stack, "cc", "10.68.0.77")
    gone = stack.docker("alice", "network", "disconnect", "front", "dd", cli=cli, check=False)
    assert gone.code == 1 and "is not connected to network front" in gone.said


def test_a_stopped_one(stack: Stack) -> None:
    stack.docker("alice", "create", "--name", "later", *SLEEP)
    stack.docker("alice", "network", "connect", "front", "later")
    stack.docker("alice", "network", "connect", "--alias", "soon", "front", "later")
    stack.docker("alice", "network", "disconnect", "-f", "bridge", "later")
    stack.docker("alice", "start", "later")
    assert set(networks(stack, "later")) == {"front"} and reaches(stack, "cc", "soon")
    stack.docker("alice", "network", "connect", "bridge", "later")
    shown = networks(stack, "later")["bridge"]
    assert shown["IPAddress"].startswith("10.224.") and shown["IPAMConfig"] is None
    stack.docker("alice", "rm", "-f", "later")


def test_several_at_create(stack: Stack) -> None:
    endpoints = {"front": {"IPAMConfig": {"IPv4Address": "10.68.0.99"}}, "back": {"Aliases": ["both"]}}
    body = {"Image": "busybox", "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "front"}}
    body["NetworkingConfig"] = {"EndpointsConfig": endpoints}
    older = ask(stack, "alice", "POST", "/v1.43/containers/create?name=many", body)
    assert (older.status, message(older)) == (400, "Container cannot be connected to network endpoints: back, front")
    assert ask(stack, "alice", "POST", "/v1.44/containers/create?name=many", body).status == 201
    stack.docker("alice", "start", "many")
    shown = networks(stack, "many")
    assert set(shown) == {"front", "back"} and shown["front"]["IPAddress"] == "10.68.0.99"
    assert reaches(stack, "dd", "both") and reaches(stack, "cc", "many")
    assert cut_off(stack, "dd", "10.68.0.99"), "it does not route"
    stack.docker("alice", "rm", "-f", "many")


def test_static_addresses(stack: Stack, cli: str) -> None:
    run = ("run", "-d", "--network", "front", "--ip")
    stack.docker("alice", *run, "10.68.0.50", "--name", "one", *SLEEP, cli=cli)
    stack.docker("alice", "restart", "-t", "0", "one")
    assert networks(stack, "one")["front"]["IPAddress"] == "10.68.0.50"
    taken = stack.docker("alice", *run, "10.68.0.50", "--name", "two", *SLEEP, cli=cli, check=False)
    assert taken.code == 125 and "Address already in use" in taken.said
    stack.docker("alice", "rm", "-f", "one")
    stack.docker("alice", "start", "two")
    for address, words in (("10.1.2.3", "no configured subnet contains"), ("10.68.0.1", "IP address 10.68.0.1")):
        done = stack.docker("alice", *run, address, *SLEEP, cli=cli, check=False)
        assert done.code == 125 and words in done.said
    endpoints = {"bridge": {"IPAMConfig": {"IPv4Address": "10.224.0.9"}}}
    body = {"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": endpoints}}
    answer = ask(stack, "alice", "POST", "/containers/create", body)
    words = "user specified IP address is supported on user defined networks only"
    assert (answer.status, message(answer)) == (400, words)
    stack.docker("alice", "rm", "-f", "two")


def test_none(stack: Stack) -> None:
    stack.docker("alice", "run", "-d", "--name", "alone", "--network", "none", *SLEEP)
    words = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    answer = ask(stack, "alice", "POST", "/networks/front/connect", {"Container": "alone"})
    assert (answer.status, message(answer)) == (400, words)
    assert set(networks(stack, "alone")) == {"none"}
    stack.docker("alice", "network", "disconnect", "none", "alone")
    stack.docker("alice", "network", "connect", "front", "alone")
    assert reaches(stack, "cc", "alone")
    stack.docker("alice", "rm", "-f", "alone")


def test_no_way_to_another_account(stack: Stack) -> None:
    """By address, from bridges, internal networks and several at once; by name; by joining."""
    his = networks(stack, "cc", "bob")["front"]["IPAddress"]
    hers = [networks(stack, "cc")["front"]["IPAddress"], networks(stack, "dd")["back"]["IPAddress"]]
    assert reaches(stack, "cc", hers[0]) and reaches(stack, "cc", his, "bob")
    for name in ("cc", "dd"):
        assert cut_off(stack, name, his)
    for address in hers:
        assert cut_off(stack, "cc", address, "bob")
    assert inside(stack, "cc", "timeout 2 nslookup shop", "bob").code != 0
    assert cut_off(stack, "dd", stack.host_address), "an internal network has no way out"
    with Unchanged(stack):
        theirs = stack.docker("bob", "ps", "-q", "--no-trunc").text.strip()
        for word in (theirs, theirs[:12]):
            answer = ask(stack, "alice", "POST", "/networks/front/connect", {"Container": word}, typed=word)
            assert (answer.status, message(answer)) == (404, f"No such container: {word}")
            answer = ask(stack, "alice", "POST", "/networks/front/disconnect", {"Container": word}, typed=word)
            assert answer.status == 404


BAD = [
    ("connect", None, 400, "EOF"),
    ("connect", {}, 400, 'invalid name or ID supplied: ""'),
    ("connect", {"Container": "nosuch"}, 404, "No such container: nosuch"),
    ("connect", {"Container": 5}, 400, "Container"),
    (
        "connect",
        {"Container": "dd", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "1.2.3.4"}}},
        400,
        "no configured",
    ),
    (
        "connect",
        {"Container": "dd", "EndpointConfig": {"IPAMConfig": {"IPv6Address": "fd00::9"}}},
        400,
        "no configured",
    ),
    (
        "connect",
        {"Container": "dd", "EndpointConfig": {"Links": ["nosuch"]}},
        400,
        "could not get container for nosuch",
    ),
    ("connect", {"Container": "dd", "EndpointConfig": {"Aliases": ["a b"]}}, 400, "invalid alias"),
    ("connect", {"Container": "dd", "EndpointConfig": {"DriverOpts": {"a": "b"}}}, 403, "driver options"),
    ("disconnect", {"Container": "nosuch"}, 404, "No such container: nosuch"),
    ("disconnect", {"Container": "dd", "Force": "x"}, 400, "Force"),
    ("disconnect", {"Container": "dd"}, 500, "is not connected to network front"),
]


def test_bad_input(stack: Stack) -> None:
    with Unchanged(stack):
        for verb, body, status, words in BAD:
            answer = ask(stack, "alice", "POST", f"/networks/front/{verb}", body)
            assert (answer.status, words in message(answer)) == (status, True), (verb, body, message(answer))
        for verb in ("connect", "disconnect"):
            answer = ask(stack, "alice", "POST", f"/networks/host/{verb}", {"Container": "cc"})
            assert answer.status == 400 and "host network" in message(answer)
