"""GET /events"""

from __future__ import annotations

from functools import lru_cache

import falcon

from app.api import hijack, params, versions
from app.api.body import upgraded
from app.errors import InvalidParameter
from app.services import events as service


@lru_cache(maxsize=64)
def _shown(version: versions.ApiVersion, operation: str) -> service.Shown:
    """What a client of the version is shown of a message; a message that its version does not have becomes empty."""
    return lambda message: versions.downgrade_response(version, operation, message) or None


class Events:
    def __init__(self, events: service.Events) -> None:
        self._events = events

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        since, until = params.timestamp(query, "since"), params.timestamp(query, "until")
        if since is not None and until is not None and since > until:
            texts = params.one(query, "since"), params.one(query, "until")
            raise InvalidParameter("`since` time ({}) cannot be after `until` time ({})".format(*texts))
        hijack.require_room(req)
        opened = self._events.open(
            req.context.account,
            since=since,
            until=until,
            filters=params.filters(query),
            shown=_shown(req.context.api_version, req.context.operation),
        )
        hijack.hand_over_body(req, opened, "application/json", earlier=opened.earlier)
