"""What differs between two answers, once what is each side's own has been taken out of both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tests.e2e.divergence.pairs import Ask
from tests.e2e.divergence.sides import Answer

_RULES = (
    (re.compile(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]{5})"), "TIME"),
    (re.compile(r"\b(?!0{64})(?<!sha256:)[0-9a-f]{64}\b"), "ID"),
    (re.compile(r"\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b"), "MAC"),
    (re.compile(r"\b(?:10|172|192)\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?:/[0-9]+)?"), "ADDRESS"),
    (re.compile(r"\b(?:Up|Exited \([0-9]+\)) (?:Less than a second|About a minute|[0-9]+ [a-z]+)( ago)?"), "STATUS"),
    (re.compile(r" at offset [0-9]+"), ""),
)
_MOMENTS = frozenset({"Created", "time", "timeNano", "CreatedAt"})
#: Lists in no order.
_SETS = frozenset({"NetworksDeleted", "VolumesDeleted", "ContainersDeleted", "RepoTags"})
_ZERO_TIME = "0001-01-01T00:00:00Z"

#: (where in the answer, on the stock engine, here)
Found = tuple[str, Any, Any]


def differences(sent: Ask, stock: Answer, ours: Answer) -> Iterator[Found]:
    """Every place of the two answers that differs, whether that is meant or not."""
    if stock.status != ours.status:
        yield "status", stock.status, ours.status
    if _media(stock) != _media(ours):
        yield "type", _media(stock), _media(ours)
    if sent.head_only:
        return
    left, right = _read(stock), _read(ours)
    if isinstance(left, dict) and set(left) == {"message"} and isinstance(right, dict) and set(right) == {"message"}:
        left, right = left["message"], right["message"]
    for where, one, other in _walk("", left, right):
        if not any(re.fullmatch(free, where) for free in sent.free):
            yield where or "body", one, other


def _media(answer: Answer) -> str:
    return answer.media_type.replace(" ", "") if answer.body or answer.status == 101 else ""


def _read(answer: Answer) -> Any:
    text = answer.body.decode(errors="replace")
    try:
        parsed = json.loads(text) if text.strip() else ""
    except ValueError:
        lines = text.splitlines()
        try:
            parsed = _told_once([json.loads(line) for line in lines])
        except ValueError:
            parsed = text
    return _plain(parsed, answer.words)


def _told_once(lines: list[Any]) -> list[Any]:
    """Events without a second pause, and a second end of it, of a container, which no sequence has.

    An engine tells of them at the call, and again where it hears of them from containerd when both calls are over.
    """
    kept, seen = [], set()
    for line in lines:
        action = line.get("Action") if isinstance(line, dict) else None
        told = (action, line["Actor"]["ID"]) if action in ("pause", "unpause") else None
        if told is None or told not in seen:
            kept.append(line)
        seen.add(told)
    return kept


def _plain(value: Any, words: dict[str, str], key: str = "") -> Any:
    if isinstance(value, dict):
        return {_text(name, words): _plain(item, words, name) for name, item in value.items()}
    if isinstance(value, list):
        items = [_plain(item, words, key) for item in value]
        if key == "Mounts":
            items.sort(key=lambda mount: mount.get("Destination", ""))
        return sorted(items) if key in _SETS else items
    if key in _MOMENTS and isinstance(value, int) and value > 0:
        return "MOMENT"
    return _text(value, words).rstrip() if isinstance(value, str) else value


def _text(text: str, words: dict[str, str]) -> str:
    for name, word in words.items():
        text = text.replace(name, f"<{word}>")
        if len(name) == 64:
            text = text.replace(name[:12], f"<{word}>")
    if text == _ZERO_TIME:
        return text
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    return text


def _walk(where: str, left: Any, right: Any) -> Iterator[Found]:
    if isinstance(left, dict) and isinstance(right, dict):
        for key in sorted({*left, *right}):
            yield from _walk(f"{where}.{key}".lstrip("."), left.get(key, "(absent)"), right.get(key, "(absent)"))
    elif isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        for index, (one, other) in enumerate(zip(left, right, strict=True)):
            yield from _walk(f"{where}.{index}".lstrip("."), one, other)
    elif left != right or type(left) is not type(right):
        yield where, left, right
