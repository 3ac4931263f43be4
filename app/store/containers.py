"""Containers. Every function takes the account; only the observer's reads go by node or id."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, func, insert, literal_column, select, text, update

from app.domain.container import Container
from app.domain.container_state import ContainerState
from app.domain.container_view import Words
from app.domain.node import Node
from app.errors import NotFound
from app.store import container_names, container_words, prepared
from app.store.nodes import COLUMNS as NODE_COLUMNS
from app.store.prepared import Guard, Prepared
from app.store.session import Transaction, to_json
from app.store.tables import containers, nodes

_COLUMNS = (
    containers.c.id,
    containers.c.uuid,
    containers.c.account_id,
    containers.c.name,
    containers.c.node_id,
    containers.c.state,
    containers.c.version,
    containers.c.image_id,
    containers.c.image,
    containers.c.spec,
    containers.c.auto_remove,
    containers.c.tty,
    containers.c.package,
    containers.c.memory,
    containers.c.nano_cpus,
    containers.c.created_at,
    containers.c.started_at,
    containers.c.finished_at,
    containers.c.exit_code,
    containers.c.health,
    containers.c.inspect,
    containers.c.engine_id,
)

_FIELDS = tuple(column.name for column in _COLUMNS)

#: Rows that the tenant sees: not those between the intent and the engine's answer.
_VISIBLE = containers.c.state != ContainerState.CREATING


#: Of `inspect`, what a live answer is compared with.
_STATE_ALONE: ColumnElement[Any] = literal_column(
    "CASE WHEN containers.inspect IS NOT NULL THEN jsonb_build_object('State', containers.inspect -> 'State') END"
)
_VISIBLE_MINE = (containers.c.account_id == bindparam("account"), _VISIBLE)


class _Placed:
    """The ways to a container with its node, in one row."""

    def __init__(self, *more: ColumnElement[Any], inspect: ColumnElement[Any] = containers.c.inspect) -> None:
        own = [inspect if column is containers.c.inspect else column for column in _COLUMNS]
        everybody = select(*own, *NODE_COLUMNS, *more).join(nodes, nodes.c.id == containers.c.node_id)
        mine = everybody.where(*_VISIBLE_MINE)
        self.anyhow = Prepared(everybody.where(containers.c.id == bindparam("id")))
        self.by_id = Prepared(mine.where(containers.c.id == bindparam("id")))
        self.by_name = Prepared(mine.where(containers.c.name == bindparam("name")))

    def get(self, tx: Transaction, account_id: UUID, id_or_name: str) -> prepared.Row:
        wanted = id_or_name.removeprefix("/")
        if len(wanted) == 64 and (row := self.by_id.row(tx, {"account": account_id, "id": wanted})):
            return row
        if row := self.by_name.row(tx, {"account": account_id, "name": wanted}):
            return row
        name, slash, alias = wanted.partition("/")
        if slash and (linked := container_names.find_linked(tx, account_id, name, alias)):
            return self.get(tx, account_id, linked)
        if wanted and all(c in "0123456789abcdef" for c in wanted):
            begins = containers.c.id.startswith(wanted, autoescape=True)
            query = select(containers.c.id).where(*_VISIBLE_MINE, begins).limit(2)
            ids = tx.execute(query, {"account": account_id}).scalars().all()
            if len(ids) == 1 and (row := self.by_id.row(tx, {"account": account_id, "id": ids[0]})):
                return row
            if ids:
                raise NotFound(f"Multiple IDs found with provided prefix: {wanted}")
        raise NotFound(f"No such container: {id_or_name}")


_PLAIN, _DESCRIBED = _Placed(), _Placed(container_words.COLUMN)
_STATED = _Placed(container_words.COLUMN, inspect=_STATE_ALONE)

_NEW = (
    "id",
    "uuid",
    "account_id",
    "name",
    "node_id",
    "image_id",
    "image",
    "spec",
    "auto_remove",
    "tty",
    "package",
    "memory",
    "nano_cpus",
)
_INSERT = Prepared(
    insert(containers).values(state=literal_column("'creating'"), **{name: bindparam(name) for name in _NEW})
)

_STATES = Prepared(text("SELECT id, name, image, state FROM containers WHERE id = ANY(:ids)"))

_AS_REMOVING = """
    state = 'removing',
    list_head = regexp_replace(list_head, '"State":"[a-z]+","Status":$', '"State":"removing","Status":')
