"""The whole object graph on one screen. Call after a fork: connections are not shared between processes."""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from app import metrics
from app.api.app import create_app
from app.api.hijack import Hijack
from app.api.long_calls import takes_long
from app.api.middleware import client_of
from app.api.routes import Services
from app.core import build_core
from app.domain.policy import Rules
from app.domain.policy.rules import LOG_DRIVERS
from app.errors import Error
from app.server.relay import Relay
from app.server.stream import Collect, Stream
from app.services.audit import Recorder
from app.services.build import Builds
from app.services.build_prune import BuildPrune
from app.services.container_commit import ContainerCommit
from app.services.container_create import ContainerCreate
from app.services.container_endpoints import Endpoints
from app.services.container_files import ContainerFiles
from app.services.container_io import ContainerIo
from app.services.container_prune import ContainerPrune
from app.services.container_queries import ContainerQueries
from app.services.container_stats import ContainerStats
from app.services.container_update import ContainerUpdate
from app.services.disk_usage import DiskUsage, VolumeSizes
from app.services.events import Events
from app.services.identity import Credential, Identity
from app.services.image_history import ImageHistory
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
from app.services.process import BEAT_SECONDS, Process
from app.services.registries import OwnRegistry, Registries
from app.services.registry_queries import RegistryQueries
from app.services.system import System
from app.services.volumes import Volumes
from app.settings import ProcessSettings, Settings
from app.store.session import Store

log = structlog.get_logger()

#: Within this many seconds of a key's removal its streams are cut; the design allows five.
REVOCATION_SECONDS = 2.0
FIGURE_SECONDS = 1.0


def build(settings: Settings, registry: OwnRegistry | None) -> Worker:
    """The WSGI application of one worker. `registry` is the data center's own."""
    metrics.start(ProcessSettings.from_environ().metrics_folder)
    core = build_core(settings, "api")
    identity = Identity(core.store)
    rules = Rules(allowed_log_drivers=LOG_DRIVERS | settings.log_drivers, allowed_log_hosts=settings.log_hosts)
    events = Events(core.store)
    audit = Recorder(core.store)
    history = ImageHistory(core.store, core.fleet, core.content)
    registries = Registries(settings.registry_hosts, registry)
    image_pull = ImagePull(core.store, core.fleet, core.intents, registries, core.content)
    queries = ContainerQueries(core.store, core.fleet, core.sync, settings.fleet)
    images, sizes = Images(core.store, history), VolumeSizes(core.store, core.fleet)
    services = Services(
        identity=identity,
        system=System(core.store, settings),
        create=ContainerCreate(core.store, core.fleet, core.sync, core.intents, core.networks, settings.fleet),
        lifecycle=core.lifecycle,
        queries=queries,
        io=ContainerIo(core.store, core.fleet, core.sync),
        files=ContainerFiles(core.store, core.fleet, copy_on_old_engines=settings.copy_on_old_engines),
        stats=ContainerStats(core.store, core.fleet),
        update=ContainerUpdate(core.store, core.fleet, core.sync, core.intents, rules),
        commit=ContainerCommit(core.store, core.fleet, core.intents, core.content),
        images=images,
        image_pull=image_pull,
        image_push=ImagePush(core.store, core.fleet, core.intents, registries, core.content),
        image_load=ImageLoad(core.store, core.fleet, core.content),
        image_save=ImageSave(core.store, core.fleet, core.content),
        image_remove=ImageRemove(core.store, history),
        builds=Builds(core.store, core.fleet, core.networks, core.content, image_pull),
        build_prune=BuildPrune(core.store, core.fleet),
        volumes=Volumes(core.store, core.fleet, core.intents, sizes, settings.fleet),
        container_prune=ContainerPrune(core.store, core.lifecycle, queries),
        disk_usage=DiskUsage(core.store, queries, images, history, sizes),
        registries=RegistryQueries(core.fleet, registries, core.content),
        networks=NetworkQueries(core.store, core.networks),
        network_create=NetworkCreate(core.store, core.fleet, core.intents, core.networks, settings.network_reserved),
        network_remove=NetworkRemove(core.store, core.fleet, core.intents),
        network_connect=NetworkConnect(
            core.store,
            core.fleet,
            core.sync,
            core.intents,
            core.networks,
            Endpoints(core.store, core.fleet, core.networks),
        ),
        events=events,
        audit=audit,
        rules=rules,
        ca_file=settings.ca_file,
        collect=Collect,
    )
    app = Hijack(create_app(services), Stream)
    return Worker(app, core.process, identity, events, audit, core.store)


class Worker:
    """The WSGI application of a gunicorn worker, with the periodic work that it owes while it lives."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        process: Process,
        identity: Identity,
        events: Events,
        audit: Recorder,
        store: Store,
    ) -> None:
        self._app = app
        self._store = store
        self._process = process
        self._identity = identity
        self._events = events
        self._audit = audit

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._app(environ, start_response)

    #: Called by the server for each request, before it gets a thread.
    client_of = staticmethod(client_of)
    takes_long = staticmethod(takes_long)

    def worker_started(self, relay: Relay) -> None:
        """Called by the server once, after the fork."""
        self._events.follow()
        # In threads of their own: a pool whose threads all wait for an engine would make this process look dead, and
        # would let the streams of a removed key go on.
        self._repeat("beat", BEAT_SECONDS, self._process.beat)
        self._repeat("revocation", REVOCATION_SECONDS, lambda: self._cut_revoked(relay))
        threading.Thread(target=self._audit.run, name="audit", daemon=True).start()
        atexit.register(self._audit.write_or_warn)
        relay.every(FIGURE_SECONDS, lambda: metrics.set_database_pool(*self._store.connections()))

    def worker_retires(self) -> None:
        """Called by the server when new workers have taken over; the open streams go on here."""
        self._store.close()

    def _repeat(self, name: str, seconds: float, work: Callable[[], None]) -> None:
        quiet = self._quietly(work)

        def run() -> None:
            while True:
                time.sleep(seconds)
                quiet()

        threading.Thread(target=run, name=name, daemon=True).start()

    def _cut_revoked(self, relay: Relay) -> None:
        identities = {identity for identity in relay.identities() if isinstance(identity, Credential)}
        if identities:
            relay.cut(identities - self._identity.still_valid(identities))

    @staticmethod
    def _quietly(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            try:
                work()
            except Error as error:
                log.warning("housekeeping failed", error=error.message)
            except Exception:
                log.exception("housekeeping failed")

        return run
