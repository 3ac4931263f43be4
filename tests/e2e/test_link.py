"""docker run --link and docker rm --link."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Stack

SLEEP = ("busybox", "sleep", "600")


@pytest.fixture(scope="module", autouse=True)
def _db(stack: Stack) -> Iterator[None]:
    stack.remove_all("alice")
    stack.docker("alice", "run", "-d", "--name", "db", "--expose", "5432", "-e", "PW=secret", *SLEEP)
    yield
    stack.remove_all("alice")
    stack.docker("alice", "network", "prune", "-f")


def test_the_environment_and_the_hosts_file(stack: Stack, cli: str) -> None:
    stack.docker("alice", "run", "-d", "--name", "web", "--link", "db:data", *SLEEP, cli=cli)
    db = json.loads(stack.docker("alice", "inspect", "db").text)[0]
    address = db["NetworkSettings"]["IPAddress"]
    env = stack.docker("alice", "exec", "web", "env").text.split("\n")
    for line in (
        f"DATA_PORT=tcp://{address}:5432",
        f"DATA_PORT_5432_TCP=tcp://{address}:5432",
        f"DATA_PORT_5432_TCP_ADDR={address}",
        "DATA_PORT_5432_TCP_PORT=5432",
        "DATA_PORT_5432_TCP_PROTO=tcp",
        "DATA_NAME=/web/data",
        "DATA_ENV_PW=secret",
    ):
        assert line in env, line
    hosts = stack.docker("alice", "exec", "web", "cat", "/etc/hosts").text
    for word in ("data", "db", db["Id"][:12]):
        assert f"{address}\t{word}\n" in hosts
    web = json.loads(stack.docker("alice", "inspect", "web").text)[0]
    assert web["HostConfig"]["Links"] == ["/db:/web/data"]
    assert not [line for line in web["Config"]["Env"] if line.startswith("DATA_")]
    assert not web["HostConfig"]["ExtraHosts"]
    # The address stays, whoever starts first afterwards.
    stack.docker("alice", "stop", "-t", "0", "db")
    refused = stack.docker("alice", "restart", "-t", "0", "web", cli=cli, check=False)
    stack.docker("alice", "run", "-d", "--name", "other", *SLEEP)
    stack.docker("alice", "start", "db")
    assert refused.code in (0, 1)
    assert stack.docker("alice", "exec", "web", "ping", "-c", "1", "-W", "10", "data").code == 0
    stack.docker("alice", "rename", "db", "base")
    web = json.loads(stack.docker("alice", "inspect", "web").text)[0]
    assert web["HostConfig"]["Links"] == ["/base:/web/data"]
    assert stack.docker("alice", "exec", "web", "ping", "-c", "1", "-W", "10", "data").code == 0
    stack.docker("alice", "rename", "base", "db")
    stack.docker("alice", "rm", "--link", "/web/data", cli=cli)
    assert json.loads(stack.docker("alice", "inspect", "web").text)[0]["HostConfig"]["Links"] is None
    stack.docker("alice", "rm", "-f", "web", "other")


def test_a_link_is_a_name_of_what_it_is_to(stack: Stack, cli: str) -> None:
    def docker(*words: str) -> str:
        return stack.docker("alice", *words, cli=cli).text.strip()

    def names() -> list[str]:
        assert docker("ps", "-a", "-f", "name=^base", "--format", "{{.Names}}").startswith("base")
        return docker("ps", "-a", "-f", "name=^base", "--no-trunc", "--format", "{{.Names}}").split(",")

    docker("run", "-d", "--name", "base", *SLEEP)
    docker("create", "--name", "user", "--link", "base:db", "--link", "base:other", *SLEEP)
    docker("create", "--name", "api", "--link", "base:db", *SLEEP)
    assert names() == ["api/db", "base", "user/db", "user/other"]
    for name in ("user/db", "/user/other"):
        assert docker("inspect", "-f", "{{.Name}}", name) == "/base"
    assert docker("exec", "api/db", "echo", "here") == "here"
    assert docker("ps", "-a", "-f", "since=user/db", "-f", "before=api", "--format", "{{.Names}}") == "user"
    for name in ("user/base", "nosuch/db", "base/db"):
        answer = ask(stack, "alice", "GET", f"/containers/{name}/json")
        assert (answer.status, message(answer)) == (404, f"No such container: {name}")
    assert ask(stack, "bob", "GET", "/containers/user/db/json").status == 404
    docker("rename", "user", "owner")
    docker("rename", "base", "base2")
    docker("stop", "-t", "0", "base2")
    assert names() == ["api/db", "base2", "owner/db", "owner/other"]
    docker("rm", "--link", "owner/other")
    docker("rm", "api")
    assert names() == ["base2", "owner/db"]
    docker("rm", "-f", "owner/db")
    assert ask(stack, "alice", "GET", "/containers/owner/db/json").status == 404
    docker("rm", "owner")


def test_an_image_of_one_with_links(stack: Stack) -> None:
    """What the links say is the container's alone."""
    stack.docker("alice", "create", "--name", "web", "-e", "A=1", "--link", "db:data", *SLEEP)
    stack.docker("alice", "commit", "web", "linked")
    env = json.loads(stack.docker("alice", "inspect", "--type", "image", "linked").text)[0]["Config"]["Env"]
    assert "A=1" in env and not [line for line in env if line.startswith("DATA_")]
    stack.docker("alice", "rm", "web")
    stack.docker("alice", "rmi", "linked")


