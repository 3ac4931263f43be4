"""A node's engine dies with -9 and comes back: lists go on, mutations say so, streams end, rows become true again."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.e2e.stack import Stack
from tests.e2e.test_crash import settle


def states(stack: Stack) -> dict[str, str]:
    listed = stack.docker("alice", "ps", "-a", "--format", "{{.Names}} {{.State}}").text
    return dict(line.split() for line in listed.splitlines())


@pytest.mark.timeout(300)
def test_an_engine_that_dies_and_returns(stack: Stack, alice: str) -> None:
    stack.docker("alice", "run", "-d", "--name", "plain", "busybox", "sleep", "600")
    stack.docker("alice", "run", "-d", "--name", "loyal", "--restart", "always", "busybox", "sleep", "600")
    following = stack.spawn("alice", "logs", "-f", "plain")
    dockerd = stack.pid("dockerd")
    try:
        time.sleep(0.5)
        os.kill(dockerd, signal.SIGSTOP)
        # An engine that hangs delays no list, and inspect falls back to what was last seen, and says so.
        began = time.monotonic()
        listed = stack.request("alice", "GET", "/v1.44/containers/json?all=1").json()
        assert time.monotonic() - began < 3
        assert {c["State"] for c in listed} == {"running"} and len(listed) == 2
        seen = stack.docker("alice", "inspect", "plain", "--format", "{{.State.Status}} {{.State.Error}}").text
        assert seen.startswith("running the node cannot be reached")
    finally:
        os.kill(dockerd, signal.SIGKILL)
    refused = stack.docker("alice", "stop", "-t", "0", "plain", check=False)
    if refused.code != 0:
        assert "cannot be reached" in refused.said
        assert "sock" not in refused.said and str(stack.home) not in refused.said
    following.communicate(timeout=60)
    # The supervisor starts the engine again; without live-restore it ends what ran and restarts what its policy says.
    settle(stack)
    deadline = time.monotonic() + 60
    while (now := states(stack)) != {"plain": "exited", "loyal": "running"}:
        assert time.monotonic() < deadline, now
        time.sleep(0.5)
    stack.docker("alice", "start", "plain")
    assert stack.docker("alice", "exec", "plain", "echo", "back").text == "back\n"
    settle(stack)
