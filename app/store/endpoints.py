"""Which container is on which network, and with which address."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select, text

from app.domain.network import Network, Place
from app.errors import Conflict, NotFound
from app.store.networks import COLUMNS as NETWORK_COLUMNS
from app.store.prepared import Prepared, raising
from app.store.session import Transaction, to_json
from app.store.tables import container_endpoints, networks

#: States in which an engine holds a container's address, or may be about to.
_ACTIVE = "('creating', 'running', 'paused', 'restarting')"


class NotJoined(Exception):
    """The network is going or gone, or the container is on it already."""


class NoAddress(Exception):
    """Every address of the network is taken."""


# The lock makes a removal of the network wait, or be waited for and then seen.
_ADD = Prepared(
    text(
        f"""
        WITH joined AS (SELECT uuid FROM networks WHERE uuid = :network AND NOT removing FOR KEY SHARE),
        added AS (
            INSERT INTO container_endpoints (container_id, network_uuid, ipv4, reserved, mac, aliases, links)
            SELECT CAST(:container AS text), uuid, CAST(:ipv4 AS inet), CAST(:reserved AS boolean), CAST(:mac AS text),
                   CAST(:aliases AS jsonb), CAST(:links AS jsonb)
            FROM joined ON CONFLICT ON CONSTRAINT pk_container_endpoints DO NOTHING RETURNING 1)
        SELECT {raising(NotJoined)} WHERE NOT EXISTS (SELECT FROM added)
        """  # noqa: S608
    )
)

# What follows an address that is taken is free, unless that is taken too.
_ADD_FREE = Prepared(
    text(
        f"""
        WITH joined AS (
            SELECT uuid, subnet, gateway, aux_addresses FROM networks
            WHERE uuid = :network AND NOT removing FOR KEY SHARE),
        taken AS (
            SELECT CAST(host(ipv4) AS inet) AS address FROM container_endpoints
            WHERE network_uuid = :network AND ipv4 IS NOT NULL
            UNION ALL SELECT CAST(host(network(subnet)) AS inet) FROM joined
            UNION ALL SELECT CAST(host(gateway) AS inet) FROM joined
            UNION ALL SELECT CAST(value AS inet) FROM joined, jsonb_each_text(aux_addresses)),
        free AS (
            SELECT min(address + 1) AS address FROM taken, joined
            WHERE address + 1 < CAST(host(broadcast(subnet)) AS inet)
              AND NOT EXISTS (SELECT FROM taken other WHERE other.address = taken.address + 1)),
        added AS (
            INSERT INTO container_endpoints (container_id, network_uuid, ipv4, reserved, mac, aliases, links)
            SELECT CAST(:container AS text), uuid, free.address, true, CAST(:mac AS text), CAST(:aliases AS jsonb),
                   CAST(:links AS jsonb)
            FROM joined, free WHERE free.address IS NOT NULL
            ON CONFLICT ON CONSTRAINT pk_container_endpoints DO NOTHING RETURNING ipv4)
        SELECT (SELECT host(ipv4) FROM added), CASE
            WHEN EXISTS (SELECT FROM added) THEN true
            WHEN EXISTS (SELECT FROM joined, free WHERE free.address IS NULL) THEN {raising(NoAddress)}
            ELSE {raising(NotJoined)} END
        """  # noqa: S608
    )
)


@dataclass(frozen=True)
class Attached:
    """A running container on a network."""

    container_id: str
    name: str
    #: Its endpoint as inspect shows it.
    endpoint: dict[str, Any]


def add(tx: Transaction, container_id: str, place: Place) -> Place:
    """The place as it is now. Raises NotFound where the network is going or gone, or the container is on it already.

    On the default network, where nobody chooses one, a container keeps the address that it is given here: the lowest
    that nobody has. The account's row must be locked, so that nobody else takes it meanwhile. Raises Conflict where
    there is none, and UniqueViolation where another container has the one that it is to have again.
    """
    values = {
        "network": place.network.uuid,
        "container": container_id,
        "mac": place.mac,
        "aliases": to_json(list(place.aliases)),
        "links": to_json([list(link) for link in place.links]),
    }
    chosen = bool(place.ipv4) or not place.network.is_default
    if chosen:
        values |= {"ipv4": place.ipv4 or None, "reserved": place.network.is_default}
    try:
        row = (_ADD if chosen else _ADD_FREE).row(tx, values)
    except NotJoined as error:
        raise NotFound(f"network {place.network.name} not found") from error
    except NoAddress as error:
        about = f"{place.network.name} ({place.network.id})"
        raise Conflict(f"no available IPv4 addresses on this network's address pools: {about}") from error
    return place if row is None else replace(place, ipv4=row[0])


def remove(tx: Transaction, container_id: str, network_uuid: UUID) -> bool:
    mine = (container_endpoints.c.container_id == container_id) & (container_endpoints.c.network_uuid == network_uuid)
    return tx.execute(delete(container_endpoints).where(mine)).rowcount == 1


def of_container(tx: Transaction, container_id: str) -> list[Place]:
    """The networks of a container, with what it has there; the order is that of their names."""
    query = (
        select(
            *NETWORK_COLUMNS,
            text("host(container_endpoints.ipv4)"),
            container_endpoints.c.mac,
            container_endpoints.c.aliases,
            container_endpoints.c.links,
        )
        .select_from(container_endpoints.join(networks, networks.c.uuid == container_endpoints.c.network_uuid))
        .where(container_endpoints.c.container_id == container_id)
        .order_by(networks.c.name)
    )
    cut = len(NETWORK_COLUMNS)
    return [
        Place(Network(*row[:cut]), row[cut] or "", row[cut + 1], tuple(row[cut + 2]), tuple(map(tuple, row[cut + 3])))
        for row in tx.execute(query)
    ]


def set_links(tx: Transaction, container_id: str, links: list[tuple[str, str]]) -> None:
    """Links on the default network, as inspect shows them."""
    statement = text(
        "UPDATE containers SET spec = spec || jsonb_build_object('Links', CAST(:links AS jsonb)), "
        "version = version + 1 WHERE id = :id"
    )
    tx.execute(statement, {"id": container_id, "links": to_json([list(link) for link in links])})


def active(tx: Transaction, network_uuid: UUID) -> list[tuple[str, str]]:
    """(name, id) of the containers for which an engine has an endpoint there, or may be making one."""
    statement = text(
        f"""
        SELECT c.name, c.id FROM container_endpoints e JOIN containers c ON c.id = e.container_id
        WHERE e.network_uuid = :network AND (c.state IN {_ACTIVE} OR EXISTS (
            SELECT FROM operations o
            WHERE o.target = c.id AND o.state = 'pending' AND o.kind IN ('start', 'restart', 'connect')))
        ORDER BY c.name
        """  # noqa: S608
    )
    return [(row.name, row.id) for row in tx.execute(statement, {"network": network_uuid})]


def list_attached(tx: Transaction, account_id: UUID) -> dict[UUID, list[Attached]]:
    """Network uuid -> the account's running containers on it."""
    statement = text(
        """
        SELECT e.network_uuid, c.id, c.name, c.inspect #> ARRAY['NetworkSettings', 'Networks', n.name] AS endpoint
        FROM containers c JOIN container_endpoints e ON e.container_id = c.id
        JOIN networks n ON n.uuid = e.network_uuid
        WHERE c.account_id = :account AND c.state IN ('running', 'paused', 'restarting') AND c.inspect IS NOT NULL
        ORDER BY c.id
        """
    )
    found: dict[UUID, list[Attached]] = {}
    for row in tx.execute(statement, {"account": account_id}):
        found.setdefault(row.network_uuid, []).append(Attached(row.id, row.name, row.endpoint or {}))
    return found


def engine_names(tx: Transaction, account_id: UUID, container_ids: list[str]) -> dict[str, str]:
    """Container id -> name on its engine, of those that are there."""
    statement = text("SELECT id, 'c-' || uuid FROM containers WHERE account_id = :account AND id = ANY(:ids)")
    rows = tx.execute(statement, {"account": account_id, "ids": container_ids})
    return {row[0]: row[1] for row in rows}
