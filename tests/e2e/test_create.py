"""`docker create` and `docker run`: what reaches the container, what is refused by name, what quotas do."""

from __future__ import annotations

import concurrent.futures
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.behind import Unchanged, ask, message
from tests.e2e.stack import Response, Stack

SLEEP = ("busybox", "sleep", "600")

Kept = Callable[..., dict[str, Any]]


@pytest.fixture
def make(stack: Stack, alice: str) -> Kept:
    """Creates with the CLI's words, and gives the engine's inspect."""

    def make(*words: str, verb: str = "create", **how: Any) -> dict[str, Any]:
        start = ("run", "-d") if verb == "run" else (verb,)
        done = stack.docker(alice, *start, *words, **how)
        seen = stack.engine_container(done.text.strip())
        assert seen is not None
        return seen

    return make


def shell(stack: Stack, container: str, script: str) -> str:
    return stack.docker("alice", "exec", container, "sh", "-c", script).text.strip()


# --- options reach the container -------------------------------------------------------------------------------------


def test_process_options(stack: Stack, make: Kept, tmp_path: Path, cli: str) -> None:
    file = tmp_path / "env"
    file.write_text("FROM_FILE=yes\nSPACED=a b\n")
    seen = make(
        "--name", "proc", "-e", "A=1", "--env-file", str(file), "-l", "role=web", "--label", "empty",
        "--entrypoint", "/bin/sh", "-u", "1000:1001", "-w", "/work/dir", "--hostname", "web1", "--domainname", "corp",
        "--restart", "on-failure:3", "--stop-signal", "INT", "--stop-timeout", "3", "--group-add", "50",
        "--health-cmd", "true", "--health-interval", "2s", "--health-retries", "2", "--health-timeout", "1s",
        "busybox", "-c", "sleep 600; true", cli=cli, verb="run",
    )  # fmt: skip
    config, host = seen["Config"], seen["HostConfig"]
    assert {"A=1", "FROM_FILE=yes", "SPACED=a b"} <= set(config["Env"])
    assert config["Labels"]["role"] == "web" and config["Labels"]["empty"] == ""
    assert config["Healthcheck"] == {
        "Test": ["CMD-SHELL", "true"], "Interval": 2 * 10**9, "Timeout": 10**9, "Retries": 2,
    }  # fmt: skip
    assert (config["StopSignal"], config["StopTimeout"]) == ("INT", 3)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    said = shell(stack, "proc", "id -u; id -g; id -G; pwd; hostname; cat /proc/1/cmdline | tr '\\0' ' '; echo $SPACED")
    assert said.split("\n") == ["1000", "1001", "1001 50", "/work/dir", "web1", "/bin/sh -c sleep 600; true a b"]


def test_engine_side_names_and_labels(stack: Stack, make: Kept) -> None:
    seen = make("--name", "mine", "-l", "role=web", *SLEEP)
    container = stack.psql("SELECT id, uuid, account_id FROM containers")[0]
    assert seen["Name"] == f"/c-{container[1]}"
    labels = seen["Config"]["Labels"]
    assert labels["sdc.fleet"] == stack.fleet
    assert labels["sdc.container"] == container[0] and container[0].startswith(str(container[1]).replace("-", ""))
    assert labels["sdc.account"] == str(container[2])
    assert labels["sdc.op"] and labels["role"] == "web"
    assert seen["Config"]["Hostname"] == container[0][:12]
    assert seen["Config"]["Image"].startswith("sha256:"), "images are named by id on engines"


