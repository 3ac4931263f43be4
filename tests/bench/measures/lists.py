"""Long lists."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.bench.measures.both import stock_engine, wait_for_only
from tests.bench.measures.turns import LABEL, clock, in_turn
from tests.bench.report import Limit, Row, compared
from tests.bench.sides import ACCOUNT, NETWORK, Client, Side, Sides

#: The limits are for lists that are at least as long.
LONG = 1000
NEWEST_LIMIT: Limit = ("<=", 0.1)
OLDEST_LIMIT: Limit = ("<=", 0.25)
THE_SAME = "  beside the same ones, made of an image's id"


def listing(sides: Sides, containers: int, rounds: int) -> list[Row]:
    """All containers of one account, beside as many on a stock engine, in the newest and the oldest version.

    Both were made with the same words, of an image by its name, which a stock engine looks up again for each container
    of a list. On the service's own engine they refer to their image by id: the figures beside its list of the same ones
    are there to compare, and have no limit.
    """
    quota = ["--containers", str(containers + 100), "--memory", "4t", "--cpus", "100000"]
    done = sides.stack.sdc_docker("account", "quota", ACCOUNT, *quota)
    assert done.code == 0, done.said
    with contextlib.ExitStack() as stack:
        stock = stack.enter_context(stock_engine(sides))
        old, old_engine = sides.ours.at(sides.oldest), sides.engine.at(sides.oldest_engine)
        old_stock = stock.at(sides.oldest_engine)
        all_sides = (sides.ours, sides.engine, stock, old, old_engine, old_stock)
        for side in (sides.ours, stock):
            stack.enter_context(_many(side, containers))
        wait_for_only(sides, containers)
        clients = {side: stack.enter_context(side.client()) for side in all_sides}

        def fetch(side: Side) -> dict[str, float]:
            # An engine goes on for a while after a long answer, collecting garbage; that is not the next one's.
            time.sleep(0.1)
            before = clock()
            body = clients[side].bytes("GET", "/containers/json?all=1")
            took = clock() - before
            assert body.count(b'"Id":') >= containers, f"{side.name}: {body[:200]!r}"
            return {"list": took * 1000}

        ours, same, by_name, ours_at_old, same_at_old, by_name_at_old = in_turn(all_sides, rounds, fetch)["list"]
    what, long = f"list of {containers:,} containers", containers >= LONG
    at_oldest = f"{what} at {sides.oldest.removeprefix('/v')}"
    return [
        compared(what, "ms", ours, by_name, stock.name, NEWEST_LIMIT if long else None),
        compared(THE_SAME, "ms", ours, same, sides.engine.name),
        compared(at_oldest, "ms", ours_at_old, by_name_at_old, old_stock.name, OLDEST_LIMIT if long else None),
        compared(THE_SAME, "ms", ours_at_old, same_at_old, old_engine.name),
    ]


@contextlib.contextmanager
def _many(side: Side, count: int) -> Iterator[None]:
    """So many containers on a network of their own, on which one takes no address before it starts.

    An account's default network has addresses for a quarter of a thousand.
    """
    body = {"Image": side.image, "Cmd": ["true"], "Labels": LABEL, "HostConfig": {"NetworkMode": NETWORK}}
    with side.client() as client:
        client.call("POST", "/networks/create", {"Name": NETWORK})
    try:
        began = clock()
        _from_four(side, range(count), lambda client, _: client.call("POST", "/containers/create", body))
        print(f"{count} containers created on {side.name} in {clock() - began:.0f} s", flush=True)
        yield
    finally:
        with side.client() as client:
            listed = client.call("GET", "/containers/json?all=1")
        _from_four(side, listed, lambda client, found: client.bytes("DELETE", f"/containers/{found['Id']}?force=1"))
        with side.client() as client:
            client.call("DELETE", f"/networks/{NETWORK}")


def _from_four(side: Side, items: Sequence[Any], call: Callable[[Client, Any], object]) -> None:
    """`call` for each item, from four clients at a time."""

    def share(first: int) -> None:
        with side.client() as client:
            for item in items[first::4]:
                call(client, item)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(share, range(4)))
