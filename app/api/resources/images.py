"""Images: pull, list, inspect, load."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator

import falcon

from app.api import params, versions
from app.api.body import answer, upgraded
from app.api.share import Share
from app.domain.policy import decide_platform
from app.errors import InvalidParameter, NotImplemented
from app.services.images import Images, Pull
from app.stream import json_stream

_BLOCK = 256 * 1024
#: How much of a refused body is still read, so that the client gets to read the refusal.
_DRAIN = 16 * 1024 * 1024


class ImageCreate:
    """POST /images/create: docker pull"""

    def __init__(self, images: Images, share: Share) -> None:
        self._images = images
        self._share = share

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        name = params.one(query, "fromImage")
        if params.one(query, "fromSrc"):
            raise NotImplemented("importing an image is not available here")
        if not name:
            raise InvalidParameter("invalid reference format")
        platform = decide_platform(params.one(query, "platform"))
        give_back = self._share.take(req.context.account.id)
        try:
            pull = self._images.pull(
                req.context.account,
                name,
                params.one(query, "tag"),
                platform=platform,
                auth=_auth(req.get_header("X-Registry-Auth")),
            )
        except BaseException:
            give_back()
            raise
        resp.content_type = "application/json"
        resp.stream = _Encoded(pull, give_back)


class _Encoded:
    """Messages as bytes. The server closes it when the client is gone."""

    def __init__(self, messages: Pull, ended: Callable[[], None]) -> None:
        self._messages = messages
        self._ended = ended

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return json_stream.encode(next(self._messages))

    def close(self) -> None:
        self._ended()
        self._messages.close()


class ImageList:
    """GET /images/json"""

    def __init__(self, images: Images) -> None:
        self._images = images

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        everything = params.boolean(query, "all")
        answer(req, resp, self._images.list(req.context.account, everything=everything, filters=params.filters(query)))


class ImageInspect:
    """GET /images/{name}/json"""

    def __init__(self, images: Images) -> None:
        self._images = images

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        answer(req, resp, self._images.inspect(req.context.account, name))


class ImageLoad:
    """POST /images/load. The answer comes when all is in place, so that a bad archive has a status of its own."""

    def __init__(self, images: Images, share: Share) -> None:
        self._images = images
        self._share = share

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        blocks = _blocks(req)
        with self._share.hold(req.context.account.id):
            try:
                messages = self._images.load(req.context.account, blocks)
            except Exception:
                _drain(blocks)
                raise
        if versions.load_reports_progress(req.context.api_version):
            resp.content_type = "application/json"
            resp.data = b"".join(map(json_stream.encode, messages))


def _auth(header: str | None) -> str:
    """The credentials, encoded the one way that every engine reads; "" where there are none."""
    found = params.registry_auth(header)
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode() if found else ""


def _blocks(req: falcon.Request) -> Iterator[bytes]:
    source = req.bounded_stream if req.content_length is not None else req.stream
    while block := source.read(_BLOCK):
        yield block


def _drain(blocks: Iterator[bytes]) -> None:
    left = _DRAIN
    while left > 0 and (block := next(blocks, b"")):
        left -= len(block)
