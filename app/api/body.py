"""Request bodies and answers, in the client's version: JSON in, walked up; JSON out, walked down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import falcon
import orjson

from app.api import strict_json, versions
from app.errors import InvalidParameter, TooLarge

MAX_JSON = 1024 * 1024
_BLOCK = 256 * 1024
#: How much of a refused body is still read, so that the client gets to read the refusal.
_DRAIN = 16 * 1024 * 1024


def read_json(req: falcon.Request, *, check_type: bool = True) -> Any:
    """The body as JSON, None where there is none. Raises InvalidParameter, TooLarge."""
    if req.content_length is not None and req.content_length > MAX_JSON:
        raise TooLarge(f"the request body is larger than {MAX_JSON} bytes")
    data = req.bounded_stream.read(MAX_JSON + 1) if req.content_length is not None else _read_chunked(req)
    if not data.strip():
        return None
    if check_type:
        media_type, *parameters = [part.strip().lower() for part in (req.content_type or "").split(";")]
        charset_ok = all(
            not p.startswith("charset=") or p.strip('"') in ("charset=utf-8", 'charset="utf-8') for p in parameters
        )
        if media_type != "application/json" or not charset_ok:
            raise InvalidParameter(f"Content-Type specified ({req.content_type or ''}) must be 'application/json'")
    return strict_json.loads(data, max_bytes=MAX_JSON)


def _read_chunked(req: falcon.Request) -> bytes:
    if "chunked" not in (req.get_header("Transfer-Encoding") or "").lower():
        return b""
    data = b""
    while block := req.stream.read(65536):
        data += block
        if len(data) > MAX_JSON:
            raise TooLarge(f"the request body is larger than {MAX_JSON} bytes")
    return data


def upgraded(req: falcon.Request, body: Any = None) -> tuple[dict[str, list[str]], Any]:
    """The query and the body as a client of the current version would have sent them."""
    return versions.upgrade_request(req.context.api_version, req.context.operation, req.context.query, body)


def answer(req: falcon.Request, resp: falcon.Response, body: Any, *, status: int = 200) -> None:
    """Send `body` (in the current version's shape) as JSON in the client's version."""
    shown = versions.downgrade_response(req.context.api_version, req.context.operation, body)
    resp.status = status
    resp.content_type = "application/json"
    resp.data = orjson.dumps(shown) + b"\n"


def answer_ready(req: falcon.Request, resp: falcon.Response, text: bytes) -> None:
    """Like `answer` for JSON text that is ready at the current version."""
    if req.context.api_version == versions.CURRENT:
        resp.content_type = "application/json"
        resp.data = text + b"\n"
    else:
        answer(req, resp, orjson.loads(text))


def blocks(req: falcon.Request) -> Iterator[bytes]:
    """A body of any size as it comes."""
    source = req.bounded_stream if req.content_length is not None else req.stream
    while block := source.read(_BLOCK):
        yield block


def drain(body: Iterator[bytes]) -> None:
    """Read a part of what is left of a body."""
    left = _DRAIN
    while left > 0 and (block := next(body, b"")):
        left -= len(block)
