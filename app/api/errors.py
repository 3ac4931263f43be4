"""Kind -> status -> body. The only place that writes an error body; nothing unexpected gets past it."""

from __future__ import annotations

import falcon
import structlog

from app import errors
from app.api import versions

log = structlog.get_logger()

_STATUS: tuple[tuple[type[errors.Error], int], ...] = (
    (errors.InvalidParameter, 400),
    (errors.Unauthorized, 401),
    (errors.Forbidden, 403),
    (errors.NotFound, 404),
    (errors.Conflict, 409),
    (errors.TooLarge, 413),
    (errors.TooMany, 429),
    (errors.NotModified, 304),
    (errors.NotImplemented, 501),
    (errors.Unavailable, 503),
    (errors.Internal, 500),
)


def status_of(error: errors.Error) -> int:
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def write(req: falcon.Request, resp: falcon.Response, status: int, message: str) -> None:
    resp.status = status
    if status == 304:
        return
    version, operation = getattr(req.context, "api_version", None), getattr(req.context, "operation", "")
    resp.content_type, resp.data = versions.error_body(version, message, operation)


def handle_kind(req: falcon.Request, resp: falcon.Response, error: errors.Error, _params: dict) -> None:
    status = status_of(error)
    req.context.error = error
    if status >= 500:
        log.warning("request failed", status=status, error=error.message, cause=repr(error.__cause__))
    reason = getattr(error, "reason", None)
    if reason:
        log.info("connection refused", reason=reason)
    if error.retry_after is not None:
        resp.set_header("Retry-After", str(error.retry_after))
    write(req, resp, status, error.message)


def handle_http(req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict) -> None:
    """Falcon's own refusals (bad headers, say), in our shape."""
    status = falcon.http_status_to_code(error.status)
    write(req, resp, status, "page not found" if status in (404, 405) else error.title or "bad request")


def handle_unexpected(req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict) -> None:
    """A defect of ours. The client learns that and nothing else."""
    log.error("defect", exc_info=error)
    write(req, resp, 500, "internal error; the operator's log has the request id")
