"""Events that nobody heard: what must have happened to a container between what was told and what is.

An engine remembers its last 256 events, and none across its own restart. After a longer gap the states are compared,
and the events that lead from the one to the other are made here, in Docker's order, with the best time that is known.
They carry the attribute `resynced`, so that whoever reads them knows that more may have happened in between. Connects
and mounts are not made up: they follow from starts and ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from app.domain.container_state import ContainerState
from app.domain.event import Event

MARK = {"resynced": "true"}

#: State ("" where there is no container) -> event -> the state that follows.
STEPS: dict[str, dict[str, str]] = {
    "": {"create": "created"},
    # A start that fails ends without having begun.
    "created": {"start": "running", "die": "exited", "destroy": ""},
    "running": {"die": "exited", "pause": "paused"},
    "paused": {"unpause": "running", "die": "exited"},
    "exited": {"start": "running", "destroy": ""},
}
VERBS = frozenset(verb for steps in STEPS.values() for verb in steps)

#: What a row's state is among those that events tell apart.
_SHOWN = {
    ContainerState.CREATED: "created",
    ContainerState.RUNNING: "running",
    ContainerState.PAUSED: "paused",
    ContainerState.RESTARTING: "exited",
    ContainerState.EXITED: "exited",
    ContainerState.DEAD: "",
}


@dataclass(frozen=True)
class Told:
    """What the account was last told of a container."""

    container_id: str
    account_id: UUID
    #: "" once its end was told.
    state: str
    #: When that happened, and when the last start did (0: never). Nanoseconds since 1970.
    time_nano: int
    started_nano: int = 0
    #: Name, image and labels, for the events of a container that is no more.
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Now:
    """What a container's row says after its engine was asked."""

    container_id: str
    account_id: UUID
    state: ContainerState
    created_nano: int
    started_nano: int
    finished_nano: int
    exit_code: int | None
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class Gone:
    """A container that operations know to have come and gone."""

    container_id: str
    account_id: UUID
    created_nano: int
    #: 0 where it was never started.
    started_nano: int
    ended_nano: int
    attributes: Mapping[str, str]


def tell(told: Told | None, event: Event) -> Told | None:
    """What has been told once `event` is; None where it says nothing of a container's state."""
    steps = {verb: state for all_steps in STEPS.values() for verb, state in all_steps.items()}
    if event.type != "container" or event.verb not in steps:
        return told
    attributes = {k: v for k, v in event.attributes.items() if k not in ("exitCode", *MARK)}
    started = told.started_nano if told else 0
    return Told(
        event.actor_id,
        event.account_id,
        steps[event.verb],
        event.time_nano,
        event.time_nano if event.verb == "start" else started,
        attributes,
    )


def missing_before(told: Told | None, event: Event) -> list[Event]:
    """The events without which `event` cannot have happened."""
    if event.type != "container" or event.verb not in VERBS:
        return []
    state = told.state if told else ""
    verbs = _path(state, {s for s, steps in STEPS.items() if event.verb in steps})
    about = told.attributes if told else {k: v for k, v in event.attributes.items() if k != "exitCode"}
    first = event.time_nano - len(verbs)
    return [
        replace(event, time_nano=first + place, action=verb, attributes={**about, **MARK})
        for place, verb in enumerate(verbs)
    ]


