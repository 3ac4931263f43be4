"""The handover: what the relay gets, and that nothing stays open when it cannot be."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from app.api.hijack import Hijack
from app.errors import NotFound, TooMany
from app.services.container_io import OpenStream, OpenWait
from tests.unit.api.stubs import Api


@dataclass
class Relay:
    added: list[dict] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    full: Exception | None = None
    broken: Exception | None = None

    def require_room(self, account: str) -> None:
        self.asked.append(account)
        if self.full:
            raise self.full

    def add(self, stream: dict) -> None:
        if self.broken:
            raise self.broken
        self.added.append(stream)


class Upstream:
    def __init__(self, headers: dict | None = None) -> None:
        self.sock, self.engine = socket.socketpair()
        self.leftover = b"early output"
        self.earlier = lambda: b""
        self.headers = headers or {}

    def close(self) -> None:
        self.sock.close()


class Front:
    """The WSGI server's part: the client's connection."""

    def __init__(self, api: Api) -> None:
        self.client, self.far = socket.socketpair()
        self.relay = Relay()
        self.upstream = Upstream({"Transfer-Encoding": "chunked"})
        self.started: list[str] = []
        self._app = Hijack(api.app.app, lambda **stream: stream)

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Any:
        path, _, query = path.partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "x",
            "SERVER_PORT": "1",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": SimpleNamespace(read=lambda size=-1, left=[body]: left.pop() if left else b""),
            "wsgi.errors": None,
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": "application/json",
            "sdc.preamble": SimpleNamespace(certificate="pem", verify="NONE"),
            "sdc.connection": SimpleNamespace(take=lambda: (self.client, b"early input")),
            "sdc.relay": self.relay,
            **{f"HTTP_{name.upper()}": value for name, value in headers.items()},
        }
        return self._app(environ, lambda status, headers, exc_info=None: self.started.append(status))

    def close(self) -> None:
        for sock in (self.client, self.far, self.upstream.sock, self.upstream.engine):
            sock.close()

    @property
    def head(self) -> list[str]:
        (stream,) = self.relay.added
        assert stream["head"].endswith(b"\r\n\r\n")
        return stream["head"].decode().split("\r\n")


@pytest.fixture
def front(api: Api) -> Iterator[Front]:
    made = Front(api)
    api.io.answers["attach"] = OpenStream(made.upstream, tty=False)  # type: ignore[arg-type]
    api.io.answers["start_exec"] = OpenStream(made.upstream, tty=True)  # type: ignore[arg-type]
    api.io.answers["logs"] = OpenStream(made.upstream, tty=False)  # type: ignore[arg-type]
    api.io.answers["wait"] = OpenWait(made.upstream, lambda data: {"StatusCode": int(data), "Error": None})  # type: ignore[arg-type]
    api.events.answers["open"] = made.upstream
    api.files.answers["changes"] = made.upstream
    yield made
    made.close()


ATTACH = "/v1.44/containers/web/attach?stream=1&stdout=1&stdin=1"


def test_an_upgrade(front: Front, api: Api) -> None:
    assert front.request("POST", ATTACH, connection="Upgrade", upgrade="tcp") == ()
    assert front.started == []
    assert front.head[0] == "HTTP/1.1 101 UPGRADED"
    assert {"Content-Type: application/vnd.docker.multiplexed-stream", "Connection: Upgrade", "Upgrade: tcp"} <= set(
        front.head
    )
    assert any(line.startswith("X-Request-Id: ") for line in front.head) and "Api-Version: 1.44" in front.head
    (stream,) = front.relay.added
    assert stream["client"] is front.client and stream["upstream"] is front.upstream.sock
    assert (stream["from_client"], stream["from_upstream"], stream["two_way"]) == (
        b"early input",
        b"early output",
        True,
    )
    assert stream["identity"].login == "alice"
    assert set(front.relay.asked) == {stream["account"]} == {api.account.login}
    wanted = {"stream": "1", "stdout": "1", "stdin": "1", "detachKeys": ""}
    assert api.io.asked[0][1][2].items() <= wanted.items()


def test_a_client_that_asks_for_no_upgrade(front: Front) -> None:
    front.request("POST", ATTACH)
    assert front.head[:2] == ["HTTP/1.1 200 OK", "Content-Type: application/vnd.docker.raw-stream"]
    assert not any(line.startswith(("Connection", "Upgrade")) for line in front.head)


def test_exec(front: Front, api: Api) -> None:
    front.request(
        "POST", "/v1.44/exec/x/start", b'{"Tty":true,"ConsoleSize":[24,80]}', connection="Upgrade", upgrade="tcp"
    )
    assert front.head[1] == "Content-Type: application/vnd.docker.raw-stream"
    assert api.io.asked[0] == ("start_exec", (api.account, "x"), {"tty": True, "console_size": [24, 80]})


def test_a_one_way_body(front: Front) -> None:
    front.request("GET", "/v1.44/containers/web/logs?stdout=1&follow=1&tail=5&since=1.5")
    assert "Transfer-Encoding: chunked" in front.head and "Connection: close" in front.head
    (stream,) = front.relay.added
    assert not stream["two_way"] and stream["from_client"] == b""


@pytest.mark.parametrize("version", ["", "/v1.20", "/v1.44"])
def test_changes_go_by_as_they_come(front: Front, version: str) -> None:
    """There may be millions."""
    assert front.request("GET", f"{version}/containers/web/changes") == ()
    assert front.head[:3] == ["HTTP/1.1 200 OK", "Content-Type: application/json", "Transfer-Encoding: chunked"]
    (stream,) = front.relay.added
    assert (stream["upstream"], stream["from_upstream"]) == (front.upstream.sock, b"early output")
    assert stream["transform"] is None and stream["kind"] == "changes"


def test_refused_changes(front: Front, api: Api) -> None:
    api.files.answers["changes"] = NotFound("No such container: web")
    body = b"".join(front.request("GET", "/v1.44/containers/web/changes"))
    assert (front.started, body) == (["404 Not Found"], b'{"message":"No such container: web"}\n')
    assert not front.relay.added


def test_events(front: Front, api: Api) -> None:
    front.request("GET", '/v1.44/events?since=1&filters={"type":["container"]}')
    assert front.head[1] == "Content-Type: application/json"
    assert front.relay.added[0]["earlier"] is front.upstream.earlier
    asked = api.events.asked[0][2]
    shown = asked.pop("shown")
    assert asked == {"since": 10**9, "until": None, "filters": {"type": ["container"]}}
    connect, start = {"Type": "network", "Action": "connect"}, {"Type": "container", "Action": "start"}
    assert (shown(connect), shown(start)) == (connect, start)
    # One function per version, by which an event is encoded once for all who are shown the same.
    front.request("GET", "/v1.21/events")
    front.request("GET", "/v1.21/events")
    older = api.events.asked[1][2]["shown"]
    assert older is api.events.asked[2][2]["shown"] and older is not shown
    assert (older(connect), older(start)) == (None, start)


def test_a_wait_for_what_has_removed_itself_is_answered_at_once(front: Front, api: Api) -> None:
    api.io.answers["wait"] = {"StatusCode": 3}
    assert b"".join(front.request("POST", "/v1.41/containers/web/wait")) == b'{"StatusCode":3}\n'
    assert front.started[0].startswith("200") and not front.relay.added


@pytest.mark.parametrize(
    ("version", "condition", "answer", "body"),
    [
        ("1.44", "", b"7", b'{"StatusCode":7}\n'),
        ("1.24", "next-exit", b"0", b'{"StatusCode":0}\n'),
    ],
)
def test_wait_sends_its_head_at_once(front: Front, version: str, condition: str, answer: bytes, body: bytes) -> None:
    front.request("POST", f"/v{version}/containers/web/wait?condition={condition}")
    assert front.head[0] == "HTTP/1.1 200 OK" and "Transfer-Encoding: chunked" in front.head
    make: Callable[[bytes], bytes] = front.relay.added[0]["transform"]
    assert make(answer) == b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


def test_an_unknown_condition(front: Front, api: Api) -> None:
    front.request("POST", "/v1.44/containers/web/wait?condition=nonsense")
    assert front.started == ["400 Bad Request"] and not api.io.asked


@pytest.mark.parametrize("path", ["/v1.44/containers/web/logs", "/v1.44/containers/web/logs?stdout=0"])
def test_logs_of_no_stream(front: Front, path: str) -> None:
    body = front.request("GET", path)
    assert front.started == ["400 Bad Request"]
    assert b"you must choose at least one stream" in b"".join(body)


def test_no_room_is_told_before_anything_is_opened(front: Front, api: Api) -> None:
    front.relay.full = TooMany("too many streams", retry_after=5)
    front.request("POST", ATTACH, connection="Upgrade", upgrade="tcp")
    assert front.started == ["429 Too Many Requests"]
    assert not api.io.asked and not front.relay.added


def test_what_has_filled_up_meanwhile_is_told(front: Front, api: Api) -> None:
    def attach(*_: Any, **__: Any) -> OpenStream:
        front.relay.full = TooMany("too many streams", retry_after=5)
        return OpenStream(front.upstream, tty=False)  # type: ignore[arg-type]

    api.io.answers["attach"] = attach
    body = front.request("POST", ATTACH, connection="Upgrade", upgrade="tcp")
    assert front.started == ["429 Too Many Requests"] and b"".join(body) == b"too many streams\r\n"
    assert not front.relay.added and front.upstream.sock.fileno() == -1 and front.client.fileno() != -1


def test_a_refusal_is_an_ordinary_answer(front: Front, api: Api) -> None:
    api.io.answers["attach"] = NotFound("No such container: web")
    body = front.request("POST", ATTACH, connection="Upgrade", upgrade="tcp")
    assert front.started == ["404 Not Found"]
    assert b"".join(body) == b"No such container: web\r\n"
    assert front.client.fileno() != -1


def test_nothing_stays_open_where_the_relay_refuses(front: Front) -> None:
    front.relay.broken = RuntimeError("stopping")
    with pytest.raises(RuntimeError):
        front.request("POST", ATTACH)
    assert front.client.fileno() == -1 and front.upstream.sock.fileno() == -1
