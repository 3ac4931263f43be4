from __future__ import annotations

import pytest

from app.store import accounts
from app.store.session import UniqueViolation
from tests.factories import GIB
from tests.integration.world import World, at_once


def reserve(world: World, memory: int = GIB, nano_cpus: int = 10**9) -> bool:
    try:
        with world.store.begin() as tx:
            accounts.reserve(tx, world.alice.id, memory, nano_cpus)
    except accounts.OverQuota:
        return False
    return True


@pytest.mark.parametrize("limit", ["max_containers", "max_memory", "max_nano_cpus"])
def test_a_quota_is_never_passed(world: World, limit: str) -> None:
    unit = {"max_containers": 1, "max_memory": GIB, "max_nano_cpus": 10**9}[limit]
    world.sql(f"UPDATE accounts SET {limit} = {7 * unit}")
    results = at_once([lambda: reserve(world)] * 20)
    assert results.count(True) == 7
    assert world.used(world.alice) == (7, 7 * GIB, 7 * 10**9)
    assert world.used(world.bob) == (0, 0, 0)


def test_exactly_the_quota_is_allowed(world: World) -> None:
    world.sql(f"UPDATE accounts SET max_memory = {GIB}, max_nano_cpus = 1000000000, max_containers = 1")
    assert not reserve(world, GIB + 1)
    assert not reserve(world, GIB, 10**9 + 1)
    assert reserve(world)
    with world.store.begin() as tx:
        accounts.release(tx, world.alice.id, GIB, 10**9)
    assert world.used(world.alice) == (0, 0, 0)


def test_find_by_key_needs_both(world: World) -> None:
    with world.store.begin() as tx:
        accounts.add_key(tx, world.alice.id, "laptop", "SHA256:x", "ssh-rsa x")
        found = accounts.find_by_key(tx, "alice", "SHA256:x")
        assert found and found.id == world.alice.id
        assert accounts.find_by_key(tx, "bob", "SHA256:x") is None
        assert accounts.find_by_key(tx, "alice", "SHA256:y") is None
        assert accounts.find_by_login(tx, "Alice") is None
    with pytest.raises(UniqueViolation) as violation, world.store.begin() as tx:
        accounts.add_key(tx, world.alice.id, "again", "SHA256:x", "ssh-rsa x")
    assert violation.value.constraint == "uq_account_keys_account_id_fingerprint"
