from __future__ import annotations

from uuid import UUID

import pytest

from app.domain.package import check_swap, choose
from app.errors import Forbidden, InvalidParameter
from tests.factories import GIB, MIB, package

SMALL = package(
    "small", id=UUID("aaaaaaaa-0000-4000-8000-000000000001"), memory=128 * MIB, nano_cpus=5 * 10**8, disk=GIB
)
ONE = package("one", id=UUID("bbbbbbbb-0000-4000-8000-000000000002"), memory=GIB, nano_cpus=10**9, disk=10 * GIB)
FAST = package("fast", id=UUID("cccccccc-0000-4000-8000-000000000003"), memory=GIB, nano_cpus=4 * 10**9, disk=10 * GIB)
BIG = package(
    "big", id=UUID("dddddddd-0000-4000-8000-000000000004"), memory=8 * GIB, nano_cpus=8 * 10**9, disk=99 * GIB
)
ALL = [BIG, FAST, ONE, SMALL]


def chosen(**wish: object) -> str:
    return choose(ALL, **{"label": "", "memory": 0, "nano_cpus": 0, "disk": 0, **wish}).name  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wish", "name"),
    [
        ({}, "one"),
        ({"memory": 64 * MIB}, "small"),
        ({"memory": 128 * MIB}, "small"),
        ({"memory": 128 * MIB + 1}, "one"),
        ({"nano_cpus": 10**8}, "small"),
        ({"nano_cpus": 2 * 10**9}, "fast"),
        ({"memory": 64 * MIB, "nano_cpus": 10**9}, "one"),
        ({"disk": 20 * GIB}, "big"),
        ({"memory": 8 * GIB}, "big"),
    ],
)
def test_the_smallest_that_fits(wish: dict, name: str) -> None:
    assert chosen(**wish) == name


def test_swap() -> None:
    """As much as the memory, or what the package has of it: an inspected container can be made again."""
    swapping = package("swapping", memory=GIB, swap=4 * GIB)
    check_swap(swapping, GIB, 5 * GIB)
    check_swap(swapping, 8 * GIB, 16 * GIB)
    check_swap(None, GIB, 2 * GIB)
    check_swap(None, GIB, 0)
    for chosen_one, most in ((swapping, 5 * GIB), (None, 2 * GIB)):
        with pytest.raises(Forbidden, match=r"more swap than memory \(HostConfig.MemorySwap\)"):
            check_swap(chosen_one, GIB, most + 1)


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"memory": 9 * GIB}, f"memory={9 * GIB}"),
        ({"nano_cpus": 9 * 10**9}, "cpus=9.0"),
        ({"memory": MIB, "disk": 100 * GIB}, f"memory={MIB}, size={100 * GIB}"),
    ],
)
def test_none_fits(wish: dict, words: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        chosen(**wish)
    assert refused.value.message == f"no package supports the given container constraints: {words}"


@pytest.mark.parametrize("label", ["big", "dddddddd", "dddddddd-0000-4000-8000-000000000004"])
def test_a_label_wins_over_sizes(label: str) -> None:
    assert chosen(label=label, memory=MIB) == "big"


def test_a_name_wins_over_a_short_uuid() -> None:
    named = package("dddddddd")
    assert choose([BIG, named], label="dddddddd", memory=0, nano_cpus=0, disk=0) is named


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("none", "no packages match parameters: com.joyent.package=none"),
        ("ddddddd", "no packages match parameters: com.joyent.package=ddddddd"),
        ("a b", "invalid value for com.joyent.package: a b"),
        ("-x", "invalid value for com.joyent.package: -x"),
    ],
)
def test_unknown_labels(label: str, words: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        chosen(label=label)
    assert refused.value.message == words


def test_no_packages_at_all() -> None:
    with pytest.raises(InvalidParameter):
        choose([], label="", memory=0, nano_cpus=0, disk=0)
