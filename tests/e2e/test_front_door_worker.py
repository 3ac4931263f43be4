"""The front door alone: a real nginx with TLS, a real gunicorn with our worker, and a small application behind it.

No database and no engine: the application here stands for both, its "engine" is a thread at the other end of a
socketpair. Everything is in a temporary directory and on a free port.
"""

from __future__ import annotations

import contextlib
import datetime
import grp
import hashlib
import json
import os
import pwd
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

REPOSITORY = Path(__file__).resolve().parents[2]
NGINX = "/usr/sbin/nginx"
WAIT = 20.0

APPLICATION = '''
import hashlib, json, os, socket, threading, time
from pathlib import Path
from urllib.parse import parse_qs

from app.server.stream import Stream


def engine(sock, late):
    """Echoes until the end of input, then says how much it got, after `late` seconds."""
    digest, count = hashlib.sha256(), 0
    while data := sock.recv(65536):
        digest.update(data)
        count += len(data)
        sock.sendall(data)
    time.sleep(late)
    sock.sendall(b"end %d %s" % (count, digest.hexdigest().encode()))
    sock.close()


class Application:
    def worker_started(self, relay):
        Path(f"started-{os.getpid()}").write_text(str(len(relay)))

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        if path.startswith("/hijack/"):
            return self.hijack(environ, path.rpartition("/")[2], float(query.get("late", 0)))
        status, body = "200 OK", b""
        if path == "/identity":
            preamble = environ["sdc.preamble"]
            names = ("source_address", "source_port", "verify", "subject", "certificate")
            answer = {name: getattr(preamble, name) for name in names}
            answer["remote"] = environ["REMOTE_ADDR"]
            body = json.dumps(answer).encode()
        elif path == "/body":
            digest, count = hashlib.sha256(), 0
            while data := environ["wsgi.input"].read(65536):
                digest.update(data)
                count += len(data)
            body = b"%d %s" % (count, digest.hexdigest().encode())
        elif path == "/sleep":
            time.sleep(float(query["seconds"]))
            body = b"slept"
        elif path == "/refuse":
            status, body = "400 Bad Request", b"refused"
        elif path == "/streams":
            body = str(len(environ["sdc.relay"])).encode()
        elif path == "/raise":
            raise ValueError("a detail that no client may see")
        else:
            body = b"OK"
        start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]

    def hijack(self, environ, kind, late):
        environ["wsgi.input"].read()
        ours, theirs = socket.socketpair()
        threading.Thread(target=engine, args=(theirs, late), daemon=True).start()
        client, early = environ["sdc.connection"].take()
        head = {
            "101": b"HTTP/1.1 101 UPGRADED\\r\\nConnection: Upgrade\\r\\nUpgrade: tcp\\r\\n\\r\\n",
            "200": b"HTTP/1.1 200 OK\\r\\nContent-Type: application/vnd.docker.raw-stream\\r\\n\\r\\n",
        }[kind]
        environ["sdc.relay"].add(Stream(client=client, upstream=ours, two_way=True, head=head, from_client=early))
        return []


application = Application()
'''


@dataclass
class Identity:
    """A key with its certificate, as files."""

    certificate: Path
    key: Path
    pem: str


