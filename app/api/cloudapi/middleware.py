"""What happens around every request to CloudAPI: an id and a log line, who signed it, whose path it is, the audit."""

from __future__ import annotations

import ipaddress
import time
from datetime import UTC, datetime
from uuid import uuid4

import falcon
import structlog

from app.api.audit import REFUSED
from app.api.cloudapi import VERSION
from app.domain import http_signature
from app.domain.audit import Entry, Result, Source
from app.errors import Forbidden, NotFound, TooLarge, Unauthorized
from app.services.audit import Recorder, Who
from app.services.signed_request import SignedRequest
from app.services.system import VERSION as PRODUCT

log = structlog.get_logger()

#: Needs no account, and tells the same to everybody.
PING = "/--ping"
#: A key is the largest thing that is ever sent. nginx stops more than this ahead of us.
MOST_BODY = 64 * 1024


class RequestLog:
    """A request id for the client and the log; one line per request."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        req.context.began = time.monotonic()
        req.context.id = str(uuid4())
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=req.context.id)

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _ok: bool) -> None:
        milliseconds = _milliseconds(req)
        resp.set_header("Api-Version", VERSION)
        resp.set_header("Request-Id", req.context.id)
        resp.set_header("Response-Time", str(milliseconds))
        resp.set_header("Server", f"SDC-Docker/{PRODUCT}")
        account = getattr(req.context, "account", None)
        log.info(
            "cloudapi request",
            method=req.method,
            path=req.path,
            status=falcon.http_status_to_code(resp.status),
            account=account.login if account else None,
            ms=milliseconds,
        )


class AuditTrail:
    """Whoever was refused is in the audit; a change is put there by the service that makes it."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _ok: bool) -> None:
        status = falcon.http_status_to_code(resp.status)
        if status not in REFUSED:
            return
        account, claim = getattr(req.context, "account", None), getattr(req.context, "claim", None)
        error = getattr(req.context, "error", None)
        key = getattr(req.context, "key", None)
        self._recorder.record(
            Entry(
                source=Source.CLOUDAPI,
                actor=account.login if account else "",
                verb="cloudapi.request",
                target=req.path,
                account_id=account.id if account else None,
                account=account.login if account else "",
                fingerprint=key.fingerprint if key else "",
                detail={"login": claim.login, "key": claim.key} if claim and not account else {},
                result=Result.REFUSED,
                status=status,
                reason=f"{type(error).__name__}: {error}" if error else "",
                milliseconds=_milliseconds(req),
                request_id=req.context.id,
                client=client_of(req),
            )
        )


class SignedBy:
    """The account whose key signed the request; nothing else in a request says who it is from."""

    def __init__(self, signed: SignedRequest) -> None:
        self._signed = signed

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        if req.path == PING:
            return
        authorization = req.get_header("Authorization")
        if not authorization:
            raise Unauthorized("You must make authenticated requests to use CloudAPI")
        header, method, target = req.get_header, req.method, req.env["RAW_URI"]
        claim = req.context.claim = http_signature.parse(authorization)
        http_signature.check_time(claim, header, datetime.now(UTC))
        text = http_signature.signed_text(claim, method, target, header)
        account, key = self._signed.account(claim, text)
        req.context.account, req.context.key = account, key
        req.context.body = _body(req)
        http_signature.check_body(req.context.body, header)
        # "my" is whoever asks. Of another account one does not learn here whether it exists.
        owner = req.path.split("/")[1]
        if not owner:
            raise NotFound(f"{req.path} does not exist")
        if owner not in ("my", account.login):
            raise Forbidden(f"You do not have permission to access {owner}")


def _body(req: falcon.Request) -> bytes:
    body = req.bounded_stream.read(MOST_BODY + 1)
    if len(body) > MOST_BODY:
        raise TooLarge(f"the request body is larger than {MOST_BODY} bytes")
    return body


def who(req: falcon.Request) -> Who:
    """Who makes a change, for the audit."""
    context = req.context
    return Who(Source.CLOUDAPI, context.account.login, context.key.fingerprint, context.id, client_of(req))


def client_of(req: falcon.Request) -> str:
    """The client's address as nginx puts it there, for the audit alone; "" where there is none."""
    try:
        return str(ipaddress.ip_address(req.get_header("X-Real-IP") or ""))
    except ValueError:
        return ""


def _milliseconds(req: falcon.Request) -> int:
    return round((time.monotonic() - req.context.began) * 1000)
