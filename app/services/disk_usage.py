"""docker system df: what an account's images, containers and volumes take, and the sizes that a prune tells of.

An engine counts the files of all its volumes to tell the size of one. So a count is shared by all who ask meanwhile,
and stands for some time afterwards, the longer the longer it took: an engine never spends more than a part of its time
on counting, however often it is asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import structlog

from app.domain import volume_view
from app.domain.account import Account
from app.domain.node import Node
from app.domain.volume import Volume
from app.engine.fleet import Fleet
from app.errors import Error
from app.services.container_queries import ContainerQueries
from app.services.image_history import ImageHistory
from app.services.images import Images
from app.store import containers, images, nodes, volumes
from app.store.session import Store

log = structlog.get_logger()

Json = dict[str, Any]

KINDS = ("container", "image", "volume", "build-cache")
#: A count stands for so many times as long as it took.
STANDS = 5.0
#: An engine of 20.10 makes one count at a time, whoever asks, and refuses others.
BUSY_SECONDS, BUSY_WORDS = 60.0, "already running"


@dataclass
class _Count:
    lock: threading.Lock = field(default_factory=threading.Lock)
    sizes: dict[str, int] = field(default_factory=dict)
    #: By the monotonic clock: when the last one began, until when it stands, and when the last one failed.
    began: float = float("-inf")
    until: float = float("-inf")
    failed: float = float("-inf")


class VolumeSizes:
    """Sizes of volumes as their engines count them. One per process."""

    def __init__(self, store: Store, fleet: Fleet) -> None:
        self._store = store
        self._fleet = fleet
        self._counts: dict[UUID, _Count] = {}

    def of(self, asked: Iterable[Volume]) -> dict[UUID, int]:
        """Volume id -> bytes: 0 before its first use, -1 where its node does not tell."""
        found = list(asked)
        placed = {v.node_id for v in found if v.node_id is not None}
        with self._store.autocommit() as tx:
            up = {n.id: n for n in nodes.list_all(tx) if n.id in placed and n.state == "up"} if placed else {}
        counted = {node_id: self._on(node) for node_id, node in up.items()}
        sizes = {}
        for volume in found:
            on_node = counted.get(volume.node_id) if volume.node_id else {}
            # One that a count does not have is newer than the count, or was never used.
            sizes[volume.id] = -1 if on_node is None else on_node.get(volume.engine_name, 0)
        return sizes

    def _on(self, node: Node) -> dict[str, int] | None:
        asked = time.monotonic()
        count = self._counts.setdefault(node.id, _Count())
        with count.lock:
            # One that began after this was asked for is as good as one's own.
            if count.began >= asked or time.monotonic() < count.until:
                return count.sizes
            # One that failed while this waited for it: another might be waited for as long.
            if count.failed >= asked:
                return None
            began = time.monotonic()
            try:
                count.sizes = self._ask(node)
            except Error as error:
                log.warning("an engine does not tell the size of its volumes", node=node.name, error=error.message)
                count.failed = time.monotonic()
                return None
            ended = time.monotonic()
            count.began, count.until = began, ended + STANDS * (ended - began)
            return count.sizes

    def _ask(self, node: Node) -> dict[str, int]:
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return self._fleet.on(node).volume_sizes()
            except Error as error:
                if BUSY_WORDS not in error.message or time.monotonic() > until:
                    raise
            time.sleep(0.1)


class DiskUsage:
    def __init__(
        self, store: Store, queries: ContainerQueries, account_images: Images, history: ImageHistory, sizes: VolumeSizes
    ) -> None:
        self._store = store
        self._queries = queries
        self._images = account_images
        self._history = history
        self._sizes = sizes

    def show(self, account: Account, kinds: Collection[str]) -> Json:
        """The answer of GET /system/df at API 1.44; what was not asked for is null."""
        layers, listed = self._of_images(account) if "image" in kinds else (0, None)
        return {
            "LayersSize": layers,
            "Images": listed,
            "Containers": self._of_containers(account) if "container" in kinds else None,
            "Volumes": self._of_volumes(account) if "volume" in kinds else None,
            "BuildCache": [] if "build-cache" in kinds else None,
        }

    def _of_images(self, account: Account) -> tuple[int, list[Json]]:
        with self._store.autocommit() as tx:
            mine = images.list_mine(tx, account.id)
            running, stopped = containers.using_images(tx, account.id)
        weights: dict[str, int] = {}
        for image in mine:
            for layer, size in self._history.layer_sizes(image).items():
                weights[layer] = max(size, weights.get(layer, 0))
        listed = self._images.list(account, everything=False, filters={}, shared_size=True)
        counted = [{**e, "Containers": len(running.get(e["Id"], ())) + len(stopped.get(e["Id"], ()))} for e in listed]
        return sum(weights.values()), counted

    def _of_containers(self, account: Account) -> list[Json]:
        listed = self._queries.list(account, everything=True, limit=0, filters={}, size=True)
        found: list[Json] = orjson.loads(listed)
        return found

    def _of_volumes(self, account: Account) -> list[Json]:
        with self._store.autocommit() as tx:
            mine = volumes.list_mine(tx, account.id)
        sizes = self._sizes.of(mine)
        return [volume_view.entry(volume, size=sizes[volume.id]) for volume in mine]
