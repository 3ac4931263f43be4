"""The recorder: what is kept, what is counted, and what an unreachable database costs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from app.domain.audit import Entry, Result, Source
from app.errors import Unavailable
from app.services import audit as module
from app.services.audit import Recorder


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Database:
    """Takes rows, or is away."""

    def __init__(self) -> None:
        self.rows: list[Entry] = []
        self.away = False

    @contextlib.contextmanager
    def begin(self) -> Iterator[Database]:
        if self.away:
            raise Unavailable("away")
        yield self


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    made = Database()
    monkeypatch.setattr(module.audit, "append", lambda tx, *entries, ages: tx.rows.extend(entries))
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def recorder(database: Database, clock: Clock) -> Recorder:
    return Recorder(database, clock)  # type: ignore[arg-type]


def refusal(account: str = "alice", client: str = "192.0.2.1", status: int = 403) -> Entry:
    how: dict[str, Any] = {"result": Result.REFUSED, "status": status, "reason": "Forbidden: no", "client": client}
    return Entry(Source.API, account, "containers.create", "", account=account, **how)


def change(account: str = "alice") -> Entry:
    return Entry(Source.API, account, "containers.start", "web", account=account, status=204)


def test_what_is_recorded_is_written_once(recorder: Recorder, database: Database) -> None:
    recorder.record(change())
    recorder.record(refusal())
    assert database.rows == []
    assert recorder.write() == 2
    assert [r.result for r in database.rows] == [Result.DONE, Result.REFUSED]
    assert recorder.write() == 0


def test_refusals_beyond_the_rate_are_counted(recorder: Recorder, database: Database, clock: Clock) -> None:
    for _ in range(module.BURST + 500):
        recorder.record(refusal())
    recorder.write()
    assert len(database.rows) == module.BURST
    # The next one that is within the rate takes the count along.
    clock.now += module.EVERY_SECONDS
    recorder.record(refusal())
    recorder.write()
    assert len(database.rows) == module.BURST + 1
    assert database.rows[-1].left_out == 500
    assert sum(r.left_out + 1 for r in database.rows) == module.BURST + 501


def test_a_count_that_nobody_takes_along_is_recorded(recorder: Recorder, database: Database, clock: Clock) -> None:
    for _ in range(module.BURST + 5):
        recorder.record(refusal())
    recorder.write()
    clock.now += module.COUNT_SECONDS - 1
    assert recorder.write() == 0
    clock.now += 1
    assert recorder.write() == 1
    assert database.rows[-1].left_out == 4
    assert sum(r.left_out + 1 for r in database.rows) == module.BURST + 5


def test_one_account_does_not_hide_another(recorder: Recorder, database: Database) -> None:
    for _ in range(1000):
        recorder.record(refusal("alice"))
    recorder.record(refusal("bob"))
    recorder.write()
    assert [r.account for r in database.rows].count("bob") == 1


def test_strangers_with_many_addresses_are_bounded(recorder: Recorder, database: Database, clock: Clock) -> None:
    for n in range(20_000):
        recorder.record(refusal("", f"2001:db8::{n:x}", 401))
    recorder.write()
    assert len(database.rows) == module.STRANGERS_BURST
    assert len(recorder._rates) <= module.MOST_RATES
    assert len(recorder._left_out) == 1
    # An account's refusals are not among them.
    recorder.record(refusal("alice"))
    recorder.write()
    assert database.rows[-1].account == "alice"


def test_changes_are_not_held_to_the_refusals_rate(recorder: Recorder, database: Database) -> None:
    for _ in range(module.DONE_BURST):
        recorder.record(change())
    assert recorder.write() == module.DONE_BURST


def test_an_unreachable_database_loses_nothing_and_fills_nothing(
    recorder: Recorder, database: Database, clock: Clock
) -> None:
    database.away = True
    for n in range(3 * module.MOST_WAITING):
        recorder.record(change(f"a{n % 50}"))
        clock.now += 0.001
    recorder.write_or_warn()
    with pytest.raises(Unavailable):
        recorder.write()
    assert len(recorder._waiting) == module.MOST_WAITING
    database.away = False
    assert recorder.write() == module.MOST_WAITING
    clock.now += module.COUNT_SECONDS
    recorder.write()
    assert sum(r.left_out + 1 for r in database.rows) == 3 * module.MOST_WAITING


def test_rows_that_cannot_be_written_do_not_stay_in_the_way(
    recorder: Recorder, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("not for a database")

    with monkeypatch.context() as broken:
        broken.setattr(module.audit, "append", fail)
        recorder.record(change())
        recorder.write_or_warn()
    recorder.record(change("bob"))
    assert recorder.write() == 1
    assert database.rows[-1].account == "bob"


@pytest.mark.parametrize(
    ("verb", "noun"), [("containers.create", "container"), ("exec.start", "exec"), ("key.add", "key")]
)
def test_the_noun_of_a_verb(verb: str, noun: str) -> None:
    assert Entry(Source.API, "alice", verb, "x").target_type == noun


def test_only_what_was_not_done_has_a_reason() -> None:
    assert Entry(Source.API, "a", "containers.start", "web", status=500, result=Result.FAILED).reason == "status 500"
    assert Entry(Source.API, "a", "containers.start", "web", reason="why").reason == ""


def test_an_operator_has_a_name() -> None:
    who = module.operator()
    assert who.source is Source.OPERATOR
    user, at, host = who.actor.rpartition("@")
    assert user and at and host


@pytest.mark.parametrize("failure", [None, RuntimeError("no room")])
def test_two_that_write_at_a_time_write_everything_once(
    recorder: Recorder, database: Database, monkeypatch: pytest.MonkeyPatch, failure: Exception | None
) -> None:
    """At the end of a process its thread does, and the exit does."""
    for _ in range(3):
        recorder.record(change())
    begin, both, failures = database.begin, threading.Barrier(2), [failure]

    @contextlib.contextmanager
    def slow() -> Iterator[Database]:
        # Where the other one may write too, it is here in that time.
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        if error := failures.pop() if failures else None:
            raise error
        with begin() as tx:
            yield tx

    monkeypatch.setattr(database, "begin", slow)
    threads = [threading.Thread(target=recorder.write_or_warn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(database.rows) == (0 if failure else 3)
    assert recorder.write() == 0
