"""docker commit: an image of a container as it is now.

The engine's own image of it is a step between: it carries the engine's id of the container and our labels, so that its
configuration is written anew (`domain/image_config.py`) over the same layers, and that image is the account's. The step
has a name that says what it is, by which whoever recovers the operation removes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from app.domain import event, image_config, image_reference
from app.domain.account import Account
from app.domain.container import Container
from app.domain.image_reference import ImageReference
from app.domain.node import Node
from app.domain.operation import OperationKind
from app.engine.engine import Engine
from app.engine.fleet import Fleet
from app.errors import Internal, InvalidParameter
from app.services.container_call import find, in_tenant_words, labels
from app.services.image_content import ImageContent
from app.services.intent import Intents
from app.store import events, images
from app.store.session import Store, Transaction

Json = dict[str, Any]

#: The name of what is committed until it has been written anew. Nothing can be pulled from or pushed to such a host.
STEP = "sdc.invalid/commit"
LONGEST_TEXT = 4096


@dataclass(frozen=True)
class CommitSpec:
    """A decided commit request."""

    repository: str = ""
    tag: str = ""
    comment: str = ""
    author: str = ""
    pause: bool = True
    changes: Sequence[str] = ()
    config: Json = field(default_factory=dict)


class ContainerCommit:
    def __init__(self, store: Store, fleet: Fleet, intents: Intents, content: ImageContent) -> None:
        self._store = store
        self._fleet = fleet
        self._intents = intents
        self._content = content

    def commit(self, account: Account, id_or_name: str, spec: CommitSpec) -> str:
        """The new image's id. Raises NotFound, Conflict, InvalidParameter, Unavailable."""
        name = _name(spec)
        if max(len(spec.comment), len(spec.author)) > LONGEST_TEXT:
            raise InvalidParameter(f"the comment or the author is longer than {LONGEST_TEXT} characters")
        if not id_or_name:
            raise InvalidParameter('invalid name or ID supplied: ""')
        container, node = find(self._store, account, id_or_name)
        engine = self._fleet.on(node)
        word = uuid4().hex
        step = f"{STEP}:{word}"
        operation = self._content.begin(account, node, OperationKind.COMMIT, step, {"images": [], "names": [step]})
        try:
            query = {
                "repo": STEP,
                "tag": word,
                "comment": spec.comment,
                "author": spec.author,
                "pause": "1" if spec.pause else "0",
                "changes": list(spec.changes),
            }
            with in_tenant_words(container):
                engine.commit_container(container.engine_name, query, spec.config)
                seen = engine.inspect_image(step)
                told = container.spec.get("LinkEnv") or ()
                config = image_config.rewritten(seen, engine.image_history(step), image=container.image, told=told)
            image_id = self._bring(account, container, node, engine, config, spec, name, operation)
        except BaseException:
            self._content.give_up(operation, node, [], [step])
            raise
        self._content.unname(engine, [step])
        return image_id

    def _bring(
        self,
        account: Account,
        container: Container,
        node: Node,
        engine: Engine,
        config: bytes,
        spec: CommitSpec,
        name: ImageReference | None,
        operation: UUID,
    ) -> str:
        """Make the image that is the account's, and record it."""
        image_id = image_config.image_id(config)
        loading = self._content.begin(account, node, OperationKind.LOAD, image_id)
        try:
            with engine.load_images([image_config.archive(config)]) as body:
                for message in body.messages():
                    if "error" in message or "errorDetail" in message:
                        raise Internal("the node could not take the image")
            seen = engine.inspect_image(image_id)
            self._content.keep(engine, image_id)

            def also(tx: Transaction) -> None:
                if name is not None:
                    images.set_name(tx, account.id, name.repository, name.tag, image_id)
                told = {"comment": spec.comment, "imageID": image_id, "imageRef": str(name) if name else ""}
                about = {**labels(container), **told, "name": container.name, "image": container.image}
                events.append(tx, event.ours(account.id, "container", "commit", container.id, about))
                if name is not None:
                    events.append(tx, event.of_image(account.id, "tag", seen, image_id, str(name)))
                self._intents.finish(tx, operation)

            self._content.record(account, node, seen, loading, also)
        except BaseException:
            self._content.give_up(loading, node, [image_id])
            raise
        return image_id


def _name(spec: CommitSpec) -> ImageReference | None:
    return image_reference.tagged(spec.repository, spec.tag) if spec.repository else None
