"""A decided spec and resolved references -> the body of the engine's create request, and what inspect shows instead.

Nothing of the tenant's request reaches the engine but through here, value by value.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from app.domain import link
from app.domain.container import Container
from app.domain.link import Link
from app.domain.network import Place, endpoint_settings
from app.domain.node import Node
from app.domain.package import Package
from app.domain.spec import ContainerSpec, PortBinding, Resources, TmpfsMount, VolumeMount

Json = dict[str, Any]

#: A tmpfs of `Mounts` whose size is not given would take half of the node's memory.
TMPFS_SIZE = 64 * 1024 * 1024
#: In microseconds: the kernel takes no less.
LEAST_CPU_QUOTA = 1000

_DISCARDED = {
    "BlkioWeight": "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    "MemoryReservation": "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. "
    "Limitation discarded.",
    "MemorySwappiness": "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. "
    "Memory swappiness discarded.",
}


@dataclass(frozen=True)
class Resolved:
    """What the spec's references mean within the account."""

    account_id: UUID
    container_id: str
    container_uuid: UUID
    name: str
    image_id: str
    image_config: Json
    node: Node
    package: Package
    #: The networks of the account that the container is on, its main one first.
    places: tuple[Place, ...] = ()
    #: Links on the default network.
    links: tuple[Link, ...] = ()
    #: Id -> engine name of the containers that links are to.
    linked: Mapping[str, str] = field(default_factory=dict)
    #: The tenant's words ("container" references of the spec) -> container
    containers: Mapping[str, Container] = field(default_factory=dict)
    #: The tenant's volume name -> engine name
    volumes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Size:
    """What is set on the engine and counted against the quota: bytes, 1e-9 CPUs."""

    memory: int
    nano_cpus: int


def size(spec: ContainerSpec, package: Package, node: Node) -> Size:
    """What the tenant asked for where he did, else the package's; never more CPUs than the node has."""
    wanted = spec.resources
    return Size(wanted.memory or package.memory, wanted.asked_nano_cpus or min(package.nano_cpus, node.cpus * 10**9))


def warnings(spec: ContainerSpec, node: Node) -> list[str]:
    """What the tenant asked for and does not get, the decisions of the policy first."""
    told = list(spec.warnings)
    if "StartInterval" in (spec.config.get("Healthcheck") or {}) and not node.speaks(1, 44):
        told.append("Healthcheck.StartInterval needs an engine with API 1.44 and was ignored")
    return told


def discarded(spec: ContainerSpec, inspect: Json) -> list[str]:
    """The engine's words about limits that were asked for and that its kernel does not have: `inspect` is without."""
    host = inspect.get("HostConfig") or {}
    asked = {
        "BlkioWeight": spec.resources.blkio_weight,
        "MemoryReservation": spec.resources.memory_reservation,
        "MemorySwappiness": spec.resources.memory_swappiness or 0,
    }
    return [_DISCARDED[name] for name, value in asked.items() if value > 0 and host.get(name) != value]


def settings(resolved: Resolved, place: Place) -> Json:
    """The engine's settings of the container's endpoint on a network."""
    return endpoint_settings(resolved.name, resolved.container_id[:12], place, resolved.linked)


def engine_body(spec: ContainerSpec, resolved: Resolved, labels: Mapping[str, str]) -> Json:
    """The body of POST /containers/create at the engine; `labels` are ours and come last."""
    config = dict(spec.config)
    config["Image"] = resolved.image_id
    config["Labels"] = {**config.get("Labels", {}), **labels}
    if config.get("Healthcheck") and not resolved.node.speaks(1, 44):
        config["Healthcheck"] = {k: v for k, v in config["Healthcheck"].items() if k != "StartInterval"}
    shares_network = spec.network.kind == "container"
    if not config.get("Hostname") and not shares_network:
        config["Hostname"] = resolved.container_id[:12]
    anonymous = [v.target for v in spec.volumes if v.name is None and v.origin != "Mounts"]
    if anonymous or spec.covered:
        config["Volumes"] = {target: {} for target in (*anonymous, *spec.covered)}
    brought = resolved.image_config.get("Healthcheck")
    if brought and not config.get("Healthcheck"):
        config["Healthcheck"] = _paced(brought)
    if resolved.links:
        config["Env"] = [*_link_environment(spec, resolved), *(config.get("Env") or [])]
    config["HostConfig"] = _host_config(spec, resolved, labels)
    if resolved.places:
        # The others are joined once the container is there: older engines take one here.
        main = resolved.places[0]
        if main.mac:
            config["MacAddress"] = main.mac
        config["NetworkingConfig"] = {"EndpointsConfig": {main.network.engine_name: settings(resolved, main)}}
    return config


def _link_environment(spec: ContainerSpec, resolved: Resolved) -> list[str]:
    """What the container, or its image, says itself goes before what links would say."""
    own = {
        line.partition("=")[0] for line in [*(spec.config.get("Env") or []), *(resolved.image_config.get("Env") or [])]
    }
    return [line for line in link.environment(resolved.name, resolved.links) if line.partition("=")[0] not in own]


