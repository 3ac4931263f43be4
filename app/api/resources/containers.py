"""Containers, but for their streams."""

from __future__ import annotations

import contextlib
from typing import Any

import falcon

from app.api import params, versions
from app.api.body import answer, answer_ready, read_json, upgraded
from app.api.share import Share
from app.domain import signals
from app.domain.policy import Rules, decide_create
from app.domain.policy.values import wrong_type
from app.errors import InvalidParameter
from app.services.container_create import ContainerCreate
from app.services.container_io import ContainerIo
from app.services.container_lifecycle import ContainerLifecycle
from app.services.container_queries import ContainerQueries


class ContainerList:
    """GET /containers/json. Sizes take one of the account's `walks`: an engine looks at every file for them."""

    def __init__(self, queries: ContainerQueries, walks: Share) -> None:
        self._queries = queries
        self._walks = walks

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        filters, size = params.filters(query), params.boolean(query, "size")
        with self._walks.hold(req.context.account.id) if size else contextlib.nullcontext():
            listed = self._queries.list(
                req.context.account,
                everything=params.boolean(query, "all"),
                limit=params.integer(query, "limit", 0) or 0,
                filters=filters,
                size=size,
            )
        answer_ready(req, resp, listed)


class ContainerCreation:
    """POST /containers/create"""

    def __init__(self, create: ContainerCreate, rules: Rules) -> None:
        self._create = create
        self._rules = rules

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, body = upgraded(req, read_json(req))
        name, platform = params.one(query, "name"), params.one(query, "platform")
        spec = decide_create(body, name=name or None, platform=platform, rules=self._rules)
        container_id, warnings = self._create.create(req.context.account, spec)
        answer(req, resp, {"Id": container_id, "Warnings": warnings}, status=201)


class ContainerInspect:
    """GET /containers/{name}/json. Its size takes one of the account's `walks`."""

    def __init__(self, queries: ContainerQueries, walks: Share) -> None:
        self._queries = queries
        self._walks = walks

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        size = params.boolean(query, "size")
        with self._walks.hold(req.context.account.id) if size else contextlib.nullcontext():
            answer(req, resp, self._queries.inspect(req.context.account, name, size=size))


class ContainerTop:
    """GET /containers/{name}/top"""

    def __init__(self, queries: ContainerQueries) -> None:
        self._queries = queries

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        answer(req, resp, self._queries.top(req.context.account, name, params.one(query, "ps_args")))


class ContainerActions:
    """start, stop, restart, kill, pause, unpause, rename, resize and removal: no body in the answer."""

    def __init__(self, lifecycle: ContainerLifecycle, io: ContainerIo) -> None:
        self._lifecycle = lifecycle
        self._io = io

    def on_start(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        chunked = "chunked" in (req.get_header("Transfer-Encoding") or "").lower()
        length = None if chunked else req.content_length or 0
        if versions.check_start_body(req.context.api_version, length):
            self._check_host_config(read_json(req))
        query, _ = upgraded(req)
        if params.one(query, "checkpoint") or params.one(query, "checkpoint-dir"):
            raise InvalidParameter("checkpoints are not available here")
        params.detach_keys(query)
        self._lifecycle.start(req.context.account, name)
        resp.status = 204

    @staticmethod
    def _check_host_config(body: Any) -> None:
        """It counts for nothing, but what is no HostConfig is a mistake that its sender should hear of."""
        if body is not None and not isinstance(body, dict):
            wrong_type("body", body, "object")

    def on_stop(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        seconds, signal = self._stop_words(req)
        self._lifecycle.stop(req.context.account, name, seconds=seconds, signal=signal)
        resp.status = 204

    def on_restart(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        seconds, signal = self._stop_words(req)
        self._lifecycle.restart(req.context.account, name, seconds=seconds, signal=signal)
        resp.status = 204

    def on_kill(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        signal = str(signals.parse(params.one(query, "signal") or "KILL"))
        self._lifecycle.kill(req.context.account, name, signal=signal)
        resp.status = 204

    def on_pause(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self._lifecycle.pause(req.context.account, name)
        resp.status = 204

    def on_unpause(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        self._lifecycle.unpause(req.context.account, name)
        resp.status = 204

    def on_rename(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        self._lifecycle.rename(req.context.account, name, params.one(query, "name"))
        resp.status = 204

    def on_resize(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        height, width = terminal_size(req)
        self._io.resize(req.context.account, name, height=height, width=width)
        resp.status = 200

    def on_remove(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        self._lifecycle.remove(
            req.context.account,
            name,
            force=params.boolean(query, "force"),
            volumes=params.boolean(query, "v"),
            link=params.boolean(query, "link"),
        )
        resp.status = 204

    @staticmethod
    def _stop_words(req: falcon.Request) -> tuple[int | None, str | None]:
        query, _ = upgraded(req)
        signal = params.one(query, "signal")
        return params.integer(query, "t"), str(signals.parse(signal)) if signal else None


def terminal_size(req: falcon.Request) -> tuple[int, int]:
    """(height, width) of a resize request."""
    query, _ = upgraded(req)
    height = params.integer(query, "h", minimum=0, maximum=65535)
    width = params.integer(query, "w", minimum=0, maximum=65535)
    if height is None or width is None:
        raise InvalidParameter('strconv.Atoi: parsing "": invalid syntax')
    return height, width
