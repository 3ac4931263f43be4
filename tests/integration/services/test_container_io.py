from __future__ import annotations

import socket
import threading
from typing import Any

import pytest

from app.domain.policy import decide_exec
from app.engine.client import RawStream
from app.errors import Conflict, InvalidParameter, NotFound, Unavailable
from app.services import container_io
from tests.integration.world import World


def read(stream: RawStream) -> bytes:
    """All until the engine's end."""
    sock: socket.socket = stream.sock
    sock.settimeout(30)
    data = stream.leftover
    while block := sock.recv(65536):
        data += block
    sock.close()
    return data


def make_exec(world: World, *cmd: str, **body: Any) -> str:
    return world.api.io.create_exec(world.alice, "web", decide_exec({"Cmd": list(cmd), "AttachStdout": True, **body}))


def test_attach_and_logs(world: World) -> None:
    container_id = world.create(world.alice, "web", Cmd=["sh", "-c", "echo out; echo err >&2"])
    attached = world.api.io.attach(world.alice, "web", {"stream": "1", "stdout": "1", "stderr": "1"})
    world.api.lifecycle.start(world.alice, "web")
    frames = read(attached.upstream)
    assert not attached.tty
    assert frames == b"\1\0\0\0\0\0\0\4out\n" + b"\2\0\0\0\0\0\0\4err\n"
    logs = world.api.io.logs(world.alice, container_id[:12], {"stdout": "1", "tail": "all"})
    assert b"out\n" in read(logs.upstream)
    assert world.engine.called("logs")[0].args[0] == world.on_engine(container_id).name  # type: ignore[union-attr]


def test_a_terminal_is_not_framed(world: World) -> None:
    world.create(world.alice, "web", Tty=True, Cmd=["echo", "hi"])
    attached = world.api.io.attach(world.alice, "web", {"stream": "1", "stdout": "1"})
    world.api.lifecycle.start(world.alice, "web")
    assert attached.tty
    assert read(attached.upstream) == b"hi\r\n"


@pytest.mark.parametrize("reads", [True, False])
def test_an_engine_is_not_given_what_a_container_does_not_read(world: World, reads: bool) -> None:
    world.create(world.alice, "web", OpenStdin=reads, Cmd=["sh"])
    wanted = {"stream": "1", "stdin": "1", "stdout": "1"}
    world.api.io.attach(world.alice, "web", wanted).upstream.close()
    asked = world.engine.called("attach")[-1].args[1]
    assert asked == (wanted if reads else {"stream": "1", "stdout": "1"})


def test_wait_records_the_end_before_it_tells_it(world: World) -> None:
    container_id = world.run(world.alice, "web")
    waiting = world.api.io.wait(world.alice, "web", "not-running")
    world.engine.die(world.on_engine(container_id).id, 7)  # type: ignore[union-attr]
    answer = read(waiting.upstream)
    assert world.state(container_id) == "running"
    assert waiting.finish(answer) == {"StatusCode": 7, "Error": None}
    assert world.state(container_id) == "exited"


def test_wait_for_an_auto_removal(world: World) -> None:
    container_id = world.run(world.alice, "web", HostConfig={"AutoRemove": True})
    waiting = world.api.io.wait(world.alice, "web", "removed")
    world.engine.die(world.on_engine(container_id).id, 0)  # type: ignore[union-attr]
    assert waiting.finish(read(waiting.upstream))["StatusCode"] == 0
    world.assert_nothing_left(world.alice)


@pytest.mark.parametrize("answer", [b"", b'{"StatusCode"', b"<html>"])
def test_a_wait_whose_node_is_lost(world: World, answer: bytes) -> None:
    world.run(world.alice, "web")
    waiting = world.api.io.wait(world.alice, "web", "not-running")
    waiting.upstream.close()
    told = waiting.finish(answer)
    assert told["StatusCode"] == -1 and told["Error"]["Message"]


def test_a_wait_that_ends_while_the_node_is_away(world: World) -> None:
    container_id = world.run(world.alice, "web")
    waiting = world.api.io.wait(world.alice, "web", "next-exit")
    waiting.upstream.close()
    engine = world.on_engine(container_id)
    assert engine
    world.engine.away = True
    words = f"cannot join {engine.name} {engine.id}".encode()
    told = waiting.finish(b'{"StatusCode": 128, "Error": {"Message": "' + words + b'"}}')
    assert told == {"StatusCode": 128, "Error": {"Message": f"cannot join web {container_id}"}}


