"""Options of commands that no other test uses: each does what a stock engine does with it, or is refused by name."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.behind import Unchanged
from tests.e2e.clients import Client, Docker, read_until
from tests.e2e.images import on_the_engine
from tests.e2e.stack import Stack
from tests.machine import wait_until

#: (options, what of inspect is looked at)
CREATE = [
    ("--cpu-period 50000 --cpu-quota 25000", "{{.HostConfig.CpuPeriod}} {{.HostConfig.CpuQuota}}"),
    ("--blkio-weight 300", "{{.HostConfig.BlkioWeight}}"),
    ("-m 64m --memory-reservation 20m", "{{.HostConfig.MemoryReservation}}"),
    ("--memory-swappiness 10", "{{json .HostConfig.MemorySwappiness}}"),
    ("--dns-option ndots:2 --dns-search example.com", "{{.HostConfig.DnsOptions}} {{.HostConfig.DnsSearch}}"),
    ("--health-cmd true --health-start-period 3s", "{{json .Config.Healthcheck}}"),
    ("--stop-timeout 0 --init=false", "{{json .Config.StopTimeout}} {{json .HostConfig.Init}}"),
    ("--no-healthcheck", "{{json .Config.Healthcheck}}"),
    ("--label-file LABELS", "{{json .Config.Labels}}"),
    ("--isolation default --disable-content-trust", "{{.Path}}"),
]


def test_of_create(stack: Stack, alice: str, tmp_path: Path, cli: str) -> None:
    (tmp_path / "labels").write_text("x=y\nz\n")
    image = stack.docker(alice, "images", "-q", "--no-trunc", "busybox:latest").text.strip()
    for options, shown in CREATE:
        words = options.replace("LABELS", str(tmp_path / "labels")).split()
        ours = stack.docker(alice, "create", "--name", "opt", *words, image, "true", cli=cli)
        stock = on_the_engine(stack, "create", "--name", "opt", *words, image, "true", cli=cli)
        try:
            assert stock.code == 0, stock.said
            assert ours.said == stock.said, options
            seen = stack.docker(alice, "inspect", "-f", shown, "opt", cli=cli).text
            known = on_the_engine(stack, "inspect", "-f", shown, "opt", cli=cli).text
            assert seen == known, options
        finally:
            on_the_engine(stack, "rm", "opt")
            stack.docker(alice, "rm", "opt")


def test_a_mac_address(stack: Stack, alice: str, cli: str) -> None:
    """CLI 28 gives it to the endpoint, 20.10 to the container; it is shown at both."""
    docker = Docker(stack, alice, Client(cli))
    mac = "02:42:ac:11:77:99"
    docker("run", "-d", "--name", "opt-box", "--mac-address", mac, "busybox", "sleep", "600")
    shown = docker("inspect", "-f", "{{.Config.MacAddress}} {{.NetworkSettings.Networks.bridge.MacAddress}}", "opt-box")
    assert shown.text.split() == [mac, mac]
    assert mac in docker("exec", "opt-box", "ip", "link", "show", "eth0").text


REFUSED = [
    ("create --link-local-ip 169.254.1.1 --network NET", "link-local addresses"),
    ("create --ip6 fd00::1 --network NET", "no configured subnet contains IP address fd00::1"),
    ("create --blkio-weight-device /dev/sda:10", "limits by device (HostConfig.BlkioWeightDevice)"),
    ("create --device-read-iops /dev/sda:10", "limits by device (HostConfig.BlkioDeviceReadIOps)"),
    ("create --device-write-iops /dev/sda:10", "limits by device (HostConfig.BlkioDeviceWriteIOps)"),
    ("create --device-write-bps /dev/sda:10", "limits by device (HostConfig.BlkioDeviceWriteBps)"),
    ("create --cpu-rt-period 1000", "real-time scheduling (HostConfig.CpuRealtimePeriod)"),
    ("create --cpuset-mems 0", "a choice of the node's memory (HostConfig.CpusetMems)"),
    ("create --isolation hyperv", 'invalid isolation: "hyperv" is not supported on linux'),
    ("create --storage-opt size=1g", "--storage-opt is supported only for overlay over xfs"),
    ("network create --config-only other", "networks of a swarm (ConfigOnly)"),
    ("network create --config-from x other", "networks of a swarm (ConfigFrom)"),
    ("network create --ingress other", "networks of a swarm (Ingress)"),
    ("network create --scope swarm other", "a network of scope swarm (Scope)"),
    ("network create --ipam-opt a=b other", "options of address management (IPAM.Options)"),
    ("network create --ipam-driver other other", 'plugin "other" not found'),
    ("network create --ipv6 other", "IPv6 networks are not available here (EnableIPv6)"),
    ("network connect --driver-opt a=b NET", "network driver options (EndpointConfig.DriverOpts)"),
    ("network connect --link-local-ip 169.254.1.1 NET", "link-local addresses"),
    ("network connect --ip6 fd00::1 NET", "no configured subnet contains IP address fd00::1"),
    ("update --cpu-rt-period 1000", "real-time scheduling (CpuRealtimePeriod)"),
    ("update --cpuset-mems 0", "a choice of the node's memory (CpusetMems)"),
    ("28 create --annotation a=b", "annotations"),
    ("28 network create --ipv4=false other", "a network without IPv4 is not available here (EnableIPv4)"),
    ("28 volume create --group g", "cluster volumes are not available here"),
    ("28 volume create --limit-bytes 5", "cluster volumes are not available here"),
    ("28 images --tree", "requires API version 1.47"),
    # What the client refuses itself, by what `docker info` says.
    ("create --io-maxiops 5", "daemon running on windows"),
    ("create --io-maxbandwidth 5", "daemon running on windows"),
    ("28 create --use-api-socket", "can only be used with unix sockets"),
    ("start --checkpoint x", "experimental features enabled"),
]


def test_refused_by_name(stack: Stack, alice: str, cli: str) -> None:
    docker = Docker(stack, alice, Client(cli))
    docker("network", "create", "opt-net")
    docker("create", "--name", "opt-box", "busybox", "true")
    told = []
    try:
        with Unchanged(stack):
            for options, words in REFUSED:
                only = options.startswith("28 ")
                if only and cli != "28":
                    continue
                given = options.removeprefix("28 ").replace("NET", "opt-net").split()
                given += {"create": ["busybox", "true"]}.get(given[0], [])
                given += ["opt-box"] if given[0] in ("update", "start") or given[1] == "connect" else []
                done = docker(*given, check=False)
                if done.code == 0 or words not in done.said:
                    told.append((options, done))
        assert not told, "\n".join(map(str, told))
    finally:
        docker("rm", "opt-box")
        docker("network", "rm", "opt-net")


def test_of_networks(stack: Stack, alice: str, cli: str) -> None:
    docker = Docker(stack, alice, Client(cli))
    docker("network", "create", "--attachable", "--ipam-driver", "default", "--scope", "local", "opt-net")
    try:
        about = json.loads(docker("network", "inspect", "opt-net").text)[0]
        assert (about["Attachable"], about["Scope"], about["IPAM"]["Driver"]) == (True, "local", "default")
        docker("create", "--name", "opt-box", "busybox", "true")
        more = ("--gw-priority", "0") if cli == "28" else ()
        docker("network", "connect", *more, "opt-net", "opt-box")
        assert "opt-net" in json.loads(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", "opt-box").text)
    finally:
        docker("rm", "-f", "opt-box")
        docker("network", "rm", "opt-net")


def test_of_update(stack: Stack, alice: str, cli: str) -> None:
    docker = Docker(stack, alice, Client(cli))
    docker("create", "--name", "opt-box", "-m", "64m", "--cpu-quota", "25000", "busybox", "true")
    docker("update", "--cpu-period", "50000", "--memory-reservation", "20m", "opt-box")
    shown = docker("inspect", "-f", "{{.HostConfig.CpuPeriod}} {{.HostConfig.MemoryReservation}}", "opt-box").text
    assert shown.split() == ["50000", str(20 << 20)]
    ignored = docker("update", "--kernel-memory", "50m", "opt-box")
    assert "KernelMemory is not supported here and was ignored" in ignored.text + ignored.said
    docker("update", "--blkio-weight", "300", "opt-box")


def test_of_build(stack: Stack, alice: str, tmp_path: Path, cli: str) -> None:
    docker = Docker(stack, alice, Client(cli))
    place = tmp_path / "context"
    place.mkdir()
    (place / "Dockerfile").write_text("FROM busybox AS one\nLABEL a=one\nFROM one\nLABEL b=two\n")

    def labels(*options: str, path: str = str(place)) -> dict[str, str]:
        docker("build", "-q", "-t", "opt:built", *options, path, timeout=120)
        return json.loads(docker("image", "inspect", "-f", "{{json .Config.Labels}}", "opt:built").text)

    try:
        both = {"a": "one", "b": "two"}
        common = ("--compress", "--force-rm", "--cpu-period", "50000", "--isolation", "default")
        assert labels(*common, "--disable-content-trust", "--iidfile", str(tmp_path / "iid")) == both
        shown = docker("images", "-q", "--no-trunc", "opt:built").text.strip()
        assert (tmp_path / "iid").read_text().strip() == shown
        assert labels("--target", "one") == {"a": "one"}
        assert labels("--label", "c=three") == {**both, "c": "three"}
        for bad, words in (
            (("--cpuset-mems", "0"), "a choice of memory nodes"),
            (("--isolation", "hyperv"), '"hyperv" is not supported'),
            (("--squash",), "experimental"),
        ):
            done = docker("build", *bad, str(place), check=False)
            assert done.code == 1 and words in done.said
    finally:
        docker("rmi", "-f", "opt:built")
        docker("image", "prune", "-f")
        docker("builder", "prune", "-af")


def test_rmi_without_prune(stack: Stack, alice: str, cli: str) -> None:
    """What was built under the image stays where it is asked to."""
    docker = Docker(stack, alice, Client(cli))
    docker("build", "-q", "-t", "opt:built", "-", input=b"FROM busybox\nLABEL a=b\nLABEL c=d\n", timeout=120)
    before = set(docker("images", "-aq", "--no-trunc").text.split())
    gone = docker("images", "-q", "--no-trunc", "opt:built").text.strip()
    docker("rmi", "--no-prune", "opt:built")
    assert before - set(docker("images", "-aq", "--no-trunc").text.split()) == {gone}
    docker("image", "prune", "-f")
    docker("builder", "prune", "-af")


def test_cp_follows_links(stack: Stack, alice: str, tmp_path: Path, cli: str) -> None:
    docker = Docker(stack, alice, Client(cli))
    docker("run", "--name", "opt-box", "busybox", "sh", "-c", "echo real > /tmp/file; ln -s /tmp/file /tmp/link")
    docker("cp", "-L", "opt-box:/tmp/link", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_text() == "real\n" and not (tmp_path / "followed").is_symlink()
    docker("cp", "opt-box:/tmp/link", str(tmp_path / "kept"))
    assert os.readlink(tmp_path / "kept") == "/tmp/file"
    os.symlink(tmp_path / "followed", tmp_path / "to")
    docker("cp", "--follow-link", str(tmp_path / "to"), "opt-box:/tmp/put")
    assert docker("cp", "opt-box:/tmp/put", "-").stdout.count(b"real\n") == 1


@pytest.mark.parametrize("proxy", [True, False])
def test_signals_are_handed_on_unless_told_otherwise(stack: Stack, alice: str, cli: str, proxy: bool) -> None:
    """To the client, of `run` and of `attach`; an attached client that hands none on ends by them itself."""
    docker = Docker(stack, alice, Client(cli))
    script = "trap 'echo got it' HUP; while :; do echo ready; sleep 0.1; done"
    how = (f"--sig-proxy={str(proxy).lower()}",)
    docker("run", "-d", "--name", "opt-box", "busybox", "sh", "-c", script)
    with docker.background("attach", *how, "opt-box", bufsize=0) as client:
        # What comes through is behind the trap, and the client's own is set before it attaches.
        read_until(client, b"ready\n")
        client.send_signal(signal.SIGHUP)
        if proxy:
            wait_until(lambda: "got it" in docker("logs", "opt-box").text, "the signal")
            assert client.poll() is None
        else:
            client.wait(30)
            assert "got it" not in docker("logs", "opt-box").text
    assert docker("inspect", "-f", "{{.State.Running}}", "opt-box").text == "true\n"
