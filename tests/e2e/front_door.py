"""The front door alone: a real nginx with TLS, a real gunicorn with our worker, and a small application behind it.

No database and no engine: the application here stands for both, its "engine" is a thread at the other end of a
socketpair. Everything is in a temporary directory and on a free port.
"""

from __future__ import annotations

import contextlib
import datetime
import grp
import hashlib
import os
import pwd
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from tests.machine import ROOT, wait_until

NGINX = "/usr/sbin/nginx"
WAIT = 40.0

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
    def __init__(self):
        if "TURNS" in os.environ:
            self.client_of = lambda preamble: (preamble.certificate, True)

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
        elif path == "/held":
            Path("held").touch()
            while not Path("let-go").exists():
                time.sleep(0.05)
            body = b"let go"
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
    text = (ROOT / "deploy/nginx/nginx.conf").read_text()
    for name, value in {
        "USER": user,
        "GROUP": group,
        "RUN_DIR": folder,
        "LOG": folder / "nginx-error.log",
        "MODULES_DIR": "/usr/lib/nginx/modules",
        "NJS_DIR": ROOT / "deploy/nginx",
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
        "PYTHONPATH": f"{ROOT}:{folder}",
        "SDC_RUN_DIR": str(folder),
        "SDC_SOCKET": door.socket_path,
        "SDC_SOCKET_GROUP": group,
        "SDC_WORKERS": "1",
        "SDC_THREADS": "4",
    }
    command = [sys.executable, "-m", "app.server", "-c", str(ROOT / "deploy/gunicorn.conf.py")]
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


def timed_ping(door: FrontDoor) -> float:
    began = time.monotonic()
    assert door.ask(get("/_ping", "Connection: close"), door.alice).endswith(b"OK")
    return time.monotonic() - began


def end_line(data: bytes) -> bytes:
    return b"end %d %s" % (len(data), hashlib.sha256(data).hexdigest().encode())
