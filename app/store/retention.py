"""How long history is kept. Without it events and operations would grow without end."""

from __future__ import annotations

from sqlalchemy import text

from app.store.session import Transaction

#: Days. Engines themselves replay 256 events; a week answers "what happened last night" and "since Monday".
EVENT_DAYS = 7
OPERATION_DAYS = 30
#: An engine forgets an ended exec after minutes; ours go when nobody can be attached to them any more.
EXEC_DAYS = 7
#: "Who removed that, last quarter?"
AUDIT_DAYS = 90
#: Rows per statement, so that no delete holds locks for long.
BATCH = 5000

_EVENTS = text(
    """
    DELETE FROM events WHERE id IN (
        SELECT id FROM events WHERE at < now() - make_interval(days => :days) ORDER BY at LIMIT :batch)
    """
)
_OPERATIONS = text(
    """
    DELETE FROM operations WHERE id IN (
        SELECT id FROM operations WHERE finished_at < now() - make_interval(days => :days)
        ORDER BY finished_at LIMIT :batch)
    """
)
_EXECS = text(
    """
    DELETE FROM execs WHERE id IN (
        SELECT id FROM execs WHERE created_at < now() - make_interval(days => :days)
        ORDER BY created_at LIMIT :batch)
    """
)
_AUDIT = text(
    """
    DELETE FROM audit WHERE id IN (
        SELECT id FROM audit WHERE at < now() - make_interval(days => :days) ORDER BY at LIMIT :batch)
    """
)


def forget_old(tx: Transaction) -> int:
    """Delete one batch of what is past its time from each table; returns how many rows went."""
    kept = ((_EVENTS, EVENT_DAYS), (_OPERATIONS, OPERATION_DAYS), (_EXECS, EXEC_DAYS), (_AUDIT, AUDIT_DAYS))
    return sum(tx.execute(statement, {"days": days, "batch": BATCH}).rowcount for statement, days in kept)
