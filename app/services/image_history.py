"""docker history, and what layers weigh. Asked of an engine once per image, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.domain import image_layers
from app.domain.account import Account
from app.domain.image_removal import shown
from app.engine.errors import reworded
from app.engine.fleet import Fleet
from app.errors import Error, NotFound, Unavailable
from app.services.image_content import ImageContent
from app.store import images
from app.store.images import Image
from app.store.session import Store

Json = dict[str, Any]


class ImageHistory:
    def __init__(self, store: Store, fleet: Fleet, content: ImageContent) -> None:
        self._store = store
        self._fleet = fleet
        self._content = content

    def history(self, account: Account, name: str) -> list[Json]:
        """The answer of GET /images/{name}/history, newest step first. Raises NotFound, InvalidParameter."""
        with self._store.autocommit() as tx:
            image = images.resolve(tx, account.id, name)
        steps = self.steps(image.id)
        with self._store.autocommit() as tx:
            mine = {step["Id"] for step in steps if step["Id"] and images.has(tx, account.id, step["Id"])}
        told = []
        for place, step in enumerate(steps):
            # An image between may be another account's; this one is certainly here.
            image_id = image.id if place == 0 else step["Id"] if step["Id"] in mine else "<missing>"
            tags = [shown(name) for name in image.names if not name[1].startswith("sha256:")] if place == 0 else None
            told.append({**step, "Id": image_id, "Tags": tags or None})
        return told

    def steps(self, image_id: str) -> list[Json]:
        """What is the same for everybody who has the image; "Id" is "" where no image is known for a step."""
        with self._store.autocommit() as tx:
            known = images.find_history(tx, image_id)
        if known is not None:
            return known
        node = self._content.holder([image_id])
        try:
            found = self._fleet.on(node).image_history(image_id)
        except NotFound as error:
            raise Unavailable("the node has lost the image", retry_after=10) from error
        except Error as error:
            raise reworded(error, {}) from error
        steps = [_step(step) for step in found]
        with self._store.begin() as tx:
            images.set_history(tx, image_id, steps)
        return steps

    def layer_sizes(self, image: Image) -> dict[str, int]:
        """Chain id -> bytes of its layer. Without a node all is one layer's."""
        diff_ids: Sequence[str] = (image.inspect.get("RootFS") or {}).get("Layers") or []
        try:
            steps = self.steps(image.id)
        except Unavailable:
            steps = []
        return image_layers.sizes(diff_ids, steps, image.size)


def _step(step: Json) -> Json:
    image_id = str(step.get("Id") or "")
    return {
        "Comment": _text(step.get("Comment")),
        "Created": int(step.get("Created") or 0),
        "CreatedBy": _text(step.get("CreatedBy")),
        "Id": image_id if image_id.startswith("sha256:") else "",
        "Size": int(step.get("Size") or 0),
    }


def _text(value: Any) -> str:
    """The database takes no NUL."""
    return str(value or "").replace("\0", "")
