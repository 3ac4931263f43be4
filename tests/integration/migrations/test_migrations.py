"""The migrations make the tables that the code knows, from nothing and back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from app.store.tables import metadata
from tests import machine

#: Tables of the database that are not alembic's own.
OURS = "n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> 'alembic_version'"


def alembic(url: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *words],
        cwd=machine.ROOT,
        env=os.environ | {"SDC_DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def empty(postgres: machine.Postgres) -> Iterator[str]:
    with postgres.database("template0") as url:
        yield url


def names(postgres: machine.Postgres, url: str) -> set[str]:
    database = url.rpartition("@/")[2].partition("?")[0]
    found = postgres.sql(
        f"SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {OURS}", database
    )
    return {name for (name,) in found}


def test_up_down_and_up_again(postgres: machine.Postgres, empty: str) -> None:
    wanted = set(metadata.tables)
    assert names(postgres, empty) == set()
    alembic(empty, "upgrade", "head")
    assert names(postgres, empty) == wanted
    alembic(empty, "downgrade", "base")
    assert names(postgres, empty) == set()
    alembic(empty, "upgrade", "head")
    assert names(postgres, empty) == wanted
    alembic(empty, "upgrade", "head")


def test_there_is_one_head_and_one_way_to_it() -> None:
    script = ScriptDirectory(str(machine.ROOT / "migrations"))
    assert len(script.get_heads()) == 1
    revisions = list(script.walk_revisions())
    assert all(isinstance(r.down_revision, str) for r in revisions[:-1]) and revisions[-1].down_revision is None


def test_the_models_are_the_schema(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    assert differences == []


def test_everything_that_alembic_does_not_compare(database_url: str) -> None:
    """Check constraints and the conditions of partial indexes."""
    statements = {
        "checks": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = 'public'::regnamespace",
        "indexes": "SELECT indexname, indexdef FROM pg_indexes "
        "WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
        "keys": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype IN ('f', 'p', 'u') AND connamespace = 'public'::regnamespace AND conname !~ 'alembic'",
    }
    engine = create_engine(database_url)
    with engine.connect() as connection:
        migrated = {what: set(map(tuple, connection.exec_driver_sql(sql))) for what, sql in statements.items()}
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
        metadata.create_all(connection)
        modelled = {what: set(map(tuple, connection.exec_driver_sql(sql))) for what, sql in statements.items()}
    engine.dispose()
    assert all(migrated.values())
    assert migrated == modelled


def test_every_table_and_column_has_a_comment(postgres: machine.Postgres, database_url: str) -> None:
    database = database_url.rpartition("@/")[2].partition("?")[0]
    bare = postgres.sql(
        f"""
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE {OURS} AND coalesce(col_description(c.oid, a.attnum), '') = ''
        UNION ALL
        SELECT c.relname, NULL FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS} AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''
        """,
        database,
    )
    assert bare == []
    assert postgres.sql("SELECT count(*) FROM packages", database) != [(0,)]


def test_packages_are_seeded(postgres: machine.Postgres, database_url: str) -> None:
    database = database_url.rpartition("@/")[2].partition("?")[0]
    rows = postgres.sql("SELECT name, memory, swap, nano_cpus, disk, pids FROM packages ORDER BY memory", database)
    gib = 1 << 30
    assert len(rows) == 15
    assert rows[0] == ("t4-standard-128M", gib // 8, gib // 2, 500_000_000, 25 * gib // 8, 576)
    assert rows[3] == ("t4-standard-1G", gib, 4 * gib, 10**9, 25 * gib, 1024)
    assert rows[-1][0] == "t4-standard-224G"
    assert all(pids <= 32768 for *_, pids in rows)
    assert [row[3] for row in rows] == sorted(row[3] for row in rows)
