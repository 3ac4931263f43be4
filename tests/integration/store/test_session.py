from __future__ import annotations

import contextlib
import os
import threading
import time

import pytest
from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.exc import IntegrityError, NotSupportedError

from app.errors import Internal, NotFound, Unavailable
from app.store import accounts, events, tables
from app.store.prepared import Guard, Prepared, Together
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


def test_what_is_too_much_for_the_database_is_no_outage(world: World) -> None:
    """Who waits for a database that is away would wait for ever: the observer, with the events of all accounts."""
    with pytest.raises(Internal), world.store.begin() as tx:
        tx.execute(update(tables.nodes).values(name=func.repeat(func.md5("x"), 4).concat(os.urandom(9000).hex())))
    with world.store.begin() as tx:
        assert len(accounts.list_all(tx)) == 2


def test_a_lost_connection_is_replaced(world: World) -> None:
    with world.store.begin() as tx:
        accounts.list_all(tx)
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    world.sql(f"SELECT pg_terminate_backend(pid) {others}")
    wait_for(lambda: world.sql(f"SELECT count(*) {others}") == [(0,)])
    with world.store.begin() as tx:
        assert len(accounts.list_all(tx)) == 2


def test_who_waits_for_a_connection_gets_the_next_one_that_is_free(world: World) -> None:
    store = Store(world.url, pool=1)
    _, most = store.connections()
    got = threading.Event()

    def wait() -> None:
        with store.autocommit():
            got.set()

    with contextlib.ExitStack() as others:
        for _ in range(most - 1):
            others.enter_context(store.autocommit())
        with store.autocommit():
            assert store.connections() == (most, most)
            waiting = threading.Thread(target=wait)
            waiting.start()
            assert not got.wait(0.2)
        assert got.wait(30), "it went to nobody"
        waiting.join(30)
    assert store.connections() == (0, most)
    for _ in range(2 * most):
        with store.begin() as tx:
            accounts.list_all(tx)
    assert store.connections() == (0, most)
    store.close()


def test_a_closed_store_keeps_no_connection(world: World) -> None:
    """A worker that retires serves its last requests so."""
    store = Store(world.url, pool=2)
    with store.autocommit():
        with store.autocommit():
            pass
        store.close()
    for _ in range(3):
        with store.begin() as tx:
            accounts.list_all(tx)
    assert store.connections()[0] == 0
    assert not store._free
    store.close()


def test_a_connection_is_used_by_one_at_a_time(world: World) -> None:
    store = Store(world.url, pool=2)
    users: dict[int, threading.Thread] = {}

    def work() -> None:
        me = threading.current_thread()
        for _ in range(50):
            with store.begin() as tx:
                pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
                assert users.setdefault(pid, me) is me, "two have it"
                accounts.list_all(tx)
                del users[pid]
        done.append(me)

    done: list[threading.Thread] = []
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == len(threads)
    store.close()


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
    assert not listener.wait(60, wake)
    threading.Timer(0.05, world.sql, ("NOTIFY sdc_test",)).start()
    assert listener.wait(60, wake)
    assert time.monotonic() - began < 50
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


def _insert(login: str) -> Prepared:
    return Prepared(text(f"INSERT INTO accounts (login) VALUES ('{login}')"))


def _logins(world: World) -> set[str]:
    return {login for (login,) in world.sql("SELECT login FROM accounts")}


def test_what_is_put_off_is_told_in_order_and_with_the_end(world: World) -> None:
    carol, dave = _insert("carol"), _insert("dave")
    with world.store.begin() as tx:
        carol.later(tx, {})
        dave.later(tx, {})
        assert accounts.find_by_login(tx, "carol"), "it was not told before the next statement"
        _insert("erin").later(tx, {})
    assert _logins(world) >= {"carol", "dave", "erin"}


def test_what_is_put_off_goes_with_a_block_that_raises(world: World) -> None:
    with pytest.raises(NotFound), world.store.begin() as tx:
        _insert("carol").later(tx, {})
        raise NotFound("no")
    with pytest.raises(NotFound), world.store.begin() as tx:
        _insert("carol").later(tx, {})
        accounts.list_all(tx)
        raise NotFound("no")
    assert "carol" not in _logins(world)


@pytest.mark.parametrize("more", [True, False])
def test_an_error_of_what_is_put_off_comes_with_what_follows(world: World, more: bool) -> None:
    with pytest.raises(UniqueViolation) as violation, world.store.begin() as tx:
        _insert("carol").later(tx, {})
        _insert("alice").later(tx, {})
        if more:
            accounts.list_all(tx)
    assert violation.value.constraint == "uq_accounts_login"
    assert "carol" not in _logins(world)
    with world.store.begin() as tx:
        assert accounts.find_by_login(tx, "alice"), "the connection was left in the transaction"


def test_outside_of_a_transaction_nothing_is_put_off(world: World) -> None:
    with world.store.autocommit() as tx:
        _insert("carol").later(tx, {})
        assert "carol" in _logins(world)
        with pytest.raises(IntegrityError):
            _insert("alice").later(tx, {})


