"""What Docker has and this service has not: each route answers 501 with what to do instead.

They stand in the route table like all others, so that a client learns that the feature is not here rather than that a
page was not found, and every request for them is logged by name.
"""

from __future__ import annotations

from typing import NoReturn

import falcon

from app.api.router import Route
from app.errors import NotFound, NotImplemented

_SWARM = (
    "swarm mode is not available here: the service itself places containers on the nodes of the data center; use "
    "docker run or Compose"
)
_SECRETS = (
    "secrets and configs of swarm mode are not available here: put the file into the container with docker cp, or let "
    "Compose do it"
)
_PLUGINS = (
    "plugins are not available here, for a plugin has the rights of its node: use the drivers that docker info names"
)
_CHECKPOINTS = (
    "checkpoints are not available here: stop the container and start it again, or keep its files with docker commit"
)
_BUILDKIT = "BuildKit sessions are not available here: set DOCKER_BUILDKIT=0 to build with the classic builder"

#: (what a path begins with, the methods of it, the first version, the answer)
_FAMILIES: tuple[tuple[str, str, str, str], ...] = (
    ("/swarm", "GET", "1.24", _SWARM),
    ("/swarm/{rest}", "GET POST", "1.24", _SWARM),
    ("/nodes", "GET", "1.24", _SWARM),
    ("/nodes/{rest}", "GET POST DELETE", "1.24", _SWARM),
    ("/services", "GET", "1.24", _SWARM),
    ("/services/{rest}", "GET POST DELETE", "1.24", _SWARM),
    ("/tasks", "GET", "1.24", _SWARM),
    ("/tasks/{rest}", "GET", "1.24", _SWARM),
    ("/secrets", "GET", "1.25", _SECRETS),
    ("/secrets/{rest}", "GET POST DELETE", "1.25", _SECRETS),
    ("/configs", "GET", "1.30", _SECRETS),
    ("/configs/{rest}", "GET POST DELETE", "1.30", _SECRETS),
    ("/plugins/{rest}", "GET POST DELETE", "1.25", _PLUGINS),
    ("/containers/{name}/checkpoints", "GET POST", "1.25", _CHECKPOINTS),
    ("/containers/{name}/checkpoints/{checkpoint}", "DELETE", "1.25", _CHECKPOINTS),
    ("/session", "POST", "1.31", _BUILDKIT),
    ("/grpc", "POST", "1.40", _BUILDKIT),
)


class Refused:
    """Answers 501 with its sentence."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence

    def respond(self, req: falcon.Request, resp: falcon.Response, **_: str) -> NoReturn:
        raise NotImplemented(self._sentence)


class Plugins:
    """GET /plugins and /plugins/{name}/json: there are none.

    Clients that look for a driver, or for an object of whatever kind (`docker inspect`), take that for an answer.
    """

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        resp.content_type = "application/json"
        resp.data = b"[]\n"

    def on_inspect(self, req: falcon.Request, resp: falcon.Response, name: str) -> NoReturn:
        raise NotFound(f'plugin "{name}" not found')


class Options:
    """OPTIONS on any path. A browser asks so what it may do; nothing is granted to it."""

    def on_options(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        resp.status = 200


def refused() -> list[Route]:
    """The routes of all that is refused, and the two that answer beside them."""
    routes = [
        Route(method, path, Refused(sentence).respond, "system.refused", since=since)
        for path, methods, since, sentence in _FAMILIES
        for method in methods.split()
    ]
    plugins = Plugins()
    return [
        *routes,
        Route("GET", "/plugins", plugins.on_get, "plugins.list", since="1.25"),
        Route("GET", "/plugins/{name}/json", plugins.on_inspect, "plugins.inspect", since="1.25"),
        Route("OPTIONS", "/{path}", Options().on_options, "system.options"),
    ]
