"""Networks: list, create, inspect, connect, disconnect, remove, prune."""

from __future__ import annotations

import falcon

from app.api import params, versions
from app.api.body import answer, read_json, upgraded
from app.domain.network_filter import Prune
from app.domain.policy import Rules
from app.domain.policy.network_create import decide_connect, decide_disconnect, decide_network
from app.services.network_connect import NetworkConnect
from app.services.network_create import NetworkCreate
from app.services.network_queries import NetworkQueries
from app.services.network_remove import NetworkRemove


class NetworkCalls:
    def __init__(
        self,
        queries: NetworkQueries,
        create: NetworkCreate,
        remove: NetworkRemove,
        connect: NetworkConnect,
        rules: Rules,
    ) -> None:
        self._queries = queries
        self._create = create
        self._remove = remove
        self._connect = connect
        self._rules = rules

    def on_list(self, req: falcon.Request, resp: falcon.Response) -> None:
        """GET /networks"""
        query, _ = upgraded(req)
        found = self._queries.list_all(req.context.account, params.filters(query))
        if not versions.network_list_shows_containers(req.context.api_version):
            found = [network | {"Containers": {}} for network in found]
        answer(req, resp, found)

    def on_inspect(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """GET /networks/{name}"""
        query, _ = upgraded(req)
        # What it would add (services, tasks) only a swarm has.
        params.strict_boolean(query, "verbose")
        answer(req, resp, self._queries.inspect(req.context.account, name, scope=params.one(query, "scope")))

    def on_create(self, req: falcon.Request, resp: falcon.Response) -> None:
        """POST /networks/create"""
        _, body = upgraded(req, read_json(req))
        spec = decide_network(body, self._rules)
        network_id = self._create.create(req.context.account, spec)
        answer(req, resp, {"Id": network_id, "Warning": "; ".join(spec.warnings)}, status=201)

    def on_remove(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """DELETE /networks/{name}"""
        self._remove.remove(req.context.account, name)
        resp.status = falcon.HTTP_204

    def on_connect(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """POST /networks/{name}/connect"""
        _, body = upgraded(req, read_json(req))
        wanted = decide_connect(body, self._rules)
        self._connect.connect(req.context.account, name, wanted.container, wanted.endpoint)
        resp.status = falcon.HTTP_200

    def on_disconnect(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """POST /networks/{name}/disconnect"""
        _, body = upgraded(req, read_json(req))
        container, force = decide_disconnect(body)
        self._connect.disconnect(req.context.account, name, container, force=force)
        resp.status = falcon.HTTP_200

    def on_prune(self, req: falcon.Request, resp: falcon.Response) -> None:
        """POST /networks/prune"""
        query, _ = upgraded(req)
        wanted = Prune.parse(params.filters(query))
        removed = self._remove.prune(req.context.account, wanted)
        answer(req, resp, {"NetworksDeleted": removed or None})
