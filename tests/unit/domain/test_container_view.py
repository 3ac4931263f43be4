from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from app.domain.container_state import ContainerState
from app.domain.container_view import Words, command_line, facts, inspect, list_entry, status_text
from app.domain.names import exec_id
from tests.factories import NOW, container, network, seen

NETWORK = network()
WORDS = Words(
    networks={NETWORK.engine_name: ("bridge", NETWORK.id)},
    volumes={"v-1": "data"},
    public_address="",
)
ENDPOINT = {
    "IPAMConfig": {"IPv4Address": "10.224.0.2"},
    "Aliases": ["c1", "e" * 12],
    "NetworkID": "f" * 64,
    "EndpointID": "d" * 64,
    "Gateway": "10.224.0.1",
    "IPAddress": "10.224.0.2",
    "IPPrefixLen": 24,
    "MacAddress": "02:42:0a:e0:00:02",
}


def on_network(**more: Any) -> dict:
    settings = {"Ports": {}, "Networks": {NETWORK.engine_name: ENDPOINT}, **more}
    return seen(NetworkSettings=settings)


def entry(view: dict, **about: Any) -> dict:
    head, tail = list_entry(container(**about), view)
    return json.loads(f'{head}"STATUS"{tail}')


def test_the_tenants_words_stand_for_the_engines() -> None:
    engine = on_network()
    engine |= {
        "ExecIDs": ["engine-exec"],
        "Mounts": [
            {
                "Type": "volume",
                "Name": "v-1",
                "Source": "/var/lib/docker/volumes/v-1/_data",
                "Destination": "/d",
                "RW": True,
            },
            {"Type": "bind", "Source": "/etc/shadow", "Destination": "/x", "RW": True},
        ],
        "LogPath": "/var/lib/docker/x.log",
        "HostConfig": {**engine["HostConfig"], "CgroupParent": "/sdc", "NetworkMode": NETWORK.engine_name},
        "Unknown": "field",
    }
    row = container(spec={"HostConfig": {"NetworkMode": "default", "Binds": ["data:/d"]}})
    view = inspect(row, engine, WORDS)
    assert (view["Id"], view["Name"], view["Image"]) == (row.id, "/c1", row.image_id)
    assert view["ExecIDs"] == [exec_id(view["Id"], "engine-exec")]
    assert view["Mounts"][0]["Name"] == "data" and view["Mounts"][0]["Source"] == "/var/lib/docker/volumes/data/_data"
    assert view["Mounts"][1]["Source"] == ""
    assert view["HostConfig"]["NetworkMode"] == "default" and view["HostConfig"]["CgroupParent"] == ""
    assert view["HostConfig"]["Binds"] == ["data:/d"]
    assert view["Config"]["Image"] == "busybox" and view["Config"]["Labels"] == {"a": "b"}
    told = json.dumps(view)
    for word in (
        "e" * 64,
        "d" * 64,
        "f" * 64,
        "c-1",
        "v-1",
        NETWORK.engine_name,
        "shadow",
        "x.log",
        "/sdc",
        "sdc.",
        "Unknown",
    ):
        assert word not in told, word


def test_the_default_network_shows_no_fixed_address_and_no_aliases() -> None:
    view = inspect(container(), on_network(), WORDS)
    shown = view["NetworkSettings"]["Networks"]["bridge"]
    assert shown["IPAMConfig"] is None and shown["Aliases"] is None and shown["DNSNames"] is None
    assert shown["NetworkID"] == NETWORK.id and len(shown["EndpointID"]) == 64
    assert view["NetworkSettings"]["IPAddress"] == shown["IPAddress"] == "10.224.0.2"


def test_other_networks_show_their_own() -> None:
    asked = {"ipv4": "10.224.0.2", "aliases": ["db"], "links": [["c" * 64, "shop"], ["d" * 64, "gone"]]}
    words = Words(
        networks={NETWORK.engine_name: ("mine", NETWORK.id)},
        endpoints={NETWORK.engine_name: asked},
        linked={"c" * 64: "web"},
    )
    view = inspect(container(), on_network(), words)
    shown = view["NetworkSettings"]["Networks"]["mine"]
    assert shown["IPAMConfig"] == {"IPv4Address": "10.224.0.2"}
    assert shown["Aliases"] == ["db", container().short_id]
    assert shown["Links"] == ["web:shop"]
    assert shown["DNSNames"] == ["c1", "db", container().short_id]
    assert view["NetworkSettings"]["IPAddress"] == ""


