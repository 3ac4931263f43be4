"""Images: pull, load, list, inspect. Names are the account's and stand in the database; engines hold content.

A pull always asks the registry, with the caller's own credentials, even where the node has everything; a load has to
bring every layer. One way to content by naming it is left: an engine that has an image takes a manifest's word for it,
so a registry of one's own that names the id of another's image is a way to it. `deploy/README.md` tells operators.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from app.domain import image_filter, image_reference, image_view
from app.domain.account import Account
from app.domain.image_filter import Candidate, Filters
from app.domain.image_reference import DEFAULT_TAG, ImageReference
from app.domain.node import Node
from app.engine.client import Body
from app.engine.engine import Engine
from app.engine.errors import scrub
from app.engine.fleet import Fleet
from app.errors import Error, Internal, InvalidParameter, NotFound, NotImplemented, Unavailable
from app.services.registry_policy import RegistryPolicy
from app.store import images, nodes
from app.store.session import Store
from app.stream import json_stream
from app.stream.decompress import Budget
from app.stream.image_archive import ArchivedImage, ImageArchive

Json = dict[str, Any]

_PROGRESS = ("current", "total", "start", "hidecounts", "units")

#: Where an engine's network errors name its resolver, and its own end of a connection.
_RESOLVER = re.compile(r"(?: on|: dial udp|: read udp) \S+:\d+(?=: )")
_OWN_END = re.compile(r"\S+:\d+->")


class Images:
    def __init__(self, store: Store, fleet: Fleet, registry_hosts: Collection[str]) -> None:
        self._store = store
        self._fleet = fleet
        self._registries = RegistryPolicy(registry_hosts)

    # -- reads ---------------------------------------------------------------------------------------------------

    def list(self, account: Account, *, everything: bool, filters: Filters) -> list[Json]:
        """The array of GET /images/json at API 1.44, newest first. Raises InvalidParameter, NotFound."""
        image_filter.check(filters)
        with self._store.begin() as tx:
            mine = images.list_mine(tx, account.id)
            parents = {image.inspect.get("Parent") for image in mine}
            candidates = [Candidate(i.inspect, i.tags, i.digests, i.id in parents) for i in mine]
            chosen = image_filter.select(
                candidates,
                filters,
                everything=everything,
                created_of=lambda name: image_view.created(images.resolve(tx, account.id, name).inspect),
            )
        return [image_view.list_entry(c.content, tags=c.tags, digests=c.digests) for c in chosen]

    def inspect(self, account: Account, name: str) -> Json:
        """The answer of GET /images/{name}/json at API 1.44. Raises NotFound, InvalidParameter."""
        with self._store.begin() as tx:
            image = images.resolve(tx, account.id, name)
        return image_view.inspect(image.inspect, tags=image.tags, digests=image.digests, named_at=image.named_at)

    # -- pull ----------------------------------------------------------------------------------------------------

    def pull(self, account: Account, from_image: str, tag: str, *, platform: str = "", auth: str = "") -> Pull:
        """Start a pull. `tag` may be a digest, and `auth` is an X-Registry-Auth value.

        Raises InvalidParameter, Forbidden, NotImplemented, Unavailable, and what the engine refuses before it sends
        anything: NotFound, Unauthorized, Internal. Later errors are messages.
        """
        reference = _reference(from_image, tag)
        if not reference.tag and not reference.digest:
            raise NotImplemented("pulling all tags of a repository is not available here: name a tag")
        self._registries.check(reference.host)
        node = self._node()
        engine = self._fleet.on(node)
        try:
            body = engine.pull_image(
                reference.repository, reference.digest or reference.tag, platform=platform, auth=auth
            )
        except Error as error:
            raise _told(error) from error
        return Pull(body, self._pulling(account, reference, node, engine, body))

    def _pulling(
        self, account: Account, reference: ImageReference, node: Node, engine: Engine, body: Body
    ) -> Iterator[Json]:
        digest = ""
        try:
            for message in body.messages():
                if "error" in message or "errorDetail" in message:
                    yield json_stream.error(_without_addresses(str(message.get("error") or "the pull failed")))
                    return
                status = str(message.get("status", ""))
                if status.startswith("Digest: "):
                    digest = status.removeprefix("Digest: ").strip()
                if not status.startswith("Status: "):
                    yield _progress(message)
            # What the last line says has to be true by then for whoever reads it.
            yield {"status": f"Status: {self._record(account, reference, node, engine, digest)} for {reference}"}
        except Error as error:
            yield json_stream.error(_told(error).message)
        finally:
            body.close()

    def _record(self, account: Account, reference: ImageReference, node: Node, engine: Engine, digest: str) -> str:
        """Give the account what has been pulled. The words say what that is to this account."""
        if not digest:
            raise Internal("the node did not tell what it has pulled")
        seen = engine.inspect_image(f"{reference.repository}@{digest}")
        wanted = reference.digest or reference.tag
        with self._store.begin() as tx:
            known = images.find_name(tx, account.id, reference.repository, wanted) == seen["Id"]
            images.put(tx, seen["Id"], image_view.content(seen), node.id, account.id)
            for name in {wanted, digest}:
                images.set_name(tx, account.id, reference.repository, name, seen["Id"])
        return "Image is up to date" if known else "Downloaded newer image"

    # -- load ----------------------------------------------------------------------------------------------------

    def load(self, account: Account, chunks: Iterable[bytes]) -> Sequence[Json]:
        """Take an archive, plain or compressed, and give its messages once everything is in place.

        Raises InvalidParameter and TooLarge for a bad archive, of which nothing is then recorded; Unavailable.
        """
        archive = ImageArchive(chunks, Budget())
        node = self._node()
        engine = self._fleet.on(node)
        named: list[tuple[ArchivedImage, list[ImageReference]]] = []

        def checked() -> Iterator[bytes]:
            yield from archive.contents()
            named.extend((image, [_tag(name) for name in image.names]) for image in archive.images)
            yield from archive.ending()

        with engine.load_images(checked()) as body:
            for message in body.messages():
                if "error" in message or "errorDetail" in message:
                    raise Internal(_without_addresses(str(message.get("error") or "the load failed")))
        seen = {image.id: self._loaded(engine, image.id) for image, _ in named}
        told: list[Json] = []
        with self._store.begin() as tx:
            for image, references in named:
                images.put(tx, image.id, image_view.content(seen[image.id]), node.id, account.id)
                for reference in references:
                    old = images.find_name(tx, account.id, reference.repository, reference.tag)
                    if old not in (None, image.id):
                        told.append(_line(_RENAMING.format(reference, old)))
                    images.set_name(tx, account.id, reference.repository, reference.tag, image.id)
                    told.append(_line(f"Loaded image: {reference}"))
                if not references:
                    told.append(_line(f"Loaded image ID: {image.id}"))
        return told

    @staticmethod
    def _loaded(engine: Engine, image_id: str) -> Json:
        try:
            return engine.inspect_image(image_id)
        except NotFound as error:
            raise Internal("the node did not load the image") from error

    def _node(self) -> Node:
        with self._store.begin() as tx:
            for node in nodes.list_all(tx):
                if node.state == "up" and not node.cordoned:
                    return node
        raise Unavailable("No compute resources available: no healthy node", retry_after=10)


class Pull:
    """The messages of a pull. Closing it early closes the connection to the engine, which then gives up the pull."""

    def __init__(self, body: Body, messages: Iterator[Json]) -> None:
        self._body = body
        self._messages = messages

    def __iter__(self) -> Iterator[Json]:
        return self

    def __next__(self) -> Json:
        return next(self._messages)

    def close(self) -> None:
        self._body.close()


_RENAMING = "The image {} already exists, renaming the old one with ID {} to empty string"


def _reference(from_image: str, tag: str) -> ImageReference:
    """The reference that the two parameters mean together: `tag` wins over a tag in the name, as in dockerd."""
    reference = image_reference.parse(from_image)
    if not tag:
        return reference
    joint = "@" if tag.startswith("sha256:") else ":"
    try:
        return image_reference.parse(f"{reference.repository}{joint}{tag}")
    except InvalidParameter:
        raise InvalidParameter("invalid tag format") from None


def _tag(name: str) -> ImageReference:
    """A name in an archive."""
    reference = image_reference.parse(name)
    if reference.digest:
        raise InvalidParameter(f'invalid tag "{name[:128]}"')
    return ImageReference(reference.host, reference.path, reference.tag or DEFAULT_TAG)


def _progress(message: Json) -> Json:
    """The message made anew: nothing passes because an engine happened to send it."""
    shown: Json = {key: message[key] for key in ("status", "id", "progress") if isinstance(message.get(key), str)}
    if shown.get("status") == "Already exists":
        # Whether some other account has a layer is not told.
        shown["status"] = "Pull complete"
    detail = message.get("progressDetail")
    if isinstance(detail, dict):
        shown["progressDetail"] = {key: detail[key] for key in _PROGRESS if isinstance(detail.get(key), int | str)}
    return shown


def _line(text: str) -> Json:
    return {"stream": f"{text}\n"}


def _told(error: Error) -> Error:
    return type(error)(_without_addresses(error.message), retry_after=error.retry_after)


def _without_addresses(text: str) -> str:
    """An engine's words about a registry, without the addresses of the node and its resolver."""
    return _OWN_END.sub("", _RESOLVER.sub("", scrub(text, {})))
