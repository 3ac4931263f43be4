"""The units of deploy/systemd under a real systemd: started, used, reloaded, killed, told nonsense, stopped."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.e2e.front_door import Identity, make_identity
from tests.e2e.systemd import Machine, machine
from tests.machine import ROOT, folder, postgres, wait_until

PARTS = ["sdc-docker-api", "sdc-docker-cloudapi", "sdc-docker-nginx", "sdc-docker-observer"]
PORT = "2376"


class Service:
    """The installed service on its machine."""

    def __init__(self, there: Machine, home: Path, alice: Identity, ca: Identity) -> None:
        self.machine = there
        self._home = home
        self.alice = alice
        self.ca = ca

    def curl(self, path: str, *words: str, check: bool = True) -> str:
        """A request as alice; curl trusts the CA that clients were given."""
        base = ["curl", "-sS", "-m", "10", "--cacert", "/etc/alice/ca.pem"]
        base += ["--cert", "/etc/alice/cert.pem", "--key", "/etc/alice/key.pem"]
        return self.machine.run(*base, *words, f"https://localhost:{PORT}{path}", check=check)

    def metrics(self) -> str:
        return self.machine.run("curl", "-sS", "--unix-socket", "/run/sdc-docker/metrics.sock", "http://x/metrics")

    def answers(self) -> bool:
        return self.curl("/_ping", check=False) == "OK"

    def new_server(self, name: str) -> Identity:
        return make_identity(self._home, name, signer=self.ca, host="localhost")


def _public(identity: Identity) -> str:
    key = serialization.load_pem_private_key(identity.key.read_bytes(), None)
    return key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with (
        postgres() as cluster,
        folder("units") as home,
        cluster.database() as url,
        machine(url.partition("?host=")[2]) as there,
    ):
        ca = make_identity(home, "ca")
        service = Service(there, home, make_identity(home, "alice"), ca)
        server = service.new_server("server")
        there.run("/opt/sdc-docker/deploy/systemd/install", "--port", PORT)
        there.run("mkdir", "-p", "/etc/alice")
        there.write("/etc/sdc-docker/ca.pem", ca.pem)
        there.write("/etc/sdc-docker/client-ca.pem", ca.pem)
        there.write("/etc/sdc-docker/tls/server.pem", server.pem)
        there.write("/etc/sdc-docker/tls/server.key", server.key.read_text(), "600")
        there.write("/etc/alice/ca.pem", ca.pem)
        there.write("/etc/alice/cert.pem", service.alice.pem)
        there.write("/etc/alice/key.pem", service.alice.key.read_text())
        there.write("/etc/alice/id.pub", _public(service.alice))
        example = (ROOT / "deploy/systemd/environment.example").read_text()
        here = url.partition("?host=")[0] + "?host=/srv/postgres"
        there.write(
            "/etc/sdc-docker/environment",
            re.sub(r"(?m)^SDC_DATABASE_URL=.*", f"SDC_DATABASE_URL={here}", example) + "SDC_STOP_SECONDS=6\n",
            "600",
        )
        there.run("sdc-docker", "account", "add", "alice", "--key", "/etc/alice/id.pub")
        there.systemctl("start", "sdc-docker.target")
        for part in PARTS:
            there.wait(part, "active")
        wait_until(service.answers, "an answer under systemd")
        yield service


def test_all_parts_run_as_their_users_and_serve(service: Service) -> None:
    there = service.machine
    for part in PARTS:
        assert there.show(part, "ActiveState") == "active", there.journal(part)[-3000:]
    for part in ("sdc-docker-api", "sdc-docker-cloudapi", "sdc-docker-observer"):
        assert there.run("ps", "-o", "user=", "-p", there.show(part, "MainPID")).split() == ["sdc-docker"], part
    workers = there.run("ps", "-o", "user=", "--ppid", there.show("sdc-docker-nginx", "MainPID")).split()
    assert set(workers) == {"sdc-docker-nginx"}
    modes = there.run("stat", "-c", "%n %a %U %G", "/run/sdc-docker/api.sock", "/run/sdc-docker/metrics.sock")
    assert "/run/sdc-docker/api.sock 660 sdc-docker sdc-docker-nginx" in modes
    assert "/run/sdc-docker/metrics.sock 660 sdc-docker sdc-docker" in modes
    assert json.loads(service.curl("/v1.44/info"))["DriverStatus"][0] == ["SDCAccount", "alice"]
    assert "x-request-id: " in service.curl("/_ping", "-D", "-").lower()

    def told() -> list[str]:
        """Lines of the answer, once the journal has them."""
        return [line for line in there.journal("sdc-docker-api").splitlines() if '"system.info"' in line]

    wait_until(told, "the line in the journal")
    assert json.loads(told()[-1])["account"] == "alice"


def test_metrics_of_all_processes_are_at_the_operators_socket(service: Service) -> None:
    service.curl("/v1.44/containers/json")
    wait_until(lambda: 'sdc_processes{kind="api"} 2.0' in service.metrics(), "two workers")
    wait_until(lambda: 'sdc_api{what="threads"} 32.0' in service.metrics(), "the figures of two workers")
    counted = 'sdc_requests_total{method="GET",operation="containers.list",status="200"}'
    wait_until(lambda: counted in service.metrics(), "the request")
    text = service.metrics()
    assert "sdc_database_up 1.0" in text
    assert "alice" not in text


def test_systemd_has_nothing_to_say_against_the_units(service: Service) -> None:
    names = [f"{part}.service" for part in PARTS] + ["sdc-docker.target"]
    said = service.machine.run("systemd-analyze", "verify", *names)
    assert "sdc-docker" not in said, said
    report = service.machine.run("systemd-analyze", "security", "--no-pager", check=False)
    for part in PARTS:
        exposure = re.search(rf"{part}.service\s+([0-9.]+)", report)
        assert exposure and float(exposure[1]) < 4.0, report


def test_reloads_change_code_and_certificate_and_cut_no_stream(service: Service) -> None:
    there = service.machine
    before = there.show("sdc-docker-api", "MainPID")
    stream = "curl -sS -N -m 60 --cacert /etc/alice/ca.pem --cert /etc/alice/cert.pem --key /etc/alice/key.pem "
    there.run("sh", "-c", f"{stream} https://localhost:{PORT}/v1.44/events > /run/stream 2>&1 & echo $! > /run/pid")
    wait_until(lambda: 'sdc_streams{kind="events"} 1.0' in service.metrics(), "the open stream")
    server = service.new_server("server2")
    there.write("/etc/sdc-docker/tls/server.pem", server.pem)
    there.write("/etc/sdc-docker/tls/server.key", server.key.read_text(), "600")

    there.systemctl("reload", "sdc-docker-nginx", "sdc-docker-api")

    shown = f"openssl s_client -connect localhost:{PORT} </dev/null 2>/dev/null | openssl x509 -noout -serial"
    serial = there.run("sh", "-c", "openssl x509 -noout -serial < /etc/sdc-docker/tls/server.pem").strip()
    wait_until(lambda: there.run("sh", "-c", shown, check=False).strip() == serial, "the new certificate")
    wait_until(lambda: "Becoming the new code" in there.journal("sdc-docker-api"), "the reload")
    # Both generations of workers are there: two have retired and carry the stream.
    wait_until(service.answers, "an answer")
    assert there.show("sdc-docker-api", "MainPID") == before
    assert there.show("sdc-docker-api", "ActiveState") == "active"
    event = (
        "INSERT INTO events (account_id, time_nano, type, action, actor_id, attributes)"
        " SELECT id, extract(epoch FROM now())::bigint * 1000000000, 'volume', 'create', 'v1', '{}' FROM accounts;"
        " NOTIFY sdc_events"
    )
    there.run("psql", "-h", "/srv/postgres", "-U", "postgres", "-d", _database(there), "-c", event)
    wait_until(lambda: '"v1"' in there.run("cat", "/run/stream"), "the event in the old stream")
    there.run("sh", "-c", "kill $(cat /run/pid)")


def _database(there: Machine) -> str:
    found = re.search(r"@/(\w+)", there.run("cat", "/etc/sdc-docker/environment"))
    assert found is not None
    return found[1]


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_is_started_again(service: Service, part: str) -> None:
    there = service.machine
    before = there.show(part, "MainPID")
    there.run("kill", "-9", before)
    wait_until(lambda: there.show(part, "MainPID") not in ("0", before), f"another {part}")
    there.wait(part, "active")
    wait_until(service.answers, "an answer")


def test_a_wrong_setting_is_said_once(service: Service) -> None:
    there = service.machine
    right = there.run("cat", "/etc/sdc-docker/environment")
    words = "SDC_THREADS must be a whole number from 1 to 1024, not 'many'"
    there.write("/etc/sdc-docker/environment", right + "SDC_THREADS=many\n", "600")
    try:
        for part in ("sdc-docker-api", "sdc-docker-observer"):
            there.systemctl("restart", part, check=False)
            there.wait(part, "failed")
            wait_until(lambda part=part: words in there.journal(part), "the word")  # type: ignore[misc]
        time.sleep(2)
        assert there.show("sdc-docker-api", "NRestarts") == "0"
    finally:
        there.write("/etc/sdc-docker/environment", right, "600")
        there.systemctl("restart", "sdc-docker-api", "sdc-docker-observer")
    wait_until(service.answers, "an answer")


def test_a_stop_stops_all_of_it_in_time(service: Service) -> None:
    there = service.machine
    began = time.monotonic()
    there.systemctl("stop", "sdc-docker.target")
    for part in PARTS:
        there.wait(part, "inactive")
    # By themselves, before systemd kills them.
    assert time.monotonic() - began < 60
    there.systemctl("start", "sdc-docker.target")
    wait_until(service.answers, "an answer")
