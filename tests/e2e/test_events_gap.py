"""Events while nobody follows the node: none lost, none twice, and what was made up is marked."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from tests.e2e.clients import Docker, read_until
from tests.e2e.stack import Stack
from tests.e2e.test_doctor import stopped
from tests.e2e.test_events import LIFE, stamp, told
from tests.machine import wait_until


@contextlib.contextmanager
def no_observer(stack: Stack) -> Iterator[None]:
    """The observer is killed, and its supervisor starts none until the end of the block."""
    first = stack.pid("observer")
    os.kill(first, signal.SIGKILL)
    # What has just ended cannot be stopped.
    wait_until(lambda: stack.pid("observer") not in (first, 0), "the next observer")
    with stopped(stack, "observer"):
        yield


def story(events: list[dict], name: str) -> list[str]:
    """What was told of a container's life; what was made up with a star."""
    return [
        event["Action"] + ("*" if event["Actor"]["Attributes"].get("resynced") == "true" else "")
        for event in events
        if event["Actor"]["Attributes"].get("name") == name and event["Action"] in LIFE
    ]


def noise(stack: Stack, container: str, count: int) -> None:
    """So many events of the engine that change nothing: a signal that the process ignores."""
    found = stack.engine.containers(f"sdc.container={container}")[0]["Id"]
    for _ in range(count):
        status, _body = stack.engine.call("POST", f"/containers/{found}/kill?signal=CONT")
        assert status == 204


def test_a_short_gap(stack: Stack, alice: str, bob: str) -> None:
    docker = Docker(stack, alice)
    began = stamp()
    stays = docker.container("run", "-d", "--name", "stays", "busybox", "sleep", "600")
    wait_until(lambda: "start" in [e["Action"] for e in told(docker, since=began)], "the start")
    words = ("--format", "{{.Action}} {{.Actor.Attributes.name}}")
    with docker.background("events", "--since", began, *words, bufsize=0) as live:
        with no_observer(stack):
            docker("run", "--rm", "--name", "short", "busybox", "true")
            noise(stack, stays, 150)
            docker("kill", stays)
        heard = read_until(live, b"die stays\n").decode().splitlines()
    wait_until(lambda: "die" in story(told(docker, since=began), "stays"), "the end")
    events = told(docker, since=began)
    assert story(events, "short") == LIFE and story(events, "stays") == ["create", "start", "die"]
    assert sum(event["Action"] == "kill" for event in events) == 151
    keys = [(event["timeNano"], event["Action"], event["Actor"]["ID"]) for event in events]
    assert len(keys) == len(set(keys))
    of_short = [action for action, _, name in (line.rpartition(" ") for line in heard) if name == "short"]
    assert [action for action in of_short if action in LIFE] == LIFE, "who has listened all the time has heard it, too"
    assert told(Docker(stack, bob), since=began) == []


def test_more_than_the_engine_remembers(stack: Stack, alice: str, bob: str) -> None:
    docker, his = Docker(stack, alice), Docker(stack, bob)
    began = stamp()
    noisy = docker.container("run", "-d", "--name", "noisy", "busybox", "sleep", "600")
    docker("run", "-d", "--name", "ends", "--label", "tier=web", "busybox", "sleep", "600")
    docker("run", "-d", "--name", "again", "busybox", "sleep", "600")
    his("run", "-d", "--name", "goes", "busybox", "sleep", "600")
    wait_until(lambda: "start" in story(told(his, since=began), "goes"), "the starts")
    with no_observer(stack):
        docker("kill", "ends")
        docker("restart", "-t", "0", "again")
        his("rm", "-f", "goes")
        docker("run", "-d", "--name", "new", "busybox", "sleep", "600")
        his("run", "--name", "brief", "busybox", "true")
        his("rm", "brief")
        noise(stack, noisy, 300)
    wait_until(lambda: "die*" in story(told(docker, since=began), "ends"), "what was missed")
    mine, theirs = told(docker, since=began), told(his, since=began)
    assert story(mine, "noisy") == ["create", "start"]
    assert story(mine, "ends") == ["create", "start", "die*"]
    assert story(mine, "again") == ["create", "start", "die*", "start*"]
    assert story(mine, "new") == ["create*", "start*"]
    assert story(theirs, "goes") == ["create", "start", "die*", "destroy*"]
    assert story(theirs, "brief") == ["create*", "start*", "die*", "destroy*"]
    ended = next(e for e in mine if e["Action"] == "die" and e["Actor"]["Attributes"]["name"] == "ends")
    assert ended["Actor"]["Attributes"]["exitCode"] == "137" and ended["Actor"]["Attributes"]["tier"] == "web"
    assert not [e for e in mine if e["Actor"]["Attributes"].get("name") in ("goes", "brief")]
    # From then on it goes on as before.
    docker("run", "--rm", "--name", "after", "busybox", "true")
    wait_until(lambda: story(told(docker, since=began), "after") == LIFE, "the next events")
