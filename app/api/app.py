"""The Falcon application: middleware in order, the closed route table, and one place for errors."""

from __future__ import annotations

from typing import Any

import falcon

from app import errors
from app.api.audit import AuditTrail
from app.api.errors import handle_http, handle_kind, handle_unexpected
from app.api.middleware import ApiVersion, RequestLog, WhoIsIt
from app.api.router import Router, not_found
from app.api.routes import Services, table


def create_app(services: Services) -> falcon.App:
    """Order matters: an error of the version or the account is logged and written like any other; who one is comes
    before what there is, so that a stranger cannot explore the routes."""
    middleware: list[Any] = [
        RequestLog(),
        AuditTrail(services.audit),
        ApiVersion(),
        WhoIsIt(services.identity),
    ]
    router: Any = Router(table(services))
    app = falcon.App(middleware=middleware, router=router)
    app.add_sink(not_found)
    app.req_options.strip_url_path_trailing_slash = False
    app.resp_options.default_media_type = "application/json"
    app.add_error_handler(Exception, handle_unexpected)
    app.add_error_handler(falcon.HTTPError, handle_http)
    app.add_error_handler(errors.Error, handle_kind)
    return app
