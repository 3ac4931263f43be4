"""nginx and the service's socket: running, listening, and answering through TLS as a client sees it."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from app.services.doctor import certificates
from app.services.doctor.finding import Finding, Verdict, bad, ok
from app.services.doctor.look import Look

TIMEOUT = 5.0

_PING = b"GET /_ping HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n"
_CLOUDAPI_PING = b"GET /--ping HTTP/1.1\r\nHost: doctor\r\nConnection: close\r\n\r\n"
#: A PROXY v2 header as nginx writes it for a client without a certificate: from 127.0.0.1, verify result NONE.
_PREAMBLE = (
    b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x13" + b"\x7f\x00\x00\x01" * 2 + b"\x00\x01\x00\x01" + b"\xe0\x00\x04NONE"
)


def nginx(look: Look) -> Iterator[Finding]:
    """Its master process, by the file that it writes its id to."""
    if not look.places.nginx_pid:
        return
    path = Path(look.places.nginx_pid)
    try:
        pid = int(path.read_text())
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except (OSError, ValueError):
        yield bad("nginx", "does not run", "start it; its log says why it ended")
        return
    if name != "nginx":
        yield bad("nginx", f"does not run: process {pid} is {name}", "start it; its log says why it ended")
        return
    yield ok("nginx", f"runs as process {pid}")


def docker_port(look: Look) -> Iterator[Finding]:
    if look.places.docker_address:
        ca_file = look.settings.ca_file if look.settings else ""
        yield from through_tls("docker port", look.places.docker_address, ca_file, _PING)


def cloudapi_port(look: Look) -> Iterator[Finding]:
    if look.places.cloudapi_address:
        ca_file = look.settings.ca_file if look.settings else ""
        yield from through_tls("cloudapi port", look.places.cloudapi_address, ca_file, _CLOUDAPI_PING)


def through_tls(name: str, address: str, ca_file: str, request: bytes) -> Iterator[Finding]:
    """A handshake as a client makes it, trusting our CA alone, then one request that needs no account."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        raw = socket.create_connection((host, int(port)), TIMEOUT)
    except OSError as error:
        yield bad(name, f"{address} does not accept: {error.strerror or error}", "start nginx, or free its port")
        return
    with raw:
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
        except OSError as error:
            yield bad(name, f"the CA certificate cannot be read: {error}", "correct SDC_CA_FILE")
            return
        try:
            with context.wrap_socket(raw, server_hostname=host) as tls:
                status = _ask(tls, request)
        except ssl.SSLCertVerificationError as error:
            yield from _not_trusted(name, host, int(port), error)
            return
        except (OSError, ValueError) as error:
            advice = "its log and the finding on the api socket say more"
            yield bad(name, f"{address} does not answer: {error or type(error).__name__}", advice)
            return
    if status == 200:
        yield ok(name, f"{address} answers over TLS")
    else:
        yield bad(name, f"{address} answers with status {status}", "see the finding on the api socket")


def _not_trusted(name: str, host: str, port: int, error: ssl.SSLCertVerificationError) -> Iterator[Finding]:
    """Why a client would not trust the certificate that is really served, which the file on disk need not be."""
    served = _served(host, port)
    if served is not None:
        lasts = certificates.lifetime(name, served, datetime.now(UTC))
        if lasts.verdict is Verdict.BAD:
            yield bad(name, f"its certificate {lasts.seen}", lasts.advice)
            return
    advice = "make a certificate with the CA of SDC_CA_FILE that names this address, and reload nginx"
    yield bad(name, f"clients do not trust its certificate: {error.verify_message}", advice)


def _served(host: str, port: int) -> x509.Certificate | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        raw = socket.create_connection((host, port), TIMEOUT)
        with raw, context.wrap_socket(raw) as tls:
            return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError):
        return None


def api_socket(look: Look) -> Iterator[Finding]:
    """gunicorn, behind nginx' back."""
    path = look.process.socket
    try:
        about = os.stat(path)
    except OSError as error:
        yield bad("api socket", f"{path}: {error.strerror}", "start gunicorn; its log says why it ended")
        return
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(TIMEOUT)
        try:
            raw.connect(path)
            status = _ask(raw, _PREAMBLE + _PING)
        except (OSError, ValueError) as error:
            advice = "start or restart gunicorn; its log says more"
            yield bad("api socket", f"{path} does not answer: {error or type(error).__name__}", advice)
            return
    if status != 200:
        yield bad("api socket", f"answers with status {status}", "see gunicorn's log")
    elif stat.S_IMODE(about.st_mode) & 0o007:
        advice = f"chmod 660 {path}: who can open it can say that he is anybody"
        yield bad("api socket", f"answers, but everybody on this machine may open {path}", advice)
    else:
        yield ok("api socket", "gunicorn answers")


def _ask(connection: socket.socket, request: bytes) -> int:
    """Status of the answer. Raises OSError, or ValueError where the answer is none."""
    connection.sendall(request)
    head = b""
    while b"\r\n" not in head and len(head) < 1000:
        data = connection.recv(1000)
        if not data:
            raise ValueError("the connection ends without an answer")
        head += data
    words = head.split(b" ", 2)
    if len(words) < 3 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ValueError("the answer is not HTTP")
    return int(words[1])


def registry(look: Look) -> Iterator[Finding]:
    """The data center's own registry, where there is one. What it needs of a client is the engines' business."""
    settings = look.settings
    address = (settings.registry_address or settings.registry) if settings else ""
    if not address:
        return
    host, colon, port = address.rpartition(":")
    host, port = (host, port) if colon and port.isdigit() else (address, "443")
    try:
        socket.create_connection((host.strip("[]"), int(port)), TIMEOUT).close()
    except OSError as error:
        advice = "start it, or correct SDC_REGISTRY_ADDRESS; containers run on, pushes and new nodes wait for it"
        yield bad("registry", f"{address} does not accept: {error.strerror or error}", advice)
    else:
        yield ok("registry", f"{address} accepts connections")


def keys(look: Look) -> Iterator[Finding]:
    """Private keys that others on this machine can read."""
    for what, path in (("server key", look.places.server_key), ("CA key", look.places.ca_key)):
        if not path:
            continue
        try:
            mode = stat.S_IMODE(os.stat(path).st_mode)
        except OSError as error:
            yield bad("keys", f"the {what} {path}: {error.strerror}", "put it back from the backup")
            continue
        if mode & 0o077:
            yield bad("keys", f"the {what} {path} can be read by others (mode {mode:04o})", f"chmod 600 {path}")
        else:
            yield ok("keys", f"the {what} is its owner's alone")