def test_a_hostname_of_its_own_is_a_name_in_the_network() -> None:
    engine = on_network()
    engine["Config"] = {**engine["Config"], "Hostname": "shell"}
    view = inspect(container(), engine, Words(networks={NETWORK.engine_name: ("mine", NETWORK.id)}))
    shown = view["NetworkSettings"]["Networks"]["mine"]
    assert shown["DNSNames"] == ["c1", container().short_id, "shell"] and shown["Aliases"] == [container().short_id]


def test_an_address_that_a_rename_kept_is_nobodys_choice() -> None:
    words = Words(networks={NETWORK.engine_name: ("mine", NETWORK.id)}, endpoints={NETWORK.engine_name: {}})
    assert inspect(container(), on_network(), words)["NetworkSettings"]["Networks"]["mine"]["IPAMConfig"] == {}


def test_links_are_shown_by_present_names_and_what_they_brought_is_not() -> None:
    spec = {
        "Links": [["c" * 64, "db"], ["d" * 64, "gone"]],
        "LinkEnv": ["DB_NAME=/c1/db"],
        "LinkHosts": ["db:10.224.0.3"],
    }
    engine = on_network()
    engine["Config"]["Env"] = ["DB_NAME=/c1/db", "A=b"]
    engine["HostConfig"]["ExtraHosts"] = ["x:1.2.3.4", "db:10.224.0.3"]
    view = inspect(container(spec=spec), engine, Words(linked={"c" * 64: "other"}))
    assert view["HostConfig"]["Links"] == ["/other:/c1/db"]
    assert view["HostConfig"]["ExtraHosts"] == ["x:1.2.3.4"]
    assert view["Config"]["Env"] == ["A=b"]


def test_a_network_of_nobody_is_left_out() -> None:
    assert inspect(container(), on_network(), Words())["NetworkSettings"]["Networks"] == {}


def test_ports_at_the_public_address_are_one() -> None:
    ports = {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
        "81/tcp": None,
    }
    engine = on_network(Ports=ports)
    assert inspect(container(), engine, WORDS)["NetworkSettings"]["Ports"] == ports
    view = inspect(container(), engine, Words(public_address="192.0.2.1"))
    assert view["NetworkSettings"]["Ports"] == {"80/tcp": [{"HostIp": "192.0.2.1", "HostPort": "8080"}], "81/tcp": None}
    assert entry(view)["Ports"] == [
        {"IP": "192.0.2.1", "PrivatePort": 80, "Type": "tcp", "PublicPort": 8080},
        {"PrivatePort": 81, "Type": "tcp"},
    ]


def test_a_tmpfs_stays_where_it_was_asked_for() -> None:
    mount = {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"Options": [["uid", "5"]]}, "ReadOnly": True}
    row = container(spec={"HostConfig": {"Mounts": [mount], "Tmpfs": {}}})
    view = inspect(row, seen(host={"Tmpfs": {"/t": "uid=5,ro"}}), WORDS)
    assert "Tmpfs" not in view["HostConfig"] and view["HostConfig"]["Mounts"] == [mount]
    about = {"Type": "tmpfs", "Source": "", "Destination": "/t", "Mode": "", "RW": False, "Propagation": ""}
    assert view["Mounts"] == [about]
    listed = {**about, "RW": True}
    again = inspect(row, seen(Mounts=[{"Type": "tmpfs", "Source": "", "Destination": "/t", "RW": True}]), WORDS)
    assert len(again["Mounts"]) == 1 and again["Mounts"][0].items() <= listed.items()


def test_health_and_sizes_only_where_there_are_any() -> None:
    view = inspect(container(), seen(), WORDS)
    assert "Health" not in view["State"] and "SizeRw" not in view
    engine = seen(SizeRw=1, SizeRootFs=2)
    engine["State"]["Health"] = {"Status": "healthy", "FailingStreak": 0, "Log": []}
    view = inspect(container(), engine, WORDS)
    assert view["State"]["Health"]["Status"] == "healthy" and (view["SizeRw"], view["SizeRootFs"]) == (1, 2)


