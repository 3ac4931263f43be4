"""Whose request gets a thread next."""

from __future__ import annotations

import pytest

from app.server import turns as module
from app.server.turns import TooManyWaiting, Turn, Turns

ALICE, BOB = Turn("alice", True, False), Turn("bob", True, False)
ALICES_STOP, BOBS_STOP, CAROLS_STOP = (Turn(name, True, True) for name in ("alice", "bob", "carol"))
STRANGER = Turn("alice", False, False)


def ask(turns: Turns[int], turn: Turn, count: int, first: int = 0) -> list[bool]:
    return [turns.ask(waiter, turn) for waiter in range(first, first + count)]


def test_a_client_leaves_threads_to_others() -> None:
    turns: Turns[int] = Turns(16)
    assert ask(turns, ALICE, 14) == [True] * 12 + [False] * 2
    assert ask(turns, BOB, 12, first=100) == [True] * 12
    assert turns.give_back(BOB) == []
    assert turns.give_back(ALICE) == [12]
    assert turns.give_back(ALICE) == [13]
    assert turns.give_back(ALICE) == []
    assert ask(turns, ALICE, 2, first=200) == [True, False]


def test_who_stops_much_can_still_look() -> None:
    turns: Turns[int] = Turns(16)
    assert ask(turns, ALICES_STOP, 11) == [True] * 10 + [False]
    assert ask(turns, ALICE, 3, first=100) == [True, True, False]
    # The stop came first, but it is not its turn yet.
    assert turns.give_back(ALICE) == [102]
    assert turns.give_back(ALICES_STOP) == [10]


def test_long_calls_of_all_together_leave_some_to_short_ones() -> None:
    turns: Turns[int] = Turns(16)
    assert ask(turns, ALICES_STOP, 10) == [True] * 10
    assert ask(turns, BOBS_STOP, 5, first=100) == [True] * 4 + [False]
    assert ask(turns, CAROLS_STOP, 1, first=200) == [False]
    assert turns.ask(300, BOB) is True
    assert turns.give_back(ALICES_STOP) == [104]
    assert turns.give_back(BOBS_STOP) == [200]


def test_strangers_do_not_stand_in_the_way_of_whom_they_call_themselves_after() -> None:
    turns: Turns[int] = Turns(16)
    assert ask(turns, STRANGER, 5) == [True] * 2 + [False] * 3
    # Both lanes of one who is let in by ever new keys leave threads.
    assert ask(turns, ALICE, 13, first=100) == [True] * 12 + [False]
    assert turns.give_back(STRANGER) == [2]


def test_one_end_may_be_the_turn_of_two() -> None:
    turns: Turns[int] = Turns(4)
    assert ask(turns, ALICES_STOP, 2) == [True] * 2 and ask(turns, ALICE, 2, first=10) == [True, False]
    assert ask(turns, BOBS_STOP, 2, first=100) == [True, False]
    assert turns.give_back(ALICES_STOP) == [11, 101]


def test_the_smallest_worker_serves_everybody() -> None:
    turns: Turns[int] = Turns(1)
    assert turns.ask(1, ALICES_STOP) is True and turns.ask(2, ALICE) is False and turns.ask(3, BOB) is True
    assert turns.give_back(ALICES_STOP) == [2]


def test_not_everything_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    turns: Turns[int] = Turns(1)
    assert ask(turns, ALICE, 3) == [True, False, False]
    with pytest.raises(TooManyWaiting):
        turns.ask(3, ALICE)
    assert ask(turns, BOB, 2, first=10) == [True, False]
    assert turns.give_back(ALICE) == [1]
    assert turns.ask(3, ALICE) is False


def test_nothing_is_kept_of_a_client_that_has_gone() -> None:
    turns: Turns[int] = Turns(1)
    asked = {number: Turn("abc"[number % 3], True, True) for number in range(9)}
    running = [number for number, turn in asked.items() if turns.ask(number, turn)]
    for number in running:
        running += turns.give_back(asked[number])
    assert sorted(running) == list(asked)
    assert not turns._running and not turns._long and not turns._waiting and not turns._queued