def missing_until(told: Told | None, now: Now, node_id: UUID, clock: int) -> list[Event]:
    """The events that lead to what the container is by now, at the engine's time `clock`."""
    state = _SHOWN.get(now.state)
    if state is None:
        return []
    known = told.state if told else ""
    verbs = _path(known, {state})
    if told and now.started_nano > told.started_nano and "start" not in verbs and state not in ("", "created"):
        # It has the state that was told, or one next to it, and has begun anew in between.
        verbs = [*_path(known, {"exited"}), "start", *_path("running", {state})]
    times = {"create": now.created_nano, "start": now.started_nano, "die": now.finished_nano}
    dated: list[tuple[str, int]] = []
    least = told.time_nano if told else 0
    for place, verb in enumerate(verbs):
        last_of_kind = verb not in verbs[place + 1 :]
        least = min(max(times.get(verb, clock) if last_of_kind else 0, least + 1), max(clock, least + 1))
        dated.append((verb, least))
    code = {} if now.exit_code is None else {"exitCode": str(now.exit_code)}
    return [
        _event(
            now.account_id, node_id, time, verb, now.container_id, {**now.attributes, **(code if verb == "die" else {})}
        )
        for verb, time in dated
    ]


def missing_end(told: Told, node_id: UUID, clock: int) -> list[Event]:
    """The events that end a container which is no more."""
    verbs = _path(told.state, {""})
    first = max(clock - len(verbs), told.time_nano + 1)
    return [
        _event(told.account_id, node_id, first + place, verb, told.container_id, told.attributes)
        for place, verb in enumerate(verbs)
    ]


def missing_life(gone: Gone, node_id: UUID) -> list[Event]:
    """The events of a container that came and went unheard."""
    verbs = [("create", gone.created_nano)]
    if gone.started_nano:
        verbs += [("start", gone.started_nano), ("die", gone.ended_nano - 1)]
    verbs.append(("destroy", gone.ended_nano))
    least, told = 0, []
    for verb, time in verbs:
        least = max(time, least + 1)
        told.append(_event(gone.account_id, node_id, least, verb, gone.container_id, gone.attributes))
    return told


def complete(
    node_id: UUID,
    told: Mapping[str, Told],
    remembered: Iterable[Event],
    now: Mapping[str, Now],
    gone: Iterable[Gone],
    *,
    looked_at: int,
    clock: int,
) -> list[Event]:
    """What the engine remembers of the time after a gap, with the events that are missing in front, between and behind.

    `now` was looked at not before the engine's time `looked_at`; `remembered` was asked for after it, at `clock`. A
    container that changed in between has its events in `remembered`, and is not compared.
    """
    states: dict[str, Told | None] = dict(told)
    events: list[Event] = []
    moved: set[str] = set()
    heard: set[str] = set()
    for event in remembered:
        if event.type == "container":
            before = states.get(event.actor_id)
            for found in [*missing_before(before, event), event]:
                events.append(found)
                before = tell(before, found)
            states[event.actor_id] = before
            heard.add(event.actor_id)
            if event.verb in VERBS and event.time_nano >= looked_at:
                moved.add(event.actor_id)
        else:
            events.append(event)
    made: list[Event] = []
    for container_id in states.keys() | now.keys():
        last = states.get(container_id)
        if container_id in moved:
            continue
        if (found_now := now.get(container_id)) is not None:
            made += missing_until(last, found_now, node_id, clock)
        elif last is not None and last.state:
            made += missing_end(last, node_id, clock)
    for life in gone:
        if life.container_id not in heard and life.container_id not in told and life.container_id not in now:
            made += missing_life(life, node_id)
    return events + sorted(made, key=lambda event: event.time_nano)


def _event(
    account_id: UUID, node_id: UUID, time_nano: int, verb: str, container_id: str, attributes: Mapping[str, str]
) -> Event:
    return Event(account_id, node_id, time_nano, "container", verb, container_id, {**attributes, **MARK})


def _path(state: str, wanted: set[str]) -> list[str]:
    """The fewest events from one state to one of those that are wanted."""
    waiting: deque[tuple[str, list[str]]] = deque([(state, [])])
    seen = {state}
    while waiting:
        at, verbs = waiting.popleft()
        if at in wanted:
            return verbs
        for verb, following in STEPS[at].items():
            # A start does not fail for want of a better explanation.
            if following not in seen and (at, verb) != ("created", "die"):
                seen.add(following)
                waiting.append((following, [*verbs, verb]))
    return []
