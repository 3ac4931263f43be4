"""The files of containers: archive (docker cp), changes and export."""

from __future__ import annotations

import falcon

from app.api import hijack, params
from app.api.body import blocks, drain, read_json, upgraded
from app.api.share import Share
from app.errors import InvalidParameter
from app.services.container_files import ContainerFiles, OpenArchive
from app.stream.tar_check import checked

STAT = "X-Docker-Container-Path-Stat"


class ContainerArchive:
    """HEAD, GET and PUT /containers/{name}/archive, and the POST /containers/{name}/copy that was before it."""

    def __init__(self, files: ContainerFiles) -> None:
        self._files = files

    def on_head(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        resp.set_header(STAT, self._files.stat(req.context.account, name, params.one(query, "path")).header())

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        hijack.require_room(req)
        self._send(req, self._files.read(req.context.account, name, params.one(query, "path")))

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        body = blocks(req)
        try:
            self._files.write(
                req.context.account,
                name,
                params.one(query, "path"),
                checked(body),
                keep_kinds=params.boolean(query, "noOverwriteDirNonDir"),
                copy_owner=params.boolean(query, "copyUIDGID"),
            )
        except Exception:
            drain(body)
            raise

    def on_copy(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        body = read_json(req)
        path = body.get("Resource") if isinstance(body, dict) else None
        if not isinstance(path, str) or not path:
            raise InvalidParameter("Path cannot be empty")
        hijack.require_room(req)
        self._send(req, self._files.read(req.context.account, name, path))

    @staticmethod
    def _send(req: falcon.Request, opened: OpenArchive) -> None:
        headers = [(STAT, opened.stat.header())]
        hijack.hand_over_body(req, opened.upstream, "application/x-tar", headers)


class ContainerChanges:
    """GET /containers/{name}/changes. It takes one of the account's `walks`: an engine looks at every file for it."""

    def __init__(self, files: ContainerFiles, walks: Share) -> None:
        self._files = files
        self._walks = walks

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        hijack.require_room(req)
        with self._walks.hold(req.context.account.id):
            upstream = self._files.changes(req.context.account, name)
        hijack.hand_over_body(req, upstream, "application/json")


class ContainerExport:
    """GET /containers/{name}/export"""

    def __init__(self, files: ContainerFiles) -> None:
        self._files = files

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        hijack.require_room(req)
        hijack.hand_over_body(req, self._files.export(req.context.account, name), "application/octet-stream")
