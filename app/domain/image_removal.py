"""docker rmi and docker image prune as rules on what one account has (moby daemon/images/image_delete.go, 20.10).

Pure: the images go in, the names and images to take away come out, with the records that the client is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.image_reference import familiar
from app.errors import Conflict

Name = tuple[str, str]


@dataclass
class Owned:
    """An image of the account. `names` are (repository, tag or digest); containers are the account's, by id."""

    id: str
    parent: str = ""
    diff_ids: Sequence[str] = ()
    names: list[Name] = field(default_factory=list)
    running: Sequence[str] = ()
    stopped: Sequence[str] = ()

    @property
    def short(self) -> str:
        return self.id.removeprefix("sha256:")[:12]

    @property
    def chain(self) -> list[str]:
        """The chain ids of its layers, lowest first."""
        return chain_ids(self.diff_ids)


class Removal:
    """Takes names and images away, one call after another; what was taken is in `untagged`, `deleted`, `records`."""

    def __init__(self, owned: Iterable[Owned]) -> None:
        self._images = {image.id: image for image in owned}
        self.untagged: list[tuple[Name, str]] = []
        self.deleted: list[str] = []
        self.records: list[dict[str, Any]] = []
        #: ("untag" or "delete", image id), in order.
        self.told: list[tuple[str, str]] = []

    def by_name(self, image_id: str, name: Name, *, force: bool, prune: bool) -> None:
        """A name of the image was given. Raises Conflict."""
        image = self._images[image_id]
        used = [*image.running, *image.stopped]
        if not force and used and _is_single(image.names):
            raise Conflict(
                f'conflict: unable to remove repository reference "{shown(name)}" (must force) - container '
                f"{used[0][:12]} is using its referenced image {image.short}"
            )
        self._untag(image, name)
        repository, reference = name
        if not _is_digest(reference) and not any(r == repository and not _is_digest(t) for r, t in image.names):
            for other in [n for n in image.names if n[0] == repository]:
                self._untag(image, other)
        if not image.names:
            self._delete(image, force=force, prune=prune, quiet=True)

    def by_id(self, image_id: str, *, force: bool, prune: bool) -> None:
        """An id of the image, or the start of one, was given. Raises Conflict."""
        image = self._images[image_id]
        if _is_single(image.names):
            self._check(image, force=force, names=False)
            for name in list(image.names):
                self._untag(image, name)
        self._delete(image, force=force, prune=prune, quiet=False)

    def _untag(self, image: Owned, name: Name) -> None:
        image.names.remove(name)
        self.untagged.append((name, image.id))
        self.records.append({"Untagged": shown(name)})
        self.told.append(("untag", image.id))

    def _delete(self, image: Owned, *, force: bool, prune: bool, quiet: bool) -> None:
        try:
            self._check(image, force=force, names=True)
        except Conflict:
            # The name is gone and the image is not: that is no failure, unless nothing shows why it stays.
            if quiet and (image.names or self._has_children(image) or image.running or image.stopped):
                return
            raise
        for name in list(image.names):
            self._untag(image, name)
        del self._images[image.id]
        self.deleted.append(image.id)
        self.records.append({"Deleted": image.id})
        self.told.append(("delete", image.id))
        left = {layer for other in self._images.values() for layer in other.chain}
        self.records += [{"Deleted": layer} for layer in reversed(image.chain) if layer not in left]
        parent = self._images.get(image.parent)
        if prune and parent is not None and not parent.names:
            self._delete(parent, force=False, prune=True, quiet=True)

    def _has_children(self, image: Owned) -> bool:
        return any(other.parent == image.id for other in self._images.values())

    def _check(self, image: Owned, *, force: bool, names: bool) -> None:
        """Raises Conflict where the image may not go."""

        def conflict(how: str, why: str) -> Conflict:
            return Conflict(f"conflict: unable to delete {image.short} ({how}) - {why}")

        if self._has_children(image):
            raise conflict("cannot be forced", "image has dependent child images")
        if image.running:
            raise conflict("cannot be forced", f"image is being used by running container {image.running[0][:12]}")
        if not force and names and image.names:
            raise conflict("must be forced", "image is referenced in multiple repositories")
        if not force and image.stopped:
            raise conflict("must be forced", f"image is being used by stopped container {image.stopped[0][:12]}")


def shown(name: Name) -> str:
    """A name as people write it."""
    repository, reference = name
    return f"{familiar(repository)}{'@' if _is_digest(reference) else ':'}{reference}"


def is_id(image_id: str, typed: str) -> bool:
    """Whether what was typed is the image's id or the start of it."""
    return image_id.startswith(typed) or image_id.removeprefix("sha256:").startswith(typed)


def has_tag(names: Iterable[Name]) -> bool:
    return any(not _is_digest(reference) for _, reference in names)


def chain_ids(diff_ids: Sequence[str]) -> list[str]:
    """The id of each layer on top of those below it (OCI image specification, config.md)."""
    chain: list[str] = []
    for diff_id in diff_ids:
        joint = f"{chain[-1]} {diff_id}".encode() if chain else b""
        chain.append(f"sha256:{hashlib.sha256(joint).hexdigest()}" if chain else diff_id)
    return chain


def _is_digest(reference: str) -> bool:
    return reference.startswith("sha256:")


def _is_single(names: Sequence[Name]) -> bool:
    """At most one tag, and all digests those of its repository."""
    if len(names) <= 1:
        return True
    tags = [name for name in names if not _is_digest(name[1])]
    digests = {repository for repository, reference in names if _is_digest(reference)}
    if len(tags) > 1:
        return False
    single = tags[0][0] if tags else names[0][0]
    return digests == {single}
