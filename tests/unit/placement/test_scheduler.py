from __future__ import annotations

import pytest

from app.errors import Unavailable
from app.placement.scheduler import FILTERS, Request, place
from tests.factories import node, number

EVERYWHERE = frozenset(number(n) for n in range(1, 9))


def request(**values: object) -> Request:
    return Request(**{"image_nodes": EVERYWHERE, **values})  # type: ignore[arg-type]


def test_fewest_containers_first_then_by_name() -> None:
    nodes = [node(1, containers=3), node(2, containers=1), node(3, containers=1)]
    assert place(request(), nodes).name == "node2"
    assert place(request(), reversed(nodes)).name == "node2"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wish", "nodes", "reason"),
    [
        ({}, [], "no healthy node"),
        ({}, [node(1, state="down")], "no healthy node"),
        ({}, [node(1, cordoned=True), node(2, state="down")], "no node that takes new containers"),
        ({"image_nodes": {number(3)}}, [node(1), node(2)], "no node that has the image"),
        ({"only": {number(3)}}, [node(1), node(2)], "no node that has all that the container refers to"),
        ({"only": {number(1), number(2)}}, [node(1), node(2)], "no node that has all that the container refers to"),
    ],
)
def test_the_last_filter_says_why(wish: dict, nodes: list, reason: str) -> None:
    with pytest.raises(Unavailable) as refused:
        place(request(**wish), nodes)
    assert refused.value.message == f"No compute resources available: {reason}"
    assert refused.value.retry_after


def test_each_filter_drops_what_it_is_for() -> None:
    nodes = [
        node(1, state="down", containers=0),
        node(2, cordoned=True, containers=1),
        node(3, containers=2),
        node(4, containers=3),
        node(5, containers=4),
    ]
    assert place(request(image_nodes=EVERYWHERE - {number(3)}), nodes).name == "node4"
    assert place(request(only={number(5)}), nodes).name == "node5"


def test_filters_keep_the_order_and_only_drop() -> None:
    nodes = [node(n) for n in (3, 1, 2)]
    for keep in FILTERS:
        assert keep(request(), nodes) == nodes
