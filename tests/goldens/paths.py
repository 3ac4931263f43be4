"""Parts of an answer: "State.Status", "Mounts[].Type" (of each element), "Runtimes.*.status" (of each value)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any


def project(body: Any, paths: Iterable[str]) -> Any:
    """`body` with nothing but what is at `paths`; what is not there is left out. Of a list, of each of its elements."""
    taken: Any = {}
    for path in paths:
        words = re.findall(r"\[\]|[^.\[\]]+", path)
        taken = _merge(taken, _take(body, ["[]", *words] if isinstance(body, list) else words))
    return taken


def _take(body: Any, words: list[str]) -> Any:
    if not words:
        return body
    word, *rest = words
    if word == "[]":
        return [_take(item, rest) for item in body] if isinstance(body, list) else body
    if not isinstance(body, dict):
        return body
    if word == "*":
        return {key: _take(value, rest) for key, value in body.items()}
    return {word: _take(body[word], rest)} if word in body else {}


def _merge(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            **one,
            **{key: _merge(one[key], value) if key in one else value for key, value in other.items()},
        }
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [_merge(a, b) for a, b in zip(one, other, strict=True)]
    return other
