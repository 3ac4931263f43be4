"""Two accounts on one node: a real database, a fake engine, and the services between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.world import World


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()
