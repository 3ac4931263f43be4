"""Images: pull, import, push, load, save, list, inspect, history, tag, remove, prune."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import falcon

from app.api import params, versions
from app.api.body import answer, blocks, drain, read_json, upgraded
from app.domain.policy import decide_platform
from app.errors import Internal, InvalidParameter
from app.services.image_load import ImageLoad
from app.services.image_pull import ImagePull
from app.services.image_push import ImagePush
from app.services.image_remove import ImageRemove
from app.services.image_save import ImageSave
from app.services.images import Images
from app.stream import json_stream


class _Closing(Protocol):
    """Messages, or blocks of bytes, whose source wants to be closed."""

    def __iter__(self) -> Iterator[Any]: ...

    def close(self) -> None: ...


class ImageCreate:
    """POST /images/create: docker pull and docker import"""

    def __init__(self, pull: ImagePull, load: ImageLoad) -> None:
        self._pull = pull
        self._load = load

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        name = params.one(query, "fromImage")
        source = params.one(query, "fromSrc")
        platform = decide_platform(params.one(query, "platform"))
        resp.content_type = "application/json"
        if name:
            auth = params.registry_auth(req.get_header("X-Registry-Auth"))
            _stream(
                resp,
                self._pull.pull(req.context.account, name, params.one(query, "tag"), platform=platform, auth=auth),
            )
        elif source:
            body = blocks(req)
            try:
                message = self._load.import_(
                    req.context.account,
                    source,
                    body,
                    repository=params.one(query, "repo"),
                    tag=params.one(query, "tag"),
                    message=params.one(query, "message"),
                    changes=params.several(query, "changes"),
                    platform=platform,
                )
            except Exception:
                drain(body)
                raise
            resp.data = json_stream.encode(message)
        else:
            raise InvalidParameter("invalid reference format")


class ImagePushing:
    """POST /images/{name}/push"""

    def __init__(self, push: ImagePush) -> None:
        self._push = push

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        header = req.get_header("X-Registry-Auth")
        auth = params.registry_auth(header) if header else _auth_in_body(req)
        resp.content_type = "application/json"
        _stream(
            resp,
            self._push.push(req.context.account, name, params.one(query, "tag"), auth=auth),
        )


class ImageList:
    """GET /images/json"""

    def __init__(self, images: Images) -> None:
        self._images = images

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        everything = params.boolean(query, "all")
        shared_size = params.boolean(query, "shared-size")
        found = self._images.list(
            req.context.account, everything=everything, filters=params.filters(query), shared_size=shared_size
        )
        answer(req, resp, found)


class ImageActions:
    """One image by its name: inspect, history, tag, remove."""

    def __init__(self, images: Images, remove: ImageRemove) -> None:
        self._images = images
        self._remove = remove

    def on_inspect(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """GET /images/{name}/json"""
        answer(req, resp, self._images.inspect(req.context.account, name))

    def on_history(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """GET /images/{name}/history"""
        answer(req, resp, self._images.history(req.context.account, name))

    def on_tag(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """POST /images/{name}/tag"""
        query, _ = upgraded(req)
        self._images.tag(req.context.account, name, params.one(query, "repo"), params.one(query, "tag"))
        resp.status = falcon.HTTP_201

    def on_remove(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """DELETE /images/{name}"""
        query, _ = upgraded(req)
        force = params.boolean(query, "force")
        prune = not params.boolean(query, "noprune")
        answer(req, resp, self._remove.remove(req.context.account, name, force=force, prune=prune))


class ImagePrune:
    """POST /images/prune"""

    def __init__(self, remove: ImageRemove) -> None:
        self._remove = remove

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        answer(req, resp, self._remove.prune(req.context.account, params.filters(query)))


class ImageLoading:
    """POST /images/load. A bad archive has a status of its own: the answer begins when all of it has been read."""

    def __init__(self, load: ImageLoad) -> None:
        self._load = load

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        quiet = params.boolean(query, "quiet", True)
        body = blocks(req)
        try:
            loading = self._load.load(req.context.account, body, quiet=quiet)
        except Exception:
            drain(body)
            raise
        resp.content_type = "application/json"
        _stream(resp, loading)
        if not versions.load_reports_progress(req.context.api_version):
            _swallow(resp)


class ImageSaving:
    """GET /images/get and GET /images/{name}/get"""

    def __init__(self, save: ImageSave) -> None:
        self._save = save

    def on_get_all(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        names = [name for several in params.several(query, "names") for name in several.split(",")]
        self._answer(req, resp, names)

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self._answer(req, resp, [name])

    def _answer(self, req: falcon.Request, resp: falcon.Response, names: list[str]) -> None:
        resp.content_type = "application/x-tar"
        _stream(resp, self._save.save(req.context.account, names), encode=bytes)


class _Stream:
    """Messages as bytes. The server closes it when the client is gone."""

    def __init__(self, source: _Closing, encode: Callable[[Any], bytes]) -> None:
        self._source = source
        self._messages = iter(source)
        self._encode = encode

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return self._encode(next(self._messages))

    def close(self) -> None:
        self._source.close()


def _auth_in_body(req: falcon.Request) -> dict[str, str]:
    """The credentials where clients had them before there was a header for them. The SDK for Python still sends an
    empty object there when it has none. Raises InvalidParameter where there is nothing."""
    body = read_json(req, check_type=False)
    if not isinstance(body, dict):
        raise InvalidParameter(f"Bad parameters and missing X-Registry-Auth: {'EOF' if body is None else 'no object'}")
    return params.auth_fields(body)


def _stream(
    resp: falcon.Response,
    source: _Closing,
    *,
    encode: Callable[[Any], bytes] = json_stream.encode,
) -> None:
    """Answer with what `source` gives."""
    resp.stream = _Stream(source, encode)


def _swallow(resp: falcon.Response) -> None:
    """Read the stream to its end and answer with nothing. Raises Internal where it tells of an error."""
    stream: Any = resp.stream
    resp.stream = None
    try:
        for line in stream:
            for message in json_stream.split([line]):
                if "error" in message:
                    raise Internal(str(message["error"]))
    finally:
        stream.close()