def _paced(healthcheck: Json) -> Json:
    """An image's health check with its times at the floor that a request's own are held to: each run costs the node."""
    times = {key: value for key in ("Interval", "Timeout", "StartPeriod") if (value := healthcheck.get(key) or 0) > 0}
    return {**healthcheck, **{key: max(value, 10**9) for key, value in times.items()}}


def _host_config(spec: ContainerSpec, resolved: Resolved, labels: Mapping[str, str]) -> Json:
    host = {**spec.host, **_resources(spec, resolved)}
    tmpfs = {t.target: _tmpfs_options(t) for t in spec.tmpfs if _as_options(t)}
    if tmpfs:
        host["Tmpfs"] = tmpfs
    ours = {key: labels[key] for key in ("sdc.fleet", "sdc.account") if key in labels}
    mounts = [
        *(_volume_mount(v, resolved, ours) for v in spec.volumes if v.name is not None or v.origin == "Mounts"),
        *(_tmpfs_mount(t) for t in spec.tmpfs if not _as_options(t)),
    ]
    if mounts:
        host["Mounts"] = mounts
    host["VolumesFrom"] = [f"{resolved.containers[ref].engine_name}:{mode}" for ref, mode in spec.volumes_from] or None
    host["NetworkMode"] = _network_mode(spec, resolved)
    for key, namespace in (("IpcMode", spec.ipc), ("PidMode", spec.pid)):
        if namespace.kind == "container":
            host[key] = f"container:{resolved.containers[namespace.ref].engine_name}"
        elif namespace.kind:
            host[key] = namespace.kind
    host["PortBindings"] = _port_bindings(published_ports(spec, resolved.image_config))
    if resolved.links:
        host["ExtraHosts"] = [*(host.get("ExtraHosts") or []), *link.hosts(resolved.links)]
    return host


def _network_mode(spec: ContainerSpec, resolved: Resolved) -> str:
    if spec.network.kind == "container":
        return f"container:{resolved.containers[spec.network.ref].engine_name}"
    return resolved.places[0].network.engine_name if resolved.places else "none"


def published_ports(spec: ContainerSpec, image_config: Json) -> list[PortBinding]:
    """The bindings asked for, and with `-P` one for every other exposed port."""
    ports = list(spec.ports)
    if spec.publish_all:
        bound = {(p.container_port, p.protocol) for p in ports}
        exposed = {**(image_config.get("ExposedPorts") or {}), **(spec.config.get("ExposedPorts") or {})}
        for key in exposed:
            number, _, protocol = key.partition("/")
            if number.isdigit() and (int(number), protocol or "tcp") not in bound:
                ports.append(PortBinding(int(number), protocol or "tcp"))
    return ports


def _port_bindings(ports: list[PortBinding]) -> Json:
    bindings: Json = {}
    for port in ports:
        host_port = str(port.host_port) if port.host_port else ""
        if port.host_port_end > port.host_port:
            host_port = f"{port.host_port}-{port.host_port_end}"
        entry = {"HostIp": "", "HostPort": host_port}
        bindings.setdefault(f"{port.container_port}/{port.protocol}", []).append(entry)
    return bindings


def _resources(spec: ContainerSpec, resolved: Resolved) -> Json:
    wanted, package = spec.resources, resolved.package
    set_size = size(spec, package, resolved.node)
    limits: Json = {
        "Memory": set_size.memory,
        "MemorySwap": wanted.memory_swap or (set_size.memory if wanted.memory else package.memory + package.swap),
        "PidsLimit": wanted.pids_limit or package.pids,
        "CpuShares": wanted.cpu_shares,
    }
    if quota := _cpu_quota(wanted, set_size):
        limits |= {"CpuQuota": quota, "CpuPeriod": wanted.cpu_period}
    else:
        limits["NanoCpus"] = set_size.nano_cpus
    if wanted.memory_reservation:
        limits["MemoryReservation"] = wanted.memory_reservation
    if wanted.memory_swappiness is not None:
        limits["MemorySwappiness"] = wanted.memory_swappiness
    if wanted.blkio_weight:
        limits["BlkioWeight"] = wanted.blkio_weight
    if wanted.storage_size:
        limits["StorageOpt"] = {"size": str(wanted.storage_size)}
    return limits


def _cpu_quota(wanted: Resources, set_size: Size) -> int:
    """Microseconds per period; 0 is for CPUs in whole. A period alone is of the package's CPUs."""
    if wanted.cpu_quota > 0 or not wanted.cpu_period:
        return max(wanted.cpu_quota, 0)
    quota = set_size.nano_cpus * wanted.cpu_period // 10**9
    return quota if quota >= LEAST_CPU_QUOTA else 0


