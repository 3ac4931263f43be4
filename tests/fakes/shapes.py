"""The JSON objects of a fake engine, in the shape of engine 20.10 (API 1.41)."""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]


def _words(text: str) -> list[str]:
    return text.split()


NEVER = "0001-01-01T00:00:00Z"

CONFIG: Json = {
    "Hostname": "",
    "Domainname": "",
    "User": "",
    "AttachStdin": False,
    "AttachStdout": False,
    "AttachStderr": False,
    "Tty": False,
    "OpenStdin": False,
    "StdinOnce": False,
    "Env": None,
    "Cmd": None,
    "Image": "",
    "Volumes": None,
    "WorkingDir": "",
    "Entrypoint": None,
    "OnBuild": None,
    "Labels": None,
}

_HOST_LISTS = _words(
    "Binds PortBindings VolumesFrom CapAdd CapDrop Dns DnsOptions DnsSearch ExtraHosts GroupAdd Links SecurityOpt "
    "BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps Devices "
    "DeviceCgroupRules DeviceRequests MemorySwappiness PidsLimit Ulimits MaskedPaths ReadonlyPaths"
)
_HOST_NUMBERS = _words(
    "OomScoreAdj CpuShares Memory NanoCpus BlkioWeight CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime "
    "KernelMemory KernelMemoryTCP MemoryReservation MemorySwap CpuCount CpuPercent IOMaximumIOps IOMaximumBandwidth"
)
_HOST_TEXTS = _words(
    "ContainerIDFile VolumeDriver Cgroup PidMode UTSMode UsernsMode Isolation CgroupParent CpusetCpus CpusetMems"
)
_HOST_FLAGS = _words("AutoRemove Privileged PublishAllPorts ReadonlyRootfs OomKillDisable")

ENDPOINT: Json = {
    "IPAMConfig": None,
    "Links": None,
    "Aliases": None,
    "NetworkID": "",
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "MacAddress": "",
    "DriverOpts": None,
}

#: An endpoint of a container that does not run.
IDLE: Json = {key: ENDPOINT[key] for key in ENDPOINT if key not in ("IPAMConfig", "Links", "Aliases", "DriverOpts")}


def state() -> Json:
    return {
        "Status": "created",
        "Running": False,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 0,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": NEVER,
        "FinishedAt": NEVER,
    }


def host_config(given: Json) -> Json:
    host: Json = dict.fromkeys(_HOST_LISTS)
    host |= dict.fromkeys(_HOST_NUMBERS, 0)
    host |= dict.fromkeys(_HOST_TEXTS, "")
    host |= dict.fromkeys(_HOST_FLAGS, False)
    host |= {
        "LogConfig": {"Type": "json-file", "Config": {}},
        "NetworkMode": "default",
        "RestartPolicy": {"Name": "", "MaximumRetryCount": 0},
        "CgroupnsMode": "host",
        "IpcMode": "private",
        "ShmSize": 64 << 20,
        "Runtime": "runc",
        "ConsoleSize": [0, 0],
    }
    return host | copy.deepcopy({key: value for key, value in given.items() if value is not None})


def config(image: Json, given: Json, container_id: str) -> Json:
    """The container's configuration: what the request says, and where it is silent, what the image says."""
    merged = CONFIG | {key: value for key, value in given.items() if key not in ("HostConfig", "NetworkingConfig")}
    merged["Hostname"] = merged["Hostname"] or container_id[:12]
    names = {line.partition("=")[0] for line in merged["Env"] or []}
    inherited = [line for line in image.get("Env") or [] if line.partition("=")[0] not in names]
    merged["Env"] = [*(merged["Env"] or []), *inherited]
    if not merged["Entrypoint"]:
        merged["Cmd"] = merged["Cmd"] or image.get("Cmd")
        merged["Entrypoint"] = image.get("Entrypoint")
    merged["Labels"] = (image.get("Labels") or {}) | (merged["Labels"] or {})
    for key in ("WorkingDir", "User"):
        merged[key] = merged[key] or image.get(key, "")
    if exposed := (image.get("ExposedPorts") or {}) | (merged.get("ExposedPorts") or {}):
        merged["ExposedPorts"] = exposed
    return merged


def image(image_id: str, config_file: Json, size: int) -> Json:
    return {
        "Id": image_id,
        "RepoTags": [],
        "RepoDigests": [],
        "Parent": "",
        "Comment": "",
        "Created": config_file.get("created", NEVER),
        "Container": "",
        "ContainerConfig": dict(CONFIG),
        "DockerVersion": "",
        "Author": "",
        "Config": CONFIG | config_file.get("config", {}),
        "Architecture": config_file.get("architecture", "amd64"),
        "Os": config_file.get("os", "linux"),
        "Size": size,
        "VirtualSize": size,
        "GraphDriver": {"Data": {"MergedDir": "/var/lib/docker/overlay2/1/merged"}, "Name": "overlay2"},
        "RootFS": {"Type": "layers", "Layers": config_file["rootfs"]["diff_ids"]},
        "Metadata": {"LastTagTime": NEVER},
    }
