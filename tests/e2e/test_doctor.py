"""`sdc-docker doctor` finds each part that is broken here, says what to do, and finds nothing when it is mended."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import Stack
from tests.machine import wait_until
from tests.pki import authority, issue

pytestmark = pytest.mark.timeout(300)


def doctor(stack: Stack) -> dict[str, Any]:
    """{"verdict": ..., "findings": {name: {"verdict", "seen", "advice"}}}; of several of a name the worst."""
    done = stack.sdc_docker("doctor", "--json", timeout=120)
    report = json.loads(done.stdout)
    assert done.code == (1 if report["verdict"] == "bad" else 0), done.said
    order = ["ok", "warn", "bad"]
    found: dict[str, Any] = {}
    for finding in sorted(report["findings"], key=lambda f: order.index(f["verdict"])):
        found[finding["name"]] = finding
        assert finding["verdict"] == "ok" or finding["advice"], finding
    return found


def bad(found: dict[str, Any]) -> dict[str, str]:
    return {name: f["seen"] for name, f in found.items() if f["verdict"] == "bad"}


def supervisor(stack: Stack, verb: str, *parts: str) -> None:
    control = [stack.home / "venv/bin/supervisorctl", "-s", f"unix://{stack.home}/run/supervisor.sock", verb, *parts]
    done = subprocess.run(control, capture_output=True, text=True, timeout=120, check=False)
    assert "ERROR" not in done.stdout, done.stdout


@contextlib.contextmanager
def stopped(stack: Stack, *parts: str) -> Iterator[None]:
    supervisor(stack, "stop", *parts)
    try:
        yield
    finally:
        supervisor(stack, "start", *parts)


def answers(stack: Stack) -> bool:
    with contextlib.suppress(OSError):
        return stack.request("alice", "GET", "/v1.44/info").status == 200
    return False


def well(stack: Stack) -> bool:
    return not bad(doctor(stack))


@pytest.fixture(autouse=True)
def mended(stack: Stack) -> Iterator[None]:
    """Whatever a test broke works again behind it, and before it what other tests did."""
    wait_until(lambda: well(stack), "a doctor without complaints")
    yield
    wait_until(lambda: answers(stack), "the service")
    wait_until(lambda: well(stack), "a doctor without complaints")


def test_a_healthy_one(stack: Stack) -> None:
    found = doctor(stack)
    assert bad(found) == {}
    parts = {
        "settings",
        "database",
        "schema",
        "database clock",
        "connections",
        "transactions",
        "database disk",
        "nginx",
    }
    parts |= {
        "docker port",
        "cloudapi port",
        "CA certificate",
        "server certificate",
        "keys",
        "handshakes",
        "api socket",
    }
    parts |= {"api workers", "observer", "leases", "operations", "refusals"}
    parts |= {"node local", "node local clock", "node local disk", "node local rows"}
    assert found.keys() >= parts
    told = stack.sdc_docker("doctor")
    assert told.code == 0 and "0 bad" in told.text


def test_parts_that_do_not_run(stack: Stack, alice: str) -> None:
    """Observer, engine, nginx, gunicorn: stopped one after the other, found together."""
    container = stack.docker(alice, "run", "-d", "busybox", "sleep", "600").text.strip()
    engine_id = stack.engine.containers(f"sdc.container={container}")[0]["Id"]
    with stopped(stack, "observer"):
        assert stack.engine.call("POST", f"/containers/{engine_id}/kill")[0] == 204
        stack.psql(
            """
            INSERT INTO operations (id, kind, account_id, target, node_id, process_id, created_at)
            SELECT gen_random_uuid(), 'stop', a.id, %s, n.id, gen_random_uuid(), now() - interval '2 minutes'
            FROM accounts a, nodes n WHERE a.login = 'alice'
            """,
            [container],
        )
        found = doctor(stack)
        assert "in another state there" in found["node local rows"]["seen"]
        assert "stop of" in found["operations"]["seen"] and found["operations"]["verdict"] == "warn"
        with stopped(stack, "nginx"):
            said = bad(doctor(stack))
            assert said["nginx"] == "does not run" and "does not accept" in said["docker port"]
            assert "api socket" not in said
        with stopped(stack, "dockerd"):
            said = bad(doctor(stack))
            assert "does not answer" in said["node local"] and "docker port" not in said
        wait_until(lambda: "node local" not in bad(doctor(stack)), "the engine")
        # As if 15 seconds had gone by since it was stopped: its silence, and the end of its lease, are what is missed.
        stack.psql("UPDATE processes SET heartbeat_at = heartbeat_at - interval '15 s' WHERE kind = 'observer'")
        stack.psql("UPDATE nodes SET lease_until = lease_until - interval '15 s'")
        said = bad(doctor(stack))
        assert "sign of life" in said["observer"] and "nobody follows local" in said["leases"]
    with stopped(stack, "gunicorn"):
        said = bad(doctor(stack))
        assert "api socket" in said and "docker port" in said
        assert "nginx" not in said and "node local" not in said
    wait_until(lambda: answers(stack), "the service")


def test_a_database_that_is_away_or_of_another_version(stack: Stack) -> None:
    ((revision,),) = stack.psql("SELECT version_num FROM alembic_version")
    stack.psql("UPDATE alembic_version SET version_num = '0000'")
    try:
        found = doctor(stack)
        assert "revision 0000" in bad(found)["schema"]
        assert "sdc-docker db upgrade" in found["schema"]["advice"]
    finally:
        stack.psql("UPDATE alembic_version SET version_num = %s", [revision])
    with stopped(stack, "postgres"):
        said = bad(doctor(stack))
        assert "does not answer" in said["database"]
        # What needs no database is examined all the same.
        assert "nginx" not in said and "api socket" not in said
        assert stack.sdc_docker("account", "list").code == 1


@contextlib.contextmanager
def replaced(path: Path, content: bytes) -> Iterator[None]:
    kept, mode = path.read_bytes(), path.stat().st_mode
    path.write_bytes(content)
    try:
        yield
    finally:
        path.write_bytes(kept)
        path.chmod(mode)


def reload_nginx(stack: Stack) -> None:
    """Returns when none of the workers before takes a connection any more."""
    master = int((stack.home / "nginx/nginx.pid").read_text())
    before = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    os.kill(master, signal.SIGHUP)

    def takes_connections(pid: str) -> bool:
        with contextlib.suppress(OSError):
            return b"shutting down" not in (Path(f"/proc/{pid}/cmdline").read_bytes() or b"shutting down")
        return False

    wait_until(lambda: not any(map(takes_connections, before)), "nginx's new workers")


def test_certificates_and_keys(stack: Stack) -> None:
    ca, now = stack.home / "ca", datetime.datetime.now(datetime.UTC)
    dates = (now - datetime.timedelta(days=9), now - datetime.timedelta(days=1))
    pem, key = issue((ca / "ca.pem").read_bytes(), (ca / "ca.key").read_bytes(), stack.address, *dates)
    try:
        with replaced(ca / "server.pem", pem), replaced(ca / "server.key", key):
            reload_nginx(stack)
            (ca / "server.key").chmod(0o644)
            said = bad(doctor(stack))
            assert "expired on" in said["server certificate"] and "expired on" in said["docker port"]
            assert "can be read by others" in said["keys"]
    finally:
        reload_nginx(stack)
    # One that is about to expire, and a CA that is not the one of the server certificate.
    soon = authority(now - datetime.timedelta(days=9), now + datetime.timedelta(days=20))[0]
    with replaced(ca / "ca.pem", soon):
        found = doctor(stack)
        assert found["CA certificate"]["verdict"] == "warn" and "expires in" in found["CA certificate"]["seen"]
        assert "do not trust its certificate" in bad(found)["docker port"]


def test_a_socket_that_everybody_may_open(stack: Stack) -> None:
    stack.app_socket.chmod(0o666)
    try:
        assert "everybody on this machine" in bad(doctor(stack))["api socket"]
    finally:
        stack.app_socket.chmod(0o660)


def test_clients_that_are_refused(stack: Stack, tmp_path: Path) -> None:
    """One with an expired certificate never gets past nginx; one with an unknown key gets 401. Both are found."""
    now = datetime.datetime.now(datetime.UTC)
    for name, ends in (("expired", -1), ("unknown", 9)):
        pem, key = authority(now - datetime.timedelta(days=9), now + datetime.timedelta(days=ends))
        (tmp_path / f"{name}.pem").write_bytes(pem)
        (tmp_path / f"{name}.key").write_bytes(key)
        pair = (tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        if name == "expired":
            with pytest.raises(OSError):
                stack.request(None, "GET", "/info", certificate=pair)
        else:
            assert stack.request(None, "GET", "/info", certificate=pair).status == 401

    def recorded() -> bool:
        rows = json.loads(stack.sdc_docker("audit", "--refused", "--since", "5m", "--json").stdout)
        return any(row["detail"].get("claims") == "test CA" and row["account"] == "" for row in rows)

    wait_until(recorded, "the refusal in the audit", timeout=120)
    wait_until(lambda: "the client's certificate has expired" in doctor(stack)["handshakes"]["seen"], "nginx's line")
    found = doctor(stack)
    assert found["handshakes"]["verdict"] == "warn"
    assert found["refusals"]["verdict"] == "warn" and "unknown or disabled identity" in found["refusals"]["seen"]
