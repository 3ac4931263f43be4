"""A node's events: what its engine says happened becomes what accounts are told.

An engine knows its objects by its own ids and by our engine names; here they become the tenant's words, and what is
nobody's, or another account's, is left out. Rows are made true before an event is stored: who hears of one may look at
once. Every stored batch moves the node's mark of what has been read, in the same transaction.

The mark is also how a gap is found: an engine that still remembers the event of the mark (of its last 256) remembers
all since, and replays them. One that does not, because more happened or because it was restarted, is compared with
what was told (`domain/resync.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog

from app.domain import names, resync
from app.domain.container import engine_name
from app.domain.container_state import ContainerState
from app.domain.container_view import LABEL_PREFIX
from app.domain.durations import parse_go_time
from app.domain.event import CHANGES_STATE, CONTAINER_ACTIONS, LEADS_TO, Event
from app.domain.network import uuid_of
from app.domain.node import Node
from app.domain.resync import Told
from app.engine.client import Body
from app.engine.engine import Engine
from app.errors import Error, Unavailable
from app.services.container_sync import ContainerSync
from app.services.networks import Networks
from app.store import containers, events, nodes, operations, told
from app.store.session import Store, Transaction

log = structlog.get_logger()

Json = dict[str, Any]

TYPES = ("container", "network", "volume")
#: So far before the mark a replay begins: two events of a moment may come in either order. What is stored already is
#: not stored again.
OVERLAP = 2 * 10**9
#: For a request that an engine answers from its memory.
MEMORY_SECONDS = 20.0

_NETWORK_ACTIONS = frozenset(["connect", "disconnect"])
_VOLUME_ACTIONS = frozenset(["mount", "unmount"])
#: What the tenant is told otherwise, or not at all.
_HIDDEN = frozenset(["name", "image", "execID"])


@dataclass
class _Words:
    """The tenant's words for what a batch of messages names."""

    containers: Mapping[str, tuple[UUID, str]] = field(default_factory=dict)
    networks: Mapping[UUID, tuple[UUID, str, str]] = field(default_factory=dict)
    volumes: Mapping[str, tuple[UUID, str]] = field(default_factory=dict)


