"""`docker kill`: signals by name and number, to one's own containers that run."""

from __future__ import annotations

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Stack
from tests.e2e.test_start_stop import POLITE, is_ready, state
from tests.machine import wait_until


def test_kill(stack: Stack, alice: str, cli: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "box", *POLITE)
    is_ready(stack, "box")
    stack.docker(alice, "kill", "--signal", "HUP", "box", cli=cli)
    wait_until(lambda: "hup" in stack.docker(alice, "logs", "box").text, "the trap")
    assert state(stack, "box")["Running"]
    assert stack.docker(alice, "kill", "box", cli=cli).text == "box\n"
    assert state(stack, "box")["ExitCode"] == 137
    with Unchanged(stack):
        done = stack.docker(alice, "kill", "box", cli=cli, check=False)
    assert done.code == 1 and "Cannot kill container: box: Container" in done.said and "is not running" in done.said


@pytest.mark.parametrize("signal", ["9", "SIGKILL", "kill", "Kill"])
def test_signals_are_named_in_any_way(stack: Stack, alice: str, signal: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "box", *POLITE)
    stack.docker(alice, "kill", "-s", signal, "box")
    assert state(stack, "box")["ExitCode"] == 137


def test_several_and_unknown_ones(stack: Stack, alice: str, bob: str, cli: str) -> None:
    for account, name in ((alice, "one"), (alice, "two"), (bob, "his")):
        stack.docker(account, "run", "-d", "--name", name, *POLITE)
    done = stack.docker(alice, "kill", "one", "nosuch", "his", "two", cli=cli, check=False)
    assert done.code == 1 and done.text.split() == ["one", "two"]
    for name in ("nosuch", "his"):
        assert f"No such container: {name}" in done.said
    assert stack.docker(bob, "inspect", "-f", "{{.State.Running}}", "his").text == "true\n"


def test_a_paused_one_dies(stack: Stack, alice: str, cli: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "box", *POLITE)
    stack.docker(alice, "pause", "box")
    assert stack.docker(alice, "kill", "box", cli=cli).text == "box\n"
    seen = state(stack, "box")
    assert (seen["Running"], seen["Paused"], seen["ExitCode"]) == (False, False, 137)


BAD = [
    ("signal=BOGUS", 400, "Invalid signal: BOGUS"),
    ("signal=0", 400, "Invalid signal: 0"),
    ("signal=65", 400, "Invalid signal: 65"),
    ("signal=-9", 400, "Invalid signal: -9"),
    ("signal=9&signal=15", 400, 'parameter "signal" is given more than once'),
]


def test_bad_input(stack: Stack, alice: str, cli: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "box", *POLITE)
    with Unchanged(stack):
        for query, status, words in BAD:
            response = ask(stack, alice, "POST", f"/containers/box/kill?{query}")
            assert (response.status, message(response)) == (status, words)
        done = stack.docker(alice, "kill", "-s", "BOGUS", "box", cli=cli, check=False)
        assert done.code == 1 and "Invalid signal: BOGUS" in done.said
    assert state(stack, "box")["Running"]
