"""The whole object graph on one screen. Call after a fork: connections are not shared between processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from app.api.app import create_app
from app.api.hijack import Hijack
from app.api.routes import Services
from app.core import build_core
from app.domain.policy import Rules
from app.errors import Error
from app.server.relay import Collect, Relay, Stream
from app.services.container_create import ContainerCreate
from app.services.container_io import ContainerIo
from app.services.container_queries import ContainerQueries
from app.services.events import Events
from app.services.identity import Credential, Identity
from app.services.images import Images
from app.services.process import BEAT_SECONDS, Process
from app.services.system import System
from app.settings import Settings

log = structlog.get_logger()

#: Within this many seconds of a key's removal its streams are cut; the design allows five.
REVOCATION_SECONDS = 2.0


def build(settings: Settings) -> Worker:
    """The WSGI application of one worker."""
    core = build_core(settings, "api")
    identity = Identity(core.store)
    events = Events(core.store)
    services = Services(
        identity=identity,
        system=System(core.store, settings),
        create=ContainerCreate(core.store, core.fleet, core.sync, core.intents, core.networks, settings.fleet),
        lifecycle=core.lifecycle,
        queries=ContainerQueries(core.store, core.fleet, core.sync, settings.fleet),
        io=ContainerIo(core.store, core.fleet, core.sync),
        images=Images(core.store, core.fleet, settings.registry_hosts),
        events=events,
        rules=Rules(),
        ca_file=settings.ca_file,
        threads=settings.threads,
        collect=Collect,
    )
    app = Hijack(create_app(services), Stream)
    return Worker(app, core.process, identity, events)


class Worker:
    """The WSGI application of a gunicorn worker, with the periodic work that it owes while it lives."""

    def __init__(
        self, app: Callable[..., Iterable[bytes]], process: Process, identity: Identity, events: Events
    ) -> None:
        self._app = app
        self._process = process
        self._identity = identity
        self._events = events

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return self._app(environ, start_response)

    def worker_started(self, relay: Relay) -> None:
        """Called by the server once, after the fork."""
        self._events.follow()
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        relay.every(REVOCATION_SECONDS, self._quietly(lambda: self._cut_revoked(relay)))

    def _beat(self) -> None:
        # In a thread of its own: a pool whose threads all wait for an engine would make this process look dead.
        beat = self._quietly(self._process.beat)
        while True:
            time.sleep(BEAT_SECONDS)
            beat()

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
