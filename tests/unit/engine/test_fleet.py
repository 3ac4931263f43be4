from __future__ import annotations

import pytest

from app.engine.fleet import Fleet
from tests.factories import node


def test_one_engine_for_each_node_and_version() -> None:
    fleet = Fleet()
    first = fleet.on(node(1))
    assert fleet.on(node(1, state="down", containers=5)) is first
    assert fleet.on(node(1, api_version="1.44")) is not first
    assert fleet.on(node(2)) is not first


def test_a_url_that_is_none() -> None:
    with pytest.raises(ValueError, match="an engine's url is"):
        Fleet().on(node(url="http://node"))
