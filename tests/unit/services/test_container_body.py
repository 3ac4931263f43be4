"""What an engine is asked for, and what the tenant sees instead."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.network import Place
from app.services.container_body import Resolved, discarded, engine_body, shown, warnings
from tests.factories import GIB, IMAGE_ID, MIB, container, network, node, number, package, spec

LABELS = {"sdc.op": "x"}


def resolved(**values: Any) -> Resolved:
    about = {"account_id": number(1), "container_id": "ab" * 32, "container_uuid": number(1), "name": "web"}
    rest = {
        "image_id": IMAGE_ID,
        "image_config": {},
        "node": node(),
        "package": package(),
        "places": (Place(network()),),
    }
    return Resolved(**{**about, **rest, **values})


def body(of: Resolved | None = None, **asked: Any) -> dict:
    return engine_body(spec(**asked), of or resolved(), LABELS)


def host(**asked: Any) -> dict:
    return body(HostConfig=asked)["HostConfig"]


def test_the_defaults() -> None:
    sent = body(Labels={"a": "b"})
    assert (sent["Image"], sent["Hostname"], sent["Labels"]) == (IMAGE_ID, "ab" * 6, {"a": "b", "sdc.op": "x"})
    limits = {"Memory": GIB, "MemorySwap": 5 * GIB, "PidsLimit": 1024, "NanoCpus": 10**9}
    assert limits.items() <= sent["HostConfig"].items()
    engine_network = network().engine_name
    assert sent["HostConfig"]["NetworkMode"] == engine_network
    assert sent["NetworkingConfig"] == {"EndpointsConfig": {engine_network: {"Aliases": ["web", "ab" * 6]}}}


def test_no_network() -> None:
    sent = body(resolved(places=()), HostConfig={"NetworkMode": "none"})
    assert sent["HostConfig"]["NetworkMode"] == "none" and "NetworkingConfig" not in sent


def test_a_shared_network_has_no_hostname_of_its_own() -> None:
    other = container(2)
    sent = body(resolved(places=(), containers={"other": other}), HostConfig={"NetworkMode": "container:other"})
    assert sent["HostConfig"]["NetworkMode"] == f"container:{other.engine_name}"
    assert sent["Hostname"] == ""


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        ({"Memory": 64 * MIB}, {"Memory": 64 * MIB, "MemorySwap": 64 * MIB, "NanoCpus": 10**9}),
        ({"Memory": 64 * MIB, "MemorySwap": 96 * MIB}, {"Memory": 64 * MIB, "MemorySwap": 96 * MIB}),
        ({"NanoCpus": 5 * 10**8}, {"NanoCpus": 5 * 10**8, "Memory": GIB}),
        ({"CpuQuota": 50_000}, {"CpuQuota": 50_000}),
        ({"CpuQuota": 50_000, "CpuPeriod": 50_000}, {"CpuQuota": 50_000, "CpuPeriod": 50_000}),
        ({"CpuPeriod": 50_000}, {"CpuQuota": 50_000, "CpuPeriod": 50_000}),
        ({"PidsLimit": 10}, {"PidsLimit": 10}),
        ({"PidsLimit": -1}, {"PidsLimit": 1024}),
        ({"StorageOpt": {"size": "1g"}}, {"StorageOpt": {"size": str(GIB)}}),
    ],
)
def test_limits(asked: dict, limits: dict) -> None:
    sent = host(**asked)
    assert limits.items() <= sent.items()
    assert ("NanoCpus" in sent) != ("CpuQuota" in sent)


def test_a_period_that_is_too_short_for_the_packages_cpus_is_left_out() -> None:
    sent = body(resolved(package=package(nano_cpus=10**9 // 4)), HostConfig={"CpuPeriod": 1000})["HostConfig"]
    assert sent["NanoCpus"] == 10**9 // 4 and "CpuPeriod" not in sent


def test_never_more_cpus_than_the_node_has() -> None:
    sent = body(resolved(node=node(cpus=2), package=package(nano_cpus=16 * 10**9)))
    assert sent["HostConfig"]["NanoCpus"] == 2 * 10**9


def test_named_volumes_go_by_our_names() -> None:
    of = resolved(volumes={"data": "v-1"})
    sent = body(of, HostConfig={"Binds": ["data:/data:ro", "/anonymous"]}, Volumes={"/other": {}, "/data": {}})
    assert sent["HostConfig"]["Mounts"] == [
        {
            "Type": "volume",
            "Source": "v-1",
            "Target": "/data",
            "ReadOnly": True,
            "VolumeOptions": {"NoCopy": False, "Labels": {}},
        }
    ]
    assert sent["Volumes"] == {"/anonymous": {}, "/other": {}, "/data": {}}
    assert "Binds" not in sent["HostConfig"]


def test_an_anonymous_volume_is_made_as_it_was_asked_for() -> None:
    options = {"NoCopy": True, "Labels": {"a": "b"}, "DriverConfig": {"Name": "local", "Options": {"size": "1g"}}}
    asked = {"Mounts": [{"Type": "volume", "Target": "/d", "VolumeOptions": options}]}
    sent = host(**asked)["Mounts"][0]
    wanted = {**options, "DriverConfig": {"Name": "local", "Options": {"size": str(GIB)}}}
    assert (sent["Source"], sent["VolumeOptions"]) == ("", wanted)
    assert shown(spec(HostConfig=asked), resolved())["HostConfig"]["Mounts"][0]["VolumeOptions"] == wanted


def test_a_named_volume_is_ours_to_make() -> None:
    asked = {"Mounts": [{"Type": "volume", "Source": "data", "Target": "/d", "VolumeOptions": {"Labels": {"a": "b"}}}]}
    sent = body(resolved(volumes={"data": "v-1"}), HostConfig=asked)["HostConfig"]["Mounts"][0]
    assert sent["VolumeOptions"] == {"NoCopy": False, "Labels": {}}


@pytest.mark.parametrize(
    ("mount", "sent", "tmpfs"),
    [
        ({}, {"SizeBytes": 64 * MIB}, None),
        ({"TmpfsOptions": {"SizeBytes": 5}}, {"SizeBytes": 5}, None),
        ({"TmpfsOptions": {"Mode": 0o700}}, {"SizeBytes": 64 * MIB, "Mode": 0o700}, None),
        ({"TmpfsOptions": {"Options": [["uid", "5"], ["noexec"]]}}, None, f"uid=5,noexec,size={64 * MIB}"),
        (
            {"TmpfsOptions": {"Options": [["uid", "5"]], "SizeBytes": 9, "Mode": 0o1777}, "ReadOnly": True},
            None,
            "uid=5,ro,size=9,mode=1777",
        ),
    ],
)
def test_tmpfs_of_mounts(mount: dict, sent: dict | None, tmpfs: str | None) -> None:
    asked = {"Mounts": [{"Type": "tmpfs", "Target": "/t", **mount}]}
    told = host(**asked)
    assert told.get("Mounts", [{"TmpfsOptions": None}])[0]["TmpfsOptions"] == sent
    assert told.get("Tmpfs") == ({"/t": tmpfs} if tmpfs else None)
    view = shown(spec(HostConfig=asked), resolved())["HostConfig"]
    assert view["Mounts"] == asked["Mounts"] and view["Tmpfs"] == {}


def test_tmpfs_by_its_own_field() -> None:
    asked = {"Tmpfs": {"/t": "size=1m,uid=5", "/u": ""}}
    assert host(**asked)["Tmpfs"] == {"/t": f"uid=5,size={MIB}", "/u": ""}
    view = shown(spec(HostConfig=asked), resolved())["HostConfig"]
    assert "Mounts" not in view and set(view["Tmpfs"]) == {"/t", "/u"}


@pytest.mark.parametrize(("version", "dropped"), [("1.41", True), ("1.43", True), ("1.44", False)])
def test_start_interval(version: str, dropped: bool) -> None:
    check = {"Test": ["CMD", "true"], "StartInterval": 2 * 10**9}
    of = resolved(node=node(api_version=version))
    asked = spec(Healthcheck=check)
    assert engine_body(asked, of, LABELS)["Healthcheck"] == ({"Test": ["CMD", "true"]} if dropped else check)
    assert bool(warnings(asked, of.node)) == dropped
    assert asked.config["Healthcheck"] == check
    assert warnings(spec(), of.node) == []


def test_what_the_kernel_does_not_have_is_told() -> None:
    limits = {"BlkioWeight": 300, "MemoryReservation": 20 << 20, "MemorySwappiness": 10}
    asked = spec(HostConfig={**limits, "Memory": 64 << 20})
    assert discarded(asked, {"HostConfig": limits}) == []
    told = discarded(asked, {"HostConfig": {"BlkioWeight": 0, "MemoryReservation": 0, "MemorySwappiness": None}})
    assert [line.rpartition("mounted. ")[2] for line in told] == [
        "Weight discarded.",
        "Limitation discarded.",
        "Memory swappiness discarded.",
    ]
    assert discarded(spec(), {}) == []


def test_inspect_has_what_was_written_where_the_engine_is_told_otherwise() -> None:
    asked = {
        "NetworkMode": "bridge",
        "CapAdd": ["cap_chown"],
        "CapDrop": ["all"],
        "SecurityOpt": ["no-new-privileges:true"],
        "VolumeDriver": "local",
        "Dns": ["2001:DB8::1"],
        "ExtraHosts": ["a=2001:DB8::1"],
        "Tmpfs": {"/t/": "rw,noexec,size=65536k", "/u": ""},
        "PortBindings": {
            "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
            "81/tcp": [{"HostIp": "", "HostPort": "0"}],
        },
        "Ulimits": [
            {"Name": "memlock", "Hard": -1, "Soft": -1},
            {"Name": "nproc", "Hard": 9, "Soft": 9},
            {"Name": "core", "Hard": 5, "Soft": 5},
        ],
    }
    log = {"Type": "json-file", "Config": {"max-size": "5000m"}}
    view = shown(spec(HostConfig={**asked, "LogConfig": log}), resolved())["HostConfig"]
    assert {key: view[key] for key in asked} == asked
    assert view["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "5000m", "max-file": "5"}}
    sent = host(**asked, LogConfig=log)
    assert sent["CapDrop"] == ["ALL"] and sent["SecurityOpt"] == ["no-new-privileges"]
    assert (sent["Dns"], sent["ExtraHosts"]) == (["2001:db8::1"], ["a:2001:db8::1"])
    assert [limit["Name"] for limit in sent["Ulimits"]] == ["memlock", "core"]
    assert sent["LogConfig"]["Config"]["max-size"] == "10m" and len(sent["PortBindings"]["80/tcp"]) == 1


@pytest.mark.parametrize(("mode", "view"), [("", "default"), ("default", "default"), ("bridge", "bridge")])
def test_the_default_network_by_the_name_that_was_given(mode: str, view: str) -> None:
    assert shown(spec(HostConfig={"NetworkMode": mode}), resolved())["HostConfig"]["NetworkMode"] == view


def test_published_ports() -> None:
    exposed = {"80/tcp": {}, "53/udp": {}, "9000-9001/tcp": {}}
    bindings = {"80/tcp": [{"HostPort": "8080"}], "81/tcp": [{"HostPort": "8100-8200"}], "82/tcp": [{"HostPort": ""}]}
    asked = {"PortBindings": bindings, "PublishAllPorts": True}
    sent = body(resolved(image_config={"ExposedPorts": exposed}), HostConfig=asked)["HostConfig"]["PortBindings"]
    assert {key: [b["HostPort"] for b in found] for key, found in sent.items()} == {
        "80/tcp": ["8080"],
        "81/tcp": ["8100-8200"],
        "82/tcp": [""],
        "53/udp": [""],
    }
    row = shown(spec(HostConfig=asked), resolved())
    assert row["Ports"] == [["tcp", 8080, 80]]
    assert set(row["HostConfig"]["PortBindings"]) == set(bindings)


def test_what_is_shared_is_shown_by_id_and_sent_by_our_name() -> None:
    other = container(2)
    of = resolved(containers={"other": other})
    asked = {"IpcMode": "container:other", "PidMode": "container:other", "VolumesFrom": ["other:ro"]}
    sent = body(of, HostConfig=asked)["HostConfig"]
    assert sent["IpcMode"] == sent["PidMode"] == f"container:{other.engine_name}"
    assert sent["VolumesFrom"] == [f"{other.engine_name}:ro"]
    view = shown(spec(HostConfig=asked), of)["HostConfig"]
    assert view["IpcMode"] == view["PidMode"] == f"container:{other.id}"
    assert view["VolumesFrom"] == ["other:ro"]


@pytest.mark.parametrize(
    ("brought", "sent"),
    [
        ({"Test": ["CMD", "x"], "Interval": 1_000_000}, {"Test": ["CMD", "x"], "Interval": 10**9}),
        (
            {"Test": ["CMD", "x"], "Interval": 3 * 10**9, "Timeout": 5},
            {"Test": ["CMD", "x"], "Interval": 3 * 10**9, "Timeout": 10**9},
        ),
        ({"Test": ["CMD", "x"], "Interval": 0}, {"Test": ["CMD", "x"], "Interval": 0}),
    ],
)
def test_an_images_health_check_is_held_to_the_floor(brought: dict, sent: dict) -> None:
    assert body(resolved(image_config={"Cmd": ["x"], "Healthcheck": brought}))["Healthcheck"] == sent
    own = {"Test": ["CMD", "y"], "Interval": 2 * 10**9}
    asked = body(resolved(image_config={"Cmd": ["x"], "Healthcheck": brought}), Healthcheck=own)
    assert asked["Healthcheck"]["Test"] == ["CMD", "y"]
