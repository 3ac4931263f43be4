"""An engine's inspect of a container -> what the tenant sees, at API 1.44.

Every field is named here; nothing is shown because an engine happened to have it. Engine ids, our engine names, host
paths and our labels are replaced or left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from app.domain import durations, names
from app.domain.container import Container
from app.domain.container_state import ContainerState
from app.domain.network import DEFAULT, endpoint_id, unmade_id
from app.domain.volume_view import mountpoint

Json = dict[str, Any]

LABEL_PREFIX = "sdc."

_CONFIG = [
    "Hostname",
    "Domainname",
    "User",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Env",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Entrypoint",
    "OnBuild",
]
_CONFIG_OPTIONAL = [
    "ExposedPorts",
    "Healthcheck",
    "ArgsEscaped",
    "NetworkDisabled",
    # Where one was asked for; an endpoint shows any.
    "MacAddress",
    "StopSignal",
    "StopTimeout",
    "Shell",
]

_HOST_CONFIG = [
    "ContainerIDFile",
    "LogConfig",
    "RestartPolicy",
    "AutoRemove",
    "VolumeDriver",
    "ConsoleSize",
    "CapAdd",
    "CapDrop",
    "CgroupnsMode",
    "Dns",
    "DnsOptions",
    "DnsSearch",
    "ExtraHosts",
    "GroupAdd",
    "Cgroup",
    "OomScoreAdj",
    "Privileged",
    "ReadonlyRootfs",
    "SecurityOpt",
    "UTSMode",
    "UsernsMode",
    "ShmSize",
    "Runtime",
    "Isolation",
    "CpuShares",
    "Memory",
    "NanoCpus",
    "BlkioWeight",
    "BlkioWeightDevice",
    "BlkioDeviceReadBps",
    "BlkioDeviceWriteBps",
    "BlkioDeviceReadIOps",
    "BlkioDeviceWriteIOps",
    "CpuPeriod",
    "CpuQuota",
    "CpuRealtimePeriod",
    "CpuRealtimeRuntime",
    "CpusetCpus",
    "CpusetMems",
    "Devices",
    "DeviceCgroupRules",
    "DeviceRequests",
    "MemoryReservation",
    "MemorySwap",
    "MemorySwappiness",
    "OomKillDisable",
    "PidsLimit",
    "Ulimits",
    "CpuCount",
    "CpuPercent",
    "IOMaximumIOps",
    "IOMaximumBandwidth",
    "MaskedPaths",
    "ReadonlyPaths",
]
_HOST_CONFIG_OPTIONAL = ["Tmpfs", "Init", "Sysctls", "StorageOpt", "Annotations"]

_STATE = [
    "Status",
    "Running",
    "Paused",
    "Restarting",
    "OOMKilled",
    "Dead",
    "Pid",
    "ExitCode",
    "Error",
    "StartedAt",
    "FinishedAt",
]

_ENDPOINT = [
    "IPAMConfig",
    "MacAddress",
    "Gateway",
    "IPAddress",
    "IPPrefixLen",
    "IPv6Gateway",
    "GlobalIPv6Address",
    "GlobalIPv6PrefixLen",
    "DriverOpts",
]


@dataclass(frozen=True)
class Words:
    """The tenant's word for what an engine calls otherwise."""

    #: Engine network name -> (the tenant's name, the tenant's id)
    networks: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    #: Engine network name -> what the container asked for there: `ipv4`, `aliases`, `links`
    endpoints: Mapping[str, Json] = field(default_factory=dict)
    #: Id -> name of the containers that links are to
    linked: Mapping[str, str] = field(default_factory=dict)
    #: Engine volume name -> the tenant's name
    volumes: Mapping[str, str] = field(default_factory=dict)
    #: Address that published ports are reached at; "" leaves the engine's.
    public_address: str = ""


def inspect(container: Container, seen: Json, words: Words) -> Json:
    """The answer of GET /containers/{id}/json. `seen["State"]["Error"]` is scrubbed already.

    `container.spec["HostConfig"]` has the tenant's own words for HostConfig fields that the engine was given otherwise.
    """
    state = {key: seen["State"].get(key) for key in _STATE}
    state["Error"] = state["Error"] or ""
    if seen["State"].get("Health"):
        state["Health"] = seen["State"]["Health"]
    view: Json = {
        "Id": container.id,
        "Created": seen["Created"],
        "Path": seen["Path"],
        "Args": seen["Args"],
        "State": state,
        "Image": container.image_id,
        "ResolvConfPath": "",
        "HostnamePath": "",
        "HostsPath": "",
        "LogPath": "",
        "Name": f"/{container.name}",
        "RestartCount": seen["RestartCount"],
        "Driver": "sdc",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": seen.get("AppArmorProfile", ""),
        "ExecIDs": [names.exec_id(container.id, e) for e in seen.get("ExecIDs") or []] or None,
        "HostConfig": _host_config(container, seen["HostConfig"], words),
        "GraphDriver": {"Name": "sdc", "Data": None},
        "Mounts": _mounts(container, seen, words),
        "Config": _config(container, seen["Config"]),
        "NetworkSettings": _network_settings(container, seen, words),
    }
    for size in ("SizeRw", "SizeRootFs"):
        if size in seen:
            view[size] = seen[size]
    return view


