"""Execs of the fake engine."""

from __future__ import annotations

import copy
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app.engine.client import RawStream
from app.errors import Conflict, InvalidParameter, NotFound
from tests.fakes.process import STDERR, STDOUT, CannotStart, Process, Wire, raw
from tests.fakes.traps import Traps, recorded

Json = dict[str, Any]


@dataclass
class FakeExec:
    id: str
    container: Any
    body: Json
    running: bool = False
    exit_code: int | None = None
    process: Process | None = None


class FakeExecs(Traps):
    """The mixin's user has `containers`."""

    containers: dict[str, Any]
    _changed: threading.Condition
    _find: Callable[[str], Any]
    _must_run: Callable[[Any], None]
    _emit: Callable[..., None]

    def __init__(self) -> None:
        super().__init__()
        self.execs: dict[str, FakeExec] = {}

    @recorded
    def create_exec(self, name: str, body: Json) -> str:
        container = self._find(name)
        self._must_run(container)
        if not body.get("Cmd"):
            raise InvalidParameter("No exec command specified")
        new = secrets.token_hex(32)
        with self._changed:
            self.execs[new] = FakeExec(new, container, copy.deepcopy(body))
        self._emit(container, f"exec_create: {' '.join(body['Cmd'])}", execID=new)
        return new

    @recorded
    def start_exec(self, exec_id: str, body: Json) -> RawStream:
        found = self._exec(exec_id)
        wire = Wire(frames=not found.body.get("Tty"))
        self._run_exec(found, wire)
        return raw(wire, {"Content-Type": "application/vnd.docker.raw-stream"}, status=101)

    @recorded
    def start_exec_detached(self, exec_id: str, body: Json) -> None:
        self._run_exec(self._exec(exec_id), None)

    def _run_exec(self, found: FakeExec, wire: Wire | None) -> None:
        if found.process:
            words = "is already running" if found.running else "has already run"
            raise Conflict(f"Error: Exec command {found.id} {words}")
        self._must_run(found.container)
        wanted = {
            stream
            for stream, flag in ((STDOUT, "AttachStdout"), (STDERR, "AttachStderr"))
            if wire and found.body.get(flag)
        }

        def output(stream: int, data: bytes) -> None:
            if wire and stream in wanted:
                wire.write(stream, data)

        def ended(code: int) -> None:
            found.running, found.exit_code = False, code
            if wire:
                wire.end()
            self._emit(found.container, "exec_die", execID=found.id, exitCode=str(code))

        try:
            process = Process(
                found.body["Cmd"], output=output, ended=ended, stdin=bool(wire and found.body.get("AttachStdin"))
            )
        except CannotStart as error:
            found.exit_code = 126
            raise InvalidParameter(
                f'OCI runtime exec failed: exec failed: unable to start container process: exec: "{error}": '
                "executable file not found in $PATH: unknown"
            ) from None
        found.process, found.running = process, True
        self._emit(found.container, f"exec_start: {' '.join(found.body['Cmd'])}", execID=found.id)
        if wire and found.body.get("AttachStdin"):
            wire.read_into(process.feed)
        process.start()

    @recorded
    def resize_exec(self, exec_id: str, *, height: int, width: int) -> None:
        if not self._exec(exec_id).running:
            raise NotFound("no such exec")

    @recorded
    def inspect_exec(self, exec_id: str) -> Json:
        found = self._exec(exec_id)
        body = found.body
        return {
            "ID": found.id,
            "Running": found.running,
            "ExitCode": found.exit_code,
            "ProcessConfig": {
                "tty": bool(body.get("Tty")),
                "entrypoint": body["Cmd"][0],
                "arguments": body["Cmd"][1:],
                "privileged": False,
            },
            "OpenStdin": bool(body.get("AttachStdin")),
            "OpenStderr": bool(body.get("AttachStderr")),
            "OpenStdout": bool(body.get("AttachStdout")),
            "CanRemove": False,
            "ContainerID": found.container.id,
            "DetachKeys": "",
            "Pid": 4300 if found.process else 0,
        }

    def _exec(self, exec_id: str) -> FakeExec:
        found = self.execs.get(exec_id)
        if found is None or found.container.id not in self.containers:
            raise NotFound(f"No such exec instance: {exec_id}")
        return found