def test_exec(world: World) -> None:
    container_id = world.run(world.alice, "web")
    exec_id = make_exec(world, "sh", "-c", "echo hi; exit 4", Env=["A=b"], User="1000", WorkingDir="/tmp")
    assert len(exec_id) == 64 and exec_id not in world.engine.execs
    body = world.engine.called("create_exec")[0].args[1]
    assert (body["Env"], body["User"], body["WorkingDir"]) == (["A=b"], "1000", "/tmp")
    opened = world.api.io.start_exec(world.alice, exec_id, tty=False, console_size=None)
    assert read(opened.upstream) == b"\1\0\0\0\0\0\0\3hi\n"
    seen = world.api.io.inspect_exec(world.alice, exec_id)
    assert (seen["ID"], seen["ContainerID"], seen["ExitCode"], seen["Running"]) == (exec_id, container_id, 4, False)
    assert next(iter(world.engine.execs)) not in str(seen)
    with pytest.raises(Conflict) as refused:
        world.api.io.start_exec(world.alice, exec_id, tty=False, console_size=None)
    assert refused.value.message == f"Error: Exec command {exec_id} has already run"


def test_exec_detached(world: World) -> None:
    world.run(world.alice, "web")
    exec_id = make_exec(world, "sleep", "600")
    world.api.io.start_exec_detached(world.alice, exec_id, tty=False)
    assert world.api.io.inspect_exec(world.alice, exec_id)["Running"]
    assert world.api.queries.inspect(world.alice, "web")["ExecIDs"] == [exec_id]
    world.api.io.resize_exec(world.alice, exec_id, height=24, width=80)


def test_exec_refusals(world: World) -> None:
    container_id = world.create(world.alice, "web")
    with pytest.raises(Conflict) as refused:
        make_exec(world, "true")
    assert refused.value.message == f"Container {container_id} is not running"
    # The row is behind; the engine is asked before one says no.
    world.engine.start_container(world.on_engine(container_id).id)  # type: ignore[union-attr]
    exec_id = make_exec(world, "nothere")
    with pytest.raises(InvalidParameter, match='exec: "nothere": executable file not found'):
        world.api.io.start_exec(world.alice, exec_id, tty=False, console_size=None)
    with pytest.raises(NotFound, match=f"No such exec instance: {'0' * 64}"):
        world.api.io.inspect_exec(world.alice, "0" * 64)


def test_execs_that_nobody_starts_end_somewhere(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_io, "MOST_EXECS", 3)
    container_id = world.run(world.alice, "web")
    ended = make_exec(world, "true")
    read(world.api.io.start_exec(world.alice, ended, tty=False, console_size=None).upstream)
    for _ in range(3):
        make_exec(world, "true")
    with pytest.raises(Conflict) as refused:
        make_exec(world, "true")
    assert refused.value.message == f"Container {container_id} has 3 exec instances that have not ended"


def test_execs_that_have_ended_make_room(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_io, "MOST_EXECS", 3)
    world.run(world.alice, "web")
    for _ in range(4):
        exec_id = make_exec(world, "true")
        read(world.api.io.start_exec(world.alice, exec_id, tty=False, console_size=None).upstream)
    assert world.sql("SELECT count(*) FROM execs") == [(4,)]
    world.sql("UPDATE execs SET created_at = now() - interval '1 hour'")
    waiting = make_exec(world, "true")
    assert world.sql("SELECT id FROM execs") == [(waiting,)]


def test_execs_go_with_their_container(world: World) -> None:
    world.run(world.alice, "web")
    exec_id = make_exec(world, "true")
    world.api.lifecycle.remove(world.alice, "web", force=True, volumes=False, link=False)
    with pytest.raises(NotFound) as refused:
        world.api.io.inspect_exec(world.alice, exec_id)
    assert refused.value.message == f"No such exec instance: {exec_id}"


def test_an_exec_of_a_container_that_goes_meanwhile(world: World) -> None:
    world.run(world.alice, "web")
    hang = world.engine.hang("create_exec", after=True)
    failed: list[BaseException] = []

    def make() -> None:
        try:
            make_exec(world, "true")
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    assert hang.reached.wait(30)
    world.api.lifecycle.remove(world.alice, "web", force=True, volumes=False, link=False)
    hang.release()
    thread.join(30)
    assert isinstance(failed[0], NotFound)


def test_attach_to_what_cannot_be_attached_to(world: World) -> None:
    container_id = world.run(world.alice, "web")
    world.sql("UPDATE containers SET state = 'paused'")
    world.on_engine(container_id).state["Status"] = "paused"  # type: ignore[union-attr]
    with pytest.raises(Conflict, match="is paused, unpause the container before attach"):
        world.api.io.attach(world.alice, "web", {"stream": "1"})
    world.engine.away = True
    with pytest.raises(Unavailable):
        world.api.io.logs(world.alice, "web", {"stdout": "1"})


def test_resize(world: World) -> None:
    container_id = world.create(world.alice, "web")
    with pytest.raises(Conflict) as refused:
        world.api.io.resize(world.alice, "web", height=1, width=1)
    assert refused.value.message == f"Container {container_id} is not running"
