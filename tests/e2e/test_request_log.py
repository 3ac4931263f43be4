"""Request ids, the log's lines, and that no secret is in them; the figures of a running service."""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.clients import Docker, read_until
from tests.e2e.stack import Response, Stack
from tests.e2e.wire import UPGRADE, Wire
from tests.machine import UnixConnection, wait_until

CANARY = "canary-7f3a91"


def written(stack: Stack, part: str) -> list[str]:
    """The lines of a log; one that is just being written is not one yet."""
    return (stack.home / "log" / f"{part}.log").read_text(errors="replace").split("\n")[:-1]


def lines(stack: Stack, part: str = "gunicorn") -> Iterator[dict[str, Any]]:
    for line in written(stack, part):
        if line.startswith("{"):
            yield json.loads(line)


def line_of(stack: Stack, request_id: str, event: str = "request") -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [line for line in lines(stack) if line.get("request") == request_id and line["event"] == event]
        return bool(found)

    wait_until(there, f"the line of {request_id}")
    assert len(found) == 1, found
    return found[0]


def id_of(headers: Any) -> str:
    values = headers.get_all("X-Request-Id")
    assert len(values) == 1
    return str(uuid.UUID(values[0]))


@pytest.mark.parametrize(
    ("account", "method", "path", "status", "operation"),
    [
        ("alice", "GET", "/v1.44/containers/json", 200, "containers.list"),
        ("alice", "GET", "/v1.24/containers/json", 200, "containers.list"),
        ("alice", "GET", "/v1.44/containers/none/json", 404, "containers.inspect"),
        ("alice", "GET", "/v1.44/nowhere", 404, ""),
        (None, "GET", "/v1.19/version", 400, ""),
        (None, "GET", "/v1.44/info", 401, ""),
        (None, "HEAD", "/_ping", 200, "system.ping"),
    ],
)
def test_every_answer_has_an_id_of_ours_and_a_line(
    stack: Stack, account: str | None, method: str, path: str, status: int, operation: str
) -> None:
    given = str(uuid.uuid4())
    answer = stack.request(account, method, path, headers={"X-Request-Id": given})
    assert answer.status == status
    found = id_of(answer.headers)
    assert found != given
    line = line_of(stack, found)
    assert (line["method"], line["status"], line["account"]) == (method, status, account)
    if operation:
        assert line["operation"] == operation
    assert line["client"] == "127.0.0.1"
    assert line["bytes"] == (0 if method == "HEAD" else len(answer.body))
    assert 0 <= line["ms"] < 60_000


def test_what_never_reaches_the_application_has_one_too(stack: Stack) -> None:
    with Wire(stack, "alice") as wire:
        wire.write(b"GET /_ping HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n")
        status, headers = wire.head()
    assert status.startswith("400")
    assert line_of(stack, id_of(headers))["status"] == 400


