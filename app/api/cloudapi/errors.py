"""Kind -> status and code -> CloudAPI's error body. The only place of CloudAPI that writes one."""

from __future__ import annotations

import falcon
import orjson
import structlog

from app import errors
from app.domain.http_signature import BadDigest, InvalidHeader

log = structlog.get_logger()

#: The first that fits counts.
_KINDS: tuple[tuple[type[errors.Error], int, str], ...] = (
    (InvalidHeader, 400, "InvalidHeader"),
    (BadDigest, 400, "BadDigest"),
    (errors.InvalidParameter, 409, "InvalidArgument"),
    (errors.Unauthorized, 401, "InvalidCredentials"),
    (errors.Forbidden, 403, "NotAuthorized"),
    (errors.NotFound, 404, "ResourceNotFound"),
    (errors.Conflict, 409, "InvalidArgument"),
    (errors.TooLarge, 413, "RequestTooLarge"),
    (errors.TooMany, 429, "RequestThrottled"),
    (errors.NotImplemented, 501, "NotImplemented"),
    (errors.Unavailable, 503, "ServiceUnavailable"),
)
_HTTP = {404: "ResourceNotFound", 405: "BadMethod", 413: "RequestTooLarge", 415: "UnsupportedMediaType"}


def write(resp: falcon.Response, status: int, code: str, message: str) -> None:
    resp.status = status
    resp.content_type = "application/json"
    resp.data = orjson.dumps({"code": code, "message": message})


def handle_kind(req: falcon.Request, resp: falcon.Response, error: errors.Error, _params: dict) -> None:
    status, code = next(((s, c) for kind, s, c in _KINDS if isinstance(error, kind)), (500, "InternalError"))
    req.context.error = error
    if status >= 500:
        log.warning("request failed", status=status, error=error.message, cause=repr(error.__cause__))
    if error.retry_after is not None:
        resp.set_header("Retry-After", str(error.retry_after))
    write(resp, status, code, error.message)


def handle_http(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict) -> None:
    """Falcon's own refusals, in our shape."""
    status = falcon.http_status_to_code(error.status)
    words = {404: f"{req.path} does not exist", 405: f"{req.method} is not allowed"}
    if isinstance(error, falcon.HTTPMethodNotAllowed):
        resp.set_header("Allow", (error.headers or {}).get("Allow", ""))  # type: ignore[union-attr, call-overload]
    write(resp, status, _HTTP.get(status, "BadRequest"), words.get(status) or error.title or "bad request")


def handle_unexpected(_req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict) -> None:
    """A defect of ours. The client learns that and nothing else."""
    log.error("defect", exc_info=error)
    write(resp, 500, "InternalError", "internal error; the operator's log has the request id")
