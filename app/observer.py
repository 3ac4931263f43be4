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
from typing import Any
from uuid import UUID

import structlog

from app import log as logs
from app.core import Core, build_core
from app.domain.container_view import LABEL_PREFIX
from app.domain.event import CHANGES_STATE, CONTAINER_ACTIONS, Event
from app.domain.node import Node
from app.errors import Error, Unavailable
from app.services.process import BEAT_SECONDS
from app.settings import Settings
from app.store import containers, events, nodes, retention

log = structlog.get_logger()

LEASE_SECONDS = 15
SWEEP_SECONDS = 10.0
FORGET_SECONDS = 600.0

#: Attributes of engine events that a tenant may see besides labels, name and image.
SHOWN_ATTRIBUTES = frozenset({"exitCode", "signal", "execDuration", "height", "width", "oldName", "comment"})


class NodeFollower:
    """One node's event stream, in a thread of its own."""

    def __init__(self, core: Core, node_id: UUID) -> None:
        self._core = core
        self._node_id = node_id
        self._stop = threading.Event()
        self._body: Any = None
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
            self._core.recovery.sweep(node)
            threading.Thread(target=self._watch, args=(node, self._body), name=f"watch-{node.id}", daemon=True).start()
            for message in self._body.messages():
                if self._stop.is_set():
                    return
                try:
                    self._observe(node, message)
                except Unavailable as error:
                    log.warning("an event was not recorded", error=error.message)
                    raise
                except Exception:
                    # It would be replayed at the next connect, and stop everything behind it again and again.
                    log.exception("an event was left out", node=node.name)
        finally:
            body, self._body = self._body, None
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

    def _observe(self, node: Node, message: dict[str, Any]) -> None:
        attributes = message["Actor"]["Attributes"]
        action = message["Action"]
        container_id = attributes.get("sdc.container", "")
        if action.partition(":")[0] not in CONTAINER_ACTIONS or not container_id:
            return
        account_id = UUID(attributes["sdc.account"])
        with self._core.store.begin() as tx:
            container = containers.find_by_id(tx, container_id)
        shown = {
            k: v
            for k, v in attributes.items()
            if not k.startswith(LABEL_PREFIX) and k not in ("name", "image", "execID")
        }
        shown["name"] = container.name if container else attributes.get("sdc.name", "")
        shown["image"] = container.image if container else attributes.get("sdc.image", "")
        event = Event(
            account_id=account_id,
            node_id=node.id,
            time_nano=message["timeNano"],
            type="container",
            action=action,
            actor_id=container_id,
            attributes=shown,
        )
        if container is not None and event.verb in CHANGES_STATE:
            # The state first: who hears of an event may look at once.
            try:
                self._core.sync.refresh(container_id)
            except Unavailable:
                raise
            except Error as error:
                log.warning("a container cannot be read", container=container_id, error=error.message)
        with self._core.store.begin() as tx:
            events.append(tx, event)

    def _note_down(self, error: Error) -> None:
        log.warning("a node is away", node=str(self._node_id), error=error.message)
        with contextlib.suppress(Error), self._core.store.begin() as tx:
            nodes.set_state(tx, self._node_id, "down")


class Observer:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._followers: dict[UUID, NodeFollower] = {}
        self._stopping = threading.Event()

    def stop(self, *_: object) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Until `stop`: signs of life and leases, the recovery of operations, the end of old history."""
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        forgot = 0.0
        while not self._stopping.is_set():
            try:
                self._lease_nodes()
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
