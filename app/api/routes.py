"""The one table: method, path, who answers, and the word that the version changes go by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.api.resources.build import Build, BuildCachePrune, BuildCancel
from app.api.resources.container_changes import ContainerCommitting, ContainerUpdating
from app.api.resources.container_files import ContainerArchive, ContainerChanges, ContainerExport
from app.api.resources.container_stats import ContainerSamples
from app.api.resources.container_streams import ContainerAttach, ContainerLogs, ContainerWait, ContainerWebsocket
from app.api.resources.containers import (
    ContainerActions,
    ContainerCreation,
    ContainerInspect,
    ContainerList,
    ContainerTop,
)
from app.api.resources.events import Events as EventStream
from app.api.resources.exec import ExecActions, ExecCreate
from app.api.resources.images import (
    ImageActions,
    ImageCreate,
    ImageList,
    ImageLoading,
    ImagePrune,
    ImagePushing,
    ImageSaving,
)
from app.api.resources.networks import NetworkCalls
from app.api.resources.refused import refused
from app.api.resources.registries import RegistryCalls
from app.api.resources.space import ContainersPrune, SystemDf
from app.api.resources.system import CaPem, Info, Ping, Version
from app.api.resources.volumes import VolumeCalls
from app.api.router import Route
from app.api.share import Share
from app.domain.policy import Rules
from app.services.audit import Recorder
from app.services.build import Builds
from app.services.build_prune import BuildPrune
from app.services.container_commit import ContainerCommit
from app.services.container_create import ContainerCreate
from app.services.container_files import ContainerFiles
from app.services.container_io import ContainerIo
from app.services.container_lifecycle import ContainerLifecycle
from app.services.container_prune import ContainerPrune
from app.services.container_queries import ContainerQueries
from app.services.container_stats import ContainerStats
from app.services.container_update import ContainerUpdate
from app.services.disk_usage import DiskUsage
from app.services.events import Events
from app.services.identity import Identity
from app.services.image_load import ImageLoad
from app.services.image_pull import ImagePull
from app.services.image_push import ImagePush
from app.services.image_remove import ImageRemove
from app.services.image_save import ImageSave
from app.services.images import Images
from app.services.network_connect import NetworkConnect
from app.services.network_create import NetworkCreate
from app.services.network_queries import NetworkQueries
from app.services.network_remove import NetworkRemove
from app.services.registry_queries import RegistryQueries
from app.services.system import System
from app.services.volumes import Volumes

#: Calls of one account at a time, in one worker, for which an engine looks at every file of containers. It goes on with
#: it when nobody waits any more, and others have to share the node's disk with it.
MOST_WALKS = 4


@dataclass(frozen=True)
class Services:
    """What the API calls; `bootstrap.py` makes it."""

    identity: Identity
    system: System
    create: ContainerCreate
    lifecycle: ContainerLifecycle
    queries: ContainerQueries
    io: ContainerIo
    files: ContainerFiles
    stats: ContainerStats
    update: ContainerUpdate
    commit: ContainerCommit
    images: Images
    image_pull: ImagePull
    image_push: ImagePush
    image_load: ImageLoad
    image_save: ImageSave
    image_remove: ImageRemove
    builds: Builds
    build_prune: BuildPrune
    volumes: Volumes
    container_prune: ContainerPrune
    disk_usage: DiskUsage
    registries: RegistryQueries
    networks: NetworkQueries
    network_create: NetworkCreate
    network_remove: NetworkRemove
    network_connect: NetworkConnect
    events: Events
    audit: Recorder
    rules: Rules
    ca_file: str
    #: Makes the relay's transform of a function from an engine's whole answer to the client's last bytes.
    collect: Callable[[Callable[[bytes], bytes]], Any]


def table(services: Services) -> list[Route]:
    ping, exec_actions = Ping(), ExecActions(services.io, services.queries)
    walks = Share(MOST_WALKS, "looks at containers' files")
    volumes = VolumeCalls(services.volumes, services.rules)
    actions = ContainerActions(services.lifecycle, services.io)
    wait = ContainerWait(services.io, services.collect)
    archive = ContainerArchive(services.files)
    image = ImageActions(services.images, services.image_remove)
    saving = ImageSaving(services.image_save)
    networks = NetworkCalls(
        services.networks,
        services.network_create,
        services.network_remove,
        services.network_connect,
        services.rules,
    )
    registries = RegistryCalls(services.registries)
    return [
        Route("GET", "/_ping", ping.on_get, "system.ping"),
        Route("HEAD", "/_ping", ping.on_head, "system.ping"),
        Route("GET", "/ca.pem", CaPem(services.ca_file).on_get, "system.ca"),
        Route("GET", "/version", Version(services.system).on_get, "system.version"),
        Route("GET", "/info", Info(services.system).on_get, "system.info"),
        Route("GET", "/events", EventStream(services.events).on_get, "system.events"),
        Route("GET", "/containers/json", ContainerList(services.queries, walks).on_get, "containers.list"),
        Route(
            "POST",
            "/containers/create",
            ContainerCreation(services.create, services.rules).on_post,
            "containers.create",
        ),
        Route("GET", "/containers/{name}/json", ContainerInspect(services.queries, walks).on_get, "containers.inspect"),
        Route("GET", "/containers/{name}/top", ContainerTop(services.queries).on_get, "containers.top"),
        Route("GET", "/containers/{name}/logs", ContainerLogs(services.io).on_get, "containers.logs"),
        Route("POST", "/containers/{name}/attach", ContainerAttach(services.io).on_post, "containers.attach"),
        Route(
            "GET", "/containers/{name}/attach/ws", ContainerWebsocket(services.io).on_get, "containers.attach_websocket"
        ),
        Route("POST", "/containers/{name}/wait", wait.on_post, "containers.wait"),
        Route("POST", "/containers/{name}/start", actions.on_start, "containers.start"),
        Route("POST", "/containers/{name}/stop", actions.on_stop, "containers.stop"),
        Route("POST", "/containers/{name}/restart", actions.on_restart, "containers.restart"),
        Route("POST", "/containers/{name}/kill", actions.on_kill, "containers.kill"),
        Route("POST", "/containers/{name}/pause", actions.on_pause, "containers.pause"),
        Route("POST", "/containers/{name}/unpause", actions.on_unpause, "containers.unpause"),
        Route(
            "POST",
            "/containers/{name}/update",
            ContainerUpdating(services.update, services.rules).on_post,
            "containers.update",
            since="1.22",
        ),
        Route("HEAD", "/containers/{name}/archive", archive.on_head, "containers.archive"),
        Route("GET", "/containers/{name}/archive", archive.on_get, "containers.archive"),
        Route("PUT", "/containers/{name}/archive", archive.on_put, "containers.archive"),
        Route("POST", "/containers/{name}/copy", archive.on_copy, "containers.archive", until="1.24"),
        Route(
            "GET", "/containers/{name}/changes", ContainerChanges(services.files, walks).on_get, "containers.changes"
        ),
        Route("GET", "/containers/{name}/export", ContainerExport(services.files).on_get, "containers.export"),
        Route("GET", "/containers/{name}/stats", ContainerSamples(services.stats).on_get, "containers.stats"),
        Route(
            "POST",
            "/commit",
            ContainerCommitting(services.commit, services.rules).on_post,
            "containers.commit",
        ),
        Route("POST", "/containers/{name}/rename", actions.on_rename, "containers.rename"),
        Route("POST", "/containers/{name}/resize", actions.on_resize, "containers.resize"),
        Route("POST", "/containers/{name}/exec", ExecCreate(services.io).on_post, "exec.create"),
        Route("DELETE", "/containers/{name}", actions.on_remove, "containers.remove"),
        Route("POST", "/exec/{id}/start", exec_actions.on_start, "exec.start"),
        Route("POST", "/exec/{id}/resize", exec_actions.on_resize, "exec.resize"),
        Route("GET", "/exec/{id}/json", exec_actions.on_inspect, "exec.inspect"),
        Route("GET", "/networks", networks.on_list, "networks.list", "1.21"),
        Route("GET", "/networks/", networks.on_list, "networks.list", "1.21"),
        Route("POST", "/networks/create", networks.on_create, "networks.create", "1.21"),
        Route("POST", "/networks/prune", networks.on_prune, "networks.prune", "1.25"),
        Route("GET", "/networks/{name}", networks.on_inspect, "networks.inspect", "1.21"),
        Route("DELETE", "/networks/{name}", networks.on_remove, "networks.remove", "1.21"),
        Route("POST", "/networks/{name}/connect", networks.on_connect, "networks.connect", "1.21"),
        Route("POST", "/networks/{name}/disconnect", networks.on_disconnect, "networks.disconnect", "1.21"),
        Route("GET", "/images/json", ImageList(services.images).on_get, "images.list"),
        Route("GET", "/images/search", registries.on_search, "images.search"),
        Route("GET", "/images/get", saving.on_get_all, "images.save"),
        Route("GET", "/images/{name}/get", saving.on_get, "images.save"),
        Route(
            "POST",
            "/images/create",
            ImageCreate(services.image_pull, services.image_load).on_post,
            "images.create",
        ),
        Route("POST", "/images/load", ImageLoading(services.image_load).on_post, "images.load"),
        Route("POST", "/images/prune", ImagePrune(services.image_remove).on_post, "images.prune", since="1.25"),
        Route("GET", "/images/{name}/json", image.on_inspect, "images.inspect"),
        Route("GET", "/images/{name}/history", image.on_history, "images.history"),
        Route("POST", "/images/{name}/push", ImagePushing(services.image_push).on_post, "images.push"),
        Route("POST", "/images/{name}/tag", image.on_tag, "images.tag"),
        Route("DELETE", "/images/{name}", image.on_remove, "images.remove"),
        Route("POST", "/build", Build(services.builds, services.rules).on_post, "images.build"),
        Route(
            "POST",
            "/build/prune",
            BuildCachePrune(services.build_prune).on_post,
            "build.prune",
            since="1.31",
        ),
        Route("POST", "/build/cancel", BuildCancel().on_post, "build.cancel"),
        Route("POST", "/auth", registries.on_auth, "system.auth"),
        Route("GET", "/distribution/{name}/json", registries.on_distribution, "distribution.inspect", since="1.30"),
        Route("GET", "/volumes", volumes.on_list, "volumes.list", "1.21"),
        Route("GET", "/volumes/", volumes.on_inspect_nameless, "volumes.inspect", "1.21"),
        Route("POST", "/volumes/create", volumes.on_create, "volumes.create", "1.21"),
        Route("POST", "/volumes/prune", volumes.on_prune, "volumes.prune", "1.25"),
        Route("GET", "/volumes/{name}", volumes.on_inspect, "volumes.inspect", "1.21"),
        Route("DELETE", "/volumes/{name}", volumes.on_remove, "volumes.remove", "1.21"),
        Route(
            "POST",
            "/containers/prune",
            ContainersPrune(services.container_prune, walks).on_post,
            "containers.prune",
            "1.25",
        ),
        Route("GET", "/system/df", SystemDf(services.disk_usage, walks).on_get, "system.df", "1.25"),
        *refused(),
    ]
