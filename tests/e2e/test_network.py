"""The account's default network: addresses, names, other accounts, published ports."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
import urllib.request
from collections.abc import Iterator

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Result, Stack
from tests.machine import wait_until

#: Answers every connection with its own name.
SERVER = ("busybox", "sh", "-c", "mkdir /www; echo $WORD > /www/index.html; exec httpd -f -p 80 -h /www")


@pytest.fixture(scope="module")
def two(stack: Stack) -> Iterator[None]:
    """alice has web and client, bob has web."""
    for account in ("alice", "bob"):
        stack.remove_all(account)
    stack.docker("alice", "run", "-d", "--name", "web", "-e", "WORD=alice", "-p", "18081:80", *SERVER)
    stack.docker("alice", "run", "-d", "--name", "client", "busybox", "sleep", "600")
    stack.docker("bob", "run", "-d", "--name", "web", "-e", "WORD=bob", "-p", "18082:80", *SERVER)
    for account, port in (("alice", 18081), ("bob", 18082)):
        wait_until(lambda word=account, port=port: reached(stack, port) == word, account)  # type: ignore[misc]
    yield
    for account in ("alice", "bob"):
        stack.remove_all(account)


def inside(stack: Stack, script: str, account: str = "alice", name: str = "client") -> Result:
    return stack.docker(account, "exec", name, "sh", "-c", script, check=False)


def address(stack: Stack, account: str, name: str) -> str:
    return stack.docker(account, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", name).text.strip()


def get(stack: Stack, port: int) -> str:
    with urllib.request.urlopen(f"http://{stack.node_address}:{port}/", timeout=20) as response:
        return response.read().decode().strip()


def test_addresses(stack: Stack, two: None) -> None:
    pool = ipaddress.ip_network("10.224.0.0/12")
    subnets = dict(stack.psql("SELECT a.login, n.subnet::text FROM networks n JOIN accounts a ON a.id = n.account_id"))
    assert not ipaddress.ip_network(subnets["alice"]).overlaps(ipaddress.ip_network(subnets["bob"]))
    for account in ("alice", "bob"):
        subnet = ipaddress.ip_network(subnets[account])
        assert subnet.subnet_of(pool) and subnet.prefixlen == 22  # type: ignore[arg-type]
        assert ipaddress.ip_address(address(stack, account, "web")) in subnet
    own = inside(stack, "ip -4 -o addr show eth0").text
    assert address(stack, "alice", "client") in own
    network = json.loads(stack.docker("alice", "inspect", "client").text)[0]["NetworkSettings"]["Networks"]
    assert list(network) == ["bridge"], "shown as Docker's default network"


def test_names(stack: Stack, two: None) -> None:
    web_id = stack.docker("alice", "inspect", "-f", "{{.Id}}", "web").text.strip()
    for name in ("web", web_id[:12], address(stack, "alice", "web")):
        assert inside(stack, f"wget -q -O - http://{name}/").text == "alice\n", name
    bobs = stack.docker("bob", "run", "--rm", "busybox", "wget", "-q", "-O", "-", "http://web/")
    assert bobs.text == "bob\n"
    hers = stack.docker("bob", "run", "--rm", "busybox", "sh", "-c", "timeout 2 nslookup client || exit 9", check=False)
    assert hers.code == 9


def test_names_after_rename(stack: Stack, two: None) -> None:
    before = address(stack, "alice", "web")
    stack.docker("alice", "rename", "web", "shop")
    try:
        assert address(stack, "alice", "shop") == before
        assert inside(stack, "wget -q -O - http://shop/").text == "alice\n"
        assert inside(stack, "timeout 2 nslookup web").code != 0
        assert get(stack, 18081) == "alice", "published ports go on"
        own = inside(stack, "wget -q -O - http://shop/; ip -4 -o addr show", name="shop")
        assert before in own.text
    finally:
        stack.docker("alice", "rename", "shop", "web")
    assert inside(stack, "wget -q -O - http://web/").text == "alice\n"
    stack.docker("alice", "restart", "-t", "0", "web")
    assert inside(stack, "for i in $(seq 50); do wget -q -O - http://web/ && break; sleep 0.2; done").text == "alice\n"


def test_a_stopped_one_is_renamed(stack: Stack, two: None) -> None:
    stack.docker("alice", "create", "--name", "later", "-e", "WORD=later", *SERVER)
    stack.docker("alice", "rename", "later", "sooner")
    stack.docker("alice", "start", "sooner")
    script = "for i in $(seq 50); do wget -q -O - http://sooner/ && break; sleep 0.2; done"
    assert inside(stack, script).text == "later\n"
    assert inside(stack, "timeout 2 nslookup later").code != 0
    stack.docker("alice", "rm", "-f", "sooner")


def test_no_way_to_another_account(stack: Stack, two: None) -> None:
    bobs = address(stack, "bob", "web")
    ours = inside(stack, f"nc -w 2 {bobs} 80 </dev/null")
    assert ours.code != 0 and ours.text == ""
    assert inside(stack, f"ping -c 1 -W 1 {bobs}").code != 0
    assert inside(stack, f"ping -c 1 -W 10 {address(stack, 'alice', 'web')}").code == 0
    assert inside(stack, f"ip route add {bobs} via $(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')").code != 0


@pytest.mark.parametrize("mode", ["bridge", "default"])
def test_the_default_network_by_name(stack: Stack, two: None, mode: str) -> None:
    done = stack.docker("alice", "run", "--rm", "--network", mode, "busybox", "wget", "-q", "-O", "-", "http://web/")
    assert done.text == "alice\n"


def test_unknown_networks(stack: Stack, two: None, cli: str) -> None:
    with Unchanged(stack):
        done = stack.docker("alice", "run", "--rm", "--network", "nosuch", "busybox", "true", cli=cli, check=False)
    assert done.code == 125 and "network nosuch not found" in done.said
    assert "Unable to find image" not in done.said, "a 404 makes the client pull"


def test_network_aliases(stack: Stack, two: None) -> None:
    """The engine has them on networks of one's own alone; here the default one is such a network."""
    body = {
        "Image": "busybox", "Cmd": ["sleep", "600"],
        "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["database", "db1"]}}},
    }  # fmt: skip
    ask(stack, "alice", "POST", "/containers/create?name=aliased", body)
    stack.docker("alice", "start", "aliased")
    for name in ("database", "db1", "aliased"):
        assert inside(stack, f"ping -c 1 -W 10 {name}").code == 0, name
    stack.docker("alice", "rm", "-f", "aliased")


