"""Objects of the domain with good defaults. A test names what it is about and leaves the rest to these."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from app.domain.account import Account
from app.domain.container import Container
from app.domain.container_filter import Candidate
from app.domain.container_state import ContainerState
from app.domain.event import Event
from app.domain.network import Network
from app.domain.node import Node
from app.domain.package import Package
from app.domain.policy import Rules, decide_create
from app.domain.spec import ContainerSpec
from tests.fakes import shapes

Json = dict[str, Any]

MIB, GIB = 1 << 20, 1 << 30
NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
IMAGE_ID = f"sha256:{'1' * 64}"


def number(n: int) -> UUID:
    return UUID(int=n)


def account(n: int = 1, **values: Any) -> Account:
    limits = {"max_containers": 100, "max_memory": 256 * GIB, "max_nano_cpus": 128 * 10**9}
    used = {"used_containers": 0, "used_memory": 0, "used_nano_cpus": 0}
    return Account(**{"id": number(n), "login": f"account{n}", "disabled": False, **limits, **used, **values})


def node(n: int = 1, **values: Any) -> Node:
    engine = {"engine_id": f"ENGINE{n}", "engine_version": "20.10.24", "api_version": "1.41"}
    about = {"id": number(n), "name": f"node{n}", "url": f"unix:///node{n}", "public_address": ""}
    return Node(**{**about, **engine, "state": "up", "cordoned": False, "cpus": 8, "memory": 16 * GIB, **values})


def package(name: str = "t4-standard-1G", **values: Any) -> Package:
    size = {"memory": GIB, "swap": 4 * GIB, "nano_cpus": 10**9, "disk": 25 * GIB, "pids": 1024}
    return Package(**{"id": number(7), "name": name, **size, **values})


def network(n: int = 1, **values: Any) -> Network:
    about = {"id": f"{n:064x}", "uuid": number(n), "account_id": number(1), "name": "bridge", "ready": True}
    return Network(**{**about, "subnet": "10.224.0.0/24", "gateway": "10.224.0.1", **values})


def container(n: int = 1, **values: Any) -> Container:
    uuid = UUID(int=n)
    about = {"id": uuid.hex + "f" * 32, "uuid": uuid, "account_id": number(1), "name": f"c{n}", "node_id": number(1)}
    seen = {"started_at": None, "finished_at": None, "exit_code": None, "health": "", "inspect": None}
    size = {"package": "t4-standard-1G", "memory": GIB, "nano_cpus": 10**9}
    image = {
        "image_id": IMAGE_ID,
        "image": "busybox",
        "spec": {"HostConfig": {"NetworkMode": "default"}},
        "auto_remove": False,
        "tty": False,
    }
    state = {"state": ContainerState.CREATED, "version": 0, "created_at": NOW}
    return Container(**{**about, **state, **image, **size, **seen, "engine_id": "e" * 64, **values})


def candidate(n: int = 1, **values: Any) -> Candidate:
    about = {"id": f"{n:064x}", "name": f"c{n}", "state": "running", "health": "", "exit_code": 0, "labels": {}}
    image = {"image": "busybox", "image_id": IMAGE_ID}
    moments = {"created_at": NOW, "started_at": NOW, "finished_at": None}
    seen: Json = {"networks": None, "ports": None, "exposed": None, "mounts": None}
    return Candidate(**{**about, **image, **moments, **seen, "list_head": "{", "list_tail": "}", **values})


def event(action: str = "start", **values: Any) -> Event:
    about = {"account_id": number(1), "node_id": number(1), "time_nano": 1_700_000_000_000_000_001}
    attributes = {"name": "web", "image": "busybox:latest"}
    rest = {"type": "container", "actor_id": "ab" * 32, "attributes": attributes}
    return Event(**{**about, "action": action, **rest, **values})


def spec(*, name: str = "", platform: str = "", **body: Any) -> ContainerSpec:
    """A create request as the policy decides it: `spec(Cmd=["true"], HostConfig={...})`."""
    asked = {"Image": "busybox", "Cmd": ["sleep", "600"], **body}
    return decide_create(asked, name=name or None, platform=platform, rules=Rules())


def seen(*, host: Json | None = None, **values: Any) -> Json:
    """What an engine's inspect says of a container that was created and not started."""
    config = {**shapes.CONFIG, "Cmd": ["sleep", "600"], "Image": IMAGE_ID, "Labels": {"sdc.op": "x", "a": "b"}}
    about = {"Id": "e" * 64, "Created": "2026-05-04T12:00:00.5Z", "Path": "sleep", "Args": ["600"], "RestartCount": 0}
    state = shapes.state()
    settings: Json = {"Ports": {}, "Networks": {}}
    shown = {"State": state, "HostConfig": shapes.host_config(host or {}), "Config": config, "Mounts": []}
    return {**about, **shown, "Name": "/c-1", "NetworkSettings": settings, "ExecIDs": None, **values}
