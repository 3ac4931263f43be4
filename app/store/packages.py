"""Packages on offer."""

from __future__ import annotations

from sqlalchemy import select

from app.domain.package import Package
from app.store.prepared import Prepared
from app.store.session import Transaction
from app.store.tables import packages

_COLUMNS = (
    packages.c.id,
    packages.c.name,
    packages.c.memory,
    packages.c.swap,
    packages.c.nano_cpus,
    packages.c.disk,
    packages.c.pids,
)

ACTIVE = select(*_COLUMNS).where(packages.c.disabled_at.is_(None)).order_by(packages.c.memory)
_ACTIVE = Prepared(ACTIVE)


def list_active(tx: Transaction) -> list[Package]:
    return [Package(*row) for row in _ACTIVE.rows(tx)]
