"""`docker info`, /_ping and /ca.pem."""

from __future__ import annotations

import json
import ssl

import pytest

from tests.e2e.behind import ask, assert_tells_nothing
from tests.e2e.stack import Stack


def test_info(stack: Stack, alice: str, bob: str, cli: str) -> None:
    stack.docker(alice, "run", "-d", "busybox", "sleep", "600")
    stack.docker(alice, "create", "busybox")
    stack.docker(bob, "run", "-d", "busybox", "sleep", "600")
    said = stack.docker(alice, "info", cli=cli)
    lines = {line.strip() for line in said.text.splitlines()}
    assert {
        "Storage Driver: sdc", "SDCAccount: alice", "Operating System: SmartDataCenter", "Name: testdc",
        "Containers: 2", "Running: 1", "Paused: 0", "Stopped: 1", "OSType: linux", "Containers Used: 2 of 100",
    } <= lines  # fmt: skip
    assert "CPUs: 128" in lines and "Total Memory: 256GiB" in lines
    assert_tells_nothing(stack, alice, said.stdout)
    shown = json.loads(stack.docker(alice, "info", "--format", "{{json .}}", cli=cli).text)
    assert shown["Driver"] == "sdc" and ["SDCAccount", "alice"] in shown["DriverStatus"]


def test_info_has_limits_of_the_account(stack: Stack, bob: str) -> None:
    assert stack.sdc_docker("account", "quota", bob, "--memory", "8g", "--cpus", "2").code == 0
    try:
        info = ask(stack, bob, "GET", "/info").json()
        assert (info["MemTotal"], info["NCPU"]) == (8 << 30, 2)
    finally:
        stack.sdc_docker("account", "quota", bob, "--memory", "256g", "--cpus", "128")


@pytest.mark.parametrize("version", ["1.20", "1.24", "1.44"])
def test_info_in_old_versions(stack: Stack, version: str) -> None:
    info = ask(stack, "alice", "GET", f"/v{version}/info").json()
    assert info["Driver"] == "sdc" and info["OperatingSystem"] == "SmartDataCenter"
    assert info["ExecutionDriver"].startswith("sdc-")


@pytest.mark.parametrize("account", ["alice", None])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/_ping", "/v1.24/_ping"])
def test_ping(stack: Stack, account: str | None, method: str, path: str) -> None:
    response = ask(stack, account, method, path)
    assert (response.status, response.body) == (200, b"OK" if method == "GET" else b"")
    assert response.headers["Api-Version"] == "1.44" and response.headers["Ostype"] == "linux"
    assert response.headers["Docker-Experimental"] == "false"
    assert response.headers["Builder-Version"] == "1"
    assert response.headers.get_content_type() == "text/plain"
    assert "no-cache" in response.headers["Cache-Control"]


def test_ping_is_the_same_for_all(stack: Stack) -> None:
    def headers(account: str | None) -> dict[str, str]:
        told = dict(ask(stack, account, "GET", "/_ping").headers)
        return {name: value for name, value in told.items() if name.lower() not in ("date", "x-request-id")}

    assert headers("alice") == headers("bob") == headers(None)


@pytest.mark.parametrize("account", ["alice", None])
def test_ca(stack: Stack, account: str | None) -> None:
    response = ask(stack, account, "GET", "/ca.pem")
    assert response.status == 200
    assert response.body == (stack.certificates("alice") / "ca.pem").read_bytes()
    ssl.create_default_context(cadata=response.body.decode())
    assert b"PRIVATE" not in response.body
