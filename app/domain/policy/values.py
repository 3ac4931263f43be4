"""Typed reading of JSON values, as strict as Go's decoder, and the two ways of saying no.

Every reader takes `(path, value)`: where the value stands in the request ("HostConfig.Memory") and the value, which is
never null (null is absent). It returns the typed value or raises InvalidParameter with the path in the message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from app.domain.go_json import fold
from app.errors import Forbidden, InvalidParameter

INT64_MAX = 2**63 - 1
#: More lines of warnings help nobody and would let a request make a long answer.
MOST_WARNINGS = 64
#: Linux' limit for one argument of execve.
MOST_ARGUMENT_BYTES = 128 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,3}))? ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)

_KINDS: tuple[tuple[type, str], ...] = ((str, "string"), (list, "array"), (dict, "object"))

Reader = Callable[[str, Any], Any]


def forbid(what: str, path: str) -> NoReturn:
    """Refuse by policy: what it is, and the field that asked for it."""
    raise Forbidden(f"not allowed on this shared host: {what} ({path})")


def wrong(message: str) -> NoReturn:
    """Refuse as meaningless."""
    raise InvalidParameter(message)


def shown(text: str, most: int = 200) -> str:
    """Client text as it may stand in a message: short, printable."""
    return _CONTROL.sub("?", text if len(text) <= most else text[:most] + "...")


def wrong_type(path: str, value: Any, wanted: str) -> NoReturn:
    """Refuse a value of the wrong JSON type, naming the field as the daemon does."""
    if isinstance(value, bool):
        given = "bool"
    elif isinstance(value, int | float):
        given = f"number {shown(str(value), 40)}" if wanted == "int64" else "number"
    else:
        given = next((name for kind, name in _KINDS if isinstance(value, kind)), "null")
    wrong(f"invalid JSON: cannot unmarshal {given} into field {path} of type {wanted}")


def boolean(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        wrong_type(path, value, "bool")
    return value


def integer(path: str, value: Any) -> int:
    if type(value) is not int or not -INT64_MAX - 1 <= value <= INT64_MAX:
        wrong_type(path, value, "int64")
    return value


def text(path: str, value: Any) -> str:
    """Any string that a database and an engine can both hold: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        wrong_type(path, value, "string")
    if "\0" in value:
        wrong(f"invalid {path}: it has a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            wrong(f"invalid {path}: it is not valid UTF-8")
    return value


def line(most: int) -> Reader:
    """A reader of a string of at most `most` characters without control characters."""

    def read(path: str, value: Any) -> str:
        string = text(path, value)
        if len(string) > most:
            wrong(f"invalid {path}: more than {most} characters")
        if _CONTROL.search(string):
            wrong(f"invalid {path}: control characters are not allowed")
        return string

    return read


def array(path: str, value: Any, most: int) -> list[Any]:
    """The items of a list of at most `most`."""
    if not isinstance(value, list):
        wrong_type(path, value, "array")
    if len(value) > most:
        wrong(f"invalid {path}: more than {most} entries")
    return value


def list_of(reader: Reader, most: int) -> Reader:
    """A reader of a list; an item that is null is the type's zero value in Go, which no list here has a use for."""

    def read(path: str, value: Any) -> list[Any]:
        return [reader(f"{path}[{index}]", item) for index, item in enumerate(array(path, value, most))]

    return read


def mapping(path: str, value: Any, most: int) -> dict[str, Any]:
    """An object whose keys are the client's own words (not field names)."""
    if not isinstance(value, dict):
        wrong_type(path, value, "object")
    if len(value) > most:
        wrong(f"invalid {path}: more than {most} entries")
    for key in value:
        text(path, key)
    return value


def words(path: str, value: Any) -> list[str]:
    """A command: a list of strings, or one string, which Go's `strslice` takes for a list of one."""
    if isinstance(value, str):
        value = [value]
    items: list[str] = list_of(text, 4096)(path, value)
    if sum(len(item.encode()) + 1 for item in items) > MOST_ARGUMENT_BYTES:
        wrong(f"invalid {path}: more than {MOST_ARGUMENT_BYTES} bytes")
    return items


def size(path: str, value: str) -> int:
    """Bytes of a size as the engine's options have it: `512`, `64k`, `1.5g`, `10GB` (powers of 1024)."""
    match = _SIZE.fullmatch(value)
    if not match:
        wrong(f"invalid {path}: invalid size: '{shown(value, 64)}'")
    unit = 1024 ** " kmgtp".index(match[3].lower() or " ")
    total = int(match[1]) * unit + int(match[2] or "0") * unit // 10 ** len(match[2] or "")
    if total > INT64_MAX:
        wrong(f"invalid {path}: invalid size: '{shown(value, 64)}'")
    return total


class Struct:
    """The fields of one JSON object, matched to keys the way Go matches them.

    `unknown` says what becomes of other keys: "warn" (a line in the warnings when the value is not empty), "refuse"
    (for objects that carry rights: 400), "refuse set" (400 unless the value is empty; for objects that Go clients
    always send whole, so that a newer client's new field does no harm while nobody sets it).
    """

    def __init__(self, names: Iterable[str], *, unknown: str = "warn") -> None:
        self.names = tuple(names)
        self._folded = {fold(name): name for name in self.names}
        self._unknown = unknown

    def read(self, path: str, value: Any, warnings: list[str]) -> dict[str, Any]:
        """Known name -> value, in the order of the fields here, without nulls. Raises InvalidParameter."""
        if not isinstance(value, dict):
            wrong_type(path or "body", value, "object")
        seen: set[str] = set()
        found: dict[str, Any] = {}
        for key, item in value.items():
            folded = fold(key)
            if folded in seen:
                wrong(f'invalid JSON: duplicate key "{shown(key, 64)}"')
            seen.add(folded)
            if (name := self._folded.get(folded)) is not None:
                found[name] = item
            elif self._unknown == "refuse" or (self._unknown == "refuse set" and item):
                wrong(f'unknown field "{shown(key, 64)}" in {path}')
            elif item and len(warnings) < MOST_WARNINGS:
                warnings.append(f"{path}{'.' if path else ''}{shown(key, 64)} is not known here and was ignored")
        return {name: found[name] for name in self.names if found.get(name) is not None}
