"""What PostgreSQL would do for a statement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from sqlalchemy import Connection, event

from app.store.prepared import Prepared

#: Tables with a row for each thing that an operator has: machines, processes, sizes, tenants, and networks, of which
#: there are no more than the address pool has subnets. A thousand rows are read faster than they are looked up.
SMALL = frozenset({"accounts", "networks", "nodes", "packages", "processes", "revoked_certificates", "alembic_version"})


def read_whole(plan: dict[str, Any]) -> set[str]:
    """Tables, not small by nature, that the plan reads from end to end."""
    found = {plan["Relation Name"]} if plan["Node Type"] == "Seq Scan" else set()
    for part in plan.get("Plans", []):
        found |= read_whole(part)
    return {table for table in found if table not in SMALL and not table.startswith("pg_")}


@contextmanager
def explained(connection: Connection) -> Iterator[dict[str, set[str]]]:
    """Each statement that the connection is told meanwhile -> tables that it reads from end to end."""
    found: dict[str, set[str]] = {}

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        if statement.split(None, 1)[0].upper() not in ("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"):
            found[statement] = set()
            return
        with cursor.connection.cursor() as aside:
            aside.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters[0] if _many else parameters or None)
            found[statement] = read_whole(aside.fetchone()[0][0]["Plan"])

    message = Prepared._message

    def explain_prepared(self: Prepared, tx: Connection, values: Mapping[str, Any]) -> bytes:
        told = message(self, tx, values)
        with tx.connection.cursor() as aside:
            aside.execute(b"EXPLAIN (FORMAT JSON) " + told)
            found[self._sql] = read_whole(aside.fetchone()[0][0]["Plan"])
        return told

    event.listen(connection, "before_cursor_execute", explain)
    try:
        with patch.object(Prepared, "_message", explain_prepared):
            yield found
    finally:
        event.remove(connection, "before_cursor_execute", explain)
