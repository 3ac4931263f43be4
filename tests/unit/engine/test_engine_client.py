"""The client's transport against a server that says exactly what a test tells it to say."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.engine import http_message
from app.engine.client import EngineClient
from app.errors import Conflict, Internal, InvalidParameter, NotFound, NotModified, Unavailable

Handler = Callable[[socket.socket, bytes], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}'
GONE = b'HTTP/1.1 404 Not Found\r\nContent-Length: 18\r\n\r\n{"message":"none"}'
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
UNCHANGED = b"HTTP/1.1 304 Not Modified\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def read_head(sock: socket.socket) -> bytes:
    """A request's, or nothing where the client goes."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            return b""
        head += byte
    return head


class Server:
    """A Unix socket. Each request is answered by the next of `answers`: bytes, or a function of socket and head."""

    def __init__(self, path: Path, answers: list[bytes | Handler]) -> None:
        self.url = f"unix://{path}"
        self.connections = 0
        self.heads: list[bytes] = []
        self._answers = answers
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._open: list[socket.socket] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.settimeout(10)
                self.connections += 1
                self._open.append(sock)
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while self._answers:
                head = read_head(sock)
                if not head:
                    return
                self.heads.append(head)
                answer = self._answers.pop(0)
                if callable(answer):
                    answer(sock, head)
                else:
                    sock.sendall(answer)

    def hang_up(self) -> None:
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(10)
        self._listener.close()
        self.hang_up()


Start = Callable[..., tuple[Server, EngineClient]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[tuple[Server, EngineClient]] = []

    def make(*answers: bytes | Handler) -> tuple[Server, EngineClient]:
        server = Server(tmp_path / f"{len(started)}.sock", list(answers))
        client = EngineClient(server.url, version="1.41")
        started.append((server, client))
        return server, client

    yield make
    for server, client in started:
        client.close()
        server.close()


def test_connections_are_used_again(start: Start) -> None:
    """After an answer of every kind: a body, none, a refusal, chunks."""
    server, client = start(OK, EMPTY, GONE, UNCHANGED, CHUNKED + b'7\r\n{"b":2}\r\n0\r\n\r\n', OK)
    assert client.json("GET", "/x") == {"a": 1}
    assert client.json("POST", "/x", body={"c": [1]}) is None
    with pytest.raises(NotFound, match=r"^none$"):
        client.json("GET", "/x")
    with pytest.raises(NotModified):
        client.json("POST", "/x")
    assert client.json("GET", "/x", query={"q": "a b", "n": None, "t": 5}) == {"b": 2}
    assert client.json("DELETE", "/x") == {"a": 1}
    assert server.connections == 1
    assert server.heads[0].startswith(b"GET /v1.41/x HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in server.heads[1]
    assert server.heads[4].startswith(b"GET /v1.41/x?q=a+b&t=5 HTTP/1.1\r\n")


def test_two_requests_of_which_the_second_is_sent_ahead(start: Start) -> None:
    read = threading.Event()

    def slow(sock: socket.socket, _: bytes) -> None:
        assert sock.recv(2) == b"{}"
        assert read.wait(10)
        assert read_head(sock).startswith(b"GET /v1.41/y HTTP/1.1\r\n"), "it waited for the first answer"
        sock.sendall(OK + CHUNKED + b'7\r\n{"b":2}\r\n0\r\n\r\n')

    _, client = start(slow)
    assert client.json_then("POST", "/x", "/y", body={}, meanwhile=read.set) == ({"a": 1}, {"b": 2})


def test_the_second_is_not_asked_before_what_it_is_to_be_newer_than(start: Start) -> None:
    asked = threading.Event()

    def first(sock: socket.socket, _: bytes) -> None:
        asked.set()
        sock.sendall(OK)

    server, client = start(first, OK, OK)

    def meanwhile() -> None:
        assert asked.wait(10)
        time.sleep(0.1)
        assert len(server.heads) == 1

    assert client.json_then("POST", "/x", "/y", meanwhile=meanwhile) == ({"a": 1}, {"a": 1})
    assert client.json("GET", "/x") == {"a": 1}
    assert server.connections == 1


def test_a_second_request_after_a_refusal(start: Start) -> None:
    """Nobody waits for its answer, and nobody after it may take that for his own."""

    def refuse(sock: socket.socket, _: bytes) -> None:
        assert read_head(sock).startswith(b"GET")
        sock.sendall(GONE + EMPTY)

    server, client = start(refuse, OK, GONE)
    with pytest.raises(NotFound, match=r"^none$"):
        client.json_then("POST", "/x", "/y")
    # A second one that is refused is not there.
    assert client.json_then("POST", "/x", "/y") == ({"a": 1}, None)
    assert server.connections == 2


def test_parallel_requests_have_connections_of_their_own(start: Start) -> None:
    server, client = start(OK, OK, OK)
    with client.open("GET", "/1") as one, client.open("GET", "/2") as two:
        assert list(one.messages()) == list(two.messages()) == [{"a": 1}]
    assert server.connections == 2
    client.json("GET", "/3")
    assert server.connections == 2


def test_a_connection_that_the_engine_closed_is_not_used(start: Start) -> None:
    server, client = start(OK, OK)
    client.json("GET", "/x")
    server.hang_up()
    assert client.json("GET", "/x") == {"a": 1}
    assert server.connections == 2


def test_a_body_that_is_left_closes_the_connection(start: Start) -> None:
    closed = threading.Event()

    def endless(sock: socket.socket, _: bytes) -> None:
        sock.sendall(CHUNKED + b'8\r\n{"a":1}\n\r\n')
        if not sock.recv(1):
            closed.set()

    server, client = start(endless, OK)
    body = client.open("GET", "/x")
    assert next(body.messages()) == {"a": 1}
    body.close()
    body.close()
    assert closed.wait(10)
    assert client.json("GET", "/x") == {"a": 1}
    assert server.connections == 2


def test_messages_however_they_are_cut(start: Start) -> None:
    text = '{"status":"ä ✓"}\r\n{"b":{"c":[1,2]}}\n{"d":1} {"e":2}\n\n{"f":"\\n"}'.encode()
    pieces = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in text)
    _, client = start(CHUNKED + pieces + b"0\r\n\r\n")
    with client.open("GET", "/x") as body:
        assert list(body.messages()) == [{"status": "ä ✓"}, {"b": {"c": [1, 2]}}, {"d": 1}, {"e": 2}, {"f": "\n"}]


@pytest.mark.parametrize("text", [b"nonsense\n", b'{"a":', b"[1]\n", b"\xff\n", b'{"a":1} x\n'])
def test_malformed_messages(start: Start, text: bytes) -> None:
    _, client = start(CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(text), text))
    with client.open("GET", "/x") as body, pytest.raises(Internal, match="malformed message"):
        list(body.messages())


