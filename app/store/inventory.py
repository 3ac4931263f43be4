"""What there is in the whole data center, for an operator. No tenant's request comes here."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.errors import Conflict
from app.store.session import Transaction

Row = dict[str, Any]


def _rows(tx: Transaction, statement: str, **values: Any) -> list[Row]:
    return [dict(row) for row in tx.execute(text(statement), values).mappings()]


_NODES = """
    SELECT n.id, n.name, n.url, n.public_address, n.engine_id, n.engine_version, n.api_version, n.state, n.cordoned,
           n.cordon_reason, n.cpus, n.memory, n.seen_at, n.created_at, n.lease_until,
           coalesce(n.lease_until > now(), false) AS leased, p.host AS observer_host, p.pid AS observer_pid,
           extract(epoch FROM now() - n.seen_at)::float AS seen_seconds_ago,
           (SELECT count(*) FROM containers c WHERE c.node_id = n.id) AS containers,
           (SELECT count(*) FROM containers c WHERE c.node_id = n.id AND c.state = 'running') AS running,
           (SELECT coalesce(sum(c.memory), 0)::bigint FROM containers c WHERE c.node_id = n.id) AS used_memory,
           (SELECT coalesce(sum(c.nano_cpus), 0)::bigint FROM containers c WHERE c.node_id = n.id) AS used_nano_cpus,
           (SELECT count(*) FROM volumes v WHERE v.node_id = n.id) AS volumes,
           (SELECT count(*) FROM node_images i WHERE i.node_id = n.id) AS images,
           (SELECT count(*) FROM operations o WHERE o.node_id = n.id AND o.state = 'pending') AS pending
    FROM nodes n LEFT JOIN processes p ON p.id = n.lease_process_id
    WHERE :name = '' OR n.name = :name ORDER BY n.name
"""


def list_nodes(tx: Transaction, name: str = "") -> list[Row]:
    """All nodes, or the one of this name, with what is on them and who follows them."""
    return _rows(tx, _NODES, name=name)


def packages_on(tx: Transaction, node_id: UUID) -> list[Row]:
    """Package -> containers of it on a node."""
    statement = (
        "SELECT package, count(*) AS containers FROM containers WHERE node_id = :id GROUP BY 1 ORDER BY 2 DESC, 1"
    )
    return _rows(tx, statement, id=node_id)


def set_cordon(tx: Transaction, name: str, cordoned: bool, reason: str) -> bool:
    statement = text("UPDATE nodes SET cordoned = :cordoned, cordon_reason = :reason WHERE name = :name")
    return tx.execute(statement, {"name": name, "cordoned": cordoned, "reason": reason}).rowcount == 1


def remove_node(tx: Transaction, node_id: UUID) -> None:
    """Remove a node with its history of operations; its events stay. Raises Conflict where something is on it."""
    values = {"id": node_id}
    try:
        tx.execute(text("DELETE FROM operations WHERE node_id = :id AND state <> 'pending'"), values)
        tx.execute(text("UPDATE events SET node_id = NULL WHERE node_id = :id"), values)
        tx.execute(text("DELETE FROM nodes WHERE id = :id"), values)
    except IntegrityError as error:
        diag: Any = getattr(error.orig, "diag", None)
        raise Conflict(f"the node is not empty: {diag.table_name if diag else 'something'} refer to it") from error


_PACKAGES = """
    SELECT p.id, p.name, p.memory, p.swap, p.nano_cpus, p.disk, p.pids, p.disabled_at,
           (SELECT count(*) FROM containers c WHERE c.package = p.name) AS containers
    FROM packages p ORDER BY p.memory, p.nano_cpus, p.name
"""


def list_packages(tx: Transaction) -> list[Row]:
    return _rows(tx, _PACKAGES)


def add_package(tx: Transaction, **values: Any) -> None:
    """Raises UniqueViolation where the name is taken."""
    statement = """
        INSERT INTO packages (name, memory, swap, nano_cpus, disk, pids)
        VALUES (:name, :memory, :swap, :nano_cpus, :disk, :pids)
    """
    tx.execute(text(statement), values)


def set_package_disabled(tx: Transaction, name: str, disabled: bool) -> bool:
    statement = "UPDATE packages SET disabled_at = CASE WHEN :disabled THEN now() END WHERE name = :name"
    return tx.execute(text(statement), {"name": name, "disabled": disabled}).rowcount == 1


_IMAGES = """
    SELECT a.login AS account, i.id, i.size, i.created_at, m.added_at,
           coalesce((SELECT array_agg(repository || CASE WHEN reference LIKE 'sha256:%' THEN '@' ELSE ':' END
                                         || reference
                                      ORDER BY repository, reference)
                     FROM image_names n WHERE n.account_id = a.id AND n.image_id = i.id), '{}') AS names,
           coalesce((SELECT array_agg(d.name ORDER BY d.name) FROM node_images h JOIN nodes d ON d.id = h.node_id
                     WHERE h.image_id = i.id), '{}') AS nodes,
           (SELECT count(*) FROM containers c WHERE c.image_id = i.id AND c.account_id = a.id) AS containers
    FROM account_images m JOIN accounts a ON a.id = m.account_id JOIN images i ON i.id = m.image_id
    WHERE (:account = '' OR a.login = :account)
      AND (:node = '' OR EXISTS (SELECT FROM node_images h JOIN nodes d ON d.id = h.node_id
                                 WHERE h.image_id = i.id AND d.name = :node))
    ORDER BY a.login, i.size DESC, i.id
"""


def list_images(tx: Transaction, account: str = "", node: str = "") -> list[Row]:
    """Images of accounts, with what uses them in that account; the same content may stand in several accounts."""
    return _rows(tx, _IMAGES, account=account, node=node)


_NETWORKS = """
    SELECT n.subnet::text AS subnet, a.login AS account, n.name, n.id, n.ready, n.created_at,
           (SELECT count(*) FROM container_endpoints e WHERE e.network_uuid = n.uuid) AS containers
    FROM networks n JOIN accounts a ON a.id = n.account_id ORDER BY n.subnet
"""


def list_networks(tx: Transaction) -> list[Row]:
    return _rows(tx, _NETWORKS)


_COUNTS = """
    SELECT (SELECT count(*) FROM account_images WHERE account_id = :id) AS images,
           (SELECT count(*) FROM volumes WHERE account_id = :id) AS volumes,
           (SELECT count(*) FROM networks WHERE account_id = :id) AS networks,
           (SELECT count(*) FROM containers WHERE account_id = :id AND state = 'running') AS running,
           (SELECT created_at FROM accounts WHERE id = :id) AS created_at
"""


def count_of_account(tx: Transaction, account_id: UUID) -> Row:
    """What else an account has, besides what its quota counts."""
    return _rows(tx, _COUNTS, id=account_id)[0]
