"""`docker restart`, and what a restart policy does by itself."""

from __future__ import annotations

import time

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Stack
from tests.e2e.test_start_stop import GRACE, POLITE, is_ready, listed, state
from tests.machine import wait_until


def test_restart(stack: Stack, alice: str, cli: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "box", *POLITE)
    before = state(stack, "box")
    assert stack.docker(alice, "restart", "-t", "3", "box", cli=cli).text == "box\n"
    after = state(stack, "box")
    assert after["Running"] and after["StartedAt"] > before["StartedAt"] and after["Pid"] != before["Pid"]
    stack.docker(alice, "stop", "box")
    stack.docker(alice, "restart", "box", cli=cli)
    assert state(stack, "box")["Running"], "a stopped one is started"


def test_restart_policy_restarts(stack: Stack, alice: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "loop", "--restart", "on-failure:2", "busybox", "false")

    def given_up() -> bool:
        return state(stack, "loop")["Status"] == "exited"

    wait_until(given_up, "the last try")
    assert stack.docker(alice, "inspect", "-f", "{{.RestartCount}}", "loop").text.strip() == "2"
    wait_until(lambda: listed(stack, "loop").startswith("Exited (1)"), "the list")


def test_the_time_and_the_signal(stack: Stack, alice: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "deaf", "busybox", "sleep", "600")
    began = time.monotonic()
    stack.docker(alice, "restart", "-t", "1", "deaf")
    assert 0.9 < time.monotonic() - began < GRACE
    began = time.monotonic()
    assert ask(stack, alice, "POST", "/containers/deaf/restart?t=0").status == 204
    assert time.monotonic() - began < GRACE
    box = stack.docker(alice, "run", "-d", *POLITE).text.strip()
    is_ready(stack, box)
    stack.docker(alice, "restart", "--signal", "INT", box, cli="28")
    which = ("-f", f"container={box}", "-f", "event=die", "--format", "{{.Actor.Attributes.exitCode}}")

    def told() -> str:
        return stack.docker(alice, "events", "--since", "10m", "--until", "0s", *which).text

    # What an engine tells is heard a moment later.
    wait_until(lambda: told() == "8\n", "what INT does to it")


def test_several_and_unknown_ones(stack: Stack, alice: str, bob: str, cli: str) -> None:
    for account, name in ((alice, "one"), (alice, "two"), (bob, "his")):
        stack.docker(account, "create", "--name", name, *POLITE)
    done = stack.docker(alice, "restart", "one", "nosuch", "his", "two", cli=cli, check=False)
    assert done.code == 1 and done.text.split() == ["one", "two"]
    for name in ("nosuch", "his"):
        assert f"No such container: {name}" in done.said
    assert stack.docker(bob, "inspect", "-f", "{{.State.Status}}", "his").text == "created\n"


BAD = [
    ("t=abc", 400, 'strconv.Atoi: parsing "abc": invalid syntax'),
    ("t=-5", 400, "stop timeout"),
    ("t=99999999999", 400, "stop timeout"),
    ("t=1&t=2", 400, "more than once"),
    ("signal=BOGUS", 400, "Invalid signal: BOGUS"),
]


def test_bad_input(stack: Stack, alice: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "box", *POLITE)
    before = state(stack, "box")
    with Unchanged(stack):
        for query, status, words in BAD:
            response = ask(stack, alice, "POST", f"/containers/box/restart?{query}")
            assert response.status == status and words in message(response), query
    assert state(stack, "box") == before
