"""The product on an engine of a later release, 26, as a second stack: one test for each family of commands.

What an account sees does not change with the engine; what only a newer one can do is not asked for here.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import later
from tests.e2e import stack as stacks
from tests.e2e.behind import assert_tells_nothing
from tests.e2e.stack import Stack
from tests.machine import wait_until

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def newer() -> Iterator[Stack]:
    with stacks.running(["alice", "bob"], PATH=later.engine_path()) as running:
        yield running


def test_it_is_that_engine(newer: Stack) -> None:
    [(version, spoken)] = newer.psql("SELECT engine_version, api_version FROM nodes")
    assert int(version.split(".")[0]) >= 25 and spoken == "1.44"


def test_run_attach_and_logs(newer: Stack) -> None:
    said = newer.docker("alice", "run", "-i", "--rm", "busybox", "sh", "-c", "cat; exit 7", input=b"hi\n", check=False)
    assert (said.text, said.code) == ("hi\n", 7)
    data = bytes(range(256)) * 20_000
    back = newer.docker("alice", "run", "-i", "--rm", "busybox", "cat", input=data)
    assert hashlib.sha256(back.stdout).digest() == hashlib.sha256(data).digest()
    newer.docker("alice", "run", "--name", "talk", "busybox", "sh", "-c", "echo out; echo err >&2")
    logs = newer.docker("alice", "logs", "talk")
    assert (logs.text, logs.said) == ("out\n", "err\n")
    newer.docker("alice", "rm", "talk")


def test_a_life(newer: Stack) -> None:
    newer.docker("alice", "run", "-d", "--name", "life", "-p", "18080:80", "-l", "a=b", "busybox", "sleep", "600")
    try:
        newer.docker("alice", "rename", "life", "long")
        assert newer.docker("alice", "exec", "long", "echo", "in").text == "in\n"
        assert newer.docker("alice", "port", "long").text.endswith(":18080\n")
        assert "sleep" in newer.docker("alice", "top", "long").text
        newer.docker("alice", "pause", "long")
        newer.docker("alice", "unpause", "long")
        newer.docker("alice", "update", "-m", "64m", "--memory-swap", "128m", "long")
        newer.docker("alice", "restart", "-t", "0", "long")
        seen = newer.docker("alice", "inspect", "long")
        about = json.loads(seen.stdout)[0]
        assert about["State"]["Running"] and about["HostConfig"]["Memory"] == 64 << 20
        assert_tells_nothing(newer, "alice", seen.stdout)
        assert "long" in newer.docker("alice", "stats", "--no-stream", "--format", "{{.Name}}").text
        assert newer.docker("bob", "inspect", "long", check=False).code != 0
    finally:
        newer.docker("alice", "rm", "-f", "long")


def test_a_signal_and_a_mac_address(newer: Stack) -> None:
    """What engines below API 1.42, and below 1.44, do in another way."""
    mac, script = "02:42:ac:11:77:98", "trap 'exit 8' INT; trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    newer.docker("alice", "run", "-d", "--name", "sig", "--mac-address", mac, "busybox", "sh", "-c", script)
    wait_until(lambda: "ready" in newer.docker("alice", "logs", "sig").text, "the traps")
    shown = newer.docker("alice", "inspect", "-f", "{{.Config.MacAddress}}", "sig", cli="20").text.strip()
    assert shown == mac and mac in newer.docker("alice", "exec", "sig", "ip", "link", "show", "eth0").text
    newer.docker("alice", "stop", "--signal", "INT", "sig", cli="28")
    assert newer.docker("alice", "inspect", "-f", "{{.State.ExitCode}}", "sig").text.strip() == "8"
    newer.docker("alice", "rm", "sig")


def test_files(newer: Stack, tmp_path: Path) -> None:
    newer.docker("alice", "create", "--name", "files", "busybox", "cat", "/in")
    (tmp_path / "in").write_text("copied\n")
    newer.docker("alice", "cp", str(tmp_path / "in"), "files:/in")
    assert newer.docker("alice", "start", "-a", "files").text == "copied\n"
    newer.docker("alice", "cp", "files:/in", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "copied\n"
    assert "/in" in newer.docker("alice", "diff", "files").text
    with tarfile.open(fileobj=io.BytesIO(newer.docker("alice", "export", "files").stdout)) as archive:
        assert "in" in archive.getnames()
    newer.docker("alice", "commit", "files", "kept")
    assert newer.docker("alice", "run", "--rm", "kept", "cat", "/in").text == "copied\n"
    newer.docker("alice", "rm", "files")
    newer.docker("alice", "rmi", "kept")


def test_build_save_and_load(newer: Stack, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox AS a\nRUN echo one > /one\nFROM busybox\nCOPY --from=a /one /\n")
    first = newer.docker("alice", "build", "-t", "made", str(tmp_path)).text
    assert "Successfully tagged made:latest" in first
    again = newer.docker("alice", "build", str(tmp_path)).text
    assert "Running in" not in again and again.count("Using cache") == 2
    assert "Using cache" not in newer.docker("bob", "build", "-t", "made", str(tmp_path)).text
    saved = newer.docker("alice", "save", "made").stdout
    newer.docker("alice", "rmi", "-f", "made")
    assert "Loaded image: made:latest" in newer.docker("alice", "load", input=saved).text
    assert newer.docker("alice", "run", "--rm", "made", "cat", "/one").text == "one\n"
    assert newer.docker("alice", "history", "-q", "made").text.count("\n") >= 2
    for account in ("alice", "bob"):
        newer.docker(account, "rmi", "-f", "made")
        newer.docker(account, "builder", "prune", "-f")


def test_networks_and_volumes(newer: Stack) -> None:
    newer.docker("alice", "network", "create", "--subnet", "172.29.7.0/24", "inner")
    newer.docker("alice", "volume", "create", "data")
    on = ("--network", "inner", "--network-alias", "db", "--ip", "172.29.7.9")
    newer.docker("alice", "run", "-d", "--name", "one", *on, "-v", "data:/d", "busybox", "sleep", "600")
    try:
        reached = newer.docker("alice", "run", "--rm", "--network", "inner", "busybox", "ping", "-c1", "-W5", "db").text
        assert "172.29.7.9" in reached
        newer.docker("alice", "exec", "one", "sh", "-c", "echo kept > /d/x")
        read = newer.docker("alice", "run", "--rm", "--volumes-from", "one:ro", "busybox", "cat", "/d/x")
        assert read.text == "kept\n"
        newer.docker("alice", "network", "disconnect", "inner", "one")
        newer.docker("alice", "network", "connect", "--alias", "late", "inner", "one")
        assert "data" in newer.docker("alice", "system", "df", "-v").text
    finally:
        newer.docker("alice", "rm", "-f", "one")
        newer.docker("alice", "network", "rm", "inner")
        newer.docker("alice", "volume", "rm", "data")


def test_events(newer: Stack) -> None:
    words = ("--since", str(int(time.time())), "--format", "{{.Type}} {{.Action}}")
    newer.docker("alice", "run", "--rm", "--name", "eventful", "busybox", "true")
    told: list[str] = []

    def all_told() -> bool:
        # An until of that kind is the second's beginning.
        told[:] = newer.docker("alice", "events", "--until", "0s", *words).text.splitlines()
        return "container destroy" in told

    wait_until(all_told, "the last event")
    for line in ("container create", "network connect", "container start", "container die"):
        assert line in told