def _says(key: str, value: Any) -> bool:
    """Whether a field that may be absent is shown: 0 and false are, where that is not what absence means."""
    return bool(value) or (key in ("Init", "StopTimeout") and value is not None)


def _config(container: Container, seen: Json) -> Json:
    config = {key: seen.get(key) for key in _CONFIG}
    config |= {key: seen[key] for key in _CONFIG_OPTIONAL if _says(key, seen.get(key))}
    if told := container.spec.get("LinkEnv"):
        config["Env"] = [line for line in config.get("Env") or [] if line not in told]
    config["Image"] = container.image
    config["Labels"] = {k: v for k, v in (seen.get("Labels") or {}).items() if not k.startswith(LABEL_PREFIX)}
    return config


def _host_config(container: Container, seen: Json, words: Words) -> Json:
    host = {key: seen.get(key) for key in _HOST_CONFIG}
    host |= {key: seen[key] for key in _HOST_CONFIG_OPTIONAL if _says(key, seen.get(key))}
    host["CgroupParent"] = ""
    host |= container.spec.get("HostConfig", {})
    if told := container.spec.get("LinkHosts"):
        host["ExtraHosts"] = [line for line in host.get("ExtraHosts") or [] if line not in told] or None
    if links := container.spec.get("Links"):
        shown = [f"/{words.linked[t]}:/{container.name}/{alias}" for t, alias in links if t in words.linked]
        host["Links"] = shown or None
    return {key: value for key, value in host.items() if key not in _HOST_CONFIG_OPTIONAL or _says(key, value)}


def _mounts(container: Container, seen: Json, words: Words) -> list[Json]:
    mounts: list[Json] = []
    # An engine is given volumes as `Mounts`, which have no mode; one was given with `Binds`.
    binds = [bind.split(":") for bind in container.spec.get("HostConfig", {}).get("Binds") or []]
    modes = {bind[1]: bind[2] for bind in binds if len(bind) == 3}
    for mount in seen.get("Mounts") or []:
        shown = {
            key: mount[key] for key in ("Type", "Destination", "Driver", "Mode", "RW", "Propagation") if key in mount
        }
        if mount["Type"] == "volume":
            name = words.volumes.get(mount["Name"], mount["Name"])
            shown |= {"Name": name, "Source": mountpoint(name)}
            shown["Mode"] = modes.get(mount["Destination"], shown.get("Mode", ""))
        else:
            shown["Source"] = ""
        mounts.append(shown)
    # A tmpfs with options that `Mounts` cannot carry goes to an engine as `Tmpfs`, which it does not list.
    listed = {mount["Destination"] for mount in mounts}
    for mount in container.spec.get("HostConfig", {}).get("Mounts") or []:
        if mount["Type"] == "tmpfs" and mount["Target"] not in listed:
            writable = not mount.get("ReadOnly")
            about = {"Type": "tmpfs", "Source": "", "Destination": mount["Target"], "Mode": "", "RW": writable}
            mounts.append({**about, "Propagation": ""})
    return mounts


def _network_settings(container: Container, seen: Json, words: Words) -> Json:
    settings = seen["NetworkSettings"]
    networks: Json = {}
    for engine_name, endpoint in (settings.get("Networks") or {}).items():
        if engine_name in words.networks:
            name, network_id = words.networks[engine_name]
        elif engine_name == "none":
            name, network_id = "none", unmade_id(container.account_id, "none")
        else:
            continue
        shown = {key: endpoint.get(key) for key in _ENDPOINT}
        asked = words.endpoints.get(engine_name) or {}
        # An engine also has an address here that a rename has kept, or that is the container's for its life.
        shown["IPAMConfig"] = {"IPv4Address": asked["ipv4"]} if asked.get("ipv4") else None
        if name not in (DEFAULT, "none") and shown["IPAMConfig"] is None:
            shown["IPAMConfig"] = {}
        own = None if name in (DEFAULT, "none") else [*(asked.get("aliases") or []), container.short_id]
        links = [f"{words.linked[t]}:{alias}" for t, alias in asked.get("links") or [] if t in words.linked]
        shown |= {"Links": (name != DEFAULT and links) or None, "Aliases": own, "NetworkID": network_id}
        hostname = seen["Config"].get("Hostname")
        shown["DNSNames"] = own and list(dict.fromkeys([container.name, *own, *([hostname] if hostname else [])]))
        shown["EndpointID"] = endpoint_id(container, network_id) if endpoint.get("EndpointID") else ""
        networks[name] = shown
    main = networks.get("bridge", {})
    return {
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": _ports(settings.get("Ports") or {}, words.public_address),
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": main.get("EndpointID", ""),
        "Gateway": main.get("Gateway", ""),
        "GlobalIPv6Address": main.get("GlobalIPv6Address", ""),
        "GlobalIPv6PrefixLen": main.get("GlobalIPv6PrefixLen", 0),
        "IPAddress": main.get("IPAddress", ""),
        "IPPrefixLen": main.get("IPPrefixLen", 0),
        "IPv6Gateway": main.get("IPv6Gateway", ""),
        "MacAddress": main.get("MacAddress", ""),
        "Networks": networks,
    }


