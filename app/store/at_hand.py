"""What there is to make a container of: its image, the packages, the nodes, the account's networks, in one message."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.domain.network import Network
from app.domain.node import Node
from app.domain.package import Package
from app.store import images, networks, nodes, packages
from app.store.images import Image
from app.store.prepared import Together
from app.store.session import Transaction

_AT_HAND = Together(images.WITH_NAMES, packages.ACTIVE, nodes.candidates(images.MEANT), networks.MINE)


@dataclass(frozen=True)
class AtHand:
    image: Image
    #: On offer, the smallest first.
    packages: list[Package]
    nodes: list[Node]
    #: Those that have the image.
    holders: set[UUID]
    networks: list[Network]


def find(tx: Transaction, account_id: UUID, image: str) -> AtHand:
    """Raises NotFound, InvalidParameter where `image`, in the tenant's words, is none of the account's."""
    found, offered, candidates, mine = _AT_HAND.rows(tx, images.meant(account_id, image))
    known = images.of_rows(found)
    listed, holders = nodes.of_rows(candidates)
    if known is None:
        # By the beginning of its id, or not at all.
        known = images.resolve(tx, account_id, image)
        listed, holders = nodes.list_for(tx, known.id)
    return AtHand(known, [Package(*row) for row in offered], listed, holders, [Network(*row) for row in mine])
