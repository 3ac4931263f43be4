"""`docker rm`: force, volumes, --rm, and what is left."""

from __future__ import annotations

import concurrent.futures

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Stack
from tests.machine import wait_until


def behind(stack: Stack) -> tuple[int, int, int, int]:
    """Containers and volumes: rows, and on the engine."""
    rows = stack.psql("SELECT (SELECT count(*) FROM containers), (SELECT count(*) FROM volumes)")[0]
    volumes = stack.engine.call("GET", "/volumes")[1]["Volumes"] or []
    return rows[0], rows[1], len(stack.engine.containers()), len(volumes)


@pytest.fixture
def empty(stack: Stack, alice: str, bob: str) -> tuple[int, int, int, int]:
    """What there is before: no containers; named volumes of other tests stay."""
    return behind(stack)


def test_rm(stack: Stack, alice: str, empty: tuple, cli: str) -> None:
    stack.docker(alice, "create", "--name", "one", "busybox")
    two = stack.docker(alice, "run", "-d", "busybox", "true").text.strip()
    stack.docker(alice, "wait", two)
    done = stack.docker(alice, "rm", "one", two[:10], "nosuch", cli=cli, check=False)
    assert done.code == 1 and done.text.split() == ["one", two[:10]]
    assert "No such container: nosuch" in done.said
    assert behind(stack) == empty


@pytest.mark.parametrize("api", [None, "1.20", "1.24"])
def test_running_needs_force(stack: Stack, alice: str, empty: tuple, api: str | None) -> None:
    started = stack.docker(alice, "run", "-d", "--name", "up", "-p", "8090:80", "busybox", "sleep", "600")
    container_id = started.text.strip()
    words = (
        f"You cannot remove a running container {container_id}. "
        "Stop the container before attempting removal or force remove"
    )
    with Unchanged(stack):
        refused = stack.docker(alice, "rm", "up", cli="20", api=api, check=False)
    assert refused.code == 1 and words in refused.said
    stack.docker(alice, "rm", "-f", "up", cli="20", api=api)
    assert behind(stack) == empty
    assert stack.psql("SELECT count(*) FROM container_ports") == [(0,)]


def test_volumes_go_only_when_asked_and_only_anonymous_ones(stack: Stack, alice: str, empty: tuple, cli: str) -> None:
    stack.docker(alice, "create", "--name", "one", "-v", "/anon", "-v", "kept:/kept", "busybox")
    created = behind(stack)
    stack.docker(alice, "rm", "one", cli=cli)
    left = behind(stack)
    assert left[1] == created[1] and left[3] == created[3]
    stack.docker(alice, "create", "--name", "two", "-v", "/anon", "-v", "kept:/kept", "busybox")
    stack.docker(alice, "create", "--name", "user", "--volumes-from", "two", "busybox")
    stack.docker(alice, "rm", "-v", "two", cli=cli)
    assert behind(stack)[1] == left[1] + 1, "another container mounts it"
    stack.docker(alice, "rm", "-v", "user", cli=cli)
    after = behind(stack)
    assert (after[1], after[3]) == (left[1], left[3])


def test_run_rm_leaves_nothing(stack: Stack, alice: str, empty: tuple, cli: str) -> None:
    done = stack.docker(alice, "run", "--rm", "-v", "/anon", "busybox", "sh", "-c", "exit 5", cli=cli, check=False)
    assert done.code == 5
    wait_until(lambda: behind(stack) == empty, "nothing left")
    stack.docker(alice, "run", "-d", "--rm", "--name", "bg", "busybox", "sleep", "0.5", cli=cli)
    wait_until(lambda: behind(stack) == empty, "nothing left of the one in the background")
    assert stack.docker(alice, "ps", "-aq").text == ""


def test_a_removed_name_is_free(stack: Stack, alice: str, empty: tuple) -> None:
    for _ in range(3):
        stack.docker(alice, "run", "-d", "--name", "again", "busybox", "sleep", "600")
        stack.docker(alice, "rm", "-f", "again")
    assert behind(stack) == empty


def test_many_remove_one(stack: Stack, alice: str, empty: tuple) -> None:
    stack.docker(alice, "run", "-d", "--name", "one", "busybox", "sleep", "600")

    def remove(_: int) -> tuple[int, str]:
        response = ask(stack, alice, "DELETE", "/containers/one?force=1")
        return response.status, message(response) if response.body else ""

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(remove, range(6)))
    assert [status for status, _ in answers].count(204) == 1, answers
    for status, words in answers:
        assert status in (204, 404, 409)
        assert status != 409 or words.startswith("removal of container")
    assert behind(stack) == empty
    assert stack.psql("SELECT used_containers FROM accounts WHERE login = 'alice'") == [(0,)]


def test_refusals(stack: Stack, alice: str, bob: str) -> None:
    his = stack.docker(bob, "create", "--name", "his", "busybox").text.strip()
    mine = stack.docker(alice, "create", "--name", "mine", "busybox").text.strip()
    with Unchanged(stack):
        for name in ("nosuch", "his", his, his[:12], "%2e%2e%2fx"):
            response = ask(stack, alice, "DELETE", f"/containers/{name}?force=1&v=1")
            assert response.status in (400, 404)
        link = ask(stack, alice, "DELETE", f"/containers/{mine}?link=1")
        assert link.status == 409
        twice = ask(stack, alice, "DELETE", f"/containers/{mine}?force=1&force=0")
        assert twice.status == 400


@pytest.mark.parametrize("word", ["0", "false", "False", "no", "none", ""])
def test_words_for_false(stack: Stack, alice: str, word: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "up", "busybox", "sleep", "600")
    assert ask(stack, alice, "DELETE", f"/containers/up?force={word}").status == 409
    assert ask(stack, alice, "DELETE", "/containers/up?force=anything").status == 204
