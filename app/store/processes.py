"""Running processes of the service and their signs of life, all by the database's clock."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text

from app.store.session import Transaction


def beat(tx: Transaction, process_id: UUID, kind: str, host: str, pid: int) -> None:
    statement = text(
        """
        INSERT INTO processes (id, kind, host, pid) VALUES (:id, :kind, :host, :pid)
        ON CONFLICT (id) DO UPDATE SET heartbeat_at = now()
        """
    )
    tx.execute(statement, {"id": process_id, "kind": kind, "host": host, "pid": pid})


def forget_silent(tx: Transaction, seconds: int) -> None:
    """Drop the rows of processes that gave no sign of life for `seconds` and have nothing pending."""
    statement = text(
        """
        DELETE FROM processes p WHERE heartbeat_at < now() - make_interval(secs => :seconds)
           AND NOT EXISTS (SELECT FROM operations o WHERE o.process_id = p.id AND o.state = 'pending')
        """
    )
    tx.execute(statement, {"seconds": seconds})