def test_streams_have_an_id_and_a_line_at_either_end(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    container = docker.container("run", "-d", "busybox", "sleep", "100")
    made = docker.call(
        "POST", f"/containers/{container}/exec", {"Cmd": ["cat"], "AttachStdin": True, "AttachStdout": True}
    )
    with Wire(stack, alice) as wire:
        wire.send(
            "POST", f"/v1.44/exec/{made.json()['Id']}/start", {"Detach": False}, headers=UPGRADE, behind=b"hello\n"
        )
        status, headers = wire.head()
        assert status.startswith("101")
        found = id_of(headers)
        line = line_of(stack, found)
        assert (line["status"], line["operation"], line["stream"]) == (101, "exec.start", True)
        wire.read(b"hello\n")
        wire.end_input()
        wire.rest()
    end = line_of(stack, found, "stream ended")
    assert (end["account"], end["kind"], end["bytes_up"], end["bytes_down"]) == (alice, "exec", 6, 14)
    with Wire(stack, alice) as wire:
        wire.send("GET", f"/v1.44/containers/{container}/logs?follow=1&stdout=1")
        status, headers = wire.head()
        assert status.startswith("200") and line_of(stack, id_of(headers))["operation"] == "containers.logs"
    docker("rm", "-f", container)


def test_no_secret_is_in_any_log(stack: Stack, alice: str) -> None:
    auth = base64.urlsafe_b64encode(
        json.dumps({"username": "u", "password": CANARY, "serveraddress": stack.registry_host}).encode()
    ).decode()

    def ask(method: str, path: str, body: Any = None, **headers: str) -> Response:
        return stack.request(alice, method, f"/v1.44{path}", body, headers=headers)

    body = {"Image": "busybox", "Cmd": ["true"], "Env": [f"PASSWORD={CANARY}"], "Labels": {"x": CANARY}}
    made = ask("POST", "/containers/create", body)
    assert made.status == 201
    # The same, refused in several ways.
    ask("POST", "/containers/create", body | {"HostConfig": {"Privileged": True}})
    ask("POST", "/containers/create", body | {"Image": "no-such-image"})
    ask("POST", "/containers/create", json.dumps(body).encode()[:-4], **{"Content-Type": "application/json"})
    ask("POST", f"/containers/{made.json()['Id']}/exec", {"Cmd": ["true"], "Env": [f"TOKEN={CANARY}"]})
    ask("POST", f"/images/create?fromImage={stack.registry_host}/private&tag=1", **{"X-Registry-Auth": auth})
    ask("POST", "/images/create?fromImage=127.0.0.1:1/private&tag=1", **{"X-Registry-Auth": auth + CANARY})
    ask("POST", "/auth", {"username": "u", "password": CANARY, "serveraddress": stack.registry_host})
    ask("POST", f"/build?buildargs=%7B%22SECRET%22%3A%22{CANARY}%22%7D", b"no archive", **{"X-Registry-Config": auth})
    ask("GET", f"/containers/json?filters={CANARY}")
    ask("GET", "/info", Authorization=f"Bearer {CANARY}", Cookie=CANARY)
    ask("DELETE", f"/containers/{made.json()['Id']}?force=1")
    last = ask("GET", "/info")
    line_of(stack, id_of(last.headers))
    for log in (stack.home / "log").iterdir():
        text = log.read_text(errors="replace")
        assert CANARY not in text, re.findall(rf".*{CANARY}.*", text)[:3]
        assert auth[:40] not in text, log


def test_every_line_of_our_processes_is_json(stack: Stack) -> None:
    for part in ("gunicorn", "observer"):
        for line in written(stack, part):
            assert json.loads(line)["level"], line


def metrics(stack: Stack) -> str:
    connection = UnixConnection(stack.home / "app" / "run" / "metrics.sock")
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return text


def value(text: str, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_the_figures_follow_what_happens(stack: Stack, alice: str) -> None:
    docker = Docker(stack, alice)
    before = metrics(stack)
    container = docker.container("run", "-d", "--name", "watched", "busybox", "sleep", "600")
    with docker.background("exec", "-i", container, "cat", bufsize=0) as cat:
        cat.stdin.write(b"x" * 1000 + b"\n")
        read_until(cat, b"\n")
        wait_until(lambda: value(metrics(stack), 'sdc_streams{kind="exec"}') == 1, "the open stream")
    docker("rm", "-f", container)
    wait_until(lambda: value(metrics(stack), 'sdc_streams{kind="exec"}') == 0, "the stream's end")
    after = metrics(stack)

    def more(name: str) -> float:
        return value(after, name) - value(before, name)

    assert more('sdc_requests_total{method="POST",operation="containers.create",status="201"}') == 1
    assert more('sdc_request_seconds_count{operation="containers.start"}') == 1
    assert more('sdc_relay_bytes_total{direction="up"}') >= 1001
    assert more('sdc_relay_bytes_total{direction="down"}') >= 1001
    assert more('sdc_engine_calls_total{method="POST",noun="containers",outcome="ok"}') >= 2
    assert value(after, 'sdc_nodes{cordoned="no",state="up"}') >= 1
    assert 0 <= value(after, 'sdc_observer_lag_seconds{node="local"}') < 30
    assert value(after, 'sdc_processes{kind="observer"}') >= 1
    assert value(after, 'sdc_network_addresses{state="used"}') >= 256
    assert value(after, 'sdc_operations_ended{kind="create",state="done"}') >= 1
    assert value(after, 'sdc_database_connections{what="most"}') >= 20
    for secret in (alice, "watched", container[:12], stack.fleet):
        assert secret not in after
