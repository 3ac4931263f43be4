"""Accounts, their keys, and what they have used of their quota."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, func, insert, select, text, update

from app.domain.account import Account, AccountKey
from app.store import prepared
from app.store.prepared import Guard, Prepared
from app.store.session import Transaction
from app.store.tables import account_keys, accounts, revoked_certificates


class OverQuota(Exception):
    """What is asked for is more than the account's quota leaves."""


_COLUMNS = (
    accounts.c.id,
    accounts.c.login,
    accounts.c.disabled_at,
    accounts.c.max_containers,
    accounts.c.max_memory,
    accounts.c.max_nano_cpus,
    accounts.c.used_containers,
    accounts.c.used_memory,
    accounts.c.used_nano_cpus,
)

_BY_KEY = Prepared(
    select(*_COLUMNS)
    .join(account_keys, account_keys.c.account_id == accounts.c.id)
    .where(accounts.c.login == bindparam("login"), account_keys.c.fingerprint == bindparam("fingerprint"))
)

_RESERVE = Guard(
    text(
        """
        UPDATE accounts SET used_containers = used_containers + 1, used_memory = used_memory + :memory,
               used_nano_cpus = used_nano_cpus + :nano_cpus
        WHERE id = :id AND used_containers + 1 <= max_containers AND used_memory + :memory <= max_memory
          AND used_nano_cpus + :nano_cpus <= max_nano_cpus
        """
    ),
    OverQuota,
)

_LOCK = Prepared(text("SELECT FROM accounts WHERE id = :id FOR NO KEY UPDATE"))

_RELEASE = Prepared(
    text(
        """
        UPDATE accounts SET used_containers = used_containers - 1, used_memory = used_memory - :memory,
               used_nano_cpus = used_nano_cpus - :nano_cpus
        WHERE id = :id
        """
    )
)


def _account(row: Row | prepared.Row) -> Account:
    account_id, login, disabled_at, *quota = row
    return Account(account_id, login, disabled_at is not None, *quota)


def find_by_login(tx: Transaction, login: str) -> Account | None:
    row = tx.execute(select(*_COLUMNS).where(accounts.c.login == login)).one_or_none()
    return _account(row) if row else None


def find_by_key(tx: Transaction, login: str, fingerprint: str) -> Account | None:
    """The account of this login, if the key is registered there."""
    row = _BY_KEY.row(tx, {"login": login, "fingerprint": fingerprint})
    return _account(row) if row else None


def exists(tx: Transaction, account_id: UUID) -> bool:
    return tx.execute(select(accounts.c.id).where(accounts.c.id == account_id)).first() is not None


def created_at(tx: Transaction, account_id: UUID) -> datetime:
    return tx.execute(select(accounts.c.created_at).where(accounts.c.id == account_id)).scalar_one()


def list_all(tx: Transaction) -> list[Account]:
    return [_account(row) for row in tx.execute(select(*_COLUMNS).order_by(accounts.c.login))]


def add(tx: Transaction, login: str) -> UUID:
    """Raises UniqueViolation where the login is taken."""
    return tx.execute(insert(accounts).values(login=login).returning(accounts.c.id)).scalar_one()


def set_disabled(tx: Transaction, login: str, disabled: bool) -> bool:
    values = {"disabled_at": func.now() if disabled else None}
    return tx.execute(update(accounts).where(accounts.c.login == login).values(**values)).rowcount == 1


def set_quota(tx: Transaction, login: str, **limits: int) -> bool:
    """`limits`: max_containers, max_memory, max_nano_cpus."""
    return tx.execute(update(accounts).where(accounts.c.login == login).values(**limits)).rowcount == 1


def reserve(tx: Transaction, account_id: UUID, memory: int, nano_cpus: int) -> None:
    """Count one more container, in one guarded statement: parallel creates cannot pass the quota together.

    Raises OverQuota, with the next statement.
    """
    _RESERVE.later(tx, {"id": account_id, "memory": memory, "nano_cpus": nano_cpus})


def adjust(tx: Transaction, account_id: UUID, memory: int, nano_cpus: int, *, anyhow: bool = False) -> bool:
    """Count more, or less, for a container that is counted already. False where the quota does not allow it; with
    `anyhow` it is so already."""
    statement = text(
        """
        UPDATE accounts SET used_memory = used_memory + :memory, used_nano_cpus = used_nano_cpus + :nano_cpus
        WHERE id = :id AND (:anyhow OR ((:memory <= 0 OR used_memory + :memory <= max_memory)
          AND (:nano_cpus <= 0 OR used_nano_cpus + :nano_cpus <= max_nano_cpus)))
        """
    )
    values = {"id": account_id, "memory": memory, "nano_cpus": nano_cpus, "anyhow": anyhow}
    return tx.execute(statement, values).rowcount == 1


def lock(tx: Transaction, account_id: UUID) -> None:
    """Take the account's row ahead of its containers' rows, the order in which `reserve` and an insert take them."""
    _LOCK.rows(tx, {"id": account_id})


def release(tx: Transaction, account_id: UUID, memory: int, nano_cpus: int) -> None:
    _RELEASE.count(tx, {"id": account_id, "memory": memory, "nano_cpus": nano_cpus})


def add_key(tx: Transaction, account_id: UUID, name: str, fingerprint: str, public_key: str) -> UUID:
    """Raises UniqueViolation where the account has the key already."""
    values = {"account_id": account_id, "name": name, "fingerprint": fingerprint, "public_key": public_key}
    return tx.execute(insert(account_keys).values(**values).returning(account_keys.c.id)).scalar_one()


def list_keys(tx: Transaction, account_id: UUID) -> list[AccountKey]:
    keys = account_keys.c
    query = (
        select(keys.id, keys.name, keys.fingerprint, keys.public_key, keys.created_at)
        .where(keys.account_id == account_id)
        .order_by(keys.created_at)
    )
    return [AccountKey(*row) for row in tx.execute(query)]


def remove_key(tx: Transaction, account_id: UUID, fingerprint: str) -> bool:
    statement = delete(account_keys).where(
        account_keys.c.account_id == account_id, account_keys.c.fingerprint == fingerprint
    )
    return tx.execute(statement).rowcount == 1


def is_revoked(tx: Transaction, serial: str) -> bool:
    return (
        tx.execute(select(revoked_certificates.c.serial).where(revoked_certificates.c.serial == serial)).first()
        is not None
    )
