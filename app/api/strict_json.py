"""JSON bodies, read so that what we check is what was sent.

An engine's decoder takes things that Python's does not, and the other way round: the last of two equal keys or both
merged, `hostconfig` for `HostConfig`, `NaN`, a second value behind the first. Whatever two readers could understand
differently is refused here, before any rule looks at it.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from app.domain.go_json import fold
from app.errors import InvalidParameter, TooLarge

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_NODES = 10_000

#: Fields whose objects have the client's own words as keys, which Go keeps apart by case: `Foo` and `foo` are two
#: labels. In every other object such a pair is one field, twice.
DATA_FIELDS = frozenset(
    fold(name)
    for name in (
        "Annotations",
        "Config",
        "DriverOpts",
        "EndpointsConfig",
        "Labels",
        "Options",
        "StorageOpt",
        "Sysctls",
        "Tmpfs",
        "Volumes",
    )
)

_INT64_DIGITS = 20
_UNUSABLE = re.compile("[\0\ud800-\udfff]")


class _Ambiguous(dict[str, Any]):
    """An object with keys that differ only by case; `key` is the second of them."""

    key = ""


def loads(data: bytes, *, max_bytes: int = MAX_BYTES, data_keys: bool = False) -> Any:
    """The value of a JSON text.

    `data_keys` is for texts in which no key is a field's name (filters, build arguments): keys may differ by case.
    Raises TooLarge, and InvalidParameter for everything that is not one plain JSON value.
    """
    if len(data) > max_bytes:
        raise TooLarge(f"request body too large: more than {max_bytes} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        _refuse("the text is not UTF-8")
    if not text.strip(" \t\r\n"):
        _refuse("got EOF while reading request body")
    try:
        value, end = _DECODER.raw_decode(text, len(text) - len(text.lstrip(" \t\r\n")))
    except RecursionError:
        _refuse(f"more than {MAX_DEPTH} levels")
    except json.JSONDecodeError as error:
        _refuse(_complaint(text, error))
    if text[end:].strip(" \t\r\n"):
        raise InvalidParameter("unexpected content after JSON")
    # Both can only have come as escapes: raw ones are no JSON and no UTF-8.
    _check(value, escapes="\\u" in text, data_keys=data_keys)
    return value


def _refuse(what: str) -> NoReturn:
    raise InvalidParameter(f"invalid JSON: {what}")


def _complaint(text: str, error: json.JSONDecodeError) -> str:
    if error.pos >= len(text.rstrip(" \t\r\n")) or error.msg.startswith("Unterminated string"):
        return "unexpected end of JSON input"
    character = text[error.pos]
    quoted = character if character.isprintable() else f"\\x{ord(character):02x}"
    return f"invalid character '{quoted}' at offset {error.pos}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                _refuse_key(key)
            seen.add(key)
    if len({fold(key) for key in found}) != len(found):
        ambiguous = _Ambiguous(found)
        folded: set[str] = set()
        for key in found:
            if fold(key) in folded:
                ambiguous.key = key
            folded.add(fold(key))
        return ambiguous
    return found


def _refuse_key(key: str) -> NoReturn:
    shown = "".join(character if character.isprintable() else "?" for character in key[:64])
    _refuse(f'duplicate key "{shown}"')


def _integer(digits: str) -> int:
    if len(digits) <= _INT64_DIGITS:
        number = int(digits)
        if -(2**63) <= number < 2**63:
            return number
    _refuse(f"cannot unmarshal number {digits[:24]} into an int64")


def _float(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        _refuse(f"cannot unmarshal number {digits[:24]} into a float64")
    return number


def _constant(name: str) -> NoReturn:
    _refuse(f"invalid character '{name[0]}' looking for beginning of value ({name})")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)


def _check(value: Any, *, escapes: bool, data_keys: bool) -> None:
    """Count and look at every value, without recursion."""
    level: list[tuple[Any, bool]] = [(value, data_keys)]
    nodes = depth = 0
    while level:
        nodes += len(level)
        if nodes > MAX_NODES:
            _refuse(f"more than {MAX_NODES} values")
        following: list[tuple[Any, bool]] = []
        for item, own_keys in level:
            if isinstance(item, str):
                if escapes and _UNUSABLE.search(item):
                    _refuse("a string has a NUL character or half of a surrogate pair")
            elif isinstance(item, dict):
                if isinstance(item, _Ambiguous) and not own_keys:
                    _refuse_key(item.key)
                for key, child in item.items():
                    if escapes and _UNUSABLE.search(key):
                        _refuse("a key has a NUL character or half of a surrogate pair")
                    following.append((child, data_keys or (not own_keys and fold(key) in DATA_FIELDS)))
            elif isinstance(item, list):
                following.extend((child, data_keys) for child in item)
        if any(isinstance(item, dict | list) for item, _ in level):
            depth += 1
            if depth > MAX_DEPTH:
                _refuse(f"more than {MAX_DEPTH} levels")
        level = following
