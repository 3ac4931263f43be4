"""Which requests are long, told from their first line."""

from __future__ import annotations

import pytest

from app.api.long_calls import takes_long
from tests.unit.api.stubs import Api

#: By the words of the routes.
LONG = {
    *("containers.stop", "containers.restart", "containers.prune", "containers.commit", "distribution.inspect"),
    *("images.create", "images.load", "images.push", "images.save", "images.search", "images.prune", "images.build"),
    *("build.prune", "networks.prune", "volumes.prune", "system.auth"),
}


def test_the_table(api: Api) -> None:
    """Every route that waits for content, a registry or a container's end, and no other."""
    seen = set()
    for route in api.routes:
        path = route.path.replace("{name}", "x").replace("{id}", "x")
        for prefix in ("", "/v1.24"):
            head = f"{route.method} {prefix}{path}"
            expected = route.operation in LONG or (route.method, route.operation) == ("PUT", "containers.archive")
            for rest in (" HTTP/1.1\r\n", "?t=3 HTTP/1.1\r\n"):
                assert takes_long(f"{head}{rest}".encode()) is expected, head
        seen.add(route.operation)
    assert seen >= LONG


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("POST /v1.44/images/a/b/c:1/push?tag=x HTTP/1.1", True),
        ("GET /v1.44/images/reg.lan:5000/a/get HTTP/1.1", True),
        ("GET /containers/stop/json HTTP/1.1", False),
        ("POST /containers/x/stops HTTP/1.1", False),
        ("GET /v1.44/containers/json?x=POST%20/commit HTTP/1.1", False),
        ("", False),
    ],
)
def test_lines(line: str, expected: bool) -> None:
    assert takes_long(line.encode()) is expected
