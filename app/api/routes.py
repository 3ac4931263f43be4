"""The one table: method, path, who answers, and the word that the version changes go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.api.resources.container_streams import ContainerAttach, ContainerLogs, ContainerWait
from app.api.resources.containers import (
    ContainerActions,
    ContainerCreation,
    ContainerInspect,
    ContainerList,
    ContainerTop,
)
from app.api.resources.events import Events as EventStream
from app.api.resources.exec import ExecActions, ExecCreate
from app.api.resources.images import ImageCreate, ImageInspect, ImageList, ImageLoad
from app.api.resources.system import CaPem, Info, Ping, Version
from app.api.router import Route
from app.api.share import Share
from app.domain.policy import Rules
from app.services.container_create import ContainerCreate
from app.services.container_io import ContainerIo
from app.services.container_lifecycle import ContainerLifecycle
from app.services.container_queries import ContainerQueries
from app.services.events import Events
from app.services.identity import Identity
from app.services.images import Images
from app.services.system import System

#: Threads of a worker that one account's long calls never get.
SPARE_THREADS = 4


@dataclass(frozen=True)
class Services:
    """What the API calls; `bootstrap.py` makes it."""

    identity: Identity
    system: System
    create: ContainerCreate
    lifecycle: ContainerLifecycle
    queries: ContainerQueries
    io: ContainerIo
    images: Images
    events: Events
    rules: Rules
    ca_file: str
    #: Threads of a worker.
    threads: int
    #: Makes the relay's transform of a function from an engine's whole answer to the client's last bytes.
    collect: Callable[[Callable[[bytes], bytes]], Any]


def table(services: Services) -> list[Route]:
    ping, exec_actions = Ping(), ExecActions(services.io, services.queries)
    share = Share(services.threads - SPARE_THREADS)
    actions = ContainerActions(services.lifecycle, services.io, share)
    wait = ContainerWait(services.io, services.collect)
    return [
        Route("GET", "/_ping", ping.on_get, "system.ping"),
        Route("HEAD", "/_ping", ping.on_head, "system.ping"),
        Route("GET", "/ca.pem", CaPem(services.ca_file).on_get, "system.ca"),
        Route("GET", "/version", Version(services.system).on_get, "system.version"),
        Route("GET", "/info", Info(services.system).on_get, "system.info"),
        Route("GET", "/events", EventStream(services.events).on_get, "system.events"),
        Route("GET", "/containers/json", ContainerList(services.queries).on_get, "containers.list"),
        Route(
            "POST",
            "/containers/create",
            ContainerCreation(services.create, services.rules).on_post,
            "containers.create",
        ),
        Route("GET", "/containers/{name}/json", ContainerInspect(services.queries).on_get, "containers.inspect"),
        Route("GET", "/containers/{name}/top", ContainerTop(services.queries).on_get, "containers.top"),
        Route("GET", "/containers/{name}/logs", ContainerLogs(services.io).on_get, "containers.logs"),
        Route("POST", "/containers/{name}/attach", ContainerAttach(services.io).on_post, "containers.attach"),
        Route("POST", "/containers/{name}/wait", wait.on_post, "containers.wait"),
        Route("POST", "/containers/{name}/start", actions.on_start, "containers.start"),
        Route("POST", "/containers/{name}/stop", actions.on_stop, "containers.stop"),
        Route("POST", "/containers/{name}/restart", actions.on_restart, "containers.restart"),
        Route("POST", "/containers/{name}/kill", actions.on_kill, "containers.kill"),
        Route("POST", "/containers/{name}/rename", actions.on_rename, "containers.rename"),
        Route("POST", "/containers/{name}/resize", actions.on_resize, "containers.resize"),
        Route("POST", "/containers/{name}/exec", ExecCreate(services.io).on_post, "exec.create"),
        Route("DELETE", "/containers/{name}", actions.on_remove, "containers.remove"),
        Route("POST", "/exec/{id}/start", exec_actions.on_start, "exec.start"),
        Route("POST", "/exec/{id}/resize", exec_actions.on_resize, "exec.resize"),
        Route("GET", "/exec/{id}/json", exec_actions.on_inspect, "exec.inspect"),
        Route("GET", "/images/json", ImageList(services.images).on_get, "images.list"),
        Route("POST", "/images/create", ImageCreate(services.images, share).on_post, "images.create"),
        Route("POST", "/images/load", ImageLoad(services.images, share).on_post, "images.load"),
        Route("GET", "/images/{name}/json", ImageInspect(services.images).on_get, "images.inspect"),
    ]
