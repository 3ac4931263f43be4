"""Packages on offer."""

from __future__ import annotations

from sqlalchemy import select

from app.domain.package import Package
from app.store.session import Transaction
from app.store.tables import packages


def list_active(tx: Transaction) -> list[Package]:
    columns = (packages.c.id, packages.c.name, packages.c.memory, packages.c.swap, packages.c.nano_cpus)
    query = select(*columns, packages.c.disk, packages.c.pids).where(packages.c.disabled_at.is_(None))
    return [Package(*row) for row in tx.execute(query.order_by(packages.c.memory))]
