"""The worker's parts that need no running gunicorn: pace, body reader, taking a connection, settings, error answers."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterator
from typing import Any

import gunicorn
import orjson
import pytest
from gunicorn.config import Config
from gunicorn.errors import ConfigError

from app.errors import InvalidParameter
from app.server import worker
from app.server.client import (
    IO_SECONDS,
    MINIMUM_RATE,
    BodyUnreader,
    ClientGone,
    ClientSocket,
    Input,
    Pace,
    SlowClient,
)
from app.server.connection import Connection
from app.server.response import error_response
from app.server.worker import FrontDoorWorker


def settings(**changes: Any) -> Config:
    cfg = Config()
    for name, value in {
        "forwarder_headers": "",
        "header_map": "refuse",
        "secure_scheme_headers": {},
        "http_parser": "python",
    }.items():
        cfg.set(name, changes.get(name, value))
    for name, value in changes.items():
        cfg.set(name, value)
    return cfg


@pytest.fixture
def sockets() -> Iterator[tuple[socket.socket, ClientSocket]]:
    far, near = socket.socketpair()
    client = ClientSocket(fileno=near.detach())
    client.settimeout(5)
    far.settimeout(5)
    with far, client:
        yield far, client


def connection(sockets: tuple[socket.socket, ClientSocket], data: bytes) -> Connection:
    """A connection whose request's head has been parsed."""
    made = Connection(sockets[1], "/api.sock", settings())
    made.unreader.unread(data)
    next(made.parser)
    return made


POST = b"POST /x HTTP/1.1\r\nHost: x\r\n"


# ---- pace -------------------------------------------------------------------------------------------------------


def test_a_client_at_the_minimum_rate_is_served_for_ever() -> None:
    pace = Pace()
    for _ in range(1000):
        pace.account(1.0, MINIMUM_RATE)


def test_a_client_below_the_minimum_rate_is_stopped_after_the_window_and_not_before() -> None:
    pace = Pace()
    for _ in range(int(IO_SECONDS) - 1):
        pace.account(1.0, MINIMUM_RATE - 1)
    with pytest.raises(SlowClient):
        pace.account(1.0, MINIMUM_RATE - 1)


def test_a_fast_start_does_not_buy_a_slow_end() -> None:
    pace = Pace()
    pace.account(IO_SECONDS, 10**9)
    with pytest.raises(SlowClient):
        pace.account(IO_SECONDS, 1)


def test_our_own_slowness_does_not_count() -> None:
    pace = Pace()
    for _ in range(1000):
        pace.account(0.0, 1)


# ---- bodies -----------------------------------------------------------------------------------------------------


def test_a_close_in_the_middle_of_a_body_is_an_error(sockets: tuple[socket.socket, ClientSocket]) -> None:
    made = connection(sockets, POST + b"Content-Length: 10\r\n\r\n12345")
    sockets[0].close()
    with pytest.raises(ClientGone):
        Input(made.parser.mesg.body).read()


def test_a_stalled_body_is_an_error_that_both_sides_understand(sockets: tuple[socket.socket, ClientSocket]) -> None:
    made = connection(sockets, POST + b"Content-Length: 10\r\n\r\n12345")
    sockets[1].settimeout(0.05)
    with pytest.raises(SlowClient) as caught:
        Input(made.parser.mesg.body).read()
    assert isinstance(caught.value, InvalidParameter)
    assert isinstance(caught.value, TimeoutError)


