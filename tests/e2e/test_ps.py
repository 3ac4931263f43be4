"""`docker ps`: filters, formats and limits, over one set of containers."""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Iterator

import pytest

from tests.e2e.behind import ask, message
from tests.e2e.stack import Stack
from tests.machine import wait_until

#: Oldest first; `many` is what most filters are asked of.
NAMES = ("web", "db", "job", "idle", "sick")


@pytest.fixture(scope="module")
def many(stack: Stack) -> Iterator[dict[str, str]]:
    """Name -> id of alice's containers. bob has one of the same name."""

    def make(account: str, *words: str) -> str:
        return stack.docker(account, *words).text.strip()

    for account in ("alice", "bob"):
        stack.remove_all(account)
    ids = {
        "web": make("alice", "run", "-d", "--name", "web", "-l", "tier=front", "-l", "both=1", "-p", "8081:80",
                    "--expose", "443", "busybox", "sleep", "600"),
        "db": make("alice", "run", "-d", "--name", "db", "-l", "tier=back", "-l", "both=2", "-v", "store:/var/store",
                   "--health-cmd", "true", "--health-interval", "1s", "busybox", "sleep", "600"),
        "job": make("alice", "run", "-d", "--name", "job", "--network", "none", "busybox", "sh", "-c", "exit 3"),
        "idle": make("alice", "create", "--name", "idle", "busybox:1.35", "echo", "a b"),
        "sick": make("alice", "run", "-d", "--name", "sick", "--health-cmd", "false", "--health-interval", "1s",
                     "--health-retries", "1", "busybox", "sleep", "600"),
    }  # fmt: skip
    make("bob", "run", "-d", "--name", "web", "-l", "tier=front", "busybox", "sleep", "600")
    stack.docker("alice", "wait", "job")

    def healths() -> bool:
        return [
            stack.docker("alice", "ps", "-q", "--filter", f"health={state}").text != ""
            for state in ("healthy", "unhealthy")
        ] == [True, True]

    wait_until(healths, "health in the list", timeout=60)
    yield ids
    for account in ("alice", "bob"):
        stack.remove_all(account)


def names(stack: Stack, *words: str, **how: str) -> list[str]:
    return stack.docker("alice", "ps", "--format", "{{.Names}}", *words, **how).text.split()


FILTERS: list[tuple[str, set[str]]] = [
    ("", {"web", "db", "sick"}),
    ("-a", set(NAMES)),
    ("-a -f name=we", {"web"}),
    ("-a -f name=^/d", {"db"}),
    ("-a -f name=^d", {"db"}),
    ("-a -f name=b$", {"web", "db", "job"}),
    ("-a -f name=web -f name=db", {"web", "db"}),
    ("-a -f name=nosuch", set()),
    ("-a -f name=(", set()),
    ("-a -f label=tier", {"web", "db"}),
    ("-a -f label=tier=front", {"web"}),
    ("-a -f label=tier=front -f label=both", {"web"}),
    ("-a -f label=tier=front -f label=both=2", set()),
    ("-f status=exited", {"job"}),
    ("-f status=created", {"idle"}),
    ("-f status=exited -f status=created", {"job", "idle"}),
    ("-f status=running", {"web", "db", "sick"}),
    ("-f status=paused", set()),
    ("-a -f exited=3", {"job"}),
    ("-a -f exited=0", set()),
    ("-f health=healthy", {"db"}),
    ("-f health=unhealthy", {"sick"}),
    ("-a -f health=none", {"web", "job", "idle"}),
    ("-a -f ancestor=busybox", set(NAMES)),
    ("-a -f ancestor=busybox:1.35 -f status=created", {"idle"}),
    ("-a -f ancestor=nosuch", set()),
    ("-a -f before=job", {"web", "db"}),
    ("-a -f since=job", {"idle", "sick"}),
    ("-a -f since=web -f before=sick", {"db", "job", "idle"}),
    ("-a -f network=none", {"job"}),
    ("-f network=bridge", {"web", "db", "sick"}),
    ("-a -f network=nosuch", set()),
    ("-a -f volume=store", {"db"}),
    ("-a -f volume=/var/store", {"db"}),
    ("-a -f publish=8081", {"web"}),
    ("-a -f publish=8000-8090/tcp", {"web"}),
    ("-a -f publish=8081/udp", set()),
    ("-a -f expose=443", {"web"}),
    ("-a -f expose=80/tcp", {"web"}),
    ("-a -f is-task=true", set()),
    ("-a -f is-task=false", set(NAMES)),
    ("-n 2", {"sick", "idle"}),
    ("-l", {"sick"}),
]


