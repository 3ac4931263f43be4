"""How everything is measured: each side in turn within a round."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from tests.bench.sides import Side

MIB = 1 << 20
LABEL = {"made-for": "bench"}

clock = time.perf_counter

#: Name of a side -> what one round took.
Round = Callable[[Side], Mapping[str, float]]


def typical(call: Callable[[], object], calls: int = 10) -> float:
    """The median time of so many calls, in seconds."""
    took = []
    for _ in range(calls):
        began = clock()
        call()
        took.append(clock() - began)
    return sorted(took)[calls // 2]


def in_turn(sides: Sequence[Side], rounds: int, measure: Round) -> dict[str, list[list[float]]]:
    """`measure` once per side and round, after one round that does not count: figure -> its values, side by side.

    A figure may be of some sides only; the others have no values of it.
    """
    found: dict[str, list[list[float]]] = {}
    for number in range(-1, rounds):
        for turn in range(len(sides)):
            index = (number + turn) % len(sides)
            told = measure(sides[index])
            if number >= 0:
                for name, value in told.items():
                    found.setdefault(name, [[] for _ in sides])[index].append(value)
    return found
