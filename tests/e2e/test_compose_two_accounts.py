"""Two accounts, one project name: neither sees, reaches or ends what the other has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.compose import Compose, Generation, both_generations, containers, left
from tests.e2e.stack import Stack
from tests.machine import wait_until

FILES = {
    "docker-compose.yml": """
        version: "2.4"
        services:
          web:
            image: busybox
            command: ["sh", "-c", "echo $OWNER >/data/page; exec httpd -f -h /data"]
            stop_signal: SIGKILL
            ports: ["80"]
            volumes: ["data:/data"]
          client:
            image: busybox
            command: sleep 600
            stop_signal: SIGKILL
            depends_on: [web]
        volumes: {data: {}}
        """
}


@pytest.fixture
def both(stack: Stack, alice: str, bob: str, generation: Generation, tmp_path: Path) -> Iterator[list[Compose]]:
    sides = []
    for account in (alice, bob):
        folder = tmp_path / account
        folder.mkdir()
        side = Compose(generation, stack.env(account) | {"OWNER": account}, folder)
        side.write(FILES)
        sides.append(side)
    yield sides
    for side in sides:
        side("down", "-v", "-t", "0", check=False)


def running(stack: Stack, account: str) -> int:
    return sum(one["State"] == "running" for one in containers(stack, account, "shop").values())


@both_generations
def test_side_by_side(stack: Stack, alice: str, bob: str, generation: Generation, both: list[Compose]) -> None:
    first, second = both
    with first.background("up") as one, second.background("up") as two:
        for side in (first, second):
            assert side.get("web", 80, "/page") == f"{side.env['OWNER']}\n"
        for account in (alice, bob):
            wait_until(lambda of=account: running(stack, of) == 2, "both services")
        assert sorted(containers(stack, alice, "shop")) == sorted(containers(stack, bob, "shop"))
        ids = {c["Id"] for c in containers(stack, alice, "shop").values()}
        assert not ids & {c["Id"] for c in containers(stack, bob, "shop").values()}
        assert first("port", "web", "80").text != second("port", "web", "80").text
        # Names are found in one's own network only.
        for side in (first, second):
            told = side("exec", "-T", "client", "wget", "-qO-", "http://web/page").text
            assert told == f"{side.env['OWNER']}\n"
        address = containers(stack, bob, "shop")[generation.name("shop", "web")]["NetworkSettings"]["Networks"]
        target = f"http://{address['shop_default']['IPAddress']}/page"
        assert first("exec", "-T", "client", "timeout", "2", "wget", "-qO-", target, check=False).code != 0
        # One's log and events have nothing of the other's.
        assert "bob" not in one.text and "alice" not in two.text
        first("down", "-v", "-t", "0")
        assert left(stack, alice, "shop") == []
        assert second.get("web", 80, "/page") == "bob\n"
        assert len(left(stack, bob, "shop")) == 4
        assert running(stack, bob) == 2
