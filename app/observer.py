"""The observer: follows every node's engine, keeps rows true, stores events, ends what dead processes left.

Any number may run; a lease in the database says who follows which node. Per node there is a thread that reads the
engine's event stream. After each connect the node is swept, so that its rows are true whatever happened while nobody
was listening, and where the engine does not remember all of that time the missing events are made from the difference.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from queue import Empty, SimpleQueue
from typing import Any
from uuid import UUID

import structlog

from app import log as logs
from app import metrics
from app.core import Core, build_core
from app.domain.event import CHANGES_STATE
from app.domain.node import Node
from app.engine.client import Body
from app.errors import Error, Unavailable
from app.metrics.exporter import Exporter
from app.services.figures import Figures
from app.services.node_events import NodeEvents, engine_clock, verb
from app.services.process import BEAT_SECONDS
from app.settings import ProcessSettings, Settings, or_exit
from app.store import nodes, retention

log = structlog.get_logger()

Json = dict[str, Any]

LEASE_SECONDS = 15
SWEEP_SECONDS = 10.0
FORGET_SECONDS = 600.0
#: So long after an event the observer waits for more before it stores them together. What a service does itself it has
#: mostly recorded by then.
GATHER_SECONDS = 0.02
#: So long a stream's reader may take to notice that the stream was ended.
READER_SECONDS = 5.0


class NodeFollower:
    """One node's event stream, in a thread of its own."""

    def __init__(self, core: Core, node_id: UUID) -> None:
        self._core = core
        self._node_id = node_id
        self._stop = threading.Event()
        self._body: Any = None
        self._events = NodeEvents(core.store, core.sync, core.networks, core.settings.fleet)
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
                if not self._stop.is_set():
                    self._note_down(error)
            except Exception:
                log.exception("the follower of a node failed")
            self._stop.wait(1.0)

    def _follow(self, node: Node) -> None:
        engine = self._core.fleet.on(node)
        if engine.info()["ID"] != node.engine_id:
            raise Unavailable("another engine answers at the node's address")
        looked_at = engine_clock(engine)
        self._body, gap = self._events.open(node, engine)
        read: SimpleQueue[Json | None] = SimpleQueue()
        reader = threading.Thread(target=self._read, args=(self._body, read), name=f"read-{node.id}", daemon=True)
        try:
            if self._stop.is_set():
                return
            # At once: an engine drops what a reader does not take.
            reader.start()
            with self._core.store.begin() as tx:
                nodes.set_state(tx, node.id, "up")
            self._core.recovery.sweep(node, after_gap=True)
            heard: list[Json | None] = []
            if gap:
                heard = _waiting(read)
                self._events.resync(node, engine, looked_at, _messages(heard))
            threading.Thread(target=self._watch, args=(node, self._body), name=f"watch-{node.id}", daemon=True).start()
            while True:
                for event in self._events.observe(node, _messages(heard)):
                    metrics.note_event_delay(time.time() - event.time_nano / 1e9)
                if None in heard or self._stop.is_set():
                    break
                heard = _gather(read)
        finally:
            body, self._body = self._body, None
            body.abort()
            # A response is not closed under a thread that reads it.
            if reader.is_alive():
                reader.join(READER_SECONDS)
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
                with self._core.store.autocommit() as tx:
                    nodes.saw(tx, node.id)
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

    def _note_down(self, error: Error) -> None:
        log.warning("a node is away", node=str(self._node_id), error=error.message)
        with contextlib.suppress(Error), self._core.store.begin() as tx:
            nodes.set_state(tx, self._node_id, "down")


def _gather(read: SimpleQueue[Json | None]) -> list[Json | None]:
    """Wait for a message, then a moment for those that come with it; nothing waits with one that changes no state."""
    first = read.get()
    if first is None:
        return [first]
    if verb(first) in CHANGES_STATE:
        time.sleep(GATHER_SECONDS)
    return [first, *_waiting(read)]


def _waiting(read: SimpleQueue[Json | None]) -> list[Json | None]:
    """What has been read by now."""
    batch: list[Json | None] = []
    with contextlib.suppress(Empty):
        while not batch or batch[-1] is not None:
            batch.append(read.get_nowait())
    return batch


def _messages(batch: list[Json | None]) -> list[Json]:
    return [message for message in batch if message is not None]


class Observer:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._followers: dict[UUID, NodeFollower] = {}
        self._stopping = threading.Event()
        #: Held while nodes are taken.
        self._leasing = threading.Lock()

    def stop(self, *_: object) -> None:
        self._stopping.set()

    def run(self) -> None:
        """Until `stop`: the recovery of operations and the end of old history; beside it signs of life and leases."""
        beat = threading.Thread(target=self._beat, name="beat", daemon=True)
        beat.start()
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
        beat.join(BEAT_SECONDS)
        # Who is still at it has taken them by then, and takes none again.
        with self._leasing:
            for follower in self._followers.values():
                follower.stop()
        with contextlib.suppress(Error), self._core.store.autocommit() as tx:
            nodes.end_leases(tx, self._core.process.id)

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
        with self._leasing:
            if self._stopping.is_set():
                return
            with self._core.store.begin() as tx:
                mine = {n.id for n in nodes.list_all(tx) if nodes.lease(tx, n.id, self._core.process.id, LEASE_SECONDS)}
            for node_id in set(self._followers) - mine:
                self._followers.pop(node_id).stop()
            for node_id in mine:
                follower = self._followers.get(node_id)
                if follower is None or not follower.alive:
                    self._followers[node_id] = NodeFollower(self._core, node_id)


def main() -> None:
    with or_exit("sdc-docker-observer"):
        settings, process = Settings.from_environ(), ProcessSettings.from_environ()
    logs.configure(settings.log_level)
    metrics.start(process.metrics_folder)
    core = build_core(settings, "observer")
    observer = Observer(core)
    try:
        Exporter(process.metrics, process.metrics_folder, Figures(core.store, settings))
    except OSError as error:
        # Another observer of this machine tells them.
        log.warning("no metrics from this observer", address=process.metrics, error=str(error))
    signal.signal(signal.SIGTERM, observer.stop)
    signal.signal(signal.SIGINT, observer.stop)
    observer.run()


if __name__ == "__main__":
    main()
