"""A sample as the tenant sees it."""

from __future__ import annotations

from app.domain import stats_view
from tests import factories


def test_every_field_is_named() -> None:
    container = factories.container(name="web")
    seen = {
        "read": "r",
        "preread": "p",
        "name": "/c-uuid",
        "id": "engine",
        "secret": "x",
        "pids_stats": {"current": 1, "secret": "x"},
        "blkio_stats": {
            "io_service_bytes_recursive": [{"major": 8, "minor": 0, "op": "read", "value": 5, "secret": 1}]
        },
        "cpu_stats": {"cpu_usage": {"total_usage": 5}, "system_cpu_usage": 7, "online_cpus": 2, "secret": 1},
        "memory_stats": {"usage": 5, "limit": 9, "stats": {"cache": 1, "odd": "x"}, "secret": 1},
        "networks": {"eth0": {"rx_bytes": 1, "secret": 1}},
    }
    view = stats_view.sample(container, seen)
    assert "secret" not in str(view) and "engine" not in str(view)
    assert (view["name"], view["id"]) == ("/web", container.id)
    assert view["memory_stats"] == {"usage": 5, "limit": 9, "stats": {"cache": 1}}
    assert view["networks"] == {"eth0": {"rx_bytes": 1}}
    assert view["precpu_stats"] == {"cpu_usage": {}, "throttling_data": {}}


def test_one_that_does_not_run() -> None:
    view = stats_view.sample(factories.container(), {"read": "r", "preread": "p", "cpu_stats": None})
    assert "networks" not in view and view["pids_stats"] == {}
    assert view["blkio_stats"]["sectors_recursive"] is None
