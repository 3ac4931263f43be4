"""Containers: what an engine answers, and in which words it refuses."""

from __future__ import annotations

import json
import time

import pytest

from app.errors import Conflict, Error, InvalidParameter, NotFound, NotModified
from tests.contract.conftest import LABEL, Subject, read_all


def refusal(kind: type[Error], call, *args, **kwargs) -> str:
    with pytest.raises(kind) as raised:
        call(*args, **kwargs)
    return raised.value.message


def exit_of(subject: Subject, condition: str = "not-running", name: str = "one") -> dict:
    return json.loads(read_all(subject.engine.wait(subject.name(name), condition)))


def test_life_of_a_container(subject: Subject) -> None:
    engine = subject.engine
    new = subject.create("sleep", "1000")
    seen = engine.inspect_container(subject.name())
    assert seen["Id"] == new
    assert seen["Name"] == f"/{subject.name()}"
    assert seen["Image"] == subject.image
    assert seen["Path"] == "sleep"
    assert seen["Args"] == ["1000"]
    assert seen["State"]["Status"] == "created"
    assert seen["State"]["StartedAt"] == seen["State"]["FinishedAt"] == "0001-01-01T00:00:00Z"
    assert seen["Config"]["Hostname"] == new[:12]
    assert seen["Config"]["Labels"] == {LABEL: subject.run}

    engine.start_container(subject.name())
    seen = engine.inspect_container(new)
    assert seen["State"]["Status"] == "running"
    assert seen["State"]["Running"] is True
    assert seen["State"]["Pid"] > 0
    bridge = seen["NetworkSettings"]["Networks"]["bridge"]
    assert bridge["IPAddress"]
    assert bridge["Gateway"]
    assert refusal(NotModified, engine.start_container, new) == ""

    engine.stop_container(new, seconds=1)
    state = engine.inspect_container(new)["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 137, 0)
    assert state["FinishedAt"] > state["StartedAt"]
    assert engine.inspect_container(new)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"] == ""
    assert refusal(NotModified, engine.stop_container, new, seconds=1) == ""

    engine.restart_container(new, seconds=0)
    assert engine.inspect_container(new)["State"]["Status"] == "running"
    engine.remove_container(new, force=True)
    assert refusal(NotFound, engine.inspect_container, new) == f"No such container: {new}"


def test_every_call_refuses_an_unknown_container_in_the_same_words(subject: Subject) -> None:
    engine = subject.engine
    words = "No such container: c-none"
    assert refusal(NotFound, engine.inspect_container, "c-none") == words
    assert refusal(NotFound, engine.start_container, "c-none") == words
    assert refusal(NotFound, engine.stop_container, "c-none", seconds=1) == words
    assert refusal(NotFound, engine.restart_container, "c-none", seconds=1) == words
    assert refusal(NotFound, engine.remove_container, "c-none", force=True) == words
    assert refusal(NotFound, engine.top, "c-none", None) == words
    assert refusal(NotFound, engine.resize_container, "c-none", height=1, width=1) == words
    assert refusal(NotFound, engine.wait, "c-none", "not-running") == words
    assert refusal(NotFound, engine.attach, "c-none", {"stream": "1", "stdout": "1"}) == words
    assert refusal(NotFound, engine.logs, "c-none", {"stdout": "1"}) == words
    assert refusal(NotFound, engine.create_exec, "c-none", {"Cmd": ["true"]}) == words
    assert refusal(NotFound, engine.kill_container, "c-none", "KILL") == f"Cannot kill container: c-none: {words}"


def test_create_refuses(subject: Subject) -> None:
    engine = subject.engine
    nothing = "sha256:" + "0" * 64
    assert refusal(NotFound, engine.create_container, "c-x", {"Image": nothing}) == f"No such image: {nothing}"
    assert refusal(NotFound, engine.create_container, "c-x", {"Image": "nope"}) == "No such image: nope:latest"
    assert "Invalid container name (c x)" in refusal(
        InvalidParameter, engine.create_container, "c x", {"Image": subject.image}
    )
    new = subject.create("true")
    words = refusal(Conflict, engine.create_container, subject.name(), {"Image": subject.image})
    assert words.startswith(f'Conflict. The container name "/{subject.name()}" is already in use by container "{new}"')


def test_a_container_that_does_not_run_refuses(subject: Subject) -> None:
    engine = subject.engine
    new = subject.create("true")
    words = f"Container {new} is not running"
    name = subject.name()
    assert refusal(Conflict, engine.kill_container, name, "KILL") == f"Cannot kill container: {name}: {words}"
    assert refusal(Conflict, engine.top, name, None) == words
    assert refusal(Conflict, engine.create_exec, name, {"Cmd": ["true"]}) == words
    assert refusal(Conflict, engine.resize_container, name, height=1, width=1) == words


def test_a_running_container_is_removed_by_force_only(subject: Subject) -> None:
    new = subject.create("sleep", "1000")
    subject.engine.start_container(new)
    assert refusal(Conflict, subject.engine.remove_container, new) == (
        f"You cannot remove a running container {new}. Stop the container before attempting removal or force remove"
    )
    subject.engine.remove_container(new, force=True)
    assert subject.engine.list_containers([f"{LABEL}={subject.run}"]) == []


def test_kill(subject: Subject) -> None:
    new = subject.create("sleep", "1000")
    subject.engine.start_container(new)
    assert refusal(InvalidParameter, subject.engine.kill_container, new, "NOSUCH") == "Invalid signal: NOSUCH"
    # Process 1 heeds no signal that it has no handler for.
    subject.engine.kill_container(new, "TERM")
    assert subject.engine.inspect_container(new)["State"]["Running"] is True
    subject.engine.kill_container(new, "KILL")
    assert exit_of(subject) == {"Error": None, "StatusCode": 137}


def test_an_unknown_program_fails_the_start(subject: Subject) -> None:
    new = subject.create("nope")
    words = refusal(InvalidParameter, subject.engine.start_container, new)
    assert words.endswith('exec: "nope": executable file not found in $PATH: unknown')
    state = subject.engine.inspect_container(new)["State"]
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", 127, words)
    assert exit_of(subject) == {"Error": {"Message": words}, "StatusCode": 127}


@pytest.mark.parametrize(
    ("command", "code"), [(["true"], 0), (["false"], 1), (["sh", "-c", "echo a; exit 7"], 7)], ids=["0", "1", "7"]
)
def test_exit_codes(subject: Subject, command: list[str], code: int) -> None:
    new = subject.create(*command)
    waiting = subject.engine.wait(new, "next-exit")
    subject.engine.start_container(new)
    assert json.loads(read_all(waiting)) == {"Error": None, "StatusCode": code}
    assert subject.engine.inspect_container(new)["State"]["ExitCode"] == code


def test_a_wait_has_its_head_before_anything_happens(subject: Subject) -> None:
    new = subject.create("sleep", "1000")
    waiting = [subject.engine.wait(new, condition) for condition in ("next-exit", "removed")]
    assert [stream.status for stream in waiting] == [200, 200]
    subject.engine.start_container(new)
    ending = subject.engine.wait(new, "not-running")
    ending.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        ending.sock.recv(1)
    subject.engine.remove_container(new, force=True)
    for stream in (*waiting, ending):
        assert json.loads(read_all(stream))["StatusCode"] == 137


def test_auto_remove(subject: Subject) -> None:
    new = subject.create("true", host={"AutoRemove": True})
    waiting = subject.engine.wait(new, "removed")
    subject.engine.start_container(new)
    assert json.loads(read_all(waiting))["StatusCode"] == 0
    assert refusal(NotFound, subject.engine.inspect_container, new) == f"No such container: {new}"


def test_list_goes_by_all_labels(subject: Subject) -> None:
    one = subject.create("true", name="one")
    two = subject.create("true", name="two", Labels={LABEL: subject.run, "more": "1"})
    found = subject.engine.list_containers([f"{LABEL}={subject.run}"])
    assert [(c["Id"], c["Names"], c["State"]) for c in found] == [
        (two, [f"/{subject.name('two')}"], "created"),
        (one, [f"/{subject.name('one')}"], "created"),
    ]
    assert [c["Id"] for c in subject.engine.list_containers([f"{LABEL}={subject.run}", "more=1"])] == [two]


def test_top(subject: Subject) -> None:
    new = subject.create("sleep", "1000")
    subject.engine.start_container(new)
    seen = subject.engine.top(new, None)
    assert seen["Titles"] == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [line[-1] for line in seen["Processes"]] == ["sleep 1000"]


def test_volumes(subject: Subject) -> None:
    volume = f"v-{subject.run}"
    host = {"Mounts": [{"Type": "volume", "Source": volume, "Target": "/d"}]}
    new = subject.create("true", host=host, Volumes={"/e": {}})
    mounts = {m["Destination"]: m for m in subject.engine.inspect_container(new)["Mounts"]}
    assert mounts["/d"]["Name"] == volume
    assert mounts["/d"]["RW"] is True
    assert len(mounts["/e"]["Name"]) == 64
    assert refusal(Conflict, subject.engine.remove_volume, volume) == f"remove {volume}: volume is in use - [{new}]"
    subject.engine.remove_container(new, volumes=True)
    subject.engine.remove_volume(volume)
    subject.engine.remove_volume(volume)  # By force: what is not there is fine.


def test_ports(subject: Subject) -> None:
    host = {"PortBindings": {"80/tcp": [{"HostPort": "18080"}], "82/tcp": [{"HostPort": "18082"}]}}
    new = subject.create("sleep", "1000", host=host, ExposedPorts={"80/tcp": {}, "81/tcp": {}})
    assert subject.engine.inspect_container(new)["NetworkSettings"]["Ports"] == {}
    subject.engine.start_container(new)
    ports = subject.engine.inspect_container(new)["NetworkSettings"]["Ports"]
    assert {"HostIp": "0.0.0.0", "HostPort": "18080"} in ports["80/tcp"]
    assert ports["81/tcp"] is None
    assert "82/tcp" not in ports  # Bound, but not exposed.
    other = subject.create("sleep", "1000", name="two", host=host, ExposedPorts={"80/tcp": {}})
    words = refusal(Error, subject.engine.start_container, other)
    assert words.startswith(f"driver failed programming external connectivity on endpoint {subject.name('two')}")
    assert words.endswith("Bind for 0.0.0.0:18080 failed: port is already allocated")
    state = subject.engine.inspect_container(other)["State"]
    assert (state["Status"], state["ExitCode"], state["Error"]) == ("created", 128, words)


def test_events(subject: Subject) -> None:
    began = time.time_ns()
    with subject.engine.events(since=began, labels=[f"{LABEL}={subject.run}"], timeout=60) as stream:
        new = subject.create("sh", "-c", "exit 3")
        subject.create("true", name="two", Labels={})
        subject.engine.start_container(new)
        seen = []
        for event in stream.messages():
            seen.append(event)
            if event["Action"] == "die":
                break
    assert [event["Action"] for event in seen] == ["create", "start", "die"]
    assert {event["Actor"]["ID"] for event in seen} == {new}
    told = seen[-1]["Actor"]["Attributes"]
    assert told["exitCode"] == "3"
    assert told["name"] == subject.name()
    assert told[LABEL] == subject.run
    assert seen[-1]["timeNano"] >= began
    # What it remembers, of a time that is over: the question by which a gap is found.
    for moment, remembered in ((seen[1]["timeNano"], ["start"]), (began - 5 * 10**9, [])):
        with subject.engine.events(since=moment, until=moment, timeout=60) as stream:
            mine = [e["Action"] for e in stream.messages() if e["Actor"]["ID"] == new]
        assert mine == remembered