def _volume_mount(volume: VolumeMount, resolved: Resolved, ours: Mapping[str, str]) -> Json:
    source = resolved.volumes[volume.name] if volume.name is not None else ""
    options: Json = {"NoCopy": volume.no_copy}
    if volume.name is None:
        options |= _volume_making(volume)
    elif volume.size:
        options["DriverConfig"] = {"Name": "local", "Options": {"size": str(volume.size)}}
    # Whose it is, for one that an engine is left with.
    options["Labels"] = {**options.get("Labels", {}), **ours}
    return {
        "Type": "volume",
        "Source": source,
        "Target": volume.target,
        "ReadOnly": volume.read_only,
        "VolumeOptions": options,
    }


def _volume_making(volume: VolumeMount) -> Json:
    options: Json = {}
    if volume.labels:
        options["Labels"] = dict(volume.labels)
    if volume.driver or volume.size:
        options["DriverConfig"] = {"Name": volume.driver or "local"}
        if volume.size:
            options["DriverConfig"]["Options"] = {"size": str(volume.size)}
    return options


def _as_options(mount: TmpfsMount) -> bool:
    """Whether it must be sent as `Tmpfs`: no engine's `Mounts` takes options like uid= and nr_inodes=."""
    return mount.origin == "Tmpfs" or bool(mount.options)


def _tmpfs_size(mount: TmpfsMount) -> int | None:
    return TMPFS_SIZE if mount.size is None and mount.origin == "Mounts" else mount.size


def _tmpfs_mount(mount: TmpfsMount) -> Json:
    options: Json = {"SizeBytes": _tmpfs_size(mount)}
    if mount.mode is not None:
        options["Mode"] = mount.mode
    return {"Type": "tmpfs", "Target": mount.target, "ReadOnly": mount.read_only, "TmpfsOptions": options}


def _tmpfs_options(mount: TmpfsMount) -> str:
    options = list(mount.options)
    if mount.read_only:
        options.append("ro")
    if (size_bytes := _tmpfs_size(mount)) is not None:
        options.append(f"size={size_bytes}")
    if mount.mode is not None:
        options.append(f"mode={mount.mode:o}")
    return ",".join(options)


# -- what the tenant sees ----------------------------------------------------------------------------------------


def shown(spec: ContainerSpec, resolved: Resolved) -> Json:
    """The `spec` column of the container's row: the tenant's own words for what the engine was told otherwise."""
    mounts = [_shown_mount(v) for v in spec.volumes if v.origin == "Mounts"]
    mounts += [_shown_tmpfs(t) for t in spec.tmpfs if t.origin == "Mounts"]
    host: Json = {
        "Binds": list(spec.binds) or None,
        "NetworkMode": _shown_namespace(spec, resolved, "network") or "default",
        "PortBindings": {},
        "PublishAllPorts": spec.publish_all,
        "VolumesFrom": [ref if mode == "rw" else f"{ref}:{mode}" for ref, mode in spec.volumes_from] or None,
        "Links": None,
        "PidMode": _shown_namespace(spec, resolved, "pid"),
        "Tmpfs": {},
        **spec.written,
    }
    ipc = _shown_namespace(spec, resolved, "ipc")
    host["IpcMode"] = ipc or "private"
    if mounts:
        host["Mounts"] = mounts
    fixed = [[p.protocol, p.host_port, p.container_port] for p in spec.ports if p.host_port and _single(p)]
    told: Json = {"HostConfig": host, "Ports": fixed}
    if resolved.links:
        told["Links"] = [[linked.container_id, linked.alias] for linked in resolved.links]
        # What the engine is told on their behalf is not what the tenant has asked for.
        told["LinkEnv"] = _link_environment(spec, resolved)
        told["LinkHosts"] = link.hosts(resolved.links)
    return told


def _single(port: PortBinding) -> bool:
    return port.host_port_end <= port.host_port


def _shown_namespace(spec: ContainerSpec, resolved: Resolved, which: str) -> str:
    namespace = getattr(spec, which)
    if namespace.kind == "container":
        return f"container:{resolved.containers[namespace.ref].id}"
    return namespace.ref if namespace.kind == "network" else namespace.kind


def _shown_mount(volume: VolumeMount) -> Json:
    shown_mount: Json = {"Type": "volume", "Source": volume.name or "", "Target": volume.target}
    if volume.read_only:
        shown_mount["ReadOnly"] = True
    options: Json = {}
    if volume.no_copy:
        options["NoCopy"] = True
    options |= _volume_making(volume)
    if options:
        shown_mount["VolumeOptions"] = options
    return shown_mount


def _shown_tmpfs(mount: TmpfsMount) -> Json:
    shown_mount: Json = {"Type": "tmpfs", "Target": mount.target}
    if mount.read_only:
        shown_mount["ReadOnly"] = True
    options: Json = {}
    if mount.size is not None:
        options["SizeBytes"] = mount.size
    if mount.mode is not None:
        options["Mode"] = mount.mode
    if mount.options:
        options["Options"] = [option.split("=", 1) for option in mount.options]
    if options:
        shown_mount["TmpfsOptions"] = options
    return shown_mount
