"""What a container's list entry says that others change: the name of its image, and the links to it.

A list joins ready text and looks nowhere else, so that whoever moves an image's name, or makes or ends a link, rewrites
the entries that this concerns. The row's `spec` keeps the same for whoever makes the entry anew: `ImageMoved` where the
name that the container was made from means another image or nothing by now, and in `LinkedAs` what the containers that
link to it call it, by their ids.

The rows are locked in the order of their ids, and before any event is appended: that lock comes last. Who changes a
container with links, or removes it, says so first (`lock`).
"""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import text

from app.domain import container_view, image_reference
from app.domain.image_reference import DEFAULT_TAG
from app.errors import InvalidParameter
from app.store.session import Transaction, to_json


def follow_image(tx: Transaction, account_id: UUID, repository: str, reference: str, image_id: str | None) -> None:
    """The name means this image from now on, or nothing: entries show the name where it means their image."""
    # What people type for a repository ends like it.
    query = text("SELECT DISTINCT image FROM containers WHERE account_id = :account AND strpos(image, :word) > 0")
    typed = tx.execute(query, {"account": account_id, "word": repository.rpartition("/")[2]}).scalars()
    words = [word for word in typed if _means(word, repository, reference)]
    if not words:
        return
    # Digits that are the beginning of the image's id still mean it where no such name is left.
    statement = text(
        """
        WITH found AS (
            SELECT id, image_id IS DISTINCT FROM :now
                AND NOT (CAST(:now AS text) IS NULL AND starts_with(image_id, 'sha256:' || image)) AS moved
            FROM containers WHERE account_id = :account AND image = ANY(:words) ORDER BY id FOR NO KEY UPDATE)
        UPDATE containers c SET version = version + 1,
            spec = CASE WHEN moved THEN spec || '{"ImageMoved": true}' ELSE spec - 'ImageMoved' END,
            list_head = regexp_replace(
                list_head, '"Image":"[^"]*"', '"Image":"' || CASE WHEN moved THEN image_id ELSE image END || '"')
        FROM found WHERE c.id = found.id AND moved <> (spec ? 'ImageMoved')
        """
    )
    tx.execute(statement, {"account": account_id, "words": words, "now": image_id})


def _means(typed: str, repository: str, reference: str) -> bool:
    try:
        parsed = image_reference.parse(typed)
    except InvalidParameter:
        return False
    return parsed.repository == repository and (parsed.digest or parsed.tag or DEFAULT_TAG) == reference


def find_linked(tx: Transaction, account_id: UUID, name: str, alias: str) -> str | None:
    """The id of the container that the one of this name calls so."""
    query = text("SELECT spec -> 'Links' FROM containers WHERE account_id = :account AND name = :name")
    links = tx.execute(query, {"account": account_id, "name": name}).scalar_one_or_none()
    return next((target for target, known in links or [] if known == alias), None)


def lock(tx: Transaction, account_id: UUID, container_id: str, targets: Iterable[str]) -> None:
    """The rows of a container and of those that it links to, ahead of its own change and of `renew_links`."""
    query = text("SELECT FROM containers WHERE account_id = :account AND id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE")
    tx.execute(query, {"account": account_id, "ids": [container_id, *targets]})


def renew_links(tx: Transaction, account_id: UUID, container_id: str, targets: Iterable[str]) -> None:
    """What `targets` are called by this container's links as they are now; it may be gone."""
    query = text("SELECT name, spec -> 'Links' AS links FROM containers WHERE account_id = :account AND id = :id")
    row = tx.execute(query, {"account": account_id, "id": container_id}).first()
    called: dict[str, list[str]] = {target: [] for target in targets}
    if row:
        for target, alias in row.links or []:
            called.setdefault(target, []).append(f"/{row.name}/{alias}")
    query = text(
        """
        SELECT id, name, coalesce(spec -> 'LinkedAs', '{}') AS linked FROM containers
        WHERE account_id = :account AND id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE
        """
    )
    for found in tx.execute(query, {"account": account_id, "ids": list(called)}).all():
        linked = {key: names for key, names in found.linked.items() if key != container_id}
        if called[found.id]:
            linked[container_id] = called[found.id]
        statement = text(
            """
            UPDATE containers SET version = version + 1,
                spec = spec || jsonb_build_object('LinkedAs', CAST(:linked AS jsonb)),
                list_head = regexp_replace(list_head, '"Names":\\[[^]]*\\]', '"Names":' || CAST(:names AS text))
            WHERE id = :id
            """
        )
        names = to_json(container_view.list_names(found.name, linked))
        tx.execute(statement, {"id": found.id, "linked": to_json(linked), "names": names})
