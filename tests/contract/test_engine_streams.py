"""attach, logs and exec."""

from __future__ import annotations

import contextlib
import hashlib
import socket
import threading

import pytest

from app.engine.client import RawStream
from app.errors import Conflict, Error, InvalidParameter, NotFound
from tests.contract.conftest import Subject, dechunk, read_all
from tests.e2e.wire import frames

ATTACH = {"stream": "1", "stdout": "1", "stderr": "1"}
SPEAKER = ("sh", "-c", "echo out; echo err >&2; exit 4")


def apart(data: bytes) -> dict[int, bytes]:
    """stdout and stderr of a framed stream."""
    return {1: b"", 2: b""} | frames(data)


def test_attach_before_the_start_gets_all_and_ends(subject: Subject) -> None:
    new = subject.create(*SPEAKER)
    stream = subject.engine.attach(new, ATTACH)
    assert stream.status == 101
    subject.engine.start_container(new)
    assert apart(read_all(stream)) == {1: b"out\n", 2: b"err\n"}


def test_attach_to_one_stream(subject: Subject) -> None:
    new = subject.create(*SPEAKER)
    stream = subject.engine.attach(new, {"stream": "1", "stderr": "1"})
    subject.engine.start_container(new)
    assert apart(read_all(stream)) == {1: b"", 2: b"err\n"}


