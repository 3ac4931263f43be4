from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from app.errors import NotFound
from app.services.offers import Offers
from app.settings import Places
from tests.integration.world import World


@pytest.fixture
def offers(world: World) -> Offers:
    places = Places(docker_address="docker.example:2376", cloudapi_address="cloud.example:8443")
    return Offers(world.store, "dc1", places)


def test_the_addresses_are_the_operators(world: World, offers: Offers) -> None:
    assert offers.services() == {"cloudapi": "https://cloud.example:8443", "docker": "tcp://docker.example:2376"}
    assert offers.datacenters() == {"dc1": "https://cloud.example:8443"}
    assert Offers(world.store, "dc1", Places()).services() == {}


def test_packages_are_found_by_name_and_id(world: World, offers: Offers) -> None:
    packages = offers.packages()
    assert len(packages) > 10
    for wanted in (packages[3].name, str(packages[3].id)):
        assert offers.package(wanted) == packages[3]
    for wanted in ("", "nonsense", packages[3].name.upper()):
        with pytest.raises(NotFound):
            offers.package(wanted)


def test_networks_are_the_accounts_own(world: World, offers: Offers) -> None:
    mine = world.default_network(world.alice)
    assert offers.networks(world.alice) == [mine]
    assert offers.networks(world.bob) == []
    for wanted in (str(mine.uuid), mine.id):
        assert offers.network(world.alice, wanted) == mine
        with pytest.raises(NotFound):
            offers.network(world.bob, wanted)


def test_an_account_is_as_old_as_it_is(world: World, offers: Offers) -> None:
    assert abs(datetime.now(UTC) - offers.since(world.alice)) < timedelta(minutes=5)