def test_on_a_network_of_ones_own(stack: Stack) -> None:
    """A name that the linking container alone resolves."""
    stack.docker("alice", "network", "create", "lan")
    stack.docker("alice", "run", "-d", "--name", "aa", "--network", "lan", *SLEEP)
    stack.docker("alice", "run", "-d", "--name", "bb", "--network", "lan", "--link", "aa:first", *SLEEP)
    assert stack.docker("alice", "exec", "bb", "ping", "-c", "1", "-W", "10", "first").code == 0
    assert stack.docker("alice", "exec", "aa", "sh", "-c", "timeout 2 nslookup first", check=False).code != 0
    stack.docker("alice", "network", "connect", "--link", "aa:late", "lan", "db")
    assert stack.docker("alice", "exec", "db", "ping", "-c", "1", "-W", "10", "late").code == 0
    shown = json.loads(stack.docker("alice", "inspect", "db").text)[0]["NetworkSettings"]["Networks"]["lan"]
    assert shown["Links"] == ["aa:late"]
    made = json.loads(stack.docker("alice", "inspect", "bb").text)[0]
    assert made["NetworkSettings"]["Networks"]["lan"]["Links"] == ["aa:first"] and made["HostConfig"]["Links"] is None
    stack.docker("alice", "rm", "-f", "aa", "bb")


def test_refusals(stack: Stack, cli: str) -> None:
    with Unchanged(stack):
        done = stack.docker("alice", "run", "--rm", "--link", "nosuch:x", "busybox", "true", cli=cli, check=False)
        assert done.code == 125 and "could not get container for nosuch: No such container: nosuch" in done.said
        for name, status in (("db", 409), ("db/x", 404), ("nosuch/x", 404), ("nosuch", 404)):
            assert ask(stack, "alice", "DELETE", f"/containers/{name}?link=1").status == status, name
    stack.docker("alice", "create", "--name", "idle", "busybox", "true")
    stack.docker("alice", "create", "--name", "needs", "--link", "idle:x", "busybox", "true")
    with Unchanged(stack):
        answer = ask(stack, "alice", "POST", "/containers/needs/start")
    words = "Cannot link to a non running container: /idle AS /needs/x"
    assert (answer.status, message(answer)) == (500, words)
    stack.docker("alice", "create", "--name", "alone", "--network", "none", "busybox", "true")
    done = stack.docker("alice", "create", "--link", "alone:x", "busybox", "true", check=False)
    assert "Cannot link to /alone, as it does not belong to the default network" in done.said
    stack.docker("alice", "rm", "-f", "idle", "needs", "alone")