def test_standard_input_and_half_close(subject: Subject) -> None:
    new = subject.create("cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    stream = subject.engine.attach(new, ATTACH | {"stdin": "1"})
    subject.engine.start_container(new)
    stream.sock.settimeout(60)
    stream.sock.sendall(b"hello")
    stream.sock.shutdown(socket.SHUT_WR)
    assert apart(read_all(stream)) == {1: b"hello", 2: b""}
    assert subject.engine.inspect_container(new)["State"]["ExitCode"] == 0


def test_a_terminal_is_not_framed(subject: Subject) -> None:
    new = subject.create("echo", "hi", Tty=True)
    stream = subject.engine.attach(new, ATTACH)
    subject.engine.start_container(new)
    assert read_all(stream) == b"hi\r\n"


def test_much_through_cat(subject: Subject) -> None:
    """Both directions at once, more than any buffer holds."""
    new = subject.create("cat", OpenStdin=True, StdinOnce=True, AttachStdin=True)
    stream = subject.engine.attach(new, ATTACH | {"stdin": "1"})
    subject.engine.start_container(new)
    data = hashlib.sha256(b"seed").digest() * 131072  # 4 MiB
    stream.sock.settimeout(60)

    def send() -> None:
        stream.sock.sendall(data)
        stream.sock.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    received = apart(read_all(stream))[1]
    sender.join(60)
    assert hashlib.sha256(received).digest() == hashlib.sha256(data).digest()


def finished(subject: Subject, *command: str) -> str:
    new = subject.create(*command)
    waiting = subject.engine.wait(new, "next-exit")
    subject.engine.start_container(new)
    read_all(waiting)
    return new


def logged(stream: RawStream) -> dict[int, bytes]:
    assert stream.status == 200
    return apart(dechunk(read_all(stream)))


def test_logs(subject: Subject) -> None:
    new = finished(subject, "sh", "-c", "echo 1; echo 2; echo 3 >&2")
    logs = subject.engine.logs
    assert logged(logs(new, {"stdout": "1", "stderr": "1"})) == {1: b"1\n2\n", 2: b"3\n"}
    assert logged(logs(new, {"stdout": "1"})) == {1: b"1\n2\n", 2: b""}
    line = logged(logs(new, {"stderr": "1", "timestamps": "1"}))[2]
    assert line[:2] == b"20"
    assert line.endswith(b"Z 3\n")


def test_last_lines_of_logs(subject: Subject) -> None:
    new = finished(subject, "sh", "-c", "echo 1; echo 2; echo 3")
    logs = subject.engine.logs
    assert logged(logs(new, {"stdout": "1", "stderr": "1", "tail": "2"}))[1] == b"2\n3\n"
    assert logged(logs(new, {"stdout": "1", "tail": "0"}))[1] == b""
    assert logged(logs(new, {"stdout": "1", "tail": "all"}))[1] == b"1\n2\n3\n"


def test_logs_need_a_stream(subject: Subject) -> None:
    new = subject.create("true")
    with pytest.raises(InvalidParameter, match="you must choose at least one stream"):
        subject.engine.logs(new, {"stdout": None})


def test_followed_logs_end_with_the_container(subject: Subject) -> None:
    new = subject.create("sh", "-c", "echo early; sleep 1000")
    subject.engine.start_container(new)
    stream = subject.engine.logs(new, {"stdout": "1", "follow": "1"})
    stream.sock.settimeout(60)
    data = stream.leftover
    while b"early" not in data:
        data += stream.sock.recv(65536)
    subject.engine.kill_container(new, "KILL")
    data += read_all(RawStream(stream.sock, stream.status, stream.headers))
    assert apart(dechunk(data))[1] == b"early\n"


@pytest.fixture
def running(subject: Subject) -> str:
    new = subject.create("sleep", "1000")
    subject.engine.start_container(new)
    return new


def test_exec(subject: Subject, running: str) -> None:
    engine = subject.engine
    body = {"Cmd": list(SPEAKER), "AttachStdout": True, "AttachStderr": True}
    new = engine.create_exec(running, body)
    assert engine.inspect_exec(new)["ExitCode"] is None
    stream = engine.start_exec(new, {"Detach": False, "Tty": False})
    assert stream.status == 101
    assert apart(read_all(stream)) == {1: b"out\n", 2: b"err\n"}
    seen = engine.inspect_exec(new)
    assert (seen["ID"], seen["ContainerID"]) == (new, running)
    assert (seen["Running"], seen["ExitCode"]) == (False, 4)
    assert seen["ProcessConfig"]["entrypoint"] == "sh"


def test_exec_takes_input(subject: Subject, running: str) -> None:
    body = {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True}
    stream = subject.engine.start_exec(subject.engine.create_exec(running, body), {"Detach": False, "Tty": False})
    stream.sock.settimeout(60)
    stream.sock.sendall(b"through")
    stream.sock.shutdown(socket.SHUT_WR)
    assert apart(read_all(stream))[1] == b"through"


def test_exec_refuses(subject: Subject, running: str) -> None:
    engine = subject.engine
    for call in (
        lambda: engine.inspect_exec("00"),
        lambda: engine.start_exec("00", {"Detach": False}),
        lambda: engine.start_exec_detached("00", {"Detach": True}),
        lambda: engine.resize_exec("00", height=1, width=1),
    ):
        with pytest.raises(NotFound, match="No such exec instance: 00"):
            call()
    with pytest.raises(InvalidParameter, match="No exec command specified"):
        engine.create_exec(running, {"Cmd": []})
    new = engine.create_exec(running, {"Cmd": ["true"]})
    engine.start_exec_detached(new, {"Detach": True})
    with pytest.raises(Conflict, match=f"Error: Exec command {new} (has already run|is already running)"):
        engine.start_exec_detached(new, {"Detach": True})


def test_exec_of_an_unknown_program(subject: Subject, running: str) -> None:
    new = subject.engine.create_exec(running, {"Cmd": ["nope"], "AttachStdout": True, "AttachStderr": True})
    with contextlib.suppress(Error):
        read_all(subject.engine.start_exec(new, {"Detach": False, "Tty": False}))
    assert subject.engine.inspect_exec(new)["ExitCode"] == 126


def test_an_exec_dies_with_its_container(subject: Subject, running: str) -> None:
    new = subject.engine.create_exec(running, {"Cmd": ["sleep", "1000"], "AttachStdout": True})
    stream = subject.engine.start_exec(new, {"Detach": False, "Tty": False})
    subject.engine.remove_container(running, force=True)
    read_all(stream)
    with pytest.raises(NotFound, match=f"No such exec instance: {new}"):
        subject.engine.inspect_exec(new)
