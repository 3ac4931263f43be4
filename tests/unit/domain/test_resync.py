"""What must have happened between what was told and what is."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.domain.container_state import ContainerState
from app.domain.event import Event
from app.domain.resync import STEPS, Gone, Now, Told, complete, tell

ALICE, NODE = UUID(int=1), UUID(int=2)
ABOUT = {"name": "web", "image": "busybox", "tier": "front"}


def told(state: str, at: int = 100, started: int = 90) -> Told:
    return Told("c1", ALICE, state, at, started, ABOUT)


def now(
    state: ContainerState, *, created: int = 50, started: int = 0, finished: int = 0, code: int | None = None
) -> Now:
    return Now("c1", ALICE, state, created, started, finished, code, ABOUT)


def event(action: str, at: int, container: str = "c1", kind: str = "container") -> Event:
    return Event(ALICE, NODE, at, kind, action, container, dict(ABOUT))


def made(
    known: Told | None = None,
    remembered: list[Event] | None = None,
    found: Now | None = None,
    gone: list[Gone] | None = None,
    looked_at: int = 900,
) -> list[Event]:
    return complete(
        NODE,
        {"c1": known} if known else {},
        remembered or [],
        {"c1": found} if found else {},
        gone or [],
        looked_at=looked_at,
        clock=1000,
    )


def shown(events: list[Event]) -> list[str]:
    """The actions, those that were made up with a star."""
    return [f"{e.action}{'*' if 'resynced' in e.attributes else ''}" for e in events]


S = ContainerState


@pytest.mark.parametrize(
    ("known", "found", "wanted"),
    [
        (None, now(S.CREATED), "create*"),
        (None, now(S.RUNNING, started=200), "create* start*"),
        (None, now(S.PAUSED, started=200), "create* start* pause*"),
        (None, now(S.EXITED, started=200, finished=300), "create* start* die*"),
        (told("running"), now(S.RUNNING, started=90), ""),
        (told("running"), now(S.EXITED, started=90, finished=300), "die*"),
        (told("running"), now(S.PAUSED, started=90), "pause*"),
        (told("paused"), now(S.RUNNING, started=90), "unpause*"),
        (told("running"), now(S.DEAD), "die* destroy*"),
        (told("exited"), now(S.RUNNING, started=200), "start*"),
        # It ended and began again, by the same word.
        (told("running"), now(S.RUNNING, started=200), "die* start*"),
        (told("exited"), now(S.EXITED, started=200, finished=300), "start* die*"),
        (told("created", started=0), now(S.EXITED, started=200, finished=300), "start* die*"),
        (told("running"), now(S.RESTARTING, started=90, finished=300), "die*"),
        # Nobody knows yet what becomes of it.
        (told("running"), now(S.REMOVING), ""),
        (told("running"), None, "die* destroy*"),
        (told("created"), None, "destroy*"),
    ],
)
def test_states_alone(known: Told | None, found: Now | None, wanted: str) -> None:
    events = made(known, found=found)
    assert " ".join(shown(events)) == wanted
    times = [e.time_nano for e in events]
    assert times == sorted(set(times)) and all((known.time_nano if known else 0) < t <= 1000 for t in times)
    assert all((e.actor_id, e.account_id, e.node_id) == ("c1", ALICE, NODE) for e in events)
    assert all(ABOUT.items() <= dict(e.attributes).items() for e in events)


def test_the_times_are_the_engines() -> None:
    events = made(found=now(S.EXITED, created=50, started=200, finished=300, code=7))
    assert [(e.action, e.time_nano) for e in events] == [("create", 50), ("start", 200), ("die", 300)]
    assert events[-1].attributes["exitCode"] == "7" and "exitCode" not in events[0].attributes


def test_a_bridge_in_front_of_what_is_remembered() -> None:
    events = made(told("running"), [event("start", 500)], now(S.RUNNING, started=499))
    assert shown(events) == ["die*", "start"]
    assert events[0].time_nano == 499
    # Nothing has to be bridged where everything is there, and nothing behind it is made twice.
    whole = [event("die", 400), event("start", 500), event("exec_create: sh", 600)]
    assert shown(made(told("running"), whole, now(S.RUNNING, started=499))) == ["die", "start", "exec_create: sh"]


def test_between_and_behind() -> None:
    remembered = [event("start", 300), event("die", 400), event("die", 600)]
    events = made(told("exited"), remembered, now(S.RUNNING, started=700))
    assert shown(events) == ["start", "die", "start*", "die", "start*"]
    assert events[-1].time_nano == 700


def test_what_changed_while_it_was_looked_at_is_not_compared() -> None:
    remembered = [event("die", 950)]
    assert shown(made(told("running"), remembered, now(S.RUNNING, started=90))) == ["die"]
    assert shown(made(told("running"), [event("die", 850)], now(S.RUNNING, started=860))) == ["die", "start*"]


def test_a_failed_start_needs_no_other() -> None:
    remembered = [event("create", 300), event("die", 400), event("destroy", 410)]
    assert shown(made(None, remembered)) == ["create", "die", "destroy"]


def test_other_types_stay_where_they_are() -> None:
    remembered = [event("connect", 300, "n", "network"), event("start", 310)]
    assert shown(made(told("exited"), remembered, now(S.RUNNING, started=309))) == ["connect", "start"]


def test_those_that_came_and_went() -> None:
    lives = [Gone("c2", ALICE, 200, 210, 300, ABOUT), Gone("c3", ALICE, 220, 0, 230, ABOUT)]
    events = made(gone=lives)
    by_id = {i: [e.action for e in events if e.actor_id == i] for i in ("c2", "c3")}
    assert by_id == {"c2": ["create", "start", "die", "destroy"], "c3": ["create", "destroy"]}
    assert [e.time_nano for e in events] == sorted(e.time_nano for e in events)
    # One of which something is remembered has its events from there.
    assert made(remembered=[event("destroy", 300, "c2")], gone=lives[:1])[-1].attributes.get("resynced") is None


def test_every_story_ends_in_the_state_that_is() -> None:
    """From every told state to every present one, what is made can be told step by step."""
    for state in STEPS:
        for found in ContainerState:
            if found in (S.CREATING, S.REMOVING):
                continue
            known = told(state) if state else None
            # A container that once ran is never "created" again.
            if found is S.CREATED and state not in ("", "created"):
                continue
            at = state
            for e in made(known, found=now(found, started=90 if state else 200)):
                assert e.verb in STEPS[at], (state, found)
                at = STEPS[at][e.verb]
            wanted = {S.DEAD: "", S.RESTARTING: "exited"}.get(found, found.value)
            assert at == wanted, (state, found, at)


def test_what_is_told() -> None:
    state = tell(None, event("create", 1))
    assert state and (state.state, state.started_nano) == ("created", 0)
    state = tell(state, event("start", 2))
    assert state and (state.state, state.started_nano) == ("running", 2)
    state = tell(state, event("exec_create: sh", 3))
    assert state and (state.state, state.time_nano) == ("running", 2)
    state = tell(state, event("die", 4))
    assert state and (state.state, state.started_nano, state.time_nano) == ("exited", 2, 4)
    state = tell(state, event("destroy", 5))
    assert state and state.state == ""
