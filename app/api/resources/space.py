"""What an account's objects take, and the end of its stopped containers."""

from __future__ import annotations

import falcon

from app.api import params
from app.api.body import answer, upgraded
from app.api.share import Share
from app.errors import InvalidParameter
from app.services.container_prune import ContainerPrune
from app.services.disk_usage import KINDS, DiskUsage


class SystemDf:
    """GET /system/df"""

    def __init__(self, usage: DiskUsage, walks: Share) -> None:
        self._usage = usage
        self._walks = walks

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        kinds = params.several(query, "type")
        for kind in kinds:
            if kind not in KINDS:
                raise InvalidParameter(f"unknown object type: {kind[:64]}")
        with self._walks.hold(req.context.account.id):
            answer(req, resp, self._usage.show(req.context.account, kinds or KINDS))


class ContainersPrune:
    """POST /containers/prune"""

    def __init__(self, prune: ContainerPrune, walks: Share) -> None:
        self._prune = prune
        self._walks = walks

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        filters = params.filters(query)
        with self._walks.hold(req.context.account.id):
            answer(req, resp, self._prune.prune(req.context.account, filters))
