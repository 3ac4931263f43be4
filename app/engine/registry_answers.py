"""What a registry answers: read within limits of size and time, and its refusals as our kinds, in Docker's words."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import Any
from urllib.parse import urljoin, urlsplit

from app.errors import Error, Forbidden, Internal, InvalidParameter, NotFound, Unauthorized

#: A registry that says nothing for so long is given up.
READ_TIMEOUT = 60.0
MAX_ANSWER = 1 << 20

#: A name is looked for where it begins: at each of its letters would take a long header a minute.
_CHALLENGE = re.compile(r'(?<![a-zA-Z_])([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')


def words_of(error: Exception) -> str:
    """What Go says where a connection fails like this."""
    if isinstance(error, ConnectionRefusedError):
        return "dial tcp: connect: connection refused"
    if isinstance(error, TimeoutError):
        return "net/http: request canceled (Client.Timeout exceeded while awaiting headers): i/o timeout"
    if isinstance(error, http.client.BadStatusLine):
        return "net/http: HTTP/1.x transport connection broken: malformed HTTP response"
    return "EOF" if isinstance(error, http.client.HTTPException) else "dial tcp: connect: no route to host"


def read(response: http.client.HTTPResponse, limit: int) -> bytes:
    """A small body, within a time that a small body takes. Raises InvalidParameter where it is longer, Internal."""
    data = bytearray()
    until = time.monotonic() + READ_TIMEOUT
    try:
        while block := response.read1(65536):
            data += block
            if len(data) > limit:
                raise InvalidParameter(f"the registry sent more than {limit} bytes where a document was asked for")
            if time.monotonic() > until:
                raise Internal("the registry takes too long")
    except (OSError, http.client.HTTPException) as error:
        raise Internal("the connection to the registry was lost") from error
    # One that was read to its end by `read1` does not know that it is over.
    response.close()
    return bytes(data)


def read_json(content: bytes) -> dict[str, Any]:
    """An answer that must be an object. Raises Internal."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise Internal("the registry sent a malformed answer") from None
    if not isinstance(found, dict):
        raise Internal("the registry sent a malformed answer")
    return found


def challenge(response: http.client.HTTPResponse) -> tuple[str, dict[str, str]]:
    """The scheme in lower case and the parameters of the first WWW-Authenticate that is understood."""
    for header in response.headers.get_all("WWW-Authenticate") or []:
        scheme, _, rest = header.strip().partition(" ")
        if scheme.lower() in ("bearer", "basic"):
            found = {key.lower(): quoted or bare for key, quoted, bare in _CHALLENGE.findall(rest)}
            return scheme.lower(), found
    return "", {}


def told_by(content: bytes) -> str:
    """The first error of a registry's answer in Go's form: "manifest unknown: manifest unknown"."""
    try:
        first = read_json(content)["errors"][0]
        code, message = str(first["code"]), str(first.get("message") or "")
    except (Error, KeyError, IndexError, TypeError):
        return ""
    text = f"{code.replace('_', ' ').lower()}: {message}" if message else code.replace("_", " ").lower()
    return "".join(c if c.isprintable() else "?" for c in text[:1000])


def refused(response: http.client.HTTPResponse) -> Error:
    """Our kind of an answer's status, with the registry's words or Docker's."""
    text = told_by(read(response, MAX_ANSWER))
    match response.status:
        case 401:
            return Unauthorized(text or "unauthorized: authentication required")
        case 403:
            return Forbidden(text or "denied: requested access to the resource is denied")
        case 404:
            return NotFound(text or "manifest unknown: manifest unknown")
        case 429:
            return Internal(text or "toomanyrequests: too many requests")
    return Internal(text or f"received unexpected HTTP status: {response.status} {response.reason}")


def next_page(link: str | None, before: str) -> str | None:
    """Where a list of tags goes on, by its Link header and the target of `before`; None at its end."""
    found = re.match(r'\s*<([^>]+)>\s*;\s*rel="?next"?', link or "")
    if not found:
        return None
    parts = urlsplit(urljoin(before, found[1]))
    return f"{parts.path}?{parts.query}" if parts.path.startswith("/v2/") else None
