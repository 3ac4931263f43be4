"""Streams of JSON messages, as pull, load, build and events have them: one object after another, a line each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

Message = dict[str, Any]

#: No message of an engine is as long as this.
MAX_LINE = 4 * 1024 * 1024


def encode(message: Message) -> bytes:
    """A message as dockerd writes it, its line ended by CR and LF."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode(errors="replace") + b"\r\n"


def error(text: str) -> Message:
    """The message that tells of an error after the head is sent; the last one of its stream."""
    return {"errorDetail": {"message": text}, "error": text}


def split(blocks: Iterable[bytes]) -> Iterator[Message]:
    """The messages in `blocks`, however they are cut; each comes as soon as its line is whole.

    Several objects may stand on a line, and the last line may lack its end. Raises ValueError for anything else.
    """
    rest: list[bytes] = []
    waiting = 0
    for block in blocks:
        *lines, tail = block.split(b"\n")
        if lines:
            lines[0] = b"".join(rest) + lines[0]
            rest, waiting = [], 0
        for line in lines:
            yield from _objects(line)
        rest.append(tail)
        waiting += len(tail)
        if waiting > MAX_LINE:
            raise ValueError("a message is too long")
    yield from _objects(b"".join(rest))


_decoder = json.JSONDecoder()


def _objects(line: bytes) -> Iterator[Message]:
    text = line.decode().strip()
    while text:
        found, end = _decoder.raw_decode(text)
        if not isinstance(found, dict):
            raise ValueError("a message is not an object")
        yield found
        text = text[end:].lstrip()
