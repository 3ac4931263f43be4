from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from app.domain.address_pool import use_of


@pytest.mark.parametrize(
    ("pool", "networks", "subnets", "taken", "outside"),
    [
        ("10.224.0.0/12", [], 4096, 0, 0),
        ("10.224.0.0/12", ["10.224.0.0/24", "10.224.7.0/24"], 4096, 2, 0),
        # Networks of another size take what they touch; two in the same /24 take it once.
        ("10.0.0.0/16", ["10.0.1.0/25", "10.0.1.128/25", "10.0.4.0/22"], 256, 5, 0),
        ("10.0.0.0/16", ["10.1.0.0/24", "192.168.0.0/24"], 256, 0, 2),
        # One that is larger than the pool.
        ("10.0.0.0/24", ["10.0.0.0/16"], 1, 1, 0),
        ("10.0.0.0/24", ["10.0.0.0/24"], 1, 1, 0),
    ],
)
def test_use(pool: str, networks: list[str], subnets: int, taken: int, outside: int) -> None:
    found = use_of(IPv4Network(pool), [IPv4Network(n) for n in networks])
    assert (found.subnets, found.taken, found.outside, found.free) == (subnets, taken, outside, subnets - taken)
