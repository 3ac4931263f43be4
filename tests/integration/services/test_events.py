from __future__ import annotations

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from app.domain.account import Account
from app.errors import InvalidParameter, Unavailable
from app.services import events as module
from app.services.events import Events, OpenEvents
from app.store import events as store
from tests import factories
from tests.integration.world import World, wait_for

SECOND = 10**9
CHUNK = re.compile(rb"([0-9a-f]+)\r\n")


@pytest.fixture
def events(world: World) -> Iterator[Events]:
    made = Events(world.store)
    made.follow()
    yield made
    made.stop()


def happen(world: World, account: Account, action: str = "start", time_nano: int = 0, **attributes: str) -> int:
    moment = time_nano or time.time_ns()
    event = factories.event(action, attributes={"name": "web", "image": "busybox", **attributes})
    event = replace(event, account_id=account.id, node_id=world.node.id, time_nano=moment)
    with world.store.begin() as tx:
        store.append(tx, event)
    return moment


class Client:
    """Reads chunks off the relay's end of an event stream."""

    def __init__(self, opened: OpenEvents) -> None:
        self._sock: socket.socket = opened.sock
        self._data = opened.leftover
        self._earlier = opened.earlier
        assert opened.headers == {"Transfer-Encoding": "chunked"}

    def next(self, timeout: float = 30.0) -> dict | None:
        """The next message; None at the end of the body. Raises TimeoutError."""
        self._sock.settimeout(timeout)
        while True:
            if match := CHUNK.match(self._data):
                size = int(match[1], 16)
                end = match.end() + size
                if len(self._data) >= end + 2:
                    body, self._data = self._data[match.end() : end], self._data[end + 2 :]
                    return json.loads(body) if size else None
            if self._earlier is not None:
                piece = self._earlier()
                self._data += piece
                if not piece:
                    self._earlier = None
                continue
            block = self._sock.recv(65536)
            if not block:
                raise EOFError
            self._data += block

    def all(self) -> list[dict]:
        found = []
        while (message := self.next()) is not None:
            found.append(message)
        return found

    def close(self) -> None:
        self._sock.close()


@pytest.fixture
def listen(events: Events, world: World) -> Iterator:
    clients: list[Client] = []

    def opened(
        account: Account | None = None, *, since: int | None = None, until: int | None = None, **filters: list[str]
    ) -> Client:
        made = Client(events.open(account or world.alice, since=since, until=until, filters=filters))
        clients.append(made)
        return made

    yield opened
    for client in clients:
        client.close()


class Clock:
    """The service's time, which goes on as a test says."""

    def __init__(self) -> None:
        self.now = time.time_ns()
        self.sleep = time.sleep

    def time_ns(self) -> int:
        return self.now

    def time(self) -> float:
        return self.now / 1e9


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


def test_what_comes_after_one_has_asked(world: World, listen) -> None:
    happen(world, world.alice, "create")
    client = listen()
    happen(world, world.alice, "start", exitCode="1")
    message = client.next()
    assert (message["Action"], message["Actor"]["Attributes"]["exitCode"]) == ("start", "1")
    with pytest.raises(TimeoutError):
        client.next(0.05)


