"""Nodes, and which observer follows which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, bindparam, case, func, insert, or_, select, text, update

from app.domain.node import Node
from app.store import prepared
from app.store.prepared import Prepared
from app.store.session import Transaction
from app.store.tables import containers, node_images, nodes

COLUMNS = (
    nodes.c.id,
    nodes.c.name,
    nodes.c.url,
    nodes.c.public_address,
    nodes.c.engine_id,
    nodes.c.engine_version,
    nodes.c.api_version,
    nodes.c.state,
    nodes.c.cordoned,
    nodes.c.cpus,
    nodes.c.memory,
)

#: How many containers a node has, where there is another one to choose.
_LOAD = case(
    (
        select(func.count()).select_from(nodes.alias()).scalar_subquery() > 1,
        select(func.count()).where(containers.c.node_id == nodes.c.id).scalar_subquery(),
    ),
    else_=0,
)
_HEARD = Prepared(
    text("UPDATE nodes SET event_nano = greatest(coalesce(event_nano, 0), CAST(:nano AS bigint)) WHERE id = :node")
)


def candidates(image_id: ColumnElement[Any]) -> Select[Any]:
    """A query for all nodes, their containers counted where there are several nodes, and whether each has the image."""
    holds = select(node_images.c.node_id).where(node_images.c.node_id == nodes.c.id, node_images.c.image_id == image_id)
    return select(*COLUMNS, _LOAD, holds.exists()).order_by(nodes.c.name)


def of_rows(rows: Sequence[prepared.Row]) -> tuple[list[Node], set[UUID]]:
    """The nodes of the rows of `candidates`, and the ids of those that hold the image."""
    return [Node(*row[:-1]) for row in rows], {row[0] for row in rows if row[-1]}


_FOR_IMAGE = Prepared(candidates(bindparam("image")))


def _node(row: Row) -> Node:
    return Node(*row)


def get(tx: Transaction, node_id: UUID) -> Node:
    return _node(tx.execute(select(*COLUMNS).where(nodes.c.id == node_id)).one())


def list_all(tx: Transaction) -> list[Node]:
    """All nodes with the number of their containers, by name."""
    count = select(func.count()).where(containers.c.node_id == nodes.c.id).scalar_subquery()
    return [_node(row) for row in tx.execute(select(*COLUMNS, count).order_by(nodes.c.name))]


def list_for(tx: Transaction, image_id: str) -> tuple[list[Node], set[UUID]]:
    """All nodes, their containers counted where there are several nodes, and the ids of those that hold the image."""
    return of_rows(_FOR_IMAGE.rows(tx, {"image": image_id}))


def add(tx: Transaction, **values: object) -> UUID:
    """Raises UniqueViolation where the name or the url is taken."""
    return tx.execute(insert(nodes).values(state="up", **values).returning(nodes.c.id)).scalar_one()


def set_engine(tx: Transaction, node_id: UUID, **values: object) -> None:
    """What an engine says of itself: engine_version, api_version, cpus, memory, public_address."""
    tx.execute(update(nodes).where(nodes.c.id == node_id).values(**values))


def set_state(tx: Transaction, node_id: UUID, state: str) -> None:
    values = {"state": state, "seen_at": func.now()} if state == "up" else {"state": state}
    tx.execute(update(nodes).where(nodes.c.id == node_id).values(**values))


def event_nano(tx: Transaction, node_id: UUID) -> int | None:
    """The time of the last event of its engine that was read; None before the first."""
    return tx.execute(select(nodes.c.event_nano).where(nodes.c.id == node_id)).scalar_one()


def set_event_nano(tx: Transaction, node_id: UUID, time_nano: int) -> None:
    """Everything up to this event has been read. It never goes back."""
    _HEARD.count(tx, {"node": node_id, "nano": time_nano})


def saw(tx: Transaction, node_id: UUID) -> None:
    """Its engine has just answered."""
    tx.execute(update(nodes).where(nodes.c.id == node_id).values(seen_at=func.now()))


def lease(tx: Transaction, node_id: UUID, process_id: UUID, seconds: int) -> bool:
    """Take or renew the right to follow a node, by the database's clock. False where another observer has it."""
    free = or_(nodes.c.lease_process_id == process_id, nodes.c.lease_until.is_(None), nodes.c.lease_until < func.now())
    statement = (
        update(nodes)
        .where(nodes.c.id == node_id, free)
        .values(
            lease_process_id=process_id, lease_until=text("now() + make_interval(secs => :s)").bindparams(s=seconds)
        )
    )
    return tx.execute(statement).rowcount == 1


def end_leases(tx: Transaction, process_id: UUID) -> None:
    """Others may follow its nodes from now on."""
    mine = nodes.c.lease_process_id == process_id
    tx.execute(update(nodes).where(mine).values(lease_process_id=None, lease_until=None))
