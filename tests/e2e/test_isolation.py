"""Two accounts: neither sees, names, reaches or changes what is the other's."""

from __future__ import annotations

import json
import secrets
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.behind import Unchanged, ask, assert_tells_nothing, message
from tests.e2e.stack import Result, Stack
from tests.machine import wait_until


@dataclass(frozen=True)
class Hers:
    """alice's things, and what the engine calls them."""

    id: str
    name: str
    exec_id: str
    engine_id: str
    engine_name: str
    engine_exec_id: str
    volume: str


@pytest.fixture(scope="module")
def hers(stack: Stack) -> Iterator[Hers]:
    for account in ("alice", "bob"):
        stack.remove_all(account)
    volume = f"data-{secrets.token_hex(4)}"
    words = ("run", "-d", "--name", "secret", "-v", f"{volume}:/data", "-p", "18080:80")
    stack.docker("alice", *words, "busybox", "sh", "-c", "echo secret > /data/f; echo secret; sleep 600")
    container_id = stack.docker("alice", "ps", "-q", "--no-trunc").text.strip()
    exec_id = ask(stack, "alice", "POST", f"/containers/{container_id}/exec", {"Cmd": ["true"]}).json()["Id"]
    engine = stack.engine_container(container_id)
    assert engine is not None
    engine_exec = stack.psql("SELECT engine_exec_id FROM execs WHERE id = %s", [exec_id])[0][0]
    yield Hers(container_id, "secret", exec_id, engine["Id"], engine["Name"][1:], engine_exec, volume)
    for account in ("alice", "bob"):
        stack.remove_all(account)


#: (method, path, body) of every call that names a container.
ON_A_CONTAINER: list[tuple[str, str, Any]] = [
    ("GET", "/containers/{}/json", None),
    ("GET", "/containers/{}/json?size=1", None),
    ("GET", "/containers/{}/top", None),
    ("GET", "/containers/{}/logs?stdout=1", None),
    ("GET", "/containers/{}/logs?stdout=1&follow=1", None),
    ("POST", "/containers/{}/attach?stdout=1&stream=1&logs=1", None),
    ("POST", "/containers/{}/wait", None),
    ("POST", "/containers/{}/wait?condition=removed", None),
    ("POST", "/containers/{}/start", None),
    ("POST", "/containers/{}/stop?t=0", None),
    ("POST", "/containers/{}/restart?t=0", None),
    ("POST", "/containers/{}/kill", None),
    ("POST", "/containers/{}/rename?name=stolen", None),
    ("POST", "/containers/{}/resize?h=10&w=10", None),
    ("POST", "/containers/{}/exec", {"Cmd": ["cat", "/data/f"], "AttachStdout": True}),
    ("DELETE", "/containers/{}?force=1&v=1", None),
]


def sent(stack: Stack, method: str, path: str, body: Any, name: str) -> tuple[int, str]:
    response = ask(stack, "bob", method, path.format(name), body, typed=name)
    return response.status, message(response).replace(name, "NAME")


@pytest.mark.parametrize(("method", "path", "body"), ON_A_CONTAINER, ids=[f"{m} {p}" for m, p, _ in ON_A_CONTAINER])
def test_her_container_is_not_there(stack: Stack, hers: Hers, method: str, path: str, body: Any) -> None:
    """By id, prefix, name, and by the engine's own id and name: the same answer as for what was never there."""
    with Unchanged(stack):
        expected = sent(stack, method, path, body, "nosuch")
        assert expected[0] == 404
        for name in (hers.id, hers.id[:12], hers.id[:4], hers.name, hers.engine_name, hers.engine_id):
            assert sent(stack, method, path, body, name) == expected, name
    with Unchanged(stack):
        own = stack.request("alice", method, path.format(hers.engine_name), body)
        assert own.status == 404, "not even for her by the engine's name"


def test_her_exec_is_not_there(stack: Stack, hers: Hers) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("POST", "/exec/{}/start", {"Detach": True}),
        ("POST", "/exec/{}/resize?h=1&w=1", None),
        ("GET", "/exec/{}/json", None),
    ]
    for method, path, body in calls:
        expected = sent(stack, method, path, body, "nosuch")
        assert expected == (404, "No such exec instance: NAME")
        for name in (hers.exec_id, hers.engine_exec_id):
            assert sent(stack, method, path, body, name) == expected
    assert ask(stack, "alice", "GET", f"/exec/{hers.engine_exec_id}/json").status == 404
    assert ask(stack, "alice", "GET", f"/exec/{hers.exec_id}/json").json()["Running"] is False


