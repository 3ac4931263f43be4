"""The audit in a real database: what is written can be found again, and cannot be changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg2
import pytest

from app.domain.audit import Entry, Result, Source
from app.errors import Conflict, NotFound
from app.services.audit import Audit, Recorder, Who, done
from app.services.operator import Operator
from app.store import accounts, audit, retention
from tests.integration.world import World


@pytest.fixture
def trail(world: World) -> Audit:
    return Audit(world.store)


def request(world: World, **values: object) -> Entry:
    about = {"account": "alice", "account_id": world.alice.id, "target": "web", "status": 204, "milliseconds": 12}
    return Entry(Source.API, "alice", "containers.start", **{**about, **values})  # type: ignore[arg-type]


def test_what_is_written_is_found_again(world: World, trail: Audit) -> None:
    entry = request(
        world, fingerprint="SHA256:x", detail={"method": "POST"}, request_id="r", client="192.0.2.7", left_out=3
    )
    recorder = Recorder(world.store)
    recorder.record(entry)
    recorder.write()
    (found,) = trail.entries()
    assert found.entry == entry
    assert abs(datetime.now(UTC) - found.at) < timedelta(minutes=1)


def test_what_was_answered_before_stands_before(world: World, trail: Audit) -> None:
    """Two workers write when each has its turn."""
    now = 1000.0
    first, second = Recorder(world.store, lambda: now), Recorder(world.store, lambda: now)
    first.record(request(world, target="first"))
    now += 60
    second.record(request(world, target="second"))
    second.write()
    first.write()
    assert [r.entry.target for r in trail.entries()] == ["first", "second"]


def test_whatever_a_client_writes_can_be_stored(world: World, trail: Audit) -> None:
    ugly = "\x00\ud800\u2028" + "x" * 2000
    reason = f"Refused: {ugly}"
    recorder = Recorder(world.store)
    recorder.record(request(world, target=ugly, reason=reason, result=Result.REFUSED, detail={"path": ugly}))
    recorder.write()
    (found,) = trail.entries()
    assert len(found.entry.target) == audit.LONGEST and found.entry.target.startswith("\ufffd?")
    assert found.entry.detail["path"] == found.entry.target


def test_filters(world: World, trail: Audit) -> None:
    refused = {"result": Result.REFUSED, "status": 403, "reason": "Forbidden: no"}
    with world.store.begin() as tx:
        audit.append(tx, request(world), request(world, **refused))
        audit.append(tx, Entry(Source.OPERATOR, "root@h", "key.add", "SHA256:y", account="bob"))
    assert [r.entry.verb for r in trail.entries()] == ["containers.start", "containers.start", "key.add"]
    assert len(trail.entries(account="alice")) == 2
    assert [r.entry.target for r in trail.entries(verb="key")] == ["SHA256:y"]
    assert len(trail.entries(verb="containers.start")) == 2
    assert trail.entries(verb="container") == []
    assert [r.entry.status for r in trail.entries(refused=True)] == [403]
    assert [r.entry.verb for r in trail.entries(limit=1)] == ["key.add"]
    now = datetime.now(UTC)
    assert trail.entries(since=now + timedelta(minutes=1)) == []
    assert len(trail.entries(since=now - timedelta(minutes=1), until=now + timedelta(minutes=1))) == 3
    assert trail.entries(until=now - timedelta(minutes=1)) == []


def test_rows_are_not_changed(world: World) -> None:
    with world.store.begin() as tx:
        audit.append(tx, request(world))
    with pytest.raises(psycopg2.errors.RaiseException, match="audit rows are not changed"):
        world.sql("UPDATE audit SET actor = 'nobody'")


def test_old_rows_are_forgotten(world: World, trail: Audit) -> None:
    with world.store.begin() as tx:
        audit.append(tx, request(world), request(world))
    world.sql("ALTER TABLE audit DISABLE TRIGGER USER")
    world.sql("UPDATE audit SET at = now() - interval '91 days' WHERE id = (SELECT min(id) FROM audit)")
    with world.store.begin() as tx:
        assert retention.forget_old(tx) == 1
    assert len(trail.entries()) == 1


def test_refusals_are_counted(world: World) -> None:
    refused = {"result": Result.REFUSED, "status": 403, "reason": "Forbidden: a: b"}
    stranger = {"result": Result.REFUSED, "status": 401, "reason": "Refused: no", "left_out": 9}
    with world.store.begin() as tx:
        audit.append(tx, request(world, **refused), request(world, **refused), request(world, **stranger))
        audit.append(tx, request(world), request(world, result=Result.FAILED, status=503, reason="Unavailable: away"))
        found = audit.count_refused(tx, datetime.now(UTC) - timedelta(days=1))
    assert [row[:3] for row in found] == [(401, "Refused", 10), (403, "Forbidden", 2)]


def test_a_change_and_its_line_are_one_transaction(world: World, trail: Audit) -> None:
    """As CloudAPI records a key: none without the other."""
    who = Who(Source.CLOUDAPI, "alice", "SHA256:x", "request-1", "192.0.2.7")
    with pytest.raises(RuntimeError), world.store.begin() as tx:
        done(tx, who, "key.add", "SHA256:z", account=world.alice, name="laptop")
        raise RuntimeError
    assert trail.entries() == []
    with world.store.begin() as tx:
        accounts.add_key(tx, world.alice.id, "laptop", "SHA256:z", "ssh-ed25519 x")
        done(tx, who, "key.add", "SHA256:z", account=world.alice, name="laptop")
    (found,) = trail.entries()
    assert (found.entry.source, found.entry.account, found.entry.request_id) == (Source.CLOUDAPI, "alice", "request-1")
    assert found.entry.detail == {"name": "laptop"}


def test_an_operators_verbs(world: World, trail: Audit) -> None:
    operator = Operator(world.store, Who(Source.OPERATOR, "ann@host"))
    operator.add_account("carol")
    operator.set_quota("carol", max_containers=3)
    operator.set_disabled("carol", True)
    operator.cordon("n1", True, "new disk")
    with pytest.raises(Conflict):
        operator.add_account("carol")
    with pytest.raises(NotFound):
        operator.set_disabled("nobody", False)
    found = [(r.entry.verb, r.entry.target, r.entry.result.value, r.entry.detail) for r in trail.entries()]
    assert found == [
        ("account.add", "carol", "done", {}),
        ("account.quota", "carol", "done", {"max_containers": 3}),
        ("account.disable", "carol", "done", {}),
        ("node.cordon", "n1", "done", {"reason": "new disk"}),
        ("account.add", "carol", "refused", {}),
        ("account.enable", "nobody", "refused", {}),
    ]
    assert {r.entry.actor for r in trail.entries()} == {"ann@host"}
    assert trail.entries()[-1].entry.reason == "NotFound: there is no account nobody"
