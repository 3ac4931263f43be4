"""docker push. An engine pushes what it knows by the name to push to, so the name is taken there for the while.

One push of a name at a time on a node: a unique index over pending operations sees to that. Who comes second waits.
What the name meant on the engine before, which matters on an engine that others use too, it means again afterwards.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from typing import Any
from uuid import UUID

from app.domain import event, image_reference, progress
from app.domain.account import Account
from app.domain.image_reference import ImageReference
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.engine.engine import Engine
from app.engine.fleet import Fleet
from app.errors import Error, InvalidParameter, NotFound, Unavailable
from app.services.image_content import ImageContent, restore_name
from app.services.intent import Intents
from app.services.registries import Registries, Remote
from app.store import events, images, operations
from app.store.session import Store, UniqueViolation
from app.stream import json_stream

Json = dict[str, Any]

_WAIT_SECONDS = 600.0
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImagePush:
    def __init__(
        self, store: Store, fleet: Fleet, intents: Intents, registries: Registries, content: ImageContent
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._intents = intents
        self._registries = registries
        self._content = content

    def push(self, account: Account, name: str, tag: str, *, auth: Mapping[str, str]) -> Generator[Json, None, None]:
        """Start a push of one tag, or of all tags of a repository. `auth` has the fields of an AuthConfig.

        What comes are its messages; closing it ends the push on the engine. Raises InvalidParameter, Forbidden. What
        goes wrong later is a message, as with dockerd.
        """
        reference = image_reference.parse(f"{name}:{tag}" if tag else name)
        if reference.digest:
            raise InvalidParameter("cannot push a digest reference")
        remote = self._registries.remote(account, reference, auth)
        return self._told(account, remote)

    def _told(self, account: Account, remote: Remote) -> Generator[Json, None, None]:
        shown = remote.shown
        yield {"status": f"The push refers to repository [{shown.repository}]"}
        try:
            with self._store.autocommit() as tx:
                tags = images.list_tags(tx, account.id, shown.repository)
            wanted = [(tag, image_id) for tag, image_id in tags if not shown.tag or tag == shown.tag]
            if not wanted:
                raise NotFound(f"An image does not exist locally with the tag: {shown.familiar_repository}")
            for tag, image_id in wanted:
                yield from self._one(account, remote, tag, image_id)
        except Error as error:
            yield json_stream.error(remote.words(error.message))

    def _one(self, account: Account, remote: Remote, tag: str, image_id: str) -> Iterator[Json]:
        node = self._content.holder([image_id])
        engine = self._fleet.on(node)
        name = f"{remote.repository}:{tag}"
        operation = self._begin(account, node, name)
        before: str | None = None
        digest = ""
        try:
            # Only who has the name to himself sees what it meant before.
            before = self._meant(engine, name)
            with self._store.begin() as tx:
                operations.set_detail(tx, operation, {"name": name, "before": before})
            self._content.keep(engine, image_id)
            engine.tag_image(image_id, remote.repository, tag)
            with engine.push_image(remote.repository, tag, auth=remote.auth_header) as body:
                for message in body.messages():
                    if "error" in message or "errorDetail" in message:
                        yield json_stream.error(remote.words(str(message.get("error") or "the push failed")))
                        return
                    shown = _shown(message)
                    if shown is not None:
                        digest = shown.get("aux", {}).get("Digest", digest)
                        yield shown
        finally:
            # Where the client has left nobody hears what goes wrong now; what is left then, an observer ends.
            left = isinstance(sys.exception(), GeneratorExit)
            with contextlib.suppress(Error) if left else contextlib.nullcontext():
                self._end(account, remote.shown, engine, operation, (name, before), (tag, digest, image_id))

    @staticmethod
    def _meant(engine: Engine, name: str) -> str:
        try:
            return str(engine.inspect_image(name)["Id"])
        except NotFound:
            return ""

    def _begin(self, account: Account, node: Node, name: str) -> UUID:
        until = time.monotonic() + _WAIT_SECONDS
        detail = {"name": name, "before": None}
        while time.monotonic() < until:
            with contextlib.suppress(UniqueViolation), self._store.begin() as tx:
                return self._intents.open_new(tx, OperationKind.PUSH, account.id, name, node.id, detail)
            time.sleep(0.2)
        raise Unavailable("another push to this name does not end", retry_after=10)

    def _end(
        self,
        account: Account,
        shown: ImageReference,
        engine: Engine,
        operation: UUID,
        taken: tuple[str, str | None],
        pushed: tuple[str, str, str],
    ) -> None:
        """Give the name on the engine back, and tell what has been pushed ("" as its digest: nothing)."""
        tag, digest, image_id = pushed
        try:
            restore_name(engine, *taken)
            with self._store.begin() as tx:
                if digest:
                    images.lock(tx, image_id)
                    if images.has(tx, account.id, image_id):
                        images.set_name(tx, account.id, shown.repository, digest, image_id)
                    name = f"{shown.familiar_repository}:{tag}"
                    attributes = {"name": shown.familiar_repository}
                    events.append(tx, event.ours(account.id, "image", "push", name, attributes))
                    self._intents.done(tx, operation)
                else:
                    self._intents.undone(tx, operation, "it failed")
        except BaseException:
            self._intents.abandon(operation)
            raise


def _shown(message: Json) -> Json | None:
    """An engine's message for the client; None for what we have said ourselves."""
    status = str(message.get("status", ""))
    if status.startswith("The push refers to "):
        return None
    shown = progress.rebuilt(message)
    if status.startswith("Mounted from "):
        # The repository may be another account's: an engine tries all that it knows.
        shown["status"] = "Pushed"
    aux = message.get("aux")
    if isinstance(aux, dict) and _DIGEST.fullmatch(str(aux.get("Digest"))):
        shown["aux"] = {"Tag": str(aux.get("Tag")), "Digest": str(aux["Digest"]), "Size": int(aux.get("Size") or 0)}
    return shown