def test_the_list_entry() -> None:
    shown = entry(inspect(container(), on_network(), WORDS))
    assert list(shown) == [
        "Id",
        "Names",
        "Image",
        "ImageID",
        "Command",
        "Created",
        "Ports",
        "Labels",
        "State",
        "Status",
        "HostConfig",
        "NetworkSettings",
        "Mounts",
    ]
    assert (shown["Names"], shown["Status"], shown["State"]) == (["/c1"], "STATUS", "created")
    assert shown["Created"] == int(NOW.timestamp())
    assert "DNSNames" not in shown["NetworkSettings"]["Networks"]["bridge"]


@pytest.mark.parametrize("text", ['"', "\\", '","Status":"', "\n\t\0\x1f", "é日🐳\u2028", "%s {x}"])
def test_any_text_makes_good_json(text: str) -> None:
    engine = seen(Args=["-c", text])
    engine["Config"]["Labels"] = {text: text}
    row = container(image=text)
    shown = json.loads('{}"S"{}'.format(*list_entry(row, inspect(row, engine, WORDS))))
    assert (shown["Image"], shown["Labels"], shown["Status"]) == (text, {text: text}, "S")
    assert text in shown["Command"]


@pytest.mark.parametrize(
    ("path", "args", "line"),
    [
        ("sh", None, "sh"),
        ("sh", [], "sh"),
        ("sh", ["-c", "echo hi"], "sh -c 'echo hi'"),
        ("a b", ["c"], "a b c"),
        ("echo", ["it's"], "echo it's"),
    ],
)
def test_command_line(path: str, args: list[str] | None, line: str) -> None:
    assert command_line(path, args) == line


S = ContainerState


@pytest.mark.parametrize(
    ("state", "health", "exit_code", "words"),
    [
        (S.CREATED, "", 0, "Created"),
        (S.RUNNING, "", 0, "Up 2 hours"),
        (S.RUNNING, "none", 0, "Up 2 hours"),
        (S.RUNNING, "starting", 0, "Up 2 hours (health: starting)"),
        (S.RUNNING, "healthy", 0, "Up 2 hours (healthy)"),
        (S.RUNNING, "unhealthy", 0, "Up 2 hours (unhealthy)"),
        (S.PAUSED, "healthy", 0, "Up 2 hours (Paused)"),
        (S.RESTARTING, "", 3, "Restarting (3) 5 seconds ago"),
        (S.EXITED, "healthy", 137, "Exited (137) 5 seconds ago"),
        (S.EXITED, "", None, "Exited (0) 5 seconds ago"),
        (S.REMOVING, "", 0, "Removal In Progress"),
        (S.DEAD, "", 0, "Dead"),
    ],
)
def test_status_text(state: ContainerState, health: str, exit_code: int | None, words: str) -> None:
    started = None if state is S.CREATED else NOW - timedelta(hours=2)
    finished = None if state is S.CREATED else NOW - timedelta(seconds=5)
    for said in (state, str(state)):
        moments = {"now": NOW, "started_at": started, "finished_at": finished}
        assert status_text(said, **moments, exit_code=exit_code, health=health) == words  # type: ignore[arg-type]


def test_status_of_one_that_ended_before_it_began() -> None:
    """A start that failed: no start time, an exit status of its own."""
    told = status_text(S.CREATED, now=NOW, started_at=None, finished_at=None, exit_code=127, health="")
    assert told == "Created"
    assert status_text(S.EXITED, now=NOW, started_at=NOW, finished_at=None, exit_code=0, health="") == ""


def test_facts() -> None:
    view = inspect(container(), on_network(), WORDS)
    none = {"restart_policy": "no", "restart_count": 0, "oom_killed": False, "error": ""}
    assert facts(view) == {"command": "sleep 600", "hostname": view["Config"]["Hostname"], **none}
    view["HostConfig"]["RestartPolicy"] = {"Name": "always"}
    view["RestartCount"] = 4
    view["State"] |= {"OOMKilled": True, "Error": "no such file"}
    seen_now = facts(view)
    assert [seen_now[key] for key in none] == ["always", 4, True, "no such file"]
