"""Short calls, one after the other on a connection that is kept, beside the engine's own socket."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from tests.bench.measures.turns import LABEL, clock, in_turn
from tests.bench.report import Limit, Row, compared
from tests.bench.sides import Client, Side, Sides

INSPECT_LIMIT: Limit = ("<=", 6)
LIST_LIMIT: Limit = ("<=", 2)
CREATE_LIMIT: Limit = ("<=", 1.5)
#: A round is the median of so many calls.
CALLS = 10


def calls(sides: Sides, rounds: int) -> list[Row]:
    """inspect of a running container, list of ten, create."""
    pair = (sides.ours, sides.engine)
    with contextlib.ExitStack() as stack:
        clients = {side: stack.enter_context(side.client()) for side in pair}
        made = {side: stack.enter_context(_ten(clients[side])) for side in pair}
        extra: dict[Side, list[str]] = {side: [] for side in pair}

        def inspect(side: Side) -> object:
            return clients[side].bytes("GET", f"/containers/{made[side][0]}/json")

        def listing(side: Side) -> object:
            return clients[side].bytes("GET", "/containers/json?all=1&filters=%7B%22label%22%3A%5B%22ten%22%5D%7D")

        def create(side: Side) -> object:
            extra[side].append(_create(clients[side], {}))
            return None

        found = {
            name: in_turn(pair, rounds, lambda side, call=call: {"took": _median(side, call)})["took"]  # type: ignore[misc]
            for name, call in (("inspect", inspect), ("list of 10", listing))
        }

        def creates(side: Side) -> dict[str, float]:
            try:
                return {"took": _median(side, create)}
            finally:
                while extra[side]:
                    clients[side].call("DELETE", f"/containers/{extra[side].pop()}")

        found["create"] = in_turn(pair, rounds, creates)["took"]
    limits = {"inspect": INSPECT_LIMIT, "list of 10": LIST_LIMIT, "create": CREATE_LIMIT}
    return [compared(name, "ms", ours, base, sides.engine.name, limits[name]) for name, (ours, base) in found.items()]


def _median(side: Side, call: Callable[[Side], object]) -> float:
    took = []
    for _ in range(CALLS):
        began = clock()
        call(side)
        took.append(clock() - began)
    return sorted(took)[CALLS // 2] * 1000


def _create(client: Client, labels: dict[str, str]) -> str:
    body: dict[str, Any] = {"Image": client.side.image, "Cmd": ["sleep", "3600"], "Labels": LABEL | labels}
    return str(client.call("POST", "/containers/create", body)["Id"])


@contextlib.contextmanager
def _ten(client: Client) -> Iterator[list[str]]:
    """Ten containers, the first running."""
    made: list[str] = []
    try:
        for _ in range(10):
            made.append(_create(client, {"ten": ""}))
        client.call("POST", f"/containers/{made[0]}/start")
        yield made
    finally:
        for container in made:
            client.call("DELETE", f"/containers/{container}?force=1")
