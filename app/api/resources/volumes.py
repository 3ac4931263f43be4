"""Volumes: create, list, inspect, remove, prune."""

from __future__ import annotations

import falcon

from app.api import params
from app.api.body import answer, read_json, upgraded
from app.domain.policy import Rules
from app.domain.policy.volume import decide_volume
from app.errors import NotFound
from app.services.volumes import Volumes


class VolumeCalls:
    def __init__(self, volumes: Volumes, rules: Rules) -> None:
        self._volumes = volumes
        self._rules = rules

    def on_list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """GET /volumes"""
        query, _ = upgraded(req)
        answer(req, resp, self._volumes.list(req.context.account, params.filters(query)))

    def on_create(self, req: falcon.Request, resp: falcon.Response) -> None:
        """POST /volumes/create"""
        _, body = upgraded(req, read_json(req))
        spec = decide_volume(body, rules=self._rules)
        answer(req, resp, self._volumes.create(req.context.account, spec), status=201)

    def on_inspect(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """GET /volumes/{name}"""
        answer(req, resp, self._volumes.inspect(req.context.account, name))

    def on_inspect_nameless(self, req: falcon.Request, resp: falcon.Response) -> None:
        """GET /volumes/, which is the inspection of a volume without a name."""
        raise NotFound("get: no such volume")

    def on_remove(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """DELETE /volumes/{name}"""
        query, _ = upgraded(req)
        self._volumes.remove(req.context.account, name, force=params.boolean(query, "force"))
        resp.status = 204

    def on_prune(self, req: falcon.Request, resp: falcon.Response) -> None:
        """POST /volumes/prune"""
        query, _ = upgraded(req)
        filters = params.filters(query)
        answer(req, resp, self._volumes.prune(req.context.account, filters))
