"""The client of registries, against one in this process: tokens, redirects, sizes, and which hosts it speaks to."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app.engine.registry import Credentials, Registry
from app.errors import Error, Forbidden, Internal, InvalidParameter, NotFound, Unauthorized

Answer = tuple[int, dict[str, str], bytes]
USER = Credentials("joe", "secret")


class Server:
    """`answers` maps a path to an answer, or to what makes one of the request's headers."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Callable[[Any], Answer]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                self.form = self.rfile.read(size).decode()
                server.asked.append((self.path, dict(self.headers)))
                found = server.answers.get(self.path.partition("?")[0], (404, {}, b""))
                status, headers, body = found(self) if callable(found) else found
                self.send_response(status)
                for key, value in ({"Content-Length": str(len(body))} | headers).items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.host = f"registry.test:{self._http.server_address[1]}"
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def addresses(self, host: str) -> list[str]:
        if host.startswith("registry.test"):
            return ["127.0.0.1"]
        raise Forbidden(f"registry {host} is not allowed")

    def client(self, credentials: Credentials = Credentials(), *, insecure: bool = True) -> Registry:  # noqa: B008
        return Registry(self.host, self.addresses, credentials, insecure=lambda host: insecure)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def guarded(header: str, wanted: str, body: bytes = b"{}") -> Callable[[Any], Answer]:
    def answer(request: Any) -> Answer:
        if request.headers.get("Authorization") == wanted:
            return (200, {"Content-Type": "application/json"}, body)
        return (
            401,
            {"WWW-Authenticate": header},
            b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}',
        )

    return answer


BASIC = "Basic " + base64.b64encode(b"joe:secret").decode()


def test_a_manifest_and_a_blob(server: Server) -> None:
    blob = b"x" * 300_000
    server.answers["/v2/a/b/manifests/1"] = (200, {"Content-Type": "application/x; charset=utf-8"}, b"{}")
    server.answers[f"/v2/a/b/blobs/{digest_of(blob)}"] = (200, {}, blob)
    with server.client() as registry:
        found = registry.manifest("a/b", "1")
        assert (found.media_type, found.digest, found.content) == ("application/x", digest_of(b"{}"), b"{}")
        assert registry.blob("a/b", digest_of(blob)) == blob
        assert b"".join(registry.blocks("a/b", digest_of(blob))) == blob
    assert server.asked[0][1]["Host"] == server.host


def test_what_is_not_what_it_is_called(server: Server) -> None:
    wrong = digest_of(b"other")
    server.answers[f"/v2/a/manifests/{wrong}"] = server.answers[f"/v2/a/blobs/{wrong}"] = (200, {}, b"{}")
    server.answers["/v2/a/manifests/big"] = (200, {}, bytes(5 << 20))
    with server.client() as registry:
        with pytest.raises(Internal, match="manifest verification failed"):
            registry.manifest("a", wrong)
        with pytest.raises(Internal, match="verification failed"):
            registry.blob("a", wrong)
        with pytest.raises(InvalidParameter, match="more than"):
            registry.manifest("a", "big")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            404,
            b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}',
            NotFound,
            "manifest unknown: man",
        ),
        (404, b"<html>", NotFound, "manifest unknown"),
        (403, b'{"errors":[{"code":"DENIED","message":"no"}]}', Forbidden, "denied: no"),
        (500, b"", Internal, "received unexpected HTTP status: 500"),
        (200, b"", None, ""),
    ],
)
def test_refusals(server: Server, status: int, body: bytes, kind: type[Error] | None, words: str) -> None:
    server.answers["/v2/a/manifests/1"] = (status, {}, body)
    with server.client() as registry:
        if kind is None:
            assert registry.manifest("a", "1").content == b""
            return
        with pytest.raises(kind, match=words):
            registry.manifest("a", "1")


def test_passwords(server: Server) -> None:
    server.answers["/v2/a/manifests/1"] = server.answers["/v2/"] = guarded('Basic realm="x"', BASIC)
    with server.client(USER) as registry:
        assert registry.manifest("a", "1").content == b"{}"
        assert registry.login() == ""
    with server.client() as registry, pytest.raises(Unauthorized, match="no basic auth credentials"):
        registry.manifest("a", "1")
    with server.client(Credentials("joe", "wrong")) as registry:
        with pytest.raises(Unauthorized, match="unauthorized: authentication required"):
            registry.manifest("a", "1")
        with pytest.raises(Unauthorized, match=r"login attempt to http://.*/v2/ failed with status: 401"):
            registry.login()


