"""docker events."""

from __future__ import annotations

import json
import time
import urllib.parse

from tests.e2e.clients import Client, Docker, every_client, read_until, two_clients
from tests.e2e.stack import Stack
from tests.e2e.wire import UPGRADE, Wire
from tests.machine import wait_until

LIFE = ["create", "start", "die", "destroy"]


def stamp() -> str:
    """The present moment, as exactly as a client may say it."""
    now = time.time_ns()
    return f"{now // 10**9}.{now % 10**9:09d}"


def told(docker: Docker, *words: str, since: str, until: str | None = None, kind: str = "") -> list[dict]:
    """The events of a time that is over, of all types or of one."""
    if kind:
        words = (*words, "--filter", f"type={kind}")
    said = docker("events", "--since", since, "--until", until or stamp(), "--format", "{{json .}}", *words)
    return [json.loads(line) for line in said.text.splitlines()]


def life(events: list[dict]) -> list[str]:
    """What happened, without what tells of attaching."""
    return [event["Action"] for event in events if event["Action"] in LIFE]


@every_client
def test_the_life_of_a_container(stack: Stack, alice: str, bob: str, client: Client) -> None:
    mine = Docker(stack, alice, client)
    began = stamp()

    mine("run", "--name", "short", "--label", "tier=web", "busybox", "sh", "-c", "exit 3", check=False)
    container = mine("inspect", "-f", "{{.Id}}", "short").text.strip()
    mine("rm", "short")
    wait_until(lambda: life(told(mine, since=began)) == LIFE, "its events")
    events = told(mine, since=began, kind="container")
    assert [event["timeNano"] for event in events] == sorted(event["timeNano"] for event in events)
    for event in events:
        assert (event["Type"], event["id"], event["from"]) == ("container", container, "busybox")
        attributes = event["Actor"]["Attributes"]
        assert (attributes["name"], attributes["image"], attributes["tier"]) == ("short", "busybox", "web")
        assert not [key for key in attributes if key.startswith("sdc.")]
    died = next(event for event in events if event["Action"] == "die")
    assert died["Actor"]["Attributes"]["exitCode"] == "3"

    # Another account sees none of it, asked for by whatever word.
    theirs = Docker(stack, bob, client)
    assert told(theirs, since=began) == []
    assert told(theirs, "--filter", f"container={container}", since=began) == []
    assert told(theirs, "--filter", "label=tier=web", since=began) == []


@every_client
def test_filters(stack: Stack, alice: str, client: Client) -> None:
    docker = Docker(stack, alice, client)
    began = stamp()
    docker("run", "--rm", "--name", "one", "--label", "tier=web", "busybox", "true")
    docker("run", "--rm", "--name", "other", "busybox", "true")
    wait_until(lambda: life(told(docker, since=began)) == LIFE * 2, "the removals")

    assert life(told(docker, "--filter", "container=one", since=began)) == LIFE
    assert life(told(docker, "--filter", "label=tier=web", since=began)) == LIFE
    assert life(told(docker, "--filter", "event=die", since=began)) == ["die", "die"]
    both = ["--filter", "event=die", "--filter", "event=start", "--filter", "container=other"]
    assert life(told(docker, *both, since=began)) == ["start", "die"]
    assert told(docker, "--filter", "type=volume", since=began) == []
    assert life(told(docker, "--filter", "image=busybox", since=began)) == LIFE * 2
    assert told(docker, since=stamp()) == []


@two_clients
def test_following_is_live_and_only_of_ones_own(stack: Stack, alice: str, bob: str, client: Client) -> None:
    mine, theirs = Docker(stack, alice, client), Docker(stack, bob, client)
    words = ["events", "--since", stamp(), "--format", "{{.Action}} {{.Actor.Attributes.name}}"]
    words += ["--filter", "type=container"]

    with mine.background(*words, bufsize=0) as of_mine, theirs.background(*words, bufsize=0) as of_theirs:
        mine("run", "--rm", "--name", "mine", "busybox", "true")
        theirs("run", "--rm", "--name", "theirs", "busybox", "true")
        seen_by_me = read_until(of_mine, b"destroy mine\n").decode().splitlines()
        seen_by_them = read_until(of_theirs, b"destroy theirs\n").decode().splitlines()

    for seen, name in ((seen_by_me, "mine"), (seen_by_them, "theirs")):
        assert [line for line in seen if line.split()[0] in LIFE] == [f"{action} {name}" for action in LIFE]
        assert {line.split()[1] for line in seen} == {name}


