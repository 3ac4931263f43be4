"""One request as data."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Ask:
    method: str
    #: Without the version. `{word}` stands for what a request before this one kept under that word.
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    version: str = "1.41"
    #: The word under which the answer's id is kept.
    keep: str = ""
    #: The meant differences of this pair, by their names in differences.py.
    differs: tuple[str, ...] = ()
    #: Fields whose values are each side's own; they must be there on both.
    free: tuple[str, ...] = ()
    #: Of the answer only the status and the media type are compared: the body is a stream or an archive.
    head_only: bool = False
    #: Repeated until the answer has this status, or this text in it; the last answer counts.
    until: int | str = 0

    def __str__(self) -> str:
        sent = self.body.decode(errors="replace") if self.body else ""
        return f"{self.method} /v{self.version}{self.path} {sent}".rstrip()[:300]


def ask(line: str, body: Any = None, *, filters: Any = None, **how: Any) -> Ask:
    """`"GET /containers/json"`, a body that is sent as it is if bytes and as JSON otherwise, and an Ask's fields."""
    method, _, path = line.partition(" ")
    headers = dict(how.pop("headers", {}))
    if filters is not None:
        words = filters if isinstance(filters, str) else json.dumps(filters)
        path += ("&" if "?" in path else "?") + "filters=" + urllib.parse.quote(words)
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    return Ask(method, path, body, headers, **how)


def meant(difference: str, sent: Ask) -> Ask:
    """The request, to which the two answer differently as differences.py says under that name."""
    return replace(sent, differs=(*sent.differs, difference))


def at(version: str, sequence: list[Ask]) -> list[Ask]:
    """The same requests at another version."""
    return [replace(sent, version=version) for sent in sequence]
