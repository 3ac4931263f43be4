"""The object of each answer, and which of its fields a change is about.

SHAPES names, for every change that walks an answer down, the fields; for all of its operations or for one of them.
`table` is the reason where the engine does not look at the version there, and `older` what an answer of that time had
instead; the fields were not there by default. `ours` is the reason where the engine does look and this service answers
otherwise on purpose, with `older`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests import busybox, later
from tests.goldens import registry
from tests.goldens.lab import SLEEP, Lab, dockerfile, timeless_archive
from tests.machine import folder

#: Asks at a version.
Probe = Callable[[str], Any]

TODAY = "the engine shows the fields of today in every version"
ALWAYS_NULL = "the engine shows it in every version, as null where all went well"
LEFT_OUT = "the engine leaves it out in every version; clients of the time found it"
EVERY_EVENT = "the engine tells every event in every version"


@dataclass(frozen=True)
class Shape:
    """Fields that a change is about."""

    fields: str
    #: For this operation alone; "" is all of the change's.
    operation: str = ""
    #: The object that is asked for, where it is not the operation's usual one.
    subject: str = ""
    table: str = ""
    older: Any = field(default_factory=dict)
    #: What the walk down has to find in the newest answer beside them.
    beside: str = ""
    #: Numbers add up, and are recorded as they are.
    exact: bool = False
    ours: str = ""


_ENDPOINT = "NetworkSettings.Networks.*"


def _host(names: str) -> str:
    return " ".join(f"HostConfig.{name}" for name in names.split())


def _volumes(name: str) -> list[Shape]:
    return [
        Shape(name, "volumes.inspect", table=TODAY),
        Shape(name, "volumes.create", table=TODAY),
        Shape(f"Volumes[].{name}", "volumes.list", table=TODAY, older={"Volumes": [{}]}),
        Shape(f"Volumes[].{name}", "system.df", table=TODAY, older={"Volumes": [{}]}),
    ]


def _networks(names: str) -> list[Shape]:
    return [
        Shape(names, "networks.inspect", table=TODAY),
        Shape(names, "networks.list", table=TODAY, older=[{}]),
    ]


SHAPES: dict[str, list[Shape]] = {
    # 1.21
    "ConfigWithoutNetworkFields": [
        Shape(
            "Config.MacAddress Config.NetworkDisabled Config.ExposedPorts Config.VolumeDriver",
            beside="HostConfig.VolumeDriver",
        ),
        Shape("HostConfig.VolumeDriver", table=TODAY, older={"HostConfig": {}}, beside="Config.Image"),
    ],
    "NetworksInInspect": [Shape("NetworkSettings.Networks.*.IPAddress")],
    "StateStatus": [Shape("State.Status", table=TODAY, older={"State": {}})],
    "InspectSize": [Shape("SizeRw SizeRootFs", subject="size")],
    "HostConfigOf121": [
        Shape(
            _host("KernelMemory MemoryReservation OomScoreAdj DnsOptions") + " Config.StopSignal",
            table=TODAY,
            older={"Config": {}, "HostConfig": {}},
        )
    ],
    "ListImageId": [Shape("ImageID", table=TODAY, older=[{}])],
    "ImageNamesInInspect": [Shape("RepoTags RepoDigests", table=TODAY)],
    "InfoOf121": [Shape("ServerVersion CPUShares CPUSet ClusterStore ClusterAdvertise", table=TODAY)],
    "StatsByNetwork": [
        Shape("networks network"),
        Shape("name id"),
        Shape("preread num_procs storage_stats", table=TODAY),
    ],
    # 1.22
    "LxcConfRemoved": [Shape("HostConfig.LxcConf", table=LEFT_OUT, older={"HostConfig": {"LxcConf": []}})],
    "HostConfigOf122": [
        Shape(
            _host(
                "BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps "
                "ShmSize Tmpfs OomKillDisable"
            ),
            table=TODAY,
            older={"HostConfig": {"OomKillDisable": False}},
        )
    ],
    "EndpointDetails": [
        Shape(
            " ".join(f"{_ENDPOINT}.{name}" for name in ("NetworkID", "IPAMConfig", "Links", "Aliases")),
            table=TODAY,
            older={"NetworkSettings": {"Networks": {"front": {}}}},
        )
    ],
    "MountPropagation": [Shape("Mounts[].Propagation", table=TODAY, older={"Mounts": [{}]})],
    "ListNetworks": [Shape(f"{_ENDPOINT}.NetworkID", table=TODAY, older=[{}])],
    "ExecContainerId": [Shape("ContainerID ExitCode", table=TODAY, older={"ExitCode": 0})],
    "ImageLayers": [Shape("RootFS", table=TODAY)],
    "InfoOf122": [
        Shape(
            "ContainersRunning ContainersPaused ContainersStopped OSType Architecture Plugins SystemStatus",
            table=TODAY,
        )
    ],
    "EventsOfNetworksAndVolumes": [Shape("Type Action", table=EVERY_EVENT, older=[])],
    "NamesOnNetworks": [
        Shape("Containers.*.Name", "networks.inspect", table=TODAY, older={"Containers": {"id1": {}}}),
        Shape("Containers.*.Name", "networks.list", table=TODAY, older=[{"Containers": {"id1": {}}}]),
    ],
    # 1.23
    "HostConfigOf123": [Shape(_host("PidsLimit UsernsMode"), table=TODAY, older={"HostConfig": {}})],
    "ListState": [Shape("State Mounts[].Destination", table=TODAY, older=[{}])],
    "LoginToken": [Shape("IdentityToken Status", table=TODAY, older={"Status": "Login Succeeded"})],
    "InfoOf123": [Shape("CgroupDriver KernelMemory", table=TODAY)],
    "PidsInStats": [Shape("pids_stats", table=TODAY)],
    "VolumeLabels": _volumes("Labels"),
    "NetworkLabels": _networks("Labels EnableIPv6 Internal"),
    # 1.24
    "HealthInInspect": [
        Shape("State.Health Config.Healthcheck", table=TODAY, older={"State": {}, "Config": {}}),
    ],
    "HostConfigOf124": [
        Shape(_host("StorageOpt Sysctls IOMaximumIOps IOMaximumBandwidth"), table=TODAY, older={"HostConfig": {}}),
    ],
    "ExecDriverRemoved": [Shape("ExecDriver", table=LEFT_OUT, older={"ExecDriver": "native-0.2"})],
    "ExecDetachKeys": [Shape("DetachKeys", table=TODAY)],
    "InfoOf124": [Shape("SecurityOptions Swarm.LocalNodeState Runtimes.*.path DefaultRuntime", table=TODAY)],
    "VolumeScope": _volumes("Scope"),
    # 1.25
    "HostConfigOf125": [
        Shape(
            _host("Mounts AutoRemove Init NanoCpus CpuCount CpuRealtimePeriod CpuRealtimeRuntime")
            + " Config.StopTimeout Config.Shell",
            table=TODAY,
            older={"HostConfig": {}, "Config": {}},
        )
    ],
    "MountType": [
        Shape("Mounts[].Type", "containers.inspect", table=TODAY, older={"Mounts": [{}]}),
        Shape("Mounts[].Type", "containers.list", table=TODAY, older=[{"Mounts": [{}]}]),
    ],
    "RemovingState": [
        Shape("State.Status", "containers.inspect", "removing", TODAY, {"State": {"Status": "exited"}}),
        Shape("State", "containers.list", "removing", TODAY, [{"State": "exited"}]),
    ],
    "ExecPid": [Shape("Pid", table=TODAY)],
    "StructuredSecurityOptions": [Shape("SecurityOptions ExecutionDriver")],
    "VolumeOptions": _volumes("Options"),
    "AttachableNetworks": _networks("Attachable Created"),
    # 1.29 to 1.41
    "IngressNetworks": _networks("Ingress"),
    "BuildAux": [Shape("aux.ID")],
    "NetworkConfigurations": _networks("ConfigFrom ConfigOnly"),
    "VolumeCreatedAt": _volumes("CreatedAt"),
    "DfBuildCache": [Shape("BuildCache BuilderSize", table=TODAY)],
    "WaitError": [Shape("StatusCode Error", table=ALWAYS_NULL, older={"StatusCode": 9})],
    "InfoOf139": [Shape("Warnings ProductLicense", table=TODAY)],
    "HostConfigOf140": [Shape(_host("DeviceRequests KernelMemoryTCP"), table=TODAY, older={"HostConfig": {}})],
    "InfoOf140": [Shape("PidsLimit KernelMemoryTCP", table=TODAY)],
    "CgroupnsModeInInspect": [Shape("HostConfig.CgroupnsMode", table=TODAY, older={"HostConfig": {}})],
    "InfoOf141": [Shape("CgroupVersion DefaultAddressPools", table=TODAY)],
    # 1.42 to 1.44
    "KernelMemoryLeftOut": [
        Shape(
            _host("KernelMemory KernelMemoryTCP"),
            table=LEFT_OUT,
            older={"HostConfig": {"KernelMemory": 0, "KernelMemoryTCP": 0}},
        )
    ],
    "InfoKernelMemoryLeftOut": [
        Shape(
            "KernelMemory KernelMemoryTCP",
            ours="no package limits kernel memory",
            older={"KernelMemory": False, "KernelMemoryTCP": True},
        )
    ],
    "DfTypes": [Shape("BuildCache[].Size BuilderSize", exact=True)],
    "Annotations": [Shape("HostConfig.Annotations", "containers.inspect", table=TODAY, older={"HostConfig": {}})],
    "NamelessImages": [Shape("RepoTags RepoDigests", subject="nameless")],
    "HealthStartInterval": [
        Shape(
            "Config.Healthcheck",
            "containers.inspect",
            table=TODAY,
            older={"Config": {"Healthcheck": {"Interval": 3600000000000, "Test": ["CMD", "true"]}}},
        )
    ],
    "EndpointDnsNames": [
        Shape(
            f"{_ENDPOINT}.DNSNames",
            "containers.inspect",
            table=TODAY,
            older={"NetworkSettings": {"Networks": {"front": {}}}},
        ),
        Shape(
            f"{_ENDPOINT}.DNSNames",
            "containers.list",
            table=TODAY,
            older=[{"NetworkSettings": {"Networks": {"front": {}}}}],
        ),
    ],
    "VirtualSizeRemoved": [Shape("Size VirtualSize")],
    "ImageWithoutTime": [Shape("Created", subject="timeless")],
    "InfoOf144": [Shape("Runtimes.*.status Runtimes.*.path"), Shape("CDISpecDirs", table=TODAY)],
}


@contextlib.contextmanager
def subjects(lab: Lab) -> Iterator[dict[str, Probe]]:
    """How each operation's answer is had, by "<operation>" or "<operation> <subject>"."""

    def get(path: str, query: dict[str, list[str]] | None = None) -> Probe:
        def probe(version: str) -> Any:
            status, answer = lab.call(version, "GET", path, query)
            assert status == 200, (path, answer)
            return answer

        return probe

    def post(path: str, query: dict[str, list[str]] | None = None, body: Any = None) -> Probe:
        def probe(version: str) -> Any:
            status, answer = lab.call(version, "POST", path, query, body)
            assert status < 300, (path, answer)
            return answer

        return probe

    def filtered(**filters: str) -> dict[str, list[str]]:
        return {"filters": [json.dumps({key: [value] for key, value in filters.items()})]}

    labels = {"a": "b"}
    host: dict[str, Any] = {
        "NetworkMode": "front",
        "Mounts": [{"Type": "volume", "Source": "data", "Target": "/data"}],
        "PidsLimit": 100,
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "Tmpfs": {"/scratch": ""},
        "VolumeDriver": "local",
    }
    check: dict[str, Any] = {"Test": ["CMD", "true"], "Interval": 3600 * 10**9}
    if lab.series != "20.10":
        host["Annotations"] = labels
        check["StartInterval"] = 5 * 10**9
    web: dict[str, Any] = {
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": check,
        "HostConfig": host,
        "Labels": labels,
        "NetworkingConfig": {"EndpointsConfig": {"front": {"Aliases": ["shop"]}}},
        "Shell": ["/bin/sh"],
        "StopSignal": "INT",
        "StopTimeout": 5,
    }
    pool = {"Driver": "default", "Config": [{"Subnet": "10.198.1.0/24"}]}
    lab.load(busybox.archive((), made="nameless"))
    lab.load(timeless_archive())
    with contextlib.ExitStack() as made:
        made.enter_context(lab.network("front", Labels=labels, IPAM=pool))
        made.enter_context(lab.volume("data", Labels=labels))
        web_id = made.enter_context(lab.container("web", **web))
        exec_id = lab.exec(web_id, "true")
        gone = made.enter_context(lab.container("gone"))
        lab.ok("POST", f"/containers/{gone}/stop")
        until = str(int(time.time()) + 1)
        events = {"since": ["0"], "until": [until], **filtered(type="network", event="connect", network="front")}
        if lab.series != "20.10":
            fill_build_cache(lab)
        build = dockerfile("FROM busybox\nLABEL made=here\n")
        yield {
            "containers.inspect": get(f"/containers/{web_id}/json"),
            "containers.inspect size": get(f"/containers/{web_id}/json", {"size": ["1"]}),
            "containers.inspect removing": lambda version: removing(lab, version, "/containers/{}/json"),
            "containers.list": get("/containers/json", filtered(name="web")),
            "containers.list removing": lambda version: removing(lab, version, "/containers/json?all=1"),
            "containers.stats": get(f"/containers/{web_id}/stats", {"stream": ["0"]}),
            "containers.wait": post(f"/containers/{gone}/wait"),
            "exec.inspect": get(f"/exec/{exec_id}/json"),
            "images.build": lambda version: [m for m in post("/build", {"t": ["built"]}, build)(version) if "aux" in m],
            "images.inspect": get("/images/busybox/json"),
            "images.inspect timeless": get("/images/timeless/json"),
            "images.list": get("/images/json", filtered(reference="busybox")),
            "images.list nameless": get("/images/json", filtered(dangling="true")),
            "networks.inspect": get("/networks/front"),
            "networks.list": lambda version: [
                # Only below 1.28 the list itself tells who is there.
                {**n, "Containers": get("/networks/front")(version)["Containers"]}
                for n in get("/networks", filtered(name="front"))(version)
            ],
            "system.auth": post(
                "/auth", None, {"username": "joe", "password": "secret", "serveraddress": registry.HOST}
            ),
            "system.df": lambda version: used(get("/system/df")(version)),
            "system.events": lambda version: [get("/events", events)(version)],
            "system.info": get("/info"),
            "volumes.create": post("/volumes/create", None, {"Name": "data"}),
            "volumes.inspect": get("/volumes/data"),
            "volumes.list": get("/volumes"),
        }


