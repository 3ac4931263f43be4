"""What a container shall be: the values of a create request after the policy gate has decided every field.

A `ContainerSpec` is the only thing that the service may build an engine request from. References to other objects of
the account (images, volumes, networks, containers) are still the tenant's own words here; the service resolves them
to engine ids within the account.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class VolumeMount:
    """A volume at `target`. `name` is the tenant's volume name, or None for an anonymous volume."""

    target: str
    name: str | None = None
    read_only: bool = False
    no_copy: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    #: "" is the default driver; `size` in bytes is the driver's option of that name, 0 where none was given.
    driver: str = ""
    size: int = 0
    #: Where the request named it: "Binds", "Mounts" or "Volumes"; inspect shows it in the same place.
    origin: str = "Mounts"


@dataclass(frozen=True)
class TmpfsMount:
    """A tmpfs at `target`: size in bytes (None = the default cap), mode as octal int, extra mount options."""

    target: str
    size: int | None = None
    mode: int | None = None
    options: tuple[str, ...] = ()
    read_only: bool = False
    origin: str = "Mounts"


@dataclass(frozen=True)
class PortBinding:
    """One port published at the node's public address. `host_port` 0 lets the engine choose at start."""

    container_port: int
    protocol: str
    host_port: int = 0
    #: Last port of a range that the engine may choose from ("8000-8010"); equal to host_port when there is no range.
    host_port_end: int = 0


@dataclass(frozen=True)
class Namespace:
    """A namespace mode: kind is "" (default), "none", "private", "shareable", "container" or "network"."""

    kind: str = ""
    #: The container (without a leading slash) or network as the tenant wrote it, for kinds "container" and "network".
    ref: str = ""


@dataclass(frozen=True)
class Endpoint:
    """Settings of one endpoint (one network of the container)."""

    aliases: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""


@dataclass(frozen=True)
class Resources:
    """What the request asked for; 0 or None means "as the package says". Bytes, nano CPUs, microseconds."""

    memory: int = 0
    memory_swap: int = 0
    memory_reservation: int = 0
    nano_cpus: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    pids_limit: int | None = None
    storage_size: int = 0
    blkio_weight: int = 0
    memory_swappiness: int | None = None
    #: Label `com.joyent.package`: uuid, name or short uuid of a package.
    package: str = ""

    @property
    def asked_nano_cpus(self) -> int:
        """CPUs as asked for in either way, in 1e-9 CPU; the kernel's period is 100 ms where none is named."""
        if self.nano_cpus or self.cpu_quota <= 0:
            return self.nano_cpus
        return self.cpu_quota * 10**9 // (self.cpu_period or 100_000)


@dataclass(frozen=True)
class ContainerSpec:
    """A decided create request."""

    #: The image as the tenant typed it.
    image: str
    #: Without its slash; None where the tenant gave none (the service then makes one).
    name: str | None = None
    platform: str = ""
    #: Docker's `Config` at API 1.44 with decided, typed values. Image, Volumes and MacAddress are not in it, nor is the
    #: package's label. Hostname to Labels are always there (Cmd and Entrypoint None where none was given);
    #: ExposedPorts, with ranges expanded and published ports added, Healthcheck, Shell, StopSignal, StopTimeout and
    #: NetworkDisabled only where given.
    config: dict[str, Any] = field(default_factory=dict)
    #: Docker's `HostConfig` at API 1.44, decided values that need no resolving and are no resource limit:
    #: RestartPolicy, AutoRemove, LogConfig, CapAdd, CapDrop, Dns, DnsOptions, DnsSearch, ExtraHosts, GroupAdd,
    #: ReadonlyRootfs, SecurityOpt, ShmSize, Sysctls, Ulimits, Init, OomScoreAdj, ConsoleSize, CgroupnsMode, Runtime,
    #: Isolation.
    #: RestartPolicy, AutoRemove, LogConfig, ShmSize and CgroupnsMode are always there, the others where given.
    host: dict[str, Any] = field(default_factory=dict)
    volumes: tuple[VolumeMount, ...] = ()
    #: Of the request's `Volumes`, where something else is mounted: an engine shows them and makes nothing.
    covered: tuple[str, ...] = ()
    tmpfs: tuple[TmpfsMount, ...] = ()
    #: `HostConfig.Binds` as typed, for inspect.
    binds: tuple[str, ...] = ()
    #: (container as typed, "ro" | "rw")
    volumes_from: tuple[tuple[str, str], ...] = ()
    network: Namespace = Namespace()
    ipc: Namespace = Namespace()
    pid: Namespace = Namespace()
    ports: tuple[PortBinding, ...] = ()
    publish_all: bool = False
    #: (container as typed, alias)
    links: tuple[tuple[str, str], ...] = ()
    #: network as typed -> settings ("" and "default" never occur as keys: they are folded into "bridge")
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    resources: Resources = Resources()
    #: `HostConfig` fields as typed, where what was decided may be spelled or bounded otherwise: for inspect, by which
    #: clients see whether a container is still the one that they ask for.
    written: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
