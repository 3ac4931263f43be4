"""What the database says of itself and of the service's processes, for `sdc-docker doctor` and `db status`."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.store.session import Transaction

Row = dict[str, Any]

_SERVER = """
    SELECT current_setting('server_version') AS server, current_database() AS name,
           pg_database_size(current_database()) AS size, current_setting('max_connections')::int AS max_connections,
           (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
           (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
             AND application_name LIKE 'sdc-docker%') AS ours,
           coalesce((SELECT max(extract(epoch FROM now() - xact_start))::float FROM pg_stat_activity
             WHERE datname = current_database() AND xact_start IS NOT NULL AND pid <> pg_backend_pid()), 0)
             AS oldest_transaction_seconds,
           extract(epoch FROM clock_timestamp())::float AS clock,
           to_regclass('alembic_version') IS NOT NULL AS has_schema
"""


def server(tx: Transaction) -> Row:
    """Version, size, connections, the age of the oldest transaction, the clock, the schema's revision."""
    row = dict(tx.execute(text(_SERVER)).mappings().one())
    found = tx.execute(text("SELECT version_num FROM alembic_version")).scalars().all() if row["has_schema"] else []
    return {**row, "revision": ", ".join(sorted(found))}


def data_folder(tx: Transaction) -> Path | None:
    """The server's data folder, where it runs on this machine and lets us look; it is its process's own folder."""
    descriptor = tx.connection.driver_connection.fileno()  # type: ignore[union-attr]
    with socket.socket(fileno=os.dup(descriptor)) as connection:
        if connection.family != socket.AF_UNIX:
            return None
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    try:
        return Path(f"/proc/{struct.unpack('3i', peer)[0]}/cwd").readlink()
    except OSError:
        return None


_PROCESSES = """
    SELECT id, kind, host, pid, started_at, extract(epoch FROM now() - heartbeat_at)::float AS silent_seconds
    FROM processes ORDER BY kind, host, pid
"""


def processes(tx: Transaction) -> list[Row]:
    return [dict(row) for row in tx.execute(text(_PROCESSES)).mappings()]


_PENDING = """
    SELECT kind, target, extract(epoch FROM now() - created_at)::float AS seconds
    FROM operations WHERE state = 'pending' AND created_at < now() - make_interval(secs => :seconds)
    ORDER BY created_at
"""


def pending(tx: Transaction, older_than: int) -> list[Row]:
    """Operations that were begun more than so many seconds ago and have not ended."""
    return [dict(row) for row in tx.execute(text(_PENDING), {"seconds": older_than}).mappings()]


def containers_on(tx: Transaction, node_id: Any) -> dict[str, str]:
    """Name on the engine -> state, of all containers that a node should have."""
    statement = "SELECT 'c-' || uuid AS name, state FROM containers WHERE node_id = :id"
    return {row.name: row.state for row in tx.execute(text(statement), {"id": node_id})}
