"""Bad input at every call: Docker's statuses and words, nothing told, nothing changed.

ROWS are sent to the service and, where no answer stands beside a row, to a stock engine as well: status and message
have to be the same, whatever ids they name. An answer beside a row is ours where engine 20.10 differs: it says 500
where newer ones say 400, takes what makes no sense until the start, or takes what the policy refuses.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e.behind import Unchanged, ask, assert_tells_nothing, message
from tests.e2e.stack import Response, Stack
from tests.machine import Engine, UnixConnection, wait_until

V = "/v1.41"
NODE = "node-of-these-tests"

Answer = tuple[int, str]


@dataclass(frozen=True)
class Row:
    method: str
    path: str
    body: Any = None
    answer: Answer | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        sent = self.body.decode() if isinstance(self.body, bytes) else json.dumps(self.body) if self.body else ""
        return re.sub(r"[^ -~]", "?", f"{self.method} {self.path} {sent}"[:90])


ROWS: list[Row] = []


def row(method: str, path: str, body: Any = None, answer: Answer | None = None, **headers: str) -> None:
    if isinstance(body, bytes):
        headers.setdefault("Content-Type", "application/json")
    ROWS.append(Row(method, path, body, answer, {k: v for k, v in headers.items() if v}))


# Lists
row("GET", '/containers/json?filters={"bogus":["x"]}')
row("GET", '/containers/json?filters={"status":["bogus"]}')
row("GET", '/containers/json?filters={"health":["bogus"]}')
row("GET", "/containers/json?filters=nojson", None, (400, "invalid filter"))
row("GET", "/containers/json?limit=abc", None, (400, 'strconv.Atoi: parsing "abc": invalid syntax'))
row("GET", '/images/json?filters={"bogus":["x"]}')
row("GET", '/images/json?filters={"dangling":["maybe"]}')
row("GET", '/images/json?filters={"before":["nosuch"]}')

# Create
CREATE = "/containers/create"
EMPTY = "config cannot be empty in order to create a container"
row("POST", CREATE, None, (400, EMPTY))
row("POST", CREATE, b"null", (400, EMPTY))
row("POST", CREATE, {}, (400, EMPTY))
row("POST", CREATE, {"Cmd": ["true"]}, (400, "no image specified (Image)"))
row("POST", CREATE, b"{", (400, "invalid JSON: unexpected end of JSON input"))
row("POST", CREATE, b"[]", (400, "invalid JSON: cannot unmarshal array into field body of type object"))
row("POST", CREATE, {"Image": 1}, (400, "invalid JSON: cannot unmarshal number into field Image of type string"))
row("POST", CREATE, b'{"Image":"busybox"}', **{"Content-Type": "text/plain"})
row("POST", CREATE, b'{"Image":"busybox"}', **{"Content-Type": "application/xml"})
row("POST", CREATE, {"Image": "nosuch"})
row("POST", CREATE, {"Image": "busybox:nosuch"})
row("POST", CREATE, {"Image": f"busybox@sha256:{'0' * 64}"})
row("POST", CREATE, {"Image": "BAD"})
row("POST", CREATE, {"Image": "a b"})
row("POST", f"{CREATE}?name={{run}}", {"Image": "busybox"})
row("POST", f"{CREATE}?name=a/b", {"Image": "busybox"})
row("POST", f"{CREATE}?name=a", {"Image": "busybox"})
row("POST", f"{CREATE}?name=-ab", {"Image": "busybox"})


def host(answer: Answer | None = None, **fields: Any) -> None:
    row("POST", CREATE, {"Image": "busybox", "Cmd": ["true"], "HostConfig": fields}, answer)


def config(answer: Answer | None = None, **fields: Any) -> None:
    row("POST", CREATE, {"Image": "busybox", "Cmd": ["true"], **fields}, answer)


host(Memory=1000)
host(Memory=100 << 20, MemorySwap=50 << 20)
host(MemorySwap=50 << 20)
host(Memory=100 << 20, MemoryReservation=200 << 20)
host(MemorySwappiness=101)
host(ShmSize=-1)
host(AutoRemove=True, RestartPolicy={"Name": "always"})
host(Mounts=[{"Type": "bogus", "Target": "/x"}])
host(Mounts=[{"Type": "volume"}])
host(Mounts=[{"Type": "volume", "Target": "x"}])
host(Mounts=[{"Type": "tmpfs", "Source": "x", "Target": "/x"}])
host(VolumesFrom=["{run}:bogus"])
host(VolumesFrom=["nosuch"])
host(ExtraHosts=["abc"])
host(ExtraHosts=["abc:xyz"])
host(LogConfig={"Type": "json-file", "Config": {"bogus": "1"}})
host(OomScoreAdj=2000)
host((400, "invalid volume specification: 'a:b:c:d'"), Binds=["a:b:c:d"])
host((400, "invalid mode: bogus"), Binds=["vol:/x:bogus"])
host((400, "Duplicate mount point: /x"), Binds=["vol:/x", "other:/x"])
host((400, "No such container: nosuch"), NetworkMode="container:nosuch")
host((400, "network nosuch not found"), NetworkMode="nosuch")
host((400, "ulimit soft limit must be less than or equal to hard limit: 20 > 10"),
     Ulimits=[{"Name": "nofile", "Soft": 20, "Hard": 10}])  # fmt: skip
host((400, "invalid ulimit type: bogus"), Ulimits=[{"Name": "bogus", "Soft": 1, "Hard": 1}])
host(CapAdd=["BOGUS"])
host((400, 'invalid port specification: "abc"'), PortBindings={"80/tcp": [{"HostPort": "abc"}]})
host((400, "invalid JSON: cannot unmarshal string into field HostConfig.Memory of type int64"), Memory="1")
config(StopSignal="BOGUS")
config(WorkingDir="rel")
config(Healthcheck={"Test": ["CMD", "true"], "Interval": 1})
config(Healthcheck={"Test": ["CMD", "true"], "Retries": -1})
config(Env=["=x"])
config(Env=[""])
config((400, 'invalid port specification: "abc"'), ExposedPorts={"abc/tcp": {}})
config((400, "invalid hostname: a b"), Hostname="a b")

# One container
for method, path in [
    ("GET", "json"), ("POST", "start"), ("POST", "stop"), ("POST", "restart"), ("POST", "kill"), ("POST", "wait"),
    ("POST", "rename?name=x2"), ("GET", "top"), ("GET", "logs?stdout=1"), ("POST", "resize?h=1&w=1"),
]:  # fmt: skip
    row(method, f"/containers/nosuch/{path}")
    row(method, f"/containers/{'0' * 64}/{path}")
row("POST", "/containers/nosuch/exec", {"Cmd": ["true"]})
row("DELETE", "/containers/nosuch")
row("DELETE", "/containers/nosuch?force=1&v=1")
row("POST", "/containers/nosuch/attach?stdout=1")
row("POST", "/containers/{run}/start")
row("POST", "/containers/{made}/start", {"Binds": ["/a:/b"]})
row("POST", "/containers/{paused}/start")
row("POST", "/containers/{done}/stop")
row("POST", "/containers/{made}/stop")
row("POST", "/containers/{done}/kill")
row("POST", "/containers/{made}/kill?signal=TERM")
row("POST", "/containers/{run}/kill?signal=BOGUS")
row("POST", "/containers/{run}/kill?signal=0")
row("POST", "/containers/{run}/kill?signal=99", None, (400, "Invalid signal: 99"))
row("POST", "/containers/{run}/stop?t=abc", None, (400, 'strconv.Atoi: parsing "abc": invalid syntax'))
row("POST", "/containers/{run}/restart?t=abc", None, (400, 'strconv.Atoi: parsing "abc": invalid syntax'))
row("POST", "/containers/{run}/wait?condition=bogus", None, (400, 'invalid condition: "bogus"'))
row("POST", "/containers/{run}/rename")
row("POST", "/containers/{run}/rename?name=")
row("POST", "/containers/{run}/rename?name={run}")
row("POST", "/containers/{run}/rename?name={made}")
row("POST", "/containers/{run}/rename?name=a%20b")
row("GET", "/containers/{done}/top")
row("GET", "/containers/{made}/top")
row("GET", "/containers/{run}/top?ps_args=-o%20comm")
row("GET", "/containers/{run}/top?ps_args=-o%20pid,bogus")
row("GET", "/containers/{run}/logs")
row("GET", "/containers/{run}/logs?stdout=0&stderr=false")
row("GET", "/containers/{run}/logs?stdout=1&since=abc", None, (400, 'invalid value for "since": failed to parse value '
    'as time or duration: "abc"'))  # fmt: skip
row("POST", "/containers/{run}/resize?w=1")
row("POST", "/containers/{run}/resize?h=abc&w=1")
row("POST", "/containers/{done}/resize?h=10&w=10")
row("POST", "/containers/{paused}/attach?stdout=1&stream=1")
row("POST", "/containers/{run}/attach?stdout=1&stream=1&detachKeys=bogus-")
row("DELETE", "/containers/{run}")
row("DELETE", "/containers/{paused}")

# Exec
row("POST", "/containers/{run}/exec", {})
row("POST", "/containers/{run}/exec", b'{"Cmd":["true"]}', **{"Content-Type": "text/plain"})
row("POST", "/containers/{run}/exec", b"{", (400, "invalid JSON: unexpected end of JSON input"))
row("POST", "/containers/{run}/exec", {"Cmd": ["true"], "Privileged": True}, (403, "not allowed on this shared host: "
    "privileged exec (Privileged)"))  # fmt: skip
row("POST", "/containers/{done}/exec", {"Cmd": ["true"]})
row("POST", "/containers/{made}/exec", {"Cmd": ["true"]})
row("POST", "/containers/{paused}/exec", {"Cmd": ["true"]})
row("POST", "/exec/nosuch/start", {})
row("GET", "/exec/nosuch/json")
row("POST", "/exec/nosuch/resize?h=1&w=1")
row("POST", "/exec/{exec}/resize?h=a&w=1")
row("POST", "/exec/{ran}/start", {"Detach": True})

# Images
row("POST", "/images/create?fromImage=BAD")
row("POST", "/images/create?fromImage=a%20b&tag=x")
row("GET", "/images/nosuch/json", None, (404, "No such image: nosuch:latest"))
row("GET", "/images/busybox:nosuch/json", None, (404, "No such image: busybox:nosuch"))
row("GET", f"/images/sha256:{'0' * 64}/json", None, (404, f"No such image: sha256:{'0' * 64}"))

# Routes
row("GET", "/foo")
row("GET", "/containers")
row("GET", "/containers/create")
row("POST", "/containers/json")
row("PUT", "/containers/json")
row("PATCH", "/info")
row("GET", "/nosuch/x/y/z")
row("GET", "/CONTAINERS/json")


# --- the two sides ---------------------------------------------------------------------------------------------------


class Side:
    """The service or a stock engine, with containers of the same names."""

    def __init__(self, call: Callable[..., tuple[int, bytes]]) -> None:
        self.call = call
        self.names: dict[str, str] = {}

    def prepare(self, pause: Callable[[str], None]) -> None:
        for name, command in (("run", "sleep"), ("made", "sleep"), ("done", "true"), ("paused", "sleep")):
            body = {"Image": "busybox", "Cmd": [command, "900"][: 1 if command == "true" else 2]}
            status, raw = self.call("POST", f"{V}/containers/create?name=w{name}", body)
            assert status == 201, raw
            if name != "made":
                assert self.call("POST", f"{V}/containers/w{name}/start")[0] == 204
            if name == "done":
                assert self.call("POST", f"{V}/containers/w{name}/wait")[0] == 200
            if name == "paused":
                pause(json.loads(raw)["Id"])
            self.names[name] = f"w{name}"
        for name in ("exec", "ran"):
            status, raw = self.call("POST", f"{V}/containers/wrun/exec", {"Cmd": ["true"]})
            self.names[name] = json.loads(raw)["Id"]
        assert self.call("POST", f"{V}/exec/{self.names['ran']}/start", {"Detach": True})[0] == 200

        def ended() -> bool:
            return not json.loads(self.call("GET", f"{V}/exec/{self.names['ran']}/json")[1])["Running"]

        wait_until(ended, "the end of the exec")

    def answer(self, sent: Row) -> Answer:
        body = sent.body
        if body is not None and not isinstance(body, bytes):
            body = json.loads(self._fill(json.dumps(body)))
        path = self._fill(sent.path).replace('"', "%22").replace("{", "%7B").replace("}", "%7D")
        status, raw = self.call(sent.method, V + path, body, sent.headers)
        text = raw.decode()
        if text.startswith("{"):
            text = json.loads(text).get("message", text)
        for name in self.names.values():
            if len(name) == 64:
                text = text.replace(name, "EXEC")
        return status, re.sub(r"\b(?!0{64})[0-9a-f]{64}\b", "ID", text)

    def _fill(self, text: str) -> str:
        for key, value in self.names.items():
            text = text.replace(f"{{{key}}}", value)
        return text


@pytest.fixture(scope="module", autouse=True)
def named_node(stack: Stack) -> Iterator[None]:
    """A node's name that cannot stand in an answer by accident."""
    before = stack.psql("SELECT id, name FROM nodes")[0]
    stack.psql("UPDATE nodes SET name = %s WHERE id = %s", [NODE, before[0]])
    yield
    stack.psql("UPDATE nodes SET name = %s WHERE id = %s", [before[1], before[0]])


