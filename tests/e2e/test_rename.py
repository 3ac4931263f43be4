"""`docker rename`. That DNS follows is in test_network.py."""

from __future__ import annotations

import concurrent.futures

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.clients import Client, Docker, every_client
from tests.e2e.stack import Stack


def names(stack: Stack) -> list[str]:
    return sorted(stack.docker("alice", "ps", "-a", "--format", "{{.Names}}").text.split())


@every_client
def test_rename(stack: Stack, alice: str, client: Client) -> None:
    container_id = stack.docker(alice, "run", "-d", "--name", "old", "busybox", "sleep", "600").text.strip()
    Docker(stack, alice, client)("rename", "old", "new")
    assert names(stack) == ["new"]
    assert stack.docker(alice, "inspect", "-f", "{{.Id}} {{.Name}}", "new").text.split() == [container_id, "/new"]
    gone = stack.docker(alice, "inspect", "--type", "container", "old", check=False)
    assert gone.code == 1 and "No such container: old" in gone.said
    stack.docker(alice, "create", "--name", "old", "busybox")
    stack.docker(alice, "rename", container_id[:12], "/third")
    assert names(stack) == ["old", "third"]
    assert stack.docker(alice, "exec", "third", "hostname").text.strip() == container_id[:12], "it runs on"


def test_refusals(stack: Stack, alice: str, bob: str) -> None:
    first = stack.docker(alice, "create", "--name", "first", "busybox").text.strip()
    stack.docker(alice, "create", "--name", "second", "busybox")
    stack.docker(bob, "create", "--name", "his", "busybox")
    taken = (
        'Error when allocating new name: Conflict. The container name "/first" is already in use by container '
        f'"{first}". You have to remove (or rename) that container to be able to reuse that name.'
    )
    invalid = "Error when allocating new name: Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    cases = [
        ("second", "first", 409, taken),
        ("second", "second", 400, "Renaming a container with the same name as its current name"),
        ("second", "", 400, "Neither old nor new names may be empty"),
        ("second", "a/b", 400, invalid.format("/a/b")),
        ("second", "x", 400, invalid.format("/x")),
        ("second", "-x", 400, invalid.format("/-x")),
        ("nosuch", "third", 404, "No such container: nosuch"),
        ("his", "third", 404, "No such container: his"),
    ]
    with Unchanged(stack):
        for name, new, status, words in cases:
            response = ask(stack, alice, "POST", f"/containers/{name}/rename?name={new}")
            assert (response.status, message(response)) == (status, words)
    stack.docker(alice, "rename", "second", "his")
    assert names(stack) == ["first", "his"], "another account's name is no obstacle"


def test_many_want_one_name(stack: Stack, alice: str) -> None:
    for number in range(6):
        stack.docker(alice, "create", "--name", f"box{number}", "busybox")

    def rename(number: int) -> int:
        return stack.request(alice, "POST", f"/containers/box{number}/rename?name=prize").status

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(rename, range(6)))
    assert statuses == [204] + [409] * 5
    assert len(names(stack)) == 6 and "prize" in names(stack)
