"""The same raw requests to a stock engine and to the service at the same version of the API.

Whatever differs is covered by a difference that is meant (divergence/differences.py), which is a row of the README's
table; each of these is seen to be there.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import machine
from tests.e2e.divergence import compare, containers, images, networks, routes
from tests.e2e.divergence.differences import DIFFERENCES, ELSEWHERE
from tests.e2e.divergence.pairs import Ask
from tests.e2e.divergence.sides import Side
from tests.e2e.stack import Stack

SEQUENCES = routes.SEQUENCES | containers.SEQUENCES | images.SEQUENCES | networks.SEQUENCES
ACCOUNT = "dana"

#: The differences that were seen.
seen: set[str] = set()


@pytest.fixture(scope="module")
def sides(stack: Stack) -> Iterator[tuple[Side, Side]]:
    """A stock engine and the service, each with nothing but its busybox image in it."""
    added = stack.quickstart("account", ACCOUNT)
    assert added.code == 0, added.said
    with machine.private_engine() as engine:
        status, said = engine.call("POST", "/images/load?quiet=1", machine.busybox_archive())
        assert status == 200, said

        def engine_socket() -> socket.socket:
            connected = socket.socket(socket.AF_UNIX)
            connected.connect(str(engine.socket))
            return connected

        yield Side(engine_socket), Side(lambda: stack.connect(ACCOUNT))
    stack.remove_all(ACCOUNT)


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequence(sides: tuple[Side, Side], name: str) -> None:
    sequence = SEQUENCES[name]

    def play(side: Side) -> list[compare.Answer]:
        try:
            return side.play(sequence)
        finally:
            side.clean()

    with ThreadPoolExecutor(2) as pool:
        stock, ours = pool.map(play, sides)
    wrong = [_divergence(*triple) for triple in zip(sequence, stock, ours, strict=True)]
    told = "\n".join(text for text in wrong if text)
    assert not told, told


def _divergence(sent: Ask, stock: compare.Answer, ours: compare.Answer) -> str:
    """What is not covered, as text; "" where everything is the same or is meant."""
    left = []
    for found in compare.differences(sent, stock, ours):
        covering = [
            word
            for word, difference in DIFFERENCES.items()
            if (not difference.named or word in sent.differs) and difference.covers(stock, ours, found, sent)
        ]
        seen.update(covering)
        if not covering:
            where, one, other = found
            left.append(f"  {where}\n    stock: {str(one)[:300]}\n    here:  {str(other)[:300]}")
    unseen = [word for word in sent.differs if stock.status == ours.status and not _differs(sent, stock, ours)]
    left += [f"  does not differ any more: {word}" for word in unseen]
    return "\n".join([f"{sent} [{stock.status}, {ours.status}]", *left]) if left else ""


def _differs(sent: Ask, stock: compare.Answer, ours: compare.Answer) -> bool:
    return any(True for _ in compare.differences(sent, stock, ours))


def test_there_are_many() -> None:
    assert sum(len(sequence) for sequence in SEQUENCES.values()) >= 400


def test_every_difference_was_seen(request: pytest.FixtureRequest) -> None:
    if request.session.testscollected < len(SEQUENCES):
        return  # Not all of the sequences were asked for.
    assert seen == set(DIFFERENCES)


def test_the_readme_has_each_and_no_other() -> None:
    rows = _rows()
    told = {word: [row for row in rows if row.startswith(one.row)] for word, one in DIFFERENCES.items()}
    assert all(len(found) == 1 for found in told.values()), told
    elsewhere = {begin: [row for row in rows if row.startswith(begin)] for begin in ELSEWHERE}
    assert all(len(found) == 1 for found in elsewhere.values()), elsewhere
    shown = {row for found in [*told.values(), *elsewhere.values()] for row in found}
    assert set(rows) == shown
    for place in ELSEWHERE.values():
        assert (machine.ROOT / place).exists(), place


def _rows() -> list[str]:
    """The first cells of the table of differences."""
    text = (machine.ROOT / "README.md").read_text()
    part = text.partition("## What differs from stock Docker")[2].partition("\n## ")[0]
    return [found for found in re.findall(r"^\| (.+?) \|", part, re.MULTILINE) if found.strip(" |")]