def test_who_asks_later_is_told_nothing_of_before(
    world: World, events: Events, listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor after somebody who asked for the past alone, or who could not be answered."""
    # Nothing is found out by a look that comes anyway.
    monkeypatch.setattr(module, "LOOK_SECONDS", 600)
    assert listen(since=1, until=time.time_ns()).all() == []
    happen(world, world.alice, "create")
    client = listen()
    happen(world, world.alice, "start")
    assert client.next()["Action"] == "start"
    client.close()
    # That it is gone is noticed when something happens.
    wait_for(lambda: happen(world, world.alice) and events._cursor is None)

    def away(*_: object) -> None:
        raise Unavailable("no database")

    with monkeypatch.context() as patched, pytest.raises(Unavailable):
        patched.setattr(store, "list_between", away)
        listen(since=1)
    wait_for(lambda: events._cursor is None)


def test_what_the_reader_has_not_seen_yet_is_of_before_all_the_same(
    world: World, listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = listen()
    happen(world, world.alice, "create")
    assert first.next()["Action"] == "create"
    look, go_on = store.list_after, threading.Event()

    def slow(*given: Any) -> list:
        assert go_on.wait(30)
        return look(*given)

    monkeypatch.setattr(store, "list_after", slow)
    happen(world, world.alice, "start")
    second, with_history = listen(), listen(since=1)
    go_on.set()
    assert first.next()["Action"] == "start"
    happen(world, world.alice, "die")
    assert first.next()["Action"] == second.next()["Action"] == "die"
    assert [with_history.next()["Action"] for _ in range(3)] == ["create", "start", "die"]


def test_who_is_told_the_end_is_listened_for_no_more(events: Events, listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has read it and asks for what comes is told nothing of before."""
    send, left = Events._send, []

    def told(self: Events, listener: object, data: bytes) -> None:
        left.append(len(events._listeners))
        send(self, listener, data)  # type: ignore[arg-type]

    monkeypatch.setattr(Events, "_send", told)
    assert listen(until=time.time_ns()).all() == []
    assert left == [0]


def test_each_account_its_own(world: World, listen) -> None:
    mine, theirs = listen(), listen(world.bob)
    happen(world, world.alice, "die")
    happen(world, world.bob, "start")
    assert mine.next()["Action"] == "die"
    assert theirs.next()["Action"] == "start"
    past = listen(world.bob, since=1, until=time.time_ns()).all()
    assert [m["Action"] for m in past] == ["start"]
    for client in (mine, theirs):
        with pytest.raises(TimeoutError):
            client.next(0.05)


def test_history_in_order_and_then_what_comes(world: World, listen) -> None:
    moments = [happen(world, world.alice, action) for action in ("create", "start", "die")]
    client = listen(since=moments[1])
    assert [client.next()["Action"] for _ in range(2)] == ["start", "die"]
    happen(world, world.alice, "destroy")
    assert client.next()["Action"] == "destroy"


@pytest.mark.parametrize(
    ("since", "until", "wanted"),
    [
        (None, 25, ["create", "start"]),
        (20, 30, ["start", "die"]),
        (20, 20, ["start"]),
        (31, 99, []),
        (1, 99, ["create", "start", "die"]),
    ],
)
def test_since_and_until(world: World, listen, wanted: list[str], since: int | None, until: int) -> None:
    for moment, action in ((10, "create"), (20, "start"), (30, "die")):
        happen(world, world.alice, action, moment * SECOND)
    asked = listen(since=since and since * SECOND, until=until * SECOND)
    assert [m["Action"] for m in asked.all()] == wanted


def test_until_a_moment_to_come(
    world: World, events: Events, listen, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 600)
    client = listen(until=clock.now + SECOND // 2)
    happen(world, world.alice, "start", clock.now)
    assert client.next()["Action"] == "start"
    clock.now += SECOND // 2 - 1
    happen(world, world.alice, "die", clock.now)
    assert client.next()["Action"] == "die"
    assert len(events._listeners) == 1
    clock.now += SECOND
    assert client.all() == []


def test_until_now_is_told_what_is_stored_a_moment_later(
    world: World, listen, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An observer stores an event some time after it happened."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 600)
    until = clock.now
    client, past = listen(since=1, until=until), listen(since=1, until=until - SECOND)
    happen(world, world.alice, "start", until - SECOND // 100)
    happen(world, world.alice, "die", until + SECOND // 100)
    assert client.next()["Action"] == "start"
    # A moment later the stream ends by itself.
    clock.now += module.LATE
    assert client.all() == []
    assert past.all() == []


def test_what_was_before_since_and_is_stored_late_is_not_told(world: World, listen) -> None:
    since = time.time_ns()
    client = listen(since=since)
    happen(world, world.alice, "die", since - 1)
    happen(world, world.alice, "start", since)
    assert client.next()["Action"] == "start"


@pytest.mark.parametrize("until", [None, 10**18], ids=["and then what comes", "alone"])
@pytest.mark.parametrize("piece", [1, 2, 3, 10, 11], ids=str)
def test_history_in_pieces(
    world: World, listen, monkeypatch: pytest.MonkeyPatch, piece: int, until: int | None
) -> None:
    monkeypatch.setattr(module, "PIECE", piece)
    for n in range(1, 11):
        happen(world, world.alice, "start", n)
        happen(world, world.bob, "start", n)
    client = listen(since=2, until=until)
    happen(world, world.alice, "die", 11)
    told = [client.next()["timeNano"] for _ in range(9)]
    assert told == list(range(2, 11))
    assert (client.next() or {}).get("timeNano") == (None if until else 11)
    # Those that a filter leaves out are no end.
    assert [m["timeNano"] for m in listen(since=1, until=10**18, event=["die"]).all()] == [11]
    monkeypatch.setattr(store, "HISTORY", 4)
    assert [m["timeNano"] for m in listen(since=1, until=10**18).all()] == [8, 9, 10, 11]


def test_of_a_great_history_little_is_kept(world: World, events: Events) -> None:
    new = [
        factories.event(
            account_id=world.alice.id, node_id=world.node.id, time_nano=n + 1, attributes={"padding": "x" * 16_000}
        )
        for n in range(600)
    ]
    with world.store.begin() as tx:
        store.append(tx, *new)
    opened = events.open(world.alice, since=1, until=10**18, filters={})
    largest = len(opened.leftover)
    client = Client(opened)
    assert [m["timeNano"] for m in client.all()] == list(range(1, 601))
    assert largest < 2 * 1024 * 1024
    client.close()


def test_filters(world: World, listen) -> None:
    client = listen(event=["die"], label=["tier=front"])
    past = {"since": 1, "until": time.time_ns() + 60 * SECOND}
    happen(world, world.alice, "start", tier="front")
    happen(world, world.alice, "die", tier="back")
    happen(world, world.alice, "die", tier="front", exitCode="3")
    assert client.next()["Actor"]["Attributes"]["exitCode"] == "3"
    assert listen(event=["die"], label=["tier=back"], **past).next()["Actor"]["Attributes"]["tier"] == "back"


def test_refused_filters_leave_no_listener(world: World, events: Events) -> None:
    with pytest.raises(InvalidParameter, match="invalid filter 'colour'"):
        events.open(world.alice, since=None, until=None, filters={"colour": ["red"]})
    assert events._listeners == set()


def test_a_replay_is_stored_and_told_once(world: World, listen) -> None:
    client = listen()
    moment = happen(world, world.alice, "start")
    happen(world, world.alice, "start", moment)
    happen(world, world.alice, "die", moment)
    assert [client.next()["Action"] for _ in range(2)] == ["start", "die"]
    with pytest.raises(TimeoutError):
        client.next(0.05)
    assert world.sql("SELECT count(*) FROM events") == [(2,)]


def test_what_is_stored_of_a_long_command_and_long_labels(world: World, listen) -> None:
    client = listen()
    word = os.urandom(60_000).hex()
    happen(world, world.alice, f"exec_create: true \u00e9{word}", a=word, b="short", exitCode="7")
    told = client.next()
    assert len(told["Action"].encode()) == 1024 and told["Action"].startswith("exec_create: true \u00e9")
    assert told["Actor"]["Attributes"] == {"name": "web", "image": "busybox", "b": "short", "exitCode": "7"}


def test_an_event_of_an_unknown_account_is_left_out(world: World) -> None:
    with world.store.begin() as tx:
        store.append(tx, factories.event(node_id=world.node.id))
    assert world.sql("SELECT count(*) FROM events") == [(0,)]


def test_more_than_a_batch(world: World, listen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 3)
    client = listen()
    with world.store.begin() as tx:
        for n in range(10):
            event = factories.event(account_id=world.alice.id, node_id=world.node.id, time_nano=n + 1)
            store.append(tx, event)
    assert [client.next()["timeNano"] for _ in range(10)] == list(range(1, 11))


def test_a_client_that_went_away_is_dropped(world: World, events: Events, listen) -> None:
    client, stays = listen(), listen()
    assert len(events._listeners) == 2
    client.close()
    happen(world, world.alice)
    wait_for(lambda: len(events._listeners) == 1)
    assert stays.next()["Action"] == "start"


def test_one_that_lags_behind_is_dropped_and_the_others_are_not(world: World, events: Events, listen) -> None:
    lags, reads = listen(), listen()
    text = "x" * 15000
    for n in range(800):
        happen(world, world.alice, "start", n + 1, padding=text)
        assert reads.next()["timeNano"] == n + 1
        if len(events._listeners) == 1:
            break
    assert len(events._listeners) == 1
    with pytest.raises(EOFError):
        while True:
            lags.next()
    happen(world, world.alice, "die")
    assert reads.next()["Action"] == "die"


def test_a_lost_connection_loses_no_event(world: World, listen) -> None:
    client = listen()
    statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    # It listens once somebody wants to hear.
    wait_for(lambda: len(world.sql(statement)) == 1)
    happen(world, world.alice, "start")
    assert client.next()["Action"] == "start"
