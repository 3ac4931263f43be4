"""The observer: follows every node's engine, keeps rows true, stores events, ends what dead processes left.

Any number may run; a lease in the database says who follows which node. Per node there is a thread that reads the
engine's event stream. After each connect the node is swept, because whatever happened while nobody was listening has no
event that can be relied on: engines replay only their last 256.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

import structlog

from app import log as logs
from app.core import Core, build_core
from app.domain.container_state import ContainerState
from app.domain.container_view import LABEL_PREFIX
from app.domain.event import CHANGES_STATE, CONTAINER_ACTIONS, LEADS_TO, Event
from app.domain.node import Node
from app.engine.client import Body
from app.errors import Error, Unavailable
from app.services.process import BEAT_SECONDS
from app.settings import Settings
from app.store import containers, events, nodes, operations, retention

log = structlog.get_logger()

Json = dict[str, Any]

LEASE_SECONDS = 15
SWEEP_SECONDS = 10.0
FORGET_SECONDS = 600.0
#: So long after an event the observer waits for more before it stores them together. What a service does itself it has
#: mostly recorded by then.
GATHER_SECONDS = 0.02


class NodeFollower:
    """One node's event stream, in a thread of its own."""

    def __init__(self, core: Core, node_id: UUID) -> None:
        self._core = core
        self._node_id = node_id
        self._stop = threading.Event()
        self._body: Any = None
        #: Container id -> its name and image as last seen, for the events of one whose row is gone by then.
        self._words: dict[str, tuple[str, str]] = {}
        self._thread = threading.Thread(target=self._run, name=f"node-{node_id}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        body = self._body
        if body is not None:
            body.abort()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._core.store.begin() as tx:
                    node = nodes.get(tx, self._node_id)
                self._follow(node)
            except Error as error:
                self._note_down(error)
            except Exception:
                log.exception("the follower of a node failed")
            self._stop.wait(1.0)

    def _follow(self, node: Node) -> None:
        engine = self._core.fleet.on(node)
        if engine.info()["ID"] != node.engine_id:
            raise Unavailable("another engine answers at the node's address")
        with self._core.store.begin() as tx:
            last = events.last_time(tx, node.id)
        since = last / 1e9 if last else None
        self._body = engine.events(since=since, labels=[f"sdc.fleet={self._core.settings.fleet}"])
        try:
            if self._stop.is_set():
                return
            with self._core.store.begin() as tx:
                nodes.set_state(tx, node.id, "up")
            self._core.recovery.sweep(node, after_gap=True)
            threading.Thread(target=self._watch, args=(node, self._body), name=f"watch-{node.id}", daemon=True).start()
            read: SimpleQueue[Json | None] = SimpleQueue()
            threading.Thread(target=self._read, args=(self._body, read), name=f"read-{node.id}", daemon=True).start()
            batch: list[Json | None] = []
            while None not in batch and not self._stop.is_set():
                batch = _gather(read)
                self._observe_all(node, [message for message in batch if message is not None])
        finally:
            body, self._body = self._body, None
            body.abort()
            body.close()
        raise Unavailable("the engine ended its event stream")

    def _watch(self, node: Node, body: Any) -> None:
        """Sweeps the node while `body` is the event stream; where it does not answer, the stream is ended."""
        engine = self._core.fleet.on(node)
        while not self._stop.wait(SWEEP_SECONDS) and self._body is body:
            try:
                # An engine that hangs is found out by a call that should take no time.
                engine.version()
                self._core.recovery.sweep(node)
            except Unavailable as error:
                log.warning("a node does not answer", node=node.name, error=error.message)
                body.abort()
                return
            except Exception:
                log.exception("the sweep of a node failed", node=node.name)

    def _read(self, body: Body, read: SimpleQueue[Json | None]) -> None:
        """Queue the stream's messages; None is its end."""
        try:
            for message in body.messages():
                read.put(message)
        except Error as error:
            log.warning("a node's event stream broke off", node=str(self._node_id), error=error.message)
        finally:
            read.put(None)

    def _observe_all(self, node: Node, messages: list[Json]) -> None:
        try:
            self._observe(node, messages)
        except Unavailable as error:
            log.warning("events were not recorded", error=error.message)
            raise
        except Exception:
            if len(messages) == 1:
                # It would be replayed at the next connect, and stop everything behind it again and again.
                log.exception("an event was left out", node=node.name)
                return
            for message in messages:
                self._observe_all(node, [message])

    def _observe(self, node: Node, messages: list[Json]) -> None:
        """Make the rows true, then store the events: who hears of one may look at once."""
        seen = [m for m in messages if self._is_told(m)]
        if not seen:
            return
        with self._core.store.autocommit() as tx:
            ids = {_container_id(m) for m in seen}
            rows = containers.states(tx, ids)
            gone = operations.removed_as(tx, ids - rows.keys()) if ids - rows.keys() else {}
        self._words.update(gone)
        self._words.update({container_id: (row.name, row.image) for container_id, row in rows.items()})
        for container_id in _behind(seen, {container_id: row.state for container_id, row in rows.items()}):
            try:
                self._core.sync.refresh(container_id)
            except Unavailable:
                raise
            except Error as error:
                log.warning("a container cannot be read", container=container_id, error=error.message)
        found = [self._event(node, m) for m in seen]
        with self._core.store.begin() as tx:
            events.append(tx, *found)
        for event in found:
            if event.verb == "destroy":
                self._words.pop(event.actor_id, None)

    @staticmethod
    def _is_told(message: Json) -> bool:
        return message["Action"].partition(":")[0] in CONTAINER_ACTIONS and bool(_container_id(message))

    def _event(self, node: Node, message: Json) -> Event:
        attributes, container_id = message["Actor"]["Attributes"], _container_id(message)
        shown = {
            k: v
            for k, v in attributes.items()
            if not k.startswith(LABEL_PREFIX) and k not in ("name", "image", "execID")
        }
        name, image = self._words.get(container_id) or (attributes.get("sdc.name", ""), attributes.get("sdc.image", ""))
        return Event(
            account_id=UUID(attributes["sdc.account"]),
            node_id=node.id,
            time_nano=message["timeNano"],
            type="container",
            action=message["Action"],
            actor_id=container_id,
            attributes={**shown, "name": name, "image": image},
        )

    def _note_down(self, error: Error) -> None:
        log.warning("a node is away", node=str(self._node_id), error=error.message)
        with contextlib.suppress(Error), self._core.store.begin() as tx:
            nodes.set_state(tx, self._node_id, "down")


def _gather(read: SimpleQueue[Json | None]) -> list[Json | None]:
    """Wait for a message, then a moment for those that come with it."""
    batch = [read.get()]
    if batch[0] is not None:
        time.sleep(GATHER_SECONDS)
    with contextlib.suppress(Empty):
        while batch[-1] is not None:
            batch.append(read.get_nowait())
    return batch


def _container_id(message: Json) -> str:
    return message["Actor"]["Attributes"].get("sdc.container", "")


def _behind(messages: list[Json], states: Mapping[str, ContainerState]) -> list[str]:
    """Containers whose rows may not show what the messages say.

    An event always comes out of another state than the one that it leads to, and the row showed that other state or a
    later one when the event before was stored. So a row in the state that a single event leads to was read after it:
    whoever caused the event has recorded it himself. While a container is being removed only its end is of interest.
    """
    changes: dict[str, list[str]] = {}
    for message in messages:
        verb = message["Action"].partition(":")[0]
        if verb in CHANGES_STATE:
            changes.setdefault(_container_id(message), []).append(verb)
    behind = []
    for container_id, verbs in changes.items():
        state = states.get(container_id)
        if state is None:
            continue
        if state is ContainerState.REMOVING:
            shown = "destroy" not in verbs
        else:
            shown = len(verbs) == 1 and LEADS_TO.get(verbs[0]) is state
        if not shown:
            behind.append(container_id)
    return behind


class Observer:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._followers: dict[UUID, NodeFollower] = {}
        self._stopping = threading.Event()

    def stop(self, *_: object) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Until `stop`: the recovery of operations and the end of old history; beside it signs of life and leases."""
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        forgot = 0.0
        while not self._stopping.is_set():
            try:
                self._core.recovery.run()
                if time.monotonic() - forgot > FORGET_SECONDS:
                    forgot = time.monotonic()
                    self._forget()
            except Error as error:
                log.warning("the observer's round failed", error=error.message)
            except Exception:
                log.exception("the observer's round failed")
            self._stopping.wait(BEAT_SECONDS)
        for follower in self._followers.values():
            follower.stop()

    def _forget(self) -> None:
        while not self._stopping.is_set():
            with self._core.store.begin() as tx:
                if not retention.forget_old(tx):
                    return

    def _beat(self) -> None:
        while not self._stopping.is_set():
            try:
                self._core.process.beat()
                # Here and not in the round: an engine that hangs in a recovery must not cost the other nodes' leases.
                self._lease_nodes()
            except Error as error:
                log.warning("no sign of life", error=error.message)
            except Exception:
                log.exception("no sign of life")
            self._stopping.wait(BEAT_SECONDS)

    def _lease_nodes(self) -> None:
        with self._core.store.begin() as tx:
            mine = {n.id for n in nodes.list_all(tx) if nodes.lease(tx, n.id, self._core.process.id, LEASE_SECONDS)}
        for node_id in set(self._followers) - mine:
            self._followers.pop(node_id).stop()
        for node_id in mine:
            follower = self._followers.get(node_id)
            if follower is None or not follower.alive:
                self._followers[node_id] = NodeFollower(self._core, node_id)


def main() -> None:
    settings = Settings.from_environ()
    logs.configure(settings.log_level)
    observer = Observer(build_core(settings, "observer"))
    signal.signal(signal.SIGTERM, observer.stop)
    signal.signal(signal.SIGINT, observer.stop)
    observer.run()


if __name__ == "__main__":
    main()