class NodeEvents:
    """The events of one node. Used by one thread at a time."""

    def __init__(self, store: Store, sync: ContainerSync, networks: Networks, fleet_name: str) -> None:
        self._store = store
        self._sync = sync
        self._networks = networks
        self._fleet_name = fleet_name
        #: Container id -> its name and image as last seen, for the events of one whose row is gone by then.
        self._names: dict[str, tuple[str, str]] = {}
        #: The engine's id of a container, the name of a volume -> whose it is and what the tenant calls it.
        self._owners: dict[str, tuple[UUID, str]] = {}

    # -- the stream ----------------------------------------------------------------------------------------------

    def open(self, node: Node, engine: Engine) -> tuple[Body, bool]:
        """The engine's events since the mark, and whether there is a gap behind the mark."""
        with self._store.autocommit() as tx:
            mark = nodes.event_nano(tx, node.id)
        body = engine.events(since=max((mark or 0) - OVERLAP, 0), types=TYPES)
        try:
            # After the stream was opened: what is remembered now was remembered then.
            return body, mark is None or not self._remembers(engine, mark)
        except BaseException:
            body.abort()
            body.close()
            raise

    @staticmethod
    def _remembers(engine: Engine, mark: int) -> bool:
        with engine.events(since=mark, until=mark, types=TYPES, timeout=MEMORY_SECONDS) as body:
            return any(message["timeNano"] == mark for message in body.messages())

    def observe(self, node: Node, messages: list[Json]) -> list[Event]:
        """Make the rows true, then store the events, which are returned; a message that cannot be read is left out.

        Raises Unavailable.
        """
        try:
            return self._observe(node, messages)
        except Unavailable as error:
            log.warning("events were not recorded", error=error.message)
            raise
        except Exception:
            if len(messages) == 1:
                # It would be replayed at the next connect, and stop everything behind it again and again.
                log.exception("an event was left out", node=node.name)
                return []
            return [event for message in messages for event in self.observe(node, [message])]

    def _observe(self, node: Node, messages: list[Json]) -> list[Event]:
        if not messages:
            return []
        self._restore_networks(node, messages)
        self._make_rows_true(messages)
        found = self._events(node, messages)
        with self._store.begin() as tx:
            if found:
                self._append(tx, node, found)
            nodes.set_event_nano(tx, node.id, max(m["timeNano"] for m in messages))
        self._forget(found)
        return found

    def _make_rows_true(self, messages: Iterable[Json]) -> None:
        ours = [m for m in messages if self._is_container(m)]
        if not ours:
            return
        with self._store.autocommit() as tx:
            ids = {_container_id(m) for m in ours}
            rows = containers.states(tx, ids)
            gone = operations.removed_as(tx, ids - rows.keys()) if ids - rows.keys() else {}
        self._names.update(gone)
        self._names.update({container_id: (row.name, row.image) for container_id, row in rows.items()})
        for container_id in behind(ours, {container_id: row.state for container_id, row in rows.items()}):
            self._sync.try_refresh(container_id)

    def _restore_networks(self, node: Node, messages: list[Json]) -> None:
        """What somebody removed on the engine itself, as `docker network prune` there does, is made again."""
        gone = [m["Actor"]["Attributes"] for m in messages if (m["Type"], m["Action"]) == ("network", "destroy")]
        for network_uuid in filter(None, map(_network_uuid, gone)):
            try:
                self._networks.restore(network_uuid, node)
            except Unavailable:
                raise
            except Error as error:
                log.warning("a network cannot be made again", network=str(network_uuid), error=error.message)

    @staticmethod
    def _append(tx: Transaction, node: Node, found: list[Event]) -> None:
        events.append(tx, *found)
        states: dict[str, Told | None] = {}
        for event in found:
            if event.type == "container" and event.verb in resync.VERBS:
                states[event.actor_id] = resync.tell(states.get(event.actor_id), event)
        told.write(tx, node.id, [state for state in states.values() if state])

    def _forget(self, found: Iterable[Event]) -> None:
        gone = {event.actor_id for event in found if event.type == "container" and event.verb == "destroy"}
        for container_id in gone:
            self._names.pop(container_id, None)
        if gone:
            self._owners = {key: owner for key, owner in self._owners.items() if owner[1] not in gone}

    # -- after a gap ---------------------------------------------------------------------------------------------

    def resync(self, node: Node, engine: Engine, looked_at: int, heard: Iterable[Json] = ()) -> None:
        """Store what the engine remembers since the mark with the events that are missing in it.

        The rows were made what the engine says since its own time `looked_at`. `heard` is what the stream has told so
        far: a busy engine may have forgotten its beginning by now, and nothing is made up that was heard. Raises
        Unavailable.
        """
        with self._store.autocommit() as tx:
            mark = nodes.event_nano(tx, node.id) or 0
            now = told.list_now(tx, node.id)
        clock = engine_clock(engine)
        with engine.events(since=mark, until=clock, types=TYPES, timeout=MEMORY_SECONDS) as body:
            messages = _merged(heard, body.messages(), after=mark, until=clock)
        self._make_rows_true(m for m in messages if m["timeNano"] >= looked_at)
        remembered = self._events(node, messages)
        with self._store.begin() as tx:
            # Another observer that does the same has told it by then, or waits.
            events.lock(tx)
            known = told.list_on_node(tx, node.id)
            gone = told.list_gone(tx, node.id, mark) if mark else []
            found = resync.complete(node.id, known, remembered, now, gone, looked_at=looked_at, clock=clock)
            self._append(tx, node, found)
            nodes.set_event_nano(tx, node.id, max([mark, *(m["timeNano"] for m in messages)]))
        made = sum("resynced" in event.attributes for event in found)
        log.info("events after a gap", node=node.name, remembered=len(remembered), made=made)

    # -- the tenant's words --------------------------------------------------------------------------------------

    def _events(self, node: Node, messages: Iterable[Json]) -> list[Event]:
        told_of = [m for m in messages if self._is_told(m)]
        words = self._words(node, told_of)
        found: list[Event] = []
        for message in told_of:
            try:
                event = self._event(node, message, words)
            except (KeyError, ValueError):
                log.warning("an event of an unknown form was left out", type=message["Type"], action=message["Action"])
                continue
            if event is not None:
                found.append(event)
        return found

    def _is_container(self, message: Json) -> bool:
        attributes = message["Actor"]["Attributes"]
        return (
            message["Type"] == "container"
            and verb(message) in CONTAINER_ACTIONS
            and attributes.get("sdc.fleet") == self._fleet_name
            and attributes.get("name") == engine_name(_container_id(message)) != ""
        )

    def _is_told(self, message: Json) -> bool:
        match message["Type"]:
            case "container":
                return self._is_container(message)
            case "network":
                return message["Action"] in _NETWORK_ACTIONS
            case "volume":
                return message["Action"] in _VOLUME_ACTIONS
        return False

    def _words(self, node: Node, messages: list[Json]) -> _Words:
        """What the messages name, from what was seen of it before and from the database."""
        uses = []
        for message in messages:
            if message["Type"] != "container":
                uses.append(message)
            elif account := _uuid(message["Actor"]["Attributes"].get("sdc.account", "")):
                self._owners[message["Actor"]["ID"]] = (account, _container_id(message))
        unknown = {_user(message) for message in uses} - self._owners.keys() - {""}
        with self._store.autocommit() as tx:
            if unknown:
                self._owners.update(told.container_ids(tx, node.id, unknown))
            ours = [message for message in uses if _user(message) in self._owners]
            volumes = {message["Actor"]["ID"] for message in ours if message["Type"] == "volume"}
            named = (m["Actor"]["Attributes"] for m in ours if m["Type"] == "network")
            networks = set(filter(None, map(_network_uuid, named)))
            return _Words(
                containers=self._owners,
                networks=told.network_words(tx, networks) if networks else {},
                volumes=told.volume_words(tx, volumes) if volumes else {},
            )

    def _event(self, node: Node, message: Json, words: _Words) -> Event | None:
        match message["Type"]:
            case "container":
                return self._container_event(node, message)
            case "network":
                return self._network_event(node, message, words)
        return self._volume_event(node, message, words)

    def _container_event(self, node: Node, message: Json) -> Event:
        attributes, container_id = message["Actor"]["Attributes"], _container_id(message)
        shown = {k: v for k, v in attributes.items() if not k.startswith(LABEL_PREFIX) and k not in _HIDDEN}
        if exec_id := attributes.get("execID"):
            shown["execID"] = names.exec_id(container_id, exec_id)
        name, image = self._names.get(container_id) or (attributes.get("sdc.name", ""), attributes.get("sdc.image", ""))
        account_id = UUID(attributes["sdc.account"])
        return self._told(node, message, account_id, container_id, {**shown, "name": name, "image": image})

    def _network_event(self, node: Node, message: Json, words: _Words) -> Event | None:
        attributes = message["Actor"]["Attributes"]
        uuid = _network_uuid(attributes)
        network = words.networks.get(uuid) if uuid else None
        owner = words.containers.get(attributes.get("container", ""))
        if network is None or owner is None or network[0] != owner[0]:
            return None
        shown = {"container": owner[1], "name": network[2], "type": attributes.get("type", "bridge")}
        return self._told(node, message, network[0], network[1], shown)

    def _volume_event(self, node: Node, message: Json, words: _Words) -> Event | None:
        attributes, engine_name = message["Actor"]["Attributes"], message["Actor"]["ID"]
        owner = words.containers.get(attributes.get("container", ""))
        if owner is None:
            return None
        volume = words.volumes.get(engine_name)
        if volume is None and engine_name.startswith("v-"):
            return None
        # An anonymous volume, whose name is the engine's, may have no row yet, or no more.
        account_id, name = volume or (owner[0], engine_name)
        if account_id != owner[0]:
            return None
        known = ("destination", "driver", "propagation", "read/write")
        shown = {"container": owner[1]} | {key: attributes[key] for key in known if key in attributes}
        return self._told(node, message, account_id, name, shown)

    @staticmethod
    def _told(node: Node, message: Json, account_id: UUID, actor_id: str, attributes: dict[str, str]) -> Event:
        return Event(account_id, node.id, message["timeNano"], message["Type"], message["Action"], actor_id, attributes)