@pytest.fixture(scope="module")
def ours(stack: Stack) -> Iterator[Side]:
    def call(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        response = ask(stack, "alice", method, path, body, headers=headers)
        return response.status, response.body

    def pause(container_id: str) -> None:
        engine = stack.engine_container(container_id)
        assert engine is not None
        stack.engine.call("POST", f"/containers/{engine['Id']}/pause")
        wait_until(
            lambda: stack.psql("SELECT state FROM containers WHERE id = %s", [container_id]) == [("paused",)], "the row"
        )

    stack.remove_all("alice")
    side = Side(call)
    side.prepare(pause)
    yield side
    stack.remove_all("alice")


@pytest.fixture(scope="module")
def stock(engine: Engine) -> Iterator[Side]:
    def call(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        connection = UnixConnection(engine.socket)
        try:
            sent = dict(headers or {})
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
                sent.setdefault("Content-Type", "application/json")
            connection.request(method, path, body=body, headers=sent)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    side = Side(call)
    side.prepare(lambda container_id: engine.call("POST", f"/containers/{container_id}/pause"))  # type: ignore[arg-type]
    yield side
    for name in ("run", "made", "done", "paused"):
        engine.call("DELETE", f"/containers/w{name}?force=1")


@pytest.mark.parametrize("sent", ROWS, ids=str)
def test_words(stack: Stack, ours: Side, stock: Side, sent: Row) -> None:
    with Unchanged(stack):
        told = ours.answer(sent)
    assert told == (sent.answer or stock.answer(sent))


def test_most_rows_are_compared() -> None:
    assert sum(sent.answer is None for sent in ROWS) >= 60


# --- another account's -----------------------------------------------------------------------------------------------

NAMING = [sent for sent in ROWS if "{run}" in sent.path and sent.method != "GET" and "create" not in sent.path]


@pytest.mark.parametrize("sent", NAMING, ids=str)
def test_her_things_are_not_there_whatever_else_is_wrong(stack: Stack, ours: Side, sent: Row) -> None:
    """bob's bad requests on alice's container: 404, or the 400 that an unknown name gets."""

    def answer(name: str) -> Answer:
        path = sent.path.replace("{run}", name, 1).replace("{run}", "x2").replace("{made}", "x2")
        response = ask(stack, "bob", sent.method, V + path, sent.body, headers=sent.headers)
        return response.status, message(response).replace(name, "NAME")

    with Unchanged(stack):
        expected = answer("nosuch")
        assert expected[0] in (400, 403, 404)
        assert answer("wrun") == expected


# --- versions --------------------------------------------------------------------------------------------------------

OLD = (
    "client version {} is too old. Minimum supported API version is 1.20, please upgrade your client to a newer version"
)
NEW = "client version {} is too new. Maximum supported API version is 1.44"


@pytest.mark.parametrize(
    ("version", "words", "plain"),
    [
        ("1.19", OLD.format("1.19"), True), ("1.0", OLD.format("1.0"), True), ("1.2", OLD.format("1.2"), True),
        ("0.1", OLD.format("0.1"), False), ("1.45", NEW.format("1.45"), False), ("1.100", NEW.format("1.100"), False),
        ("2.0", NEW.format("2.0"), False), ("1.44.1", NEW.format("1.44.1"), False), ("99999999", None, False),
        ("1.", None, False), ("..", None, False), ("1..2", None, False), ("1.24.", None, False),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/info", "/containers/json", "/nosuch"])
def test_versions(stack: Stack, version: str, words: str | None, plain: bool, path: str) -> None:
    response = ask(stack, "alice", "GET", f"/v{version}{path}")
    assert response.status == 400
    assert response.headers.get_content_type() == ("text/plain" if plain else "application/json")
    assert words is None or message(response) == words
    without = ask(stack, None, "GET", f"/v{version}{path}")
    assert (without.status, without.body) == (400, response.body), "the version is nobody's secret"


@pytest.mark.parametrize("version", ["x", "1.x", "-1.20", "1.24x", "v1.24", "%EF%BC%91.24"])
def test_what_is_no_version_is_no_route(stack: Stack, version: str) -> None:
    response = ask(stack, "alice", "GET", f"/v{version}/info")
    assert (response.status, message(response)) == (404, "page not found")


@pytest.mark.parametrize(("version", "kind"), [("1.20", "text"), ("1.23", "text"), ("1.24", "json")])
def test_error_bodies(stack: Stack, version: str, kind: str) -> None:
    for account, path, words in (
        ("alice", "/containers/nosuch/json", "No such container: nosuch"), ("alice", "/nosuch", "page not found"),
        (None, "/info", "Unauthorized"), ("alice", "/images/json?filters=x", "invalid filter"),
    ):  # fmt: skip
        response = ask(stack, account, "GET", f"/v{version}{path}")
        assert response.headers.get_content_type() == {"text": "text/plain", "json": "application/json"}[kind]
        assert response.body.decode() == (f"{words}\n" if kind == "text" else f'{{"message":"{words}"}}\n')


def test_the_cli_with_a_version_out_of_range(stack: Stack, cli: str) -> None:
    for api, words in (("1.19", "client version 1.19 is too old"), ("1.99", "client version 1.99 is too new")):
        done = stack.docker("alice", "ps", cli=cli, api=api, check=False)
        assert done.code == 1 and words in done.said


# --- paths and queries -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "/v1.41", "/v1.41/", "/debug/pprof/", "/metrics", "/containers/x/archives", "/containers//", "/_ping/x",
     "/ca.pem/x", "/images"],
)  # fmt: skip
def test_routes_that_are_not_there(stack: Stack, path: str) -> None:
    for method in ("GET", "POST"):
        response = ask(stack, "alice", method, path)
        assert response.status in (301, 404, 501, 503), (method, response.status)
        if response.status == 404:
            assert message(response) == "page not found"


def raw(stack: Stack, account: str, data: bytes) -> tuple[int, bytes]:
    """Bytes as they are, and the status and body of the answer. (0, b"") where the connection is just closed."""
    with stack.connect(account) as connection:
        connection.settimeout(60)
        connection.sendall(data)
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
            body = response.read()
        except (http.client.HTTPException, ConnectionError, socket.timeout):  # noqa: UP041
            return 0, b""
    assert_tells_nothing(stack, account, body)
    return response.status, body


PATHS = {
    "/containers/../info": 400,
    "/containers/./json": 400,
    "/containers/%2e%2e/json": 400,
    "/containers/..%2f..%2finfo/json": 400,
    "/containers/a%00b/json": 400,
    "/containers/a%0ab/json": 400,
    "/containers/%ff%fe/json": None,
    "/containers/%zz/json": None,
    "//containers/json": 301,
    "/containers//json": 301,
    "/v1.41//containers/json": 301,
    "/containers/json?a=%00": 400,
    "/containers/json?filters=%ff": 400,
    "/containers/json?all=1&all=0": 400,
    "/containers/json?" + "&".join("ab=" for n in range(1500)): 400,
    "http://elsewhere/containers/json": None,
    "*": None,
}


@pytest.mark.parametrize("path", PATHS, ids=[path[:40] for path in PATHS])
def test_odd_paths(stack: Stack, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    with Unchanged(stack):
        status, body = raw(stack, "alice", request)
    expected = PATHS[path]
    assert status == expected if expected else status in (200, 400, 404), (status, body)


def test_redirects_stay_here(stack: Stack) -> None:
    """`//host/path` must not become a way to another host."""
    for path in ("//elsewhere.example/info", "///elsewhere.example", "/v1.41//elsewhere.example/x"):
        with stack.connect("alice") as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            response = http.client.HTTPResponse(connection)
            response.begin()
        location = response.headers["Location"]
        assert response.status == 301 and location.startswith("/") and not location.startswith("//")


# --- bodies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/containers/create", "/containers/wrun/exec", "/exec/x/start"])
@pytest.mark.parametrize("chunked", [False, True])
def test_too_large(stack: Stack, ours: Side, path: str, chunked: bool) -> None:
    body = json.dumps({"Image": "busybox", "Cmd": ["true"], "Env": ["A=" + "x" * 1000] * 2200}).encode()
    head = [f"POST {V}{path} HTTP/1.1", "Host: x", "Content-Type: application/json"]
    if chunked:
        blocks = [body[n : n + 60_000] for n in range(0, len(body), 60_000)]
        framed = b"".join(b"%x\r\n%s\r\n" % (len(block), block) for block in blocks) + b"0\r\n\r\n"
        head.append("Transfer-Encoding: chunked")
    else:
        framed = body
        head.append(f"Content-Length: {len(body)}")
    with Unchanged(stack):
        try:
            status, said = raw(stack, "alice", "\r\n".join(head).encode() + b"\r\n\r\n" + framed)
        except (ConnectionError, OSError):
            status, said = 0, b""  # Refused and closed before it was all sent.
    assert status in (413, 0), (status, said)
    if not chunked:
        with stack.connect("alice") as connection:
            connection.sendall("\r\n".join(head).encode() + b"\r\n\r\n")
            response = http.client.HTTPResponse(connection)
            response.begin()
            assert response.status == 413 and "larger" in json.loads(response.read())["message"]


BODIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "an array": (b"[1]", {}),
    "a string": (b'"x"', {}),
    "a number": (b"1", {}),
    "half": (b'{"Image":"bus', {}),
    "comments": (b'{"Image":"busybox" /* x */}', {}),
    "single quotes": (b"{'Image':'busybox'}", {}),
    "another charset": (b'{"Image":"busybox"}', {"Content-Type": "application/json; charset=utf-16"}),
    "UTF-16": ('{"Image":"busybox"}'.encode("utf-16"), {}),
    "no type": (b'{"Image":"busybox"}', {"Content-Type": ""}),
    "XML": (b"<x/>", {"Content-Type": "application/xml"}),
    "gzip": (b'{"Image":"busybox"}', {"Content-Encoding": "gzip", "Content-Type": "application/gzip"}),
    "Env of numbers": (b'{"Image":"busybox","Env":[1]}', {}),
    "Env of null": (b'{"Image":"busybox","Env":[null]}', {}),
    "Cmd of objects": (b'{"Image":"busybox","Cmd":[{}]}', {}),
    "Labels of numbers": (b'{"Image":"busybox","Labels":{"a":1}}', {}),
    "Tty of text": (b'{"Image":"busybox","Tty":"true"}', {}),
    "HostConfig of text": (b'{"Image":"busybox","HostConfig":"x"}', {}),
    "PortBindings of a list": (b'{"Image":"busybox","HostConfig":{"PortBindings":[]}}', {}),
    "Ulimits of an object": (b'{"Image":"busybox","HostConfig":{"Ulimits":{}}}', {}),
    "1e400": (b'{"Image":"busybox","HostConfig":{"Memory":1e400}}', {}),
    "beyond int64": (b'{"Image":"busybox","HostConfig":{"Memory":9223372036854775808}}', {}),
    "too many values": (b'{"Image":"busybox","Env":[' + b'"a",' * 20_000 + b'"a"]}', {}),
    "deep": (b'{"Image":"busybox","HostConfig":' + b'{"a":' * 100 + b"1" + b"}" * 101, {}),
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("version", ["1.20", "1.44"])
def test_bodies(stack: Stack, name: str, version: str) -> None:
    body, headers = BODIES[name]
    headers = {"Content-Type": "application/json"} | headers
    with Unchanged(stack):
        response = ask(stack, "alice", "POST", f"/v{version}/containers/create", body, headers=headers)
    assert response.status == 400, response.body
    assert message(response) and "\n" not in message(response)


def test_a_body_that_is_shorter_than_it_says(stack: Stack) -> None:
    head = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with Unchanged(stack):
        with stack.connect("alice") as connection:
            connection.sendall(head + b'Content-Length: 500\r\n\r\n{"Image":"busybox"}')
        assert ask(stack, "alice", "GET", "/_ping").status == 200


def test_smuggling(stack: Stack) -> None:
    """Two lengths: refused, and what follows is no second request."""
    for extra in (b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: 5\r\nTransfer-Encoding: chunked"):
        data = b"POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" + extra
        with Unchanged(stack):
            status, _ = raw(stack, "alice", data + b"\r\n\r\n0\r\n\r\nGET /info HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status in (0, 400)


def test_every_answer_has_the_common_headers(stack: Stack) -> None:
    seen: list[Response] = [
        ask(stack, "alice", "GET", path) for path in ("/info", "/nosuch", "/containers/nosuch/json", "/v1.20/version")
    ]
    seen.append(ask(stack, None, "GET", "/info"))
    for response in seen:
        assert response.headers["Api-Version"] == "1.44" and response.headers["Server"].startswith("SDC-Docker/")
        assert response.headers["X-Request-Id"]
