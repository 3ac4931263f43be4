"""A request as it was written before a change and as it is written since, and what an engine makes of both.

REQUESTS names, for every change that walks a request up, how old clients wrote it (`older`), how the same is written
since (`newer`), and `seen`, which sends a request as a version has it and tells the outcome. The recorder also sends
the old request unchanged at the new version: that it means something else there is what makes it a change. `table` is
the reason where it does not, because the engine does not look at the version, and `ours` the reason where this service
refuses the old one in other words than the engine.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests import busybox
from tests.goldens import registry
from tests.goldens.lab import Lab, Query, dockerfile, folder_of
from tests.goldens.paths import project

#: A query and a body.
Request = tuple[Query, Any]
Seen = Callable[[Lab, str, Query, Any], Any]

READ_ANYHOW = "the engine reads it in every version"
NEVER_READ = "the engine reads it in no version, and refuses no field that it does not know"


@dataclass(frozen=True)
class Sent:
    """One request before and since a change."""

    operation: str
    older: Request
    #: None where the old version refuses it.
    newer: Request | None
    seen: Seen
    table: str = ""
    ours: str = ""
    words: str = ""


def told(status: int, answer: Any) -> dict[str, Any]:
    """A status, and the message of an error."""
    message = answer.get("message") if isinstance(answer, dict) else None
    if status >= 400 and message is None:
        message = answer.decode().strip() if isinstance(answer, bytes) else str(answer)
    return {"status": status} | ({"message": message} if message else {})


# --- what is looked at -----------------------------------------------------------------------------------------------


def created(*fields: str) -> Seen:
    """Those fields of the container that a create makes."""

    def seen(lab: Lab, version: str, query: Query, body: Any) -> Any:
        with lab.network("left"), lab.network("right"):
            status, answer = lab.call(version, "POST", "/containers/create", query, body)
            if status != 201:
                return told(status, answer)
            path = f"/containers/{answer['Id']}"
            try:
                return {"status": status, "made": project(lab.ok("GET", f"{path}/json"), fields)}
            finally:
                lab.ok("DELETE", path, None, {"force": ["1"], "v": ["1"]})

    return seen


def inspected_with_size(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with lab.container("box", start=False) as box:
        _, answer = lab.call(version, "GET", f"/containers/{box}/json", query)
        return {"shows": sorted({"SizeRw", "SizeRootFs"} & answer.keys())}


def started(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with lab.container("box", start=False) as box:
        return told(*lab.call(version, "POST", f"/containers/{box}/start", query, body or None))


def loaded(lab: Lab, version: str, query: Query, body: Any) -> Any:
    status, answer = lab.call(version, "POST", "/images/load", query, busybox.archive())
    messages = answer if isinstance(answer, list) else [answer]
    return {"status": status, "messages": messages if status == 200 else []}


def exec_created(lab: Lab, version: str, query: Query, body: Any) -> Any:
    """What the command says on a terminal."""
    with lab.container("box") as box:
        status, answer = lab.call(version, "POST", f"/containers/{box}/exec", query, body)
        if status != 201:
            return told(status, answer)
        _, said = lab.call(lab.newest, "POST", f"/exec/{answer['Id']}/start", None, {"Tty": True})
        return {"status": status, "said": text(said)}


def exec_started(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with lab.container("box") as box:
        made = lab.exec(box, "stty", "size", Tty=True)
        status, said = lab.call(version, "POST", f"/exec/{made}/start", query, body)
        return {"status": status, "said": text(said)}


def text(answer: Any) -> str:
    return answer.decode().strip() if isinstance(answer, bytes) else str(answer)


def found(lab: Lab, version: str, query: Query, body: Any) -> Any:
    status, answer = lab.call(version, "GET", "/images/search", query)
    return {"status": status, "found": len(answer)} if status == 200 else told(status, answer)


def tagged(lab: Lab, version: str, query: Query, body: Any) -> Any:
    """The name meant another image before."""
    lab.load(busybox.archive(["shop:1"], other="one"))
    status, answer = lab.call(version, "POST", "/images/busybox/tag", query)
    moved = lab.ok("GET", "/images/shop:1/json")["Id"] == lab.ok("GET", "/images/busybox/json")["Id"]
    lab.ok("DELETE", "/images/shop:1")
    return told(status, answer) | {"moved": moved}


def listed(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with contextlib.ExitStack() as made:
        for name in ("first", "second", "third"):
            made.enter_context(lab.container(name, start=False))
        _, answer = lab.call(version, "GET", "/containers/json", query)
        return {"names": [c["Names"][0] for c in answer]}


def volume_created(lab: Lab, version: str, query: Query, body: Any) -> Any:
    status, answer = lab.call(version, "POST", "/volumes/create", query, body)
    if status != 201:
        return told(status, answer)
    made = lab.ok("GET", f"/volumes/{answer['Name']}")
    lab.ok("DELETE", f"/volumes/{answer['Name']}")
    return {"status": status, "labels": made["Labels"] or {}}


def missing_volume_removed(lab: Lab, version: str, query: Query, body: Any) -> Any:
    return told(*lab.call(version, "DELETE", "/volumes/nosuch", query))


def network_created(*fields: str) -> Seen:
    def seen(lab: Lab, version: str, query: Query, body: Any) -> Any:
        status, answer = lab.call(version, "POST", "/networks/create", query, body)
        if status != 201:
            return told(status, answer)
        made = lab.ok("GET", f"/networks/{answer['Id']}")
        lab.ok("DELETE", f"/networks/{answer['Id']}")
        return {"status": status, "made": project(made, fields)}

    return seen


def network_inspected(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with lab.network("left"):
        return told(*lab.call(version, "GET", "/networks/left", query))


def connected(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with lab.network("left"), lab.container("box") as box:
        status, answer = lab.call(version, "POST", "/networks/left/connect", query, body)
        endpoint = lab.ok("GET", f"/containers/{box}/json")["NetworkSettings"]["Networks"].get("left") or {}
        return told(status, answer) | {"named": "shop" in (endpoint.get("Aliases") or [])}


def disconnected(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with lab.network("left"):
        return told(*lab.call(version, "POST", "/networks/left/disconnect", query, body))


def waited(lab: Lab, version: str, query: Query, body: Any) -> Any:
    """Of a container that has ended and is not removed."""
    with lab.container("box", Cmd=["true"]) as box:
        lab.ok("POST", f"/containers/{box}/wait")
        try:
            status, answer = lab.call(version, "POST", f"/containers/{box}/wait", query, timeout=1.5)
        except TimeoutError:
            return {"waits": True}
        return {"waits": False, "status": status, "code": answer["StatusCode"]}


def put(lab: Lab, version: str, query: Query, body: Any) -> Any:
    """The owner of a file that is copied to a container of another user."""
    with lab.container("box", start=False, User="65534") as box:
        status, answer = lab.call(version, "PUT", f"/containers/{box}/archive", query, folder_of(0))
        path = f"/v{lab.newest}/containers/{box}/archive?path=/tmp/mine"
        _, archive = lab.engine.call("GET", path)
        return told(status, answer) | {"owner": int(archive[108:116].rstrip(b"\0 "), 8)}


def updated(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with lab.container("box", start=False) as box:
        status, answer = lab.call(version, "POST", f"/containers/{box}/update", query, body)
        host = lab.ok("GET", f"/containers/{box}/json")["HostConfig"]
        return told(status, answer) | {"made": {key: host[key] for key in ("CpuShares", "PidsLimit")}}


def sampled(lab: Lab, version: str, query: Query, body: Any) -> Any:
    """Whether there is a sample before."""
    with lab.container("box") as box:
        status, answer = lab.call(version, "GET", f"/containers/{box}/stats", query)
        return {"status": status, "two samples": not answer["preread"].startswith("0001")}


def images_listed(lab: Lab, version: str, query: Query, body: Any) -> Any:
    lab.load(busybox.archive(["shop:1"], other="one"))
    status, answer = lab.call(version, "GET", "/images/json", query)
    lab.ok("DELETE", "/images/shop:1")
    if status != 200:
        return told(status, answer)
    return {"names": sorted(i["RepoTags"][0] for i in answer), "shared": any(i["SharedSize"] > 0 for i in answer)}


def pulled(lab: Lab, version: str, query: Query, body: Any) -> Any:
    return told(*lab.call(version, "POST", "/images/create", query))


def built(lab: Lab, version: str, query: Query, body: Any) -> Any:
    status, answer = lab.call(version, "POST", "/build", query, dockerfile("FROM busybox\n"))
    if status != 200:
        return told(status, answer)
    said = "".join(m.get("stream", m.get("error", "")) for m in answer)
    return {"status": status, "built": "Successfully built" in said}


def ended(verb: str) -> Seen:
    """By which signal; the container says so by its code."""

    def seen(lab: Lab, version: str, query: Query, body: Any) -> Any:
        with lab.container("box") as box:
            time.sleep(0.3)  # The trap is set.
            codes: list[int] = []
            waiting = threading.Thread(
                target=lambda: codes.append(lab.ok("POST", f"/containers/{box}/wait")["StatusCode"])
            )
            waiting.start()
            time.sleep(0.2)
            status, _ = lab.call(version, "POST", f"/containers/{box}/{verb}", query)
            waiting.join(15)
            return {"status": status, "code": codes[0]}

    return seen


def volumes_pruned(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with lab.volume("named"):
        status, answer = lab.call(version, "POST", "/volumes/prune", query)
        return told(status, answer) | {"gone": answer.get("VolumesDeleted")}


def used(lab: Lab, version: str, query: Query, body: Any) -> Any:
    with lab.volume("named"):
        _, answer = lab.call(version, "GET", "/system/df", query)
        return {"shows": sorted(key for key in ("Containers", "Images", "Volumes") if answer[key])}


def websocket(lab: Lab, version: str, query: Query, body: Any) -> Any:
    """What comes back of a word that is sent to a container that repeats it."""
    with lab.container("box", Cmd=["cat"], OpenStdin=True) as box, socket.socket(socket.AF_UNIX) as wire:
        wire.settimeout(2)
        wire.connect(str(lab.engine.socket))
        words = "&".join(f"{key}={values[0]}" for key, values in query.items())
        key = base64.b64encode(bytes(16)).decode()
        wire.sendall(
            f"GET /v{version}/containers/{box}/attach/ws?{words} HTTP/1.1\r\nHost: engine\r\nOrigin: http://engine\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )
        got = b""
        with contextlib.suppress(OSError):  # It may be over at once.
            while b"\r\n\r\n" not in got:
                got += wire.recv(4096)
            # A masked text frame with a mask of zeros.
            wire.sendall(b"\x81\x86" + bytes(4) + b"hello\n")
            while b"hello" not in got and (more := wire.recv(4096)):
                got += more
        return {"status": int(got.split()[1]), "repeated": b"hello" in got}


# --- the requests ----------------------------------------------------------------------------------------------------

BOX = {"Image": "busybox"}
#: As an account's bind can never be; an engine alone takes it.
BIND = {"Type": "bind", "Source": "/tmp", "Target": "/t"}
#: What older versions would get another default of.
PRIVATE = {"IpcMode": "private"}
MAC = "02:42:0a:c6:ff:63"


def _made(older: dict[str, Any], newer: dict[str, Any], *fields: str, table: str = "") -> list[Sent]:
    return [Sent("containers.create", ({}, BOX | older), ({}, BOX | newer), created(*fields), table)]


def _network(name: str, value: Any) -> list[Sent]:
    sent = {"Name": "made", name: value}
    return [
        Sent("networks.create", ({}, sent), ({}, {"Name": "made"}), network_created(name), READ_ANYHOW),
    ]


REQUESTS: dict[str, list[Sent]] = {
    # 1.21
    "VolumeDriverInHostConfig": _made(
        {"VolumeDriver": "local"},
        {"HostConfig": {"VolumeDriver": "local"}},
        "HostConfig.VolumeDriver",
        table="the engine reads both places in every version",
    ),
    "InspectSize": [Sent("containers.inspect", ({"size": ["1"]}, None), ({}, None), inspected_with_size)],
    # 1.22
    "LxcConfRemoved": _made(
        {"HostConfig": {"LxcConf": [], "CpuShares": 5}},
        {"HostConfig": {"CpuShares": 5}},
        "HostConfig.LxcConf",
        "HostConfig.CpuShares",
        table=NEVER_READ,
    ),
    "EndpointAtConnect": [
        Sent(
            "networks.connect",
            ({}, {"Container": "box", "EndpointConfig": {"Aliases": ["shop"]}}),
            ({}, {"Container": "box"}),
            connected,
            READ_ANYHOW,
        )
    ],
    "ForcedDisconnect": [
        Sent(
            "networks.disconnect",
            ({}, {"Container": "nosuch", "Force": True}),
            ({}, {"Container": "nosuch"}),
            disconnected,
            READ_ANYHOW,
        )
    ],
    "InternalNetworks": _network("Internal", True),
    # 1.23
    "LoadProgress": [
        Sent(
            "images.load",
            ({}, None),
            ({"quiet": ["1"]}, None),
            loaded,
            "the engine is quiet in every version unless told otherwise, and answers with JSON in every version",
        )
    ],
    "VolumeLabels": [
        Sent(
            "volumes.create",
            ({}, {"Name": "made", "Labels": {"a": "b"}}),
            ({}, {"Name": "made"}),
            volume_created,
            READ_ANYHOW,
        )
    ],
    "NetworkLabels": _network("Labels", {"a": "b"}),
    # 1.24
    "StartWithoutHostConfig": [
        Sent("containers.start", ({}, {"Memory": 0, "Privileged": False}), ({}, {}), started),
    ],
    "ExecWithoutContainer": [
        Sent(
            "exec.create",
            ({}, {"Container": "box", "Tty": True, "AttachStdout": True, "Cmd": ["echo", "hi"]}),
            ({}, {"Tty": True, "AttachStdout": True, "Cmd": ["echo", "hi"]}),
            exec_created,
            NEVER_READ,
        ),
        Sent("exec.start", ({}, {"Container": "box", "Tty": True}), ({}, {"Tty": True}), exec_started, NEVER_READ),
    ],
    "SearchOptions": [
        Sent(
            "images.search",
            ({"term": [f"{registry.HOST}/thing"], "limit": ["2"]}, None),
            ({"term": [f"{registry.HOST}/thing"]}, None),
            found,
            READ_ANYHOW,
        )
    ],
    "TagWithoutForce": [
        Sent(
            "images.tag",
            ({"repo": ["shop"], "tag": ["1"], "force": ["1"]}, None),
            ({"repo": ["shop"], "tag": ["1"]}, None),
            tagged,
            "the engine moves a name in every version",
        )
    ],
    # 1.25
    "AutoRemove": _made(
        {"HostConfig": {"AutoRemove": True}}, {"HostConfig": {"AutoRemove": False}}, "HostConfig.AutoRemove"
    ),
    "ListSinceAndBefore": [
        Sent(
            "containers.list",
            ({"all": ["1"], name: ["second"]}, None),
            ({"all": ["1"], "filters": [f'{{"{name}": {{"second": true}}}}']}, None),
            listed,
            "the engine does not read the parameters of old clients any more",
        )
        for name in ("since", "before")
    ],
    "VolumeRemovalByForce": [
        Sent("volumes.remove", ({"force": ["1"]}, None), ({}, None), missing_volume_removed, READ_ANYHOW)
    ],
    "AttachableNetworks": _network("Attachable", True),
    # 1.28 to 1.41
    "VerboseNetworks": [
        Sent("networks.inspect", ({"verbose": ["perhaps"]}, None), ({}, None), network_inspected, READ_ANYHOW)
    ],
    "IngressNetworks": _network("Ingress", True),
    "WaitCondition": [Sent("containers.wait", ({"condition": ["removed"]}, None), ({}, None), waited)],
    "CopyOwner": [
        Sent(
            "containers.archive",
            ({"path": ["/tmp"], "copyUIDGID": ["1"]}, None),
            ({"path": ["/tmp"]}, None),
            put,
            READ_ANYHOW,
        )
    ],
    "NetworkConfigurations": _network("ConfigOnly", True),
    "NetworkScope": [
        Sent("networks.inspect", ({"scope": ["swarm"]}, None), ({}, None), network_inspected, READ_ANYHOW)
    ],
    "PullPlatform": [
        Sent(
            "images.create",
            ({"fromImage": [f"{registry.HOST}/thing"], "tag": ["1"], "platform": ["a/b/c/d"]}, None),
            ({"fromImage": [f"{registry.HOST}/thing"], "tag": ["1"]}, None),
            pulled,
        ),
        Sent("images.build", ({"platform": ["a/b/c/d"]}, None), ({}, None), built),
    ],
    "PrivateIpcByDefault": [
        *_made({"HostConfig": {}}, {"HostConfig": {"IpcMode": "shareable"}}, "HostConfig.IpcMode"),
        *_made(
            {},
            {"HostConfig": {"IpcMode": "shareable"}},
            "HostConfig.IpcMode",
            table="the engine looks only where there is a HostConfig; for engines of the time it was the default",
        ),
    ],
    "CreateOf140": [
        *_made(
            {"HostConfig": {**PRIVATE, "KernelMemoryTCP": 5_000_000}},
            {"HostConfig": PRIVATE},
            "HostConfig.KernelMemoryTCP",
        ),
        *_made(
            {"HostConfig": {**PRIVATE, "Mounts": [{**BIND, "BindOptions": {"NonRecursive": True}}]}},
            {"HostConfig": {**PRIVATE, "Mounts": [{**BIND, "BindOptions": {}}]}},
            "HostConfig.Mounts[].BindOptions",
        ),
    ],
    "PidsLimitInUpdate": [
        Sent("containers.update", ({}, {"CpuShares": 5, "PidsLimit": 7}), ({}, {"CpuShares": 5}), updated)
    ],
    "CreatePlatform": [
        Sent("containers.create", ({"platform": ["linux/riscv64"]}, BOX), ({}, BOX), created("Config.Image"))
    ],
    "ImageFilter": [
        Sent(
            "images.list",
            ({"filter": ["shop"]}, None),
            ({"filters": ['{"reference": {"shop": true}}']}, None),
            images_listed,
        )
    ],
    "OneShotStats": [
        Sent("containers.stats", ({"stream": ["0"], "one-shot": ["1"]}, None), ({"stream": ["0"]}, None), sampled)
    ],
    # 1.42
    "StopSignal": [
        Sent(f"containers.{verb}", ({"t": ["5"], "signal": ["INT"]}, None), ({"t": ["5"]}, None), ended(verb))
        for verb in ("stop", "restart")
    ],
    "ConsoleSize": [
        *_made({"HostConfig": {"ConsoleSize": [10, 20]}}, {"HostConfig": {}}, "HostConfig.ConsoleSize"),
        Sent(
            "exec.create",
            ({}, {"Cmd": ["stty", "size"], "Tty": True, "AttachStdout": True, "ConsoleSize": [10, 20]}),
            ({}, {"Cmd": ["stty", "size"], "Tty": True, "AttachStdout": True}),
            exec_created,
        ),
        Sent("exec.start", ({}, {"Tty": True, "ConsoleSize": [10, 20]}), ({}, {"Tty": True}), exec_started),
    ],
    "MountOptionsMatchTheirType": [
        *_made(
            {"HostConfig": {"Mounts": [{"Type": "tmpfs", "Target": "/t", "VolumeOptions": {"NoCopy": True}}]}},
            {"HostConfig": {"Mounts": [{"Type": "tmpfs", "Target": "/t"}]}},
            "HostConfig.Mounts[].Target",
        ),
        *_made(
            {"HostConfig": {"Mounts": [{**BIND, "BindOptions": {"CreateMountpoint": True}}]}},
            {"HostConfig": {"Mounts": [{**BIND, "BindOptions": {}}]}},
            "HostConfig.Mounts",
        ),
    ],
    "SharedSize": [Sent("images.list", ({"shared-size": ["1"]}, None), ({}, None), images_listed)],
    "PruneOfAnonymousVolumes": [
        Sent("volumes.prune", ({}, None), ({"filters": ['{"all": {"true": true}}']}, None), volumes_pruned)
    ],
    "DfTypes": [Sent("system.df", ({"type": ["volume"]}, None), ({}, None), used)],
    "WebsocketStreams": [
        Sent(
            "containers.attach_websocket",
            ({"stream": ["1"]}, None),
            ({"stream": ["1"], "stdin": ["1"], "stdout": ["1"], "stderr": ["1"]}, None),
            websocket,
        )
    ],
    # 1.43 and 1.44
    "Annotations": _made({"HostConfig": {"Annotations": {"a": "b"}}}, {"HostConfig": {}}, "HostConfig.Annotations"),
    "SeveralNetworksAtCreate": [
        Sent(
            "containers.create",
            ({}, BOX | {"NetworkingConfig": {"EndpointsConfig": {"left": {}, "right": {}}}}),
            None,
            created("NetworkSettings.Networks.*.Links"),
            ours="the words are those of engine 20.10",
            words="Container cannot be connected to network endpoints: left, right",
        )
    ],
    "EndpointMacAddress": [
        *_made(
            {"MacAddress": MAC},
            {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": MAC}}}},
            "NetworkSettings.Networks.*.MacAddress",
            table="the engine reads the container's own address in every version",
        ),
        *_made(
            {"NetworkingConfig": {"EndpointsConfig": {"bridge": {"MacAddress": MAC}}}},
            {"NetworkingConfig": {"EndpointsConfig": {"bridge": {}}}},
            "NetworkSettings.Networks.*.MacAddress",
        ),
    ],
    "HealthStartInterval": _made(
        {"Healthcheck": {"Test": ["NONE"], "StartInterval": 5 * 10**9}},
        {"Healthcheck": {"Test": ["NONE"]}},
        "Config.Healthcheck",
    ),
}
