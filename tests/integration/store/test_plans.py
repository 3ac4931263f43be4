"""No statement of the product reads a table from end to end, at 100,000 containers.

The statements are the real ones: every function of the store is called, and what it tells the database is explained. A
function's arguments are found by their names and types, so that a new function is looked at without a word here.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from ipaddress import IPv4Network
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import app.store
from app.domain.audit import Entry, Source
from app.domain.network import Network
from app.domain.operation import OperationKind, OperationState
from app.errors import Error
from app.store import containers, networks, volumes
from app.store.container_ports import PortTaken
from app.store.session import Store, UniqueViolation
from app.store.tables import metadata
from app.store.views import VIEWS
from tests import factories
from tests.integration.store.plans import SMALL, explained
from tests.seed import Seeded

# The rows are made for the first test: on a busy machine that takes its time.
pytestmark = pytest.mark.timeout(400)

#: Arguments that have a default or no name of their own, where a function is only looked at with them.
OWN: dict[str, dict[str, Any]] = {
    "accounts.set_quota": {"limits": {"max_containers": 1000}},
    "audit.append": {"entries": [Entry(Source.API, "account7", "containers.start", "c1")]},
    "audit.select_": {"account": "account7", "refused": True},
    "container_names.follow_image": {"repository": "docker.io/library/image2242", "reference": "latest"},
    "containers.write_seen": {"values": {"exit_code": 1}},
    "containers.insert_new": {
        "values": dict.fromkeys(("uuid", "account_id", "node_id"), uuid4())
        | dict.fromkeys(("name", "image_id", "image", "package"), "x")
        | {"id": "f" * 64, "spec": {}, "auto_remove": False, "tty": False, "memory": 1, "nano_cpus": 1}
    },
    "events.append": {"new": [factories.event()]},
    "inventory.list_nodes": {"name": "node7"},
    "inventory.list_images": {"account": "account7"},
    "addresses.record": {"seen": {uuid4(): ("10.224.0.9", "")}},
    "endpoints.set_links": {"links": []},
    "inventory.add_package": {
        "values": dict.fromkeys(("memory", "swap", "nano_cpus", "disk", "pids"), 1 << 23) | {"name": "x"}
    },
    "nodes.add": {"values": {"name": "x", "url": "unix:///x"}},
    "nodes.set_engine": {"values": {"cpus": 8}},
}
#: Asks no tables, but the connection.
SILENT = {"health.data_folder"}


def functions() -> dict[str, Callable[..., Any]]:
    """Everything in the store that takes a transaction: "module.name" -> function."""
    found = {}
    for module in pkgutil.iter_modules(app.store.__path__):
        for name, function in vars(importlib.import_module(f"app.store.{module.name}")).items():
            if not inspect.isfunction(function) or function.__module__ != f"app.store.{module.name}":
                continue
            if not name.startswith("_") and next(iter(inspect.signature(function).parameters), "") == "tx":
                found[f"{module.name}.{name}"] = function
    return found


class Values:
    """Values for arguments: a container and all that is its, by the argument's name, else one by its type."""

    def __init__(self, store: Store, seeded: Seeded) -> None:
        with store.autocommit() as tx:
            row = tx.execute(text("SELECT id, account_id FROM containers WHERE name = 'c14242'")).one()
            container, node = containers.get_placed(tx, row.account_id, row.id)
            login = tx.execute(text("SELECT login FROM accounts WHERE id = :id"), {"id": row.account_id}).scalar_one()
            network = networks.list_mine(tx, row.account_id)[0]
            volume = volumes.find(tx, row.account_id, "data14242")
            operation = tx.execute(text("SELECT * FROM operations WHERE target = :id"), {"id": row.id}).one()
        assert volume
        now = datetime.now(UTC)
        self._by_name: dict[str, Any] = {
            "account": factories.account(login=login, id=row.account_id),
            "account_id": row.account_id,
            "login": login,
            "container": container,
            "id_or_name": container.id[:12],
            "name": container.name,
            "node": node,
            "node_id": node.id,
            "image_id": container.image_id,
            "image_ids": [container.image_id],
            "network": network,
            "network_uuid": network.uuid,
            "volume": volume,
            "volume_id": volume.id,
            "engine_name": volume.engine_name,
            "engine_id": container.engine_id,
            "operation_id": operation.id,
            "process_id": operation.process_id,
            "limit": 100,
            "pool": "10.224.0.0/12",
            "ipv4": "10.224.7.9",
            "state": OperationState.DONE,
        }
        self._by_type: dict[Any, Any] = {
            str: container.id,
            int: 60,
            bool: True,
            UUID: row.account_id,
            datetime: now - timedelta(hours=1),
            IPv4Network: IPv4Network("10.239.255.0/24"),
            Any: node.id,
            OperationKind: OperationKind.REMOVE,
            dict[str, Any]: {},
            list[dict[str, Any]]: [],
            Network: network,
        }

    def arguments(self, name: str, function: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments: all that are required, and those of the function's own."""
        positional: list[Any] = []
        named: dict[str, Any] = {}
        own = OWN.get(name, {})
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional += own.get(parameter.name, [])
            elif parameter.kind is parameter.VAR_KEYWORD:
                named |= own.get(parameter.name, {})
            elif parameter.name in own or parameter.default is parameter.empty:
                value = self._value(function, parameter, own)
                if parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
                    positional.append(value)
                else:
                    named[parameter.name] = value
        return positional, named

    def _value(self, function: Callable[..., Any], parameter: inspect.Parameter, own: dict[str, Any]) -> Any:
        known = {**self._by_name, **own}
        if parameter.name in known:
            return known[parameter.name]
        return self._made(typing.get_type_hints(function)[parameter.name])

    def _made(self, kind: Any) -> Any:
        """A value of a type. What holds others has one of them."""
        if kind in self._by_type:
            return self._by_type[kind]
        arguments = typing.get_args(kind)
        origin = typing.get_origin(kind)
        if origin in (list, set, Collection, Sequence, Iterable):
            return [self._made(arguments[0])]
        if origin in (dict, Mapping):
            return {self._made(arguments[0]): self._made(arguments[1])}
        if origin is tuple:
            return tuple(self._made(argument) for argument in arguments if argument is not ...)
        if arguments:  # X | None
            return self._made(arguments[0])
        if isinstance(kind, type) and issubclass(kind, Enum):
            return next(iter(kind))
        assert is_dataclass(kind), f"no value for a {kind}: give the argument one in OWN"
        hints = typing.get_type_hints(kind)
        named = {field.name: self._by_name.get(field.name) or self._made(hints[field.name]) for field in fields(kind)}
        return kind(**named)


@pytest.fixture(scope="module")
def values(seeded_store: Store, seeded: Seeded) -> Values:
    return Values(seeded_store, seeded)


class _Undo(Exception):
    pass


@pytest.mark.parametrize("name", sorted(functions()))
def test_the_store(seeded_store: Store, values: Values, name: str) -> None:
    function = functions()[name]
    positional, named = values.arguments(name, function)
    with pytest.raises(_Undo), seeded_store.begin() as tx, explained(tx) as found:
        # What it was told was explained before it said no.
        with contextlib.suppress(Error, UniqueViolation, PortTaken, SQLAlchemyError):
            function(tx, *positional, **named)
        raise _Undo
    assert found or name in SILENT, "it told the database nothing"
    assert {statement: tables for statement, tables in found.items() if tables} == {}


#: What people add to `SELECT * FROM <view>`; the questions of `deploy/SCHEMA.md` are looked at in `test_questions.py`.
USUAL = [
    "v_addresses WHERE address = '10.224.7.7'",
    "v_containers WHERE account = 'account7'",
    "v_containers WHERE account = 'account7' AND name = 'c7'",
    "v_containers WHERE node = 'node7' ORDER BY created_at DESC LIMIT 50",
    "v_containers WHERE state IN ('paused', 'dead', 'removing')",
    "v_containers WHERE package = 't4-standard-1G'",
    "v_containers WHERE image_id = 'sha256:1'",
    "v_containers WHERE id LIKE '1a2b3c%'",
    "v_changes WHERE at > now() - interval '1 hour'",
    "v_changes WHERE account = 'account7' ORDER BY at DESC LIMIT 50",
    "v_changes WHERE target = 'c7'",
    "v_nodes",
    "v_nodes WHERE node = 'node7'",
    "v_quotas WHERE percent >= 90",
    "v_quotas WHERE account = 'account7'",
    "v_restarts",
    "v_restarts WHERE account = 'account7'",
    "v_images WHERE id = 'sha256:1'",
    "v_images ORDER BY size DESC LIMIT 50",
    "v_volumes WHERE mounts = 0",
    "v_volumes WHERE account = 'account7'",
    "v_networks WHERE account = 'account7'",
    "v_networks WHERE subnet >>= '10.224.7.9'",
    "v_ports WHERE node = 'node7' AND port = 1030",
    "v_ports WHERE account = 'account7'",
    "v_unfinished",
    "v_unfinished WHERE node = 'node7'",
    "v_refused WHERE at > now() - interval '1 day'",
    "v_refused ORDER BY at DESC LIMIT 50",
    "v_refused WHERE account = 'account7' ORDER BY at DESC LIMIT 50",
    "v_events WHERE at > now() - interval '1 hour'",
    "v_events WHERE account = 'account7' ORDER BY id DESC LIMIT 50",
    "v_events WHERE actor_id = 'c'",
]


@pytest.mark.parametrize("usual", USUAL)
def test_the_views(seeded_store: Store, usual: str) -> None:
    with seeded_store.autocommit() as tx, explained(tx) as found:
        tx.execute(text(f"SELECT * FROM {usual}"))
    assert [tables for tables in found.values() if tables] == []


def test_every_view_is_looked_at() -> None:
    assert {usual.split()[0] for usual in USUAL} == {view.name for view in VIEWS}


def test_every_table_that_grows_is_filled(seeded_store: Store) -> None:
    """An empty table is read whole whatever indexes it has: `tests/seed.py` gives each some rows."""
    grown = set(metadata.tables) - SMALL
    with seeded_store.autocommit() as tx:
        few = {table for table in grown if tx.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() < 1000}
    assert few == set()
