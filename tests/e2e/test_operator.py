"""What an operator does with `sdc-docker`, and what an account sees of it."""

from __future__ import annotations

import json
import random
import socket
import ssl
import subprocess
import time
from typing import Any

import pytest

from app.services.audit import BURST, EVERY_SECONDS
from tests.e2e.stack import Stack
from tests.machine import wait_until


def ask(stack: Stack, *words: str) -> Any:
    done = stack.sdc_docker(*words, "--json")
    assert done.code == 0, done.said
    return json.loads(done.stdout)


def say(stack: Stack, *words: str) -> str:
    done = stack.sdc_docker(*words)
    assert done.code == 0, done.said
    return done.text


def audit(stack: Stack, *words: str, contains: str) -> list[dict[str, Any]]:
    """Rows of the audit, once one of them has `contains` in it: requests are recorded behind their answer."""
    until = time.monotonic() + 30
    while True:
        found = ask(stack, "audit", *words)
        if any(contains in json.dumps(row) for row in found):
            return found
        assert time.monotonic() < until, found
        time.sleep(0.2)


def test_an_account_its_use_and_its_quota(stack: Stack, alice: str) -> None:
    stack.docker(alice, "run", "-d", "--name", "web", "-m", "128m", "busybox", "sleep", "600")
    shown = ask(stack, "account", "show", alice)
    assert shown["quota"]["containers"]["used"] == 1 and shown["running"] == 1
    assert shown["quota"]["memory"]["used"] == 128 << 20
    say(stack, "account", "quota", alice, "--containers", "1")
    try:
        refused = stack.docker(alice, "create", "busybox", check=False)
        assert "quota exceeded: containers 1 of 1" in refused.said
    finally:
        say(stack, "account", "quota", alice, "--containers", "100")
    rows = audit(stack, "--account", alice, "--refused", "--since", "10m", contains="quota exceeded")
    row = [r for r in rows if "quota exceeded" in r["reason"]][-1]
    assert (row["verb"], row["status"], row["source"], row["actor"]) == ("containers.create", 403, "api", alice)
    assert row["fingerprint"].startswith("SHA256:") and row["client"] == "127.0.0.1" and row["request_id"]
    assert "account.quota" in say(stack, "audit", "--account", alice, "--verb", "account", "--since", "10m")


def test_what_an_account_does_is_recorded_and_nothing_secret(stack: Stack, alice: str) -> None:
    secret = "s3cr3t-of-alice"
    created = stack.docker(alice, "create", "--name", "web", "-e", f"PASSWORD={secret}", "busybox", "echo", secret)
    container_id = created.text.strip()
    stack.docker(alice, "start", "web")
    stack.docker(alice, "rm", "-f", "web")
    wanted = [("containers.create", "done"), ("containers.start", "done"), ("containers.remove", "done")]
    until = time.monotonic() + 30
    while True:
        rows = ask(stack, "audit", "--account", alice, "--since", "10m", "--verb", "containers")
        first = next((n for n, r in enumerate(rows) if r["target"] == container_id), len(rows))
        # In the order in which they were answered, whichever worker did.
        if [(r["verb"], r["result"]) for r in rows[first : first + 3]] == wanted:
            break
        assert time.monotonic() < until, rows
        time.sleep(0.2)
    assert secret not in json.dumps(rows)
    (made,) = [r for r in rows if r["target"] == container_id]
    assert (made["detail"]["name"], made["status"]) == ("web", 201)


