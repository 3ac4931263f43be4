from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from app.api.router import Route, Router, not_found
from app.api.versions import CURRENT
from app.errors import NotFound


def responder(*_: Any) -> None: ...


ROUTER = Router(
    Route(method, path, responder, f"{method} {path}")
    for method, path in (
        ("GET", "/things/json"),
        ("GET", "/things/{name}/json"),
        ("POST", "/things/{name}/start"),
        ("DELETE", "/things/{name}"),
        ("POST", "/things/create"),
    )
)


def find(method: str, path: str) -> tuple[str, dict] | None:
    request = SimpleNamespace(method=method, context=SimpleNamespace(api_version=CURRENT))
    found = ROUTER.find(path, request)
    return (request.context.operation, found[2]) if found else None


@pytest.mark.parametrize(
    ("method", "path", "operation", "fields"),
    [
        ("GET", "/things/json", "GET /things/json", {}),
        ("GET", "/things/a/json", "GET /things/{name}/json", {"name": "a"}),
        ("GET", "/things/host:5000/a/b:1/json", "GET /things/{name}/json", {"name": "host:5000/a/b:1"}),
        ("GET", "/things/json/json", "GET /things/{name}/json", {"name": "json"}),
        ("GET", "/things/a/json/json", "GET /things/{name}/json", {"name": "a/json"}),
        ("DELETE", "/things/a", "DELETE /things/{name}", {"name": "a"}),
        ("DELETE", "/things/create", "DELETE /things/{name}", {"name": "create"}),
        ("POST", "/things/a/start", "POST /things/{name}/start", {"name": "a"}),
    ],
)
def test_found(method: str, path: str, operation: str, fields: dict) -> None:
    assert find(method, path) == (operation, fields)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "/things"),
        ("GET", "/thing/json"),
        ("GET", "/things//json"),
        ("GET", "/THINGS/json"),
        ("GET", "/things/jsonx"),
        ("GET", "/x/things/json"),
        ("POST", "/things/json"),
        ("HEAD", "/things/json"),
        ("PUT", "/things/a"),
        ("DELETE", "/things/"),
    ],
)
def test_not_found(method: str, path: str) -> None:
    assert find(method, path) is None


def test_the_table_is_closed() -> None:
    with pytest.raises(TypeError):
        ROUTER.add_route("/x", object())
    with pytest.raises(NotFound, match="page not found"):
        not_found()