@pytest.mark.parametrize(("words", "expected"), FILTERS, ids=[words for words, _ in FILTERS])
def test_filters(stack: Stack, many: dict[str, str], words: str, expected: set[str]) -> None:
    found = names(stack, *words.split())
    assert set(found) == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("words", ["-f id={}", "-f id=^{}$"])
def test_filter_by_id(stack: Stack, many: dict[str, str], words: str) -> None:
    assert names(stack, "-a", *words.format(many["db"][: 20 if "$" not in words else 64]).split()) == ["db"]


@pytest.mark.parametrize("api", [None, "1.24", "1.20"])
def test_order_and_columns(stack: Stack, many: dict[str, str], cli: str, api: str | None) -> None:
    if api and cli != "20":
        pytest.skip("pinned versions are spoken by CLI 20.10")
    table = stack.docker("alice", "ps", "-a", cli=cli, api=api).text.splitlines()
    assert table[0].split() == ["CONTAINER", "ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    rows = {line.split()[-1]: line for line in table[1:]}
    assert list(rows) == list(reversed(NAMES)), "newest first"
    assert all(rows[name].startswith(container_id[:12]) for name, container_id in many.items())
    assert f"{stack.node_address}:8081->80/tcp" in rows["web"] and "443/tcp" in rows["web"]
    assert '"sleep 600"' in rows["web"] and "Up " in rows["web"]
    assert "(healthy)" in rows["db"] and "(unhealthy)" in rows["sick"]
    assert "Exited (3)" in rows["job"]
    assert "Created" in rows["idle"] and "busybox:1.35" in rows["idle"] and "\"echo 'a b'\"" in rows["idle"]


def test_formats(stack: Stack, many: dict[str, str], cli: str) -> None:
    line = stack.docker("alice", "ps", "--no-trunc", "-f", "name=db", "--format",
                        "{{.ID}}|{{.Image}}|{{.Command}}|{{.State}}|{{.Mounts}}|{{.Networks}}|{{.Label \"tier\"}}|"
                        "{{.LocalVolumes}}|{{.RunningFor}}", cli=cli).text.strip()  # fmt: skip
    fields = line.split("|")
    assert fields[:7] == [many["db"], "busybox", '"sleep 600"', "running", "store", "bridge", "back"]
    assert fields[8].endswith("ago")
    shown = json.loads(stack.docker("alice", "ps", "-f", "name=web", "--format", "{{json .}}", cli=cli).text)
    assert shown["Names"] == "web" and "tier=front" in shown["Labels"]
    assert stack.docker("alice", "ps", "-aq", cli=cli).text.split() == [many[n][:12] for n in reversed(NAMES)]
    assert stack.docker("alice", "ps", "-aq", "--no-trunc", cli=cli).text.split() == [many[n] for n in reversed(NAMES)]


def test_sizes(stack: Stack, many: dict[str, str], cli: str) -> None:
    stack.docker("alice", "exec", "web", "sh", "-c", "head -c 100000 /dev/zero > /file")
    sizes = stack.docker("alice", "ps", "-s", "-f", "name=web", "--format", "{{.Size}}", cli=cli).text.strip()
    assert sizes.startswith("100kB (virtual "), sizes
    listed = stack.request("alice", "GET", "/v1.44/containers/json?size=1").json()
    assert all(entry["SizeRootFs"] > 1_000_000 for entry in listed)
    assert "SizeRw" not in stack.request("alice", "GET", "/v1.44/containers/json").json()[0]


@pytest.mark.parametrize("version", ["1.20", "1.24", "1.44"])
def test_shape(stack: Stack, many: dict[str, str], version: str) -> None:
    listed = ask(stack, "alice", "GET", f"/v{version}/containers/json?all=1").json()
    assert [entry["Names"] for entry in listed] == [[f"/{name}"] for name in reversed(NAMES)]
    entry = listed[-1]
    always = {"Id", "Names", "Image", "Command", "Created", "Ports", "Labels", "Status", "HostConfig"}
    assert always <= entry.keys()
    assert ("State" in entry) == ("Mounts" in entry) == ("ImageID" in entry) == (version != "1.20")
    assert entry["Labels"] == {"tier": "front", "both": "1"}, "none of ours"
    assert {"IP": stack.node_address, "PrivatePort": 80, "PublicPort": 8081, "Type": "tcp"} in entry["Ports"]
    assert entry["HostConfig"] == {"NetworkMode": "default"}


def test_an_image_whose_name_has_moved_is_shown_by_its_id(stack: Stack, many: dict[str, str], cli: str) -> None:
    def docker(*words: str) -> str:
        return stack.docker("alice", *words, cli=cli).text.strip()

    def shown() -> list[str]:
        """Newest first."""
        lines = docker("ps", "-a", "-f", "name=^moves", "--format", "{{.Image}}").split("\n")
        assert docker("inspect", "-f", "{{.Config.Image}}", "moves-tag") == "x/moves:1"
        return lines

    image = docker("image", "inspect", "-f", "{{.Id}}", "busybox")
    short = image[7:19]
    docker("tag", "busybox", "x/moves:1")
    for name, typed in (("tag", "x/moves:1"), ("host", "docker.io/x/moves:1"), ("id", short), ("other", "busybox")):
        docker("create", "--name", f"moves-{name}", typed, "true")
    try:
        assert shown() == ["busybox", short, "x/moves:1", "x/moves:1"]
        docker("commit", "moves-other", "x/moves:1")
        assert shown() == ["busybox", short, short, short]
        docker("start", "moves-tag")
        assert shown() == ["busybox", short, short, short]
        listed = ask(stack, "alice", "GET", "/v1.44/containers/json?all=1").json()
        assert {e["Image"] for e in listed if e["Names"][0] in ("/moves-tag", "/moves-host")} == {image}
        docker("tag", image, "x/moves:1")
        assert shown() == ["busybox", short, "x/moves:1", "x/moves:1"]
        docker("rmi", "x/moves:1")
        assert shown() == ["busybox", short, short, short]
    finally:
        docker("rm", "-f", *(f"moves-{name}" for name in ("tag", "host", "id", "other")))
        docker("image", "prune", "-f")


BAD = [
    ('{"bogus":["x"]}', 400, "Invalid filter 'bogus'"),
    ('{"status":["bogus"]}', 400, "Invalid filter 'status=bogus'"),
    ('{"health":["bogus"]}', 400, "Unrecognised filter value for health: bogus"),
    ('{"exited":["x"]}', 400, "Invalid filter 'exited=x'"),
    ('{"publish":["x"]}', 400, 'invalid port specification: "x"'),
    ('{"before":["nosuch"]}', 404, "No such container: nosuch"),
    ('{"label":{"a":1}}', 400, "invalid filter"),
    ("[]", 400, "invalid filter"),
    ("{", 400, "invalid filter"),
    ('{"label":["a"],"LABEL":["b"]}', 400, "Invalid filter 'LABEL'"),
]


@pytest.mark.parametrize(("filters", "status", "words"), BAD, ids=[row[0] for row in BAD])
def test_bad_filters(stack: Stack, many: dict[str, str], filters: str, status: int, words: str) -> None:
    response = ask(stack, "alice", "GET", f"/containers/json?filters={urllib.parse.quote(filters)}")
    assert (response.status, message(response)) == (status, words)


def test_filters_cannot_be_made_to_run_away(stack: Stack, many: dict[str, str]) -> None:
    evil = urllib.parse.quote(json.dumps({"name": ["(a|a|aa)+(a|a|aa)+(a|a|aa)+$" * 5, "(x+x+)+y"]}))
    began = time.monotonic()
    response = ask(stack, "alice", "GET", f"/containers/json?all=1&filters={evil}")
    # Without a limit it would take longer than the request may.
    assert response.status == 200 and time.monotonic() - began < 20


def test_filter_by_another_accounts_container(stack: Stack, many: dict[str, str]) -> None:
    his = stack.docker("bob", "ps", "-q", "--no-trunc").text.strip()
    for key in ("before", "since"):
        filters = urllib.parse.quote(json.dumps({key: [his]}))
        response = ask(stack, "alice", "GET", f"/containers/json?filters={filters}")
        assert (response.status, message(response)) == (404, f"No such container: {his}")
    assert names(stack, "-a", "-f", f"id={his}") == []
