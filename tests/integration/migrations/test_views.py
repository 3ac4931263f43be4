"""The migrations make the views that the code defines."""

from __future__ import annotations

from sqlalchemy import Connection, create_engine, text

from app.store.tables import metadata
from app.store.views import VIEWS

_DEFINED = text(
    """
    SELECT c.relname, pg_get_viewdef(c.oid), obj_description(c.oid, 'pg_class'),
           array_agg(a.attname::text || ': ' || col_description(c.oid, a.attnum) ORDER BY a.attnum)
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'v' GROUP BY c.oid ORDER BY c.relname
    """
)
_LEANS_ON = text(
    """
    SELECT DISTINCT r.ev_class::regclass::text, d.refobjid::regclass::text, a.attname::text
    FROM pg_rewrite r JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    JOIN pg_class c ON c.oid = r.ev_class AND c.relnamespace = 'public'::regnamespace
    WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
    """
)


def defined(connection: Connection) -> list[tuple]:
    return [tuple(row) for row in connection.execute(_DEFINED)]


def test_the_views_of_the_code_are_those_of_the_schema(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        migrated = defined(connection)
        for view in VIEWS:
            connection.exec_driver_sql(f"DROP VIEW {view.name}")
        for view in VIEWS:
            for statement in view.statements():
                connection.execute(text(statement))
        ours = defined(connection)
    engine.dispose()
    assert len(migrated) == len(VIEWS) > 0
    assert migrated == ours


def test_no_view_shows_a_secret(database_url: str) -> None:
    secrets = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.columns
        if column.info.get("secret")
    }
    engine = create_engine(database_url)
    with engine.connect() as connection:
        used = {(row[1], row[2]) for row in connection.execute(_LEANS_ON)}
    engine.dispose()
    assert ("containers", "command") in used
    assert used & secrets == set()