"""
_KEEP_REMOVING = Prepared(
    text(
        f"""
        UPDATE containers SET {_AS_REMOVING}
        WHERE id = :id AND EXISTS (
            SELECT FROM operations WHERE target = :id AND kind = 'remove' AND state = 'pending')
        """  # noqa: S608
    )
)

_BEGIN_REMOVAL = Prepared(
    text(
        f"UPDATE containers SET {_AS_REMOVING}, version = version + 1 "  # noqa: S608
        "WHERE id = :id AND state <> 'removing'"
    )
)

_REMOVE = Prepared(
    delete(containers)
    .where(containers.c.id == bindparam("id"))
    .returning(containers.c.account_id, containers.c.memory, containers.c.nano_cpus)
)


class WrittenMeanwhile(Exception):
    """Somebody else has written the row since it was read."""


@cache
def _write(names: tuple[str, ...], guarded: bool) -> Prepared:
    statement = (
        update(containers)
        .where(containers.c.id == bindparam("container"), containers.c.version == bindparam("read"))
        .values(version=containers.c.version + 1, **{name: bindparam(name) for name in names})
    )
    return Guard(statement, WrittenMeanwhile) if guarded else Prepared(statement)


def _placed(row: prepared.Row) -> tuple[Container, Node]:
    values = dict(zip(_FIELDS, row, strict=False))
    node = Node(*row[len(_COLUMNS) : len(_COLUMNS) + len(NODE_COLUMNS)])
    return Container(**{**values, "state": ContainerState(values["state"])}), node


def _described(row: prepared.Row) -> tuple[Container, Node, Words]:
    container, node = _placed(row)
    return container, node, container_words.words(row[-1], node)


@dataclass(frozen=True)
class Seen:
    """What an observer wants to know of a container that an event is about."""

    name: str
    image: str
    state: ContainerState


def get(tx: Transaction, account_id: UUID, id_or_name: str) -> Container:
    """By full id, else exact name (a link `consumer/alias` is one), else unique id prefix, all within the account.

    Raises NotFound with dockerd's words; the same for what is not there, not yours, and ambiguous below one account.
    """
    return get_placed(tx, account_id, id_or_name)[0]


def get_placed(tx: Transaction, account_id: UUID, id_or_name: str) -> tuple[Container, Node]:
    """Like `get`, with the container's node."""
    return _placed(_PLAIN.get(tx, account_id, id_or_name))


def get_described(tx: Transaction, account_id: UUID, id_or_name: str) -> tuple[Container, Node, Words]:
    """Like `get_placed`, with the tenant's words for what the engine calls otherwise; of `inspect` the state alone."""
    return _described(_STATED.get(tx, account_id, id_or_name))


def find_by_id(tx: Transaction, container_id: str) -> Container | None:
    """For the observer, and for a service that has resolved the id for its account."""
    found = find_placed(tx, container_id)
    return found[0] if found else None


def find_placed(tx: Transaction, container_id: str) -> tuple[Container, Node] | None:
    """Like `find_by_id`, with the container's node."""
    row = _PLAIN.anyhow.row(tx, {"id": container_id})
    return _placed(row) if row else None


def find_described(tx: Transaction, container_id: str) -> tuple[Container, Node, Words] | None:
    """Like `find_placed`, with the tenant's words for what the engine calls otherwise."""
    row = _DESCRIBED.anyhow.row(tx, {"id": container_id})
    return _described(row) if row else None


def states(tx: Transaction, container_ids: Collection[str]) -> dict[str, Seen]:
    """Those of the containers that are there, by id."""
    rows = _STATES.rows(tx, {"ids": list(container_ids)})
    return {found: Seen(name, image, ContainerState(state)) for found, name, image, state in rows}


