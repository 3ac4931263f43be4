"""What the API's workers and the observer share: the store, the fleet, and the services that keep rows true."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.fleet import Fleet
from app.services.container_endpoints import Endpoints
from app.services.container_lifecycle import ContainerLifecycle
from app.services.container_sync import ContainerSync
from app.services.image_content import ImageContent
from app.services.intent import Intents
from app.services.networks import Networks
from app.services.process import Process
from app.services.recovery import Recovery
from app.settings import Settings
from app.store.session import Store


@dataclass(frozen=True)
class Core:
    """What the API and the observer share."""

    settings: Settings
    store: Store
    fleet: Fleet
    process: Process
    sync: ContainerSync
    lifecycle: ContainerLifecycle
    networks: Networks
    intents: Intents
    recovery: Recovery
    content: ImageContent


def build_core(settings: Settings, kind: str) -> Core:
    store = Store(settings.database_url, pool=settings.database_pool)
    fleet = Fleet()
    process = Process(store, kind)
    sync = ContainerSync(store, fleet)
    intents = Intents(process)
    networks = Networks(store, fleet, process, settings.network_pool, settings.fleet)
    endpoints = Endpoints(store, fleet, networks)
    lifecycle = ContainerLifecycle(store, fleet, sync, intents, endpoints)
    content = ImageContent(store, fleet, intents, settings.fleet)
    recovery = Recovery(store, fleet, process, sync, lifecycle, networks, settings.fleet, content)
    return Core(settings, store, fleet, process, sync, lifecycle, networks, intents, recovery, content)
