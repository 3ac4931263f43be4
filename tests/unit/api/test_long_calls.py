"""What the server asks of a request before it gives it a thread."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.api import middleware
from app.api.long_calls import takes_long
from app.services.identity import Credential
from tests.unit.api.stubs import Api

#: By the words of the routes.
LONG = {
    *("containers.stop", "containers.restart", "containers.prune", "containers.commit", "distribution.inspect"),
    *("images.create", "images.load", "images.push", "images.save", "images.search", "images.prune", "images.build"),
    *("build.prune", "networks.prune", "volumes.prune", "system.auth", "system.df", "containers.changes"),
}


def test_the_table(api: Api) -> None:
    """Every route that waits for content, a registry, a container's end or a look at every file, and no other."""
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
        ("\r\nPOST /containers/x/stop HTTP/1.1\r\nHost: x", True),
        ("POST http://host/v1.44/containers/x/stop?t=1 HTTP/1.1", True),
        ("POST /containers/x/%73top HTTP/1.1", True),
        ("POST /containers/v1/stop HTTP/1.1", True),
        ("GET /v1.44/containers/json?all=1&size=1 HTTP/1.1", True),
        ("GET /containers/json?%73ize=1 HTTP/1.1", True),
        ("GET /containers/x/json?size=1 HTTP/1.1", True),
        ("GET /containers/x/json HTTP/1.1", False),
        ("GET /images/x/json?size=1 HTTP/1.1", False),
        ("GET /v1.44/containers/json?x=POST%20/commit HTTP/1.1", False),
        ("", False),
    ],
)
def test_lines(line: str, expected: bool) -> None:
    assert takes_long(line.encode()) is expected


def test_a_client_is_known_once_it_was_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = [Credential("alice", f"SHA256:{n}") for n in range(3)]
    monkeypatch.setattr(middleware, "_credential", lambda certificate, _verify: credentials[int(certificate)])
    monkeypatch.setattr(middleware, "_MOST_LET_IN", 2)

    def known() -> list[bool]:
        told = [middleware.client_of(SimpleNamespace(certificate=str(n), verify="NONE")) for n in range(3)]
        assert {login for login, _ in told} == {"alice"}
        return [is_known for _, is_known in told]

    middleware.note_let_in(credentials[0])
    middleware.note_let_in(credentials[0])
    assert known() == [True, False, False]
    for credential in credentials[1:]:
        middleware.note_let_in(credential)
    assert known() == [False, True, True]


def test_who_shows_nothing_is_a_stranger() -> None:
    assert middleware.client_of(SimpleNamespace(certificate="", verify="NONE")) == ("", False)
