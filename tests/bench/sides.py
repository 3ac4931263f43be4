"""The sides of a comparison, all with the same engine behind them: the service, the engine's own socket, and the engine
behind an nginx stream TLS server."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.e2e.stack import Stack
from tests.machine import folder, free_port, stop, wait_until

ACCOUNT = "bench"
ADDRESS = "127.0.0.1"
NETWORK = "bench"
#: What the service speaks, as its clients write it.
NEWEST, OLDEST = (1, 44), (1, 20)


@dataclass(frozen=True, eq=False)
class Side:
    """One way to a Docker endpoint: a Unix socket, or TLS on this machine with a client certificate."""

    name: str
    image: str
    #: Variables for the docker CLI.
    env: Mapping[str, str]
    #: The version of the API that is spoken there, as a path's beginning.
    api: str
    path: Path | None = None
    #: The engine's network that containers are to be on; "" leaves it to the other end.
    network: str = ""
    port: int = 0
    context: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        if self.context is None:
            plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            plain.settimeout(120)
            plain.connect(str(self.path))
            return plain
        raw = socket.create_connection((ADDRESS, self.port), timeout=120)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(raw, server_hostname=ADDRESS)

    def client(self) -> Client:
        return Client(self)

    def at(self, api: str) -> Side:
        """The same way, speaking another version."""
        return replace(self, name=f"{self.name} at {api.removeprefix('/v')}", api=api)


class _Connection(http.client.HTTPConnection):
    def __init__(self, side: Side) -> None:
        super().__init__("docker", timeout=120)
        self._side = side

    def connect(self) -> None:
        self.sock = self._side.connect()


class Client:
    """HTTP on one connection that is kept; where the other end closed it, the next call opens another, as SDKs do."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self._connection = _Connection(side)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer, None where there is none. Raises AssertionError with the words of a refusal."""
        data = self.bytes(method, path, body)
        return json.loads(data) if data else None

    def bytes(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> bytes:
        """`body` is sent as JSON, unless it is bytes."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        sent = {"Content-Type": "application/json", **(headers or {})}
        self._connection.request(method, self.side.api + path, body=data, headers=sent)
        response = self._connection.getresponse()
        answer = response.read()
        assert response.status < 300, f"{self.side.name}: {method} {path}: {response.status} {answer[:300]!r}"
        return answer

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hijack(side: Side, path: str, body: Any) -> tuple[socket.socket, bytes]:
    """A hijacked connection behind its 101, and what came with the head."""
    sock = side.connect()
    data = json.dumps(body).encode()
    head = (
        f"POST {side.api}{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    sock.sendall(head.encode() + data)
    answer = b""
    while b"\r\n\r\n" not in answer:
        block = sock.recv(65536)
        assert block, f"{side.name}: {path}: closed behind {answer!r}"
        answer += block
    told, _, rest = answer.partition(b"\r\n\r\n")
    assert told.split()[1] == b"101", f"{side.name}: {path}: {told!r}"
    return sock, rest


@dataclass(frozen=True)
class Sides:
    stack: Stack
    ours: Side
    engine: Side
    #: The engine's own socket, containers on a network like the one that every container of the service is on.
    networked: Side
    #: The engine behind nginx stream TLS.
    fronted: Side
    #: The oldest version that the service speaks, and the engine's nearest to it.
    oldest: str
    oldest_engine: str


@contextlib.contextmanager
def open_sides(stack: Stack) -> Iterator[Sides]:
    """All sides, with an image on each; what was made of containers is removed in the end."""
    if ACCOUNT not in stack.about["accounts"]:
        added = stack.quickstart("account", ACCOUNT)
        assert added.code == 0, added.said
    certificates = stack.certificates(ACCOUNT)
    context = ssl.create_default_context(cafile=stack.about["ca_file"])
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    path = stack.engine.socket
    kept = {name: value for name, value in stack.env(ACCOUNT).items() if not name.startswith("DOCKER_")}
    kept["DOCKER_CONFIG"] = stack.env(ACCOUNT)["DOCKER_CONFIG"]
    newest, oldest = _path(NEWEST), _path(OLDEST)
    ours = Side("the service", "busybox", stack.env(ACCOUNT), newest, port=stack.port, context=context)
    image = _image_id(ours)
    version, spoken, oldest_engine = _about(stack)
    print(f"engine {version}, asked at {spoken.removeprefix('/v')}; the service at {newest.removeprefix('/v')}")
    engine = Side("engine's socket", image, {**kept, "DOCKER_HOST": f"unix://{path}"}, spoken, path=path)
    networked = replace(engine, name="engine's socket, own network", network=NETWORK)
    with _front(stack, path) as port, _network(stack):
        fronted = Side("engine behind nginx TLS", image, {}, spoken, port=port, context=context)
        try:
            yield Sides(stack, ours, engine, networked, fronted, oldest, oldest_engine)
        finally:
            stack.remove_all(ACCOUNT)
            for container in stack.engine.containers("made-for=bench"):
                stack.engine.call("DELETE", f"/containers/{container['Id']}?force=1&v=1")


def _about(stack: Stack) -> tuple[str, str, str]:
    """The engine's version, and the newest and the oldest of the API that it has in common with the service."""
    status, told = stack.engine.call("GET", "/version")
    assert status == 200, told
    most, least = (tuple(map(int, told[word].split("."))) for word in ("ApiVersion", "MinAPIVersion"))
    return told["Version"], _path(min(most, NEWEST)), _path(max(least, OLDEST))


def _path(version: tuple[int, ...]) -> str:
    return "/v" + ".".join(map(str, version))


def _image_id(ours: Side) -> str:
    """What the engine calls the service's busybox: both run the same, and no name has to be made and taken away."""
    with ours.client() as client:
        return str(client.call("GET", f"/images/{ours.image}/json")["Id"])


@contextlib.contextmanager
def _network(stack: Stack) -> Iterator[None]:
    stack.engine.call("DELETE", f"/networks/{NETWORK}")
    status, answer = stack.engine.call("POST", "/networks/create", {"Name": NETWORK, "CheckDuplicate": True})
    assert status == 201, answer
    try:
        yield
    finally:
        stack.engine.call("DELETE", f"/networks/{NETWORK}")


# What deploy/nginx/nginx.conf has, less what only concerns the service.
_NGINX = """
user root;
daemon off;
worker_processes auto;
pid {home}/nginx.pid;
error_log {home}/error.log notice;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
events {{ worker_connections 8192; }}
stream {{
    server {{
        listen {address}:{port} ssl backlog=4096 so_keepalive=60s:15s:6;
        ssl_certificate {ca}/server.pem;
        ssl_certificate_key {ca}/server.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_ciphers ECDHE+AESGCM:ECDHE+CHACHA20;
        ssl_prefer_server_ciphers on;
        ssl_session_cache off;
        ssl_session_tickets off;
        ssl_verify_client optional_no_ca;
        ssl_verify_depth 1;
        ssl_trusted_certificate {ca}/ca.pem;
        proxy_half_close on;
        proxy_timeout 7d;
        proxy_socket_keepalive on;
        proxy_buffer_size {buffer};
        proxy_pass unix:{socket};
    }}
}}
"""


@contextlib.contextmanager
def _front(stack: Stack, engine: Path) -> Iterator[int]:
    """An nginx stream TLS server in front of the engine; its port."""
    ours = (Path(stack.home) / "nginx" / "nginx.conf").read_text()
    buffer = ours.partition("proxy_buffer_size")[2].partition(";")[0].strip()
    port = free_port(ADDRESS)
    with folder("bench") as home:
        values = {"home": home, "address": ADDRESS, "port": port, "ca": stack.home / "ca", "socket": engine}
        configuration = home / "nginx.conf"
        configuration.write_text(_NGINX.format(**values, buffer=buffer or "16k"))
        process = subprocess.Popen(["nginx", "-p", home, "-e", home / "error.log", "-c", configuration])
        try:
            wait_until(lambda: _open(port), "nginx before the engine", log=home / "error.log")
            yield port
        finally:
            stop(process)


def _open(port: int) -> bool:
    try:
        socket.create_connection((ADDRESS, port), timeout=1).close()
    except OSError:
        return False
    return True
