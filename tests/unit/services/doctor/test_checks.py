"""What each check says of what it sees; the seeing itself is tested against real parts."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from app.domain.node import Node
from app.services import doctor
from app.services.doctor import certificates, database, engines, environment, front, processes
from app.services.doctor.finding import Finding, Verdict, span
from app.services.doctor.look import Look, look_around
from app.settings import Places, ProcessSettings, Settings
from tests import factories
from tests.pki import authority, issue

OK, WARN, BAD = Verdict.OK, Verdict.WARN, Verdict.BAD
NOW = datetime.now(UTC)


def look(**places: str) -> Look:
    settings = Settings(database_url="postgresql+psycopg2://nowhere/x")
    return Look(settings, ProcessSettings(), Places(**places), None, None, "0001")  # type: ignore[arg-type]


# --- settings --------------------------------------------------------------------------------------------------------


def test_settings() -> None:
    told = {"docker_address": "a:1", "nginx_log": "/l", "nginx_pid": "/p", "server_cert": "/c", "server_key": "/k"}
    assert [f.verdict for f in environment.check(look(**told))] == [OK]
    (some,) = environment.check(look(**{**told, "nginx_pid": ""}))
    assert some.verdict is WARN and some.seen.startswith("SDC_NGINX_PID not set")


def test_settings_that_cannot_be_read() -> None:
    seen = look_around({"SDC_WORKERS": "many", "SDC_DOCKER_ADDRESS": "nonsense"}, "0001")
    assert seen.settings is None and seen.store is None
    problems = [f.seen for f in environment.check(seen) if f.verdict is BAD]
    assert len(problems) == 3
    for name in ("SDC_DATABASE_URL", "SDC_WORKERS", "SDC_DOCKER_ADDRESS"):
        assert any(name in problem for problem in problems)


# --- database --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revision", "verdict", "words"),
    [("0007", OK, "0007"), ("0006", BAD, "needs 0007"), ("0008", BAD, "needs 0007"), ("", BAD, "empty")],
)
def test_schema(revision: str, verdict: Verdict, words: str) -> None:
    found = database.schema(revision, "0007")
    assert found.verdict is verdict and words in found.seen
    assert verdict is OK or "sdc-docker db upgrade" in found.advice


@pytest.mark.parametrize(
    ("apart", "verdict", "words"),
    [(0.0, OK, "agrees"), (-1.9, OK, "agrees"), (5, WARN, "5.0 seconds ahead"), (-120, BAD, "2 minutes behind")],
)
def test_clock(apart: float, verdict: Verdict, words: str) -> None:
    found = database.clock("clock", apart)
    assert found.verdict is verdict and words in found.seen


@pytest.mark.parametrize(
    ("used", "most", "verdict"), [(10, 100, OK), (95, 100, BAD), (10, 50, WARN), (10, 84, OK), (10, 83, WARN)]
)
def test_connections(used: int, most: int, verdict: Verdict) -> None:
    """Two workers, CloudAPI and an observer may want 84."""
    facts = {"connections": used, "max_connections": most}
    settings = Settings(database_url="x", database_pool=16)
    assert database.connections(facts, settings, ProcessSettings(workers=2)).verdict is verdict


@pytest.mark.parametrize(("seconds", "verdict"), [(0.0, OK), (59, OK), (61, WARN), (3601, BAD)])
def test_transactions(seconds: float, verdict: Verdict) -> None:
    assert database.transactions(seconds).verdict is verdict


@pytest.mark.parametrize(("free", "verdict"), [(50, OK), (15, OK), (14, WARN), (5, WARN), (4, BAD), (0, BAD)])
def test_disk(free: int, verdict: Verdict) -> None:
    assert database.disk("disk", "/x", free, 100).verdict is verdict


def test_an_unreachable_database_is_one_finding() -> None:
    seen = look_around({"SDC_DATABASE_URL": "postgresql+psycopg2://sdc@/sdc?host=/nowhere"}, "0001")
    (found,) = database.check(seen)
    assert found.verdict is BAD and "does not answer" in found.seen and "/nowhere" in found.seen


# --- certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begins", "ends", "verdict", "words"),
    [
        (-10, 3650, OK, "valid until"),
        (-10, 29, WARN, "expires in 29 days"),
        (-10, -1, BAD, "expired on"),
        (1, 100, BAD, "is valid from"),
    ],
)
def test_lifetime(begins: int, ends: int, verdict: Verdict, words: str) -> None:
    dates = (NOW + timedelta(days=begins), NOW + timedelta(days=ends, hours=1))
    certificate = x509.load_pem_x509_certificate(authority(*dates)[0])
    found = certificates.lifetime("server certificate", certificate, NOW)
    assert found.verdict is verdict and words in found.seen
    assert verdict is OK or found.advice


def test_files_that_are_no_certificates(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("nonsense")
    assert "is no certificate" in certificates.from_file("x", tmp_path / "bad.pem").seen
    assert "cannot be read" in certificates.from_file("x", tmp_path / "none.pem").seen


# --- nginx and the socket --------------------------------------------------------------------------------------------


def serve(listener: socket.socket, answer: bytes, context: ssl.SSLContext | None = None) -> None:
    def run() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), raw:
                connection = context.wrap_socket(raw, server_side=True) if context else raw
                with connection:
                    connection.settimeout(5)
                    connection.recv(4096)
                    connection.sendall(answer)

    threading.Thread(target=run, daemon=True).start()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made
        made.shutdown(socket.SHUT_RDWR)


def through_tls(
    tmp_path: Path, listener: socket.socket, answer: bytes, *, ends: int = 100, trusted: bool = True
) -> Finding:
    dates = (NOW - timedelta(days=10), NOW + timedelta(days=ends))
    ca_pem, ca_key = authority(NOW - timedelta(days=10), NOW + timedelta(days=100))
    certificate, key = issue(ca_pem, ca_key, "127.0.0.1", *dates)
    (tmp_path / "server.pem").write_bytes(certificate + key)
    other = authority(*dates)[0]
    (tmp_path / "ca.pem").write_bytes(ca_pem if trusted else other)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    serve(listener, answer, context)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    (found,) = front.through_tls("docker port", address, str(tmp_path / "ca.pem"), b"GET /_ping HTTP/1.1\r\n\r\n")
    return found


def test_a_port_that_answers(tmp_path: Path, listener: socket.socket) -> None:
    assert through_tls(tmp_path, listener, b"HTTP/1.1 200 OK\r\n\r\nOK").verdict is OK


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"answer": b"HTTP/1.1 502 Bad Gateway\r\n\r\n"}, "status 502"),
        ({"answer": b"nonsense\r\n"}, "not HTTP"),
        ({"answer": b""}, "without an answer"),
        ({"answer": b"HTTP/1.1 200 OK\r\n\r\n", "ends": -1}, "expired on"),
        ({"answer": b"HTTP/1.1 200 OK\r\n\r\n", "trusted": False}, "do not trust"),
    ],
)
def test_a_port_that_does_not(tmp_path: Path, listener: socket.socket, how: dict[str, Any], words: str) -> None:
    found = through_tls(tmp_path, listener, **how)
    assert found.verdict is BAD and words in found.seen and found.advice


def test_a_port_where_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (found,) = front.through_tls("docker port", address, "", b"")
    assert found.verdict is BAD and "does not accept" in found.seen


def test_nginx(tmp_path: Path) -> None:
    pid = tmp_path / "nginx.pid"
    assert list(front.nginx(look())) == []
    for text in (None, "", "nonsense", "999999999", f"{os.getpid()}\n"):
        pid.unlink(missing_ok=True)
        if text is not None:
            pid.write_text(text)
        (found,) = front.nginx(look(nginx_pid=str(pid)))
        assert found.verdict is BAD and found.seen.startswith("does not run")


@pytest.mark.parametrize(
    ("mode", "answer", "verdict", "words"),
    [
        (0o660, b"HTTP/1.1 200 OK\r\n\r\nOK", OK, "answers"),
        (0o666, b"HTTP/1.1 200 OK\r\n\r\nOK", BAD, "everybody"),
        (0o660, b"HTTP/1.1 503 Service Unavailable\r\n\r\n", BAD, "status 503"),
        (0o660, b"", BAD, "does not answer"),
    ],
)
def test_api_socket(tmp_path: Path, mode: int, answer: bytes, verdict: Verdict, words: str) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(mode)
        listener.listen()
        serve(listener, answer)
        (found,) = front.api_socket(replace(look(), process=ProcessSettings(socket=str(path))))
        listener.shutdown(socket.SHUT_RDWR)
    assert found.verdict is verdict and words in found.seen


def test_no_api_socket(tmp_path: Path) -> None:
    (found,) = front.api_socket(replace(look(), process=ProcessSettings(socket=str(tmp_path / "none"))))
    assert found.verdict is BAD and "start gunicorn" in found.advice


def test_registry(listener: socket.socket) -> None:
    def at(address: str) -> Look:
        return replace(look(), settings=Settings(database_url="x", registry="images.example", registry_address=address))

    address = f"127.0.0.1:{listener.getsockname()[1]}"
    (found,) = front.registry(at(address))
    assert found.verdict is OK
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{taken.getsockname()[1]}"
        (found,) = front.registry(at(closed))
    assert found.verdict is BAD and closed in found.seen
    assert list(front.registry(look())) == []


def test_keys(tmp_path: Path) -> None:
    key = tmp_path / "server.key"
    (found,) = front.keys(look(server_key=str(key)))
    assert found.verdict is BAD and "No such file" in found.seen
    key.write_text("secret")
    for mode, verdict in ((0o600, OK), (0o400, OK), (0o640, BAD), (0o604, BAD)):
        key.chmod(mode)
        (found,) = front.keys(look(server_key=str(key)))
        assert found.verdict is verdict and "secret" not in found.seen


# --- processes -------------------------------------------------------------------------------------------------------


def process(kind: str, silent: float = 1.0, host: str = "here") -> dict[str, Any]:
    return {"kind": kind, "host": host, "pid": 1, "silent_seconds": silent}


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        ([], BAD, "none gives"),
        ([process("api", 11), process("observer")], BAD, "none gives"),
        ([process("api"), process("api")], OK, "2 alive"),
        ([process("api"), process("api", 30)], WARN, "2 are wanted"),
        ([process("api", host="there")], OK, "0 of them on this machine"),
    ],
)
def test_workers(found: list[dict[str, Any]], verdict: Verdict, words: str) -> None:
    said = processes.workers(found, 2, "here")
    assert said.verdict is verdict and words in said.seen


@pytest.mark.parametrize(
    ("found", "verdict", "words"),
    [
        ([process("observer"), process("observer", 99)], OK, "1 alive"),
        ([process("observer", 99), process("observer", 3700)], BAD, "99 seconds ago"),
        ([process("api")], BAD, "none gives"),
    ],
)
def test_observers(found: list[dict[str, Any]], verdict: Verdict, words: str) -> None:
    said = processes.observers(found)
    assert said.verdict is verdict and words in said.seen


def test_leases() -> None:
    assert processes.leases([]).verdict is WARN
    assert processes.leases([{"name": "n1", "leased": True}]).verdict is OK
    said = processes.leases([{"name": "n1", "leased": True}, {"name": "n2", "leased": False}])
    assert said.verdict is BAD and "n2" in said.seen and "n1" not in said.seen


@pytest.mark.parametrize(("seconds", "verdict"), [(61, WARN), (1201, BAD)])
def test_operations(seconds: float, verdict: Verdict) -> None:
    said = processes.operations([{"kind": "stop", "target": "ab" * 32, "seconds": seconds}])
    assert said.verdict is verdict and "stop of abababababab" in said.seen
    assert processes.operations([{"kind": "build", "target": "x", "seconds": seconds}]).verdict is WARN
    assert processes.operations([]).verdict is OK


def test_refusals() -> None:
    ago = NOW - timedelta(minutes=3)
    assert processes.refused([], NOW).verdict is OK
    assert processes.refused([(403, "Forbidden", 12, ago)], NOW).verdict is OK
    said = processes.refused([(401, "Refused", 7, ago), (403, "Forbidden", 12, ago)], NOW)
    assert (
        said.verdict is WARN and "7 requests" in said.seen and "12 requests" in said.seen and "3 minutes" in said.seen
    )


# --- engines ---------------------------------------------------------------------------------------------------------

INFO: dict[str, Any] = {
    "ID": "FAKE:FAKE",
    "NCPU": 8,
    "MemTotal": 16 << 30,
    "LiveRestoreEnabled": False,
    "Warnings": None,
}
VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}
NODE = Node(factories.number(1), "n1", "unix:///n1", "", "FAKE:FAKE", "20.10.24", "1.41", "up", False, 8, 16 << 30)


@pytest.mark.parametrize(
    ("info", "version", "verdict", "words"),
    [
        ({}, {}, OK, "answers"),
        ({"ID": "OTHER"}, {}, BAD, "another engine"),
        ({}, {"Version": "19.03.15"}, BAD, "older than 20.10"),
        ({}, {"Version": "30.0.1", "ApiVersion": "1.60"}, WARN, "newer than"),
        ({}, {"Version": "29.1.0", "ApiVersion": "1.52", "MinAPIVersion": "1.44"}, BAD, "not 1.41"),
        ({}, {"ApiVersion": "1.40"}, BAD, "not 1.41"),
        ({}, {"Version": "28.2.2", "ApiVersion": "1.50"}, WARN, "version 28.2.2"),
        ({"NCPU": 4}, {}, WARN, "4 CPUs"),
        ({"MemTotal": 8 << 30}, {}, WARN, "memory"),
    ],
)
def test_identity(info: dict[str, Any], version: dict[str, Any], verdict: Verdict, words: str) -> None:
    said = engines.identity("node n1", NODE, {**INFO, **info}, {**VERSION, **version})
    assert said.verdict is verdict and words in said.seen


@pytest.mark.parametrize(
    ("info", "verdict"),
    [
        ({}, None),
        ({"LiveRestoreEnabled": True}, BAD),
        ({"Swarm": {"LocalNodeState": "locked"}}, BAD),
        ({"Swarm": {"LocalNodeState": "inactive"}}, None),
        ({"Warnings": ["WARNING: No swap limit support"]}, WARN),
        ({"Warnings": ["WARNING: bridge-nf-call-iptables is disabled"]}, None),
    ],
)
def test_fitness(info: dict[str, Any], verdict: Verdict | None) -> None:
    said = engines.fitness("node n1", {**INFO, **info})
    assert (said.verdict if said else None) is verdict


@pytest.mark.parametrize(
    ("cordoned", "verdict"), [([], None), ([False], None), ([False, True], None), ([False, True, False], WARN)]
)
def test_several_nodes(cordoned: list[bool], verdict: Verdict | None) -> None:
    said = engines.several([{"cordoned": is_cordoned} for is_cordoned in cordoned])
    assert (said.verdict if said else None) is verdict


@pytest.mark.parametrize(
    ("runc", "options", "words"),
    [
        ("1.1.5+ds1", ["name=seccomp,profile=default"], "runc 1.1.5+ds1"),
        ("1.1.5+ds1", None, "neither AppArmor"),
        ("1.2.7", ["name=apparmor"], "runc 1.2.7"),
        ("1.3.2", ["name=userns"], "runc 1.3.2"),
        ("1.2.8", None, ""),
        ("1.2.12", None, ""),
        ("1.3.3", None, ""),
        ("1.4.0-rc.3", None, ""),
        ("unknown", None, ""),
    ],
)
def test_isolation(runc: str, options: list[str] | None, words: str) -> None:
    version = {**VERSION, "Components": [{"Name": "Engine", "Version": "x"}, {"Name": "runc", "Version": runc}]}
    said = engines.isolation("node n1", {**INFO, "SecurityOptions": options}, version)
    if not words:
        assert said is None
        return
    assert said is not None and said.verdict is WARN and words in said.seen
    assert ("neither AppArmor" in said.seen) == (options is None or options == ["name=seccomp,profile=default"])


def test_an_engine_that_does_not_name_its_runc() -> None:
    assert engines.isolation("node n1", INFO, VERSION) is None


def test_rows_beside_the_engine() -> None:
    wanted = {"c-1": "running", "c-2": "exited", "c-3": "creating", "c-4": "removing"}
    assert engines.rows("n", wanted, {"c-1": "running", "c-2": "exited", "c-4": "exited"}).verdict is OK
    said = engines.rows("n", wanted, {"c-1": "exited", "c-9": "running"})
    assert said.verdict is WARN
    assert "1 not on the engine" in said.seen and "1 only on" in said.seen and "1 in another state" in said.seen


# --- all together ----------------------------------------------------------------------------------------------------


def test_nothing_there_at_all_is_no_crash() -> None:
    found = doctor.examine(look_around({}, "0001"))
    assert {f.name for f in found if f.verdict is BAD} >= {"settings", "database", "api socket"}


def test_a_check_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Look) -> Iterator[Finding]:
        yield Finding("first", OK, "seen")
        raise RuntimeError("why\nmore")

    monkeypatch.setattr(doctor, "_MACHINE", (("broken", broken),))
    first, second = doctor.examine(look_around({}, ""))[-2:]
    assert first.name == "first"
    assert (second.name, second.verdict, second.seen) == ("broken", BAD, "the check failed: RuntimeError: why")


def test_a_check_that_hangs_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def hangs(_: Look) -> list[Finding]:
        threading.Event().wait(30)
        return []

    monkeypatch.setattr(doctor, "PATIENCE", 0.1)
    monkeypatch.setattr(doctor, "_MACHINE", (("slow", hangs),))
    assert doctor.examine(look_around({}, ""))[-1].seen.startswith("no end of this check")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0.2 seconds"), (59, "59 seconds"), (130, "2 minutes"), (8000, "2 hours"), (9e5, "10 days")],
)
def test_span(seconds: float, words: str) -> None:
    assert span(seconds) == words
