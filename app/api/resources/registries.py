"""What is asked of registries: login, distribution, search."""

from __future__ import annotations

import falcon

from app.api import params
from app.api.body import answer, read_json, upgraded
from app.domain import label_filter
from app.domain.policy.values import text
from app.errors import InvalidParameter
from app.services.registry_queries import RegistryQueries

_FILTERS = ("is-automated", "is-official", "stars")
_MOST = 100


class RegistryCalls:
    def __init__(self, registries: RegistryQueries) -> None:
        self._registries = registries

    def on_auth(self, req: falcon.Request, resp: falcon.Response) -> None:
        """POST /auth: docker login"""
        body = read_json(req, check_type=False)
        if body is None:
            raise InvalidParameter("EOF")
        if not isinstance(body, dict):
            raise InvalidParameter("the request body must be an object")
        for name, value in body.items():
            if name.lower() in params.AUTH_FIELDS and value is not None:
                text(name, value)
        auth = params.auth_fields(body)
        answer(req, resp, self._registries.login(auth))

    def on_distribution(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """GET /distribution/{name}/json"""
        auth = params.registry_auth(req.get_header("X-Registry-Auth"))
        answer(req, resp, self._registries.distribution(req.context.account, name, auth))

    def on_search(self, req: falcon.Request, resp: falcon.Response) -> None:
        """GET /images/search"""
        query, _ = upgraded(req)
        limit = params.integer(query, "limit")
        if limit is not None and not 1 <= limit <= _MOST:
            raise InvalidParameter(f"Limit {limit} is outside the range of [1, {_MOST}]")
        filters = params.filters(query)
        _check(filters)
        auth = params.registry_auth(req.get_header("X-Registry-Auth"))
        term = params.one(query, "term")
        if len(term) > 256 or not term.isprintable():
            raise InvalidParameter("invalid search term")
        answer(req, resp, self._registries.search(term, limit=limit, filters=filters, auth=auth))


def _check(filters: dict[str, list[str]]) -> None:
    """Raises InvalidParameter in dockerd's words."""
    label_filter.check_known(filters, _FILTERS)
    for key, values in filters.items():
        if key != "stars":
            label_filter.boolean(filters, key)
            continue
        for value in values:
            if not value.isascii() or not value.isdigit() or len(value) > 9:
                raise InvalidParameter(f"Invalid filter 'stars={value[:64]}'")
