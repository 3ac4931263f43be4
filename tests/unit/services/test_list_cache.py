"""The kept list: made again exactly when its stamp differs or it has aged, and never more than its capacity."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from app.services import list_cache
from app.services.list_cache import OVERHEAD, ListCache


class Maker:
    def __init__(self, body: bytes, ages: bool = False) -> None:
        self.calls = 0
        self._told = (body, ages)

    def __call__(self) -> tuple[bytes, bool]:
        self.calls += 1
        return self._told


def test_made_once_while_the_stamp_stays() -> None:
    cache, make = ListCache(), Maker(b"[]")
    assert [cache.get("a", (0, None), make) for _ in range(3)] == [b"[]"] * 3
    assert make.calls == 1


def test_another_stamp_and_another_key_are_made_anew() -> None:
    cache, make = ListCache(), Maker(b"[]")
    cache.get("a", (1, 5), make)
    cache.get("a", (1, 6), make)
    cache.get("b", (1, 6), make)
    assert make.calls == 3


def test_a_list_with_durations_is_kept_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    # Of this module alone: other threads go by the clock.
    monkeypatch.setattr(list_cache, "time", SimpleNamespace(monotonic=lambda: now))
    cache, make = ListCache(), Maker(b"[]", ages=True)
    cache.get("a", 1, make)
    now += 0.9
    cache.get("a", 1, make)
    assert make.calls == 1
    now += 0.2
    cache.get("a", 1, make)
    assert make.calls == 2


def test_the_longest_unused_goes_first() -> None:
    cache = ListCache(capacity=25 + 2 * OVERHEAD)
    first, second, third = Maker(b"x" * 10), Maker(b"y" * 10), Maker(b"z" * 10)
    cache.get("first", 1, first)
    cache.get("second", 1, second)
    cache.get("first", 1, first)
    cache.get("third", 1, third)
    cache.get("first", 1, first)
    cache.get("second", 1, second)
    assert (first.calls, second.calls, third.calls) == (1, 2, 1)


def test_a_body_above_the_capacity_is_answered_and_not_kept() -> None:
    cache, make = ListCache(capacity=5 + OVERHEAD), Maker(b"x" * 10)
    assert cache.get("a", 1, make) == cache.get("a", 1, make) == b"x" * 10
    assert make.calls == 2


def test_short_lists_fill_it_as_well() -> None:
    cache = ListCache(capacity=1024 * 1024)
    for n in range(10_000):
        cache.get(n, 1, Maker(b"[]"))
    assert len(cache._kept) <= 1024
