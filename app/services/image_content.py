"""Image contents on nodes: who may drop them, and when.

Engines hold contents under one name of ours (`sdc.invalid/FLEET:<id>`), which keeps them from a prune by hand; what an
account calls an image stands in the database alone. Taking an image away from an account is a matter of rows. What no
account has any more, and no container uses, an observer drops from the node.

Bringing and dropping exclude each other: a pull, load or import of an image is opened as an operation under the image's
lock and waits for a drop that is under way, and a drop is not begun while one of these is. A drop that was interrupted
stands in its row, and is simply done again.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

import structlog

from app.domain import image_view
from app.domain.account import Account
from app.domain.node import Node
from app.domain.operation import Operation, OperationKind, OperationState
from app.engine.engine import Engine
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, NotFound, Unavailable
from app.services.intent import Intents
from app.services.process import Process
from app.store import images, nodes, operations
from app.store.session import Store, Transaction

log = structlog.get_logger()

Json = dict[str, Any]

BRINGING = (OperationKind.PULL, OperationKind.LOAD, OperationKind.IMPORT)
#: A drop is one short call of an engine.
_WAIT_SECONDS = 30.0
#: How many contents are dropped from a node in one go.
_AT_ONCE = 50


def kept_name(fleet_name: str, image_id: str) -> tuple[str, str]:
    """The repository and the tag by which an engine keeps a content for us."""
    word = re.sub("[^a-z0-9]+", "-", fleet_name.lower()).strip("-") or "sdc"
    return f"sdc.invalid/{word}", image_id.removeprefix("sha256:")


class ImageContent:
    def __init__(self, store: Store, fleet: Fleet, intents: Intents, fleet_name: str) -> None:
        self._store = store
        self._fleet = fleet
        self._intents = intents
        self._fleet_name = fleet_name

    def node(self, image_ids: Collection[str] = ()) -> Node:
        """A node that takes new content, one that holds all these images if there is one. Raises Unavailable."""
        found = self._first(lambda node: not node.cordoned, image_ids)
        found = found or self._first(lambda node: not node.cordoned, ())
        if found is None:
            raise Unavailable("No compute resources available: no healthy node", retry_after=10)
        return found

    def holder(self, image_ids: Collection[str]) -> Node:
        """A node that holds all these images. Raises Unavailable."""
        found = self._first(lambda _: True, image_ids)
        if found is None:
            raise Unavailable("no node that has these images can be reached now", retry_after=10)
        return found

    def _first(self, takes: Callable[[Node], bool], image_ids: Collection[str]) -> Node | None:
        with self._store.autocommit() as tx:
            candidates = [node for node in nodes.list_all(tx) if node.state == "up" and takes(node)]
            if image_ids:
                holding = images.holders(tx, image_ids)
                candidates = [node for node in candidates if node.id in holding]
        return candidates[0] if candidates else None

    @staticmethod
    def find(engine: Engine, image_id: str) -> Json | None:
        """The image as the engine has it; None where it does not."""
        try:
            return engine.inspect_image(image_id)
        except NotFound:
            return None

    # -- bringing ------------------------------------------------------------------------------------------------

    def begin(
        self, account: Account, node: Node, kind: OperationKind, image_id: str, detail: dict[str, Any] | None = None
    ) -> UUID:
        """Open the operation that brings an image to a node. Raises Unavailable where a drop of it does not end."""
        until = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < until:
            with self._store.begin() as tx:
                images.lock(tx, image_id)
                if not images.is_dropping(tx, image_id, node.id):
                    return self._intents.open_new(tx, kind, account.id, image_id, node.id, detail)
            time.sleep(0.1)
        raise Unavailable("the image is just being removed from the node", retry_after=5)

    def keep(self, engine: Engine, image_id: str) -> None:
        """Give the content its name of ours. Raises NotFound where the engine does not have it."""
        engine.tag_image(image_id, *kept_name(self._fleet_name, image_id))

    def record(
        self,
        account: Account,
        node: Node,
        seen: Json,
        operation_id: UUID | None,
        also: Callable[[Transaction], None],
    ) -> None:
        """The account has what has been brought; `also` is done in the same transaction, before the operation ends."""
        with self._store.begin() as tx:
            images.lock(tx, seen["Id"])
            if images.is_dropping(tx, seen["Id"], node.id):
                # What came under another target, by a build, may be what is just going.
                raise Unavailable("the image is just being removed from the node", retry_after=5)
            images.put(tx, seen["Id"], image_view.content(seen), node.id, account.id)
            also(tx)
            if operation_id is not None:
                self._intents.finish(tx, operation_id)

    def give_up(self, operation_id: UUID, node: Node, image_ids: Collection[str], names: Collection[str] = ()) -> None:
        """End an operation that brought nothing to the account. What is on the engine may be dropped."""
        try:
            self.adopt(node, image_ids, names)
            with self._store.begin() as tx:
                self._intents.undone(tx, operation_id, "it failed")
        except BaseException as error:
            self._intents.abandon(operation_id)
            if not isinstance(error, Error):
                raise

    def adopt(self, node: Node, wanted: Collection[str], names: Collection[str] = ()) -> None:
        """Make known what an engine may have got of these ids and names; without an account, it will be dropped."""
        engine = self._fleet.on(node)
        for word in wanted:
            seen = self.find(engine, word)
            if seen is not None:
                with self._store.begin() as tx:
                    images.put_on_node(tx, seen["Id"], image_view.content(seen), node.id)
                with contextlib.suppress(NotFound):
                    self.keep(engine, seen["Id"])
        self.unname(engine, names)

    @staticmethod
    def unname(engine: Engine, names: Collection[str]) -> None:
        """Take names from what an engine has under a name of ours, too."""
        for name in names:
            with contextlib.suppress(NotFound, Conflict):
                engine.remove_image(name)

    # -- dropping ------------------------------------------------------------------------------------------------

    def drop_unreferenced(self, node: Node) -> None:
        """Drop contents that nobody has from a node. Raises Unavailable where it is away."""
        with self._store.autocommit() as tx:
            found = images.unreferenced(tx, node.id, _AT_ONCE)
        for image_id in found:
            with self._store.begin() as tx:
                images.lock(tx, image_id)
                if not images.is_unreferenced(tx, image_id) or operations.are_pending(tx, image_id, BRINGING):
                    continue
                images.set_dropping(tx, image_id, node.id)
            self._drop(node, image_id)

    def _drop(self, node: Node, image_id: str) -> None:
        """What the engine does not want to let go is somebody else's by now."""
        engine = self._fleet.on(node)
        repository, tag = kept_name(self._fleet_name, image_id)
        try:
            engine.remove_image(f"{repository}:{tag}")
            log.info("image dropped", image=image_id, node=node.name)
        except NotFound:
            # It came before it had a name of ours, or is gone.
            self.unname(engine, [image_id])
        except Conflict as error:
            log.warning("image not dropped", image=image_id, node=node.name, error=error.message)
        with self._store.begin() as tx:
            images.lock(tx, image_id)
            images.take_from_node(tx, image_id, node.id)

    # -- recovery ------------------------------------------------------------------------------------------------

    def recover(self, operation: Operation, node: Node, process: Process) -> None:
        """End an operation on images whose process died: nobody was told that it was done."""
        detail = operation.detail
        if operation.kind is OperationKind.PUSH:
            restore_name(self._fleet.on(node), detail["name"], detail["before"])
        else:
            self.adopt(node, detail.get("images") or [operation.target], detail.get("names") or [])
        with self._store.begin() as tx:
            operations.end(tx, operation.id, process.id, OperationState.UNDONE, "its process died")


def restore_name(engine: Engine, name: str, before: str | None) -> None:
    """A name that a push took on the engine means again what it meant before: another image, or nothing ("").

    None: it was not taken yet.
    """
    if before is None:
        return
    with contextlib.suppress(NotFound, Conflict):
        if before:
            repository, _, tag = name.rpartition(":")
            engine.tag_image(before, repository, tag)
        else:
            engine.remove_image(name)
