"""Signal names and numbers as `docker kill --signal` and `StopSignal` take them (Linux numbers, x86 and arm)."""

from __future__ import annotations

import re

from app.errors import InvalidParameter

NUMBERS: dict[str, int] = {
    "HUP": 1,
    "INT": 2,
    "QUIT": 3,
    "ILL": 4,
    "TRAP": 5,
    "ABRT": 6,
    "IOT": 6,
    "BUS": 7,
    "FPE": 8,
    "KILL": 9,
    "USR1": 10,
    "SEGV": 11,
    "USR2": 12,
    "PIPE": 13,
    "ALRM": 14,
    "TERM": 15,
    "STKFLT": 16,
    "CHLD": 17,
    "CLD": 17,
    "CONT": 18,
    "STOP": 19,
    "TSTP": 20,
    "TTIN": 21,
    "TTOU": 22,
    "URG": 23,
    "XCPU": 24,
    "XFSZ": 25,
    "VTALRM": 26,
    "PROF": 27,
    "WINCH": 28,
    "IO": 29,
    "POLL": 29,
    "PWR": 30,
    "SYS": 31,
    "RTMIN": 34,
    **{f"RTMIN+{n}": 34 + n for n in range(1, 16)},
    **{f"RTMAX-{n}": 64 - n for n in range(14, 0, -1)},
    "RTMAX": 64,
}

_NUMBER = re.compile(r"[0-9]{1,3}")


def parse(text: str) -> int:
    """The number of a signal given as `TERM`, `SIGTERM` (any case) or `15`. Raises InvalidParameter."""
    if _NUMBER.fullmatch(text):
        number = int(text)
        if 1 <= number <= 64:
            return number
    elif (found := NUMBERS.get(text.upper().removeprefix("SIG"))) is not None:
        return found
    raise InvalidParameter(f"Invalid signal: {text[:64]}")
