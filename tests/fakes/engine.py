"""FakeEngine: a Docker Engine in memory, behind the interface of app/engine/engine.py.

It keeps containers, execs, images, networks and volumes, and refuses with the statuses and the words of engine 20.10
that the product relies on. `tests/contract` runs the same tests against it and against a real engine.
"""

from __future__ import annotations

import copy
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.domain.node import Node
from app.engine import lift
from app.engine.client import RawStream
from app.errors import Conflict, Internal, InvalidParameter, NotFound, NotModified
from tests.fakes import shapes
from tests.fakes.body import FakeBody
from tests.fakes.builds import FakeBuilds
from tests.fakes.container_calls import FakeContainerCalls
from tests.fakes.events import FakeEvents
from tests.fakes.execs import FakeExec, FakeExecs
from tests.fakes.networks import FakeNetworks
from tests.fakes.process import STDERR, STDOUT, CannotStart, Process, Wire, raw
from tests.fakes.traps import LIMIT, recorded
from tests.fakes.volumes import FakeVolumes

Json = dict[str, Any]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_SIGNALS = {"KILL", "TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "STOP", "CONT", "WINCH"}
_NUMBERS = {"9": "KILL", "15": "TERM", "2": "INT", "1": "HUP", "3": "QUIT"}


@dataclass
class FakeContainer:
    id: str
    name: str
    image_id: str
    created: str
    config: Json
    host: Json
    networks: dict[str, Json]
    mounts: list[Json]
    state: Json = field(default_factory=shapes.state)
    ports: Json = field(default_factory=dict)
    restarts: int = 0
    log: list[tuple[float, int, bytes]] = field(default_factory=list)
    process: Process | None = None
    attached: list[tuple[Wire, set[int]]] = field(default_factory=list)
    followers: list[tuple[Wire, set[int]]] = field(default_factory=list)
    waiters: list[tuple[str, Wire]] = field(default_factory=list)
    #: What clients wrote to standard input before the start.
    early: list[bytes] = field(default_factory=list)

    @property
    def running(self) -> bool:
        return self.state["Running"]


class FakeEngine(FakeBuilds, FakeContainerCalls, FakeExecs, FakeNetworks, FakeVolumes, FakeEvents):
    def __init__(self) -> None:
        super().__init__()
        self.containers: dict[str, FakeContainer] = {}
        self._ephemeral = 32768

    # -- for tests -----------------------------------------------------------------------------------------------

    def die(self, name: str, code: int) -> None:
        """The container's process ends by itself."""
        container = self._find(name)
        process, container.process = container.process, None
        self._ended(container, code)
        if process:
            process.kill()

    def close(self) -> None:
        """End all processes and streams."""
        for container in list(self.containers.values()):
            if container.process:
                container.process.kill()
        for body in self.bodies:
            body.close()

    # -- system --------------------------------------------------------------------------------------------------

    @recorded
    def version(self) -> Json:
        return {
            "Version": "20.10.24",
            "ApiVersion": "1.41",
            "MinAPIVersion": "1.12",
            "Os": "linux",
            "Arch": "amd64",
            "KernelVersion": "6.1.0",
        }

    @recorded
    def info(self) -> Json:
        return {
            "ID": "FAKE:FAKE",
            "NCPU": 8,
            "MemTotal": 16 << 30,
            "ServerVersion": "20.10.24",
            "OSType": "linux",
            "Architecture": "x86_64",
            "CgroupVersion": "1",
            "LiveRestoreEnabled": False,
            "SystemTime": _now(),
            "Swarm": {"LocalNodeState": "inactive"},
        }

    # -- containers ----------------------------------------------------------------------------------------------

    @recorded
    def create_container(
        self, name: str, body: Json, *, platform: str = "", meanwhile: Callable[[], object] | None = None
    ) -> Json | None:
        if meanwhile is not None:
            meanwhile()
        body = json.loads(json.dumps(body))
        if not _NAME.fullmatch(name):
            raise InvalidParameter(f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
        image = self._image(body.get("Image", ""))
        with self._changed:
            if taken := next((c for c in self.containers.values() if c.name == name), None):
                raise Conflict(
                    f'Conflict. The container name "/{name}" is already in use by container "{taken.id}". '
                    "You have to remove (or rename) that container to be able to reuse that name."
                )
            new = secrets.token_hex(32)
            config = shapes.config(image["Config"], body, new)
            if not (config["Cmd"] or config["Entrypoint"]):
                raise InvalidParameter("No command specified")
            host = shapes.host_config(body.get("HostConfig") or {})
            container = FakeContainer(
                new, name, image["Id"], _now(), config, host, _endpoints(host, body), self._mounts(host, config)
            )
            self.containers[new] = container
        self._emit(container, "create")
        try:
            return self.inspect_container(name)
        except NotFound:
            return None

    @recorded
    def inspect_container(self, name: str, *, size: bool = False, timeout: float = 20.0) -> Json:
        container = self._find(name)
        with self._changed:
            argv = _argv(container)
            # One that nobody has started counts.
            live = [e.id for e in self.execs.values() if e.container is container and e.exit_code is None]
            seen = {
                "Id": container.id,
                "Created": container.created,
                "Path": argv[0],
                "Args": argv[1:],
                "State": container.state,
                "Image": container.image_id,
                "ResolvConfPath": f"/var/lib/docker/containers/{container.id}/resolv.conf",
                "HostnamePath": f"/var/lib/docker/containers/{container.id}/hostname",
                "HostsPath": f"/var/lib/docker/containers/{container.id}/hosts",
                "LogPath": f"/var/lib/docker/containers/{container.id}/{container.id}-json.log",
                "Name": f"/{container.name}",
                "RestartCount": container.restarts,
                "Driver": "overlay2",
                "Platform": "linux",
                "MountLabel": "",
                "ProcessLabel": "",
                "AppArmorProfile": "",
                "ExecIDs": live or None,
                "HostConfig": container.host,
                "GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": "/var/lib/docker/overlay2/x/diff"}},
                "Mounts": container.mounts,
                "Config": container.config,
                "NetworkSettings": {
                    "Bridge": "",
                    "SandboxID": secrets.token_hex(32) if container.running else "",
                    "Ports": container.ports,
                    "Networks": container.networks,
                },
            }
            if size:
                seen |= {"SizeRw": 0, "SizeRootFs": self.images[container.image_id]["Size"]}
            return lift.container(copy.deepcopy(seen))

    @recorded
    def list_containers(self, labels: Iterable[str], *, size: bool = False) -> list[Json]:
        wanted = list(labels)
        with self._changed:
            found = [c for c in self.containers.values() if _carries(c.config["Labels"], wanted)]
            return [
                {
                    "Id": c.id,
                    "Names": [f"/{c.name}"],
                    "Image": c.config["Image"],
                    "ImageID": c.image_id,
                    "Labels": dict(c.config["Labels"]),
                    "State": c.state["Status"],
                    "Created": int(datetime.fromisoformat(c.created).timestamp()),
                }
                | ({"SizeRw": 0, "SizeRootFs": 1000} if size else {})
                for c in reversed(found)
            ]

    @recorded
    def start_container(self, name: str) -> None:
        container = self._find(name)
        if container.running:
            raise NotModified("")
        self._start(container)

    def _start(self, container: FakeContainer) -> None:
        with self._changed:
            for network, endpoint in container.networks.items():
                if network not in self.networks and network != "none":
                    container.state |= {"ExitCode": 128, "Error": f"network {network} not found"}
                    raise NotFound(f"network {network} not found")
                endpoint.update(self._address(network, endpoint, container) if network != "none" else {})
            try:
                process = Process(
                    _argv(container),
                    output=lambda stream, data: self._output(container, stream, data),
                    ended=lambda code: self._exited(container, process, code),
                    stdin=container.config["OpenStdin"],
                )
            except CannotStart as error:
                words = (
                    "failed to create shim task: OCI runtime create failed: runc create failed: unable to start "
                    f'container process: exec: "{error}": executable file not found in $PATH: unknown'
                )
                container.state |= {"ExitCode": 127, "Error": words}
                self._idle(container)
                self._tell(container, ("next-exit",))
                raise InvalidParameter(words) from None
            self._publish(container)
            container.process = process
            container.state = shapes.state() | {
                "Status": "running",
                "Running": True,
                "Pid": 4242,
                "StartedAt": _now(),
                "FinishedAt": container.state["FinishedAt"],
            }
            for data in container.early:
                process.feed(data)
            container.early = []
        for network in list(container.networks):
            self._emit_network(container, "connect", network)
        self._emit_mounts(container, "mount")
        self._emit(container, "start")
        process.start()

    @recorded
    def stop_container(self, name: str, *, seconds: int | None, signal: str | None = None) -> None:
        container = self._find(name)
        if not container.running:
            raise NotModified("")
        self._kill(container)
        self._emit(container, "stop")

    @recorded
    def restart_container(self, name: str, *, seconds: int | None, signal: str | None = None) -> None:
        container = self._find(name)
        self._kill(container)
        self._start(container)
        self._emit(container, "restart")

    @recorded
    def kill_container(self, name: str, signal: str) -> None:
        word = _NUMBERS.get(signal, signal.upper().removeprefix("SIG") or "KILL")
        if word not in _SIGNALS:
            raise InvalidParameter(f"Invalid signal: {signal}")
        try:
            container = self._find(name)
            self._must_run(container)
        except (NotFound, Conflict) as error:
            raise type(error)(f"Cannot kill container: {name}: {error.message}") from None
        if word == "KILL":
            self._kill(container)
        self._emit(container, "kill", signal=word)

    @recorded
    def remove_container(self, name: str, *, force: bool = False, volumes: bool = False) -> None:
        container = self._find(name)
        if container.running:
            if not force:
                raise Conflict(
                    f"You cannot remove a running container {container.id}. "
                    "Stop the container before attempting removal or force remove"
                )
            self._kill(container)
        self._remove(container, volumes=volumes)

    def _remove(self, container: FakeContainer, *, volumes: bool) -> None:
        with self._changed:
            if self.containers.pop(container.id, None) is None:
                return
            self._tell(container, ("removed",))
            for wire, _ in container.attached:
                wire.end()
            if volumes:
                self._drop_anonymous(container.mounts)
        self._emit(container, "destroy")

    @recorded
    def resize_container(self, name: str, *, height: int, width: int) -> None:
        self._must_run(self._find(name))

    @recorded
    def top(self, name: str, ps_args: str | None) -> Json:
        container = self._find(name)
        self._must_run(container)
        titles = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        return {
            "Titles": titles,
            "Processes": [["root", "4242", "4200", "0", "06:23", "?", "00:00:00", " ".join(_argv(container))]],
        }

    @recorded
    def attach(self, name: str, query: Mapping[str, Any]) -> RawStream:
        container = self._find(name)
        wire = Wire(frames=not container.config["Tty"])
        with self._changed:
            streams = _streams(query)
            if query.get("logs"):
                for _, stream, data in container.log:
                    if stream in streams:
                        wire.write(stream, data)
            if not query.get("stream"):
                wire.end()
            else:
                container.attached.append((wire, streams))
                if query.get("stdin") and container.config["OpenStdin"]:
                    wire.read_into(lambda data: self._typed(container, wire, data))
                if container.state["Status"] == "exited":
                    wire.end()
        return raw(wire, {"Content-Type": "application/vnd.docker.raw-stream"}, status=101)

    @recorded
    def logs(self, name: str, query: Mapping[str, Any]) -> RawStream:
        container = self._find(name)
        streams = _streams(query)
        if not streams:
            raise InvalidParameter("Bad parameters: you must choose at least one stream")
        wire = Wire(frames=not container.config["Tty"], chunks=True)
        with self._changed:
            lines = [line for line in container.log if line[1] in streams]
            lines = [line for line in lines if line[0] >= float(query.get("since") or 0)]
            if until := float(query.get("until") or 0):
                lines = [line for line in lines if line[0] <= until]
            tail = str(query.get("tail") or "all")
            if tail.isdigit():
                lines = lines[len(lines) - min(int(tail), len(lines)) :]
            for moment, stream, data in lines:
                stamp = f"{_time(moment)} ".encode() if query.get("timestamps") else b""
                wire.write(stream, stamp + data)
            if query.get("follow") and container.running:
                container.followers.append((wire, streams))
            else:
                wire.end()
        return raw(wire, {"Content-Type": "application/octet-stream"}, status=200)

    @recorded
    def wait(self, name: str, condition: str) -> RawStream:
        container = self._find(name)
        wire = Wire()
        with self._changed:
            container.waiters.append((condition, wire))
            if not container.running and condition not in ("next-exit", "removed"):
                self._tell(container, (condition,))
        return raw(wire, {"Content-Type": "application/json"}, status=200)

    # -- inside --------------------------------------------------------------------------------------------------

    def _find(self, name: str) -> FakeContainer:
        with self._changed:
            for container in self.containers.values():
                if name in (container.id, container.name):
                    return container
        raise NotFound(f"No such container: {name}")

    def _must_run(self, container: FakeContainer) -> None:
        if not container.running:
            raise Conflict(f"Container {container.id} is not running")

    def _kill(self, container: FakeContainer) -> None:
        process = container.process
        if process:
            # Not under the lock: the process's thread takes it to tell of its end.
            process.kill()

    def _output(self, container: FakeContainer, stream: int, data: bytes) -> None:
        if container.config["Tty"]:
            stream, data = STDOUT, data.replace(b"\n", b"\r\n")
        with self._changed:
            if container.host["LogConfig"]["Type"] != "none":
                container.log.append((time.time(), stream, data))
            for wire, streams in [*container.attached, *container.followers]:
                if stream in streams:
                    wire.write(stream, data)

    def _typed(self, container: FakeContainer, wire: Wire, data: bytes) -> None:
        """A client wrote to an attached container's standard input, or (b"") closed its side."""
        with self._changed:
            if data or container.config["StdinOnce"]:
                if container.process:
                    container.process.feed(data)
                elif container.state["Status"] == "created":
                    container.early.append(data)
                return
            container.attached = [pair for pair in container.attached if pair[0] is not wire]
        wire.end()

    def _exited(self, container: FakeContainer, process: Process, code: int) -> None:
        if container.process is process:
            container.process = None
            self._ended(container, code)

    def _ended(self, container: FakeContainer, code: int) -> None:
        with self._changed:
            container.state |= {
                "Status": "exited",
                "Running": False,
                "Pid": 0,
                "ExitCode": code,
                "FinishedAt": _now(),
            }
            self._idle(container)
            for wire, _ in [*container.attached, *container.followers]:
                wire.end()
            container.attached, container.followers = [], []
            self._tell(container, ("", "not-running", "next-exit"))
            gone = [e for e in self.execs.values() if e.container is container and e.running and e.process]
        for running in gone:
            if running.process:
                running.process.kill()
        self._emit(container, "die", exitCode=str(code))
        for network in list(container.networks):
            self._emit_network(container, "disconnect", network)
        self._emit_mounts(container, "unmount")
        if container.host["AutoRemove"]:
            self._remove(container, volumes=True)

    def _idle(self, container: FakeContainer) -> None:
        container.ports = {}
        for endpoint in container.networks.values():
            endpoint.update(shapes.IDLE)

    def _tell(self, container: FakeContainer, conditions: tuple[str, ...]) -> None:
        """Answer those who wait for one of `conditions`."""
        told = [pair for pair in container.waiters if pair[0] in conditions]
        container.waiters = [pair for pair in container.waiters if pair[0] not in conditions]
        error = container.state["Error"]
        answer = {"Error": {"Message": error} if error else None, "StatusCode": container.state["ExitCode"]}
        for _, wire in told:
            wire.write(STDOUT, json.dumps(answer).encode() + b"\n")
            wire.end()

    def _publish(self, container: FakeContainer) -> None:
        """Bind the published ports. Raises Internal where one is taken."""
        bindings: Json = dict.fromkeys(container.config.get("ExposedPorts") or {})
        taken = {
            (port.partition("/")[2], binding["HostPort"])
            for other in self.containers.values()
            for port, bound in other.ports.items()
            for binding in bound or []
        }
        for port, wanted in (container.host["PortBindings"] or {}).items():
            if port not in bindings:
                continue  # An engine publishes what the configuration exposes, and nothing else.
            bindings[port] = []
            for binding in wanted:
                host_port = binding.get("HostPort") or ""
                if not host_port or "-" in host_port:
                    host_port = str(self._ephemeral)
                    self._ephemeral += 1
                host_ip = binding.get("HostIp") or "0.0.0.0"
                if (port.partition("/")[2], host_port) in taken:
                    words = (
                        f"driver failed programming external connectivity on endpoint {container.name} "
                        f"({secrets.token_hex(32)}): Bind for {host_ip}:{host_port} failed: port is already allocated"
                    )
                    container.state |= {"ExitCode": 128, "Error": words}
                    self._idle(container)
                    raise Internal(words)
                bindings[port].append({"HostIp": host_ip, "HostPort": host_port})
        container.ports = bindings


