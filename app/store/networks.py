"""Networks of accounts."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, delete, select, text, update

from app.domain.network import Network
from app.errors import InvalidParameter, NotFound
from app.store.prepared import Prepared
from app.store.session import Transaction
from app.store.tables import networks

COLUMNS = (
    networks.c.id,
    networks.c.uuid,
    networks.c.account_id,
    networks.c.name,
    networks.c.subnet,
    networks.c.gateway,
    networks.c.ready,
    networks.c.removing,
    networks.c.chosen,
    networks.c.internal,
    networks.c.attachable,
    networks.c.ip_range,
    networks.c.aux_addresses,
    networks.c.options,
    networks.c.labels,
    networks.c.created_at,
)

MINE = (
    select(*COLUMNS).where(networks.c.account_id == bindparam("account")).order_by(networks.c.created_at, networks.c.id)
)
_MINE = Prepared(MINE)


def find(tx: Transaction, account_id: UUID, name: str) -> Network | None:
    """By the tenant's name or full id."""
    mine = select(*COLUMNS).where(networks.c.account_id == account_id)
    row = tx.execute(mine.where((networks.c.name == name) | (networks.c.id == name))).first()
    return Network(*row) if row else None


def unknown(tx: Transaction, uuids: Collection[UUID]) -> dict[UUID, bool]:
    """Of these the ones without a row, and whether that is known to be so by a removal or by a create undone."""
    statement = text(
        """
        SELECT CAST(hex AS uuid) AS uuid, EXISTS (
                   SELECT FROM operations o WHERE o.target BETWEEN hex AND hex || 'g'
                     AND (o.kind, o.state) IN (('network remove', 'done'), ('network', 'undone'))) AS ended
        FROM unnest(CAST(:hex AS text[])) AS asked (hex)
        WHERE NOT EXISTS (SELECT FROM networks n WHERE n.uuid = CAST(hex AS uuid))
        """
    )
    return {row.uuid: row.ended for row in tx.execute(statement, {"hex": [uuid.hex for uuid in uuids]})}


def choose(mine: list[Network], word: str) -> Network:
    """The one of an account's networks that `word` means: by full id, else exact name, else unique id prefix.

    This is dockerd's order. Raises NotFound, InvalidParameter in dockerd's words.
    """
    for network in mine:
        if network.id == word:
            return network
    for network in mine:
        if network.name == word:
            return network
    found = [network for network in mine if word and network.id.startswith(word)]
    if len(found) > 1:
        raise InvalidParameter(f"network {word} is ambiguous ({len(found)} matches found based on ID prefix)")
    if not found:
        raise NotFound(f"network {word} not found")
    return found[0]


def get_by_uuid(tx: Transaction, network_uuid: UUID) -> Network | None:
    row = tx.execute(select(*COLUMNS).where(networks.c.uuid == network_uuid)).first()
    return Network(*row) if row else None


def lock(tx: Transaction, network_uuid: UUID) -> Network | None:
    """The row, held until the transaction's end: who joins the network waits, or is seen."""
    row = tx.execute(select(*COLUMNS).where(networks.c.uuid == network_uuid).with_for_update()).first()
    return Network(*row) if row else None


def list_mine(tx: Transaction, account_id: UUID) -> list[Network]:
    return [Network(*row) for row in _MINE.rows(tx, {"account": account_id})]


def add(
    tx: Transaction,
    account_id: UUID,
    name: str,
    subnet: IPv4Network,
    *,
    gateway: str = "",
    values: Mapping[str, Any] | None = None,
) -> Network | None:
    """A network that is not ready yet. None where the account has one of this name or the subnet is taken."""
    new = uuid4()
    statement = text(
        """
        INSERT INTO networks (uuid, id, account_id, name, subnet, gateway)
        VALUES (:uuid, :id, :account, :name, CAST(:subnet AS cidr), CAST(:gateway AS inet)) ON CONFLICT DO NOTHING
        """
    )
    row = {"uuid": new, "id": new.hex + secrets.token_hex(16), "account": account_id, "name": name}
    gateway = gateway or str(subnet.network_address + 1)
    done = tx.execute(statement, {**row, "subnet": str(subnet), "gateway": gateway})
    if not done.rowcount:
        return None
    if values:
        tx.execute(update(networks).where(networks.c.uuid == new).values(**values))
    return get_by_uuid(tx, new)


def move(tx: Transaction, network_uuid: UUID, subnet: IPv4Network) -> None:
    """Give a network that is not ready another subnet."""
    statement = text("UPDATE networks SET subnet = CAST(:s AS cidr), gateway = CAST(:g AS inet) WHERE uuid = :u")
    tx.execute(statement, {"u": network_uuid, "s": str(subnet), "g": str(subnet.network_address + 1)})


def set_ready(tx: Transaction, network_uuid: UUID) -> None:
    tx.execute(update(networks).where(networks.c.uuid == network_uuid).values(ready=True))


def set_removing(tx: Transaction, network_uuid: UUID, removing: bool) -> None:
    tx.execute(update(networks).where(networks.c.uuid == network_uuid).values(removing=removing))


def remove(tx: Transaction, network_uuid: UUID) -> bool:
    """False where it is gone already."""
    return tx.execute(delete(networks).where(networks.c.uuid == network_uuid)).rowcount == 1


def taken_subnets(tx: Transaction) -> set[str]:
    return set(tx.execute(text("SELECT subnet::text FROM networks")).scalars())
