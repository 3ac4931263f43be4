"""Whole answers at each version, for `tests/unit/versions/test_version_goldens.py`: everything that an answer shows."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests import busybox
from tests.goldens.lab import Lab, Scrubbed
from tests.machine import UnixConnection

OLD = ("1.20", "1.21", "1.22", "1.23")
BOTH = ("1.24", "1.25", "1.30", "1.34", "1.39", "1.40", "1.41")
VERSIONS = {"20.10": (*OLD, *BOTH), "26.1": (*BOTH, "1.42", "1.43", "1.44")}

#: What is sent at each version in `test_creates_mean_what_the_engine_made_of_them`, and what is kept of its container.
SENT: dict[str, Any] = {
    "Image": "busybox",
    "VolumeDriver": "local",
    "MacAddress": "02:42:ac:11:00:99",
    "HostConfig": {
        "ConsoleSize": [10, 20],
        "AutoRemove": True,
        "MemorySwappiness": -1,
        "LxcConf": [],
        "KernelMemoryTCP": 5000000,
    },
}
KEPT = ("AutoRemove", "ConsoleSize", "IpcMode", "KernelMemoryTCP", "VolumeDriver")

_CHANCE = (
    (re.compile(r"^Up [^(]*"), "Up 5 minutes "),
    (re.compile(r"^(Exited \(\d+\)) .*"), r"\1 5 minutes ago"),
    (re.compile(r"\b[A-Z2-7]{26}\b"), "LINK"),
    (re.compile(r"\b(?:[A-Z2-7]{4}:){11}[A-Z2-7]{4}\b|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "ENGINE"),
    (re.compile(r"^\d\d:\d\d$"), "06:17"),
)
_COUNTS = {"NFd", "NGoroutines", "MemTotal", "NCPU", "Created"}


def _in_order(item: dict[str, Any]) -> str:
    # The names of an image are told otherwise at each version, and its id is the same everywhere.
    return str(item["Id"] if "RepoTags" in item else [item.get(key) for key in ("Destination", "Names", "Name")])


class Whole(Scrubbed):
    """And what else passes by in whole answers; what comes in any order is put in one."""

    def __call__(self, value: Any, key: str = "") -> Any:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = sorted(value, key=_in_order)
        elif key == "ExecIDs" and isinstance(value, list):
            value = sorted(value)
        if key in _COUNTS and isinstance(value, int):
            return 4321
        if isinstance(value, str):
            if key == "Processes" and value.isdigit():
                return "4321"
            for pattern, told in _CHANCE:
                value = pattern.sub(told, value)
            value = value.rstrip(" ")
        return super().__call__(value, key)


def recorded(lab: Lab) -> Iterator[tuple[str, Any]]:
    """Name and content of each file."""
    cases: dict[str, dict[str, list[dict[str, Any]]]] = {}
    with subjects(lab) as asked:
        for name, case, ask in asked:
            scrubbed = Whole(lab)
            for version in VERSIONS[lab.series]:
                body = scrubbed(ask(version))
                answers = cases.setdefault(name, {}).setdefault(case, [])
                if answers and answers[-1]["body"] == body:
                    answers[-1]["versions"] += f" {version}"
                else:
                    answers.append({"versions": version, "body": body})
        yield from cases.items()
        if lab.series != "20.10":
            yield "streams", list(streams(lab))


@contextlib.contextmanager
def subjects(lab: Lab) -> Iterator[list[tuple[str, str, Callable[[str], Any]]]]:
    """(operation, case, what asks it at a version)"""

    def get(path: str) -> Callable[[str], Any]:
        return lambda version: lab.call(version, "GET", path)[1]

    # The image that the lab came with has no name any more.
    lab.load(busybox.archive(Labels={"made": "here"}))
    web: dict[str, Any] = {
        "Cmd": ["sleep", "100000"],
        "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 3600 * 10**9},
        "Labels": {"a": "b"},
        "StopSignal": "INT",
        "StopTimeout": 5,
        "Volumes": {"/anon": {}},
        "HostConfig": {
            "Binds": ["data:/data"],
            "Init": True,
            "Mounts": [{"Type": "volume", "Source": "data", "Target": "/more"}],
            "PidsLimit": 100,
            "PortBindings": {"80/tcp": [{"HostPort": "8080"}]},
            "Tmpfs": {"/scratch": ""},
        },
    }
    front: dict[str, Any] = {
        "HostConfig": {"NetworkMode": "front"},
        "NetworkingConfig": {"EndpointsConfig": {"front": {"Aliases": ["shell"]}}},
    }
    pool = {"Driver": "default", "Config": [{"Subnet": "10.198.1.0/24"}]}
    with contextlib.ExitStack() as made:
        made.enter_context(lab.network("front", IPAM=pool))
        made.enter_context(lab.volume("data"))
        web_id = made.enter_context(lab.container("web", **web))
        made.enter_context(lab.container("term", Cmd=["sleep", "100000"], Tty=True, **front))
        made.enter_context(lab.container("gone", Cmd=["false"], AttachStdout=True))
        lab.ok("POST", "/containers/gone/wait")
        running = lab.exec(web_id, "sleep", "900", AttachStdout=False)
        lab.ok("POST", f"/exec/{running}/start", {"Detach": True})
        finished, created = lab.exec(web_id, "false"), lab.exec(web_id, "false")
        lab.ok("POST", f"/exec/{finished}/start", {})
        execs = {"created": created, "finished": finished, "running": running}
        yield [
            ("containers.create", "made", lambda version: made_of(lab, version)),
            *(("containers.inspect", name, get(f"/containers/{name}/json?size=1")) for name in ("gone", "term", "web")),
            ("containers.list", "all", get("/containers/json?all=1")),
            ("containers.top", "web", get("/containers/web/top")),
            ("containers.wait", "gone", lambda version: lab.call(version, "POST", "/containers/gone/wait")[1]),
            *(("exec.inspect", case, get(f"/exec/{exec_id}/json")) for case, exec_id in execs.items()),
            ("images.inspect", "busybox", get("/images/busybox/json")),
            ("images.list", "all", get("/images/json")),
            ("system.info", "info", get("/info")),
            ("system.version", "version", get("/version")),
        ]


def made_of(lab: Lab, version: str) -> dict[str, Any]:
    """What an engine makes of SENT."""
    body = SENT
    if lab.series == "20.10":
        # It takes the size for one of Windows at every version.
        body = SENT | {"HostConfig": {k: v for k, v in SENT["HostConfig"].items() if k != "ConsoleSize"}}
    status, answer = lab.call(version, "POST", "/containers/create", None, body)
    assert status == 201, answer
    about = lab.ok("GET", f"/containers/{answer['Id']}/json")
    lab.ok("DELETE", f"/containers/{answer['Id']}")
    kept = {key: about["HostConfig"].get(key, 0) for key in KEPT if key != "ConsoleSize" or key in body["HostConfig"]}
    return kept | {"MacAddress": about["Config"].get("MacAddress")}


def streams(lab: Lab) -> Iterator[list[Any]]:
    """(version, operation, on a terminal, upgraded, status, media type)"""
    for version in ("1.24", "1.41", "1.42", "1.44"):
        for terminal in (False, True):
            for upgraded in (False, True):
                for operation in ("containers.logs", "containers.attach", "exec.start"):
                    if upgraded and operation == "containers.logs":
                        continue
                    with lab.container("talk", Tty=terminal) as talk:
                        status, media_type = stream(lab, version, operation, talk, terminal, upgraded)
                    yield [version, operation, terminal, upgraded, status, media_type]


def stream(lab: Lab, version: str, operation: str, talk: str, terminal: bool, upgraded: bool) -> tuple[int, str | None]:
    """Status and media type of the beginning."""
    method, path, body = {
        "containers.logs": ("GET", f"/containers/{talk}/logs?stdout=1", ""),
        "containers.attach": ("POST", f"/containers/{talk}/attach?stream=1&stdout=1", ""),
        "exec.start": ("POST", "", json.dumps({"Tty": terminal})),
    }[operation]
    path = path or f"/exec/{lab.exec(talk, 'true', Tty=terminal)}/start"
    headers = {"Content-Type": "application/json"} if body else {}
    if upgraded:
        headers |= {"Connection": "Upgrade", "Upgrade": "tcp"}
    with contextlib.closing(UnixConnection(lab.engine.socket)) as connection:
        connection.request(method, f"/v{version}{path}", body or None, headers)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"]
