"""How many builds, and looks at every file, an account may have under way."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from app.api import share as share_of
from app.api.resources import build
from app.api.share import Share
from app.errors import InvalidParameter, TooMany
from tests.unit.api.stubs import Api


def test_one_account_gets_its_share_and_no_more() -> None:
    share, alice, bob = Share(2, "builds"), uuid4(), uuid4()
    held = [share.take(alice), share.take(alice)]
    with pytest.raises(TooMany, match="too many builds at a time: 2 of 2") as raised:
        share.take(alice)
    assert raised.value.retry_after
    share.take(bob)
    held[0]()
    share.take(alice)


def test_a_place_is_given_back_once() -> None:
    share, alice = Share(1, "builds"), uuid4()
    give_back = share.take(alice)
    give_back()
    give_back()
    share.take(alice)
    with pytest.raises(TooMany):
        share.take(alice)


def test_who_waits_gets_the_place_that_is_given_back() -> None:
    share, alice = Share(1, "builds"), uuid4()
    give_back = share.take(alice)
    threading.Timer(0.2, give_back).start()
    with share.hold(alice), pytest.raises(TooMany):
        share.take(alice)


@pytest.mark.parametrize(
    ("path", "service", "method"),
    [
        ("/containers/json?size=1", "queries", "list"),
        ("/containers/x/json?size=1", "queries", "inspect"),
        ("/containers/x/changes", "files", "changes"),
        ("/system/df", "disk_usage", "show"),
    ],
)
def test_few_calls_at_a_time_have_an_engine_look_at_every_file(
    api: Api, monkeypatch: pytest.MonkeyPatch, path: str, service: str, method: str
) -> None:
    monkeypatch.setattr(share_of, "PATIENCE", 0.01)
    statuses: list[int] = []

    def walk(*_: Any, **__: Any) -> Any:
        """While it is under way there is another one, and what needs no such look is answered."""
        assert api.call("GET", "/v1.44/containers/json").status_int == 200
        statuses.append(api.call("GET", f"/v1.44{path}").status_int)
        return {"list": b"[]", "changes": SimpleNamespace(sock=None, headers={}, leftover=b"")}.get(method, {})

    api.app.extra_environ["sdc.relay"] = SimpleNamespace(require_room=lambda account: None)
    api.stubs["queries"].answers["list"] = lambda *_, **how: walk() if how["size"] else b"[]"
    if method != "list":
        api.stubs[service].answers[method] = walk
    assert api.call("GET", f"/v1.44{path}").status_int == 200
    assert statuses == [429, 200, 200, 200]


def test_few_contexts_of_an_account_are_read_at_a_time(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """One takes room on the disk for as long as it is being sent."""
    api.app.extra_environ["sdc.relay"] = SimpleNamespace(require_room=lambda account: None)
    statuses: list[int] = []

    def read(*_: Any) -> None:
        statuses.append(api.call("POST", "/v1.44/build").status_int)
        raise InvalidParameter("not an archive")

    monkeypatch.setattr(build, "BuildContext", read)
    for _ in range(2):
        statuses.clear()
        assert api.call("POST", "/v1.44/build").status_int == 400
        assert statuses == [429, 400, 400, 400]
