"""_ping, ca.pem, version, info."""

from __future__ import annotations

from pathlib import Path

import falcon

from app.api import versions
from app.api.body import answer
from app.errors import NotFound
from app.services.system import System


class Ping:
    """GET and HEAD /_ping: needs no account and says nothing of one."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._headers(resp)
        resp.text = "OK"

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        self._headers(resp)
        resp.set_header("Content-Length", "0")

    @staticmethod
    def _headers(resp: falcon.Response) -> None:
        resp.content_type = "text/plain; charset=utf-8"
        resp.set_header("Cache-Control", "no-cache, no-store, must-revalidate")
        resp.set_header("Pragma", "no-cache")
        # There is no BuildKit here: clients that go by this use the classic builder.
        resp.set_header("Builder-Version", "1")
        resp.set_header("Swarm", "inactive")


class CaPem:
    """GET /ca.pem: whom to trust, for a client that is being set up."""

    def __init__(self, ca_file: str) -> None:
        self._ca_file = ca_file

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        if not self._ca_file:
            raise NotFound("page not found")
        resp.content_type = "application/x-pem-file"
        resp.data = Path(self._ca_file).read_bytes()


class Version:
    """GET /version"""

    def __init__(self, system: System) -> None:
        self._system = system

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        version = self._system.version()
        speaks = {"ApiVersion": str(versions.MAXIMUM), "MinAPIVersion": str(versions.MINIMUM)}
        details = {key: version[key] for key in ("Arch", "BuildTime", "GitCommit", "GoVersion", "KernelVersion", "Os")}
        details |= {**speaks, "Experimental": "false"}
        engine = {"Name": "Engine", "Version": version["Version"], "Details": details}
        answer(req, resp, {**version, **speaks, "Components": [engine]})


class Info:
    """GET /info"""

    def __init__(self, system: System) -> None:
        self._system = system

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(req, resp, self._system.info(req.context.account))
