"""Named and anonymous volumes, and which container mounts which. Every function takes the account, but for those that
a service or an observer calls with an id that it has found for its account.

A volume that is being created or removed is not there for its account: its name may be taken by another meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID, uuid4

from sqlalchemy import Row, delete, insert, select, text, update

from app.domain.volume import ANONYMOUS_LABEL, Volume
from app.errors import NotFound
from app.store.prepared import Prepared
from app.store.session import Transaction, to_json
from app.store.tables import container_volumes, volumes

_COLUMNS = (
    volumes.c.id,
    volumes.c.account_id,
    volumes.c.name,
    volumes.c.node_id,
    volumes.c.engine_name,
    volumes.c.anonymous,
    volumes.c.labels,
    volumes.c.options,
    volumes.c.created_at,
    volumes.c.mounts,
)
_READY = volumes.c.state == "ready"

_ANONYMOUS = Prepared(
    text(
        """
        SELECT v.id, v.account_id, v.name, v.node_id, v.engine_name, v.anonymous FROM volumes v
        WHERE v.anonymous
          AND EXISTS (SELECT FROM container_volumes m WHERE m.volume_id = v.id AND m.container_id = :container)
          AND NOT EXISTS (SELECT FROM container_volumes m
                          WHERE m.volume_id = v.id AND (m.named OR m.container_id <> :container))
        """
    )
)


def _volume(row: Row) -> Volume:
    return Volume(*row)


def find(tx: Transaction, account_id: UUID, name: str) -> Volume | None:
    query = select(*_COLUMNS).where(volumes.c.account_id == account_id, volumes.c.name == name, _READY)
    row = tx.execute(query).first()
    return _volume(row) if row else None


def get(tx: Transaction, account_id: UUID, name: str) -> Volume:
    """Raises NotFound with dockerd's words."""
    volume = find(tx, account_id, name)
    if volume is None:
        raise NotFound(f"get {name}: no such volume")
    return volume


def find_by_id(tx: Transaction, volume_id: UUID) -> Volume | None:
    """In any state, for one who ends an operation."""
    row = tx.execute(select(*_COLUMNS).where(volumes.c.id == volume_id)).first()
    return _volume(row) if row else None


def list_mine(tx: Transaction, account_id: UUID) -> list[Volume]:
    query = select(*_COLUMNS).where(volumes.c.account_id == account_id, _READY).order_by(volumes.c.name)
    return [_volume(row) for row in tx.execute(query)]


def count(tx: Transaction, account_id: UUID) -> int:
    statement = text("SELECT count(*) FROM volumes WHERE account_id = :account")
    return int(tx.execute(statement, {"account": account_id}).scalar_one())


def users(tx: Transaction, volume_id: UUID) -> list[str]:
    """Ids of the containers that mount it, oldest first."""
    statement = text(
        """
        SELECT DISTINCT c.id, c.created_at FROM container_volumes m JOIN containers c ON c.id = m.container_id
        WHERE m.volume_id = :volume ORDER BY c.created_at, c.id
        """
    )
    return [row.id for row in tx.execute(statement, {"volume": volume_id})]


def add_named(
    tx: Transaction,
    account_id: UUID,
    name: str,
    node_id: UUID | None,
    labels: Mapping[str, str],
    options: Mapping[str, str] | None = None,
    *,
    creating: bool = False,
    first_container: str | None = None,
) -> Volume:
    """Raises UniqueViolation where the account has one of this name."""
    new = uuid4()
    values = {"id": new, "account_id": account_id, "name": name, "node_id": node_id, "engine_name": f"v-{new}"}
    values |= {"labels": dict(labels), "options": dict(options or {}), "first_container": first_container}
    statement = insert(volumes).values(**values, anonymous=False, state="creating" if creating else "ready")
    return _volume(tx.execute(statement.returning(*_COLUMNS)).one())


def set_ready(tx: Transaction, volume_id: UUID) -> None:
    tx.execute(update(volumes).where(volumes.c.id == volume_id).values(state="ready"))


# -- use ---------------------------------------------------------------------------------------------------------


def take(tx: Transaction, volume: Volume, node_id: UUID, container_id: str) -> None:
    """A container is about to mount it. One that was never used gets its node; one that was is no more undone with the
    container that it was made for."""
    first = volume.node_id is None
    values = {"node_id": node_id, "first_container": container_id if first else None}
    tx.execute(update(volumes).where(volumes.c.id == volume.id).values(**values))


def mount(tx: Transaction, container_id: str, target: str, volume_id: UUID) -> None:
    """By its name, which outlives the container."""
    values = {"container_id": container_id, "target": target, "volume_id": volume_id, "named": True}
    tx.execute(insert(container_volumes).values(**values))


