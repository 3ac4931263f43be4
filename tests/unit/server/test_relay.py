"""The relay between socketpairs: what passes, what waits, what ends when."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import ipaddress
import os
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import app.server.carrier as carrier_module
from app.errors import TooMany, Unavailable
from app.server.carrier import BLOCK
from app.server.relay import Relay
from app.server.stream import Collect, Stream

WAIT = 60.0
MEGABYTE = 1 << 20


@pytest.fixture
def relay() -> Iterator[Relay]:
    made = Relay(capacity=50, share=20)
    yield made
    made.stop()


class Pair:
    """A stream in the relay, and the two far ends: the client and the engine."""

    def __init__(self, relay: Relay, **options: Any) -> None:
        self.client, client = socket.socketpair()
        self.engine, upstream = socket.socketpair()
        self.client.settimeout(WAIT)
        self.engine.settimeout(WAIT)
        self.closed = threading.Event()
        self.stream = Stream(client=client, upstream=upstream, on_close=self.closed.set, **options)
        relay.add(self.stream)

    def close(self) -> None:
        self.client.close()
        self.engine.close()


@pytest.fixture
def pair(relay: Relay) -> Iterator[Callable[..., Pair]]:
    made: list[Pair] = []

    def make(**options: Any) -> Pair:
        made.append(Pair(relay, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def read_all(sock: socket.socket) -> bytes:
    data = bytearray()
    while piece := sock.recv(MEGABYTE):
        data += piece
    return bytes(data)


def read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, f"ended after {data!r}"
        data += piece
    return data


def is_silent(sock: socket.socket, seconds: float = 0.15) -> bool:
    return not select.select([sock], [], [], seconds)[0]


def in_thread(work: Callable[..., Any], *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def send_what_is_taken(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(OSError):
        sock.sendall(data)


class Upper:
    """A transform that can be seen at work."""

    def __init__(self, last: bytes = b"", stop_at: bytes = b"\0never") -> None:
        self.ended = False
        self._last = last
        self._stop_at = stop_at

    def feed(self, data: bytes) -> bytes:
        self.ended = self._stop_at in data
        return data.upper()

    def finish(self) -> bytes:
        return self._last


class Pieces:
    """What goes earlier than what the engine sends."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = [*pieces, b""]
        self.taken = 0

    def __call__(self) -> bytes:
        self.taken += 1
        return self._pieces.pop(0)


# ---- passing and ending -----------------------------------------------------------------------------------------


def test_bytes_pass_both_ways_and_are_counted(pair: Callable[..., Pair]) -> None:
    it = pair(two_way=True, head=b"HEAD", from_client=b"early ", from_upstream=b"first ")
    assert read(it.client, 10) == b"HEADfirst "
    it.client.sendall(b"input")
    assert read(it.engine, 11) == b"early input"
    it.engine.sendall(b"output")
    assert read(it.client, 6) == b"output"
    assert (it.stream.bytes_up, it.stream.bytes_down) == (11, 12)


def test_output_goes_on_after_the_end_of_input(pair: Callable[..., Pair]) -> None:
    it = pair(two_way=True)
    it.client.sendall(b"all of it")
    it.client.shutdown(socket.SHUT_WR)
    assert read_all(it.engine) == b"all of it"
    assert is_silent(it.client)
    it.engine.sendall(b"late output")
    it.engine.close()
    assert read_all(it.client) == b"late output"
    assert it.closed.wait(WAIT)


def test_the_end_of_input_can_come_before_the_stream_begins(pair: Callable[..., Pair]) -> None:
    client, theirs = socket.socketpair()
    engine, upstream = socket.socketpair()
    relay = Relay()
    with client, engine:
        client.settimeout(WAIT)
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        relay.add(Stream(client=theirs, upstream=upstream, two_way=True))
        engine.settimeout(WAIT)
        assert read_all(engine) == b"x"
        engine.sendall(b"y")
        engine.close()
        assert read_all(client) == b"y"
    relay.stop()


