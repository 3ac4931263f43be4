"""Operations: intents and their ends. Every write names the process that holds the operation, so that one whose
operation was taken over cannot end it any more."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, text, update

from app.domain.operation import Operation, OperationKind, OperationState
from app.errors import Unavailable
from app.store.prepared import Guard, Prepared
from app.store.session import Transaction, to_json
from app.store.tables import operations

#: A stop may take 600 s by the tenant's wish, and 300 s more by the engine's. Nothing that is not LASTING takes longer.
LOST_SECONDS = 1200

_COLUMNS = (
    operations.c.id,
    operations.c.kind,
    operations.c.account_id,
    operations.c.target,
    operations.c.node_id,
    operations.c.process_id,
    operations.c.detail,
)
_PENDING = operations.c.state == OperationState.PENDING


class TakenOver(Unavailable):
    """Another process has taken the operation over, and undoes it."""

    def __init__(
        self, message: str = "the request took too long and was undone", *, retry_after: int | None = 1
    ) -> None:
        super().__init__(message, retry_after=retry_after)


_OPEN = Prepared(
    text(
        """
        INSERT INTO operations (id, kind, account_id, target, node_id, process_id, detail)
        VALUES (:id, :kind, :account, :target, :node, :process, :detail)
        """
    )
)

_IS_PENDING = Prepared(
    text("SELECT FROM operations WHERE target = :target AND kind = :kind AND state = 'pending' LIMIT 1")
)

_ENDED = text(
    """
    UPDATE operations SET state = :state, error = :error, finished_at = now()
    WHERE id = :id AND process_id = :process AND state = 'pending'
    """
)
_END, _FINISH = Prepared(_ENDED), Guard(_ENDED, TakenOver)


def _operation(row: Any) -> Operation:
    return Operation(row.id, OperationKind(row.kind), *row[2:])


def open_(
    tx: Transaction,
    kind: OperationKind,
    *,
    account_id: UUID,
    target: str,
    node_id: UUID,
    process_id: UUID,
    detail: dict[str, Any] | None = None,
) -> UUID:
    """Record the intent; commit before the first engine call."""
    operation_id = uuid4()
    values = {"id": operation_id, "kind": str(kind), "account": account_id, "target": target, "node": node_id}
    _OPEN.later(tx, {**values, "process": process_id, "detail": to_json(detail or {})})
    return operation_id


def set_detail(tx: Transaction, operation_id: UUID, detail: dict[str, Any]) -> None:
    """What is needed to finish or undo it, now that more is known."""
    tx.execute(update(operations).where(operations.c.id == operation_id).values(detail=detail))


def end(tx: Transaction, operation_id: UUID, process_id: UUID, state: OperationState, error: str = "") -> None:
    """Unless the operation is no longer this process's: another one has taken it over."""
    values = {"id": operation_id, "process": process_id, "state": str(state), "error": error[:500]}
    _END.later(tx, values)


def finish(tx: Transaction, operation_id: UUID, process_id: UUID) -> None:
    """Done, together with what else the transaction writes. Raises TakenOver, with the next statement."""
    _FINISH.later(tx, {"id": operation_id, "process": process_id, "state": str(OperationState.DONE), "error": ""})


def take_over(tx: Transaction, process_id: UUID, silent_seconds: int) -> list[Operation]:
    """Pending operations whose process gave no sign of life for `silent_seconds`; they are this process's now."""
    statement = text(
        """
        UPDATE operations o SET process_id = :me
        WHERE o.state = 'pending' AND o.process_id <> :me AND NOT EXISTS (
            SELECT FROM processes p
            WHERE p.id = o.process_id AND p.heartbeat_at > now() - make_interval(secs => :seconds))
        RETURNING o.id, o.kind, o.account_id, o.target, o.node_id, o.process_id, o.detail
        """
    )
    values = {"me": process_id, "seconds": silent_seconds}
    return [_operation(row) for row in tx.execute(statement, values)]


def list_held(tx: Transaction, process_id: UUID) -> list[Operation]:
    """Pending operations that this process took over or began."""
    query = select(*_COLUMNS).where(operations.c.process_id == process_id, _PENDING)
    return [_operation(row) for row in tx.execute(query)]


def list_ages(tx: Transaction, process_id: UUID) -> dict[UUID, bool]:
    """The pending operations of a process, and whether each is older than LOST_SECONDS."""
    old = operations.c.created_at < func.now() - func.make_interval(0, 0, 0, 0, 0, 0, LOST_SECONDS)
    query = select(operations.c.id, old.label("old")).where(operations.c.process_id == process_id, _PENDING)
    return {row.id: row.old for row in tx.execute(query)}


def removed_as(tx: Transaction, targets: Collection[str]) -> dict[str, tuple[str, str]]:
    """Container id -> (name, image) when it was removed, of those that were removed by request."""
    query = select(operations.c.target, operations.c.detail).where(
        operations.c.target.in_(targets), operations.c.kind == OperationKind.REMOVE
    )
    return {row.target: (row.detail["name"], row.detail["image"]) for row in tx.execute(query)}


def state_of(tx: Transaction, operation_id: UUID) -> OperationState | None:
    found = tx.execute(select(operations.c.state).where(operations.c.id == operation_id)).scalar_one_or_none()
    return OperationState(found) if found else None


def is_pending(tx: Transaction, target: str, kind: OperationKind) -> bool:
    return _IS_PENDING.row(tx, {"target": target, "kind": str(kind)}) is not None


def has_started_alone(tx: Transaction, account_id: UUID, container_id: str, seconds: int) -> bool:
    """Whether the account's container was started in the last `seconds`, and nobody has asked for its removal."""
    query = text(
        """
        SELECT FROM operations WHERE target = :target AND account_id = :account AND kind = 'start' AND state = 'done'
          AND finished_at > now() - make_interval(secs => :seconds)
          AND NOT EXISTS (
              SELECT FROM operations r WHERE r.target = :target AND r.kind = 'remove' AND r.state <> 'undone')
        LIMIT 1
        """
    )
    return tx.execute(query, {"target": container_id, "account": account_id, "seconds": seconds}).first() is not None


def are_pending(tx: Transaction, target: str, kinds: Collection[OperationKind]) -> bool:
    query = select(operations.c.id).where(operations.c.target == target, operations.c.kind.in_(kinds), _PENDING)
    return tx.execute(query.limit(1)).first() is not None


def details_beside(tx: Transaction, operation_id: UUID) -> list[dict[str, Any]]:
    """The details of what other accounts have had under way on its node, of its kind, at any time since it began."""
    own, other = operations.alias(), operations
    query = (
        select(other.c.detail)
        .join(own, (other.c.node_id == own.c.node_id) & (other.c.kind == own.c.kind))
        .where(
            own.c.id == operation_id,
            other.c.account_id != own.c.account_id,
            (other.c.state == OperationState.PENDING) | (other.c.finished_at >= own.c.created_at),
        )
    )
    return [row.detail for row in tx.execute(query)]


def hand_over(tx: Transaction, operation_id: UUID, process_id: UUID, to: UUID) -> None:
    tx.execute(
        update(operations)
        .where(operations.c.id == operation_id, operations.c.process_id == process_id, _PENDING)
        .values(process_id=to)
    )
