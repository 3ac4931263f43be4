"""The compute node: the machine's own engine, or a private one in a network and a mount namespace of its own.

A private engine shares nothing with the machine that another engine could trip over: its bridges and firewall rules
live in its network namespace, its sockets under a /run of its own, its data under the state directory. Published ports
are reached at the namespace's address, over a pair of virtual interfaces.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import socket
import urllib.parse
from pathlib import Path
from typing import Any

from commands import run, succeeds
from console import Stop
from parts import Part
from stack import EngineChoice, Stack

LOCAL_SOCKET = "/var/run/docker.sock"

#: Docker 20.10, which Debian 12 has.
OLDEST_API = (1, 41)

#: Where the /30 between machine and private engine is taken from, and the address of that engine's own bridge.
WIRES = ipaddress.IPv4Network("10.199.0.0/17")
BRIDGE = "10.199.255.1/24"

_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


# --- talking to an engine ------------------------------------------------------------------------------------------


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("engine", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: str, method: str, url: str, *, timeout: float = 30, **query: str) -> Any:
    """JSON answer of the engine behind socket `path`, None for an empty or an error one. Raises OSError."""
    connection = _UnixConnection(path, timeout)
    try:
        target = url + ("?" + urllib.parse.urlencode(query) if query else "")
        connection.request(method, target)
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise OSError(str(error)) from None
    finally:
        connection.close()
    return json.loads(body) if body and response.status < 300 else None


def answers(path: str) -> bool:
    try:
        return ask(path, "GET", "/version", timeout=5) is not None
    except (OSError, ValueError):
        return False


def check_version(path: str) -> str:
    """The engine's version. Raises Stop for one that is too old."""
    try:
        version = ask(path, "GET", "/version") or {}
    except OSError as error:
        raise Stop(f"the Docker Engine at {path} does not answer ({error}).") from None
    api = tuple(int(number) for number in version.get("ApiVersion", "0.0").split("."))
    if api < OLDEST_API:
        raise Stop(
            f"the Docker Engine at {path} is {version.get('Version')} with API {version.get('ApiVersion')}; "
            "1.41 (Docker 20.10) is the oldest that works. A private engine: --engine private."
        )
    return str(version["Version"])


# --- choosing ------------------------------------------------------------------------------------------------------


def choose(stack: Stack, which: str, *, outbound: bool, subnet: str) -> EngineChoice:
    """What `--engine` means on this machine."""
    if which.startswith("unix://"):
        return _shared(which.removeprefix("unix://"), stack.chosen.address)
    if which == "auto" and answers(LOCAL_SOCKET):
        return _shared(LOCAL_SOCKET, stack.chosen.address)
    if which not in ("auto", "private"):
        raise Stop(f"--engine is auto, private or unix:///path, not '{which}'.")
    wire = _wire(subnet)
    host, engine = list(wire.hosts())[:2]
    return EngineChoice(
        socket=str(stack.engine_home / "docker.sock"),
        private=True,
        address=str(engine),
        netns=f"sdc-{stack.chosen.id}",
        link=f"sdc-{stack.chosen.id}",
        subnet=str(wire),
        host_address=str(host),
        outbound=outbound,
    )


def _shared(path: str, address: str) -> EngineChoice:
    if not answers(path):
        raise Stop(f"no Docker Engine answers at {path}. A private one: --engine private.")
    images = [image["Id"] for image in ask(path, "GET", "/images/json", all="1") or []]
    return EngineChoice(socket=path, private=False, address=address, images_before=images)


def _wire(wanted: str) -> ipaddress.IPv4Network:
    taken = _networks_in_use()
    if wanted:
        try:
            network = ipaddress.IPv4Network(wanted)
        except ValueError as error:
            raise Stop(f"--engine-subnet: {error}.") from None
        if network.prefixlen > 30:
            raise Stop("--engine-subnet must have two addresses to use: a /30 or larger.")
        if any(network.overlaps(other) for other in taken):
            raise Stop(f"--engine-subnet: {network} is in use on this machine.")
        return network
    for network in WIRES.subnets(new_prefix=30):
        if not any(network.overlaps(other) for other in taken):
            return network
    raise Stop(f"every network in {WIRES} is in use on this machine; choose one with --engine-subnet.")