def test_tokens(server: Server) -> None:
    def token(request: Any) -> Answer:
        good = request.headers.get("Authorization") == BASIC or "refresh_token=R" in request.form
        body = {"token": "T", "refresh_token": "R"} if good else {"errors": [{"code": "X", "message": "bad password"}]}
        return (200 if good else 401, {}, json.dumps(body).encode())

    challenge = f'Bearer realm="http://{server.host}/token",service="s",scope="repository:a:pull"'
    server.answers["/v2/a/manifests/1"] = server.answers["/v2/"] = guarded(challenge, "Bearer T")
    server.answers["/token"] = token
    with server.client(USER) as registry:
        assert registry.manifest("a", "1").content == b"{}"
        registry.manifest("a", "1")
        assert registry.login() == "R"
    asked = [path for path, _ in server.asked if path.startswith("/token")]
    assert len(asked) == 2 and "scope=repository%3Aa%3Apull" in asked[0] and "offline_token=true" in asked[1]
    for credentials in (Credentials(identity_token="R"), Credentials(registry_token="T")):
        with server.client(credentials) as registry:
            assert registry.manifest("a", "1").content == b"{}"
    with server.client(Credentials("joe", "wrong")) as registry, pytest.raises(Unauthorized, match="x: bad password"):
        registry.login()


def test_where_it_does_not_go(server: Server) -> None:
    """Token servers and redirects are asked about like registries, and get no password of another place."""
    server.answers["/v2/a/manifests/1"] = (307, {"Location": "http://10.0.0.1/x"}, b"")
    server.answers["/v2/a/manifests/2"] = guarded('Bearer realm="http://169.254.169.254/latest"', "")
    server.answers["/v2/a/manifests/3"] = (
        307,
        {"Location": f"http://registry.test:{server.port}/v2/a/manifests/3"},
        b"",
    )
    server.answers["/v2/a/manifests/4"] = (307, {"Location": "file:///etc/passwd"}, b"")
    server.answers["/v2/a/manifests/5"] = (307, {"Location": "http://u:p@registry.test/"}, b"")
    server.answers["/v2/a/manifests/6"] = (307, {"Location": "http://registry.test:99999/"}, b"")
    with server.client(USER) as registry:
        for tag in ("1", "2"):
            with pytest.raises(Forbidden, match="not allowed"):
                registry.manifest("a", tag)
        for tag in ("3", "4", "5", "6"):
            with pytest.raises(Internal):
                registry.manifest("a", tag)
    other = Server()
    server.answers["/v2/a/manifests/7"] = lambda request: (
        (307, {"Location": f"http://{other.host}/x"}, b"")
        if request.headers.get("Authorization")
        else (401, {"WWW-Authenticate": "Basic"}, b"")
    )
    other.answers["/x"] = (200, {}, b"{}")
    with server.client(USER) as registry:
        assert registry.manifest("a", "7").content == b"{}"
    assert "Authorization" not in other.asked[0][1]
    other.close()


def test_without_tls_only_where_it_may(server: Server) -> None:
    server.answers["/v2/a/manifests/1"] = (200, {}, b"{}")
    with server.client(insecure=False) as registry, pytest.raises(Internal, match='Get "https://'):
        registry.manifest("a", "1")
    assert server.asked == []


def test_nobody_there(server: Server) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        # Nobody listens at it, and nobody else can.
        host = f"registry.test:{sock.getsockname()[1]}"
        registry = Registry(host, server.addresses, USER, insecure=lambda _: True)
        with pytest.raises(Internal, match="connection refused"):
            registry.manifest("a", "1")


def test_pages_of_tags(server: Server) -> None:
    def tags(request: Any) -> Answer:
        if "last=1" in request.path:
            return (200, {}, b'{"tags":["2"]}')
        return (200, {"Link": '</v2/a/tags/list?last=1>; rel="next"'}, b'{"tags":["1"]}')

    server.answers["/v2/a/tags/list"] = tags
    with server.client() as registry:
        assert registry.tags("a") == ["1", "2"]


def test_credentials() -> None:
    auth = base64.b64encode(b"joe:se:cret").decode()
    assert Credentials.of({"auth": auth}) == Credentials("joe", "se:cret")
    assert Credentials.of({"username": "joe", "password": "secret", "auth": auth}) == USER
    assert Credentials.of({"auth": "%%%"}) == Credentials()
    assert "secret" not in repr(USER)


def test_a_long_challenge_takes_no_time(server: Server) -> None:
    server.answers["/v2/a/manifests/1"] = (401, {"WWW-Authenticate": "Bearer " + "a" * 60_000}, b"{}")
    began = time.thread_time()
    with server.client() as registry, pytest.raises(Error):
        registry.manifest("a", "1")
    assert time.thread_time() - began < 2
