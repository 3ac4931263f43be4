"""An account's share of a worker's threads."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from app.api.share import Share
from app.errors import TooMany
from tests.unit.api.stubs import Api


def test_one_account_gets_its_share_and_no_more() -> None:
    share, alice, bob = Share(2), uuid4(), uuid4()
    held = [share.take(alice), share.take(alice)]
    with pytest.raises(TooMany) as raised:
        share.take(alice)
    assert raised.value.retry_after
    share.take(bob)
    held[0]()
    share.take(alice)


def test_a_place_is_given_back_once() -> None:
    share, alice = Share(1), uuid4()
    give_back = share.take(alice)
    give_back()
    give_back()
    share.take(alice)
    with pytest.raises(TooMany):
        share.take(alice)


@pytest.mark.parametrize(
    ("path", "service"),
    [
        ("/containers/prune", "container_prune"),
        ("/images/prune", "image_remove"),
        ("/networks/prune", "network_remove"),
        ("/volumes/prune", "volumes"),
        ("/build/prune", "build_prune"),
    ],
)
def test_a_prune_takes_one(api: Api, path: str, service: str) -> None:
    statuses = []

    def prune(*_: Any, **__: Any) -> dict[str, Any]:
        """While it is under way there is another one."""
        statuses.append(api.call("POST", f"/v1.44{path}").status_int)
        return {}

    api.stubs[service].answers["prune"] = prune
    assert api.call("POST", f"/v1.44{path}").status_int == 200
    assert statuses[0] == 429 and set(statuses[1:]) == {200}


def test_there_is_always_one_place() -> None:
    Share(-3).take(uuid4())
