"""Short calls, one after the other on a connection that is kept, beside the engine's own socket."""

from __future__ import annotations

import contextlib
import urllib.parse
from collections.abc import Iterator
from typing import Any

from tests.bench.measures.both import engine_id, stock_engine, wait_for_only
from tests.bench.measures.turns import LABEL, Round, in_turn, typical
from tests.bench.report import Limit, Row, compared
from tests.bench.sides import Client, Side, Sides

INSPECT_LIMIT: Limit = ("<=", 6)
LIST_LIMIT: Limit = ("<=", 2)
CREATE_LIMIT: Limit = ("<=", 1.5)
BY_LABEL = urllib.parse.quote('{"label":["ten"]}')


def calls(sides: Sides, rounds: int) -> list[Row]:
    """inspect of a running container, list of ten, create. A round is the median of some calls.

    What is inspected is the same container on both sides. What is listed was made on both with the same words, and
    there are no others; the service's own engine lists the same ten, made of an image's id, which it need not look up.

    What a create takes an engine is its disk's affair, and changes within a run: ext4 without a journal passes by the
    inodes that were freed in the last minutes (5 ms become 20 after some hundred containers). So the ratio has to be
    read with the base that it is of.
    """
    pair = (sides.ours, sides.engine)
    with contextlib.ExitStack() as stack:
        stock = stack.enter_context(stock_engine(sides))
        clients = {side: stack.enter_context(side.client()) for side in (*pair, stock)}
        made = stack.enter_context(_ten(clients[sides.ours]))
        stack.enter_context(_ten(clients[stock]))
        wait_for_only(sides, len(made))
        running = {sides.ours: made[0], sides.engine: engine_id(sides, made[0])}

        def reads(side: Side, path: str) -> dict[str, float]:
            return {"took": typical(lambda: clients[side].bytes("GET", path)) * 1000}

        def creates(side: Side) -> dict[str, float]:
            extra: list[str] = []
            try:
                return {"took": typical(lambda: extra.append(_create(clients[side], {}))) * 1000}
            finally:
                for container in extra:
                    clients[side].call("DELETE", f"/containers/{container}")

        plain: Round = lambda side: reads(side, "/containers/json?all=1")  # noqa: E731
        figures: dict[str, tuple[Side, Round, Limit | None]] = {
            "inspect": (sides.engine, lambda side: reads(side, f"/containers/{running[side]}/json"), INSPECT_LIMIT),
            "list of 10": (stock, plain, LIST_LIMIT),
            "  beside the same ones": (sides.engine, plain, None),
            "  by a label that all have": (
                stock,
                lambda side: reads(side, f"/containers/json?all=1&filters={BY_LABEL}"),
                None,
            ),
            "create": (stock, creates, CREATE_LIMIT),
        }
        rows = []
        for name, (base, measure, limit) in figures.items():
            ours, theirs = in_turn((sides.ours, base), rounds, measure)["took"]
            rows.append(compared(name, "ms", ours, theirs, base.name, limit))
    return rows


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
