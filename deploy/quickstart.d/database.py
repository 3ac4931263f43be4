"""The private PostgreSQL cluster: no TCP, one Unix socket that only root and postgres get through."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import psycopg2
from commands import run
from console import Stop
from parts import Part
from stack import Stack

_CONF = """
# --- sdc-docker quickstart
listen_addresses = ''
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
log_destination = 'stderr'
logging_collector = off
"""

# root is the service; the role that owns the database is no superuser. `dba` may look and change nothing.
_HBA = "local sdc sdc,dba peer map=quickstart\nlocal all postgres peer map=quickstart\n"
_IDENT = "quickstart root sdc\nquickstart root dba\nquickstart root postgres\nquickstart postgres postgres\n"
_ROLES = {
    "sdc": "CREATE ROLE sdc LOGIN",
    "sdc_read": "CREATE ROLE sdc_read NOLOGIN",
    "dba": "CREATE ROLE dba LOGIN IN ROLE sdc_read; ALTER ROLE dba SET default_transaction_read_only = on",
}


def bin_folder() -> Path:
    """Programs of the newest PostgreSQL server on the machine."""
    found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    if not found:
        raise Stop("no PostgreSQL server is installed under /usr/lib/postgresql.")
    return max(found, key=lambda path: float(path.parent.name))


def make_cluster(stack: Stack) -> None:
    """initdb, once. A half-made cluster is thrown away: it has never held anything."""
    data, socket = stack.postgres / "data", stack.postgres / "run"
    if (data / "quickstart").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    user = pwd.getpwnam("postgres")
    for folder in (data, socket):
        folder.mkdir(exist_ok=True)
        os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o700)
    command: list[object] = [
        bin_folder() / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "--auth=peer",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
    ]
    run(["runuser", "-u", "postgres", "--", *command], doing="initdb", cwd=Path("/"), timeout=120)
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(_CONF.format(socket=socket))
    (data / "pg_hba.conf").write_text(_HBA)
    (data / "pg_ident.conf").write_text(_IDENT)
    # The program's version, so that an upgrade of the distribution does not change what the data was made with.
    (data / "quickstart").write_text(str(bin_folder()))


def part(stack: Stack) -> Part:
    data = stack.postgres / "data"
    return Part(
        name="postgres",
        command=[Path((data / "quickstart").read_text()) / "postgres", "-D", data],
        directory=Path("/"),
        user="postgres",
        stop_signal="INT",  # "fast": ends sessions, loses nothing.
        patience=30,
    )


def answers(stack: Stack) -> bool:
    try:
        psycopg2.connect(host=str(stack.postgres / "run"), user="postgres", dbname="postgres").close()
    except psycopg2.OperationalError:
        return False
    return True


def make_database(stack: Stack) -> None:
    """The roles and the database, where missing."""
    connection = psycopg2.connect(host=str(stack.postgres / "run"), user="postgres", dbname="postgres")
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for role, statement in _ROLES.items():
                cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
                if cursor.fetchone() is None:
                    cursor.execute(statement)
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = 'sdc'")
            if cursor.fetchone() is None:
                cursor.execute("CREATE DATABASE sdc OWNER sdc")
    finally:
        connection.close()


def query(stack: Stack, sql: str) -> list[tuple]:
    """Rows of the service's database; [] where it cannot be asked."""
    try:
        connection = psycopg2.connect(host=str(stack.postgres / "run"), user="sdc", dbname="sdc")
    except psycopg2.OperationalError:
        return []
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()
    except psycopg2.Error:
        return []
    finally:
        connection.close()
