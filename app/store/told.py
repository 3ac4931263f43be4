"""What accounts were last told of their containers, per node, and the tenant's words for what an engine's events name.

For the observer alone: it knows an engine's objects by their engine names, and whose they are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from app.domain.container_state import ContainerState
from app.domain.operation import OperationKind
from app.domain.resync import Gone, Now, Told
from app.store.prepared import Prepared
from app.store.session import Transaction, to_json

_KEEP = Prepared(
    text(
        """
        INSERT INTO told (node_id, container_id, account_id, state, time_nano, started_nano, attributes)
        SELECT CAST(:node AS uuid), container_id, account_id, state, time_nano, started_nano, attributes
        FROM jsonb_to_recordset(CAST(:new AS jsonb)) AS new (container_id text, account_id uuid, state text,
             time_nano bigint, started_nano bigint, attributes jsonb)
        WHERE EXISTS (SELECT FROM accounts WHERE accounts.id = new.account_id)
        ON CONFLICT (node_id, container_id) DO UPDATE SET state = excluded.state, time_nano = excluded.time_nano,
            started_nano = greatest(told.started_nano, excluded.started_nano), attributes = excluded.attributes
        WHERE told.time_nano <= excluded.time_nano
        """
    )
)
_DROP = Prepared(text("DELETE FROM told WHERE node_id = :node AND container_id = ANY(:ids)"))


def list_on_node(tx: Transaction, node_id: UUID) -> dict[str, Told]:
    """By container id."""
    query = text(
        """
        SELECT container_id, account_id, state, time_nano, started_nano, attributes FROM told WHERE node_id = :node
        """
    )
    return {row.container_id: Told(*row) for row in tx.execute(query, {"node": node_id})}


def write(tx: Transaction, node_id: UUID, states: Collection[Told]) -> None:
    """Keep these; one whose end was told goes. An older word does not replace a newer one."""
    ended = [told.container_id for told in states if not told.state]
    living = [{**vars(told), "attributes": dict(told.attributes)} for told in states if told.state]
    if living:
        _KEEP.count(tx, {"node": node_id, "new": to_json(living)})
    if ended:
        _DROP.count(tx, {"node": node_id, "ids": ended})


def list_now(tx: Transaction, node_id: UUID) -> dict[str, Now]:
    """The node's containers as their rows are, by id; not those whose making or removal is under way."""
    query = text(
        """
        SELECT id, account_id, state, created_at, started_at, finished_at, exit_code, name, image, labels
        FROM containers WHERE node_id = :node AND state <> 'creating'
        """
    )
    return {
        row.id: Now(
            row.id,
            row.account_id,
            ContainerState(row.state),
            _nano(row.created_at),
            _nano(row.started_at),
            _nano(row.finished_at),
            row.exit_code,
            {**row.labels, "name": row.name, "image": row.image},
        )
        for row in tx.execute(query, {"node": node_id})
    }


def list_gone(tx: Transaction, node_id: UUID, since: int) -> list[Gone]:
    """Containers that were made on the node after a moment (nanoseconds since 1970) and are no more, and of which
    nothing was told."""
    query = text(
        """
        SELECT made.target, made.account_id, made.detail,
               max(o.finished_at) FILTER (WHERE o.kind = 'create') AS created_at,
               max(o.finished_at) FILTER (WHERE o.kind = 'start') AS started_at,
               coalesce(max(o.finished_at) FILTER (WHERE o.kind = 'remove'), max(o.finished_at)) AS ended_at
        FROM operations made JOIN operations o ON o.target = made.target AND o.state = 'done'
        WHERE made.node_id = :node AND made.kind = 'create' AND made.state = 'done'
          AND made.created_at > to_timestamp(:since / 1e9)
          AND NOT EXISTS (SELECT FROM containers c WHERE c.id = made.target)
          AND NOT EXISTS (
              SELECT FROM events e WHERE e.node_id = :node AND e.time_nano > :since - 86400000000000
                AND e.actor_id = made.target)
        GROUP BY made.target, made.account_id, made.detail
        """
    )
    found = []
    for row in tx.execute(query, {"node": node_id, "since": since}):
        about = {key: row.detail[key] for key in ("name", "image") if key in row.detail}
        started, ended = _nano(row.started_at), _nano(row.ended_at)
        found.append(Gone(row.target, row.account_id, _nano(row.created_at), started, ended, about))
    return found


def _nano(moment: datetime | None) -> int:
    return int(moment.timestamp() * 1_000_000) * 1000 if moment else 0


# -- the tenant's words ------------------------------------------------------------------------------------------


def container_ids(tx: Transaction, node_id: UUID, engine_ids: Collection[str]) -> dict[str, tuple[UUID, str]]:
    """The engine's id -> (account, container id)."""
    query = text("SELECT engine_id, account_id, id FROM containers WHERE node_id = :node AND engine_id = ANY(:ids)")
    found = tx.execute(query, {"node": node_id, "ids": list(engine_ids)})
    return {row.engine_id: (row.account_id, row.id) for row in found}


def network_words(tx: Transaction, uuids: Collection[UUID]) -> dict[UUID, tuple[UUID, str, str]]:
    """Network uuid -> (account, id, name); also of one that was removed not long ago."""
    query = text("SELECT uuid, account_id, id, name FROM networks WHERE uuid = ANY(CAST(:uuids AS uuid[]))")
    found = tx.execute(query, {"uuids": list(map(str, uuids))})
    known = {row.uuid: (row.account_id, row.id, row.name) for row in found}
    gone = _removed(tx, OperationKind.NETWORK_REMOVE, "uuid", map(str, set(uuids) - known.keys()))
    return {UUID(word): (row.account_id, row.target, row.name) for word, row in gone.items()} | known


def volume_words(tx: Transaction, names: Collection[str]) -> dict[str, tuple[UUID, str]]:
    """The engine's name of a volume -> (account, the tenant's name); also of one of ours that was removed not long
    ago."""
    query = text("SELECT engine_name, account_id, name FROM volumes WHERE engine_name = ANY(:names)")
    known = {row.engine_name: (row.account_id, row.name) for row in tx.execute(query, {"names": list(names)})}
    ours = (name for name in set(names) - known.keys() if name.startswith("v-"))
    gone = _removed(tx, OperationKind.VOLUME_REMOVE, "engine_name", ours)
    return {word: (row.account_id, row.name) for word, row in gone.items()} | known


def _removed(tx: Transaction, kind: OperationKind, key: str, words: Iterable[str]) -> dict[str, Any]:
    """What is told under `key` of removals: an observer may hear of a use when what was used is gone."""
    wanted = list(words)
    if not wanted:
        return {}
    query = text(
        """
        SELECT detail ->> :key AS word, account_id, target, detail ->> 'name' AS name FROM operations
        WHERE kind = :kind AND finished_at > now() - interval '1 hour'
          AND detail ->> :key = ANY(:words) AND detail ? 'name'
        """
    )
    return {row.word: row for row in tx.execute(query, {"key": key, "kind": str(kind), "words": wanted})}
