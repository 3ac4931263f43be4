"""An engine's sample of what a container uses -> what the tenant sees at API 1.44. Every field is named here."""

from __future__ import annotations

from typing import Any

from app.domain.container import Container

Json = dict[str, Any]

_BLKIO = (
    "io_service_bytes_recursive",
    "io_serviced_recursive",
    "io_queue_recursive",
    "io_service_time_recursive",
    "io_wait_time_recursive",
    "io_merged_recursive",
    "io_time_recursive",
    "sectors_recursive",
)
_BLKIO_ENTRY = ("major", "minor", "op", "value")
_PIDS = ("current", "limit")
_USAGE = ("total_usage", "percpu_usage", "usage_in_kernelmode", "usage_in_usermode")
_THROTTLING = ("periods", "throttled_periods", "throttled_time")
_MEMORY = ("usage", "max_usage", "failcnt", "limit")
_NETWORK = (
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
)


def sample(container: Container, seen: Json) -> Json:
    """One line of GET /containers/{id}/stats."""
    blkio = seen.get("blkio_stats") or {}
    view: Json = {
        "read": seen["read"],
        "preread": seen["preread"],
        "pids_stats": _of(seen.get("pids_stats"), _PIDS),
        "blkio_stats": {key: _entries(blkio.get(key)) for key in _BLKIO},
        "num_procs": 0,
        "storage_stats": {},
        "cpu_stats": _cpu(seen.get("cpu_stats") or {}),
        "precpu_stats": _cpu(seen.get("precpu_stats") or {}),
        "memory_stats": _memory(seen.get("memory_stats") or {}),
        "name": f"/{container.name}",
        "id": container.id,
    }
    if seen.get("networks"):
        view["networks"] = {name: _of(counters, _NETWORK) for name, counters in seen["networks"].items()}
    return view


def _cpu(seen: Json) -> Json:
    view: Json = {"cpu_usage": _of(seen.get("cpu_usage"), _USAGE)}
    view |= _of(seen, ("system_cpu_usage", "online_cpus"))
    view["throttling_data"] = _of(seen.get("throttling_data"), _THROTTLING)
    return view


def _memory(seen: Json) -> Json:
    view = _of(seen, _MEMORY)
    if isinstance(seen.get("stats"), dict):
        # The kernel's own counters of the container's group, whose names differ between kernels.
        view["stats"] = {str(key): value for key, value in seen["stats"].items() if isinstance(value, int)}
    return view


def _entries(seen: Any) -> list[Json] | None:
    return None if seen is None else [_of(entry, _BLKIO_ENTRY) for entry in seen]


def _of(seen: Any, keys: tuple[str, ...]) -> Json:
    return {key: seen[key] for key in keys if key in (seen or {})}
