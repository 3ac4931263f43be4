"""Exec instances. The id that the tenant sees is ours; the engine's stays behind it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import bindparam, delete, func, insert, literal, select

from app.domain import names
from app.errors import NotFound
from app.store.prepared import Prepared
from app.store.session import Transaction
from app.store.tables import containers, execs

#: Seconds for which an engine can be asked about an exec that has ended, and then some.
_ENGINE_REMEMBERS = 1800


_COUNT = Prepared(select(func.count()).where(execs.c.container_id == bindparam("container")))


@dataclass(frozen=True)
class Exec:
    id: str
    container_id: str
    engine_exec_id: str
    node_id: UUID


def add(tx: Transaction, container_id: str, engine_exec_id: str, detach_keys: str) -> str:
    """Raises NotFound where the container has gone meanwhile."""
    exec_id = names.exec_id(container_id, engine_exec_id)
    there = select(literal(exec_id), containers.c.id, literal(engine_exec_id), literal(detach_keys)).where(
        containers.c.id == container_id
    )
    columns = ["id", "container_id", "engine_exec_id", "detach_keys"]
    if tx.execute(insert(execs).from_select(columns, there)).rowcount == 0:
        raise NotFound(f"No such container: {container_id}")
    return exec_id


def count(tx: Transaction, container_id: str) -> int:
    """All that are known, ended or not."""
    (known,) = _COUNT.row(tx, {"container": container_id}) or (0,)
    return int(known)


def forget_ended(tx: Transaction, container_id: str, live: Collection[str]) -> None:
    """Forget those that the engine has told of as neither waiting nor running, once it does not know them either."""
    statement = delete(execs).where(
        execs.c.container_id == container_id,
        execs.c.engine_exec_id.not_in(live),
        execs.c.created_at < func.now() - timedelta(seconds=_ENGINE_REMEMBERS),
    )
    tx.execute(statement)


def get(tx: Transaction, account_id: UUID, exec_id: str) -> Exec:
    """Raises NotFound with dockerd's words."""
    query = (
        select(execs.c.id, execs.c.container_id, execs.c.engine_exec_id, containers.c.node_id)
        .join(containers, containers.c.id == execs.c.container_id)
        .where(execs.c.id == exec_id, containers.c.account_id == account_id)
    )
    row = tx.execute(query).first()
    if row is None:
        raise NotFound(f"No such exec instance: {exec_id}")
    return Exec(*row)