def _networks_in_use() -> list[ipaddress.IPv4Network]:
    """Destinations of all routes but the default one; a route stands for each address of an interface too."""
    routes = json.loads(run(["ip", "-j", "-4", "route", "show", "table", "all"], doing="Reading the routes"))
    found = [ipaddress.IPv4Network(route["dst"], strict=False) for route in routes if route["dst"] != "default"]
    return [network for network in found if network.prefixlen > 0]


# --- a private engine ----------------------------------------------------------------------------------------------


def prepare(stack: Stack) -> None:
    """Make what is missing of the private engine's namespaces, wire, firewall rules and configuration."""
    engine = stack.engine
    if not (Path("/run/netns") / engine.netns).exists():
        run(["ip", "netns", "add", engine.netns], doing="Making the engine's network namespace")
    inside = ["ip", "-n", engine.netns]
    if not succeeds("ip", "link", "show", engine.link):
        wire = ["ip", "link", "add", engine.link, "type", "veth", "peer", "name", "eth0", "netns", engine.netns]
        run(wire, doing="Connecting the engine's network namespace")
    width = engine.subnet.partition("/")[2]
    run(["ip", "address", "replace", f"{engine.host_address}/{width}", "dev", engine.link], doing="Setting an address")
    run(["ip", "link", "set", engine.link, "up"], doing="Setting a link up")
    run([*inside, "address", "replace", f"{engine.address}/{width}", "dev", "eth0"], doing="Setting an address")
    for link in ("lo", "eth0"):
        run([*inside, "link", "set", link, "up"], doing="Setting a link up")
    if engine.outbound:
        run([*inside, "route", "replace", "default", "via", engine.host_address], doing="Setting a route")
        _open_outbound(stack)
    _mount_namespace(stack)
    _write_configuration(stack)


def _rules(stack: Stack) -> list[list[str]]:
    """iptables rules as `-t TABLE CHAIN rule...`, each with a comment that names this stack."""
    engine = stack.engine
    comment = ["-m", "comment", "--comment", f"sdc-docker {stack.chosen.id}"]
    return [
        ["nat", "POSTROUTING", "-s", engine.subnet, "!", "-o", engine.link, *comment, "-j", "MASQUERADE"],
        ["filter", "FORWARD", "-i", engine.link, *comment, "-j", "ACCEPT"],
        ["filter", "FORWARD", "-o", engine.link, *comment, "-j", "ACCEPT"],
    ]


def _open_outbound(stack: Stack) -> None:
    if not stack.engine.forward_before:
        # Written down before it is changed.
        stack.engine.forward_before = _FORWARD.read_text().strip()
        stack.save()
    _FORWARD.write_text("1\n")
    for table, chain, *rule in _rules(stack):
        if not succeeds("iptables", "-w", "-t", table, "-C", chain, *rule):
            run(["iptables", "-w", "-t", table, "-I", chain, *rule], doing="Adding a firewall rule")


def _mount_namespace(stack: Stack) -> None:
    """A mount namespace that outlives the engine's process, with an empty /run.

    A restarted dockerd has to see the mounts of its containerd, which may have survived it. The file that holds the
    namespace has to be on a mount that does not propagate, hence the folder mounted on itself.
    """
    holder = stack.engine_home / "ns"
    namespace = holder / "mnt"
    if namespace.is_file() and os.stat(namespace).st_dev != os.stat(holder).st_dev:
        return
    holder.mkdir(exist_ok=True)
    if not succeeds("mountpoint", "-q", holder):
        run(["mount", "--bind", holder, holder], doing="Making the engine's mount namespace")
    run(["mount", "--make-private", holder], doing="Making the engine's mount namespace")
    namespace.touch()
    run(["unshare", f"--mount={namespace}", "sh", "-c", _INSIDE], doing="Making the engine's mount namespace")


# The resolver's file is often kept under /run; the one of systemd-resolved that can be used from another network
# namespace lies beside the one that cannot.
_INSIDE = """
set -e
target=$(readlink -f /etc/resolv.conf || true)
source=/run/systemd/resolve/resolv.conf
[ -e "$source" ] || source=$target
content=$(cat "$source" 2>/dev/null || true)
mount -t tmpfs -o mode=755 tmpfs /run
case $target in
    /run/*) mkdir -p "$(dirname "$target")" && printf '%s\\n' "$content" >"$target" ;;
esac
"""