def test_create_cannot_refer_to_hers(stack: Stack, hers: Hers) -> None:
    for name in (hers.id, hers.name, hers.engine_name):
        for field in ("NetworkMode", "IpcMode", "PidMode"):
            body = {"Image": "busybox", "HostConfig": {field: f"container:{name}"}}
            with Unchanged(stack):
                response = ask(stack, "bob", "POST", "/containers/create", body, typed=name)
            assert (response.status, message(response)) == (400, f"No such container: {name}")
        with Unchanged(stack):
            body = {"Image": "busybox", "HostConfig": {"VolumesFrom": [name]}}
            response = ask(stack, "bob", "POST", "/containers/create", body, typed=name)
        assert (response.status, message(response)) == (400, f"No such container: {name}")


def test_networks_and_volumes_of_the_engine_are_no_names(stack: Stack, hers: Hers) -> None:
    (network,) = stack.psql(
        "SELECT uuid, n.id FROM networks n JOIN accounts a ON a.id = account_id WHERE login = 'alice'"
    )
    for name in (f"n-{network[0]}", network[1], "docker0", "ingress"):
        body = {"Image": "busybox", "HostConfig": {"NetworkMode": name}}
        with Unchanged(stack):
            response = stack.request("bob", "POST", "/containers/create", body)
        assert (response.status, message(response)) == (400, f"network {name} not found")
    volume = stack.psql("SELECT engine_name FROM volumes v JOIN accounts a ON a.id = account_id WHERE login = 'alice' "
                        "AND v.name = %s", [hers.volume])[0][0]  # fmt: skip
    said = stack.docker("bob", "run", "--rm", "-v", f"{volume}:/data", "busybox", "ls", "/data").text
    assert said == "", "a volume of his own of this name"


def test_volumes_of_one_name_are_two(stack: Stack, hers: Hers) -> None:
    mount = f"{hers.volume}:/data"
    assert stack.docker("bob", "run", "--rm", "-v", mount, "busybox", "ls", "/data").text == ""
    stack.docker("bob", "run", "--rm", "-v", mount, "busybox", "sh", "-c", "echo his > /data/f")
    assert stack.docker("alice", "exec", "secret", "cat", "/data/f").text == "secret\n"


def test_names_ports_and_lists(stack: Stack, hers: Hers) -> None:
    stack.docker("bob", "create", "--name", "secret", "busybox")
    assert stack.docker("bob", "ps", "-aq", "--no-trunc").text.strip() != hers.id
    assert len(ask(stack, "bob", "GET", "/containers/json?all=1").json()) == 1
    asked = {"id": hers.id, "name": "x|secret", "volume": hers.volume, "publish": "18080", "ancestor": "busybox"}
    for key, value in asked.items():
        filters = urllib.parse.quote(json.dumps({key: [value]}))
        found = ask(stack, "bob", "GET", f"/containers/json?all=1&filters={filters}").json()
        assert hers.id not in [entry["Id"] for entry in found]
    info = ask(stack, "bob", "GET", "/info").json()
    assert (info["Containers"], info["ContainersRunning"]) == (1, 0)
    stack.remove_all("bob")
    assert stack.docker("alice", "inspect", "-f", "{{.State.Status}}", "secret").text == "running\n"


def test_a_prefix_is_ambiguous_among_ones_own_only(stack: Stack, hers: Hers) -> None:
    """Whether a prefix is unique does not depend on the other account."""
    response = ask(stack, "bob", "GET", f"/containers/{hers.id[0]}/json")
    assert (response.status, message(response)) == (404, f"No such container: {hers.id[0]}")


def test_events_are_ones_own(stack: Stack, hers: Hers) -> None:
    stack.docker("alice", "restart", "-t", "0", "secret")
    stack.docker("bob", "run", "--rm", "--name", "mine", "busybox", "true")
    for words in (hers.id, hers.id[:12]):
        said = stack.docker("bob", "events", "--since", "1h", "--until", "0s", "--filter", f"container={words}")
        assert said.text == ""

    def bobs() -> Result:
        return stack.docker("bob", "events", "--since", "1h", "--until", "0s", "--format", "{{json .}}")

    wait_until(lambda: '"mine"' in bobs().text, "bob's own events", timeout=10)
    told = bobs()
    assert hers.id not in told.text
    assert_tells_nothing(stack, "bob", told.stdout)


def test_images_are_ones_own(stack: Stack, hers: Hers) -> None:
    """A name of one account is no name of the other."""
    stack.psql(
        """
        INSERT INTO image_names (account_id, repository, reference, image_id)
        SELECT a.id, 'docker.io/library/private', 'latest', n.image_id FROM accounts a, image_names n
        WHERE a.login = 'alice' AND n.account_id = a.id AND n.reference = 'latest'
          AND n.repository = 'docker.io/library/busybox'
        """
    )
    try:
        assert stack.docker("alice", "images", "-q", "private").text
        assert stack.docker("bob", "images", "-q", "private").text == ""
        response = ask(stack, "bob", "POST", "/containers/create", {"Image": "private"})
        assert (response.status, message(response)) == (404, "No such image: private:latest")
    finally:
        stack.psql("DELETE FROM image_names WHERE repository = 'docker.io/library/private'")
