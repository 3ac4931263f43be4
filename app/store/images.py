"""Images and their names, per account."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, text, update

from app.domain import image_reference
from app.errors import NotFound
from app.store import container_names, prepared
from app.store.prepared import Prepared
from app.store.session import Transaction, to_json
from app.store.tables import account_images, account_layers, image_names, images, layer_blobs, node_images

_HEX = frozenset("0123456789abcdef")


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

_NAMED = select(image_names.c.image_id).where(
    image_names.c.account_id == bindparam("account"),
    image_names.c.repository == bindparam("repository"),
    image_names.c.reference == bindparam("reference"),
)

#: The id of the account's image that `meant` has the values of: by its whole id, else by its name.
MEANT = func.coalesce(
    select(account_images.c.image_id)
    .where(account_images.c.account_id == bindparam("account"), account_images.c.image_id == bindparam("whole_id"))
    .scalar_subquery(),
    _NAMED.scalar_subquery(),
)
WITH_NAMES = (
    select(*_COLUMNS)
    .outerjoin(
        image_names, (image_names.c.image_id == images.c.id) & (image_names.c.account_id == bindparam("account"))
    )
    .where(images.c.id == MEANT)
    .order_by(image_names.c.repository, image_names.c.reference)
)

_BY_NAME, _MEANT = Prepared(_NAMED), Prepared(WITH_NAMES)


def put_on_node(tx: Transaction, image_id: str, inspect: dict[str, Any], node_id: UUID) -> None:
    """The node holds this image, whoever has it."""
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


def put(tx: Transaction, image_id: str, inspect: dict[str, Any], node_id: UUID, account_id: UUID) -> None:
    """The account has this image now, and the node holds it."""
    put_on_node(tx, image_id, inspect, node_id)
    put_account = "INSERT INTO account_images (account_id, image_id) VALUES (:account, :image) ON CONFLICT DO NOTHING"
    tx.execute(text(put_account), {"account": account_id, "image": image_id})
    # Whoever has an image has its layers.
    put_layers(tx, account_id, (inspect.get("RootFS") or {}).get("Layers") or [])


def set_name(tx: Transaction, account_id: UUID, repository: str, reference: str, image_id: str) -> None:
    """`reference` is a tag or a digest. A name that meant another image means this one from now on.

    Events are appended afterwards: the rows of containers that show the name are locked here.
    """
    statement = text(
        """
        INSERT INTO image_names (account_id, repository, reference, image_id) VALUES (:a, :r, :t, :i)
        ON CONFLICT (account_id, repository, reference) DO UPDATE SET image_id = excluded.image_id, set_at = now()
        """
    )
    tx.execute(statement, {"a": account_id, "r": repository, "t": reference, "i": image_id})
    container_names.follow_image(tx, account_id, repository, reference, image_id)


def find_name(tx: Transaction, account_id: UUID, repository: str, reference: str) -> str | None:
    """The id of the image that the name means in the account."""
    values = {"account": account_id, "repository": repository, "reference": reference}
    row = _BY_NAME.row(tx, values)
    return row[0] if row else None


def resolve(tx: Transaction, account_id: UUID, name: str) -> Image:
    """The account's image of this name, digest, id or unique id prefix (dockerd's order: full id, name, prefix).

    Raises NotFound("No such image: <name as docker shows it>") or InvalidParameter.
    """
    values = meant(account_id, name)
    if image := of_rows(_MEANT.rows(tx, values)):
        return image
    digits = name.removeprefix("sha256:")
    if values["whole_id"]:
        raise NotFound(f"No such image: {name}")
    if digits and all(c in _HEX for c in digits):
        begins = account_images.c.image_id.startswith(f"sha256:{digits}", autoescape=True)
        query = select(account_images.c.image_id).where(account_images.c.account_id == account_id, begins).limit(2)
        found = tx.execute(query).scalars().all()
        if len(found) == 1 and (image := of_rows(_MEANT.rows(tx, {**values, "whole_id": found[0]}))):
            return image
    shown = name
    if not name.startswith("sha256:"):
        reference = image_reference.parse(name)
        named = reference.tag or reference.digest
        shown = str(reference) if named else f"{reference}:{image_reference.DEFAULT_TAG}"
    raise NotFound(f"No such image: {shown}")


def meant(account_id: UUID, name: str) -> dict[str, Any]:
    """The values of MEANT for what a tenant calls an image. Raises InvalidParameter."""
    digits = name.removeprefix("sha256:")
    if len(digits) == 64 and all(c in _HEX for c in digits):
        return {"account": account_id, "whole_id": f"sha256:{digits}", "repository": "", "reference": ""}
    values = {"account": account_id, "whole_id": "", "repository": "", "reference": ""}
    if name.startswith("sha256:"):
        return values
    reference = image_reference.parse(name)
    wanted = reference.digest or reference.tag or image_reference.DEFAULT_TAG
    return {**values, "repository": reference.repository, "reference": wanted}


def of_rows(rows: Sequence[prepared.Row]) -> Image | None:
    """The image of the rows of WITH_NAMES."""
    if not rows:
        return None
    names = [(repository, reference) for *_, repository, reference, _ in rows if repository]
    named_at = max((set_at for *_, set_at in rows if set_at), default=None)
    image_id, size, inspect, *_ = rows[0]
    return Image(image_id, size, inspect, names, named_at)


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


def has(tx: Transaction, account_id: UUID, image_id: str) -> bool:
    query = select(account_images.c.image_id).where(
        account_images.c.account_id == account_id, account_images.c.image_id == image_id
    )
    return tx.execute(query).first() is not None


def lock(tx: Transaction, image_id: str) -> None:
    """Until the transaction's end nobody else decides whether the image's content stays."""
    tx.execute(text("SELECT pg_advisory_xact_lock(7351002, hashtext(:id))"), {"id": image_id})


def lock_account(tx: Transaction, account_id: UUID) -> None:
    """Until the transaction's end no other removal looks at what the account has."""
    tx.execute(text("SELECT pg_advisory_xact_lock(7351003, hashtext(:id))"), {"id": str(account_id)})