@pytest.mark.parametrize("chunks", [b"zz\r\n", b"-1\r\n", b"5\r\nhelloX", b"1;\x01=2\r\nx\r\n"])
def test_bad_chunks_are_an_invalid_parameter(sockets: tuple[socket.socket, ClientSocket], chunks: bytes) -> None:
    made = connection(sockets, POST + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
    sockets[0].sendall(b"more" * 10)
    with pytest.raises(InvalidParameter):
        Input(made.parser.mesg.body).read()
    assert not made.body_is_read()


def test_the_body_has_the_whole_wsgi_interface(sockets: tuple[socket.socket, ClientSocket]) -> None:
    data = b"one\ntwo\nthree\nfour"
    made = connection(sockets, POST + b"Content-Length: 18\r\n\r\n" + data)
    body = Input(made.parser.mesg.body)
    assert body.readline() == b"one\n"
    assert next(iter(body)) == b"two\n"
    assert body.read(2) == b"th"
    assert body.readlines() == [b"ree\n", b"four"]
    assert body.read() == b""


def test_a_buffered_rest_of_a_body_counts_as_read_and_a_missing_one_does_not(
    sockets: tuple[socket.socket, ClientSocket],
) -> None:
    assert connection(sockets, POST + b"\r\n").body_is_read()
    assert connection(sockets, POST + b"Content-Length: 5\r\n\r\n12345").body_is_read()
    assert not connection(sockets, POST + b"Content-Length: 6\r\n\r\n12345").body_is_read()
    assert connection(sockets, POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").body_is_read()
    assert not connection(sockets, POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n").body_is_read()


def test_the_reader_never_waits_while_it_is_offline(sockets: tuple[socket.socket, ClientSocket]) -> None:
    unreader = BodyUnreader(sockets[1])
    unreader.offline = True
    with pytest.raises(TimeoutError):
        unreader.chunk()


# ---- taking a connection ----------------------------------------------------------------------------------------


def test_take_gives_a_working_socket_and_the_early_bytes(sockets: tuple[socket.socket, ClientSocket]) -> None:
    made = connection(sockets, POST + b"Content-Length: 2\r\n\r\n{}early stdin")
    assert Input(made.parser.mesg.body).read() == b"{}"
    sock, early = made.take()
    with sock:
        assert early == b"early stdin"
        assert sockets[1].fileno() == -1
        sock.sendall(b"101")
        assert sockets[0].recv(10) == b"101"
        with pytest.raises(OSError, match="Bad file descriptor"):
            sockets[1].sendall(b"gunicorn writes")
        with pytest.raises(RuntimeError):
            made.take()


def test_take_skips_an_unread_body_that_is_here(sockets: tuple[socket.socket, ClientSocket]) -> None:
    made = connection(sockets, POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\nstdin")
    sock, early = made.take()
    with sock:
        assert early == b"stdin"


def test_take_refuses_when_the_body_is_not_here(sockets: tuple[socket.socket, ClientSocket]) -> None:
    made = connection(sockets, POST + b"Content-Length: 20\r\n\r\n{}")
    with pytest.raises(InvalidParameter):
        made.take()
    assert not made.taken
    assert sockets[1].fileno() != -1


# ---- settings and words -----------------------------------------------------------------------------------------


def test_the_right_settings_are_accepted() -> None:
    FrontDoorWorker.check_config(settings(), None)


@pytest.mark.parametrize(
    "changes",
    [
        {"forwarder_headers": "SCRIPT_NAME"},
        {"header_map": "drop"},
        {"header_map": "dangerous"},
        {"proxy_protocol": "auto"},
        {"secure_scheme_headers": {"X-FORWARDED-PROTO": "https"}},
        {"keyfile": "/key", "certfile": "/cert"},
        {"protocol": "uwsgi"},
    ],
)
def test_settings_that_believe_a_header_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        FrontDoorWorker.check_config(settings(**changes), None)


def test_another_gunicorn_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gunicorn, "__version__", "27.0.2")
    with pytest.raises(RuntimeError, match=r"27\.0\.1"):
        importlib.reload(worker)


def test_a_message_cannot_break_the_answer_apart() -> None:
    head, _, body = error_response("400 Bad Request", 'a "quote"\r\nSet-Cookie: x\udcff', "id-1").partition(b"\r\n\r\n")
    assert b"Set-Cookie" not in head
    assert orjson.loads(body)["message"].startswith('a "quote"\r\n')
