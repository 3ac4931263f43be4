"""GET /containers/{name}/stats"""

from __future__ import annotations

import falcon
import orjson

from app.api import hijack, params, versions
from app.api.body import upgraded
from app.errors import InvalidParameter
from app.services.container_stats import ContainerStats
from app.stream.lines import RewrittenLines


class ContainerSamples:
    def __init__(self, stats: ContainerStats) -> None:
        self._stats = stats

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        query, _ = upgraded(req)
        stream = params.boolean(query, "stream", default=True)
        one_shot = params.boolean(query, "one-shot")
        if stream and one_shot:
            raise InvalidParameter("cannot have stream=true and one-shot=true")
        version, operation = req.context.api_version, req.context.operation
        hijack.require_room(req)
        opened = self._stats.open(req.context.account, name, stream=stream, one_shot=one_shot)

        def rewrite(line: bytes) -> bytes:
            told = versions.downgrade_response(version, operation, opened.sample(orjson.loads(line)))
            return orjson.dumps(told) + b"\n"

        hijack.hand_over_collected(req, opened.upstream, RewrittenLines(rewrite))