def test_storage_options(stack: Stack, make: Kept, cli: str) -> None:
    make(
        "--name", "store", "--read-only", "--tmpfs", "/scratch:size=1m,mode=1777", "--shm-size", "32m",
        "-v", "/anon", "-v", "data:/data", "-v", "other:/ro:ro", "--mount", "type=volume,source=third,target=/third",
        "--mount", "type=tmpfs,target=/mem,tmpfs-size=2097152", *SLEEP, cli=cli, verb="run",
    )  # fmt: skip
    said = shell(
        stack,
        "store",
        "touch /x 2>/dev/null || echo root-ro; touch /ro/x 2>/dev/null || echo ro; touch /anon/x /data/x /third/x && "
        "echo rw; df -k /scratch /mem /dev/shm | awk '{print $2}' | tail -3",
    )
    assert said.split("\n") == ["root-ro", "ro", "rw", "1024", "2048", "32768"]
    shown = json.loads(stack.docker("alice", "inspect", "store").text)[0]
    mounts = {m["Destination"]: m for m in shown["Mounts"]}
    assert {"/anon", "/data", "/ro", "/third"} <= mounts.keys()
    assert (mounts["/data"]["Name"], mounts["/third"]["Name"], mounts["/ro"]["RW"]) == ("data", "third", False)
    assert mounts["/data"]["Source"] == "/var/lib/docker/volumes/data/_data"


def test_named_volume_survives_its_containers_and_is_copied_up_once(stack: Stack, alice: str) -> None:
    stack.docker(alice, "run", "--rm", "-v", "kept:/data", "busybox", "sh", "-c", "echo 42 > /data/answer")
    stack.docker(alice, "run", "--name", "reader", "-v", "kept:/other:ro", "busybox", "cat", "/other/answer")
    stack.docker(alice, "rm", "-v", "reader")
    said = stack.docker(alice, "run", "--rm", "-v", "kept:/data", "busybox", "cat", "/data/answer")
    assert said.text == "42\n"


def test_volumes_from(stack: Stack, make: Kept) -> None:
    make("--name", "source", "-v", "/shared", "-v", "named:/named", *SLEEP, verb="run")
    shell(stack, "source", "echo one > /shared/f; echo two > /named/f")
    said = stack.docker("alice", "run", "--rm", "--volumes-from", "source:ro", "busybox", "sh", "-c",
                        "cat /shared/f /named/f; touch /shared/g 2>/dev/null || echo ro")  # fmt: skip
    assert said.text.split() == ["one", "two", "ro"]
    refused = stack.docker("alice", "run", "--rm", "--volumes-from", "nosuch", *SLEEP, check=False)
    assert refused.code == 125 and "No such container: nosuch" in refused.said
    assert "Unable to find image" not in refused.said, "a 404 makes the client pull"


def test_limits_and_rights(stack: Stack, make: Kept, cli: str) -> None:
    seen = make(
        "--name", "limits", "-m", "128m", "--cpus", "0.5", "--pids-limit", "64", "--ulimit", "nofile=100:200",
        "--cap-drop", "ALL", "--cap-add", "CHOWN", "--sysctl", "net.core.somaxconn=256", "--memory-swap", "200m",
        "--security-opt", "no-new-privileges", "--oom-score-adj", "500", "--cpu-shares", "100",
        "--add-host", "db:10.0.0.9", "--dns", "10.0.0.53", "--dns-search", "corp.example", *SLEEP, cli=cli, verb="run",
    )  # fmt: skip
    host = seen["HostConfig"]
    assert (host["Memory"], host["MemorySwap"]) == (128 << 20, 200 << 20)
    assert (host["NanoCpus"], host["PidsLimit"], host["CpuShares"]) == (5 * 10**8, 64, 100)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 100, "Hard": 200}]
    # Of the container's own process: in an exec, runc built with Go 1.19 may raise the soft one to the hard one.
    said = shell(
        stack,
        "limits",
        "awk '/open files/ {print $4, $5}' /proc/1/limits; "
        "grep CapEff /proc/1/status | cut -f2; grep NoNewPrivs /proc/1/status | cut -f2; "
        "cat /proc/sys/net/core/somaxconn /proc/1/oom_score_adj; grep db /etc/hosts; cat /etc/resolv.conf",
    ).split("\n")
    assert said[:6] == ["100 200", "0000000000000001", "1", "256", "500", "10.0.0.9\tdb"]
    assert "search corp.example" in said
    assert host["Dns"] == ["10.0.0.53"]


