"""Exec: create, start, resize, inspect."""

from __future__ import annotations

import falcon

from app.api import hijack, versions
from app.api.body import answer, read_json, upgraded
from app.api.resources.containers import terminal_size
from app.domain.policy import decide_exec, decide_exec_start
from app.services.container_io import ContainerIo
from app.services.container_queries import ContainerQueries


class ExecCreate:
    """POST /containers/{name}/exec"""

    def __init__(self, io: ContainerIo) -> None:
        self._io = io

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        _, body = upgraded(req, read_json(req))
        answer(req, resp, {"Id": self._io.create_exec(req.context.account, name, decide_exec(body))}, status=201)


class ExecActions:
    """POST /exec/{id}/start and /resize, GET /exec/{id}/json"""

    def __init__(self, io: ContainerIo, queries: ContainerQueries) -> None:
        self._io = io
        self._queries = queries

    def on_start(self, req: falcon.Request, resp: falcon.Response, id: str) -> None:
        strict_type = versions.exec_start_checks_content_type(req.context.api_version)
        _, body = upgraded(req, read_json(req, check_type=strict_type))
        start = decide_exec_start(body)
        if start.detach:
            self._io.start_exec_detached(req.context.account, id, tty=start.tty)
            resp.status = 200
            return
        hijack.require_room(req)
        size = list(start.console_size) if start.console_size else None
        opened = self._io.start_exec(req.context.account, id, tty=start.tty, console_size=size)
        hijack.hand_over_hijack(req, opened.upstream, tty=opened.tty)

    def on_resize(self, req: falcon.Request, resp: falcon.Response, id: str) -> None:
        height, width = terminal_size(req)
        self._io.resize_exec(req.context.account, id, height=height, width=width)
        resp.status = 200

    def on_inspect(self, req: falcon.Request, resp: falcon.Response, id: str) -> None:
        seen = self._io.inspect_exec(req.context.account, id)
        if versions.exec_inspect_embeds_container(req.context.api_version):
            seen["Container"] = self._queries.inspect(req.context.account, seen["ContainerID"])
        answer(req, resp, seen)
