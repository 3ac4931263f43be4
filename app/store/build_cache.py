"""Images whose steps an account's builds may take instead of running them again."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select, text

from app.store.session import Transaction
from app.store.tables import build_cache

#: More sources make every step of a build slower.
MOST_SOURCES = 64


def recent(tx: Transaction, account_id: UUID, node_id: UUID) -> list[str]:
    """Ids of the account's most recent ones on a node, the newest first."""
    query = select(build_cache.c.image_id).where(
        build_cache.c.account_id == account_id, build_cache.c.node_id == node_id
    )
    return list(tx.execute(query.order_by(build_cache.c.used_at.desc()).limit(MOST_SOURCES)).scalars())


def put(tx: Transaction, account_id: UUID, node_id: UUID, image_ids: Sequence[str]) -> None:
    statement = text(
        """
        INSERT INTO build_cache (account_id, node_id, image_id) VALUES (:account, :node, :image)
        ON CONFLICT (account_id, node_id, image_id) DO UPDATE SET used_at = clock_timestamp()
        """
    )
    for image_id in dict.fromkeys(image_ids):
        tx.execute(statement, {"account": account_id, "node": node_id, "image": image_id})


def is_others(tx: Transaction, account_id: UUID, image_id: str) -> bool:
    """Whether another account has built it or has it, and this account does not have it."""
    statement = text(
        """
        SELECT EXISTS (SELECT FROM build_cache WHERE image_id = :image AND account_id <> :account)
            OR (EXISTS (SELECT FROM account_images WHERE image_id = :image AND account_id <> :account)
                AND NOT EXISTS (SELECT FROM account_images WHERE image_id = :image AND account_id = :account))
        """
    )
    return bool(tx.execute(statement, {"image": image_id, "account": account_id}).scalar_one())


def take_all(tx: Transaction, account_id: UUID) -> list[tuple[UUID, str]]:
    """Forget them; (node, image id) of each."""
    gone = delete(build_cache).where(build_cache.c.account_id == account_id)
    return [
        (row.node_id, row.image_id) for row in tx.execute(gone.returning(build_cache.c.node_id, build_cache.c.image_id))
    ]


def is_kept(tx: Transaction, image_id: str) -> bool:
    """Whether an account has this image, or another's builds may use it."""
    statement = text(
        """
        SELECT EXISTS (SELECT FROM build_cache WHERE image_id = :image)
            OR EXISTS (SELECT FROM account_images WHERE image_id = :image)
        """
    )
    return bool(tx.execute(statement, {"image": image_id}).scalar_one())
