"""Named and anonymous volumes."""

from __future__ import annotations

from uuid import UUID, uuid4

from sqlalchemy import delete, insert, select

from app.domain.volume import Volume
from app.store.session import Transaction
from app.store.tables import container_volumes, volumes

_COLUMNS = (
    volumes.c.id,
    volumes.c.account_id,
    volumes.c.name,
    volumes.c.node_id,
    volumes.c.engine_name,
    volumes.c.anonymous,
)


def find(tx: Transaction, account_id: UUID, name: str) -> Volume | None:
    row = tx.execute(select(*_COLUMNS).where(volumes.c.account_id == account_id, volumes.c.name == name)).first()
    return Volume(*row) if row else None


def add_named(tx: Transaction, account_id: UUID, name: str, node_id: UUID, labels: dict[str, str]) -> Volume:
    """Raises UniqueViolation where the account has one of this name."""
    new = uuid4()
    values = {"id": new, "account_id": account_id, "name": name, "node_id": node_id, "engine_name": f"v-{new}"}
    tx.execute(insert(volumes).values(**values, anonymous=False, labels=labels))
    return Volume(new, account_id, name, node_id, f"v-{new}", False)


def remove_unused(tx: Transaction, volume_id: UUID) -> bool:
    """Whether it is gone now, or was before: False where a container still mounts it."""
    if tx.execute(select(container_volumes.c.volume_id).where(container_volumes.c.volume_id == volume_id)).first():
        return False
    tx.execute(delete(volumes).where(volumes.c.id == volume_id))
    return True