def make_identity(
    folder: Path, name: str, *, signer: Identity | None = None, padding: int = 0, host: str = ""
) -> Identity:
    """A certificate for `name`, self-signed or signed by `signer`; `padding` bytes make it large."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = subject, key
    if signer is not None:
        issuer = x509.load_pem_x509_certificate(signer.certificate.read_bytes()).subject
        loaded = serialization.load_pem_private_key(signer.key.read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        issuer_key = loaded
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if host:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    if padding:
        extension = x509.UnrecognizedExtension(ObjectIdentifier("1.3.6.1.4.1.57264.99"), os.urandom(padding))
        builder = builder.add_extension(extension, critical=False)
    certificate = builder.sign(issuer_key, hashes.SHA256())
    identity = Identity(folder / f"{name}.pem", folder / f"{name}.key", "")
    identity.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    identity.certificate.write_text(identity.pem)
    identity.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return identity


@dataclass
class FrontDoor:
    """The running pair, and the ways to talk to it."""

    folder: Path
    port: int
    ca: Identity
    alice: Identity
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def socket_path(self) -> str:
        return str(self.folder / "api.sock")

    def tcp(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAIT)

    def tls(self, identity: Identity | None = None, version: ssl.TLSVersion | None = None) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.ca.certificate))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if identity is not None:
            context.load_cert_chain(identity.certificate, identity.key)
        return context.wrap_socket(self.tcp(), server_hostname="localhost")

    def unix(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(WAIT)
        sock.connect(self.socket_path)
        return sock

    def ask(self, request: bytes, identity: Identity | None = None) -> bytes:
        """Send one request and return everything up to the end of the connection."""
        with self.tls(identity) as sock:
            sock.sendall(request)
            return read_all(sock)

    def log(self) -> str:
        return (self.folder / "gunicorn.log").read_text() + (self.folder / "nginx-error.log").read_text()


def read_all(sock: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLEOFError):
        while piece := sock.recv(65536):
            data += piece
    return data


def read_response(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One response with a Content-Length, and not a byte more than that."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = sock.recv(1)
        assert piece, f"the connection ended after {head!r}"
        head += piece
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines if line)}
    body = b""
    while len(body) < int(headers.get("content-length", "0")):
        body += sock.recv(int(headers["content-length"]) - len(body))
    return int(first.split()[1]), headers, body


def get(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: x", *headers, "", ""]).encode()


def wait_until(condition: Callable[[], object], what: str, seconds: float = WAIT) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def preamble(address: str = "192.0.2.7", verify: bytes = b"NONE") -> bytes:
    """What nginx would send for a client without a certificate."""
    body = socket.inet_aton(address) + bytes(4) + (4711).to_bytes(2, "big") + (2376).to_bytes(2, "big")
    body += b"\xe0" + len(verify).to_bytes(2, "big") + verify
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(body).to_bytes(2, "big") + body


def start(folder: Path, *options: str) -> FrontDoor:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    ca = make_identity(folder, "ca")
    server = make_identity(folder, "server", signer=ca, host="localhost")
    door = FrontDoor(folder, port, ca, make_identity(folder, "alice"))

    if os.geteuid() == 0:
        user, group = "www-data", "www-data"
    else:
        user, group = pwd.getpwuid(os.geteuid()).pw_name, grp.getgrgid(os.getegid()).gr_name
    text = (REPOSITORY / "deploy/nginx/nginx.conf").read_text()
    for name, value in {
        "USER": user,
        "GROUP": group,
        "RUN_DIR": folder,
        "LOG": folder / "nginx-error.log",
        "MODULES_DIR": "/usr/lib/nginx/modules",
        "NJS_DIR": REPOSITORY / "deploy/nginx",
        "PORT": f"127.0.0.1:{port}",
        "SERVER_CERT": server.certificate,
        "SERVER_KEY": server.key,
        "CLIENT_CA": ca.certificate,
        "SOCKET": door.socket_path,
        "CLOUDAPI_PORT": f"unix:{folder}/cloudapi-port",
        "CLOUDAPI_SOCKET": folder / "cloudapi.sock",
    }.items():
        text = text.replace(f"@{name}@", str(value))
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    (folder / "frontdoorstub.py").write_text(APPLICATION)

    environment = os.environ | {
        "PYTHONPATH": f"{REPOSITORY}:{folder}",
        "SDC_RUN_DIR": str(folder),
        "SDC_SOCKET": door.socket_path,
        "SDC_SOCKET_GROUP": group,
        "SDC_WORKERS": "1",
        "SDC_THREADS": "4",
    }
    command = [sys.executable, "-m", "app.server", "-c", str(REPOSITORY / "deploy/gunicorn.conf.py")]
    with (folder / "gunicorn.log").open("wb") as log:
        door.processes["gunicorn"] = subprocess.Popen(
            [*command, "--graceful-timeout", "8", *options, "frontdoorstub:application"],
            env=environment,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: os.path.exists(door.socket_path), "gunicorn's socket")
        _start_nginx(door, configuration)
    except BaseException:
        stop(door)
        raise
    return door


def _start_nginx(door: FrontDoor, configuration: Path) -> None:
    folder = door.folder
    with (folder / "nginx.log").open("wb") as log:
        door.processes["nginx"] = subprocess.Popen(
            [NGINX, "-p", str(folder), "-e", str(folder / "nginx-error.log"), "-c", str(configuration)],
            stdout=log,
            stderr=log,
        )

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return door.ask(get("/_ping", "Connection: close")).startswith(b"HTTP/1.1 200")
        return False

    wait_until(answers, "an answer through nginx")


def stop(door: FrontDoor) -> None:
    for process in door.processes.values():
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
    for process in door.processes.values():
        try:
            process.wait(WAIT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(WAIT)


@contextlib.contextmanager
def front_door(*options: str) -> Iterator[FrontDoor]:
    folder = Path(tempfile.mkdtemp(prefix="front-door-"))
    folder.chmod(0o755)  # nginx's workers are another user
    door = None
    try:
        door = start(folder, *options)
        yield door
    finally:
        if door is not None:
            stop(door)
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def door() -> Iterator[FrontDoor]:
    with front_door() as running:
        yield running


# ---- identity ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_self_signed_certificate_reaches_the_application_whole(door: FrontDoor, version: ssl.TLSVersion) -> None:
    with door.tls(door.alice, version) as sock:
        sock.sendall(get("/identity"))
        status, headers, body = read_response(sock)
        source = sock.getsockname()
    identity = json.loads(body)
    assert status == 200
    assert identity["certificate"] == door.alice.pem
    assert identity["subject"] == "CN=alice"
    assert identity["verify"] == "FAILED:self-signed certificate"
    assert (identity["source_address"], identity["source_port"]) == source == ("127.0.0.1", identity["source_port"])
    assert identity["remote"] == "127.0.0.1"
    assert "server" not in headers


def test_no_certificate_is_said_to_be_none(door: FrontDoor) -> None:
    identity = json.loads(door.ask(get("/identity", "Connection: close")).partition(b"\r\n\r\n")[2])
    assert (identity["verify"], identity["subject"], identity["certificate"]) == ("NONE", "", "")


def test_a_certificate_of_the_data_centers_ca_is_verified(door: FrontDoor) -> None:
    bob = make_identity(door.folder, "bob", signer=door.ca)
    identity = json.loads(door.ask(get("/identity", "Connection: close"), bob).partition(b"\r\n\r\n")[2])
    assert (identity["verify"], identity["subject"], identity["certificate"]) == ("SUCCESS", "CN=bob", bob.pem)


def test_a_large_certificate_below_the_limit_arrives(door: FrontDoor) -> None:
    large = make_identity(door.folder, "large", padding=20_000)
    identity = json.loads(door.ask(get("/identity", "Connection: close"), large).partition(b"\r\n\r\n")[2])
    assert identity["certificate"] == large.pem


@pytest.mark.parametrize("padding", [26_000, 60_000])
def test_a_certificate_over_the_limit_closes_the_connection(door: FrontDoor, padding: int) -> None:
    oversized = make_identity(door.folder, f"oversized{padding}", padding=padding)
    try:
        answer = door.ask(get("/identity", "Connection: close"), oversized)
    except (ssl.SSLError, ConnectionError):
        answer = b""
    assert answer == b""


def test_two_requests_on_a_connection_have_the_same_identity(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        identities = []
        for _ in range(2):
            sock.sendall(get("/identity"))
            identities.append(json.loads(read_response(sock)[2]))
    assert identities[0] == identities[1]
    assert identities[1]["certificate"] == door.alice.pem


def test_pipelined_requests_are_answered_in_order(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        body = b"x" * 1000
        post = get("/body", f"Content-Length: {len(body)}", method="POST") + body
        sock.sendall(post + get("/identity") + post + get("/_ping"))
        answers = [read_response(sock)[2] for _ in range(4)]
    assert answers[0] == answers[2] == b"1000 " + hashlib.sha256(body).hexdigest().encode()
    assert json.loads(answers[1])["certificate"] == door.alice.pem
    assert answers[3] == b"OK"


def test_an_identity_in_headers_stays_a_header(door: FrontDoor) -> None:
    request = get("/identity", "X-Forwarded-For: 9.9.9.9", "X-SDC-Client-Cert: forged", "Connection: close")
    identity = json.loads(door.ask(request, door.alice).partition(b"\r\n\r\n")[2])
    assert identity["source_address"] == identity["remote"] == "127.0.0.1"
    assert identity["certificate"] == door.alice.pem


@pytest.mark.parametrize("header", ["PATH_INFO: /_ping", "SCRIPT_NAME: /x", "X_SDC: y", "SDC.PREAMBLE_: y"])
def test_headers_with_underscores_are_refused(door: FrontDoor, header: str) -> None:
    assert door.ask(get("/identity", header), door.alice).startswith(b"HTTP/1.1 400 ")


def test_a_second_preamble_through_nginx_is_refused(door: FrontDoor) -> None:
    answer = door.ask(preamble(verify=b"SUCCESS") + get("/identity", "Connection: close"), door.alice)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"192.0.2.7" not in answer


def test_a_preamble_in_place_of_a_later_request_is_refused(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/_ping"))
        assert read_response(sock)[0] == 200
        sock.sendall(preamble(verify=b"SUCCESS") + get("/identity"))
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"192.0.2.7" not in answer


@pytest.mark.parametrize(
    "first",
    [
        get("/identity"),
        b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n" + get("/identity"),
        b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00" + get("/identity"),
        preamble(verify=b"") + get("/identity"),
        preamble(verify=b"SUCCESS") + get("/identity"),
    ],
)
def test_without_a_valid_preamble_the_socket_gives_no_service(door: FrontDoor, first: bytes) -> None:
    with door.unix() as sock:
        sock.sendall(first)
        assert read_all(sock) == b""


def test_the_socket_is_for_nginx_and_us_alone(door: FrontDoor) -> None:
    found = os.stat(door.socket_path)
    assert found.st_mode & 0o777 == 0o660
    assert found.st_uid == os.geteuid()
    if os.geteuid() == 0:
        assert grp.getgrgid(found.st_gid).gr_name == "www-data"


# ---- clients that are slow, silent or wrong ----------------------------------------------------------------------


def timed_ping(door: FrontDoor) -> float:
    began = time.monotonic()
    assert door.ask(get("/_ping", "Connection: close"), door.alice).endswith(b"OK")
    return time.monotonic() - began


def test_silent_connections_delay_nobody_and_are_closed(door: FrontDoor) -> None:
    began = time.monotonic()
    silent: list[socket.socket] = [door.tcp() for _ in range(50)]
    silent += [door.tls() for _ in range(200)]
    # These reach the worker, with half a head or without their small body.
    half: list[socket.socket] = [door.tls(door.alice) for _ in range(100)]
    for number, talker in enumerate(half):
        no_body = get("/body", "Content-Length: 500", method="POST")
        talker.sendall(b"GET /_ping HTTP/1.1\r\nHost" if number < 50 else no_body)
    times = sorted(timed_ping(door) for _ in range(20))
    assert times[-1] < 1.0, times
    for sock in silent + half[:50]:
        sock.settimeout(max(0.1, began + 15 - time.monotonic()))
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            assert sock.recv(100) == b""
    assert 8.0 < time.monotonic() - began < 15.0
    for sock in silent + half:
        sock.close()


def test_a_head_that_trickles_is_closed_at_the_deadline(door: FrontDoor) -> None:
    began = time.monotonic()
    with door.tls(door.alice) as sock:
        sock.sendall(b"GET /_ping HTTP/1.1\r\n")
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 15:
                sock.sendall(b"X-A: b\r\n")
                sock.settimeout(0.5)
                with contextlib.suppress(TimeoutError):
                    assert sock.recv(100) == b""
                    break
    assert 9.0 < time.monotonic() - began < 13.0


def test_a_preamble_without_more_is_closed_at_the_deadline(door: FrontDoor) -> None:
    began = time.monotonic()
    with door.unix() as whole, door.unix() as part:
        whole.sendall(preamble())
        part.sendall(preamble()[:20])
        assert read_all(whole) == read_all(part) == b""
    assert 9.0 < time.monotonic() - began < 13.0


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/_ping", *(f"X-{n}: {'y' * 8000}" for n in range(9))),
        b"GET /_ping HTTP/1.1\r\n" + b"X" * 70_000,
        get("/_ping", "X-Big: " + "y" * 17_000),
        get("/_ping", *(f"X-{n}: y" for n in range(70))),
    ],
)
def test_a_head_over_a_limit_is_431_and_closed(door: FrontDoor, request_bytes: bytes) -> None:
    answer = door.ask(request_bytes, door.alice)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b'{"message":' in answer


def test_a_request_line_over_the_limit_is_414(door: FrontDoor) -> None:
    assert door.ask(get("/" + "x" * 9000), door.alice).startswith(b"HTTP/1.1 414 ")


@pytest.mark.parametrize(
    "request_bytes",
    [
        get("/body", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n",
        get("/body", "Transfer-Encoding: chunked", "Content-Length: 0", method="POST") + b"5\r\nhello\r\n0\r\n\r\n",
        get("/body", "Content-Length: 5", "Content-Length: 5", method="POST") + b"hello",
        get("/body", "Content-Length: +5", method="POST") + b"hello",
        get("/body", "Content-Length: 5, 5", method="POST") + b"hello",
        get("/body", "Content-Length : 5", method="POST") + b"hello",
        get("/body", "Transfer-Encoding: gzip", method="POST") + b"hello",
        get("/body", "Transfer-Encoding: chunked, chunked", method="POST") + b"0\r\n\r\n",
        get("/body", "Transfer-Encoding: chunked", method="POST", version="1.0") + b"0\r\n\r\n",
        get("/_ping", "X: a", " folded: b"),
        get("/_ping", "X: a\nY: b"),
        get("/_ping", "X: a\rY: b"),
        get("/_ping", "X: a\0b"),
        get("/_ping\x00"),
        get("/a b"),
        b"\r\n\r\n" + get("/_ping"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"nonsense\r\n\r\n",
        get("/_ping", "Host: a"),
    ],
)
def test_what_could_be_read_in_two_ways_is_400_and_closed(door: FrontDoor, request_bytes: bytes) -> None:
    answer = door.ask(request_bytes + get("/identity"), door.alice)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_an_unknown_transfer_coding_is_501_and_closed(door: FrontDoor) -> None:
    answer = door.ask(get("/body", "Transfer-Encoding: cow", method="POST") + get("/identity"), door.alice)
    assert answer.startswith(b"HTTP/1.1 501 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_bad_chunk_is_400_and_closed(door: FrontDoor) -> None:
    request = get("/body", "Transfer-Encoding: chunked", method="POST") + b"zz\r\nhello\r\n0\r\n\r\n"
    answer = door.ask(request + get("/identity"), door.alice)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_http2_over_cleartext_is_not_offered(door: FrontDoor) -> None:
    request = get(
        "/_ping",
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
    )
    with door.tls(door.alice) as sock:
        sock.sendall(request)
        assert read_response(sock)[0] == 200


def test_an_error_in_the_application_shows_no_detail(door: FrontDoor) -> None:
    answer = door.ask(get("/raise"), door.alice)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"detail" not in answer
    assert "a detail that no client may see" in door.log()


# ---- bodies ------------------------------------------------------------------------------------------------------


def test_bodies_of_all_kinds_arrive_whole(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        for size in (0, 1, 65_536, 65_537, 3_000_000):
            body = os.urandom(size)
            expected = b"%d %s" % (size, hashlib.sha256(body).hexdigest().encode())
            sock.sendall(get("/body", f"Content-Length: {size}", method="POST") + body)
            assert read_response(sock)[2] == expected
            chunks = b"".join(
                b"%x\r\n%s\r\n" % (len(piece), piece)
                for piece in (body[at : at + 50_000] for at in range(0, size, 50_000))
            )
            sock.sendall(get("/body", "Transfer-Encoding: chunked", method="POST") + chunks + b"0\r\n\r\n")
            assert read_response(sock)[2] == expected


@pytest.mark.parametrize("sizes", [(1000, 300_000, 1000), (300_000, 1000, 300_000)])
def test_expect_100_continue(door: FrontDoor, sizes: tuple[int, ...]) -> None:
    """Each request is told to go on, once."""
    with door.tls(door.alice) as sock:
        for size in sizes:
            body = os.urandom(size)
            sock.sendall(get("/body", f"Content-Length: {size}", "Expect: 100-continue", method="POST"))
            assert read_response(sock)[0] == 100
            sock.sendall(body)
            status, _, answer = read_response(sock)
            assert status == 200
            assert answer == b"%d %s" % (size, hashlib.sha256(body).hexdigest().encode())


def test_an_error_before_the_body_was_read_closes_and_is_seen(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/refuse", "Content-Length: 5000000", method="POST") + os.urandom(1_000_000))
        status, headers, body = read_response(sock)
        assert (status, headers["connection"], body) == (400, "close", b"refused")
        assert read_all(sock) == b""


def test_a_close_after_a_response_is_no_reset(door: FrontDoor) -> None:
    """Closing with unread input would be one, and nginx would be free to drop the response."""
    with door.unix() as sock:
        sock.sendall(preamble() + get("/refuse", "Content-Length: 5000000", method="POST") + bytes(1_000_000))
        assert read_response(sock)[0] == 400
        assert sock.recv(100) == b""
        sock.sendall(bytes(1_000_000))


def test_a_body_that_nobody_read_is_not_waited_for(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/_ping", "Content-Length: 70000", method="POST") + get("/identity"))
        assert read_response(sock)[2] == b"OK"
        sock.settimeout(3)
        assert read_all(sock) == b""


def test_an_error_with_the_body_at_hand_keeps_the_connection(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        for _ in range(2):
            sock.sendall(get("/refuse", "Content-Length: 10", method="POST") + b"0123456789")
            assert read_response(sock)[0] == 400


def test_a_truncated_body_is_not_taken_for_a_whole_one(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/body", "Content-Length: 100000", method="POST") + b"x" * 90_000)
        socket.socket.shutdown(sock, socket.SHUT_WR)
        assert not read_all(sock).startswith(b"HTTP/1.1 200")


def test_bodies_that_stall_hold_threads_and_nothing_else(door: FrontDoor) -> None:
    """Three of the four threads wait for large bodies; the loop and the fourth go on."""
    stalled = []
    for _ in range(3):
        sock = door.tls(door.alice)
        sock.sendall(get("/body", "Content-Length: 1000000", method="POST") + b"x" * 1000)
        stalled.append(sock)
    assert max(timed_ping(door) for _ in range(10)) < 1.0
    for sock in stalled:
        sock.close()


# ---- streams -----------------------------------------------------------------------------------------------------

HIJACK_101 = get("/hijack/101?late=1.0", "Connection: Upgrade", "Upgrade: tcp", method="POST")


def end_line(data: bytes) -> bytes:
    return b"end %d %s" % (len(data), hashlib.sha256(data).hexdigest().encode())


class CloseNotifyClient:
    """A TLS client that can end its direction with a close_notify and go on reading, as Go's can and SSLSocket cannot:
    `SSLSocket.unwrap` reads for the peer's close_notify and throws away the data that comes instead."""

    def __init__(self, door: FrontDoor, version: ssl.TLSVersion) -> None:
        context = ssl.create_default_context(cafile=str(door.ca.certificate))
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(door.alice.certificate, door.alice.key)
        self.sock = door.tcp()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
        self._waiting = b""
        self._until_done(self._tls.do_handshake)

    def _until_done(self, step: Callable[[], object]) -> object:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                self.sock.sendall(self._out.read())
                data = self.sock.recv(65536)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()
            finally:
                self.sock.sendall(self._out.read())

    def send(self, data: bytes) -> None:
        self._until_done(lambda: self._tls.write(data))

    def receive(self) -> bytes:
        data = self._until_done(lambda: self._tls.read(65536))
        assert isinstance(data, bytes)
        return data

    def end(self) -> None:
        # `unwrap` fails where data has come already that nobody has read.
        with contextlib.suppress(ssl.SSLWantReadError):
            while piece := self._tls.read(65536):
                self._waiting += piece
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.unwrap()
        self.sock.sendall(self._out.read())

    def receive_all(self) -> bytes:
        data = self._waiting
        with contextlib.suppress(ssl.SSLEOFError):
            while piece := self.receive():
                data += piece
        return data


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_output_after_a_close_notify_arrives(door: FrontDoor, version: ssl.TLSVersion) -> None:
    """How clients of today end their input."""
    client = CloseNotifyClient(door, version)
    with client.sock:
        # Early stdin: behind the head, in the same segment.
        client.send(HIJACK_101 + b"early")
        head, _, output = client.receive().partition(b"\r\n\r\n")
        assert head == b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp"
        client.send(b" and late")
        client.end()
        output += client.receive_all()
    assert output == b"early and late" + end_line(b"early and late")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_output_after_a_raw_shutdown_arrives(door: FrontDoor, version: ssl.TLSVersion) -> None:
    """How clients up to 1.12 end their input."""
    with door.tls(door.alice, version) as sock:
        sock.sendall(HIJACK_101 + b"early")
        sock.sendall(b" and late")
        socket.socket.shutdown(sock, socket.SHUT_WR)
        output = read_all(sock).partition(b"\r\n\r\n")[2]
    assert output == b"early and late" + end_line(b"early and late")


