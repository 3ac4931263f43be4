"""What an update asks of an engine, given what the engine has set."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.limits import Limits, of, update_body

MIB = 1 << 20
NOW = {"Memory": 128 * MIB, "MemorySwap": 128 * MIB, "NanoCpus": 10**9}


@pytest.mark.parametrize(
    ("wanted", "host", "body"),
    [
        ({}, NOW, {}),
        # Swap follows memory where it was not named.
        ({"memory": 256 * MIB}, NOW, {"Memory": 256 * MIB, "MemorySwap": 256 * MIB}),
        ({"memory": 64 * MIB}, NOW, {"Memory": 64 * MIB, "MemorySwap": 128 * MIB}),
        ({"memory": 16 * MIB}, NOW, {"Memory": 16 * MIB, "MemorySwap": 32 * MIB}),
        ({"memory": 64 * MIB, "memory_swap": 96 * MIB}, NOW, {"Memory": 64 * MIB, "MemorySwap": 96 * MIB}),
        # CPUs in the form that the engine was given first.
        ({"nano_cpus": 5 * 10**8}, NOW, {"NanoCpus": 5 * 10**8}),
        ({"cpu_quota": 50_000}, NOW, {"NanoCpus": 5 * 10**8}),
        ({"cpu_quota": 50_000, "cpu_period": 50_000}, NOW, {"NanoCpus": 10**9}),
        ({"cpu_period": 50_000}, NOW, {}),
        ({"nano_cpus": 5 * 10**8}, {"CpuQuota": 10_000}, {"CpuQuota": 50_000, "CpuPeriod": 100_000}),
        ({"cpu_quota": 20_000}, {"CpuQuota": 10_000, "CpuPeriod": 50_000}, {"CpuQuota": 20_000, "CpuPeriod": 50_000}),
        ({"cpu_period": 20_000}, {"CpuQuota": 10_000, "CpuPeriod": 50_000}, {"CpuQuota": 10_000, "CpuPeriod": 20_000}),
        ({"pids_limit": None}, NOW, {"PidsLimit": 99}),
        (
            {"pids_limit": 7, "cpu_shares": 5, "blkio_weight": 10},
            NOW,
            {"PidsLimit": 7, "CpuShares": 5, "BlkioWeight": 10},
        ),
    ],
)
def test_update_body(wanted: dict[str, Any], host: dict[str, Any], body: dict[str, Any]) -> None:
    assert update_body(wanted, host, 99) == body


def test_what_counts() -> None:
    assert of(NOW) == Limits(128 * MIB, 10**9)
    assert of({"Memory": 5, "NanoCpus": 0, "CpuQuota": 25_000, "CpuPeriod": 0}) == Limits(5, 250_000_000)
    assert of({}) == Limits(0, 0)
