"""info and version: the data center as one Docker host. Never asks an engine."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib import metadata
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

from app.domain.account import Account
from app.domain.container_state import ContainerState
from app.domain.policy.rules import LOG_DRIVERS
from app.settings import Settings
from app.store import containers, images
from app.store.session import Store

Json = dict[str, Any]

VERSION = metadata.version("sdc-docker") if "sdc-docker" in {d.name for d in metadata.distributions()} else "0.1.0"


class System:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    def info(self, account: Account) -> Json:
        """GET /info at API 1.44: the account's own counts, and its quota as the machine's size."""
        with self._store.autocommit() as tx:
            states = containers.count_by_state(tx, account.id)
            image_count = images.count_mine(tx, account.id)
        total = sum(states.values())
        running = states.get(ContainerState.RUNNING, 0) + states.get(ContainerState.RESTARTING, 0)
        paused = states.get(ContainerState.PAUSED, 0)
        return {
            "ID": str(uuid5(NAMESPACE_DNS, self._settings.datacenter)),
            "Containers": total,
            "ContainersRunning": running,
            "ContainersPaused": paused,
            "ContainersStopped": total - running - paused,
            "Images": image_count,
            "Driver": "sdc",
            "ExecutionDriver": f"sdc-{VERSION}",
            "DriverStatus": [
                ["SDCAccount", account.login],
                ["Containers Used", f"{account.used_containers} of {account.max_containers}"],
                ["Memory Used", f"{_gib(account.used_memory)} of {_gib(account.max_memory)} GiB"],
                ["CPUs Used", f"{account.used_nano_cpus / 1e9:g} of {account.max_nano_cpus / 1e9:g}"],
            ],
            "Plugins": {
                "Volume": ["local"],
                "Network": ["bridge", "null"],
                "Authorization": None,
                "Log": sorted(LOG_DRIVERS | self._settings.log_drivers),
            },
            "MemoryLimit": True,
            "SwapLimit": True,
            "CpuCfsPeriod": True,
            "CpuCfsQuota": True,
            "CPUShares": True,
            "CPUSet": False,
            "PidsLimit": True,
            "IPv4Forwarding": True,
            "BridgeNfIptables": True,
            "BridgeNfIp6tables": True,
            "Debug": False,
            "NFd": 0,
            "OomKillDisable": False,
            "NGoroutines": 0,
            "SystemTime": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "LoggingDriver": "json-file",
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": "1",
            "NEventsListener": 0,
            "KernelVersion": "3.12.0-1-amd64",
            "OperatingSystem": "SmartDataCenter",
            "OSVersion": "",
            "OSType": "linux",
            "Architecture": platform.machine(),
            "IndexServerAddress": "https://index.docker.io/v1/",
            "RegistryConfig": {
                "AllowNondistributableArtifactsCIDRs": None,
                "AllowNondistributableArtifactsHostnames": None,
                "InsecureRegistryCIDRs": [],
                "IndexConfigs": {
                    "docker.io": {"Name": "docker.io", "Mirrors": [], "Secure": True, "Official": True},
                },
                "Mirrors": [],
            },
            "NCPU": max(account.max_nano_cpus // 10**9, 1),
            "MemTotal": account.max_memory,
            "GenericResources": None,
            "DockerRootDir": "/var/lib/docker",
            "HttpProxy": "",
            "HttpsProxy": "",
            "NoProxy": "",
            "Name": self._settings.datacenter,
            "Labels": [],
            "ExperimentalBuild": False,
            "ServerVersion": VERSION,
            "Runtimes": {"runc": {"path": "runc"}},
            "DefaultRuntime": "runc",
            "Swarm": {
                "NodeID": "",
                "NodeAddr": "",
                "LocalNodeState": "inactive",
                "ControlAvailable": False,
                "Error": "",
                "RemoteManagers": None,
            },
            "LiveRestoreEnabled": False,
            "Isolation": "",
            "InitBinary": "docker-init",
            "ContainerdCommit": {"ID": "", "Expected": ""},
            "RuncCommit": {"ID": "", "Expected": ""},
            "InitCommit": {"ID": "", "Expected": ""},
            "SecurityOptions": ["name=seccomp,profile=default"],
            "CDISpecDirs": [],
            "Warnings": None,
        }

    @staticmethod
    def version() -> Json:
        """GET /version at API 1.44, but for the API versions, which are the API's own knowledge."""
        return {
            "Platform": {"Name": "SDC Docker"},
            "Version": VERSION,
            "GitCommit": "",
            "GoVersion": f"python{platform.python_version()}",
            "Os": "linux",
            "Arch": "amd64" if platform.machine() == "x86_64" else platform.machine(),
            "KernelVersion": "3.12.0-1-amd64",
            "BuildTime": "",
        }


def _gib(size: int) -> str:
    return f"{size / (1 << 30):.3g}"