def used(answer: Any) -> Any:
    """System df with its build cache, which comes in any order, in one order."""
    answer["BuildCache"] = answer["BuildCache"] and sorted(answer["BuildCache"], key=lambda item: item["Size"])
    return answer


def fill_build_cache(lab: Lab) -> None:
    """Build something with BuildKit, which alone keeps a cache that is told of."""
    with folder("buildkit") as home:
        (home / "cli-plugins").mkdir()
        (home / "cli-plugins" / "docker-buildx").symlink_to(later.program("docker-buildx"))
        (home / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        env = os.environ | {"DOCKER_CONFIG": str(home), "DOCKER_HOST": lab.engine.url, "DOCKER_BUILDKIT": "1"}
        command: list[str | Path] = [later.program("docker"), "build", "-q", "-t", "cached", home]
        subprocess.run(command, env=env, capture_output=True, timeout=60, check=True)


def removing(lab: Lab, version: str, path: str) -> Any:
    """What is said of a container while it is being removed, which takes a while because of its many files."""
    with lab.container("many", Cmd=SLEEP, start=False) as many:
        upper = Path(lab.ok("GET", f"/containers/{many}/json")["GraphDriver"]["Data"]["UpperDir"])
        (upper / "many").mkdir()
        for number in range(20_000):
            os.close(os.open(upper / "many" / str(number), os.O_CREAT | os.O_WRONLY))
        remover = threading.Thread(target=lab.engine.call, args=("DELETE", f"/v{lab.newest}/containers/{many}"))
        remover.start()
        try:
            while remover.is_alive():
                status, answer = lab.engine.call("GET", f"/v{version}{path.format(many)}")
                if status != 200:
                    continue
                found = answer if isinstance(answer, dict) else next((c for c in answer if c["Id"] == many), {})
                state = found.get("State", {})
                if (state if isinstance(state, str) else state.get("Status")) == "removing":
                    return found if isinstance(answer, dict) else [found]
        finally:
            remover.join()
    raise AssertionError("it was never seen as being removed")
