"""GET /events"""

from __future__ import annotations

import falcon

from app.api import hijack, params
from app.api.body import upgraded
from app.services import events as service


class Events:
    def __init__(self, events: service.Events) -> None:
        self._events = events

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        query, _ = upgraded(req)
        hijack.require_room(req)
        opened = self._events.open(
            req.context.account,
            since=params.timestamp(query, "since"),
            until=params.timestamp(query, "until"),
            filters=params.filters(query),
        )
        hijack.hand_over_body(req, opened, "application/json")
