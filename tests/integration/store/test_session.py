from __future__ import annotations

import os
import threading
import time

import pytest

from app.errors import NotFound, Unavailable
from app.store import accounts, events
from app.store.session import Store, UniqueViolation, to_json
from tests.integration.world import World, wait_for


def test_a_block_that_raises_leaves_nothing(world: World) -> None:
    with pytest.raises(NotFound), world.store.begin() as tx:
        accounts.add(tx, "carol")
        raise NotFound("no")
    with world.store.begin() as tx:
        assert accounts.find_by_login(tx, "carol") is None


def test_a_unique_violation_has_the_constraints_name(world: World) -> None:
    with pytest.raises(UniqueViolation) as violation, world.store.begin() as tx:
        accounts.add(tx, "alice")
    assert violation.value.constraint == "uq_accounts_login"


def test_a_database_that_is_not_there() -> None:
    store = Store("postgresql+psycopg2://postgres@/none?host=/nowhere", pool=1)
    with pytest.raises(Unavailable) as away, store.begin():
        pass
    assert away.value.retry_after
    assert "/nowhere" not in away.value.message and "none" not in away.value.message
    with pytest.raises(Unavailable):
        store.listen(events.CHANNEL)
    store.close()


def test_a_lost_connection_is_replaced(world: World) -> None:
    with world.store.begin() as tx:
        accounts.list_all(tx)
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    world.sql(f"SELECT pg_terminate_backend(pid) {others}")
    wait_for(lambda: world.sql(f"SELECT count(*) {others}") == [(0,)])
    with world.store.begin() as tx:
        assert len(accounts.list_all(tx)) == 2


def test_one_that_is_lost_within_a_transaction(world: World) -> None:
    with pytest.raises(Unavailable), world.store.begin() as tx:
        accounts.add(tx, "carol")
        world.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid()"
        )
        accounts.list_all(tx)
    with world.store.begin() as tx:
        assert accounts.find_by_login(tx, "carol") is None


def test_listen(world: World) -> None:
    listener = world.store.listen("sdc_test")
    wake = os.eventfd(0, os.EFD_NONBLOCK)
    began = time.monotonic()
    assert not listener.wait(0.05, wake)
    os.eventfd_write(wake, 1)
    assert not listener.wait(10, wake)
    threading.Timer(0.05, world.sql, ("NOTIFY sdc_test",)).start()
    assert listener.wait(10, wake)
    assert time.monotonic() - began < 5
    assert not listener.wait(0.01, wake)
    world.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
    with pytest.raises(Unavailable):
        for _ in range(5):  # The server's last words come first.
            listener.wait(10, wake)
    listener.close()
    os.close(wake)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": "x\0y"}, r'{"a":"x\ufffdy"}'),
        (["\0\0"], r'["\ufffd\ufffd"]'),
        ({"\0": 1}, r'{"\ufffd":1}'),
        # A backslash and the letters are no NUL.
        ("\\u0000", r'"\\u0000"'),
        ("\\\0", r'"\\\ufffd"'),
        ("ü", '"ü"'),
    ],
)
def test_to_json(value: object, text: str) -> None:
    assert to_json(value) == text
