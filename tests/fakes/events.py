"""The events of the fake engine. Like a real one it remembers the last 256, and none across a restart."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tests.fakes.body import FakeBody
from tests.fakes.traps import Traps, recorded

Json = dict[str, Any]

REMEMBERED = 256


class FakeEvents(Traps):
    """`bodies` are the open streams. The mixin's user has `containers` and `networks`."""

    containers: dict[str, Any]
    networks: dict[str, Json]

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[FakeBody] = []
        self._events: list[Json] = []
        #: Events before this one have been forgotten.
        self._forgotten = 0
        self._changed = threading.Condition(threading.RLock())

    def forget_events(self) -> None:
        """As an engine that has been restarted."""
        with self._changed:
            self._forgotten = len(self._events)

    @recorded
    def events(
        self,
        *,
        since: int | None = None,
        until: int | None = None,
        types: Iterable[str] = ("container",),
        labels: Iterable[str] = (),
        timeout: float | None = None,
    ) -> FakeBody:
        wanted = (set(types), list(labels))
        with self._changed:
            end = len(self._events)
            first = max(self._forgotten, end - REMEMBERED)
            past = [
                event
                for event in self._events[first:]
                if (since is not None or until is not None) and (since or 0) <= event["timeNano"] <= (until or 2**63)
            ]
        if until is not None:
            return FakeBody(event for event in past if _passes(event, *wanted))
        body = FakeBody(iter(()))
        body._messages = self._follow(body, past, end, *wanted)
        self.bodies.append(body)
        return body

    def _follow(
        self, body: FakeBody, past: list[Json], position: int, types: set[str], labels: list[str]
    ) -> Iterator[Json]:
        yield from (event for event in past if _passes(event, types, labels))
        while not body.closed.is_set():
            with self._changed:
                if position >= len(self._events):
                    body.waits_at = position
                    self._changed.wait(0.05)
                    continue
                event = self._events[position]
                position += 1
            if _passes(event, types, labels):
                yield event

    def _emit(self, container: Any, action: str, **attributes: str) -> None:
        about = {"image": container.config["Image"], "name": container.name} | container.config["Labels"] | attributes
        first = {"status": action, "id": container.id, "from": container.config["Image"]}
        self._log(first, "container", action, container.id, about)

    def _emit_network(self, container: Any, action: str, name: str) -> None:
        network = self.networks.get(name)
        if network is not None:
            about = {"container": container.id, "name": name, "type": network["Driver"]}
            self._log({}, "network", action, network["Id"], about)

    def _emit_mounts(self, container: Any, action: str) -> None:
        for mount in container.mounts:
            about = {"container": container.id, "driver": mount["Driver"]}
            if action == "mount":
                writable = "true" if mount["RW"] else "false"
                about |= {"destination": mount["Destination"], "propagation": "", "read/write": writable}
            self._log({}, "volume", action, mount["Name"], about)

    def _log(self, first: Json, kind: str, action: str, actor_id: str, attributes: Mapping[str, str]) -> None:
        with self._changed:
            now = time.time_ns()
            self._events.append(
                {
                    **first,
                    "Type": kind,
                    "Action": action,
                    "Actor": {"ID": actor_id, "Attributes": dict(attributes)},
                    "scope": "local",
                    "time": now // 10**9,
                    "timeNano": now,
                }
            )
            self._changed.notify_all()


def _passes(event: Json, types: set[str], labels: list[str]) -> bool:
    attributes = event["Actor"]["Attributes"]
    return event["Type"] in types and all(
        attributes.get(key) == value for key, _, value in (label.partition("=") for label in labels)
    )