def test_package_sets_the_limits(stack: Stack, make: Kept) -> None:
    name, memory, swap, cpus, pids = stack.psql(
        "SELECT name, memory, swap, nano_cpus, pids FROM packages WHERE disabled_at IS NULL ORDER BY memory LIMIT 1"
    )[0]
    node_cpus = stack.psql("SELECT cpus FROM nodes")[0][0]
    seen = make("--label", f"com.joyent.package={name}", *SLEEP)["HostConfig"]
    assert (seen["Memory"], seen["MemorySwap"], seen["PidsLimit"]) == (memory, memory + swap, pids)
    assert seen["NanoCpus"] == min(cpus, node_cpus * 10**9)
    plain = make(*SLEEP)["HostConfig"]
    assert plain["Memory"] >= 1 << 30 and plain["PidsLimit"] > 0 and plain["NanoCpus"] > 0, "nobody is without limits"
    refused = stack.docker("alice", "create", "--label", "com.joyent.package=nosuch", *SLEEP, check=False)
    assert refused.code == 1 and "no packages match parameters: com.joyent.package=nosuch" in refused.said


@pytest.mark.parametrize("api", ["1.20", "1.24"])
def test_old_versions(stack: Stack, make: Kept, api: str) -> None:
    """What these versions have, in CLI 20.10's words for them."""
    seen = make(
        "--name", "old", "-e", "A=1", "-l", "k=v", "--restart", "always", "-u", "7", "-w", "/w", "-v", "/anon",
        "-v", "data:/data", "-m", "64m", "--ulimit", "nofile=100:100", "--hostname", "h", "--dns", "10.0.0.53",
        "--add-host", "db:10.0.0.9", "--cap-drop", "CHOWN", "-p", "80", *SLEEP, cli="20", api=api,
    )  # fmt: skip
    assert "A=1" in seen["Config"]["Env"] and seen["Config"]["User"] == "7"
    assert seen["HostConfig"]["Memory"] == 64 << 20 and seen["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert {m["Destination"] for m in seen["Mounts"]} == {"/anon", "/data"}
    assert list(seen["HostConfig"]["PortBindings"]) == ["80/tcp"]
    stack.docker("alice", "rm", "-v", "old", cli="20", api=api)
    words = ("run", "--rm", "busybox", "sh", "-c", "echo $0; exit 7")
    said = stack.docker("alice", *words, cli="20", api=api, check=False)
    assert (said.code, said.text) == (7, "sh\n")
    assert stack.request("alice", "GET", "/containers/json?all=1").json() == [], "--rm leaves nothing"


def test_namespaces_of_another_container(stack: Stack, make: Kept) -> None:
    make("--name", "host", "--ipc", "shareable", "--hostname", "first", *SLEEP, verb="run")
    joined = stack.docker("alice", "run", "--rm", "--network", "container:host", "--pid", "container:host", "--ipc",
                          "container:host", "busybox", "sh", "-c", "hostname; ps | grep -c '[s]leep 600'; "
                          "ip addr | grep -o 'inet 10[^ ]*'")  # fmt: skip
    own = shell(stack, "host", "ip addr | grep -o 'inet 10[^ ]*'")
    assert joined.text.split("\n")[:3] == ["first", "1", own]
    alone = stack.docker("alice", "run", "--rm", "--network", "none", "busybox", "ip", "-o", "link").text
    assert "lo" in alone and "eth0" not in alone


def test_dynamic_ports_ranges_and_protocols(stack: Stack, make: Kept, cli: str) -> None:
    seen = make("-p", "80", "-p", "18000-18002:8000-8002", "-p", "18053:53/udp", "-P", "--expose", "9000", *SLEEP,
                verb="run", cli=cli)  # fmt: skip
    engine = seen["NetworkSettings"]["Ports"]
    shown = stack.docker("alice", "port", stack.docker("alice", "ps", "-lq").text.strip(), cli=cli).text
    told = dict(line.split(" -> ") for line in shown.split("\n") if line)
    assert told.keys() == {"80/tcp", "8000/tcp", "8001/tcp", "8002/tcp", "53/udp", "9000/tcp"}
    assert told["8001/tcp"] == f"{stack.node_address}:18001" and told["53/udp"] == f"{stack.node_address}:18053"
    for port, where in told.items():
        assert where == f"{stack.node_address}:{engine[port][0]['HostPort']}"
    rows = stack.psql("SELECT protocol, host_port, container_port FROM container_ports")
    assert {(f"{inner}/{proto}", f"{stack.node_address}:{port}") for proto, port, inner in rows} == set(told.items())


def test_container_id_file_and_warnings(stack: Stack, make: Kept, tmp_path: Path) -> None:
    file = tmp_path / "cid"
    done = stack.docker("alice", "create", "--cidfile", str(file), "--ulimit", "nproc=10", *SLEEP)
    assert file.read_text() == done.text.strip()
    assert "WARNING" in done.said and "nproc was ignored" in done.said


def test_init(stack: Stack, make: Kept) -> None:
    make("--name", "init", "--init", *SLEEP, verb="run")
    assert "docker-init" in shell(stack, "init", "cat /proc/1/cmdline | tr '\\0' ' '")


# --- refusals --------------------------------------------------------------------------------------------------------

BY_NAME = [
    ("-v /etc:/h", "host paths", "HostConfig.Binds"),
    ("-v /var/run/docker.sock:/s", "host paths", "HostConfig.Binds"),
    ("--mount type=bind,source=/etc,target=/h", "host paths", "HostConfig.Mounts"),
    ("--privileged", "privileged containers", "HostConfig.Privileged"),
    ("--network host", "the host network", "HostConfig.NetworkMode"),
    ("--pid host", "the host's PID namespace", "HostConfig.PidMode"),
    ("--ipc host", "the host's IPC namespace", "HostConfig.IpcMode"),
    ("--uts host", "the host's UTS namespace", "HostConfig.UTSMode"),
    ("--userns host", "the host's user namespace", "HostConfig.UsernsMode"),
    ("--cgroupns host", "the host's cgroup namespace", "HostConfig.CgroupnsMode"),
    ("--device /dev/null", "devices of the host", "HostConfig.Devices"),
    ("--device-cgroup-rule 'c 1:3 rwm'", "device rules", "HostConfig.DeviceCgroupRules"),
    ("--device-read-bps /dev/sda:1mb", "limits by device", "HostConfig.BlkioDeviceReadBps"),
    ("--gpus all", "device requests", "HostConfig.DeviceRequests"),
    ("--cap-add SYS_ADMIN", "SYS_ADMIN", "HostConfig.CapAdd"),
    ("--cap-add ALL", "ALL", "HostConfig.CapAdd"),
    ("--security-opt seccomp=unconfined", "seccomp=unconfined", "HostConfig.SecurityOpt"),
    ("--security-opt apparmor=unconfined", "apparmor=unconfined", "HostConfig.SecurityOpt"),
    ("--security-opt label=disable", "label=disable", "HostConfig.SecurityOpt"),
    ("--security-opt systempaths=unconfined", "unmasked paths", "HostConfig.MaskedPaths"),
    ("--cgroup-parent /x", "a cgroup parent", "HostConfig.CgroupParent"),
    ("--oom-score-adj -500", "out-of-memory score", "HostConfig.OomScoreAdj"),
    ("--oom-kill-disable", "out-of-memory killer", "HostConfig.OomKillDisable"),
    ("--memory-swap -1 -m 64m", "unlimited swap", "HostConfig.MemorySwap"),
    ("--cpuset-cpus 0", "processors", "HostConfig.CpusetCpus"),
    ("--cpu-rt-runtime 1000", "real-time", "HostConfig.CpuRealtimeRuntime"),
    ("--ulimit rtprio=99", "rtprio", "HostConfig.Ulimits"),
    ("--runtime evil", "evil", "HostConfig.Runtime"),
    ("--log-driver syslog", "syslog", "HostConfig.LogConfig"),
    ("--log-driver journald", "journald", "HostConfig.LogConfig"),
    ("--volume-driver evil -v vol:/v", "evil", "HostConfig.VolumeDriver"),
    ("--add-host x:host-gateway", "host-gateway", "HostConfig.ExtraHosts"),
    ("--dns 169.254.169.254", "169.254.169.254", "HostConfig.Dns"),
    ("-p 127.0.0.1:80:80", "127.0.0.1", "HostConfig.PortBindings"),
    ("-p 22:22", "port 22", "HostConfig.PortBindings"),
    ("--label sdc.account=x", "sdc.account", "Labels"),
    ("--mount type=volume,target=/x,volume-driver=local,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/etc",
     "volume driver option", "HostConfig.Mounts"),
    ("--tmpfs /proc/x", "/proc/x", "HostConfig.Tmpfs"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "what", "field"), BY_NAME, ids=[row[0][:40] for row in BY_NAME])
def test_refused_by_name(stack: Stack, words: str, what: str, field: str) -> None:
    with Unchanged(stack):
        refused = stack.docker("alice", "create", "--pull", "never", *shlex.split(words), *SLEEP, cli="20", check=False)
        newest = stack.docker("alice", "run", "--rm", *shlex.split(words), *SLEEP, check=False)
    assert (refused.code, newest.code) == (1, 125), (refused, newest)
    for result in (refused, newest):
        assert "Error response from daemon: " in result.said, result
        assert what in result.said and field in result.said, result.said


def raw(body: str | bytes, path: str = "/v1.41/containers/create", **headers: str) -> dict[str, Any]:
    data = body.encode() if isinstance(body, str) else body
    return {"path": path, "body": data, "headers": {"Content-Type": "application/json", **headers}}


def host_config(**fields: Any) -> dict[str, Any]:
    return raw(json.dumps({"Image": "busybox", "HostConfig": fields}))


BYPASSES: dict[str, tuple[dict[str, Any], int, str]] = {
    "HostConfig twice": (
        raw('{"Image":"busybox","HostConfig":{"Privileged":true},"HostConfig":{"Memory":6291456}}'), 400, "duplicate"),
    "HostConfig in two cases": (
        raw('{"Image":"busybox","HostConfig":{"Memory":0},"hostconfig":{"privileged":true}}'), 400, "duplicate"),
    "lower case": (raw('{"image":"busybox","hostconfig":{"privileged":true}}'), 403, "privileged"),
    "Kelvin sign": (raw('{"Image":"busybox","HostConfig":{"Networ\\u212aMode":"host"}}'), 403, "host network"),
    "raw Kelvin sign": (raw('{"Image":"busybox","HostConfig":{"Networ\u212aMode":"host"}}'), 403, "host network"),
    "long s": (
        raw('{"Image":"busybox","HostConfig":{"\\u017fecurityOpt":["seccomp=unconfined"]}}'), 403, "seccomp"),
    "two objects": (raw('{"Image":"busybox"}{"HostConfig":{"Privileged":true}}'), 400, "unexpected content after JSON"),
    "trailing text": (raw('{"Image":"busybox"} x'), 400, "unexpected content after JSON"),
    "NaN": (raw('{"Image":"busybox","HostConfig":{"Memory":NaN}}'), 400, "NaN"),
    "float for int": (raw('{"Image":"busybox","HostConfig":{"Memory":1e9}}'), 400, "Memory"),
    "true for int": (raw('{"Image":"busybox","HostConfig":{"Memory":true}}'), 400, "Memory"),
    "NUL": (raw('{"Image":"busybox","Labels":{"a":"x\\u0000"}}'), 400, "NUL"),
    "half a surrogate": (raw('{"Image":"busybox","Labels":{"a":"\\ud800"}}'), 400, "surrogate"),
    "deep": (raw("[" * 100_000), 400, "invalid JSON"),
    "not UTF-8": (raw(b'{"Image":"busybox\xff"}'), 400, "UTF-8"),
    "BOM": (raw(b'\xef\xbb\xbf{"Image":"busybox"}'), 400, "invalid JSON"),
    "huge number": (raw('{"Image":"busybox","HostConfig":{"Memory":' + "9" * 5000 + "}}"), 400, "int64"),
    "bind by driver": (
        host_config(Mounts=[{"Type": "volume", "Target": "/h", "VolumeOptions": {
            "DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/etc"}}}}]), 403, "driver option"),
    "mount of type bind": (host_config(Mounts=[{"Type": "bind", "Source": "/etc", "Target": "/h"}]), 403, "host paths"),
    "mount type in other case": (
        host_config(Mounts=[{"type": "bind", "source": "/etc", "target": "/h"}]), 403, "host paths"),
    "mount type Bind": (host_config(Mounts=[{"Type": "Bind", "Source": "/etc", "Target": "/h"}]), 400, "unknown"),
    "BindOptions in a volume": (
        host_config(Mounts=[{"Type": "volume", "Target": "/h", "BindOptions": {"Propagation": "shared"}}]),
        400, "BindOptions"),
    "bind with a dot": (host_config(Binds=["./etc:/h"]), 400, "invalid"),
    "bind with dots": (host_config(Binds=["../../etc:/h"]), 400, "invalid"),
    "bind of home": (host_config(Binds=["~/x:/h"]), 400, "invalid"),
    "bind with two slashes": (host_config(Binds=["//etc:/h"]), 403, "host paths"),
    "bind shared": (host_config(Binds=["/:/h:rshared"]), 403, "host paths"),
    "bind without a source": (host_config(Binds=[":/h"]), 400, "invalid volume specification"),
    "bind to nothing": (host_config(Binds=["v:"]), 400, "invalid"),
    "bind with a newline": (host_config(Binds=["v\n/etc:/h"]), 400, "control characters"),
    "bind of the wrong type": (host_config(Binds=[["/etc", "/h"]]), 400, "string"),
    "MaskedPaths []": (host_config(MaskedPaths=[]), 403, "unmasked paths"),
    "ReadonlyPaths []": (host_config(ReadonlyPaths=[]), 403, "writable kernel paths"),
    "DeviceRequests": (host_config(DeviceRequests=[{"Driver": "cdi", "DeviceIDs": ["x"]}]), 403, "device requests"),
    "cgroup of another": (host_config(Cgroup="container:x"), 403, "cgroup"),
    "Capabilities": (host_config(Capabilities=["SYS_ADMIN"]), 403, "capabilities"),
    "Annotations": (host_config(Annotations={"io.x": "y"}) | {"path": "/containers/create"}, 403, "annotations"),
    "sysctl of the host": (host_config(Sysctls={"kernel.domainname": "x"}), 403, "kernel.domainname"),
    "sysctl with a path": (host_config(Sysctls={"net.ipv4/../../kernel.domainname": "x"}), 403, "sysctl"),
    "capability with prefix": (host_config(CapAdd=["cap_sys_admin"]), 403, "CAP_SYS_ADMIN"),
    "name of the engine's own container": (host_config(NetworkMode="container:c-x"), 400, "No such container: c-x"),
    "endpoint options": (
        raw(json.dumps({"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {
            "bridge": {"DriverOpts": {"com.docker.network.endpoint.sysctls": "x"}}}}})), 403, "driver options"),
    "form body": (
        raw("Image=busybox", **{"Content-Type": "application/x-www-form-urlencoded"}), 400, "Content-Type"),
    "name twice": (raw('{"Image":"busybox"}', path="/containers/create?name=one&name=two"), 400, "more than once"),
}  # fmt: skip


