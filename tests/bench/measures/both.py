"""Containers that the service made, which both sides tell of: the account by its ids, the engine by its own; and an
engine that is nobody's, for what people make there with the words that they use with the service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.bench.sides import Side, Sides
from tests.machine import busybox_archive, private_engine, wait_until


def wait_for_only(sides: Sides, count: int) -> None:
    """Until the account and its engine each have `count` containers: a list without filters is then of the same ones.

    Raises AssertionError where others stay, such as another account's.
    """

    def the_same() -> bool:
        with sides.ours.client() as client:
            listed = {found["Id"] for found in client.call("GET", "/containers/json?all=1")}
        behind = [found["Labels"].get("sdc.container") for found in sides.stack.engine.containers()]
        return len(behind) == count and listed == set(behind)

    wait_until(the_same, f"the account's {count} containers, and no others on the engine")


@contextlib.contextmanager
def stock_engine(sides: Sides) -> Iterator[Side]:
    """Another engine's own socket, with the image under its name."""
    with private_engine() as engine:
        status, answer = engine.call("POST", "/images/load", busybox_archive())
        assert status == 200, answer
        yield Side("a stock engine's socket", "busybox", {}, sides.engine.api, path=engine.socket)


def engine_id(sides: Sides, container: str) -> str:
    """What the engine calls a container of the account's."""
    [found] = sides.stack.engine.containers(f"sdc.container={container}")
    return str(found["Id"])
