"""What is not here says so, and what to do instead."""

from __future__ import annotations

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.clients import NEWEST, Client, Docker
from tests.e2e.stack import Stack

ROUTES = [
    ("GET", "/swarm", "docker run"),
    ("POST", "/swarm/init", "docker run"),
    ("POST", "/swarm/join", "docker run"),
    ("GET", "/nodes", "docker run"),
    ("GET", "/services", "docker run"),
    ("POST", "/services/create", "docker run"),
    ("GET", "/tasks", "docker run"),
    ("POST", "/secrets/create", "docker cp"),
    ("GET", "/configs", "docker cp"),
    ("POST", "/plugins/pull", "drivers"),
    ("POST", "/plugins/x/enable", "drivers"),
    ("GET", "/containers/x/checkpoints", "docker commit"),
    ("POST", "/containers/x/checkpoints", "docker commit"),
    ("DELETE", "/containers/x/checkpoints/y", "docker commit"),
    ("POST", "/session", "DOCKER_BUILDKIT=0"),
    ("POST", "/grpc", "DOCKER_BUILDKIT=0"),
]


def test_refused(stack: Stack, alice: str) -> None:
    with Unchanged(stack):
        for method, path, hint in ROUTES:
            for prefix in ("", "/v1.44"):
                answer = ask(stack, alice, method, prefix + path)
                assert answer.status == 501 and hint in message(answer), (method, path, answer)
    assert ask(stack, alice, "GET", "/plugins").json() == []
    assert ask(stack, alice, "OPTIONS", "/containers/json").status == 200


@pytest.mark.parametrize(
    ("method", "path", "since"),
    [
        ("GET", "/v1.23/swarm", "1.24"),
        ("POST", "/v1.21/containers/x/update", "1.22"),
        ("GET", "/v1.24/plugins", "1.25"),
    ],
)
def test_below_its_first_version(stack: Stack, alice: str, method: str, path: str, since: str) -> None:
    answer = stack.request(alice, method, path)
    assert answer.status == 400 and f"requires minimum API version {since}" in message(answer)


@pytest.mark.parametrize("client", [NEWEST, Client("20")], ids=str)
def test_what_a_person_reads(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    refused = docker("swarm", "init", check=False)
    assert refused.code != 0 and "use docker run or Compose" in refused.said
    missing = docker("inspect", "nosuchthing", check=False)
    assert missing.code != 0 and "No such object: nosuchthing" in missing.said
    assert docker("plugin", "ls", "-q").text == ""