class FakeFleet:
    """Node -> its fake engine, made at first sight; a test may put its own into `engines`."""

    def __init__(self, engine: FakeEngine | None = None) -> None:
        self.engines: dict[str, FakeEngine] = {}
        self._first = engine
        self._lock = threading.Lock()

    def on(self, node: Node) -> FakeEngine:
        with self._lock:
            if node.url not in self.engines:
                self.engines[node.url] = self._first or FakeEngine()
                self._first = None
            return self.engines[node.url]

    def close(self) -> None:
        for engine in self.engines.values():
            engine.close()


def _argv(container: FakeContainer) -> list[str]:
    return [*(container.config["Entrypoint"] or []), *(container.config["Cmd"] or [])]


def _endpoints(host: Json, body: Json) -> dict[str, Json]:
    mode = host["NetworkMode"]
    given = (body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    names = list(given) or ["bridge" if mode == "default" else mode]
    return {name: shapes.ENDPOINT | (given.get(name) or {}) for name in names}


def _carries(labels: Mapping[str, str], wanted: list[str]) -> bool:
    return all(labels.get(key) == value for key, _, value in (label.partition("=") for label in wanted))


def _streams(query: Mapping[str, Any]) -> set[int]:
    return {stream for stream, key in ((STDOUT, "stdout"), (STDERR, "stderr")) if query.get(key)}


def _now() -> str:
    return _time(time.time())


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


__all__ = ["LIMIT", "FakeBody", "FakeContainer", "FakeEngine", "FakeExec", "FakeFleet"]