def mount_from(tx: Transaction, container_id: str, source_id: str) -> None:
    """What another container mounts, but where the container mounts something of its own."""
    statement = text(
        """
        WITH mounted AS (
            INSERT INTO container_volumes (container_id, target, volume_id, named)
            SELECT :container, target, volume_id, named FROM container_volumes WHERE container_id = :source
            ON CONFLICT (container_id, target) DO NOTHING RETURNING volume_id)
        UPDATE volumes SET first_container = NULL
        WHERE id IN (SELECT volume_id FROM mounted) AND first_container IS NOT NULL
        """
    )
    tx.execute(statement, {"container": container_id, "source": source_id})


def record_seen(
    tx: Transaction,
    account_id: UUID,
    container_id: str,
    node_id: UUID,
    target: str,
    engine_name: str,
    labels: Mapping[str, str] | None,
) -> bool:
    """A container mounts the node's volume. One that is anonymous has `labels`; True where it was not known before."""
    new = labels is not None and record_anonymous(tx, account_id, node_id, engine_name, labels)
    statement = text(
        """
        INSERT INTO container_volumes (container_id, target, volume_id)
        SELECT :container, :target, v.id FROM volumes v
        WHERE v.node_id = :node AND v.engine_name = :name AND v.state = 'ready' AND v.account_id = :account
        ON CONFLICT (container_id, target) DO NOTHING
        """
    )
    values = {"container": container_id, "target": target, "node": node_id, "name": engine_name, "account": account_id}
    tx.execute(statement, values)
    return new


def record_anonymous(
    tx: Transaction, account_id: UUID, node_id: UUID, engine_name: str, labels: Mapping[str, str]
) -> bool:
    """A volume that the engine made and named. Whether it was not known before."""
    statement = text(
        """
        INSERT INTO volumes (id, account_id, name, node_id, engine_name, anonymous, labels)
        VALUES (:id, :account, :name, :node, :name, true, CAST(:labels AS jsonb)) ON CONFLICT DO NOTHING
        """
    )
    values = {"id": uuid4(), "account": account_id, "name": engine_name, "node": node_id}
    return tx.execute(statement, {**values, "labels": to_json({**labels, ANONYMOUS_LABEL: ""})}).rowcount == 1


# -- removal -----------------------------------------------------------------------------------------------------


def begin_removal(tx: Transaction, volume: Volume) -> bool:
    """From here on nobody can mount it, and its name is free. False where a container mounts it, or it goes already."""
    statement = (
        update(volumes)
        .where(volumes.c.id == volume.id, _READY, volumes.c.mounts == 0, volumes.c.node_id.is_not(None))
        .values(state="removing")
    )
    return tx.execute(statement).rowcount == 1


def remove_unplaced(tx: Transaction, volume: Volume) -> bool:
    """One that was never used is nowhere but here."""
    statement = delete(volumes).where(volumes.c.id == volume.id, _READY, volumes.c.node_id.is_(None))
    return tx.execute(statement).rowcount == 1


def end_removal(tx: Transaction, volume_id: UUID) -> None:
    tx.execute(delete(volumes).where(volumes.c.id == volume_id))


def remove_unused(tx: Transaction, volume_id: UUID, container_id: str) -> bool:
    """Take back one that was made for a container: whether it is gone now, or was before. False where another container
    has come to it."""
    statement = delete(volumes).where(
        volumes.c.id == volume_id, volumes.c.mounts == 0, volumes.c.first_container == container_id
    )
    if tx.execute(statement).rowcount:
        return True
    return tx.execute(select(volumes.c.id).where(volumes.c.id == volume_id)).first() is None


def unplace(tx: Transaction, volume_id: UUID, container_id: str) -> None:
    """Take its node from one that got it for a container, unless another has come to it. Its name on engines is a new
    one then: what the engine has made under the old one can go without a look at who comes next."""
    statement = (
        update(volumes)
        .where(volumes.c.id == volume_id, volumes.c.mounts == 0, volumes.c.first_container == container_id)
        .values(node_id=None, first_container=None, engine_name=f"v-{uuid4()}")
    )
    tx.execute(statement)


def anonymous_of(tx: Transaction, container_id: str) -> list[Volume]:
    """Volumes that go with this container: anonymous, mounted by no other, and not by their name."""
    return [Volume(*row) for row in _ANONYMOUS.rows(tx, {"container": container_id})]


def engine_names(tx: Transaction, node_id: UUID, names: Collection[str]) -> set[str]:
    """Those of an engine's volumes that are known, in any state."""
    query = select(volumes.c.engine_name).where(volumes.c.node_id == node_id, volumes.c.engine_name.in_(names))
    return set(tx.execute(query).scalars())
