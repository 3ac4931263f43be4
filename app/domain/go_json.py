"""How Go matches the keys of JSON objects to the fields of a struct.

`encoding/json` folds case by Unicode's simple folding, so an engine takes `hostconfig` and even `Networ\\u212aMode`
(KELVIN SIGN) for the field. Whoever decides about a request has to read keys the same way.
"""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=4096)
def fold(key: str) -> str:
    """`key` in the form in which two keys that Go takes for one field are equal."""
    if key.isascii():
        return key.lower()
    # One character folds to one: Go leaves alone what only full folding would change ("ß" is not "ss").
    return "".join(folded if len(folded := character.casefold()) == 1 else character for character in key)
