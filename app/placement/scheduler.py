"""Where a new container goes: filters drop nodes, a strategy ranks the rest. Pure functions over node snapshots."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.domain.node import Node
from app.errors import Unavailable


@dataclass(frozen=True)
class Request:
    """What a container needs of a node. An empty `only` means any node."""

    image_nodes: Collection[UUID]
    only: Collection[UUID] = ()


Filter = Callable[[Request, Sequence[Node]], list[Node]]


def healthy(_: Request, nodes: Sequence[Node]) -> list[Node]:
    """no healthy node"""
    return [n for n in nodes if n.state == "up"]


def schedulable(_: Request, nodes: Sequence[Node]) -> list[Node]:
    """no node that takes new containers"""
    return [n for n in nodes if not n.cordoned]


def with_image(request: Request, nodes: Sequence[Node]) -> list[Node]:
    """no node that has the image"""
    return [n for n in nodes if n.id in request.image_nodes]


def together(request: Request, nodes: Sequence[Node]) -> list[Node]:
    """no node that has all that the container refers to"""
    return [n for n in nodes if not request.only or {n.id} == set(request.only)]


FILTERS: tuple[Filter, ...] = (healthy, schedulable, with_image, together)


def spread(nodes: Sequence[Node]) -> list[Node]:
    """Fewest containers first."""
    return sorted(nodes, key=lambda n: (n.containers, n.name))


def place(request: Request, nodes: Sequence[Node]) -> Node:
    """The best node. Raises Unavailable with the docstring of the filter that left none."""
    left = list(nodes)
    for keep in FILTERS:
        left = keep(request, left)
        if not left:
            raise Unavailable(f"No compute resources available: {keep.__doc__}", retry_after=10)
    return spread(left)[0]
