"""One data center of 100,000 containers for all tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.store.session import Store
from tests import machine, seed


@pytest.fixture(scope="session")
def seeded(postgres: machine.Postgres) -> Iterator[seed.Seeded]:
    with postgres.database() as url:
        yield seed.fill(url)


@pytest.fixture(scope="session")
def seeded_store(seeded: seed.Seeded) -> Iterator[Store]:
    store = Store(seeded.url, pool=2)
    yield store
    store.close()
