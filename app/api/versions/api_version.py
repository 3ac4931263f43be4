"""The version of Docker's API that a request speaks: an ordered type and the range that this service accepts.

A version is a pair of ints, so that 1.9 < 1.10 < 1.44. Text and floats order wrongly and never leave this module.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from app.errors import InvalidParameter

_PLAIN = re.compile(r"1\.[0-9]{1,3}", re.ASCII)
_NUMBERS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}", re.ASCII)


class ApiVersion(NamedTuple):
    """A version such as 1.24. Compares by its numbers; `str()` gives the form that clients write."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


#: The oldest version that is accepted, told in `/version` as MinAPIVersion.
MINIMUM = ApiVersion(1, 20)
#: The newest version and the shape that everything inside speaks, told as ApiVersion and in the `Api-Version` header.
MAXIMUM = ApiVersion(1, 44)
#: The version of a path that names none.
CURRENT = MAXIMUM


def parse(text: str) -> ApiVersion:
    """The version in `text`, which has the form 1.N without a leading "v". Any N is taken; `check` knows the range.

    Raises InvalidParameter for any other form, in the words of `check` where the number alone is out of range.
    """
    if _PLAIN.fullmatch(text):
        return ApiVersion(1, int(text[2:]))
    if _NUMBERS.fullmatch(text):
        # The engine orders such forms ("2", "1.44.1") by their numbers as well.
        numbers = tuple(int(number) for number in text.split("."))
        if numbers > MAXIMUM:
            raise InvalidParameter(_too_new(text))
        if numbers < MINIMUM:
            raise InvalidParameter(_too_old(text))
    raise InvalidParameter(f"invalid API version: {text[:32]!r}")


def check(version: ApiVersion) -> None:
    """Raises InvalidParameter, with the engine's sentence, when `version` is outside MINIMUM to MAXIMUM."""
    if version > MAXIMUM:
        raise InvalidParameter(_too_new(str(version)))
    if version < MINIMUM:
        raise InvalidParameter(_too_old(str(version)))


def _too_new(text: str) -> str:
    return f"client version {text} is too new. Maximum supported API version is {MAXIMUM}"


def _too_old(text: str) -> str:
    return (
        f"client version {text} is too old. Minimum supported API version is {MINIMUM}, "
        "please upgrade your client to a newer version"
    )
