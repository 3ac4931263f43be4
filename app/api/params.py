"""Parameters of the query and of headers, read as dockerd reads them.

A query is `name -> values`; every parameter may stand there once, except where a resource asks for all of them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from app.api import strict_json
from app.domain import detach_keys as keys
from app.errors import Error, InvalidParameter

Query = Mapping[str, Sequence[str]]
Filters = dict[str, list[str]]

MAX_FIELDS = 1000
#: Registry tokens are long, but none is as long as this.
MAX_AUTH = 64 * 1024
AUTH_FIELDS = ("username", "password", "email", "auth", "serveraddress", "identitytoken", "registrytoken")

_FALSE = frozenset({"", "0", "no", "false", "none"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_LONG_INTEGER = re.compile(r"[+-]?[0-9]+")
_TIMESTAMP = re.compile(r"(-?)([0-9]{1,11})(?:\.([0-9]{1,18}))?")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def parse_query(query_string: str) -> dict[str, list[str]]:
    """The parameters of a query string as WSGI gives it. Raises InvalidParameter."""
    if ";" in query_string:
        raise InvalidParameter("invalid semicolon separator in query")
    if broken := _BROKEN_ESCAPE.search(query_string):
        raise InvalidParameter(f'invalid URL escape "{_shown(broken[0])}"')
    try:
        # WSGI hands on raw bytes as latin-1.
        text = query_string if query_string.isascii() else query_string.encode("latin-1").decode()
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InvalidParameter("invalid query string") from None
    query: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in name or "\0" in value:
            raise InvalidParameter("invalid query string: it has a NUL character")
        query.setdefault(name, []).append(value)
    return query


def one(query: Query, name: str, default: str = "") -> str:
    """The parameter's value, or `default` where it is absent. Raises InvalidParameter where it stands twice."""
    values = query.get(name)
    if not values:
        return default
    if len(values) > 1:
        raise InvalidParameter(f'parameter "{name}" is given more than once')
    return values[0]


def several(query: Query, name: str) -> list[str]:
    """All values of a parameter that may be repeated."""
    return list(query.get(name, ()))


def boolean(query: Query, name: str, default: bool = False) -> bool:
    """False for nothing, 0, no, false and none in any case; anything else is true. `default` only where absent."""
    if name not in query:
        return default
    return one(query, name).strip().lower() not in _FALSE


def strict_boolean(query: Query, name: str) -> bool:
    """What Go's strconv.ParseBool takes, where dockerd asks that; absent or empty is False."""
    text = one(query, name)
    if text in ("", "0", "f", "F", "FALSE", "false", "False"):
        return False
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return True
    words = f'strconv.ParseBool: parsing "{_shown(text)}": invalid syntax'
    raise InvalidParameter(f"invalid value for {name}: {_shown(text)}: {words}")


def integer(
    query: Query, name: str, default: int | None = None, *, minimum: int | None = None, maximum: int | None = None
) -> int | None:
    """A decimal number, `default` where absent or empty. Raises InvalidParameter in Go's words."""
    text = one(query, name)
    if not text:
        return default
    if not _LONG_INTEGER.fullmatch(text):
        raise InvalidParameter(f'strconv.Atoi: parsing "{_shown(text)}": invalid syntax')
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise InvalidParameter(f'strconv.Atoi: parsing "{_shown(text)}": value out of range')
    number = int(text)
    low = -(2**63) if minimum is None else minimum
    high = 2**63 - 1 if maximum is None else maximum
    if not low <= number <= high:
        raise InvalidParameter(f'invalid value for "{name}": {number} is not between {low} and {high}')
    return number


def timestamp(query: Query, name: str) -> int | None:
    """Nanoseconds since 1970 of `seconds[.fraction]`, which is what every client makes of a date or a duration.

    None where the parameter is absent or empty. Raises InvalidParameter.
    """
    text = one(query, name)
    if not text:
        return None
    match = _TIMESTAMP.fullmatch(text)
    if not match:
        raise InvalidParameter(
            f'invalid value for "{name}": failed to parse value as time or duration: "{_shown(text)}"'
        )
    nanoseconds = int(match[2]) * 10**9 + int((match[3] or "")[:9].ljust(9, "0"))
    return -nanoseconds if match[1] else nanoseconds


def timestamp_text(nanoseconds: int) -> str:
    """The form in which an engine is given a `timestamp`."""
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    return f"{sign}{seconds}.{fraction:09d}"


def tail(query: Query) -> int | None:
    """How many of the last lines; None for all of them, which is also what dockerd takes a non-number for."""
    text = one(query, "tail", "all")
    if not _INTEGER.fullmatch(text):
        return None
    lines = int(text)
    return lines if 0 <= lines < 2**31 else None


def detach_keys(query: Query) -> str:
    """The `detachKeys` parameter, checked. Raises InvalidParameter."""
    text = one(query, "detachKeys")
    keys.parse(text)
    return text


def filters(query: Query, known: Collection[str] | None = None) -> Filters:
    """The `filters` parameter: key -> values, in the order given, each once.

    Clients from 1.10 on send `{"label": {"a=b": true}}`, older ones and docker-py `{"label": ["a=b"]}`.
    Raises InvalidParameter for another shape, and for a key that is not in `known`.
    """
    text = one(query, "filters")
    if not text:
        return {}
    try:
        parsed = strict_json.loads(text.encode(), data_keys=True)
    except (Error, UnicodeEncodeError):
        raise InvalidParameter("invalid filter") from None
    found = _filter_values(parsed)
    for key in found:
        if known is not None and key not in known:
            raise InvalidParameter(f"Invalid filter '{_shown(key)}'")
    return found


def _filter_values(parsed: Any) -> Filters:
    if parsed is None:
        return {}
    if isinstance(parsed, dict):
        given = [values for values in parsed.values() if values is not None]
        if all(isinstance(v, dict) and all(isinstance(flag, bool) for flag in v.values()) for v in given):
            return {key: [name for name, flag in (values or {}).items() if flag] for key, values in parsed.items()}
        if all(isinstance(v, list) and all(isinstance(word, str) for word in v) for v in given):
            return {key: list(dict.fromkeys(values or [])) for key, values in parsed.items()}
    raise InvalidParameter("invalid filter")


def registry_config(header: str | None) -> dict[str, dict[str, str]]:
    """The credentials in an `X-Registry-Config` header: registry -> fields of its AuthConfig. Never log it."""
    parsed = _decoded_header(header)
    return {name: auth_fields(item) for name, item in parsed.items() if isinstance(item, dict)}


def registry_auth(header: str | None) -> dict[str, str]:
    """The credentials in an `X-Registry-Auth` header; {} where there are none or they cannot be read.

    Base64 with either alphabet, padded or not, because clients differ. Engines too go on without credentials when the
    header makes no sense. Never log what this returns.
    """
    return auth_fields(_decoded_header(header))


def _decoded_header(header: str | None) -> dict[str, Any]:
    if not header or len(header) > MAX_AUTH:
        return {}
    compact = header.strip().translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        data = base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
        parsed = strict_json.loads(data)
    except (Error, ValueError, binascii.Error):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def auth_fields(parsed: Mapping[str, Any]) -> dict[str, str]:
    """The fields of an AuthConfig that say something, in lower case."""
    found = {str(name).lower(): value for name, value in parsed.items()}
    return {
        name: value
        for name in AUTH_FIELDS
        if isinstance(value := found.get(name), str) and value and not _CONTROL.search(value)
    }


def _shown(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text[:64])