def _insecure_registries(stack: Stack) -> list[str]:
    own = [stack.registry_address] if stack.chosen.registry_port else []
    return [*stack.chosen.registry_hosts, *own]


def _write_configuration(stack: Stack) -> None:
    engine = stack.engine
    configuration = {
        "hosts": [engine.url],
        "data-root": str(stack.engine_home / "data"),
        "exec-root": str(stack.engine_home / "exec"),
        "pidfile": str(stack.engine_home / "dockerd.pid"),
        "bip": BRIDGE,
        # systemd's socket is not in its /run.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        # Groups of our own, so that they can be told from another engine's, and removed.
        "cgroup-parent": f"/{engine.netns}",
        "insecure-registries": _insecure_registries(stack),
    }
    (stack.engine_home / "daemon.json").write_text(json.dumps(configuration, indent=2) + "\n")


# When dockerd is killed, the kernel kills its containerd with it. A new dockerd that finds the old process id, not yet
# reaped or used by another process by then, would wait 15 s for an answer and give up.
_DOCKERD = 'rm -f "$1/exec/containerd/containerd.pid" && exec dockerd --config-file "$1/daemon.json"'


def part(stack: Stack) -> Part:
    engine = stack.engine
    enter = ["nsenter", f"--net=/run/netns/{engine.netns}", f"--mount={stack.engine_home / 'ns' / 'mnt'}", "--"]
    return Part(
        name="dockerd",
        command=[*enter, "sh", "-c", _DOCKERD, "dockerd", stack.engine_home],
        directory=Path("/"),
        environment={"SDC_QUICKSTART_CONFIGURATION": ",".join(_insecure_registries(stack))},
        patience=30,
    )


def remove_private(stack: Stack) -> None:
    """Take away namespaces, wire, firewall rules and control groups. What is missing is fine.

    Nothing may run in them any more.
    """
    engine = stack.engine
    holder = stack.engine_home / "ns"
    if succeeds("mountpoint", "-q", holder):
        succeeds("umount", holder / "mnt")
        run(["umount", holder], doing="Removing the engine's mount namespace")
    if engine.outbound:
        for table, chain, *rule in _rules(stack):
            succeeds("iptables", "-w", "-t", table, "-D", chain, *rule)
        _restore_forwarding(engine)
    for group in [*Path("/sys/fs/cgroup").glob(f"*/{engine.netns}"), Path("/sys/fs/cgroup") / engine.netns]:
        for folder, _, _ in os.walk(group, topdown=False):
            os.rmdir(folder)
    succeeds("ip", "link", "delete", engine.link)
    if (Path("/run/netns") / engine.netns).exists():
        run(["ip", "netns", "delete", engine.netns], doing="Removing the engine's network namespace")


def _restore_forwarding(engine: EngineChoice) -> None:
    if engine.forward_before != "0":
        return
    # Somebody else may have come to need it since: another stack, or an engine of the machine's own.
    rules = run(["iptables", "-w", "-S", "FORWARD"], doing="Reading the firewall rules")
    if "sdc-docker" not in rules and "DOCKER" not in rules:
        _FORWARD.write_text("0\n")


# --- a shared engine -----------------------------------------------------------------------------------------------


def remove_fleet(stack: Stack, images: list[str]) -> None:
    """Remove our containers, volumes and networks from a shared engine, and `images` that nobody else has named."""
    path = stack.engine.socket
    label = json.dumps({"label": [f"sdc.fleet={stack.chosen.fleet}"]})
    for container in ask(path, "GET", "/containers/json", all="1", filters=label) or []:
        ask(path, "DELETE", f"/containers/{container['Id']}", timeout=60, force="1", v="1")
    for volume in (ask(path, "GET", "/volumes", filters=label) or {}).get("Volumes") or []:
        ask(path, "DELETE", f"/volumes/{volume['Name']}")
    for network in ask(path, "GET", "/networks", filters=label) or []:
        ask(path, "DELETE", f"/networks/{network['Id']}")
    for image in sorted(set(images) - set(stack.engine.images_before)):
        found = ask(path, "GET", f"/images/{image}/json")
        ours = f"sdc.invalid/{stack.chosen.fleet}:"
        if found is not None and all(name.startswith(ours) for name in found.get("RepoTags") or []):
            # Refused where a container uses it.
            ask(path, "DELETE", f"/images/{image}")
