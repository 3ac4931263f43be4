"""Method and path -> resource, by the table in routes.py.

Docker's image names contain slashes, which stand between fixed words (`/images/{name}/json`). Falcon's own router
matches a segment at a time, so this one matches whole paths. What is not in the table is not there: 404.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from app.api import versions
from app.errors import NotFound


@dataclass(frozen=True)
class Route:
    method: str
    #: "{name}" matches anything, slashes too, but not nothing.
    path: str
    responder: Callable[..., None]
    #: "<resource>.<verb>", the word that the version changes go by.
    operation: str
    #: The versions that have it: from this one on ("1.22"), and only below that one.
    since: str = ""
    until: str = ""


class Router:
    """Falcon's router interface over a closed table."""

    def __init__(self, routes: Iterable[Route]) -> None:
        paths: dict[str, dict[str, Route]] = {}
        for route in routes:
            paths.setdefault(route.path, {})[route.method] = route
        # Fixed words win over names: /images/json is no image called "json".
        ordered = sorted(paths.items(), key=lambda item: ("{" in item[0], -len(item[0])))
        self._table = [(self._compile(path), path, methods) for path, methods in ordered]

    @staticmethod
    def _compile(path: str) -> re.Pattern[str]:
        parts = re.split(r"\{(\w+)\}", path)
        pattern = "".join(f"(?P<{part}>.+)" if i % 2 else re.escape(part) for i, part in enumerate(parts))
        return re.compile(pattern)

    def find(self, uri: str, req: Any = None) -> tuple[Any, dict[str, Callable], dict[str, str], str] | None:
        for pattern, path, methods in self._table:
            match = pattern.fullmatch(uri)
            if match is None:
                continue
            route = methods.get(req.method)
            if route is None:
                continue
            if not versions.has_route(req.context.api_version, route.until):
                continue
            versions.check_route(req.context.api_version, route.since, f"{route.method} {route.path}")
            req.context.operation = route.operation
            words = match.groupdict()
            req.context.target = next(iter(words.values()), "")
            return route.responder, {req.method: route.responder}, words, path
        return None

    def add_route(self, *_: Any, **__: Any) -> None:
        raise TypeError("routes stand in app/api/routes.py")


def not_found(*_: Any, **__: Any) -> None:
    raise NotFound("page not found")