def test_a_malformed_answer(start: Start) -> None:
    _, client = start(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>")
    with pytest.raises(Internal, match="malformed answer"):
        client.json("GET", "/x")


@pytest.mark.parametrize("head", [b"Content-Length: 300000", b"Transfer-Encoding: chunked"])
def test_an_answer_that_is_too_large_to_be_kept(start: Start, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(http_message, "MAX_ANSWER", 200_000)
    body = b'"' + b"x" * 299_998 + b'"'
    if head.startswith(b"Transfer"):
        body = b"".join(b"4e20\r\n" + body[i : i + 20_000] + b"\r\n" for i in range(0, 300_000, 20_000)) + b"0\r\n\r\n"
    server, client = start(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n" + body, OK)
    with pytest.raises(Internal, match="too large"):
        client.json("GET", "/large")
    assert client.json("GET", "/a") == {"a": 1}
    assert server.connections == 2


def test_a_stream_that_breaks_off(start: Start) -> None:
    def broken(sock: socket.socket, _: bytes) -> None:
        sock.sendall(CHUNKED + b'8\r\n{"a":1}\n\r\n' + b"20\r\nhalf")
        sock.close()

    _, client = start(broken)
    with client.open("GET", "/x") as body:
        messages = body.messages()
        assert next(messages) == {"a": 1}
        with pytest.raises(Unavailable, match="the connection to the node was lost"):
            next(messages)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-", b"nonsense\r\n\r\n"])
def test_no_answer(start: Start, answer: bytes) -> None:
    def silent(sock: socket.socket, _: bytes) -> None:
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_RDWR)

    _, client = start(silent, silent)
    with pytest.raises(Unavailable, match="cannot be reached"):
        client.json("GET", "/x")
    with pytest.raises(Unavailable, match="cannot be reached"):
        client.raw("POST", "/x", upgrade=True)


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    client = EngineClient(f"unix://{tmp_path}/none.sock")
    for call in (lambda: client.json("GET", "/x"), lambda: client.raw("GET", "/x"), lambda: client.open("GET", "/x")):
        with pytest.raises(Unavailable, match="cannot be reached") as raised:
            call()
        assert raised.value.retry_after == 5


def test_a_deadline(start: Start) -> None:
    def asleep(sock: socket.socket, _: bytes) -> None:
        sock.recv(1)

    _, client = start(asleep, asleep)
    with pytest.raises(Unavailable):
        client.json("GET", "/x", timeout=0.2)
    with pytest.raises(Unavailable):
        client.raw("GET", "/x", timeout=0.2)


# -- request bodies --------------------------------------------------------------------------------------------------


def read_chunked(sock: socket.socket) -> bytes:
    """A chunked request body, or what there is of it when the client goes."""
    file = sock.makefile("rb")
    body = b""
    while size := int(file.readline() or b"0", 16):
        body += file.read(size)
        file.readline()
    return body + file.readline().replace(b"\r\n", b"<end>")


def test_a_chunked_body(start: Start) -> None:
    received = []

    def take(sock: socket.socket, head: bytes) -> None:
        assert b"Transfer-Encoding: chunked" in head
        assert b"Content-Type: application/x-tar" in head
        received.append(read_chunked(sock))
        sock.sendall(OK)

    server, client = start(take, OK)
    with client.open("POST", "/x", chunks=iter([b"one", b"", b"two"])) as body:
        assert list(body.messages()) == [{"a": 1}]
    assert received == [b"onetwo<end>"]
    client.json("GET", "/x")
    assert server.connections == 1


def test_a_body_that_fails_half_way_has_no_end(start: Start) -> None:
    received: list[bytes] = []
    done = threading.Event()

    def take(sock: socket.socket, _: bytes) -> None:
        received.append(read_chunked(sock))
        done.set()

    _, client = start(take)

    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise InvalidParameter("bad archive")

    with pytest.raises(InvalidParameter, match="bad archive"):
        client.open("POST", "/x", chunks=chunks())
    assert done.wait(10)
    assert received == [b"one"]


def test_a_body_whose_own_source_is_cut(start: Start) -> None:
    """The client's connection, not the engine's: no answer of the engine is waited for."""
    _, client = start(lambda sock, _: sock.recv(1 << 20) and sock.recv(1))  # type: ignore[func-returns-value, return-value]

    def chunks() -> Iterator[bytes]:
        yield b"one"
        raise ConnectionResetError("the client is gone")

    with pytest.raises(ConnectionResetError, match="the client is gone"):
        client.open("POST", "/x", chunks=chunks(), timeout=30)


def test_an_engine_that_answers_before_it_has_all(start: Start) -> None:
    def full(sock: socket.socket, _: bytes) -> None:
        sock.sendall(b'HTTP/1.1 409 Conflict\r\nConnection: close\r\nContent-Length: 18\r\n\r\n{"message":"full"}')
        sock.close()

    _, client = start(full)
    with pytest.raises(Conflict, match=r"^full$"):
        client.open("POST", "/x", chunks=(b"x" * 65536 for _ in range(1000)))


# -- raw streams -----------------------------------------------------------------------------------------------------


def test_a_hijack_keeps_what_came_behind_the_head(start: Start) -> None:
    def hijack(sock: socket.socket, head: bytes) -> None:
        assert b"Connection: Upgrade" in head
        assert b"Upgrade: tcp" in head
        sock.sendall(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nearly")
        sock.sendall(sock.recv(10) + b" late")
        sock.close()

    _, client = start(hijack)
    stream = client.raw("POST", "/x", upgrade=True)
    assert stream.status == 101
    assert stream.sock.getblocking() is False
    stream.sock.settimeout(10)
    stream.sock.sendall(b"typed")
    data = stream.leftover
    while block := stream.sock.recv(100):
        data += block
    assert data == b"earlytyped late"
    stream.close()


def test_an_unframed_body(start: Start) -> None:
    def answer(sock: socket.socket, head: bytes) -> None:
        assert head.startswith(b"POST /v1.41/x?condition=removed HTTP/1.0\r\n")
        sock.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
        sock.sendall(b'{"StatusCode":0}')
        sock.close()

    _, client = start(answer)
    stream = client.raw("POST", "/x", query={"condition": "removed"}, unframed=True)
    stream.sock.settimeout(10)
    data = stream.leftover
    while block := stream.sock.recv(100):
        data += block
    assert data == b'{"StatusCode":0}'
    stream.close()


@pytest.mark.parametrize(
    "answer",
    [
        GONE,
        b"HTTP/1.1 404 Not Found\r\n\r\nnone\r\n",
        b'HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n{"mess\r\nc\r\nage":"none"}\r\n0\r\n\r\n',
    ],
    ids=["length", "until-the-end", "chunks"],
)
def test_refusals_of_raw_streams(start: Start, answer: bytes) -> None:
    def refuse(sock: socket.socket, _: bytes) -> None:
        for byte in answer:
            sock.sendall(bytes([byte]))
        if b"Length" not in answer and b"chunked" not in answer:
            sock.shutdown(socket.SHUT_RDWR)

    _, client = start(refuse)
    with pytest.raises(NotFound, match=r"^none$"):
        client.raw("POST", "/x", upgrade=True, timeout=5)


def test_urls() -> None:
    for url in ("http://x", "tcp://", "/var/run/docker.sock", ""):
        with pytest.raises(ValueError, match="an engine's url is"):
            EngineClient(url)
