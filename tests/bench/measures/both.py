"""Containers that the service made, which both sides tell of: the account by its ids, the engine by its own."""

from __future__ import annotations

from tests.bench.sides import Sides
from tests.machine import wait_until


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


def engine_id(sides: Sides, container: str) -> str:
    """What the engine calls a container of the account's."""
    [found] = sides.stack.engine.containers(f"sdc.container={container}")
    return str(found["Id"])