def engine_clock(engine: Engine) -> int:
    """The engine's time, in nanoseconds since 1970."""
    moment = parse_go_time(engine.info()["SystemTime"])
    return int(moment.timestamp() * 1_000_000) * 1000 if moment else 0


def _merged(heard: Iterable[Json], remembered: Iterable[Json], *, after: int, until: int) -> list[Json]:
    """What either has of that time, once each, in its order."""
    found = {(m["timeNano"], m["Type"], m["Action"], m["Actor"]["ID"]): m for m in (*heard, *remembered)}
    return sorted((m for m in found.values() if after < m["timeNano"] <= until), key=lambda m: int(m["timeNano"]))


def _container_id(message: Json) -> str:
    return message["Actor"]["Attributes"].get("sdc.container", "")


def _user(message: Json) -> str:
    """The engine's id of the container that uses what the message is about."""
    return str(message["Actor"]["Attributes"].get("container", ""))


def _network_uuid(attributes: Mapping[str, str]) -> UUID | None:
    return uuid_of(attributes.get("name", ""))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def verb(message: Json) -> str:
    """The first word of an engine's message: "exec_create: sh" is an exec_create."""
    return str(message["Action"]).partition(":")[0]


def behind(messages: list[Json], states: Mapping[str, ContainerState]) -> list[str]:
    """Containers whose rows may not show what the messages say.

    An event always comes out of another state than the one that it leads to, and the row showed that other state or a
    later one when the event before was stored. So a row in the state that a single event leads to was read after it:
    whoever caused the event has recorded it himself. While a container is being removed only its end is of interest.
    """
    changes: dict[str, list[str]] = {}
    for message in messages:
        word = verb(message)
        if word in CHANGES_STATE:
            changes.setdefault(_container_id(message), []).append(word)
    found = []
    for container_id, verbs in changes.items():
        state = states.get(container_id)
        if state is None:
            continue
        if state is ContainerState.REMOVING:
            shown = "destroy" not in verbs
        else:
            shown = len(verbs) == 1 and LEADS_TO.get(verbs[0]) is state
        if not shown:
            found.append(container_id)
    return found
