"""The role for people who look: `sdc_read` may select every view, and every column of a table that is no secret.

A role belongs to the cluster, and the owner of the database need not be one who may make roles. So whoever runs the
cluster makes the role once, and every migration brings its rights up to the schema: what is granted follows from the
tables, and a column that is not there is not granted. Secret columns are marked in `tables.py`; no view shows one.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from app.store.tables import metadata

ROLE = "sdc_read"
#: Where the role is missing.
HINT = (
    "There is no role for people who look at the database. To have it, let one who may make roles run "
    f"CREATE ROLE {ROLE} NOLOGIN and upgrade again."
)

_RELATIONS = text(
    """
    SELECT c.relname, c.relkind = 'v', array_agg(a.attname::text ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'v')
    GROUP BY c.oid ORDER BY c.relname
    """
)


def readable(table: str) -> set[str]:
    """Columns of a table that are no secrets; none of a table that is not ours."""
    if table not in metadata.tables:
        return set()
    return {column.name for column in metadata.tables[table].columns if not column.info.get("secret")}


def grant(connection: Connection) -> bool:
    """Give the role what it may see of the schema as it is, and nothing else. False where there is no such role."""
    if not connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :name"), {"name": ROLE}).first():
        return False
    schema = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    connection.exec_driver_sql(f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {ROLE}")
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {schema} TO {ROLE}")
    for name, is_view, columns in connection.execute(_RELATIONS).all():
        shown = [f'"{column}"' for column in columns if is_view or column in readable(name)]
        if shown:
            connection.exec_driver_sql(f'GRANT SELECT ({", ".join(shown)}) ON "{name}" TO {ROLE}')
    return True
