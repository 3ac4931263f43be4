"""The table: every field of a create request at API 1.44, the later ones up to 1.56, and what becomes of each.

    config, host, resource, endpoint   kept, as the reader reads it (typed, in range)
    refuse, refuse_true                403 unless empty
    ignore                             not honoured; a line in `Warnings`
    drop                               means nothing to a server
    a name of a module                 decided there; its docstring says how

A field that is not here is never passed on: it becomes a warning, or 400 in an object that carries rights.
`tests/unit/domain/test_policy_fields.py` has Docker's own lists of fields and fails for one that is not here.
"""

from __future__ import annotations

from typing import Any

from app.domain.policy import labels, log_config, mounts, network, process, resources, security
from app.domain.policy.draft import (
    Decision,
    Draft,
    Table,
    config,
    drop,
    endpoint,
    host,
    host_as_written,
    ignore,
    refuse,
    refuse_true,
    resource,
)
from app.domain.policy.values import boolean, words


def _host_config(draft: Draft, path: str, value: Any) -> None:
    HOST_CONFIG.decide(draft, path, value)


def _networking(draft: Draft, path: str, value: Any) -> None:
    NETWORKING.decide(draft, path, value)


def _ipam(draft: Draft, path: str, value: Any) -> None:
    IPAM.decide(draft, path, value)


#: The body of create: `Config`, with the other two objects beside its fields.
BODY = Table(
    {
        "Image": process.image,
        "Hostname": config(process.hostname),
        "Domainname": config(process.domainname),
        "User": config(process.user),
        "AttachStdin": config(boolean),
        "AttachStdout": config(boolean),
        "AttachStderr": config(boolean),
        "Tty": config(boolean),
        "OpenStdin": config(boolean),
        "StdinOnce": config(boolean),
        "Env": config(process.environment),
        "Cmd": config(words),
        "Entrypoint": config(words),
        "Shell": config(words),
        "WorkingDir": config(process.working_dir),
        "Labels": labels.container_labels,
        "ExposedPorts": process.exposed_ports,
        "Volumes": mounts.volumes,
        "Healthcheck": process.healthcheck,
        "StopSignal": config(process.stop_signal),
        "StopTimeout": process.stop_timeout,
        "NetworkDisabled": config(boolean),
        "MacAddress": network.container_mac,
        # About Windows, and about building.
        "ArgsEscaped": drop,
        "OnBuild": ignore,
        # Up to 1.20; engines do not read them here either.
        "Memory": ignore,
        "MemorySwap": ignore,
        "CpuShares": ignore,
        "Cpuset": ignore,
        "PortSpecs": ignore,
        "VolumesFrom": ignore,
        "VolumeDriver": ignore,
        "PublishService": ignore,
        "HostConfig": _host_config,
        "NetworkingConfig": _networking,
    }
)

#: Docker's `container.Resources`: a part of `HostConfig` at create, and what update takes (with RestartPolicy).
RESOURCES: dict[str, Decision] = {
    "Memory": resource("memory", resources.memory("limit")),
    "MemorySwap": resource("memory_swap", resources.memory_swap),
    "MemoryReservation": resource("memory_reservation", resources.memory("reservation")),
    "MemorySwappiness": resource("memory_swappiness", resources.swappiness),
    "NanoCpus": resource("nano_cpus", resources.nano_cpus),
    "CpuShares": resource("cpu_shares", resources.cpu_shares),
    "CpuPeriod": resource("cpu_period", resources.cpu_period),
    "CpuQuota": resource("cpu_quota", resources.cpu_quota),
    "PidsLimit": resources.pids_limit,
    "BlkioWeight": resource("blkio_weight", resources.blkio_weight),
    "Ulimits": resources.ulimits,
    "OomKillDisable": refuse_true("a container that the out-of-memory killer spares"),
    "CgroupParent": refuse("a cgroup parent"),
    "CpusetCpus": refuse("a choice of the node's processors"),
    "CpusetMems": refuse("a choice of the node's memory"),
    "CpuRealtimePeriod": refuse("real-time scheduling"),
    "CpuRealtimeRuntime": refuse("real-time scheduling"),
    "BlkioWeightDevice": refuse("limits by device"),
    "BlkioDeviceReadBps": refuse("limits by device"),
    "BlkioDeviceWriteBps": refuse("limits by device"),
    "BlkioDeviceReadIOps": refuse("limits by device"),
    "BlkioDeviceWriteIOps": refuse("limits by device"),
    "Devices": refuse("devices of the host"),
    "DeviceCgroupRules": refuse("device rules"),
    "DeviceRequests": refuse("device requests"),
    "KernelMemory": ignore,
    "KernelMemoryTCP": ignore,
    # Windows
    "CpuCount": ignore,
    "CpuPercent": ignore,
    "IOMaximumIOps": ignore,
    "IOMaximumBandwidth": ignore,
}