def _ports(ports: Json, public_address: str) -> Json:
    shown: Json = {}
    for key, bindings in ports.items():
        if not bindings:
            shown[key] = None
        elif public_address:
            # The engine lists IPv4 and IPv6 wildcards apart; at one address they are one binding.
            seen = dict.fromkeys(b["HostPort"] for b in bindings)
            shown[key] = [{"HostIp": public_address, "HostPort": port} for port in seen]
        else:
            shown[key] = bindings
    return shown


def facts(view: Json) -> Json:
    """What people ask the database about a container: columns of its row, beside the inspect that they are in."""
    return {
        "command": command_line(view["Path"], view["Args"]),
        "hostname": view["Config"]["Hostname"] or "",
        "restart_policy": (view["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no",
        "restart_count": view["RestartCount"],
        "oom_killed": bool(view["State"]["OOMKilled"]),
        "error": view["State"]["Error"],
    }


# -- lists -------------------------------------------------------------------------------------------------------


def list_entry(container: Container, view: Json) -> tuple[str, str]:
    """The container's entry of GET /containers/json as JSON text in two parts; the value of Status stands between."""
    ports = []
    for key, bindings in view["NetworkSettings"]["Ports"].items():
        private, _, protocol = key.partition("/")
        entry = {"PrivatePort": int(private), "Type": protocol}
        ports += [{"IP": b["HostIp"], **entry, "PublicPort": int(b["HostPort"])} for b in bindings or []] or [entry]
    networks = {
        name: {key: value for key, value in endpoint.items() if key != "DNSNames"} | {"Aliases": None}
        for name, endpoint in view["NetworkSettings"]["Networks"].items()
    }
    head = {
        "Id": container.id,
        "Names": list_names(container.name, container.spec.get("LinkedAs") or {}),
        "Image": container.image_id if container.spec.get("ImageMoved") else container.image,
        "ImageID": container.image_id,
        "Command": command_line(view["Path"], view["Args"]),
        "Created": int(container.created_at.timestamp()),
        "Ports": ports,
        "Labels": view["Config"]["Labels"],
        "State": view["State"]["Status"],
    }
    tail = {
        "HostConfig": {"NetworkMode": view["HostConfig"]["NetworkMode"]},
        "NetworkSettings": {"Networks": networks},
        "Mounts": view["Mounts"],
    }
    return _dump(head)[:-1] + ',"Status":', "," + _dump(tail)[1:]


def list_names(name: str, linked: Mapping[str, list[str]]) -> list[str]:
    """A list's Names: the container's own, and what those call it that link to it (by their ids)."""
    return sorted([f"/{name}", *(called for names in linked.values() for called in names)])


def command_line(path: str, args: list[str] | None) -> str:
    """As `docker ps` shows it: arguments with spaces in single quotes."""
    return " ".join([path, *(f"'{a}'" if " " in a else a for a in args or [])])


def _dump(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def status_text(
    state: str,
    now: datetime,
    started_at: datetime | None,
    finished_at: datetime | None,
    exit_code: int | None,
    health: str,
) -> str:
    """Docker's `Status` (moby container/state.go, String). The common states come first."""
    if state == "running":
        suffix = _HEALTH_SUFFIX.get(health)
        return f"Up {_since(now, started_at)}{f' ({health})' if suffix is None else suffix}"
    if state in ("created", "exited"):
        if started_at is None:
            return "Created"
        return f"Exited ({exit_code or 0}) {_since(now, finished_at)} ago" if finished_at else ""
    match state:
        case ContainerState.PAUSED:
            return f"Up {_since(now, started_at)} (Paused)"
        case ContainerState.RESTARTING:
            return f"Restarting ({exit_code or 0}) {_since(now, finished_at)} ago"
        case ContainerState.REMOVING:
            return "Removal In Progress"
        case _:
            return "Dead"


_HEALTH_SUFFIX = {"": "", "none": "", "starting": " (health: starting)"}


def _since(now: datetime, moment: datetime | None) -> str:
    return durations.human((now - moment).total_seconds() if moment else 0)
