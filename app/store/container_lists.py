"""The lists of an account's containers: rows of ready JSON text, and what filters ask about."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Row, text

from app.domain.container_filter import Candidate
from app.store.prepared import Prepared
from app.store.session import Transaction

_CANDIDATES = {
    detailed: Prepared(
        text(
            f"""
            SELECT c.id, c.name, c.state, c.health, c.exit_code, c.image, c.image_id, c.labels, c.created_at,
                   c.started_at, c.finished_at, c.list_head, c.list_tail{more}
            FROM containers c
            WHERE c.account_id = :account AND c.state <> 'creating' AND c.list_head IS NOT NULL
            ORDER BY c.created_at DESC, c.id
            """  # noqa: S608
        )
    )
    for detailed, more in (
        (False, ""),
        (
            True,
            """, c.inspect #> '{NetworkSettings,Networks}', c.inspect #> '{NetworkSettings,Ports}',
                c.inspect #> '{Config,ExposedPorts}', c.inspect -> 'Mounts'""",
        ),
    )
}

# Every write gives a row a new xmin; the sum of hashes is that of the set of rows as they are now.
_STAMP = Prepared(
    text(
        """
        SELECT count(*), sum(uuid_hash_extended(uuid, xmin::text::bigint))
        FROM containers WHERE account_id = :account
        """
    )
)


def plain(tx: Transaction, account_id: UUID, *, active_only: bool, limit: int) -> Sequence[Row]:
    """(state, started_at, finished_at, exit_code, health, list_head, list_tail), newest first; limit 0 is none."""
    statement = """
        SELECT state, started_at, finished_at, exit_code, health, list_head, list_tail FROM containers
        WHERE account_id = %(account)s AND state <> 'creating' AND list_head IS NOT NULL
        """
    if active_only:
        statement += " AND state IN ('running', 'paused', 'restarting')"
    statement += " ORDER BY created_at DESC, id"
    if limit:
        statement += " LIMIT %(limit)s"
    # The driver's own statement: a list of thousands spends its time in Python, and nothing here needs composing.
    return tx.exec_driver_sql(statement, {"account": account_id, "limit": limit}).fetchall()


def stamp(tx: Transaction, account_id: UUID) -> object:
    """A value that is another one after any change of any of the account's rows, in whatever order changes commit."""
    return _STAMP.row(tx, {"account": account_id})


def candidates(tx: Transaction, account_id: UUID, *, detailed: bool = True) -> list[Candidate]:
    """All of the account's containers with what filters ask about, newest first.

    Without `detailed` their networks, ports and mounts are left out: nobody asks about them.
    """
    return [Candidate(*row) for row in _CANDIDATES[detailed].rows(tx, {"account": account_id})]
