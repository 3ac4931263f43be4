"""Long lists."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.bench.measures.turns import LABEL, clock, in_turn
from tests.bench.report import Row, compared
from tests.bench.sides import ACCOUNT, Client, Side, Sides
from tests.machine import busybox_archive, private_engine


def listing(sides: Sides, containers: int, rounds: int) -> list[Row]:
    """All containers of one account, beside an engine that has as many, made of an image by its name as people do.

    An engine looks the name up again for each container of a list. Those that the service makes on its engine refer to
    the image by id, and listing them there is the second figure.
    """
    quota = ["--containers", str(containers + 100), "--memory", "4t", "--cpus", "100000"]
    done = sides.stack.sdc_docker("account", "quota", ACCOUNT, *quota)
    assert done.code == 0, done.said
    with private_engine() as other:
        status, answer = other.call("POST", "/images/load", busybox_archive())
        assert status == 200, answer
        stock = Side("another stock engine", "busybox", {}, path=other.socket)
        all_sides = (sides.ours, stock, sides.engine)
        for side in (sides.ours, stock):
            began = clock()
            _create_many(side, containers)
            print(f"{containers} containers created on {side.name} in {clock() - began:.0f} s", flush=True)
        try:
            with contextlib.ExitStack() as stack:
                clients = {side: stack.enter_context(side.client()) for side in all_sides}

                def fetch(side: Side) -> dict[str, float]:
                    # An engine goes on for a while after a long answer, collecting garbage; that is not the next one's.
                    time.sleep(0.1)
                    before = clock()
                    body = clients[side].bytes("GET", "/containers/json?all=1")
                    took = clock() - before
                    assert body.count(b'"Id":') >= containers, f"{side.name}: {body[:200]!r}"
                    return {"list": took * 1000}

                ours, base, by_id = in_turn(all_sides, rounds, fetch)["list"]
        finally:
            _remove_all(sides.ours)
    return [
        compared(f"list of {containers:,} containers", "ms", ours, base, stock.name, ("<=", 0.1)),
        compared("  made of image ids", "ms", ours, by_id, sides.engine.name),
    ]


def _create_many(side: Side, count: int) -> None:
    body = {"Image": side.image, "Cmd": ["true"], "Labels": LABEL}
    _from_four(side, range(count), lambda client, _: client.call("POST", "/containers/create", body))


def _remove_all(side: Side) -> None:
    with side.client() as client:
        listed = client.call("GET", "/containers/json?all=1")
    _from_four(side, listed, lambda client, found: client.bytes("DELETE", f"/containers/{found['Id']}?force=1"))


def _from_four(side: Side, items: Sequence[Any], call: Callable[[Client, Any], object]) -> None:
    """`call` for each item, from four clients at a time."""

    def share(first: int) -> None:
        with side.client() as client:
            for item in items[first::4]:
                call(client, item)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(share, range(4)))
