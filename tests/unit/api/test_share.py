"""An account's share of a worker's threads."""

from __future__ import annotations

from uuid import uuid4

import pytest

from app.api.share import Share
from app.errors import TooMany


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


def test_there_is_always_one_place() -> None:
    Share(-3).take(uuid4())