def test_a_cordoned_node_and_a_package(stack: Stack, alice: str) -> None:
    say(stack, "node", "cordon", "local", "--reason", "new disk")
    try:
        refused = stack.docker(alice, "create", "busybox", check=False)
        assert refused.code != 0 and "No compute resources available" in refused.said
        assert "new disk" not in refused.said
        assert ask(stack, "node", "list")[0]["cordoned"] is True
    finally:
        say(stack, "node", "uncordon", "local")
    say(stack, "package", "add", "odd-size", "--memory", "48m", "--cpus", "0.1")
    try:
        label = "com.joyent.package=odd-size"
        stack.docker(alice, "run", "-d", "--name", "web", "--label", label, "busybox", "sleep", "600")
        assert stack.docker(alice, "inspect", "-f", "{{.HostConfig.Memory}}", "web").text.strip() == str(48 << 20)
        node = ask(stack, "node", "show", "local")
        assert {"package": "odd-size", "containers": 1} in node["packages"]
        assert node["observer_pid"] == stack.pid("observer") and node["leased"] and node["state"] == "up"
        assert "is not empty" in stack.sdc_docker("node", "remove", "local").said
        assert [i["containers"] for i in ask(stack, "image", "list", "--account", alice) if i["containers"]] == [1]
        assert ask(stack, "network-pool", "list")[0]["taken"] >= 1
        say(stack, "package", "disable", "odd-size")
        refused = stack.docker(alice, "create", "--label", label, "busybox", check=False)
        assert "no packages match" in refused.said
    finally:
        stack.remove_all(alice)
        stack.psql("DELETE FROM packages WHERE name = 'odd-size'")


def test_strangers_who_hammer_fill_nothing(stack: Stack) -> None:
    # An address of its own, which no other test has been refused at.
    address, count = f"127.{random.randrange(1, 255)}.{random.randrange(256)}.7", 300
    context = ssl.create_default_context(cafile=stack.about["ca_file"])
    raw = socket.create_connection((stack.address, stack.port), timeout=30, source_address=(address, 0))
    began = time.monotonic()
    with context.wrap_socket(raw, server_hostname=stack.address) as connection:
        for _ in range(count):
            connection.sendall(b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n")
            head = b""
            while b'{"message":"Unauthorized"}' not in head:
                data = connection.recv(4096)
                assert data
                head += data
    took = time.monotonic() - began

    def counted() -> list[int]:
        """How many were left out before each row."""
        found = stack.psql("SELECT left_out FROM audit WHERE status = 401 AND client = %s ORDER BY id", [address])
        return [left_out for (left_out,) in found]

    # A connection is one worker's: its burst, and those that its rate lets through meanwhile.
    wait_until(lambda: len(counted()) >= BURST, "the rows of the burst")
    # More would come with the next write.
    time.sleep(1)
    rows = counted()
    assert len(rows) <= BURST + took / EVERY_SECONDS
    # The first row takes along what strangers elsewhere have left.
    assert len(rows) + sum(rows[1:]) <= count
    assert stack.docker("alice", "version", "--format", "{{.Server.Version}}").code == 0


def test_following_the_audit(stack: Stack) -> None:
    command = [str(stack.home / "bin" / "sdc-docker"), "audit", "--follow", "--json", "--since", "10m"]
    say(stack, "node", "cordon", "local", "--reason", "before it follows")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        try:
            assert following.stdout is not None
            rows = map(json.loads, following.stdout)
            # Once it has told of what was, it follows.
            assert any(row["verb"] == "node.cordon" and "before it follows" in json.dumps(row) for row in rows)
            say(stack, "node", "uncordon", "local")
            assert any(row["verb"] == "node.uncordon" for row in rows)
        finally:
            following.terminate()
            say(stack, "node", "uncordon", "local")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["account", "show", "nobody"], 1, "sdc-docker: there is no account nobody"),
        (["node", "cordon", "nowhere"], 1, "sdc-docker: there is no node nowhere"),
        (["frobnicate"], 2, "No such command"),
    ],
)
def test_refusals_and_wrong_usage(stack: Stack, words: list[str], code: int, said: str) -> None:
    done = stack.sdc_docker(*words)
    assert done.code == code and said in done.said and "Traceback" not in done.said


def test_the_state_of_the_database(stack: Stack) -> None:
    facts = ask(stack, "db", "status")
    assert facts["revision"] == facts["head"] and facts["ours"] > 0
    said = say(stack, "db", "backup")
    assert "pg_dump" in said and f"{stack.home}/ca/ca.key" in said
