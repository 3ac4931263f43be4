"""Networks of accounts."""

from __future__ import annotations

import secrets
from ipaddress import IPv4Network
from uuid import UUID, uuid4

from sqlalchemy import select, text, update

from app.domain.network import Network
from app.store.session import Transaction
from app.store.tables import containers, networks

_COLUMNS = (
    networks.c.id,
    networks.c.uuid,
    networks.c.account_id,
    networks.c.name,
    networks.c.subnet,
    networks.c.gateway,
    networks.c.ready,
)


def find(tx: Transaction, account_id: UUID, name: str) -> Network | None:
    """By the tenant's name or full id."""
    mine = select(*_COLUMNS).where(networks.c.account_id == account_id)
    row = tx.execute(mine.where((networks.c.name == name) | (networks.c.id == name))).first()
    return Network(*row) if row else None


def get_by_uuid(tx: Transaction, network_uuid: UUID) -> Network | None:
    row = tx.execute(select(*_COLUMNS).where(networks.c.uuid == network_uuid)).first()
    return Network(*row) if row else None


def find_of_container(tx: Transaction, container_id: str) -> Network | None:
    """The account's network that the container is to be on."""
    query = select(*_COLUMNS).join(containers, containers.c.network_id == networks.c.uuid)
    row = tx.execute(query.where(containers.c.id == container_id)).first()
    return Network(*row) if row else None


def list_mine(tx: Transaction, account_id: UUID) -> list[Network]:
    return [Network(*row) for row in tx.execute(select(*_COLUMNS).where(networks.c.account_id == account_id))]


def add(tx: Transaction, account_id: UUID, name: str, subnet: IPv4Network) -> Network | None:
    """A network that is not ready yet. None where the account has one of this name or the subnet is taken."""
    new = uuid4()
    statement = text(
        """
        INSERT INTO networks (uuid, id, account_id, name, subnet, gateway)
        VALUES (:uuid, :id, :account, :name, CAST(:subnet AS cidr), CAST(:gateway AS inet)) ON CONFLICT DO NOTHING
        """
    )
    values = {"uuid": new, "id": new.hex + secrets.token_hex(16), "account": account_id, "name": name}
    done = tx.execute(statement, {**values, "subnet": str(subnet), "gateway": str(subnet.network_address + 1)})
    return get_by_uuid(tx, new) if done.rowcount else None


def move(tx: Transaction, network_uuid: UUID, subnet: IPv4Network) -> None:
    """Give a network that is not ready another subnet."""
    statement = text("UPDATE networks SET subnet = CAST(:s AS cidr), gateway = CAST(:g AS inet) WHERE uuid = :u")
    tx.execute(statement, {"u": network_uuid, "s": str(subnet), "g": str(subnet.network_address + 1)})


def set_ready(tx: Transaction, network_uuid: UUID) -> None:
    tx.execute(update(networks).where(networks.c.uuid == network_uuid).values(ready=True))


def taken_subnets(tx: Transaction) -> set[str]:
    return set(tx.execute(text("SELECT subnet::text FROM networks")).scalars())
