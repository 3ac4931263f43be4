"""Runs migrations against SDC_DATABASE_URL. A lock not to be had within 5 s fails the migration, not the service.

Afterwards the role for people who look may see what there is now, where the cluster has that role.
"""

from __future__ import annotations

import os
import sys

from alembic import context
from sqlalchemy import create_engine, text

from app.store import read_role
from app.store.tables import metadata


def run() -> None:
    connection = context.config.attributes.get("connection")
    if connection is not None:
        _migrate(connection)
        return
    with create_engine(os.environ["SDC_DATABASE_URL"]).connect() as connection:
        _migrate(connection)


def _migrate(connection) -> None:
    connection.execute(text("SET lock_timeout = '5s'"))
    connection.commit()
    context.configure(connection=connection, target_metadata=metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
        if not read_role.grant(connection):
            print(read_role.HINT, file=sys.stderr)


run()
