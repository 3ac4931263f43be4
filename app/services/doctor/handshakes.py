"""nginx's log: connections that got no service, and the likely reason.

Two forms are understood: the lines that our configuration writes for such connections (`[refused]`), and nginx's own
lines about TLS where its error log is at the level "info".
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.services.doctor.finding import Finding, ok, span, warn
from app.services.doctor.look import Look

#: The end of the log that is read, and how old a line may be to count.
MOST_BYTES, MOST_AGE = 4 << 20, timedelta(days=1)

_REFUSED = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S+) \[refused\] client: (?P<client>\S+), status: (?P<status>\d+), "
    r'tls: "(?P<tls>[^"]*)", verify: "(?P<verify>[^"]*)"'
)
_OWN = re.compile(
    r"(?P<at>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[\w+\] .*?"
    r"(?P<what>SSL_do_handshake\(\) failed|peer closed connection in SSL handshake|"
    r"client SSL certificate verify error|SSL_write\(\) failed|SSL_read\(\) failed)(?P<rest>.*)"
)
_CLIENT = re.compile(r"client: ([0-9a-fA-F.:]+)")

#: A piece of OpenSSL's words -> what it means here and what to do.
_CAUSES: tuple[tuple[str, str, str], ...] = (
    ("certificate has expired", "the client's certificate has expired", "the account makes a new one from its key"),
    ("certificate expired", "the client says that our certificate has expired", "see the server certificate"),
    ("not yet valid", "the client's certificate is not valid yet", "compare the clocks"),
    ("unknown ca", "the client does not trust our CA", "it needs this data center's ca.pem, served at /ca.pem"),
    ("bad certificate", "the client refuses our certificate", "its name for us must be in the server certificate"),
    ("certificate unknown", "the client refuses our certificate", "it needs our ca.pem and one of our names"),
    ("certificate revoked", "the client says that our certificate is revoked", "make a new one"),
    ("http request", "plain HTTP on the TLS port", "the client has to set DOCKER_TLS_VERIFY=1"),
    ("wrong version number", "no TLS on the TLS port", "the client has to set DOCKER_TLS_VERIFY=1"),
    ("unsupported protocol", "a TLS version below 1.2", "the client needs a newer TLS"),
    ("no shared cipher", "no common cipher", "the client needs a newer TLS"),
    ("certificate chain too long", "a chain of certificates", "the client sends its own certificate only"),
)
_UNTRUSTED = ("the client did not trust our certificate", "it needs our ca.pem and a name that our certificate has")
_SILENT = ("no TLS on the TLS port, or nothing", "port scanners do this; a client has to set DOCKER_TLS_VERIFY=1")
_TOO_OLD = ("a TLS version below 1.2", "the client needs a newer TLS")
_STATUS = {
    "502": ("the service did not accept the connection", "see the finding on the api socket"),
    "503": ("too many connections of one address", "limit_conn in nginx's configuration"),
}
_NOT_ACCEPTED = "the account makes a new one from its key"


@dataclass(frozen=True)
class Refusal:
    at: datetime
    client: str
    cause: str
    advice: str


def check(look: Look) -> Iterator[Finding]:
    if look.places.nginx_log:
        yield from_log(Path(look.places.nginx_log), datetime.now(UTC))


def from_log(path: Path, now: datetime) -> Finding:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError as error:
        advice = "correct SDC_NGINX_LOG, or run this as a user who may read it"
        return warn("handshakes", f"{path} cannot be read: {error.strerror}", advice)
    return judge([r for r in read(lines) if now - r.at < MOST_AGE], now)


def judge(refusals: list[Refusal], now: datetime) -> Finding:
    if not refusals:
        return ok("handshakes", "none was refused within a day")
    causes = Counter(r.cause for r in refusals).most_common()
    last = max(refusals, key=lambda r: r.at)
    words = ", ".join(f"{cause} ({count})" for cause, count in causes[:4])
    ago = span(max((now - last.at).total_seconds(), 0))
    seen = f"refused within a day: {words}; the last {ago} ago, from {last.client}: {last.cause}"
    # Scanners are everywhere.
    worth = [r.advice for r in refusals if (r.cause, r.advice) != _SILENT]
    if not worth:
        return ok("handshakes", seen)
    return warn("handshakes", seen, Counter(worth).most_common(1)[0][0])


def read(lines: Iterable[str]) -> Iterator[Refusal]:
    for line in lines:
        if found := _REFUSED.search(line):
            at = datetime.fromisoformat(found["at"]).astimezone(UTC)
            yield Refusal(at, found["client"], *cause(found["status"], found["tls"], found["verify"]))
        elif found := _OWN.search(line):
            # By the machine's own clock and zone.
            at = datetime.strptime(found["at"], "%Y/%m/%d %H:%M:%S").astimezone(UTC)
            client = _CLIENT.search(line)
            words = f"{found['what']}{found['rest']}".lower()
            why = next((why for piece, *why in _CAUSES if piece in words), list(_UNTRUSTED))
            yield Refusal(at, client[1] if client else "somebody", why[0], why[1])


def cause(status: str, tls: str, verify: str) -> tuple[str, str]:
    """What a refused connection's line means."""
    for piece, meaning, advice in _CAUSES:
        if piece in verify.lower():
            return meaning, advice
    if verify.startswith("FAILED:"):
        return f"the client's certificate: {verify.removeprefix('FAILED:')}", _NOT_ACCEPTED
    if status in _STATUS:
        return _STATUS[status]
    # The handshake did not come to its end. nginx names its own best version and no cipher where there was no TLS; in
    # 1.3 the cipher is agreed on before the client looks at our certificate.
    version, _, cipher = tls.partition(" ")
    if version in ("SSLv3", "TLSv1", "TLSv1.1"):
        return _TOO_OLD
    return _SILENT if version != "TLSv1.2" and cipher in ("", "-", "(NONE)") else _UNTRUSTED
