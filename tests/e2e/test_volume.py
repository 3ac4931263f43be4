"""docker volume: create, ls, inspect, rm; data that outlives containers; mounts and their ways."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from typing import Any

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.clients import OLDEST, Client, Docker, two_clients
from tests.e2e.stack import Response, Stack
from tests.machine import wait_until

ANONYMOUS = re.compile(r"[0-9a-f]{64}")


@pytest.fixture
def docker(stack: Stack, alice: str) -> Docker:
    clean(stack)
    return Docker(stack, alice)


def clean(stack: Stack) -> None:
    """No volumes of either account, nor containers.

    Not by a prune: what that has counted stands for some time, and a test is to see what it writes.
    """
    for account in ("alice", "bob"):
        stack.remove_all(account)
        for volume in stack.request(account, "GET", "/v1.44/volumes").json()["Volumes"]:
            assert stack.request(account, "DELETE", f"/v1.44/volumes/{volume['Name']}").status == 204


def names(docker: Docker, *filters: str) -> list[str]:
    words = [word for item in filters for word in ("--filter", item)]
    return sorted(docker("volume", "ls", "-q", *words).text.split())


def test_the_life_of_a_volume(stack: Stack, docker: Docker) -> None:
    assert docker("volume", "create", "--label", "a=b", "data").text == "data\n"
    assert docker("volume", "create", "data").text == "data\n"
    (seen,) = json.loads(docker("volume", "inspect", "data").stdout)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", seen.pop("CreatedAt"))
    path = "/var/lib/docker/volumes/data/_data"
    about = {"Driver": "local", "Labels": {"a": "b"}, "Mountpoint": path, "Name": "data", "Options": None}
    assert seen == {**about, "Scope": "local"}
    docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/file")
    docker("create", "--name", "second", "--mount", "type=volume,src=data,dst=/e,readonly", "busybox", "cat", "/e/file")
    assert docker("start", "-a", "second").text == "kept\n"
    (mount,) = json.loads(docker("inspect", "-f", "{{json .Mounts}}", "second").stdout)
    assert (mount["Name"], mount["Source"], mount["RW"]) == ("data", path, False)
    container = docker("inspect", "-f", "{{.Id}}", "second").text.strip()
    for word in ((), ("-f",)):
        refused = docker("volume", "rm", *word, "data", check=False)
        assert refused.code == 1 and f"remove data: volume is in use - [{container}]" in refused.said
    assert names(docker, "dangling=true") == [] and names(docker, "dangling=false") == ["data"]
    docker("rm", "-v", "second")
    assert names(docker) == ["data"], "rm -v leaves what has a name"
    assert docker("volume", "rm", "data").text == "data\n"
    assert docker("volume", "rm", "data", check=False).said.strip().endswith("get data: no such volume")
    assert docker("volume", "rm", "-f", "data").code == 0
    rows = stack.psql("SELECT count(*) FROM volumes v JOIN accounts a ON a.id = v.account_id WHERE a.login = 'alice'")
    assert rows == [(0,)]


def test_list(docker: Docker) -> None:
    for words in (("one", "--label", "tier=db"), ("two", "--label", "tier=web"), ("three",)):
        docker("volume", "create", *words)
    free = docker("volume", "create").text.strip()
    assert ANONYMOUS.fullmatch(free)
    assert names(docker) == sorted(["one", "two", "three", free])
    assert names(docker, "label=tier") == ["one", "two"] and names(docker, "label=tier=db") == ["one"]
    assert names(docker, "name=o") == ["one", "two"] and names(docker, "name=^o") == ["one"]
    assert names(docker, "driver=local", "label=tier=web") == ["two"] and names(docker, "driver=nfs") == []
    shown = docker("volume", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}} {{.Mountpoint}} {{.Labels}}").text
    assert "one local local /var/lib/docker/volumes/one/_data tier=db\n" in shown
    for wrong in ("colour=red", "dangling=maybe"):
        refused = docker("volume", "ls", "--filter", wrong, check=False)
        assert refused.code == 1 and f"Invalid filter '{wrong.partition('=')[0]}" in refused.said


@two_clients
def test_old_and_new_clients(stack: Stack, docker: Docker, client: Any) -> None:
    if client == OLDEST:
        # 1.20 has no volumes; 1.21 is the first that has.
        client = Client(client.cli, "1.21")
    docker = Docker(stack, "alice", client)
    docker("volume", "create", "data")
    assert names(docker) == ["data"]
    assert docker("volume", "inspect", "-f", "{{.Name}} {{.Driver}}", "data").text == "data local\n"
    docker("volume", "rm", "data")


def test_what_the_image_has_is_copied(docker: Docker) -> None:
    """Into a new named volume and an anonymous one; not with nocopy, and not over what is there."""
    look = "ls -1 /etc | wc -l"

    def count(*words: str) -> int:
        return int(docker("run", "--rm", *words, "busybox", "sh", "-c", look).text)

    there = count()
    assert there > 0
    assert count("-v", "copied:/etc") >= there and count("-v", "/etc") >= there
    # An engine mounts hosts, hostname and resolv.conf there itself.
    assert count("-v", "empty:/etc:nocopy") <= 3
    assert count("--mount", "type=volume,src=empty2,dst=/etc,volume-nocopy") <= 3
    docker("run", "--rm", "-v", "copied:/d", "busybox", "sh", "-c", "rm -rf /d/*; touch /d/own")
    assert count("-v", "copied:/etc") <= 4


def test_anonymous_volumes(stack: Stack, docker: Docker) -> None:
    docker("create", "--name", "kept", "-v", "/free", "busybox", "true")
    docker("create", "--name", "gone", "-v", "/free", "busybox", "true")
    kept, gone = (docker("inspect", "-f", "{{(index .Mounts 0).Name}}", name).text.strip() for name in ("kept", "gone"))
    assert names(docker) == sorted([kept, gone])
    labels = json.loads(docker("volume", "inspect", "-f", "{{json .Labels}}", kept).stdout)
    assert labels == {"com.docker.volume.anonymous": ""}
    docker("rm", "kept")
    docker("rm", "-v", "gone")
    assert names(docker, "dangling=true") == [kept]
    docker("run", "--rm", "-v", "/free", "busybox", "true")
    wait_until(lambda: names(docker) == [kept], "--rm takes its own")


def test_tmpfs(docker: Docker) -> None:
    said = docker(
        "run", "--rm", "--tmpfs", "/a:size=2m,mode=700", "--mount", "type=tmpfs,dst=/b,tmpfs-size=1m", "busybox",
        "sh", "-c", "df -k /a /b | tail -2; ls -ld /a",
    ).text  # fmt: skip
    sizes = [int(line.split()[1]) for line in said.splitlines()[:2]]
    assert sizes == [2048, 1024] and said.splitlines()[2].startswith("drwx------")
    assert names(docker) == []


def test_another_accounts(stack: Stack, docker: Docker, bob: str) -> None:
    his = Docker(stack, bob)
    docker("volume", "create", "data")
    docker("volume", "create", "hers")
    docker("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo alice > /d/who")
    assert names(his) == []
    his("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "ls /d; echo bob > /d/who")
    assert docker("run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/who").text == "alice\n"
    for method, path in (("GET", "/volumes/hers"), ("DELETE", "/volumes/hers")):
        refused = ask(stack, bob, method, f"/v1.44{path}")
        assert refused.status == 404 and message(refused) == "get hers: no such volume"
    assert ask(stack, bob, "DELETE", "/v1.44/volumes/hers?force=1").status == 204
    assert his("volume", "prune", "-af").text.startswith("Deleted Volumes:\ndata\n")
    assert names(docker) == ["data", "hers"]


def test_events(docker: Docker) -> None:
    since = str(time.time())
    docker("volume", "create", "told")
    docker("run", "--rm", "-v", "told:/d", "busybox", "true")
    docker("volume", "rm", "told")
    words = ("events", "--since", since, "--filter", "volume=told", "--format")
    told: list[str] = []

    def all_told() -> bool:
        # What an engine tells is heard a moment later.
        shown = docker(*words, "{{.Action}} {{.Actor.ID}} {{.Actor.Attributes.driver}}", "--until", str(time.time()))
        told[:] = shown.text.splitlines()
        return "unmount told local" in told

    wait_until(all_told, "the last event")
    assert [line for line in told if "mount" not in line] == ["create told local", "destroy told local"]
    assert "mount told local" in told


# --- bad input -------------------------------------------------------------------------------------------------------


def filters(**found: list[str]) -> str:
    return urllib.parse.quote(json.dumps(found))


BAD: list[tuple[str, str, Any, int, str]] = [
    ("POST", "/volumes/create", None, 400, "got EOF while reading request body"),
    ("POST", "/volumes/create", [], 400, "cannot unmarshal array"),
    ("POST", "/volumes/create", {"Name": 1}, 400, "cannot unmarshal number into field Name"),
    ("POST", "/volumes/create", {"Name": "x"}, 400, "volume name is too short"),
    ("POST", "/volumes/create", {"Name": "/etc"}, 400, "includes invalid characters for a local volume name"),
    ("POST", "/volumes/create", {"Name": "n" * 300}, 400, "at most 255 characters"),
    ("POST", "/volumes/create", {"Name": "ok", "name": "two"}, 400, "duplicate key"),
    ("POST", "/volumes/create", {"Name": "ok", "Driver": "nosuch"}, 400, 'volume driver "nosuch" is not available'),
    ("POST", "/volumes/create", {"Name": "ok", "Driver": "tritonnfs"}, 400, "no shared volumes"),
    ("POST", "/volumes/create", {"Name": "ok", "DriverOpts": {"type": "none"}}, 403, 'driver option "type"'),
    ("POST", "/volumes/create", {"Name": "ok", "DriverOpts": {"device": "/etc"}}, 403, 'driver option "device"'),
    ("POST", "/volumes/create", {"Name": "ok", "DriverOpts": {"o": "bind"}}, 403, 'driver option "o"'),
    ("POST", "/volumes/create", {"Name": "ok", "DriverOpts": {"x": "y"}}, 400, 'create ok: invalid option: "x"'),
    ("POST", "/volumes/create", {"Name": "ok", "DriverOpts": {"size": "big"}}, 400, "invalid size"),
    ("POST", "/volumes/create", {"Name": "ok", "DriverOpts": {"size": "1g"}}, 400, "create ok: quota size requested"),
    ("POST", "/volumes/create", {"Name": "ok", "Labels": {"sdc.own": "x"}}, 403, "reserved label"),
    ("POST", "/volumes/create", {"Name": "ok", "Labels": {"a": 1}}, 400, "cannot unmarshal number"),
    ("POST", "/volumes/create", {"Name": "ok", "ClusterVolumeSpec": {"Group": "g"}}, 501, "cluster volumes"),
    ("GET", "/volumes?filters=" + filters(colour=["x"]), None, 400, "Invalid filter 'colour'"),
    ("GET", "/volumes?filters=" + filters(dangling=["x"]), None, 400, "Invalid filter 'dangling=[x]'"),
    ("GET", "/volumes?filters=nojson", None, 400, "invalid filter"),
    ("GET", "/volumes/nosuch", None, 404, "get nosuch: no such volume"),
    ("DELETE", "/volumes/nosuch", None, 404, "get nosuch: no such volume"),
    ("DELETE", "/volumes/..%2F..%2Fetc", None, 400, "invalid path"),
    ("POST", "/volumes/prune?filters=" + filters(dangling=["true"]), None, 400, "Invalid filter 'dangling'"),
    ("POST", "/volumes/prune?filters=" + filters(all=["x"]), None, 400, "Invalid filter 'all=[x]'"),
    ("POST", "/containers/prune?filters=" + filters(status=["x"]), None, 400, "Invalid filter 'status'"),
    ("POST", "/containers/prune?filters=" + filters(until=["x"]), None, 400, 'as time or duration: "x"'),
    ("POST", "/containers/prune?filters=" + filters(until=["1h", "2h"]), None, 400, "more than one until filter"),
    ("GET", "/system/df?type=cheese", None, 400, "unknown object type: cheese"),
]


def test_bad_input(stack: Stack, docker: Docker) -> None:
    with Unchanged(stack):
        for method, path, body, status, words in BAD:
            response: Response = ask(stack, "alice", method, f"/v1.44{path}", body)
            assert response.status == status, (method, path, body, response.body)
            assert words in message(response), (method, path, body, response.body)


def test_versions(stack: Stack, docker: Docker) -> None:
    def keys(version: str, method: str = "GET", path: str = "/volumes/data", body: Any = None) -> set[str]:
        return set(ask(stack, "alice", method, f"/v{version}{path}", body).json())

    docker("volume", "create", "--label", "a=b", "data")
    everything = {"CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"}
    assert keys("1.44") == keys("1.31") == everything
    assert keys("1.25") == everything - {"CreatedAt"}
    assert keys("1.24") == everything - {"CreatedAt", "Options"}
    assert keys("1.21") == {"Driver", "Mountpoint", "Name"}
    old = ask(stack, "alice", "POST", "/v1.22/volumes/create", {"Name": "old", "Labels": {"a": "b"}})
    assert old.status == 201 and set(old.json()) == {"Driver", "Mountpoint", "Name"}
    assert docker("volume", "inspect", "-f", "{{.Labels}}", "old").text == "map[]\n"
    assert ask(stack, "alice", "GET", "/v1.20/volumes").status in (400, 404)
