"""Every docker CLI that a person may have, through a day's work: today's, a later release's, Debian 12's, old ones."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import later
from tests.e2e.stack import Result, Stack, clis
from tests.machine import wait_until

#: Program and the version that it is pinned to.
CLIENTS = [
    pytest.param("newest", None, id="newest"),
    pytest.param("later", None, id="later"),
    pytest.param("20", None, id="20.10"),
    *(pytest.param("20", f"1.{minor}", id=f"20.10-api1.{minor}") for minor in range(20, 25)),
]


def client(stack: Stack, account: str, which: str, api: str | None) -> Callable[..., Result]:
    if which == "later":
        program = str(later.program("docker"))
    else:
        program = clis()[max(clis(), key=int) if which == "newest" else which]

    def docker(*words: str, input: bytes = b"", check: bool = True, timeout: float = 60) -> Result:
        done = subprocess.run(
            [program, *words],
            env=stack.env(account, api=api),
            input=input,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        assert not check or result.code == 0, f"docker {' '.join(words)}: {result.code}\n{result.said}\n{result.text}"
        return result

    return docker


@pytest.mark.parametrize(("which", "api"), CLIENTS)
def test_a_day_of_work(stack: Stack, alice: str, which: str, api: str | None, tmp_path: Path) -> None:
    docker = client(stack, alice, which, api)
    minor = int(api.split(".")[1]) if api else 44
    assert f"{api or '1.44'}" in docker("version").text and "SDCAccount: alice" in docker("info").text
    since = int(time.time())
    assert docker("run", "--rm", "-i", "busybox", "sh", "-c", "cat; exit 0", input=b"in and out").text == "in and out"
    failed = docker("run", "--name", "failed", "busybox", "sh", "-c", "echo no >&2; exit 5", check=False)
    assert (failed.code, failed.said) == (5, "no\n")
    command = ("sh", "-c", "echo begun; while sleep 0.2; do :; done")
    made = docker("create", "--name", "work", "-p", "80", "-m", "64m", "-v", "/data", "-e", "A=b", "busybox", *command)
    assert docker("start", "work").text == "work\n"
    assert docker("exec", "-i", "work", "sh", "-c", "cat; echo $A", input=b"x\n").text == "x\nb\n"
    assert made.text.strip()[:12] in docker("ps").text
    assert docker("inspect", "-f", "{{.State.Running}} {{.HostConfig.Memory}}", "work").text == "true 67108864\n"
    wait_until(lambda: "begun" in docker("logs", "work").text, "its output")
    assert "while sleep" in docker("top", "work").text
    assert stack.node_address in docker("port", "work").text
    assert "64MiB" in docker("stats", "--no-stream", "work").text
    copies(docker, tmp_path / "note")
    docker("rename", "work", "renamed")
    docker("pause", "renamed")
    assert "Paused" in docker("ps").text
    docker("unpause", "renamed")
    makes_images(docker, tmp_path)
    if minor > 20:
        connects(docker)
    if minor >= 22:
        docker("update", "--memory", "96m", "--memory-swap", "96m", "renamed")
    if minor >= 25:
        assert "Build Cache" in docker("system", "df").text
    docker("restart", "-t", "0", "renamed")
    docker("stop", "-t", "0", "renamed")
    assert docker("wait", "renamed").text == "137\n"

    def told() -> set[str]:
        listed = docker("events", "--since", str(since), "--until", str(int(time.time()) + 1)).text
        return {action for action in ("create", "start", "die", "pause", "commit") if action in listed}

    wait_until(lambda: len(told()) == 5, "the day in the events")
    docker("rm", "-v", "renamed", "failed")
    docker("rmi", "day:three", "day:one")
    gone = docker("inspect", "renamed", check=False)
    assert gone.code == 1 and "No such object: renamed" in gone.said


def copies(docker: Callable[..., Result], note: Path) -> None:
    note.write_text("hello")
    docker("cp", str(note), "work:/tmp/note")
    assert docker("cp", "work:/tmp/note", "-").stdout.count(b"hello") == 1
    assert "A /tmp/note" in docker("diff", "work").text


def makes_images(docker: Callable[..., Result], tmp_path: Path) -> None:
    docker("commit", "renamed", "day:one")
    (tmp_path / "Dockerfile").write_text("FROM day:one\nRUN cat /tmp/note >/built\nCMD cat /built\n")
    docker("build", "-t", "day:two", str(tmp_path))
    assert docker("run", "--rm", "day:two").text == "hello"
    docker("tag", "day:two", "day:three")
    saved = docker("save", "day:three")
    docker("rmi", "day:three", "day:two")
    docker("load", input=saved.stdout)
    assert "three" in docker("images", "day").text and "CMD" in docker("history", "day:three").text


def connects(docker: Callable[..., Result]) -> None:
    docker("network", "create", "day-net")
    docker("network", "connect", "day-net", "renamed")
    docker("run", "--rm", "--net", "day-net", "busybox", "ping", "-c", "1", "-W", "20", "renamed")
    docker("network", "disconnect", "day-net", "renamed")
    docker("network", "rm", "day-net")
    docker("volume", "create", "--name", "day-volume")
    assert "day-volume" in docker("volume", "ls").text
    docker("volume", "rm", "day-volume")