# --- published ports -------------------------------------------------------------------------------------------------


def test_published_ports(stack: Stack, two: None) -> None:
    assert get(stack, 18081) == "alice" and get(stack, 18082) == "bob"
    assert stack.docker("alice", "port", "web", "80").text.strip() == f"{stack.node_address}:18081"
    stack.docker("alice", "run", "-d", "--name", "dynamic", "-e", "WORD=dynamic", "-p", "80", *SERVER)
    host, _, port = stack.docker("alice", "port", "dynamic", "80").text.strip().rpartition(":")
    assert host == stack.node_address

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return get(stack, int(port)) == "dynamic"
        return False

    wait_until(answers, "the published port")
    stack.docker("alice", "rm", "-f", "dynamic")
    with pytest.raises(OSError):
        get(stack, int(port))


def test_ports_of_the_node_that_a_host_has(stack: Stack, two: None) -> None:
    """80 and 443 may be published."""
    stack.docker("alice", "run", "-d", "--name", "http", "-e", "WORD=eighty", "-p", "80:80", "-p", "443:80", *SERVER)
    for port in (80, 443):
        wait_until(lambda port=port: reached(stack, port) == "eighty", f"port {port}")  # type: ignore[misc]
    stack.docker("alice", "rm", "-f", "http")


def reached(stack: Stack, port: int) -> str:
    with contextlib.suppress(OSError):
        return get(stack, port)
    return ""


def test_udp(stack: Stack, two: None) -> None:
    """busybox has no server for it here: what arrives at a port without one is counted."""
    stack.docker("alice", "run", "-d", "--name", "udp", "-p", "18053:53/udp", "busybox", "sleep", "600")
    counted = "awk '/^Udp:/ {print $3}' /proc/net/snmp | tail -1"
    assert inside(stack, counted, name="udp").text == "0\n"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(3):
            client.sendto(b"ping\n", (stack.node_address, 18053))
    wait_until(lambda: inside(stack, counted, name="udp").text == "3\n", "three datagrams")
    stack.docker("alice", "rm", "-f", "udp")


def test_conflicts(stack: Stack, two: None, cli: str) -> None:
    """A port has one owner, of whatever account; the words are the engine's and name nobody."""
    words = "Bind for 0.0.0.0:18082 failed: port is already allocated"
    done = stack.docker("alice", "run", "-d", "--name", "late", "-p", "18082:80", *SERVER, cli=cli, check=False)
    assert done.code == 125 and words in done.said
    assert "driver failed programming external connectivity on endpoint late" in done.said
    with Unchanged(stack):
        again = ask(stack, "alice", "POST", "/containers/late/start")
    assert again.status == 500 and words in message(again)
    assert stack.docker("alice", "inspect", "-f", "{{.State.Status}}", "late").text == "created\n"
    same = stack.docker("alice", "run", "-d", "--name", "same", "-p", "18081:80", *SERVER, cli=cli, check=False)
    assert "Bind for 0.0.0.0:18081 failed: port is already allocated" in same.said
    stack.docker("bob", "stop", "-t", "0", "web")
    try:
        stack.docker("alice", "start", "late")
        his = ask(stack, "bob", "POST", "/containers/web/start")
        assert his.status == 500 and words in message(his)
        stack.docker("alice", "rm", "-f", "late", "same")
    finally:
        stack.docker("bob", "start", "web")
    wait_until(lambda: reached(stack, 18082) == "bob", "bob's port again")


def test_ranges(stack: Stack, two: None) -> None:
    """One of a range: the first that is free."""
    ports = []
    for number in range(2):
        name = f"range{number}"
        stack.docker("alice", "run", "-d", "--name", name, "-p", "18090-18091:80", "busybox", "sleep", "600")
        ports.append(stack.docker("alice", "port", name, "80").text.strip().rpartition(":")[2])
    assert sorted(ports) == ["18090", "18091"]
    words = ("run", "-d", "--name", "range2", "-p", "18090-18091:80", "busybox", "true")
    full = stack.docker("alice", *words, check=False)
    assert full.code == 125 and "all ports are allocated" in full.said
    stack.docker("alice", "rm", "-f", "range0", "range1", "range2")
