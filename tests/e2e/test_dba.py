"""What a DBA sees of what `docker` does: views on the real service, in the role that may look and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg2
import pytest

from tests.e2e.stack import Stack
from tests.machine import wait_until

Cursor = psycopg2.extensions.cursor


@pytest.fixture
def dba(stack: Stack) -> Iterator[Cursor]:
    home = str(stack.home / "postgres" / "run")
    with contextlib.closing(psycopg2.connect(host=home, user="dba", dbname="sdc")) as session:
        session.autocommit = True
        yield session.cursor()


def rows(dba: Cursor, statement: str) -> list[tuple]:
    dba.execute(statement)
    return dba.fetchall()


def test_who_owns_what_and_who_did_it(stack: Stack, alice: str, dba: Cursor) -> None:
    command = ["sh", "-c", "echo a b; exec sleep 600"]
    web = stack.docker(alice, "run", "-d", "--name", "web", "-p", "8099:80", "-v", "dba-data:/d", "busybox", *command)
    container_id = web.text.strip()
    stack.docker(alice, "run", "-d", "--name", "loop", "--restart", "always", "busybox", "sh", "-c", "exit 3")
    stack.docker(alice, "run", "--privileged", "busybox", check=False)
    shown = stack.docker(alice, "inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web").text.strip()
    assert rows(dba, "SELECT account, id, state, ports, addresses, command FROM v_containers WHERE name = 'web'") == [
        (alice, container_id, "running", "8099 -> 80/tcp", f"bridge {shown}", "sh -c 'echo a b; exec sleep 600'")
    ]
    assert rows(dba, f"SELECT account, container FROM v_addresses WHERE address = '{shown}'") == [(alice, "web")]
    assert rows(dba, "SELECT account, mounts FROM v_volumes WHERE name = 'dba-data'") == [(alice, 1)]
    restarts = f"SELECT name FROM v_restarts WHERE account = '{alice}'"
    wait_until(lambda: rows(dba, restarts) == [("loop",)], "a restart that is counted")
    refused = f"SELECT what, status, reason FROM v_refused WHERE account = '{alice}' ORDER BY at DESC LIMIT 1"
    # One of many refusals is counted at first, and recorded after a minute.
    wait_until(lambda: "Privileged" in str(rows(dba, refused)), "a refusal that is recorded", timeout=120)
    changed = f"SELECT what, source FROM v_changes WHERE at > now() - interval '1 hour' AND target = '{container_id}'"
    wait_until(
        lambda: {("containers.create", "api"), ("create", "engine")} <= set(rows(dba, changed)), "a change by whom"
    )
    stack.docker(alice, "rm", "-f", "web", "loop")
    assert rows(
        dba, "SELECT mounts, unused_since > now() - interval '1 minute' FROM v_volumes WHERE name = 'dba-data'"
    ) == [(0, True)]
    stack.docker(alice, "volume", "rm", "dba-data")


def test_it_sees_no_secret_and_changes_nothing(dba: Cursor) -> None:
    for statement in (
        "SELECT spec FROM containers",
        "SELECT inspect FROM containers",
        "SELECT public_key FROM account_keys",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            dba.execute(statement)
    for statement in ("DELETE FROM audit", "UPDATE accounts SET max_containers = 0"):
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            dba.execute(statement)
    dba.execute("SET default_transaction_read_only = off")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        dba.execute("UPDATE accounts SET max_containers = 0")
