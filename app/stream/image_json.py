"""JSON that says what an image is, read so that an engine cannot read it in another way.

An engine's decoder takes keys in any case and lets the last of two win. What could mean one thing here and another
there is refused.
"""

from __future__ import annotations

import json
from typing import Any

from app.errors import InvalidParameter


def loads(data: bytes, complaint: str) -> Any:
    """What the JSON holds, where no object has a key twice. Raises InvalidParameter with the `complaint`."""
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise InvalidParameter(complaint) from None


def as_object(value: Any, complaint: str, *keys: str) -> dict[str, Any]:
    """`value` as an object that spells `keys`, which are read, as they are spelled here.

    Raises InvalidParameter with the `complaint`.
    """
    spelling = {key.casefold(): key for key in keys}
    if not isinstance(value, dict) or any(spelling.get(key.casefold(), key) != key for key in value):
        raise InvalidParameter(complaint)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _no_constant(name: str) -> None:
    """NaN and the infinities, which are no JSON."""
    raise ValueError(name)