@pytest.mark.parametrize("name", BYPASSES)
def test_ways_around_the_gate(stack: Stack, name: str) -> None:
    sent, status, words = BYPASSES[name]
    with Unchanged(stack):
        response = ask(stack, "alice", "POST", sent["path"], sent["body"], headers=sent["headers"])
    assert response.status == status, response.body
    assert words in message(response), response.body


def test_a_body_that_renames_is_no_part_of_rename(stack: Stack, make: Kept) -> None:
    """Engines take a form in the body before the query."""
    make("--name", "first", *SLEEP)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    response = ask(stack, "alice", "POST", "/v1.41/containers/first/rename?name=second", b"name=third", headers=form)
    assert response.status in (204, 400)
    assert stack.docker("alice", "ps", "-a", "--format", "{{.Names}}").text.strip() in ("first", "second")


# --- quota -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def quota(stack: Stack, bob: str) -> Iterator[Callable[..., None]]:
    def set_to(**limits: Any) -> None:
        words = [word for name, value in limits.items() for word in (f"--{name}", str(value))]
        done = stack.sdc_docker("account", "quota", bob, *words)
        assert done.code == 0, done.said

    yield set_to
    set_to(containers=100, memory="256g", cpus=128)


def test_parallel_creates_fill_the_quota_exactly(stack: Stack, bob: str, quota: Callable[..., None]) -> None:
    quota(containers=5)
    body = {"Image": "busybox", "Cmd": ["sleep", "600"]}

    def create(_: int) -> Response:
        return stack.request(bob, "POST", "/v1.41/containers/create", body, timeout=60)

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(create, range(20)))
    assert sorted(a.status for a in answers) == [201] * 5 + [403] * 15
    refused = next(a for a in answers if a.status == 403)
    assert message(refused) == "quota exceeded: containers 5 of 5"
    labels = f"sdc.account={stack.psql('SELECT id FROM accounts WHERE login = %s', [bob])[0][0]}"
    assert len(stack.engine.containers(labels)) == 5
    with Unchanged(stack):
        told = stack.docker(bob, "run", "--rm", "busybox", "true", check=False)
    assert told.code == 125 and "quota exceeded: containers 5 of 5" in told.said
    stack.remove_all(bob)
    stack.docker(bob, "run", "--rm", "busybox", "true")
    used = "SELECT used_containers, used_memory, used_nano_cpus FROM accounts WHERE login = %s"
    assert stack.psql(used, [bob]) == [(0, 0, 0)], "everything is given back"


