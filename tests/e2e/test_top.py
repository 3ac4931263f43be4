"""`docker top`"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Stack
from tests.machine import wait_until


@pytest.fixture(scope="module")
def box(stack: Stack) -> Iterator[str]:
    stack.remove_all("alice")
    words = ("run", "-d", "--name", "box", "busybox", "sh", "-c", "sleep 601 & sleep 602; :")
    container_id = stack.docker("alice", *words).text.strip()

    def commands() -> list[str]:
        shown = ask(stack, "alice", "GET", "/containers/box/top?ps_args=-eo%20pid,comm").json()
        return sorted(command for _, command in shown["Processes"])

    wait_until(lambda: commands() == ["sh", "sleep", "sleep"], "its processes")
    yield container_id
    stack.remove_all("alice")


def test_top(stack: Stack, box: str, cli: str) -> None:
    lines = stack.docker("alice", "top", "box", cli=cli).text.splitlines()
    assert lines[0].split() == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert sorted(line.split()[-1] for line in lines[1:] if "sleep" in line and "sh" not in line) == ["601", "602"]
    assert len(lines) == 4


def test_arguments(stack: Stack, box: str, cli: str) -> None:
    lines = stack.docker("alice", "top", "box", "-o", "pid,args", cli=cli).text.splitlines()
    assert lines[0].split() == ["PID", "COMMAND"]
    assert sum("sleep 60" in line for line in lines[1:]) == 3
    assert stack.docker("alice", "top", "box", "aux", cli=cli).text.startswith("USER")


def test_the_wire(stack: Stack, box: str) -> None:
    seen = ask(stack, "alice", "GET", f"/containers/{box[:12]}/top?ps_args=-eo%20pid,comm").json()
    assert seen["Titles"] == ["PID", "COMMAND"]
    assert sorted(process[1] for process in seen["Processes"]) == ["sh", "sleep", "sleep"]


BAD = [
    ("-o%20comm", 500, "Couldn't find PID field in ps output"),
    ("-o%20pid,bogus", 500, "ps: "),
    ("-o%20pid%3B%20id", 403, "ps_args"),
    ("%24(id)", 403, "ps_args"),
    ("-e%20-o%20pid%20--sort%20../x", 403, "ps_args"),
    # With a title of his own for another column a tenant would have the engine show everybody's processes.
    ("-oetimes%3DPID%20-eoargs%3DX%20--forest", 403, "ps_args"),
    # Nor where the word that the engine takes for the PID is another one, in a message if not in a line.
    ("-eo%20args,pid", 403, "ps_args"),
    ("-eo%20lstart,etimes,ppid,sid,tty,pid,args", 403, "ps_args"),
    ("-eo%20args%20--no-headers%20--sort%20-vsz", 403, "ps_args"),
    ("a" * 300, 403, "ps_args"),
    ("%ff", 400, "invalid query string"),
]


@pytest.mark.parametrize(("arguments", "status", "words"), BAD, ids=[row[0][:20] for row in BAD])
def test_bad_arguments(stack: Stack, box: str, arguments: str, status: int, words: str) -> None:
    with Unchanged(stack):
        response = ask(stack, "alice", "GET", f"/containers/box/top?ps_args={arguments}")
    assert response.status == status and words in message(response)


def test_not_running(stack: Stack, box: str) -> None:
    container_id = stack.docker("alice", "create", "--name", "new", "busybox").text.strip()
    response = ask(stack, "alice", "GET", "/containers/new/top")
    assert (response.status, message(response)) == (409, f"Container {container_id} is not running")
    unknown = ask(stack, "alice", "GET", "/containers/nosuch/top")
    assert (unknown.status, message(unknown)) == (404, "No such container: nosuch")
    his = ask(stack, "bob", "GET", f"/containers/{box}/top")
    assert (his.status, message(his)) == (404, f"No such container: {box}")