def ids_on_node(tx: Transaction, node_id: UUID) -> dict[str, ContainerState]:
    query = select(containers.c.id, containers.c.state).where(containers.c.node_id == node_id)
    return {row.id: ContainerState(row.state) for row in tx.execute(query)}


def insert_new(tx: Transaction, **values: Any) -> None:
    """Raises UniqueViolation("uq_containers_account_id_name") where the name is taken, with the next statement."""
    _INSERT.later(tx, {**values, "spec": to_json(values["spec"])})


def write_seen(tx: Transaction, container: Container, **values: Any) -> None:
    """Write what was seen on the engine. Raises WrittenMeanwhile, at the latest with the next statement.

    The server's log has the statement of each error, and this one has what the tenant sent, his passwords among it. So
    only where nobody else writes, while the container is being created, the server is left to raise it.
    """
    told = {name: to_json(value) if isinstance(value, dict) else value for name, value in values.items()}
    told |= {"container": container.id, "read": container.version}
    if container.state is ContainerState.CREATING:
        _write(tuple(values), guarded=True).later(tx, told)
    elif _write(tuple(values), guarded=False).count(tx, told) == 0:
        raise WrittenMeanwhile


def begin_removal(tx: Transaction, container: Container) -> bool:
    """True where this caller is the one who removes. What an observer writes meanwhile is no reason to refuse."""
    return _BEGIN_REMOVAL.count(tx, {"id": container.id}) == 1


def keep_removing(tx: Transaction, container_id: str) -> None:
    """What was seen is not the whole truth while a removal is under way: it still is being removed."""
    _KEEP_REMOVING.count(tx, {"id": container_id})


def rename(tx: Transaction, container: Container, name: str) -> None:
    """Raises UniqueViolation where the name is taken, and NotFound where the container has gone meanwhile."""
    statement = update(containers).where(containers.c.id == container.id)
    if not tx.execute(statement.values(name=name, version=containers.c.version + 1)).rowcount:
        raise NotFound(f"No such container: {container.id}")


def lock_size(tx: Transaction, container_id: str) -> tuple[int, int] | None:
    """(memory, nano_cpus) that are counted for it, which nobody else changes until the transaction ends."""
    query = select(containers.c.memory, containers.c.nano_cpus).where(containers.c.id == container_id)
    row = tx.execute(query.with_for_update(key_share=True)).first()
    return (row[0], row[1]) if row else None


def set_size(tx: Transaction, container_id: str, memory: int, nano_cpus: int, package: str | None = None) -> None:
    """What it counts for in the account's quota: bytes of memory, 1e-9 CPUs. `package` None leaves its name."""
    values: dict[str, Any] = {"memory": memory, "nano_cpus": nano_cpus}
    if package is not None:
        values["package"] = package
    tx.execute(update(containers).where(containers.c.id == container_id).values(**values))


def remove(tx: Transaction, container_id: str) -> tuple[UUID, int, int] | None:
    """Delete the row. The (account_id, memory, nano_cpus) to give back, or None where it is gone already."""
    return _REMOVE.row(tx, {"id": container_id})


def find_name_owner(tx: Transaction, account_id: UUID, name: str) -> str | None:
    """The id of the container that has the name."""
    query = select(containers.c.id).where(containers.c.account_id == account_id, containers.c.name == name)
    return tx.execute(query).scalar_one_or_none()


def count_by_state(tx: Transaction, account_id: UUID) -> dict[str, int]:
    query = select(containers.c.state, func.count()).where(containers.c.account_id == account_id, _VISIBLE)
    return {row[0]: row[1] for row in tx.execute(query.group_by(containers.c.state))}


def using_images(tx: Transaction, account_id: UUID) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Image id -> the account's containers of it, newest first: those that run, and those that do not."""
    query = select(containers.c.image_id, containers.c.id, containers.c.state).where(
        containers.c.account_id == account_id
    )
    running: dict[str, list[str]] = {}
    stopped: dict[str, list[str]] = {}
    for row in tx.execute(query.order_by(containers.c.created_at.desc())):
        which = running if row.state in ("running", "paused", "restarting") else stopped
        which.setdefault(row.image_id, []).append(row.id)
    return running, stopped
