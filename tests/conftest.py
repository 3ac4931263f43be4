"""Fixtures that more than one tier uses. Each starts its own thing on the machine, once, and ends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import machine


@pytest.fixture(scope="session")
def postgres() -> Iterator[machine.Postgres]:
    """A private PostgreSQL cluster."""
    with machine.postgres() as cluster:
        yield cluster


@pytest.fixture
def database_url(postgres: machine.Postgres) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    with postgres.database() as url:
        yield url


@pytest.fixture(scope="session")
def engine() -> Iterator[machine.Engine]:
    """A real Docker Engine with busybox:latest in it, not connected to anything."""
    with machine.private_engine() as real:
        status, said = real.call("POST", "/images/load?quiet=1", machine.busybox_archive())
        assert status == 200, said
        yield real