def list_tags(tx: Transaction, account_id: UUID, repository: str) -> list[tuple[str, str]]:
    """(tag, image id) of the account's tags of a repository, by name."""
    query = select(image_names.c.reference, image_names.c.image_id).where(
        image_names.c.account_id == account_id,
        image_names.c.repository == repository,
        ~image_names.c.reference.like("sha256:%"),
    )
    return [(row.reference, row.image_id) for row in tx.execute(query.order_by(image_names.c.reference))]


def remove_name(tx: Transaction, account_id: UUID, repository: str, reference: str) -> None:
    tx.execute(
        delete(image_names).where(
            image_names.c.account_id == account_id,
            image_names.c.repository == repository,
            image_names.c.reference == reference,
        )
    )
    container_names.follow_image(tx, account_id, repository, reference, None)


def remove(tx: Transaction, account_id: UUID, image_id: str) -> None:
    """The account has this image, and its names for it, no more."""
    tx.execute(
        delete(account_images).where(account_images.c.account_id == account_id, account_images.c.image_id == image_id)
    )


def holders(tx: Transaction, image_ids: Collection[str]) -> set[UUID]:
    """The nodes that hold all of these."""
    wanted = set(image_ids)
    query = (
        select(node_images.c.node_id)
        .where(node_images.c.image_id.in_(wanted))
        .group_by(node_images.c.node_id)
        .having(func.count() == len(wanted))
    )
    return {row.node_id for row in tx.execute(query)}


def unreferenced(tx: Transaction, node_id: UUID, limit: int) -> list[str]:
    """Images on a node that no account has and no container uses."""
    query = text(
        """
        SELECT n.image_id FROM node_images n
        WHERE n.node_id = :node AND NOT EXISTS (SELECT FROM account_images a WHERE a.image_id = n.image_id)
          AND NOT EXISTS (SELECT FROM containers c WHERE c.image_id = n.image_id) LIMIT :most
        """
    )
    return [row.image_id for row in tx.execute(query, {"node": node_id, "most": limit})]


