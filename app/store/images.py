"""Images and their names, per account."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from app.domain import image_reference
from app.errors import NotFound
from app.store.session import Transaction, to_json
from app.store.tables import account_images, image_names, images


@dataclass(frozen=True)
class Image:
    """An image of an account. `names` are (repository, tag or digest); `named_at` is when the last was given."""

    id: str
    size: int
    inspect: dict[str, Any]
    names: list[tuple[str, str]] = field(default_factory=list)
    named_at: datetime | None = None

    @property
    def tags(self) -> list[str]:
        return [f"{image_reference.familiar(r)}:{t}" for r, t in self.names if not t.startswith("sha256:")]

    @property
    def digests(self) -> list[str]:
        return [f"{image_reference.familiar(r)}@{d}" for r, d in self.names if d.startswith("sha256:")]


_COLUMNS = (
    images.c.id,
    images.c.size,
    images.c.inspect,
    image_names.c.repository,
    image_names.c.reference,
    image_names.c.set_at,
)


def put(tx: Transaction, image_id: str, inspect: dict[str, Any], node_id: UUID, account_id: UUID) -> None:
    """The account has this image now, and the node holds it."""
    statement = text(
        """
        INSERT INTO images (id, inspect, size, created_at)
        VALUES (:id, CAST(:inspect AS jsonb), :size, CAST(:created AS timestamptz)) ON CONFLICT (id) DO NOTHING
        """
    )
    created = inspect.get("Created") or None
    values = {"id": image_id, "inspect": to_json(inspect), "size": inspect.get("Size", 0)}
    tx.execute(statement, {**values, "created": created})
    put_node = "INSERT INTO node_images (node_id, image_id) VALUES (:node, :image) ON CONFLICT DO NOTHING"
    tx.execute(text(put_node), {"node": node_id, "image": image_id})
    put_account = "INSERT INTO account_images (account_id, image_id) VALUES (:account, :image) ON CONFLICT DO NOTHING"
    tx.execute(text(put_account), {"account": account_id, "image": image_id})


def set_name(tx: Transaction, account_id: UUID, repository: str, reference: str, image_id: str) -> None:
    """`reference` is a tag or a digest. A name that meant another image means this one from now on."""
    statement = text(
        """
        INSERT INTO image_names (account_id, repository, reference, image_id) VALUES (:a, :r, :t, :i)
        ON CONFLICT (account_id, repository, reference) DO UPDATE SET image_id = excluded.image_id, set_at = now()
        """
    )
    tx.execute(statement, {"a": account_id, "r": repository, "t": reference, "i": image_id})


def find_name(tx: Transaction, account_id: UUID, repository: str, reference: str) -> str | None:
    """The id of the image that the name means in the account."""
    query = select(image_names.c.image_id).where(
        image_names.c.account_id == account_id,
        image_names.c.repository == repository,
        image_names.c.reference == reference,
    )
    return tx.execute(query).scalar_one_or_none()


def resolve(tx: Transaction, account_id: UUID, name: str) -> Image:
    """The account's image of this name, digest, id or unique id prefix (dockerd's order: full id, name, prefix).

    Raises NotFound("No such image: <name as docker shows it>") or InvalidParameter.
    """
    image_id = _find(tx, account_id, name)
    rows = tx.execute(
        select(*_COLUMNS)
        .outerjoin(image_names, (image_names.c.image_id == images.c.id) & (image_names.c.account_id == account_id))
        .where(images.c.id == image_id)
        .order_by(image_names.c.repository, image_names.c.reference)
    ).all()
    names = [(row.repository, row.reference) for row in rows if row.repository]
    named_at = max((row.set_at for row in rows if row.set_at), default=None)
    return Image(rows[0].id, rows[0].size, rows[0].inspect, names, named_at)


def _find(tx: Transaction, account_id: UUID, name: str) -> str:
    mine = select(account_images.c.image_id).where(account_images.c.account_id == account_id)
    digits = name.removeprefix("sha256:")
    is_hex = bool(digits) and all(c in "0123456789abcdef" for c in digits)
    if is_hex and len(digits) == 64:
        found = tx.execute(mine.where(account_images.c.image_id == f"sha256:{digits}")).scalar_one_or_none()
        if found:
            return found
        raise NotFound(f"No such image: {name}")
    shown = name
    if not name.startswith("sha256:"):
        reference = image_reference.parse(name)
        wanted = reference.digest or reference.tag or image_reference.DEFAULT_TAG
        if named := find_name(tx, account_id, reference.repository, wanted):
            return named
        shown = str(reference) if reference.tag or reference.digest else f"{reference}:{wanted}"
    if is_hex and len(digits) < 64:
        rows = tx.execute(
            mine.where(account_images.c.image_id.startswith(f"sha256:{digits}", autoescape=True)).limit(2)
        ).all()
        if len(rows) == 1:
            return rows[0][0]
    raise NotFound(f"No such image: {shown}")


def list_mine(tx: Transaction, account_id: UUID) -> list[Image]:
    """All images of the account, newest first, with their names in this account."""
    rows = tx.execute(
        select(*_COLUMNS)
        .join(account_images, account_images.c.image_id == images.c.id)
        .outerjoin(image_names, (image_names.c.image_id == images.c.id) & (image_names.c.account_id == account_id))
        .where(account_images.c.account_id == account_id)
        .order_by(
            images.c.created_at.desc().nulls_last(), images.c.id, image_names.c.repository, image_names.c.reference
        )
    )
    found: dict[str, Image] = {}
    for row in rows:
        image = found.setdefault(row.id, Image(row.id, row.size, row.inspect, []))
        if row.repository:
            image.names.append((row.repository, row.reference))
    return list(found.values())


def count_mine(tx: Transaction, account_id: UUID) -> int:
    return len(tx.execute(select(account_images.c.image_id).where(account_images.c.account_id == account_id)).all())
