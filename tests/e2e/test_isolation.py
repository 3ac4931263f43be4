"""Two accounts: neither sees, names, reaches or changes what is the other's.

Every route of the API is in `test_isolation_routes.py`.
"""

from __future__ import annotations

import json
import secrets
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.e2e.behind import Unchanged, ask, assert_tells_nothing, message
from tests.e2e.stack import Result, Stack
from tests.machine import wait_until


@dataclass(frozen=True)
class Hers:
    """alice's things, and what the engine calls them."""

    id: str
    name: str
    engine_name: str
    volume: str


@pytest.fixture(scope="module")
def hers(stack: Stack) -> Iterator[Hers]:
    for account in ("alice", "bob"):
        stack.remove_all(account)
    volume = f"data-{secrets.token_hex(4)}"
    words = ("run", "-d", "--name", "secret", "-v", f"{volume}:/data", "-p", "18080:80")
    stack.docker("alice", *words, "busybox", "sh", "-c", "echo secret > /data/f; echo secret; sleep 600")
    container_id = stack.docker("alice", "ps", "-q", "--no-trunc").text.strip()
    engine = stack.engine_container(container_id)
    assert engine is not None
    yield Hers(container_id, "secret", engine["Name"][1:], volume)
    for account in ("alice", "bob"):
        stack.remove_all(account)
        left = stack.docker(account, "volume", "ls", "-q").text.split()
        stack.docker(account, "volume", "rm", "-f", *left) if left else None


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

    wait_until(lambda: '"mine"' in bobs().text, "bob's own events")
    told = bobs()
    assert hers.id not in told.text
    # That he has a volume of such a name is his own doing.
    known = stack.psql("SELECT engine_name FROM volumes WHERE name = %s", [hers.volume])
    said = told.text
    for (engine_name,) in known:
        said = said.replace(engine_name, "")
    assert_tells_nothing(stack, "bob", said.encode())


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
