"""What the audit keeps of a request: every one that changed something, and every one that was refused."""

from __future__ import annotations

import re
import time
from typing import Any

import falcon

from app.api import params
from app.domain.audit import Entry, Result, Source
from app.errors import Error
from app.services.audit import Recorder

REFUSED = frozenset({401, 403, 429})
CHANGING = frozenset({"POST", "PUT", "DELETE", "PATCH"})
#: POST without a change.
READING = frozenset({"containers.wait", "containers.resize", "exec.resize", "system.auth"})

#: What an answer calls that which was made.
_MADE = re.compile(rb'"(?:Id|Name)":"([^"\\]{1,128})"')
#: Parameters that name what is made or wanted.
_NAMING = ("fromImage", "tag", "repo", "t", "name", "container")


class AuditTrail:
    """Behind every answer; the recorder writes later."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def process_response(self, req: falcon.Request, resp: falcon.Response, _resource: object, _ok: bool) -> None:
        status = falcon.http_status_to_code(resp.status)
        result = outcome(req.method, getattr(req.context, "operation", ""), status)
        if result is not None:
            self._recorder.record(entry(req, resp, status, result))


def outcome(method: str, operation: str, status: int) -> Result | None:
    """How a request is recorded; None = not at all."""
    if status in REFUSED:
        return Result.REFUSED
    if method not in CHANGING or not operation or operation in READING:
        return None
    if status >= 500:
        return Result.FAILED
    return Result.DONE if status < 400 and status != 304 else None


def entry(req: falcon.Request, resp: falcon.Response, status: int, result: Result) -> Entry:
    context = req.context
    account, credential = getattr(context, "account", None), getattr(context, "credential", None)
    preamble = req.env.get("sdc.preamble")
    took = time.monotonic() - getattr(context, "began", time.monotonic())
    return Entry(
        source=Source.API,
        actor=account.login if account else "",
        verb=getattr(context, "operation", "") or "system.request",
        target=getattr(context, "target", "") or _made(resp, status),
        account_id=account.id if account else None,
        account=account.login if account else "",
        fingerprint=credential.fingerprint if credential else "",
        detail=_detail(req, credential if account is None else None),
        result=result,
        status=status,
        reason=_reason(getattr(context, "error", None), status) if result is not Result.DONE else "",
        milliseconds=round(took * 1000),
        request_id=getattr(context, "id", ""),
        client=getattr(preamble, "source_address", ""),
    )


def _made(resp: falcon.Response, status: int) -> str:
    made = _MADE.search(resp.data or b"", 0, 2000) if status == 201 else None
    return made[1].decode(errors="replace") if made else ""


def _detail(req: falcon.Request, claimed: Any) -> dict[str, Any]:
    """The route's words and what names the object; of a stranger also who it says it is."""
    query: params.Query = getattr(req.context, "query", {})
    named = {name: query[name][0][:200] for name in _NAMING if query.get(name)}
    if claimed:
        named["claims"] = claimed.login[:64]
    if not getattr(req.context, "operation", ""):
        named["path"] = req.path[:200]
    return {"method": req.method, **named}


def _reason(error: Error | None, status: int) -> str:
    if error is None:
        return f"status {status}"
    why = getattr(error, "reason", "") or error.message
    return f"{type(error).__name__}: {why}" if why else type(error).__name__
