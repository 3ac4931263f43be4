"""The role for people who look: every view, every column that is no secret, and nothing else."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import psycopg2
import pytest

from app.store import read_role
from app.store.tables import metadata
from app.store.views import VIEWS
from tests import machine

OWNER = "plain_owner"


def migrate(url: str) -> str:
    """What it says on the way."""
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    env = os.environ | {"SDC_DATABASE_URL": url}
    done = subprocess.run(command, cwd=machine.ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.fixture
def owned(postgres: machine.Postgres) -> Iterator[str]:
    """URL of an empty database whose owner may make no roles."""
    postgres.sql(f"CREATE ROLE {OWNER} LOGIN")
    with postgres.database("template0") as url:
        database = url.rpartition("@/")[2].partition("?")[0]
        postgres.sql(f"ALTER DATABASE {database} OWNER TO {OWNER}")
        yield url.replace("postgres@", f"{OWNER}@")
    for role in (read_role.ROLE, OWNER):
        postgres.sql(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture
def reader(postgres: machine.Postgres, owned: str) -> Iterator[psycopg2.extensions.cursor]:
    """A session of one who is in the role."""
    assert read_role.ROLE in migrate(owned)  # It says how to make it.
    postgres.sql(f"CREATE ROLE {read_role.ROLE} NOLOGIN")
    assert read_role.ROLE not in migrate(owned)
    postgres.sql(f"CREATE ROLE somebody LOGIN IN ROLE {read_role.ROLE}")
    with contextlib.closing(psycopg2.connect(owned.replace("+psycopg2", "").replace(OWNER, "somebody"))) as session:
        session.autocommit = True
        yield session.cursor()
    postgres.sql("DROP ROLE somebody")


def refused(reader: psycopg2.extensions.cursor, statement: str) -> bool:
    try:
        reader.execute(statement)
    except psycopg2.errors.InsufficientPrivilege:
        return True
    return False


def test_what_it_sees(reader: psycopg2.extensions.cursor) -> None:
    for view in VIEWS:
        reader.execute(f"SELECT * FROM {view.name} LIMIT 1")
    secret = []
    for table in metadata.tables.values():
        reader.execute(f"SELECT count(*) FROM {table.name}")
        for column in table.columns:
            if column.info.get("secret"):
                secret.append(f"{table.name}.{column.name}")
                assert refused(reader, f"SELECT {column.name} FROM {table.name}"), secret[-1]
            else:
                reader.execute(f"SELECT {column.name} FROM {table.name} LIMIT 1")
    assert {"containers.inspect", "containers.spec", "images.inspect", "account_keys.public_key"} <= set(secret)


def test_it_changes_nothing(reader: psycopg2.extensions.cursor) -> None:
    for statement in (
        "INSERT INTO accounts (login) VALUES ('me')",
        "UPDATE accounts SET max_containers = 10000",
        "UPDATE v_quotas SET max_containers = 10000",
        "DELETE FROM audit",
        "TRUNCATE events",
        "CREATE TABLE mine (id int)",
        "DROP VIEW v_refused",
    ):
        assert refused(reader, statement), statement


def test_what_was_granted_by_hand_is_taken_back(
    postgres: machine.Postgres, owned: str, reader: psycopg2.extensions.cursor
) -> None:
    database = owned.rpartition("@/")[2].partition("?")[0]
    postgres.sql(f"GRANT SELECT, INSERT ON containers, account_keys TO {read_role.ROLE}", database)
    reader.execute("SELECT inspect FROM containers")
    migrate(owned)
    assert refused(reader, "SELECT inspect FROM containers") and refused(reader, "SELECT public_key FROM account_keys")
    reader.execute("SELECT name FROM containers")
