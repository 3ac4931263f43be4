"""The migrations make the tables that the code knows, from nothing and back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from app.store.tables import metadata
from tests import machine

#: Tables of the database that are not alembic's own, and its views.
OURS = "n.nspname = 'public' AND c.relkind = 'r' AND c.relname <> 'alembic_version'"
OURS_AND_VIEWS = OURS.replace("= 'r'", "IN ('r', 'v')")

#: Rows that a database of the first revision may have.
ROWS = """
    INSERT INTO accounts (id, login, used_containers, max_containers) VALUES (md5('a')::uuid, 'alice', 3, 4);
    INSERT INTO nodes (id, name, url, engine_id, engine_version, api_version, state, cpus, memory)
    VALUES (md5('n')::uuid, 'n1', 'unix:///n1', 'E', '20.10.24', '1.41', 'up', 8, 1);
    INSERT INTO images (id, inspect, size) VALUES ('sha256:' || repeat('1', 64), '{}', 1);
    INSERT INTO containers (id, uuid, account_id, name, node_id, state, image_id, image, spec, package, memory,
                            nano_cpus, engine_id, started_at, inspect)
    VALUES (repeat('c', 64), md5('c')::uuid, md5('a')::uuid, 'web', md5('n')::uuid, 'running',
            'sha256:' || repeat('1', 64), 'busybox', '{}', 't4-standard-1G', 1, 1, 'e', now(),
            '{"Path": "sh", "Args": ["-c", "echo a b", "x"], "RestartCount": 7, "Config": {"Hostname": "h"},
              "State": {"OOMKilled": true, "Error": "no"}, "HostConfig": {"RestartPolicy": {"Name": "always"}}}');
    INSERT INTO containers (id, uuid, account_id, name, node_id, state, image_id, image, spec, package, memory,
                            nano_cpus)
    VALUES (repeat('d', 64), md5('d')::uuid, md5('a')::uuid, 'new', md5('n')::uuid, 'creating',
            'sha256:' || repeat('1', 64), 'busybox', '{}', 't4-standard-1G', 1, 1);
    INSERT INTO volumes (id, account_id, name, node_id, engine_name, anonymous)
    SELECT md5(name)::uuid, md5('a')::uuid, name, md5('n')::uuid, name, false
    FROM unnest(ARRAY['used', 'idle']) AS name;
    INSERT INTO container_volumes VALUES (repeat('c', 64), '/a', md5('used')::uuid),
                                         (repeat('c', 64), '/b', md5('used')::uuid);
    INSERT INTO events (account_id, time_nano, type, action, actor_id, attributes)
    VALUES (md5('a')::uuid, 1000000001500000000, 'container', 'start', repeat('c', 64), '{}');
"""
FACTS = {
    "SELECT name, command, hostname, restart_policy, restart_count, oom_killed, error FROM containers ORDER BY id": [
        ("web", "sh -c 'echo a b' x", "h", "always", 7, True, "no"),
        ("new", "", "", "no", 0, False, ""),
    ],
    "SELECT name, mounts, unused_since IS NULL FROM volumes ORDER BY name": [("idle", 0, False), ("used", 2, True)],
    "SELECT quota_percent FROM accounts": [(75,)],
    "SELECT at AT TIME ZONE 'UTC' FROM events": [(datetime(2001, 9, 9, 1, 46, 41, 500000),)],
}


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


def database_of(url: str) -> str:
    return url.rpartition("@/")[2].partition("?")[0]


def revisions() -> list[str]:
    """The first one first."""
    return [r.revision for r in ScriptDirectory(str(machine.ROOT / "migrations")).walk_revisions()][::-1]


def names(postgres: machine.Postgres, url: str) -> set[str]:
    database = database_of(url)
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


def left_over(postgres: machine.Postgres, url: str) -> list[tuple]:
    """Functions and relations, but for alembic's own table."""
    statement = """
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ '^alembic_version'
        """
    return postgres.sql(statement, database_of(url))


@pytest.mark.parametrize("revision", revisions())
def test_up_from_each_revision_with_rows_in_it(postgres: machine.Postgres, empty: str, revision: str) -> None:
    first = revisions()[0]
    database = database_of(empty)
    alembic(empty, "upgrade", first)
    postgres.sql(ROWS, database)
    alembic(empty, "upgrade", revision)
    alembic(empty, "upgrade", "head")
    for question, answer in FACTS.items():
        assert postgres.sql(question, database) == answer
    # And back to it, with the rows.
    alembic(empty, "downgrade", revision)
    assert postgres.sql("SELECT name FROM containers ORDER BY id", database) == [("web",), ("new",)]
    alembic(empty, "upgrade", "head")
    for question, answer in FACTS.items():
        assert postgres.sql(question, database) == answer
    alembic(empty, "downgrade", "base")
    assert left_over(postgres, empty) == []


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
    """Check constraints, the conditions of partial indexes, generated columns, triggers."""
    statements = {
        "checks": "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'c' AND connamespace = 'public'::regnamespace",
        "indexes": "SELECT indexname, indexdef FROM pg_indexes "
        "WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
        "generated": "SELECT attrelid::regclass::text, attname, pg_get_expr(adbin, adrelid) FROM pg_attrdef "
        "JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum WHERE attgenerated <> ''",
        "triggers": "SELECT pg_get_triggerdef(t.oid), p.prosrc, obj_description(p.oid, 'pg_proc') FROM pg_trigger t "
        "JOIN pg_proc p ON p.oid = t.tgfoid WHERE NOT tgisinternal",
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


def test_every_table_view_and_column_has_a_comment(postgres: machine.Postgres, database_url: str) -> None:
    database = database_url.rpartition("@/")[2].partition("?")[0]
    bare = postgres.sql(
        f"""
        SELECT c.relname, a.attname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE {OURS_AND_VIEWS} AND coalesce(col_description(c.oid, a.attnum), '') = ''
        UNION ALL
        SELECT c.relname, NULL FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE {OURS_AND_VIEWS} AND coalesce(obj_description(c.oid, 'pg_class'), '') = ''
        """,
        database,
    )
    assert bare == []
    assert postgres.sql("SELECT count(*) FROM packages", database) != [(0,)]


def test_every_foreign_key_has_an_index(postgres: machine.Postgres, database_url: str) -> None:
    """So that what it refers to can go without a look at every row."""
    bare = postgres.sql(
        """
        SELECT k.conname FROM pg_constraint k WHERE k.contype = 'f' AND NOT EXISTS (
            SELECT FROM pg_index i WHERE i.indrelid = k.conrelid AND i.indpred IS NULL
            AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
        """,
        database_of(database_url),
    )
    assert bare == []


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