def test_what_happened_right_before_one_asks_is_told(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    for _ in range(5):
        began = stamp()
        stack.request(alice, "DELETE", f"/containers/{docker('create', 'busybox').text.strip()}")
        assert life(told(docker, since=began)) == ["create", "destroy"]


def test_until_a_moment_to_come(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    began = time.monotonic()
    docker("run", "--rm", "busybox", "true")
    # Time enough for the same again, however slow the machine is.
    since, ends = stamp(), time.time() + 2 + 4 * (time.monotonic() - began)

    with docker.background(
        "events", "--since", since, "--until", f"{ends:.3f}", "--format", "{{.Action}}", bufsize=0
    ) as process:
        docker("run", "--rm", "busybox", "true")
        out = read_until(process, b"destroy\n")
        assert process.poll() is None and time.time() < ends
        rest, said = process.communicate(timeout=90)

    assert -0.1 < time.time() - ends < 10 and process.returncode == 0, said
    assert [action for action in (out + rest).decode().split() if action in LIFE] == LIFE


def test_exec_and_kill_are_told(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    began = stamp()
    container = docker.container("run", "-d", "busybox", "sleep", "600")
    docker("exec", container, "sh", "-c", "exit 4", check=False)
    wait_until(lambda: "exec_die" in [e["Action"] for e in told(docker, since=began)], "the end of the exec")
    docker("kill", container)
    docker("wait", container)

    wait_until(lambda: "die" in life(told(docker, since=began)), "the end")
    events = told(docker, since=began, kind="container")

    actions = [event["Action"] for event in events]
    assert actions == [
        "create",
        "start",
        "exec_create: sh -c exit 4",
        "exec_start: sh -c exit 4",
        "exec_die",
        "kill",
        "die",
    ]
    by_action = {event["Action"]: event["Actor"]["Attributes"] for event in events}
    assert by_action["exec_die"]["exitCode"] == "4"
    assert by_action["kill"]["signal"] == "9"
    assert by_action["die"]["exitCode"] == "137"


def test_as_the_oldest_clients_read_it(stack: Stack, alice: str) -> None:
    """Below API 1.30 `run` learns the exit code from the event of the end, filtered by the container's id."""
    docker = Docker(stack, alice)
    container = docker.container("create", "busybox", "sh", "-c", "exit 9")
    filters = urllib.parse.quote(json.dumps({"type": {"container": True}, "container": {container: True}}))

    with Wire(stack, alice) as wire:
        wire.send("GET", f"/v1.24/events?filters={filters}")
        status, headers = wire.head()
        assert (status, headers["Content-Type"]) == ("200 OK", "application/json")
        docker("start", container)
        wire.read(b'"status":"start"')
        assert b'"exitCode":"9"' in wire.read(b'"timeNano"') + wire.read(b'"status":"die"') + wire.read(b'"timeNano"')


def test_bad_requests(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)

    backwards = docker.call("GET", "/events?since=20&until=10")
    assert backwards.status == 400
    assert backwards.json() == {"message": "`since` time (20) cannot be after `until` time (10)"}
    for filters in ("{", "[]", '{"nonsense":["x"]}', '{"type":5}'):
        answer = docker.call("GET", f"/events?until=1&filters={urllib.parse.quote(filters)}")
        assert answer.status == 400 and answer.json()["message"], (filters, answer)
    for query in ("since=yesterday&until=1", "until=x"):
        answer = docker.call("GET", f"/events?{query}")
        assert answer.status == 400 and answer.json()["message"], (query, answer)


def test_an_event_stream_has_no_input(stack: Stack, alice: str) -> None:
    """A client that ends its side has gone, whatever it asked for."""
    with Wire(stack, alice) as wire:
        wire.send("GET", "/v1.41/events", headers=UPGRADE)
        status, _ = wire.head()
        assert status == "200 OK"
        wire.end_input()
        wire.rest()


def test_the_end_is_told_under_the_last_name(stack: Stack, alice: str) -> None:
    """A rename is ours alone: the engine still calls the container by the label that it was created with."""
    mine = Docker(stack, alice)
    began = stamp()
    mine("create", "--name", "before", "busybox")
    mine("rename", "before", "after")
    mine("rm", "after")
    wait_until(lambda: "destroy" in life(told(mine, since=began)), "its end")
    end = next(event for event in told(mine, since=began) if event["Action"] == "destroy")
    assert end["Actor"]["Attributes"]["name"] == "after"


def test_networks_volumes_and_health(stack: Stack, alice: str, bob: str) -> None:
    docker = Docker(stack, alice)
    began = stamp()
    container = docker.container(
        "run", "-d", "--name", "checked", "-v", "told-data:/data", "--health-cmd", "true", "--health-interval", "1s",
        "busybox", "sleep", "600",
    )  # fmt: skip
    healthy = ("--filter", "event=health_status")
    wait_until(lambda: told(docker, *healthy, since=began), "its health")
    docker("rm", "-f", container)
    wait_until(lambda: "destroy" in life(told(docker, since=began)), "its end")
    events = told(docker, since=began)
    assert "health_status: healthy" in [event["Action"] for event in events]
    kinds = [(e["Type"], e["Action"]) for e in events if e["Type"] in ("network", "volume") and e["Action"] != "create"]
    assert kinds[:2] == [("network", "connect"), ("volume", "mount")]
    assert sorted(kinds[2:]) == [("network", "disconnect"), ("volume", "unmount")]
    by_action = {event["Action"]: event["Actor"] for event in events}
    assert by_action["connect"]["Attributes"] == {"container": container, "name": "bridge", "type": "bridge"}
    network = stack.request(alice, "GET", f"/containers/{container}/json").status
    assert network == 404 and len(by_action["connect"]["ID"]) == 64
    assert by_action["mount"]["ID"] == "told-data" and by_action["mount"]["Attributes"]["destination"] == "/data"
    only = told(docker, "--filter", "type=network", "--filter", "network=bridge", since=began)
    assert [event["Action"] for event in only] == ["connect", "disconnect"]
    only = told(docker, "--filter", "volume=told-data", "--filter", "event=mount", since=began)
    assert [event["Action"] for event in only] == ["mount"]
    for nothing in ("daemon=x", "plugin=x", "node=x", "service=x", "scope=swarm"):
        assert told(docker, "--filter", nothing, since=began) == []
    assert told(Docker(stack, bob), since=began) == []
    old = stack.request(alice, "GET", f"/v1.21/events?since={began}&until={stamp()}").body
    assert b'"connect"' not in old and b'"mount"' not in old and b'"status":"start"' in old
    docker("volume", "rm", "told-data", check=False)


def test_a_hundred_listeners(stack: Stack, alice: str) -> None:
    """The last one hears of it a moment after the first."""
    docker = Docker(stack, alice)
    container = docker.container("run", "-d", "busybox", "sleep", "600")
    wires = [Wire(stack, alice) for _ in range(100)]
    try:
        for wire in wires:
            wire.send("GET", "/v1.41/events?filters=" + urllib.parse.quote('{"event":["pause"]}'))
        for wire in wires:
            wire.head()
        stack.request(alice, "POST", f"/containers/{container}/pause")
        wires[0].read(b'"timeNano"')
        began = time.monotonic()
        for wire in wires[1:]:
            wire.read(b'"timeNano"')
        assert time.monotonic() - began < 5
    finally:
        for wire in wires:
            wire.__exit__()