def test_the_engines_end_ends_the_stream_although_the_client_stays(
    pair: Callable[..., Pair], relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It stands still until the client has sent something into the linger.
    began = time.monotonic()
    clock = SimpleNamespace(monotonic=lambda: began)
    monkeypatch.setattr(carrier_module, "time", clock)
    it = pair(two_way=True)
    it.engine.sendall(b"bye")
    it.engine.close()
    assert read_all(it.client) == b"bye"
    it.client.sendall(b"nobody listens")  # and it is no error
    assert not it.closed.is_set()
    clock.monotonic = time.monotonic
    assert it.closed.wait(WAIT)
    assert len(relay) == 0
    with pytest.raises(OSError):
        it.client.sendall(b"x")


def test_unread_input_does_not_destroy_the_last_output(pair: Callable[..., Pair]) -> None:
    """A process that ends without reading its input: what it said has to arrive."""
    it = pair(two_way=True)
    flood = in_thread(send_what_is_taken, it.client, b"y" * 20 * MEGABYTE)
    read(it.engine, 1000)
    it.engine.sendall(b"z" * 100_000)
    it.engine.close()  # with unread input
    assert read_all(it.client) == b"z" * 100_000
    it.client.close()
    flood.join(WAIT)
    assert not flood.is_alive()
    assert it.closed.wait(WAIT)


def test_one_way_the_clients_end_is_the_end(pair: Callable[..., Pair]) -> None:
    it = pair()
    it.engine.sendall(b"line\n")
    assert read(it.client, 5) == b"line\n"
    it.client.shutdown(socket.SHUT_WR)
    assert read_all(it.engine) == b""
    assert it.closed.wait(WAIT)


def test_one_way_input_goes_nowhere(pair: Callable[..., Pair]) -> None:
    it = pair(from_client=b"POST /evil HTTP/1.1\r\n\r\n")
    it.client.sendall(b"DELETE /evil HTTP/1.1\r\n\r\n" * 100)
    assert is_silent(it.engine)
    it.engine.sendall(b"still here")
    assert read(it.client, 10) == b"still here"
    assert it.stream.bytes_up == 0


def test_a_client_that_is_gone_ends_a_silent_two_way_stream(pair: Callable[..., Pair]) -> None:
    it = pair(two_way=True)
    it.client.sendall(b"last words")
    it.client.close()
    assert read_all(it.engine) == b"last words"
    assert it.closed.wait(WAIT)


def test_a_client_that_goes_after_its_end_of_input_ends_a_silent_stream(pair: Callable[..., Pair]) -> None:
    it = pair(two_way=True)
    it.client.shutdown(socket.SHUT_WR)
    assert read_all(it.engine) == b""
    assert not it.closed.wait(0.2)
    it.client.close()
    assert it.closed.wait(WAIT)


def test_nothing_spins_while_a_hung_up_client_waits_for_a_slow_engine(pair: Callable[..., Pair]) -> None:
    it = pair(two_way=True)
    it.client.setblocking(False)
    sent = 0
    while is_writable(it.client):
        sent += it.client.send(b"x" * BLOCK)
    it.client.close()
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.2
    assert len(read_all(it.engine)) == sent
    assert it.closed.wait(WAIT)


def test_nothing_spins_while_a_finished_engine_waits_for_a_slow_client(pair: Callable[..., Pair]) -> None:
    it = pair(two_way=True)
    it.engine.setblocking(False)
    sent = 0
    while is_writable(it.engine):
        sent += it.engine.send(b"x" * BLOCK)
    it.engine.close()
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.2
    assert len(read_all(it.client)) == sent


def is_writable(sock: socket.socket) -> bool:
    return bool(select.select([], [sock], [], 0.2)[1])


# ---- amounts ----------------------------------------------------------------------------------------------------


def echo(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := sock.recv(65536):
            sock.sendall(data)
    sock.close()


def test_both_directions_full_at_once(pair: Callable[..., Pair]) -> None:
    data = os.urandom(MEGABYTE) * 50
    it = pair(two_way=True)
    in_thread(echo, it.engine)

    def send() -> None:
        it.client.sendall(data)
        it.client.shutdown(socket.SHUT_WR)

    in_thread(send)
    assert hashlib.sha256(read_all(it.client)).digest() == hashlib.sha256(data).digest()
    assert it.closed.wait(WAIT)
    assert it.stream.bytes_up == it.stream.bytes_down == len(data)


@pytest.mark.parametrize("transform", [None, Upper()])
def test_a_reader_that_does_not_read_is_felt_by_the_writer(pair: Callable[..., Pair], transform: Upper | None) -> None:
    it = pair(two_way=True, transform=transform)
    for writer in (it.client, it.engine):
        writer.setblocking(False)
        sent = 0
        while is_writable(writer):
            sent += writer.send(b"x" * BLOCK)
        # The kernel's four buffers and the relay's one block.
        assert sent < 4 * 212_992 + 2 * BLOCK
    it.close()
    assert it.closed.wait(WAIT)


def test_what_is_earlier_goes_first_as_the_client_takes_it(pair: Callable[..., Pair]) -> None:
    pieces = Pieces(*(bytes([n]) * MEGABYTE for n in range(1, 6)))
    it = pair(head=b"HEAD", from_upstream=b"first", earlier=pieces)
    it.engine.sendall(b"output")
    assert read(it.client, 9) == b"HEADfirst"
    time.sleep(0.3)
    # One is on its way, and the next one is waited for.
    assert pieces.taken == 1
    assert read(it.client, 5 * MEGABYTE) == b"".join(bytes([n]) * MEGABYTE for n in range(1, 6))
    assert read(it.client, 6) == b"output"
    it.engine.sendall(b" and more")
    it.engine.close()
    assert read_all(it.client) == b" and more"
    assert pieces.taken == 6 and it.stream.bytes_down == 5 * MEGABYTE + 20


def test_an_engine_that_ended_before_what_is_earlier_has_been_sent(pair: Callable[..., Pair]) -> None:
    it = pair(earlier=Pieces(b"x" * MEGABYTE, b"y" * MEGABYTE))
    it.engine.sendall(b"output")
    it.engine.close()
    time.sleep(0.1)
    assert read_all(it.client) == b"x" * MEGABYTE + b"y" * MEGABYTE + b"output"
    assert it.closed.wait(WAIT)


def test_nothing_earlier_is_fetched_for_a_client_that_is_gone(pair: Callable[..., Pair]) -> None:
    pieces = Pieces(*[b"x" * MEGABYTE] * 5)
    it = pair(earlier=pieces)
    assert read(it.client, 1) == b"x"
    it.client.close()
    assert it.closed.wait(WAIT)
    assert pieces.taken < 3


def test_a_failure_to_fetch_what_is_earlier_ends_its_own_stream_only(pair: Callable[..., Pair]) -> None:
    def fail() -> bytes:
        raise Unavailable("no database")

    it, other = pair(earlier=fail), pair()
    assert it.client.recv(1) == b""
    assert it.closed.wait(WAIT)
    other.engine.sendall(b"output")
    assert read(other.client, 6) == b"output"


def test_a_full_stream_does_not_hold_up_another(pair: Callable[..., Pair]) -> None:
    full, free = pair(two_way=True), pair(two_way=True)
    in_thread(send_what_is_taken, full.engine, b"x" * 10 * MEGABYTE)
    in_thread(echo, free.engine)
    took = []
    for _ in range(50):
        began = time.monotonic()
        free.client.sendall(b"ping")
        assert read(free.client, 4) == b"ping"
        took.append(time.monotonic() - began)
    # One or the other may have waited for a processor.
    assert sorted(took)[len(took) // 2] < 1.0


# ---- transforms --------------------------------------------------------------------------------------------------


def test_a_transform_sees_the_engines_bytes_and_has_the_last_word(pair: Callable[..., Pair]) -> None:
    it = pair(head=b"head ", from_upstream=b"one ", transform=Upper(last=b"last"))
    assert read(it.client, 9) == b"head ONE "
    it.engine.sendall(b"two ")
    assert read(it.client, 4) == b"TWO "
    it.engine.close()
    assert read_all(it.client) == b"last"


def test_the_last_word_waits_behind_a_large_output(pair: Callable[..., Pair]) -> None:
    it = pair(transform=Upper(last=b"."))

    def engine() -> None:
        it.engine.sendall(b"x" * 5 * MEGABYTE)
        it.engine.close()

    in_thread(engine)
    time.sleep(0.3)
    assert read_all(it.client) == b"X" * 5 * MEGABYTE + b"."


def test_a_transform_can_end_the_stream_while_the_engine_keeps_its_connection(pair: Callable[..., Pair]) -> None:
    it = pair(transform=Upper(last=b"!", stop_at=b"end"))
    it.engine.sendall(b"the end")
    assert read_all(it.client) == b"THE END!"
    it.client.close()
    assert it.closed.wait(WAIT)
    assert read_all(it.engine) == b""


def test_collect_answers_once_at_the_end_and_outside_the_loop(pair: Callable[..., Pair]) -> None:
    threads = []
    go_on = threading.Event()

    def make(data: bytes) -> bytes:
        threads.append(threading.current_thread().name)
        assert go_on.wait(WAIT)
        return b"<" + data + b">"

    it, other = pair(head=b"head", transform=Collect(make)), pair(two_way=True)
    assert read(it.client, 4) == b"head"
    it.engine.sendall(b'{"StatusCode":')
    time.sleep(0.05)
    it.engine.sendall(b"3}")
    it.engine.close()
    assert is_silent(it.client)
    other.client.sendall(b"meanwhile")
    assert read(other.engine, 9) == b"meanwhile"
    go_on.set()
    assert read_all(it.client) == b'<{"StatusCode":3}>'
    assert threads[0].startswith("relay-pool")


def test_collect_is_bounded(pair: Callable[..., Pair]) -> None:
    it = pair(transform=Collect(lambda data: data, limit=1000))
    it.engine.sendall(b"x" * 1001)
    assert read_all(it.client) == b""
    assert it.closed.wait(WAIT)


@pytest.mark.parametrize("where", ["feed", "finish"])
def test_a_failing_transform_ends_its_own_stream_only(pair: Callable[..., Pair], where: str) -> None:
    def fail(*_: Any) -> bytes:
        raise ValueError("no")

    broken = Upper()
    setattr(broken, where, fail)
    it, other = pair(transform=broken), pair(two_way=True)
    it.engine.sendall(b"x")
    it.engine.close()
    assert read_all(it.client) in (b"", b"X")
    assert it.closed.wait(WAIT)
    other.client.sendall(b"fine")
    assert read(other.engine, 4) == b"fine"


# ---- the relay as a whole -----------------------------------------------------------------------------------------


def test_cut_closes_the_streams_of_an_identity_and_no_others(pair: Callable[..., Pair], relay: Relay) -> None:
    alice, bob, carol = (pair(two_way=True, identity=name) for name in ("alice", "bob", "carol"))
    assert relay.identities() == {"alice", "bob", "carol"}
    assert relay.cut({"alice", "nobody"}) == 1
    assert read_all(alice.client) == read_all(alice.engine) == b""
    assert alice.closed.wait(WAIT)
    assert relay.cut(lambda identity: identity == "bob") == 1
    assert bob.closed.wait(WAIT)
    carol.client.sendall(b"here")
    assert read(carol.engine, 4) == b"here"
    assert len(relay) == 1


def test_a_stream_over_the_capacity_is_refused_and_stays_the_callers(pair: Callable[..., Pair], relay: Relay) -> None:
    for _ in range(50):
        last = pair(two_way=True)
    with pytest.raises(TooMany):
        relay.require_room("alice")
    left, right = socket.socketpair()
    with left, right:
        with pytest.raises(TooMany):
            relay.add(Stream(client=left, upstream=right))
        left.sendall(b"open")
        assert right.recv(4) == b"open"
    last.close()
    assert last.closed.wait(WAIT)
    relay.require_room("alice")


def test_an_account_over_its_share_is_refused_and_others_are_not(pair: Callable[..., Pair], relay: Relay) -> None:
    for _ in range(20):
        last = pair(two_way=True, account="alice")
    with pytest.raises(TooMany, match="20 of 20"):
        relay.require_room("alice")
    left, right = socket.socketpair()
    with left, right, pytest.raises(TooMany):
        relay.add(Stream(client=left, upstream=right, account="alice"))
    relay.require_room("bob")
    pair(two_way=True, account="bob")
    last.close()
    assert last.closed.wait(WAIT)
    relay.require_room("alice")


def test_stop_closes_everything_and_refuses_more(pair: Callable[..., Pair], relay: Relay) -> None:
    it = pair(two_way=True)
    relay.stop(WAIT)
    assert it.closed.is_set()
    assert read_all(it.client) == b""
    with pytest.raises(Unavailable):
        relay.require_room("alice")
    left, right = socket.socketpair()
    with left, right, pytest.raises(Unavailable):
        relay.add(Stream(client=left, upstream=right))


def test_every_runs_again_and_again_never_twice_at_a_time_and_survives_errors(relay: Relay) -> None:
    running, overlaps, calls = [0], [0], threading.Semaphore(0)

    def work() -> None:
        running[0] += 1
        overlaps[0] += running[0] > 1
        time.sleep(0.06)
        running[0] -= 1
        calls.release()
        raise ValueError("once more")

    relay.every(0.02, work)
    for _ in range(4):
        assert calls.acquire(timeout=WAIT)
    assert overlaps == [0]


def test_on_close_is_called_once_and_may_fail(relay: Relay, pair: Callable[..., Pair]) -> None:
    calls = []

    def closed() -> None:
        calls.append(1)
        raise ValueError("no")

    client, theirs = socket.socketpair()
    engine, upstream = socket.socketpair()
    relay.add(Stream(client=theirs, upstream=upstream, two_way=True, identity="x", on_close=closed))
    relay.cut({"x"})
    relay.cut({"x"})
    client.close()
    engine.close()
    it = pair(two_way=True)
    it.client.sendall(b"fine")
    assert read(it.engine, 4) == b"fine"
    deadline = time.monotonic() + WAIT
    while not calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert calls == [1]


# ---- engines behind TLS -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "engine")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "engine.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


class TlsEngine:
    """An engine that speaks TLS over TCP; `serve(sock)` runs in a thread of its own."""

    def __init__(self, certificate: Path, version: ssl.TLSVersion, serve: Callable[[ssl.SSLSocket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate)
        server.minimum_version = server.maximum_version = version
        # As Go's TLS does: input that ends without a close_notify does not end the output.
        server.options |= ssl.OP_IGNORE_UNEXPECTED_EOF

        def run() -> None:
            accepted, _ = self._listener.accept()
            with server.wrap_socket(accepted, server_side=True) as sock:
                sock.settimeout(WAIT)
                serve(sock)

        self.thread = in_thread(run)
        raw = socket.create_connection(self._listener.getsockname(), timeout=WAIT)
        context = ssl.create_default_context(cafile=str(certificate))
        self.upstream = context.wrap_socket(raw, server_hostname="127.0.0.1")

    def close(self) -> None:
        self.thread.join(WAIT)
        self._listener.close()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_half_close_and_late_output(relay: Relay, certificate: Path, version: ssl.TLSVersion) -> None:
    got = []

    def serve(sock: ssl.SSLSocket) -> None:
        while piece := sock.recv(1000):
            got.append(piece)
        time.sleep(0.2)
        sock.sendall(b"late output")

    engine = TlsEngine(certificate, version, serve)
    client, theirs = socket.socketpair()
    client.settimeout(WAIT)
    with client:
        relay.add(Stream(client=theirs, upstream=engine.upstream, two_way=True, from_client=b"early "))
        client.sendall(b"input")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"late output"
    engine.close()
    assert b"".join(got) == b"early input"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_both_directions_full_at_once(relay: Relay, certificate: Path, version: ssl.TLSVersion) -> None:
    data = os.urandom(MEGABYTE) * 20

    def serve(sock: ssl.SSLSocket) -> None:
        left = len(data)
        while left:
            piece = sock.recv(65536)
            left -= len(piece)
            sock.sendall(piece)

    engine = TlsEngine(certificate, version, serve)
    client, theirs = socket.socketpair()
    client.settimeout(WAIT)
    with client:
        relay.add(Stream(client=theirs, upstream=engine.upstream, two_way=True))
        in_thread(client.sendall, data)
        assert hashlib.sha256(read_all(client)).digest() == hashlib.sha256(data).digest()
    engine.close()


def test_tls_bytes_that_stay_decrypted_after_a_turn_are_not_forgotten(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One record is more than what a turn takes here: no event of the descriptor announces its rest."""
    monkeypatch.setattr(carrier_module, "BLOCK", 1000)
    monkeypatch.setattr(carrier_module, "BURST", 1)
    waiting = threading.Event()

    def serve(sock: ssl.SSLSocket) -> None:
        sock.sendall(b"x" * 16_000)
        waiting.wait(WAIT)

    engine = TlsEngine(certificate, ssl.TLSVersion.TLSv1_2, serve)
    client, theirs = socket.socketpair()
    client.settimeout(WAIT)
    small = Relay()
    with client:
        small.add(Stream(client=theirs, upstream=engine.upstream, two_way=True))
        assert read(client, 16_000) == b"x" * 16_000
        waiting.set()
        engine.close()
    small.stop()


def test_tls_bytes_that_were_decrypted_before_the_stream_began_are_not_forgotten(
    relay: Relay, certificate: Path
) -> None:
    waiting = threading.Event()

    def serve(sock: ssl.SSLSocket) -> None:
        sock.sendall(b"head and first output")
        waiting.wait(WAIT)

    engine = TlsEngine(certificate, ssl.TLSVersion.TLSv1_3, serve)
    assert engine.upstream.recv(9) == b"head and "
    assert engine.upstream.pending()
    client, theirs = socket.socketpair()
    client.settimeout(WAIT)
    with client:
        relay.add(Stream(client=theirs, upstream=engine.upstream, two_way=True))
        assert read(client, 12) == b"first output"
        waiting.set()
        engine.close()
