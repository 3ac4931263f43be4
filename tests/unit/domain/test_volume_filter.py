from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain import label_filter, volume_filter, volume_view
from app.domain.volume import ANONYMOUS_LABEL, Volume
from app.errors import InvalidParameter
from tests.factories import NOW, number


def volume(name: str = "data", **values: Any) -> Volume:
    return Volume(number(5), number(1), name, number(3), "v-1", False, **values)


VOLUMES = [
    volume("data", labels={"a": "b"}, mounts=1),
    volume("data2", labels={"a": "c"}),
    volume("f" * 64, labels={ANONYMOUS_LABEL: ""}),
]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, "012"),
        ({"dangling": ["true"]}, "12"),
        ({"dangling": ["0"]}, "0"),
        ({"name": ["data"]}, "01"),
        ({"name": ["^data$"]}, "0"),
        ({"name": ["["]}, ""),
        ({"name": ["data2", "fff"]}, "12"),
        ({"label": ["a"]}, "01"),
        ({"label": ["a=b"]}, "0"),
        ({"label": ["a", "a=c"]}, "1"),
        ({"driver": ["local"]}, "012"),
        ({"driver": ["nfs"]}, ""),
        ({"driver": ["nfs", "local"], "dangling": ["1"], "name": ["2"]}, "1"),
    ],
)
def test_list(filters: dict, found: str) -> None:
    assert volume_filter.select(VOLUMES, filters) == [VOLUMES[int(place)] for place in found]


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"colour": ["red"]}, "Invalid filter 'colour'"),
        ({"dangling": ["x"]}, "Invalid filter 'dangling=[x]'"),
        ({"dangling": ["true", "false"]}, "Invalid filter 'dangling=[true false]'"),
        ({"dangling": []}, "Invalid filter 'dangling=[]'"),
        ({"label!": ["a"]}, "Invalid filter 'label!'"),
    ],
)
def test_bad_filters(filters: dict, message: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        volume_filter.select(VOLUMES, filters)
    assert refused.value.message == message


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, "2"),
        ({"all": ["true"]}, "12"),
        ({"all": ["0"]}, "2"),
        ({"all": ["1"], "label": ["a"]}, "1"),
        ({"all": ["1"], "label!": ["a=c"]}, "2"),
        ({"label!": [ANONYMOUS_LABEL]}, ""),
    ],
)
def test_prune(filters: dict, found: str) -> None:
    assert volume_filter.to_prune(VOLUMES, filters) == [VOLUMES[int(place)] for place in found]


@pytest.mark.parametrize("filters", [{"dangling": ["true"]}, {"all": ["x"]}, {"until": ["5m"]}])
def test_bad_prune_filters(filters: dict) -> None:
    with pytest.raises(InvalidParameter, match="Invalid filter"):
        volume_filter.to_prune(VOLUMES, filters)


def test_until() -> None:
    assert label_filter.until({}) is None
    assert label_filter.until({"until": ["1700000000.5"]}) == datetime.fromtimestamp(1700000000.5, UTC)
    assert label_filter.until({"until": ["2026-01-02"]}) == datetime(2026, 1, 2, tzinfo=UTC)
    assert label_filter.until({"until": ["2026-01-02T03:04:05+01:00"]}) == datetime(2026, 1, 2, 2, 4, 5, tzinfo=UTC)
    ago = label_filter.until({"until": ["1h30m"]})
    assert ago and abs(datetime.now(UTC) - timedelta(minutes=90) - ago) < timedelta(seconds=30)


@pytest.mark.parametrize("value", ["x", "-1", "", "m", "99999999999999h", "2026-13-01"])
def test_a_bad_until(value: str) -> None:
    with pytest.raises(InvalidParameter, match="failed to parse value as time or duration"):
        label_filter.until({"until": [value]})


def test_two_untils() -> None:
    with pytest.raises(InvalidParameter, match="more than one until filter specified"):
        label_filter.until({"until": ["5m", "6m"]})


def test_the_view() -> None:
    shown = volume_view.entry(volume(created_at=NOW, options={"size": "1g"}))
    assert shown == {
        "CreatedAt": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Driver": "local",
        "Labels": None,
        "Mountpoint": "/var/lib/docker/volumes/data/_data",
        "Name": "data",
        "Options": {"size": "1g"},
        "Scope": "local",
    }
    assert volume_view.entry(volume(mounts=2), size=7)["UsageData"] == {"RefCount": 2, "Size": 7}