def test_quota_of_memory_and_cpus(stack: Stack, bob: str, quota: Callable[..., None]) -> None:
    quota(memory="256m", cpus=1)
    stack.docker(bob, "create", "-m", "200m", "--cpus", "0.5", *SLEEP)
    with Unchanged(stack):
        memory = stack.docker(bob, "create", "-m", "100m", "--cpus", "0.1", *SLEEP, check=False)
        cpus = stack.docker(bob, "create", "-m", "10m", "--cpus", "0.7", *SLEEP, check=False)
    assert "quota exceeded: memory 200 MiB of 256 MiB, 100 MiB more wanted" in memory.said
    assert "quota exceeded: cpus 0.5 of 1, 0.7 more wanted" in cpus.said


# --- images ----------------------------------------------------------------------------------------------------------


def test_unknown_image(stack: Stack, alice: str) -> None:
    with Unchanged(stack):
        refused = stack.docker(alice, "create", "--pull", "never", "nosuch:1", check=False)
    assert refused.code == 1 and "No such image: nosuch:1" in refused.said


def test_image_by_every_name(stack: Stack, make: Kept) -> None:
    full = stack.docker("alice", "images", "-q", "--no-trunc", "busybox:latest").text.strip()
    for name in ("busybox", "busybox:latest", "docker.io/library/busybox", full, full[7:19], full[7:]):
        assert make(name, "sleep", "1")["Image"] == full
    shown = stack.docker("alice", "ps", "-a", "--format", "{{.Image}}").text.split()
    assert shown[-1] == "busybox"


def test_names_are_unique_in_an_account_only(stack: Stack, make: Kept, bob: str) -> None:
    make("--name", "web", *SLEEP)
    with Unchanged(stack):
        taken = stack.docker("alice", "create", "--name", "web", *SLEEP, check=False)
    assert taken.code == 1 and 'The container name "/web" is already in use by container' in taken.said
    stack.docker(bob, "create", "--name", "web", *SLEEP)


def test_parallel_creates_of_one_name(stack: Stack, alice: str) -> None:
    body = {"Image": "busybox"}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        sent = [pool.submit(stack.request, alice, "POST", "/containers/create?name=one", body) for _ in range(8)]
        statuses = sorted(future.result(60).status for future in sent)
    assert statuses == [201] + [409] * 7
    assert len(stack.request(alice, "GET", "/containers/json?all=1").json()) == 1
