"""Processes killed with -9 in the middle of things: soon nothing is half there, nothing is there twice.

The kills come from outside, at random moments, or while an engine that is stopped holds the service in the middle.
After each, an observer has to have ended every operation, and engine, rows and quota have to agree.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.machine import wait_until

#: Twice what it takes at the most where the machine has nothing else to do.
WITHIN = 60.0


def kill_tree(pid: int) -> None:
    """SIGKILL to a process and its children, the parent first, as a machine that dies would."""
    children: list[int] = []
    with contextlib.suppress(OSError):
        children = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for each in (pid, *children):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)


def disagreements(stack: Stack) -> list[str]:
    """What is half there or twice there: rows against the engine, operations, quota."""
    found = []
    rows = dict(stack.psql("SELECT id, state FROM containers"))
    found += [f"row {i[:12]} is {state}" for i, state in rows.items() if state in ("creating", "removing", "dead")]
    pending = stack.psql("SELECT kind, target FROM operations WHERE state = 'pending'")
    found += [f"operation {kind} of {target[:12]} is pending" for kind, target in pending]
    try:
        listed = stack.engine.containers(f"sdc.fleet={stack.fleet}")
    except OSError as error:
        return [f"the engine does not answer: {error}"]
    on_engine = [c["Labels"]["sdc.container"] for c in listed]
    found += [f"{i[:12]} is on the engine twice" for i in set(on_engine) if on_engine.count(i) > 1]
    found += [f"{i[:12]} is on the engine only" for i in set(on_engine) - rows.keys()]
    found += [f"{i[:12]} is in the database only" for i in rows.keys() - set(on_engine)]
    states = {c["Labels"]["sdc.container"]: c["State"] for c in listed}
    found += [
        f"{i[:12]} is {states[i]} on the engine, {rows[i]} in its row"
        for i in states.keys() & rows.keys()
        if states[i] != rows[i]
    ]
    quota = stack.psql(
        """
        SELECT a.login FROM accounts a LEFT JOIN containers c ON c.account_id = a.id GROUP BY a.id
        HAVING count(c.id) <> a.used_containers OR coalesce(sum(c.memory), 0) <> a.used_memory
            OR coalesce(sum(c.nano_cpus), 0) <> a.used_nano_cpus
        """
    )
    found += [f"the quota of {login} is miscounted" for (login,) in quota]
    return found


def settle(stack: Stack) -> float:
    """Wait until everything agrees; returns how long that took. Fails after WITHIN seconds."""
    began = time.monotonic()
    while found := disagreements(stack):
        log = stack.home / "log" / "observer.log"
        assert time.monotonic() - began < WITHIN, f"{found}\nobserver: {log.read_text()[-4000:]}"
        time.sleep(0.25)
    return time.monotonic() - began


def answering(stack: Stack) -> None:
    """Wait until the service answers again after a kill."""
    deadline = time.monotonic() + WITHIN
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if stack.request("alice", "GET", "/v1.44/info").status == 200:
                return
        assert time.monotonic() < deadline, "the service does not come back"
        time.sleep(0.1)


class Background:
    """Runs calls of which nobody expects that they succeed, because the service dies under them."""

    def __init__(self, *calls: Callable[[], object]) -> None:
        self._threads = [threading.Thread(target=self._run, args=(call,), daemon=True) for call in calls]
        for thread in self._threads:
            thread.start()

    @staticmethod
    def _run(call: Callable[[], object]) -> None:
        with contextlib.suppress(OSError, AssertionError, ValueError, Exception):
            call()

    def join(self) -> None:
        for thread in self._threads:
            thread.join(90)
            assert not thread.is_alive(), "a call hangs"


@contextlib.contextmanager
def caught(stack: Stack, statement: str, *calls: Callable[[], object]) -> Iterator[Background]:
    """The calls in the middle: the statement has a row, and the engine has done nothing yet of what it is asked."""
    dockerd = stack.pid("dockerd")
    os.kill(dockerd, signal.SIGSTOP)
    try:
        running = Background(*calls)
        wait_until(lambda: stack.psql(statement), "the moment")
        yield running
    finally:
        os.kill(dockerd, signal.SIGCONT)


@contextlib.contextmanager
def at_some_moment(longest: float, *calls: Callable[[], object]) -> Iterator[Background]:
    """The calls at a random moment within `longest` seconds."""
    running = Background(*calls)
    time.sleep(random.uniform(0, longest))
    yield running


def create(stack: Stack, name: str) -> Callable[[], object]:
    body = {"Image": "busybox", "Cmd": ["sleep", "300"], "Volumes": {"/data": {}}}
    return lambda: stack.request("alice", "POST", f"/v1.44/containers/create?name={name}", body, timeout=40)


def act(stack: Stack, method: str, path: str) -> Callable[[], object]:
    return lambda: stack.request("alice", method, f"/v1.44/containers/{path}", timeout=40)


@pytest.mark.parametrize("moment", ["intent", "random", "random"])
@pytest.mark.timeout(300)
def test_gunicorn_killed_during_create(stack: Stack, alice: str, moment: str) -> None:
    # With this the account has its network.
    stack.docker("alice", "rm", stack.docker("alice", "create", "busybox").text.strip())
    gunicorn = stack.pid("gunicorn")
    made = [create(stack, f"made{i}") for i in range(3)]
    creating = "SELECT 1 FROM containers WHERE state = 'creating'"
    with caught(stack, creating, *made) if moment == "intent" else at_some_moment(0.1, *made) as calls:
        kill_tree(gunicorn)
    calls.join()
    answering(stack)
    settle(stack)
    # A client that tries again gets a whole container, or hears that it has one.
    for i in range(3):
        again = create(stack, f"made{i}")()
        assert again.status in (201, 409), again.body
        assert stack.docker("alice", "start", f"made{i}").code == 0
    settle(stack)
    names = stack.docker("alice", "ps", "--format", "{{.Names}}").text.split()
    assert sorted(names) == ["made0", "made1", "made2"]


@pytest.mark.parametrize("moment", ["intent", "random"])
@pytest.mark.timeout(300)
def test_gunicorn_killed_during_start(stack: Stack, alice: str, moment: str) -> None:
    for i in range(3):
        stack.docker("alice", "create", "--name", f"begun{i}", "busybox", "sleep", "300")
    gunicorn = stack.pid("gunicorn")
    starts = [act(stack, "POST", f"begun{i}/start") for i in range(3)]
    starting = "SELECT 1 FROM operations WHERE kind = 'start' AND state = 'pending'"
    with caught(stack, starting, *starts) if moment == "intent" else at_some_moment(0.5, *starts) as calls:
        kill_tree(gunicorn)
    calls.join()
    answering(stack)
    settle(stack)
    for i in range(3):
        stack.docker("alice", "start", f"begun{i}")
        assert stack.docker("alice", "exec", f"begun{i}", "echo", "alive").text == "alive\n"


@pytest.mark.parametrize("moment", ["intent", "random"])
@pytest.mark.timeout(300)
def test_gunicorn_killed_during_remove(stack: Stack, alice: str, moment: str) -> None:
    for i in range(3):
        stack.docker("alice", "run", "-d", "-v", "/data", "--name", f"ended{i}", "busybox", "sleep", "300")
    before = len(stack.engine.call("GET", "/volumes")[1]["Volumes"])
    anonymous = "SELECT count(*) FROM volumes WHERE anonymous"
    rows = stack.psql(anonymous)[0][0]
    gunicorn = stack.pid("gunicorn")
    removals = [act(stack, "DELETE", f"ended{i}?force=1&v=1") for i in range(3)]
    removing = "SELECT 1 FROM containers WHERE state = 'removing'"
    with caught(stack, removing, *removals) if moment == "intent" else at_some_moment(0.2, *removals) as calls:
        kill_tree(gunicorn)
    calls.join()
    answering(stack)
    settle(stack)
    left = stack.docker("alice", "ps", "-aq").text.split()
    for container in left:
        stack.docker("alice", "rm", "-f", "-v", container)
    settle(stack)
    assert len(stack.engine.call("GET", "/volumes")[1]["Volumes"]) == before - 3
    assert stack.psql(anonymous) == [(rows - 3,)]


@pytest.mark.timeout(300)
def test_observer_killed_while_containers_come_and_go(stack: Stack, alice: str) -> None:
    """What happens while nobody observes is in the rows after the observer is back."""
    observer = stack.pid("observer")
    stack.docker("alice", "run", "-d", "--name", "stays", "busybox", "sleep", "300")
    ends = stack.docker("alice", "run", "-d", "--name", "ends", "busybox", "sleep", "2").text.strip()
    vanishes = stack.docker("alice", "run", "-d", "--rm", "--name", "vanishes", "busybox", "sleep", "2").text.strip()
    kill_tree(observer)

    def happened() -> bool:
        ended = stack.engine_container(ends)
        return ended is not None and not ended["State"]["Running"] and stack.engine_container(vanishes) is None

    wait_until(happened, "the ends on the engine")
    settle(stack)
    states = dict(
        line.split()
        for line in stack.docker("alice", "ps", "-a", "--format", "{{.Names}} {{.State}}").text.splitlines()
    )
    assert states == {"stays": "running", "ends": "exited"}


def one_of_each(stack: Stack) -> list[Callable[[], Any]]:
    """A create, a start and a remove."""
    stack.docker("alice", "run", "-d", "--name", "old", "busybox", "sleep", "300")
    stack.docker("alice", "create", "--name", "idle", "busybox", "sleep", "300")
    return [create(stack, "new"), act(stack, "POST", "idle/start"), act(stack, "DELETE", "old?force=1")]


@pytest.mark.timeout(300)
def test_observer_killed_during_create_start_and_remove(stack: Stack, alice: str) -> None:
    """Who asked is answered; the observer that comes back neither undoes nor repeats what is under way."""
    calls, observer = one_of_each(stack), stack.pid("observer")
    with ThreadPoolExecutor(len(calls)) as pool:
        answers = [pool.submit(call) for call in calls]
        time.sleep(random.uniform(0, 0.15))
        kill_tree(observer)
    assert [answer.result().status for answer in answers] == [201, 204, 204]
    settle(stack)
    states = stack.docker("alice", "ps", "-a", "--format", "{{.Names}} {{.State}}").text.splitlines()
    assert sorted(states) == ["idle running", "new created"]


@pytest.mark.timeout(300)
def test_both_killed_during_create_start_and_remove(stack: Stack, alice: str) -> None:
    made, gunicorn, observer = one_of_each(stack), stack.pid("gunicorn"), stack.pid("observer")
    calls = Background(*made)
    time.sleep(random.uniform(0, 0.15))
    for pid in (observer, gunicorn):
        kill_tree(pid)
    calls.join()
    answering(stack)
    settle(stack)


@pytest.mark.timeout(300)
def test_objects_of_others_on_the_engine_are_left_alone(stack: Stack, alice: str) -> None:
    """Recovery and sweep touch what carries our fleet's label, and only where its create is known to be undone."""
    image = stack.psql("SELECT image_id FROM image_names WHERE repository = 'docker.io/library/busybox' LIMIT 1")[0][0]
    foreign = {"Image": image, "Cmd": ["sleep", "300"], "NetworkDisabled": True}
    status, made = stack.engine.call("POST", "/containers/create?name=foreign", foreign)
    assert status == 201
    ours = foreign | {"Labels": {"sdc.fleet": stack.fleet, "sdc.container": "f" * 64, "sdc.op": "not-an-id"}}
    status, unknown = stack.engine.call("POST", "/containers/create?name=unknown", ours)
    assert status == 201
    try:
        time.sleep(13)
        for container in (made, unknown):
            assert stack.engine.call("GET", f"/containers/{container['Id']}/json")[0] == 200
    finally:
        for container in (made, unknown):
            stack.engine.call("DELETE", f"/containers/{container['Id']}?force=1")
