"""Streams of containers: attach, logs, wait, and exec.

A service opens the engine's side and hands over the connection; the API joins it with the client's in the relay.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from app.domain.account import Account
from app.domain.container import Container
from app.domain.container_state import Command, ContainerState
from app.domain.policy import ExecSpec
from app.engine.client import RawStream
from app.engine.engine import Engine
from app.engine.errors import reworded, scrub
from app.engine.fleet import Fleet
from app.errors import Conflict, Error, NotFound
from app.services.container_call import find, require
from app.services.container_sync import ContainerSync, engine_words
from app.store import containers, events, execs, operations
from app.store.session import Store

Json = dict[str, Any]
T = TypeVar("T")

#: Execs of a container that run or wait for their start.
MOST_EXECS = 256
#: For so long after a container's start a wait for it is answered where it has removed itself.
STARTED_JUST_NOW_SECONDS = 10
#: For so long such a wait stays for the events of the end.
EVENTS_SECONDS = 2.0


@dataclass(frozen=True)
class OpenStream:
    """The engine's side of a stream, and whether its output is a terminal's (not framed)."""

    upstream: RawStream
    tty: bool


@dataclass(frozen=True)
class OpenWait:
    """A wait under way. `finish` takes the engine's answer, records the container's end, and returns ours."""

    upstream: RawStream
    finish: Callable[[bytes], Json]


class ContainerIo:
    def __init__(self, store: Store, fleet: Fleet, sync: ContainerSync) -> None:
        self._store = store
        self._fleet = fleet
        self._sync = sync

    def attach(self, account: Account, id_or_name: str, query: Mapping[str, Any]) -> OpenStream:
        """`query`: logs, stream, stdin, stdout, stderr ("1" or absent), detachKeys."""
        container, engine = self._find(account, id_or_name)
        require(self._sync, container, Command.ATTACH, id_or_name)
        wanted = _attach_query(container, query)
        return OpenStream(self._call(container, lambda: engine.attach(container.engine_name, wanted)), container.tty)

    def attach_websocket(
        self, account: Account, id_or_name: str, query: Mapping[str, Any], key: str, *, text: bool
    ) -> OpenStream:
        """Like `attach`, in frames of a websocket: the engine's own, made for the client's `key`."""
        container, engine = self._find(account, id_or_name)
        require(self._sync, container, Command.ATTACH, id_or_name)
        wanted = _attach_query(container, query)
        call = lambda: engine.attach_websocket(container.engine_name, wanted, key, text=text)  # noqa: E731
        return OpenStream(self._call(container, call), container.tty)

    def logs(self, account: Account, id_or_name: str, query: Mapping[str, Any]) -> OpenStream:
        """`query`: follow, stdout, stderr, since, until, timestamps, tail, details. The body is chunked."""
        container, engine = self._find(account, id_or_name)
        return OpenStream(self._call(container, lambda: engine.logs(container.engine_name, query)), container.tty)

    def wait(self, account: Account, id_or_name: str, condition: str) -> OpenWait | Json:
        """`condition`: not-running, next-exit or removed.

        Returns the answer itself for a container that was started just now, has ended and has removed itself: who
        starts it and waits for it then has no other way to its exit code.
        """
        container_id = id_or_name
        try:
            container, engine = self._find(account, id_or_name)
            container_id = container.id
            upstream = self._call(container, lambda: engine.wait(container.engine_name, condition))
        except NotFound:
            exit_code = self._exit_code_of_gone(account, container_id) if condition != "next-exit" else None
            if exit_code is None:
                raise
            return {"StatusCode": exit_code}

        def finish(answer: bytes) -> Json:
            try:
                told = json.loads(answer)
            except ValueError:
                return {"StatusCode": -1, "Error": {"Message": "the node was lost while waiting"}}
            with contextlib.suppress(Error):
                # Nobody may read a state older than this answer.
                if condition == "removed" and not told.get("Error"):
                    self._sync.note_removed(container.id)
                elif not self._shows_end(container, told["StatusCode"]):
                    self._sync.refresh(container.id)
            error = (told.get("Error") or {}).get("Message")
            shown = {"Message": scrub(error, engine_words(container))} if error else None
            return {"StatusCode": told["StatusCode"], "Error": shown}

        return OpenWait(upstream, finish)

    def _exit_code_of_gone(self, account: Account, container_id: str) -> int | None:
        """As its events have it, which may take a moment."""
        with self._store.autocommit() as tx:
            if not operations.has_started_alone(tx, account.id, container_id, STARTED_JUST_NOW_SECONDS):
                return None
        give_up = time.monotonic() + EVENTS_SECONDS
        while True:
            with self._store.autocommit() as tx:
                exit_code = events.exit_code_of_gone(tx, account.id, container_id)
            if exit_code is not None or time.monotonic() > give_up:
                return exit_code
            time.sleep(0.05)

    def _shows_end(self, waited: Container, exit_code: int) -> bool:
        """Whether the row was written since the wait began, and shows an end like the one that the engine told."""
        with self._store.autocommit() as tx:
            now = containers.find_by_id(tx, waited.id)
        return (
            now is not None
            and now.version > waited.version
            and now.state is ContainerState.EXITED
            and now.exit_code == exit_code
            and now.finished_at != waited.finished_at
            and not now.auto_remove
        )

    def resize(self, account: Account, id_or_name: str, *, height: int, width: int) -> None:
        """Of its terminal, in characters. Raises Conflict where the container does not run."""
        container, engine = self._find(account, id_or_name)
        self._call(container, lambda: engine.resize_container(container.engine_name, height=height, width=width))

    # -- exec ----------------------------------------------------------------------------------------------------

    def create_exec(self, account: Account, id_or_name: str, spec: ExecSpec) -> str:
        """The new exec's id. Raises Conflict where the container does not run."""
        container, engine = self._find(account, id_or_name)
        require(self._sync, container, Command.EXEC, id_or_name)
        self._require_room(container, engine)
        body = _exec_body(spec)
        engine_exec_id = self._call(container, lambda: engine.create_exec(container.engine_name, body))
        with self._store.autocommit() as tx:
            return execs.add(tx, container.id, engine_exec_id, spec.detach_keys)

    def _require_room(self, container: Container, engine: Engine) -> None:
        """Raises Conflict. An engine keeps an exec that nobody starts in its memory as long as the container runs."""
        with self._store.autocommit() as tx:
            if execs.count(tx, container.id) < MOST_EXECS:
                return
        seen = self._call(container, lambda: engine.inspect_container(container.engine_name))
        live = seen.get("ExecIDs") or []
        if len(live) >= MOST_EXECS:
            raise Conflict(f"Container {container.id} has {len(live)} exec instances that have not ended")
        with self._store.autocommit() as tx:
            execs.forget_ended(tx, container.id, live)

    def start_exec(self, account: Account, exec_id: str, *, tty: bool, console_size: list[int] | None) -> OpenStream:
        """Start it and hand over its streams; `tty` of the start request decides the framing."""
        container, engine, found = self._find_exec(account, exec_id)
        self._check_startable(container, engine, found)
        body: Json = {"Detach": False, "Tty": tty}
        if console_size:
            body["ConsoleSize"] = console_size
        words = self._exec_words(found)
        return OpenStream(self._call(container, lambda: engine.start_exec(found.engine_exec_id, body), words), tty)

    def start_exec_detached(self, account: Account, exec_id: str, *, tty: bool) -> None:
        """Nobody gets its output. Raises Conflict where it was started before, or the container does not run."""
        container, engine, found = self._find_exec(account, exec_id)
        body = {"Detach": True, "Tty": tty}
        self._call(container, lambda: engine.start_exec_detached(found.engine_exec_id, body), self._exec_words(found))

    def resize_exec(self, account: Account, exec_id: str, *, height: int, width: int) -> None:
        """Of its terminal, in characters. Raises Conflict where the container does not run."""
        container, engine, found = self._find_exec(account, exec_id)
        self._call(
            container,
            lambda: engine.resize_exec(found.engine_exec_id, height=height, width=width),
            self._exec_words(found),
        )

    def inspect_exec(self, account: Account, exec_id: str) -> Json:
        """At API 1.44, in our ids."""
        container, engine, found = self._find_exec(account, exec_id)
        seen = self._call(container, lambda: engine.inspect_exec(found.engine_exec_id), self._exec_words(found))
        config = seen.get("ProcessConfig") or {}
        return {
            "ID": found.id,
            "Running": seen["Running"],
            "ExitCode": seen["ExitCode"],
            "ProcessConfig": {
                key: config[key] for key in ("tty", "entrypoint", "arguments", "privileged", "user") if key in config
            },
            "OpenStdin": seen["OpenStdin"],
            "OpenStderr": seen["OpenStderr"],
            "OpenStdout": seen["OpenStdout"],
            "CanRemove": seen["CanRemove"],
            "ContainerID": container.id,
            "DetachKeys": seen.get("DetachKeys") or "",
            "Pid": seen.get("Pid", 0),
        }

    # -- common --------------------------------------------------------------------------------------------------

    def _find(self, account: Account, id_or_name: str) -> tuple[Container, Engine]:
        container, node = find(self._store, account, id_or_name)
        return container, self._fleet.on(node)

    def _find_exec(self, account: Account, exec_id: str) -> tuple[Container, Engine, execs.Exec]:
        with self._store.autocommit() as tx:
            found = execs.get(tx, account.id, exec_id)
            placed = containers.find_placed(tx, found.container_id)
        if placed is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        container, node = placed
        return container, self._fleet.on(node), found

    def _check_startable(self, container: Container, engine: Engine, found: execs.Exec) -> None:
        """Raises Conflict where it was started before: an engine says so inside the stream, with its own id of it."""
        seen = self._call(container, lambda: engine.inspect_exec(found.engine_exec_id), self._exec_words(found))
        if seen["ExitCode"] is not None:
            raise Conflict(f"Error: Exec command {found.id} has already run")
        if seen["Running"]:
            raise Conflict(f"Error: Exec command {found.id} is already running")

    @staticmethod
    def _exec_words(found: execs.Exec) -> dict[str, str]:
        return {found.engine_exec_id: found.id}

    @staticmethod
    def _call(container: Container, call: Callable[[], T], words: Mapping[str, str] | None = None) -> T:
        try:
            return call()
        except Error as error:
            known = {**engine_words(container), **(words or {})}
            raise reworded(error, known) from error


def _attach_query(container: Container, query: Mapping[str, Any]) -> dict[str, Any]:
    """An attach without stdin, where the container reads none. An engine copies what comes to nowhere, and keeps the
    connection of each such attach for as long as it lives."""
    reads = ((container.inspect or {}).get("Config") or {}).get("OpenStdin")
    return {key: value for key, value in query.items() if key != "stdin" or reads}


def _exec_body(spec: ExecSpec) -> Json:
    body: Json = {
        "AttachStdin": spec.attach_stdin,
        "AttachStdout": spec.attach_stdout,
        "AttachStderr": spec.attach_stderr,
        "DetachKeys": spec.detach_keys,
        "Tty": spec.tty,
        "Env": list(spec.env),
        "Cmd": list(spec.cmd),
        "User": spec.user,
        "WorkingDir": spec.working_dir,
    }
    if spec.console_size:
        body["ConsoleSize"] = list(spec.console_size)
    return body