HOST_CONFIG = Table(
    {
        # Rights on the node
        "Privileged": refuse_true("privileged containers"),
        "CapAdd": security.cap_add,
        "CapDrop": security.cap_drop,
        "Capabilities": refuse("an exact list of capabilities"),  # 1.40 only
        "SecurityOpt": security.security_options,
        "Sysctls": security.sysctls,
        "MaskedPaths": security.kernel_paths(security.MASKED_PATHS, "unmasked paths"),
        "ReadonlyPaths": security.kernel_paths(security.READ_ONLY_PATHS, "writable kernel paths"),
        "Runtime": security.runtime,
        "Annotations": refuse("annotations, which runtimes act on,"),
        "Isolation": security.isolation,
        "OomScoreAdj": host(security.oom_score),
        "GroupAdd": host(security.groups),
        # Namespaces
        "IpcMode": security.ipc_mode,
        "PidMode": security.pid_mode,
        "UTSMode": security.uts_mode,
        "UsernsMode": security.userns_mode,
        "CgroupnsMode": security.cgroupns_mode,
        "Cgroup": refuse("another container's cgroup"),
        # Network
        "NetworkMode": network.network_mode,
        "PortBindings": network.published_ports,
        "PublishAllPorts": network.publish_all,
        "Links": network.links,
        "Dns": host_as_written(network.dns_servers),
        "DnsOptions": host(network.resolver_words),
        "DnsSearch": host(network.resolver_words),
        "ExtraHosts": host_as_written(network.extra_hosts),
        # Volumes; the driver comes before what it is the driver of
        "VolumeDriver": mounts.volume_driver,
        "Binds": mounts.binds,
        "Mounts": mounts.mounts,
        "Tmpfs": mounts.tmpfs,
        "VolumesFrom": mounts.volumes_from,
        "ReadonlyRootfs": host(boolean),
        "StorageOpt": resources.storage_options,
        "ShmSize": resources.shm_size,
        # Life
        "RestartPolicy": security.restart_policy,
        "AutoRemove": host(boolean),
        "Init": host(boolean),
        "ConsoleSize": host(security.console_size),
        "LogConfig": log_config.log_config,
        # What the client's side does with it is done there
        "ContainerIDFile": drop,
        "LxcConf": ignore,  # up to 1.21
        **RESOURCES,
    }
)

#: `EndpointSettings`. Clients send these objects back whole, with the data of an earlier answer in them.
ENDPOINT = Table(
    {
        "IPAMConfig": _ipam,
        "Links": endpoint("links", network.endpoint_links),
        "Aliases": endpoint("aliases", network.aliases),
        "MacAddress": endpoint("mac", network.mac_address),
        "DriverOpts": refuse("network driver options"),
        "GwPriority": network.gw_priority,  # 1.48
        "NetworkID": drop,
        "EndpointID": drop,
        "Gateway": drop,
        "IPAddress": drop,
        "IPPrefixLen": drop,
        "IPv6Gateway": drop,
        "GlobalIPv6Address": drop,
        "GlobalIPv6PrefixLen": drop,
        "DNSNames": drop,
    },
    unknown="refuse set",
)

IPAM = Table(
    {
        "IPv4Address": endpoint("ipv4", network.endpoint_address(4)),
        "IPv6Address": endpoint("ipv6", network.endpoint_address(6)),
        "LinkLocalIPs": refuse("link-local addresses"),
    },
    unknown="refuse",
)

NETWORKING = Table({"EndpointsConfig": network.endpoints(ENDPOINT)})
