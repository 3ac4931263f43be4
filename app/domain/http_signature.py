"""HTTP Signatures as the clients of CloudAPI make them: what a request claims, and the text that its signature is of.

Pure: the key that a claim names is looked up elsewhere. Two forms are read. The newer one, of the draft
"cavage-http-signatures", lists what it signs, mostly `(request-target) date`; the older one puts the signature behind
the parameters and signs the bare value of Date:

    Signature keyId="/alice/keys/ID",algorithm="rsa-sha256",headers="date",signature="..."
    Signature keyId="/alice/keys/ID",algorithm="rsa-sha256" ...

What is not signed is not evidence, so the time must be among it, and must be now: a request that somebody else saw is
worth nothing a few minutes later.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from app.domain import ssh_key
from app.errors import InvalidParameter, Unauthorized

#: How far the client's clock may be from ours, in either direction.
SKEW_SECONDS = 300

#: The times that a signature may be bound by, the better one first: a browser cannot set Date.
TIMES = ("x-date", "date")

_PARAMETER = re.compile(r'\s*([A-Za-z]+)=(?:"([^"\\]*)"|(\d+))\s*(,|$|(?=\s))')
_KEY_ID = re.compile(r"/([^/]+)/keys/(.+)")
_SUB_USER = re.compile(r"/[^/]+/users?/.+/keys/.+")
_ALGORITHMS = {
    **{f"{kind}-{digest}": digest for kind in ("rsa", "ecdsa") for digest in ssh_key.DIGESTS},
    "ed25519": "",
    "ed25519-sha512": "",
}
_MOST_HEADERS = 16


class InvalidHeader(InvalidParameter):
    """A header that authenticates is malformed, or its time is not now."""


class BadDigest(InvalidParameter):
    """The body is not the one that the request announces."""


@dataclass(frozen=True)
class Claim:
    """Who a request says that it is from. Nothing of it is true until the signature is verified."""

    login: str
    #: The key: its MD5 or SHA-256 fingerprint, or its name.
    key: str
    #: rsa, ecdsa or ed25519.
    kind: str
    digest: str
    #: What is signed, in order.
    headers: tuple[str, ...]
    signature: bytes
    #: The older form.
    bare: bool = False


def parse(authorization: str) -> Claim:
    """Read an Authorization header. Raises InvalidHeader where it is malformed, Unauthorized where it is not for us."""
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() != "signature":
        raise Unauthorized("The authorization scheme you requested is not supported")
    parameters: dict[str, str] = {}
    position = 0
    while match := _PARAMETER.match(rest, position):
        name = match[1].lower()
        if name in parameters:
            raise InvalidHeader(f"Authorization header invalid: {name} stands there twice")
        parameters[name] = match[2] if match[2] is not None else match[3]
        position = match.end()
        if match[4] != ",":
            break
    behind = rest[position:].strip()
    bare = bool(behind) and "signature" not in parameters
    if bare:
        parameters["signature"] = behind
    elif behind:
        raise InvalidHeader("Authorization header invalid: it cannot be read to its end")
    for name in ("keyid", "algorithm", "signature"):
        if not parameters.get(name):
            raise InvalidHeader(f"Authorization header invalid: {name} was not specified")
    return _claim(parameters, bare)


def _claim(parameters: dict[str, str], bare: bool) -> Claim:
    algorithm = parameters["algorithm"].lower()
    if algorithm not in _ALGORITHMS:
        raise Unauthorized(f"{parameters['algorithm']} is not a supported signing algorithm")
    key_id = parameters["keyid"]
    if _SUB_USER.fullmatch(key_id):
        raise Unauthorized(f"Invalid KeyId {key_id} in authorization header: accounts have no users here")
    named = _KEY_ID.fullmatch(key_id)
    if named is None:
        raise Unauthorized(f"Invalid KeyId {key_id} in authorization header: it must be /ACCOUNT/keys/FINGERPRINT")
    try:
        signature = base64.b64decode(parameters["signature"], validate=True)
    except (binascii.Error, ValueError):
        raise InvalidHeader("Authorization header invalid: the signature is not base64") from None
    headers = tuple(parameters.get("headers", "date").lower().split())
    if not headers or len(headers) > _MOST_HEADERS or len(set(headers)) != len(headers):
        raise InvalidHeader("Authorization header invalid: its list of headers is empty, too long or repeats itself")
    kind = algorithm.partition("-")[0]
    return Claim(unquote(named[1]), unquote(named[2]), kind, _ALGORITHMS[algorithm], headers, signature, bare)


def signed_text(claim: Claim, method: str, target: str, header: Callable[[str], str | None]) -> bytes:
    """What the signature must be of. `target` is the request's path and query as it was sent.

    Raises InvalidHeader where a signed header is not in the request.
    """
    lines = []
    for name in claim.headers:
        if name == "(request-target)":
            value: str | None = f"{method.lower()} {target}"
        elif name.startswith("("):
            raise InvalidHeader(f"Authorization header invalid: {name} is not supported")
        else:
            value = header(name)
        if value is None:
            raise InvalidHeader(f"{name} was not in the request")
        lines.append(value if claim.bare else f"{name}: {value}")
    # As WSGI has headers and the target: each byte a character.
    return "\n".join(lines).encode("latin-1", "replace")


def check_time(claim: Claim, header: Callable[[str], str | None], now: datetime) -> None:
    """Raises InvalidHeader unless a signed Date or X-Date is within SKEW_SECONDS of `now`."""
    name = next((name for name in TIMES if header(name) is not None), None)
    if name is None:
        raise InvalidHeader("date was not in the request")
    if name not in claim.headers:
        raise InvalidHeader(f"{name} was not in the signed headers")
    try:
        said = parsedate_to_datetime(header(name) or "")
    except (ValueError, TypeError, OverflowError):
        raise InvalidHeader(f"the {name} header is not a date") from None
    if said.tzinfo is None:
        said = said.replace(tzinfo=UTC)
    skew = abs((now - said).total_seconds())
    if skew > SKEW_SECONDS:
        raise InvalidHeader(f"clock skew of {skew:.0f}s was greater than {SKEW_SECONDS}s: is your clock right?")


def check_body(body: bytes, header: Callable[[str], str | None]) -> None:
    """Raises BadDigest where a Digest or Content-MD5 header does not fit the body, or is of an unknown kind."""
    announced = header("digest")
    for part in (announced or "").split(","):
        if not part.strip():
            continue
        kind, _, value = part.strip().partition("=")
        name = {"sha-256": "sha256", "sha-512": "sha512"}.get(kind.lower())
        if name is None:
            raise BadDigest(f"the digest {kind} is not supported; sha-256 and sha-512 are")
        if value != base64.b64encode(hashlib.new(name, body).digest()).decode():
            raise BadDigest("Digest did not match")
    md5 = header("content-md5")
    if md5 and md5 != base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode():
        raise BadDigest("Content-MD5 did not match")
