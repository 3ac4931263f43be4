"""The pool that account networks are cut from: what of it is taken, and what is free."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network


@dataclass(frozen=True)
class PoolUse:
    pool: IPv4Network
    #: Of the size that account networks have.
    subnets: int
    taken: int
    #: Networks that lie outside of the pool: it was another one when they were made.
    outside: int

    @property
    def free(self) -> int:
        return self.subnets - self.taken


def use_of(pool: IPv4Network, networks: Iterable[IPv4Network], prefix: int = 24) -> PoolUse:
    """How many subnets of `prefix` bits the pool has, and how many of them a network touches."""
    touched: set[int] = set()
    outside = 0
    size, first = 32 - prefix, int(pool.network_address)
    for network in networks:
        if not network.overlaps(pool):
            outside += 1
            continue
        low = max(int(network.network_address), first)
        high = min(int(network.broadcast_address), int(pool.broadcast_address))
        touched.update(range((low - first) >> size, ((high - first) >> size) + 1))
    return PoolUse(pool, 1 << max(prefix - pool.prefixlen, 0), len(touched), outside)
