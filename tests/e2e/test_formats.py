"""Every field that `--format` can name, with the value that a stock engine gives for the same things.

The things are made on a stock engine and by an account with the same commands; then `{{json .}}` of each table is
compared, line by line and field by field. What is each side's own (ids, moments, addresses) must be there on both.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.e2e.images import forget_images, image, pack
from tests.e2e.stack import Stack
from tests.e2e.test_volume import clean
from tests.machine import Engine, wait_until

ACCOUNT = "alice"
Run = Callable[..., str]

#: What is each side's own: only that it says something is compared.
OWN = frozenset(
    ["ID", "Container", "CreatedAt", "RunningFor", "Ports", "Mountpoint", "MemPerc", "MemUsage", "NetIO", "BlockIO",
     "CPUPerc", "Status", "CreatedSince"]
)  # fmt: skip
TABLES = [
    "ps -a",
    "ps -a --size --no-trunc",
    "images fmt",
    "images fmt --digests --no-trunc",
    "history fmt:one",
    "history --no-trunc fmt:one",
    "network ls",
    "network ls --no-trunc",
    "volume ls",
    "stats --no-stream -a --no-trunc",
    "system df",
]
MADE = [
    "network create --label a=b fmt-net",
    "volume create --label a=b fmt-data",
    "run -d --name fmt-web --label a=b -v fmt-data:/d --network fmt-net -m 64m fmt:one sh -c 'echo x >/f; sleep 600'",
    "run -d --name fmt-done --hostname h fmt:two true",
    "wait fmt-done",
    "create --name fmt-made -it --tmpfs /t fmt:two true",
]


@pytest.fixture(scope="module")
def sides(stack: Stack, engine: Engine) -> Iterator[tuple[Run, Run]]:
    def stock(*words: str, cli: str = "20", input: bytes = b"", check: bool = True) -> str:
        env = {**os.environ, "DOCKER_HOST": engine.url, "DOCKER_CONFIG": str(stack.home / "test-docker-config")}
        command = stack.command(*words, cli=cli)
        done = subprocess.run(command, env=env, input=input, capture_output=True, timeout=60, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.decode()

    def ours(*words: str, cli: str = "20", input: bytes = b"", check: bool = True) -> str:
        return stack.docker(ACCOUNT, *words, cli=cli, input=input, check=check).text

    clean(stack)
    forget_images(stack)
    stack.docker(ACCOUNT, "builder", "prune", "-af")
    archive = pack(image("formats", "fmt:one", "fmt:two")[0])
    for run in (stock, ours):
        run("load", input=archive)
        for line in MADE:
            head, quote, rest = line.partition("'")
            run(*head.split(), *([rest.removesuffix("'")] if quote else []))
        # It has written its file: the shell has become its last command.
        wait_until(lambda of=run: "echo" not in of("top", "fmt-web"), "the container's sleep")
    yield stock, ours
    for run in (stock, ours):
        run("rm", "-fv", "fmt-web", "fmt-done", "fmt-made", check=False)
        run("network", "rm", "fmt-net", check=False)
        run("volume", "rm", "fmt-data", check=False)
        run("rmi", "fmt:one", "fmt:two", check=False)


def rows(text: str) -> list[dict[str, Any]]:
    """The lines of a table of `{{json .}}`, by their names."""
    found = [json.loads(line) for line in text.splitlines()]
    return sorted(found, key=lambda row: str([row.get(key) for key in ("Name", "Names", "Tag", "Type")]))


def alike(field: str, stock: Any, ours: Any) -> bool:
    if field in OWN:
        return bool(stock) == bool(ours)
    if field == "Labels" and stock is not None:
        # The client writes them in no order.
        return sorted(stock.split(",")) == sorted(ours.split(","))
    return bool(stock == ours)


@pytest.mark.parametrize("command", TABLES)
def test_tables(sides: tuple[Run, Run], cli: str, command: str) -> None:
    stock, ours = (rows(run(*command.split(), "--format", "{{json .}}", cli=cli)) for run in sides)
    assert len(stock) == len(ours) and stock
    wrong = []
    for one, other in zip(stock, ours, strict=True):
        assert set(one) == set(other)
        for field, value in one.items():
            if not alike(field, value, other[field]):
                wrong.append((field, value, other[field]))
    assert not wrong


#: What only one's own engine has to tell, and what is told in another version of the API than a stock 20.10's.
SYSTEM_FIELDS = {"KernelMemory", "KernelMemoryTCP", "CDISpecDirs", "Containerd", "Components"}


def test_version_and_info(sides: tuple[Run, Run], cli: str) -> None:
    """Values are the data center's own; the fields are those of any engine."""
    for command in ("version", "info"):
        stock, ours = (json.loads(run(command, "--format", "{{json .}}", cli=cli)) for run in sides)
        assert set(stock) ^ set(ours) <= SYSTEM_FIELDS
        if command == "version":
            assert set(stock["Server"]) ^ set(ours["Server"]) <= {"BuildTime", "GitCommit", *SYSTEM_FIELDS}
        else:
            nested = {name for name in stock if isinstance(stock[name], dict) and stock[name]}
            assert {name for name in nested if not isinstance(ours.get(name), dict)} == set()
    for template in ("{{.Server.Version}}", "{{.Server.APIVersion}}", "{{.Server.Os}}/{{.Server.Arch}}"):
        assert all(run("version", "--format", template, cli=cli).strip() for run in sides)
    fields = "{{.Containers}} {{.ContainersRunning}} {{.ContainersStopped}} {{.ContainersPaused}}"
    assert sides[0]("info", "--format", fields, cli=cli) == sides[1]("info", "--format", fields, cli=cli) == "3 1 2 0\n"


def test_disk_usage_in_detail(sides: tuple[Run, Run], cli: str) -> None:
    stock, ours = (json.loads(run("system", "df", "-v", "--format", "{{json .}}", cli=cli)) for run in sides)
    assert set(stock) == set(ours)
    for noun, key in (("Containers", "Names"), ("Volumes", "Name"), ("Images", "Tag")):
        for one, other in zip(*(sorted(side[noun], key=lambda row: row[key]) for side in (stock, ours)), strict=True):
            assert set(one) == set(other)
            for field in one:
                assert alike(field, one[field], other[field]), (noun, field)


@pytest.mark.parametrize("command", ["ps", "images", "network ls", "volume ls", "info", "version"])
def test_a_field_that_is_not_there(sides: tuple[Run, Run], stack: Stack, cli: str, command: str) -> None:
    done = stack.docker(ACCOUNT, *command.split(), "--format", "{{.NoSuch}}", cli=cli, check=False)
    assert done.code != 0 and "NoSuch" in done.said
