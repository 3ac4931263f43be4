"""Events, appended one transaction at a time, so that the order of ids is the order of commits and a reader that has
seen an id has seen all before it."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import text

from app.domain.event import Event, bounded
from app.store.prepared import Prepared
from app.store.session import Transaction, to_json

CHANNEL = "sdc_events"
_APPENDER = 7351001
#: The most that one request is told of the past.
HISTORY = 50_000

_COLUMNS = "account_id, node_id, time_nano, type, action, actor_id, attributes, id"

# The lock comes first: an id is given for a row that follows from it.
_APPEND = Prepared(
    text(
        f"""
        WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock({_APPENDER})),
        stored AS (
            INSERT INTO events (account_id, node_id, time_nano, type, action, actor_id, attributes)
            SELECT account_id, node_id, time_nano, type, action, actor_id, attributes
            FROM locked, jsonb_to_recordset(CAST(:new AS jsonb)) AS new (account_id uuid, node_id uuid,
                 time_nano bigint, type text, action text, actor_id text, attributes jsonb, place int)
            WHERE EXISTS (SELECT FROM accounts WHERE accounts.id = new.account_id)
            ORDER BY place ON CONFLICT DO NOTHING)
        SELECT pg_notify('{CHANNEL}', '') FROM locked
        """  # noqa: S608
    )
)


def lock(tx: Transaction) -> None:
    """Nobody else appends until this transaction ends."""
    tx.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _APPENDER})


def append(tx: Transaction, *new: Event) -> None:
    """Store events in this order and wake the readers at commit.

    One that is stored already, or whose account is not known here, is left alone.
    """
    kept = map(bounded, new)
    rows = [{**vars(event), "attributes": dict(event.attributes), "place": place} for place, event in enumerate(kept)]
    _APPEND.rows(tx, {"new": to_json(rows)})


def last_id(tx: Transaction) -> int:
    return tx.execute(text("SELECT coalesce(max(id), 0) FROM events")).scalar_one()


def exit_code_of_gone(tx: Transaction, account_id: UUID, container_id: str) -> int | None:
    """The code with which a container ended whose removal has been told; None where that has not, or without a code."""
    # An engine's own attributes give way to labels of the same name, which are the tenant's words.
    query = text(
        """
        SELECT CASE WHEN died.attributes ->> 'exitCode' ~ '^[0-9]{1,3}$'
            THEN CAST(died.attributes ->> 'exitCode' AS int) END
        FROM events gone JOIN events died ON died.actor_id = gone.actor_id AND died.account_id = gone.account_id
        WHERE gone.actor_id = :id AND gone.account_id = :account AND gone.type = 'container'
          AND gone.action = 'destroy' AND died.type = 'container' AND died.action = 'die'
        ORDER BY died.id DESC LIMIT 1
        """
    )
    return tx.execute(query, {"id": container_id, "account": account_id}).scalar_one_or_none()


def count_gone(tx: Transaction, account_id: UUID, container_ids: Collection[str]) -> int:
    """Of how many of these containers the removal has been told."""
    query = text(
        """
        SELECT count(DISTINCT actor_id) FROM events
        WHERE actor_id = ANY(:ids) AND account_id = :account AND type = 'container' AND action = 'destroy'
        """
    )
    return tx.execute(query, {"ids": list(container_ids), "account": account_id}).scalar_one()


def list_after(tx: Transaction, event_id: int, limit: int) -> list[Event]:
    """All accounts' events after an id: for the one reader of a process, which hands each account its own."""
    query = text(f"SELECT {_COLUMNS} FROM events WHERE id > :id ORDER BY id LIMIT :limit")  # noqa: S608
    return [Event(*row) for row in tx.execute(query, {"id": event_id, "limit": limit})]


def span(tx: Transaction, account_id: UUID, since: int, until: int, up_to_id: int) -> tuple[int, int]:
    """The first and the last id of an account's stored events from `since` to `until` (nanoseconds) not newer than an
    id, the last HISTORY; (0, 0) where there are none."""
    query = text(
        """
        SELECT coalesce(min(id), 0), coalesce(max(id), 0) FROM (
            SELECT id FROM events
            WHERE account_id = :account AND time_nano >= :since AND time_nano <= :until AND id <= :id
            ORDER BY id DESC LIMIT :most) newest
        """
    )
    values = {"account": account_id, "since": since, "until": until, "id": up_to_id, "most": HISTORY}
    first, last = tx.execute(query, values).one()
    return first, last


def list_between(
    tx: Transaction, account_id: UUID, since: int, until: int, first_id: int, last_id: int, limit: int
) -> list[Event]:
    """The first of an account's stored events from `since` to `until` (nanoseconds), between two ids."""
    query = text(
        f"""
        SELECT {_COLUMNS} FROM events
        WHERE account_id = :account AND time_nano >= :since AND time_nano <= :until AND id >= :first AND id <= :last
        ORDER BY id LIMIT :limit
        """  # noqa: S608
    )
    values = {"account": account_id, "since": since, "until": until, "first": first_id, "last": last_id}
    return [Event(*row) for row in tx.execute(query, {**values, "limit": limit})]