def is_unreferenced(tx: Transaction, image_id: str) -> bool:
    query = text(
        """
        SELECT NOT EXISTS (SELECT FROM account_images WHERE image_id = :id)
           AND NOT EXISTS (SELECT FROM containers WHERE image_id = :id)
        """
    )
    return bool(tx.execute(query, {"id": image_id}).scalar_one())


def set_dropping(tx: Transaction, image_id: str, node_id: UUID) -> None:
    """From now on, until it is gone, nobody may bring the content to this node."""
    here = (node_images.c.node_id == node_id) & (node_images.c.image_id == image_id)
    tx.execute(update(node_images).where(here).values(dropping=True))


def is_dropping(tx: Transaction, image_id: str, node_id: UUID) -> bool:
    query = select(node_images.c.dropping).where(
        node_images.c.node_id == node_id, node_images.c.image_id == image_id, node_images.c.dropping
    )
    return tx.execute(query).first() is not None


def take_from_node(tx: Transaction, image_id: str, node_id: UUID) -> None:
    """The node holds it no more; what no node holds and no container uses is forgotten."""
    tx.execute(delete(node_images).where(node_images.c.node_id == node_id, node_images.c.image_id == image_id))
    statement = text(
        """
        DELETE FROM images i WHERE i.id = :id AND NOT EXISTS (SELECT FROM node_images n WHERE n.image_id = i.id)
           AND NOT EXISTS (SELECT FROM account_images a WHERE a.image_id = i.id)
           AND NOT EXISTS (SELECT FROM containers c WHERE c.image_id = i.id)
        """
    )
    tx.execute(statement, {"id": image_id})


def find_history(tx: Transaction, image_id: str) -> list[dict[str, Any]] | None:
    return tx.execute(select(images.c.history).where(images.c.id == image_id)).scalar_one_or_none()


def set_history(tx: Transaction, image_id: str, history: list[dict[str, Any]]) -> None:
    statement = text("UPDATE images SET history = CAST(:history AS jsonb) WHERE id = :id")
    tx.execute(statement, {"id": image_id, "history": to_json(history)})


# -- layers ------------------------------------------------------------------------------------------------------


def put_layers(tx: Transaction, account_id: UUID, diff_ids: Collection[str]) -> None:
    """The account has had the content of these layers."""
    statement = text(
        "INSERT INTO account_layers (account_id, diff_id) SELECT :account, unnest(CAST(:layers AS text[])) "
        "ON CONFLICT DO NOTHING"
    )
    tx.execute(statement, {"account": account_id, "layers": sorted(set(diff_ids))})


def layers_had(tx: Transaction, account_id: UUID, diff_ids: Collection[str]) -> set[str]:
    """Those of the layers whose content the account has had."""
    query = select(account_layers.c.diff_id).where(
        account_layers.c.account_id == account_id, account_layers.c.diff_id.in_(diff_ids)
    )
    return {row.diff_id for row in tx.execute(query)}


def learn_blobs(tx: Transaction, known: Mapping[str, str]) -> None:
    """Blob digest -> digest of its plain form, as an engine or we have seen it."""
    statement = text(
        "INSERT INTO layer_blobs (digest, diff_id) SELECT * FROM unnest(CAST(:d AS text[]), CAST(:p AS text[])) "
        "ON CONFLICT DO NOTHING"
    )
    ordered = sorted(known.items())
    tx.execute(statement, {"d": [d for d, _ in ordered], "p": [p for _, p in ordered]})


def find_plain(tx: Transaction, digest: str) -> str | None:
    """The digest of a blob's plain form, where it is known."""
    return tx.execute(select(layer_blobs.c.diff_id).where(layer_blobs.c.digest == digest)).scalar_one_or_none()


def count_mine(tx: Transaction, account_id: UUID) -> int:
    return tx.execute(select(func.count()).where(account_images.c.account_id == account_id)).scalar_one()
