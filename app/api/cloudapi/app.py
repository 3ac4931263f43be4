"""CloudAPI's Falcon application: middleware in order and the closed route table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import falcon

from app import errors
from app.api.cloudapi import resources
from app.api.cloudapi.errors import handle_http, handle_kind, handle_unexpected
from app.api.cloudapi.middleware import PING, AuditTrail, RequestLog, SignedBy
from app.services.account_keys import AccountKeys
from app.services.audit import Recorder
from app.services.offers import Offers
from app.services.signed_request import SignedRequest


@dataclass(frozen=True)
class CloudServices:
    """What CloudAPI calls; `cloudapi_wsgi.py` makes it."""

    signed: SignedRequest
    keys: AccountKeys
    offers: Offers
    audit: Recorder


def create_app(services: CloudServices) -> falcon.App:
    """Who one is comes before what there is, so that a stranger cannot explore the routes."""
    middleware: list[Any] = [RequestLog(), AuditTrail(services.audit), SignedBy(services.signed)]
    app = falcon.App(middleware=middleware)
    app.add_error_handler(Exception, handle_unexpected)
    app.add_error_handler(falcon.HTTPError, handle_http)
    app.add_error_handler(errors.Error, handle_kind)
    keys, offers = services.keys, services.offers
    for path, resource in (
        (PING, resources.Ping()),
        ("/{account}", resources.GetAccount(offers)),
        ("/{account}/services", resources.Services(offers)),
        ("/{account}/datacenters", resources.Datacenters(offers)),
        ("/{account}/datacenters/{name}", resources.Datacenter(offers)),
        ("/{account}/keys", resources.KeyList(keys)),
        # A SHA-256 fingerprint may have slashes.
        ("/{account}/keys/{wanted:path}", resources.Key(keys)),
        ("/{account}/packages", resources.Packages(offers)),
        ("/{account}/packages/{wanted}", resources.GetPackage(offers)),
        ("/{account}/networks", resources.Networks(offers)),
        ("/{account}/networks/{wanted}", resources.GetNetwork(offers)),
    ):
        app.add_route(path, resource)
    return app