def test_a_200_hijack_is_raw_until_the_end(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/hijack/200", "Content-Length: 2", method="POST") + b"{}stdin")
        socket.socket.shutdown(sock, socket.SHUT_WR)
        head, _, output = read_all(sock).partition(b"\r\n\r\n")
    assert head == b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream"
    assert output == b"stdin" + end_line(b"stdin")


def test_a_hijack_after_other_requests_and_with_a_chunked_body(door: FrontDoor) -> None:
    with door.tls(door.alice) as sock:
        sock.sendall(get("/_ping"))
        assert read_response(sock)[0] == 200
        request = get("/hijack/200", "Transfer-Encoding: chunked", method="POST")
        sock.sendall(request + b"2\r\n{}\r\n0\r\n\r\nstdin")
        socket.socket.shutdown(sock, socket.SHUT_WR)
        output = read_all(sock).partition(b"\r\n\r\n")[2]
    assert output == b"stdin" + end_line(b"stdin")


def exchange(sock: ssl.SSLSocket, data: bytes) -> bytearray:
    """Send `data`, then the end of input, and meanwhile read everything. One thread: OpenSSL's objects need that."""
    sock.setblocking(False)
    output, unsent = bytearray(), memoryview(data)
    buffer = bytearray(1 << 18)
    deadline = time.monotonic() + 3 * WAIT
    while time.monotonic() < deadline:
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while count := sock.recv_into(buffer):
                output += buffer[:count]
            return output
        if unsent:
            with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                unsent = unsent[sock.send(unsent[:65536]) :]
            if not unsent:
                socket.socket.shutdown(sock, socket.SHUT_WR)
        select.select([sock], [sock] if unsent else [], [], 1.0)
    raise AssertionError(f"no end after {len(output)} bytes")


def test_both_directions_full_at_once(door: FrontDoor) -> None:
    data = os.urandom(1 << 20) * 50
    with door.tls(door.alice) as sock:
        sock.sendall(get("/hijack/101", "Connection: Upgrade", "Upgrade: tcp", method="POST"))
        assert sock.recv(200).startswith(b"HTTP/1.1 101")

        output = exchange(sock, data)
    assert len(output) == len(data) + len(end_line(data))
    assert output.endswith(end_line(data))
    assert hashlib.sha256(output[: len(data)]).digest() == hashlib.sha256(data).digest()


def test_streams_hold_no_thread_and_the_count_comes_back(door: FrontDoor) -> None:
    def streams() -> int:
        return int(door.ask(get("/streams", "Connection: close"), door.alice).partition(b"\r\n\r\n")[2])

    before = streams()
    open_streams = []
    for _ in range(40):  # ten times the threads
        sock = door.tls(door.alice)
        sock.sendall(get("/hijack/101", "Connection: Upgrade", "Upgrade: tcp", method="POST"))
        assert sock.recv(200).startswith(b"HTTP/1.1 101")
        open_streams.append(sock)
    assert streams() == before + 40
    assert timed_ping(door) < 1.0
    for sock in open_streams:
        sock.close()
    wait_until(lambda: streams() == before, "the streams' end")


# ---- the worker's life -------------------------------------------------------------------------------------------


def test_the_application_is_told_of_its_worker(door: FrontDoor) -> None:
    assert [path.read_text() for path in door.folder.glob("started-*")] == ["0"]


def test_idle_connections_are_kept_for_longer_than_75_seconds() -> None:
    """The number itself, without waiting for it: the settings that the worker was started with."""
    settings: dict[str, object] = {}
    exec((REPOSITORY / "deploy/gunicorn.conf.py").read_text(), settings)
    assert isinstance(settings["keepalive"], int)
    assert settings["keepalive"] >= 75


def test_at_the_connection_limit_an_idle_connection_makes_room() -> None:
    """Also after many streams: each leaves the count of connections once, or this limit would move."""
    with front_door("--worker-connections", "10") as door, contextlib.ExitStack() as stack:
        for _ in range(25):
            with door.tls(door.alice) as sock:
                sock.sendall(get("/hijack/101", "Connection: Upgrade", "Upgrade: tcp", method="POST") + b"x")
                socket.socket.shutdown(sock, socket.SHUT_WR)
                assert read_all(sock).endswith(b"x" + end_line(b"x"))
        idle = [stack.enter_context(door.tls(door.alice)) for _ in range(10)]
        for sock in idle:
            sock.sendall(get("/_ping"))
            assert read_response(sock)[0] == 200
        assert timed_ping(door) < 2.0
        assert read_all(idle[0]) == b""  # the one that was idle for the longest time
        idle[9].sendall(get("/_ping"))
        assert read_response(idle[9])[0] == 200


def test_a_worker_whose_threads_are_all_busy_leaves_new_connections_to_another() -> None:
    with front_door("--workers", "2", "--threads", "1") as door, contextlib.ExitStack() as stack:
        wait_until(lambda: len(list(door.folder.glob("started-*"))) == 2, "two workers")
        busy = stack.enter_context(door.tls(door.alice))
        busy.sendall(get("/sleep?seconds=3"))
        time.sleep(0.2)
        assert max(timed_ping(door) for _ in range(10)) < 1.0
        assert read_response(busy)[2] == b"slept"


def test_sigterm_lets_requests_and_streams_end_and_closes_what_does_not() -> None:
    with front_door() as door, door.tls(door.alice) as short, door.tls(door.alice) as ending:
        with door.tls(door.alice) as endless, door.tls(door.alice) as idle, door.tls(door.alice) as late:
            for sock in (idle, late):
                sock.sendall(get("/_ping"))
                assert read_response(sock)[0] == 200
            for stream in (ending, endless):
                stream.sendall(get("/hijack/101?late=1.5", "Connection: Upgrade", "Upgrade: tcp", method="POST"))
                assert stream.recv(200).startswith(b"HTTP/1.1 101")
            short.sendall(get("/sleep?seconds=1.5"))
            time.sleep(0.3)
            began = time.monotonic()
            door.processes["gunicorn"].terminate()
            time.sleep(0.5)
            late.sendall(get("/_ping"))
            status, headers, _ = read_response(late)
            assert (status, headers["connection"]) == (200, "close")
            ending.sendall(b"still here")
            socket.socket.shutdown(ending, socket.SHUT_WR)
            status, _, body = read_response(short)
            assert (status, body) == (200, b"slept")
            assert read_all(ending) == b"still here" + end_line(b"still here")
            assert read_all(idle) == b""
            assert read_all(endless) == b""
            assert door.processes["gunicorn"].wait(WAIT) == 0
            assert 4.0 < time.monotonic() - began < 8.0
        assert not os.path.exists(door.socket_path)