def test_what_is_together_is_one_message_and_one_transaction(world: World) -> None:
    carol, both = _insert("carol"), Prepared(text("SELECT count(*) FROM accounts WHERE login IN ('carol', 'dave')"))
    with world.store.together() as tx:
        carol.later(tx, {})
        _insert("dave").later(tx, {})
        assert both.row(tx) == (2,)
        assert _logins(world) >= {"carol", "dave"}, "it did not end with its message"
        with pytest.raises(RuntimeError):
            both.row(tx)
        with pytest.raises(RuntimeError):
            carol.later(tx, {})
    with world.store.together() as tx:
        _insert("erin").later(tx, {})
        _insert("frank").later(tx, {})
    assert _logins(world) >= {"erin", "frank"}
    with world.store.together():
        pass


def test_what_is_together_is_undone_together(world: World) -> None:
    with pytest.raises(UniqueViolation), world.store.together(lasting=False) as tx:
        _insert("carol").later(tx, {})
        _insert("alice").later(tx, {})
    with pytest.raises(NotFound), world.store.together(lasting=False) as tx:
        _insert("carol").later(tx, {})
        raise NotFound("no")
    with pytest.raises(RuntimeError), world.store.together() as tx:
        _insert("carol").later(tx, {})
        accounts.list_all(tx)
    assert "carol" not in _logins(world)
    with world.store.begin() as tx:
        assert accounts.find_by_login(tx, "alice"), "the connection was left in the transaction"


def test_nobody_waits_for_the_disk_where_it_is_not_lasting(world: World) -> None:
    setting = Prepared(text("SELECT current_setting('synchronous_commit')"))
    # The pool has no other connection.
    with world.store.autocommit() as tx:
        tx.execute(text("SET synchronous_commit TO on"))
    with world.store.together(lasting=False) as tx:
        assert setting.row(tx) == ("off",)
    for block in (world.store.together, world.store.begin, world.store.autocommit):
        with block() as tx:
            assert setting.row(tx) == ("on",)


class _NobodyThere(Exception):
    pass


@pytest.mark.parametrize("block", ["begin", "together"])
def test_a_guard_that_writes_nothing_undoes_all(world: World, block: str) -> None:
    disable = Guard(
        update(tables.accounts).where(tables.accounts.c.login == bindparam("who")).values(disabled_at=func.now()),
        _NobodyThere,
    )
    with pytest.raises(_NobodyThere), getattr(world.store, block)() as tx:
        _insert("carol").later(tx, {})
        disable.later(tx, {"who": "nobody"})
        _insert("dave").later(tx, {})
    assert _logins(world) == {"alice", "bob"}
    with getattr(world.store, block)() as tx:
        _insert("carol").later(tx, {})
        disable.later(tx, {"who": "alice"})
    assert world.sql("SELECT login FROM accounts WHERE disabled_at IS NOT NULL") == [("alice",)]
    assert "carol" in _logins(world)


def test_a_prepared_statement_outlives_a_transaction_and_not_its_connection(world: World) -> None:
    store = Store(world.url, pool=1)
    by_login = Prepared(text("SELECT id FROM accounts WHERE login = :login"))
    with pytest.raises(NotFound), store.begin() as tx:
        assert by_login.row(tx, {"login": "alice"})
        raise NotFound("no")
    with store.begin() as tx:
        assert by_login.rows(tx, {"login": "alice' OR ''='"}) == []
        assert by_login.row(tx, {"login": "alice"})
    with pytest.raises(Unavailable), store.begin() as tx:
        pid = tx.execute(text("SELECT pg_backend_pid()")).scalar_one()
        world.sql(f"SELECT pg_terminate_backend({pid})")
        by_login.row(tx, {"login": "alice"})
    with store.begin() as tx:
        assert by_login.row(tx, {"login": "alice"})
    store.close()


def test_a_column_of_another_type_is_planned_anew(world: World) -> None:
    """As a migration does while the service runs."""
    world.sql("CREATE TABLE things (id integer)")
    things = Prepared(text("SELECT id FROM things"))
    with world.store.autocommit() as tx:
        assert things.rows(tx) == []
        world.sql("ALTER TABLE things ALTER id TYPE text")
        with pytest.raises(NotSupportedError):
            things.rows(tx)
    with world.store.autocommit() as tx:
        assert things.rows(tx) == []


def test_together_gives_what_each_query_gives(world: World) -> None:
    queries = (
        select(tables.accounts.c.id, tables.accounts.c.login, tables.accounts.c.created_at).order_by("login"),
        select(tables.accounts.c.disabled_at).where(tables.accounts.c.login == bindparam("login")),
        select(tables.nodes.c.cpus, tables.nodes.c.cordoned).where(tables.nodes.c.name == "nowhere"),
    )
    values = {"login": "bob"}
    with world.store.autocommit() as tx:
        alone = [[tuple(row) for row in tx.execute(query, values)] for query in queries]
        assert Together(*queries).rows(tx, values) == alone
    assert len(alone[0]) == 2 and alone[1] == [(None,)] and alone[2] == []
