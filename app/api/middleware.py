"""What happens around every request: an id and a log line, the API version, the account."""

from __future__ import annotations

import re
import threading
import time
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import falcon
import structlog

from app import metrics
from app.api import params, versions
from app.errors import InvalidParameter, Unauthorized
from app.services.identity import Credential, Identity, read_certificate
from app.services.system import VERSION

log = structlog.get_logger()

#: Paths that need no account; both tell the same to everybody.
OPEN_PATHS = frozenset({"/_ping", "/ca.pem"})

_VERSIONED = re.compile(r"/v([0-9.]+)(/.*)")
_BAD_PATH = re.compile(r"[\x00-\x1f\x7f]|/\.{1,2}(?:/|$)")

_credential = lru_cache(maxsize=256)(read_certificate)

#: By which somebody was let in, the latest last. Written under the lock.
_let_in: dict[Credential, None] = {}
_let_in_lock = threading.Lock()
_MOST_LET_IN = 4096


def note_let_in(credential: Credential) -> None:
    """For `client_of`, from any thread."""
    if credential in _let_in:
        return
    with _let_in_lock:
        _let_in[credential] = None
        while len(_let_in) > _MOST_LET_IN:
            del _let_in[next(iter(_let_in))]


class RequestLog:
    """A request id for the client and the log; one line and one count per request, once its answer is sent.

    The id is the server's. A stream has its line when it begins, and another when it ends (`hijack.py`).
    """

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.began = time.monotonic()
        req.context.id = req.env.get("sdc.request_id") or str(uuid4())
        req.env["sdc.answered"] = partial(_answered, req)
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=req.context.id)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _ok: bool) -> None:
        for name, value in common_headers(req):
            resp.set_header(name, value)


def _answered(req: falcon.Request, status: int, sent: int, seconds: float) -> None:
    """Called by the server at the answer's end; status 0 says that the connection has become a stream."""
    stream = {"stream": True} if status == 0 else {}
    status = status or req.env.get("sdc.stream_status", 200)
    operation = getattr(req.context, "operation", "")
    account = getattr(req.context, "account", None)
    preamble = req.env.get("sdc.preamble")
    log.info(
        "request",
        account=account.login if account else None,
        method=req.method,
        operation=operation,
        path=req.path,
        status=status,
        ms=round(seconds * 1000, 1),
        bytes=sent,
        client=preamble.source_address if preamble else "",
        **stream,
    )
    metrics.count_request(operation, req.method, status, seconds)
    structlog.contextvars.clear_contextvars()


def common_headers(req: falcon.Request) -> list[tuple[str, str]]:
    """Headers of every answer, hijacked ones too."""
    return [
        ("Api-Version", str(versions.MAXIMUM)),
        ("Docker-Experimental", "false"),
        ("Ostype", "linux"),
        ("Server", f"SDC-Docker/{VERSION} (linux)"),
        ("X-Request-Id", getattr(req.context, "id", "")),
    ]


class ApiVersion:
    """Strips `/vX.Y` off the path, so that the routes need not know of it, and checks the range."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.api_version = versions.CURRENT
        if _BAD_PATH.search(req.path):
            raise InvalidParameter("invalid path")
        if "//" in req.path:
            # Where dockerd's router sends such a path.
            cleaned = re.sub("/{2,}", "/", req.path)
            query = f"?{req.query_string}" if req.query_string else ""
            raise falcon.HTTPMovedPermanently(quote(cleaned, safe="/:@") + query)
        match = _VERSIONED.fullmatch(req.path)
        if match:
            version = versions.parse(match[1])
            req.context.api_version = version
            versions.check(version)
            req.path = match[2]
        req.context.query = params.parse_query(req.query_string)


class WhoIsIt:
    """The account behind the connection: by its certificate alone, asked of the database every time."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        if req.path in OPEN_PATHS:
            return
        credential = credential_of(req)
        req.context.credential = credential
        req.context.account = self._identity.account(credential)
        note_let_in(credential)


def credential_of(req: falcon.Request) -> Credential:
    preamble = req.env["sdc.preamble"]
    return _credential(preamble.certificate, preamble.verify)


def client_of(preamble: Any) -> tuple[str, bool]:
    """The login that a connection's certificate names ("": none), and whether it was let in by it lately."""
    try:
        credential = _credential(preamble.certificate, preamble.verify)
    except Unauthorized:
        return "", False
    return credential.login, credential in _let_in
