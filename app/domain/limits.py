"""A container's limits while it lives: what an update asks of its engine, given what the engine has set now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

#: The kernel's period where none is named, in microseconds.
PERIOD = 100_000


@dataclass(frozen=True)
class Limits:
    """What counts against a quota: bytes, 1e-9 CPUs."""

    memory: int
    nano_cpus: int


def of(host: Mapping[str, Any]) -> Limits:
    """What an engine's `HostConfig` says is set."""
    nano_cpus = host.get("NanoCpus") or 0
    if not nano_cpus and (host.get("CpuQuota") or 0) > 0:
        nano_cpus = host["CpuQuota"] * 10**9 // (host.get("CpuPeriod") or PERIOD)
    return Limits(host.get("Memory") or 0, nano_cpus)


def update_body(wanted: Mapping[str, Any], host: Mapping[str, Any], default_pids: int) -> Json:
    """The engine's request for `wanted` (fields of `spec.Resources`, only what is to change).

    Swap follows memory where it was not named: a limit of ours must not keep a tenant from raising his. An engine takes
    CPUs only in the form in which it was given them first, so that the other form is turned into that one.
    """
    body: Json = {}
    for key, name in (
        ("memory", "Memory"),
        ("memory_swap", "MemorySwap"),
        ("memory_reservation", "MemoryReservation"),
        ("cpu_shares", "CpuShares"),
        ("blkio_weight", "BlkioWeight"),
    ):
        if key in wanted:
            body[name] = wanted[key]
    if "memory" in wanted and "memory_swap" not in wanted:
        swap = host.get("MemorySwap") or 0
        body["MemorySwap"] = min(max(swap, wanted["memory"]), 2 * wanted["memory"])
    if "pids_limit" in wanted:
        body["PidsLimit"] = wanted["pids_limit"] or default_pids
    return body | _cpus(wanted, host)


def _cpus(wanted: Mapping[str, Any], host: Mapping[str, Any]) -> Json:
    nano, quota, period = wanted.get("nano_cpus", 0), wanted.get("cpu_quota", 0), wanted.get("cpu_period", 0)
    if host.get("CpuQuota"):
        period = period or host.get("CpuPeriod") or PERIOD
        if nano:
            return {"CpuQuota": nano * period // 10**9, "CpuPeriod": period}
        if quota or "cpu_period" in wanted:
            return {"CpuQuota": quota or host["CpuQuota"], "CpuPeriod": period}
        return {}
    if quota:
        nano = quota * 10**9 // (period or PERIOD)
    return {"NanoCpus": nano} if nano else {}
