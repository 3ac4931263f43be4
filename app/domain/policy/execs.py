"""Decide an exec request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.domain import detach_keys
from app.domain.policy import process
from app.domain.policy.security import console_size
from app.domain.policy.values import Struct, array, boolean, forbid, text, words, wrong

EXEC = Struct(
    (
        "User",
        "Privileged",
        "Tty",
        "ConsoleSize",
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Detach",
        "DetachKeys",
        "Env",
        "WorkingDir",
        "Cmd",
        # What clients up to 1.12 repeat from the path.
        "Container",
    )
)


@dataclass(frozen=True)
class ExecSpec:
    """A decided exec request."""

    cmd: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
    #: (height, width), or None where the client did not say.
    console_size: tuple[int, int] | None = None


def decide_exec(body: Any) -> ExecSpec:
    """What process the request asks for. Raises InvalidParameter, Forbidden.

    Other fields are ignored, as engines do: the answer has no place for a warning, and clients send fields of their own
    (docker-java a `containerId`).
    """
    fields = EXEC.read("", body if body is not None else {}, [])
    if boolean("Privileged", fields.get("Privileged", False)):
        forbid("privileged exec", "Privileged")
    cmd = words("Cmd", array("Cmd", fields.get("Cmd", []), 4096))
    if not cmd:
        wrong("No exec command specified")
    size = console_size("ConsoleSize", fields.get("ConsoleSize", []))
    # Of the right type, and without effect: `Detach` counts at the start.
    text("Container", fields.get("Container", ""))
    boolean("Detach", fields.get("Detach", False))
    keys = text("DetachKeys", fields.get("DetachKeys", ""))
    detach_keys.parse(keys)
    return ExecSpec(
        cmd=tuple(cmd),
        env=tuple(process.environment("Env", fields.get("Env", []))),
        user=process.user("User", fields.get("User", "")),
        working_dir=process.working_dir("WorkingDir", fields.get("WorkingDir", "")),
        tty=boolean("Tty", fields.get("Tty", False)),
        attach_stdin=boolean("AttachStdin", fields.get("AttachStdin", False)),
        attach_stdout=boolean("AttachStdout", fields.get("AttachStdout", False)),
        attach_stderr=boolean("AttachStderr", fields.get("AttachStderr", False)),
        detach_keys=keys,
        console_size=(size[0], size[1]) if any(size) else None,
    )


EXEC_START = Struct(("Detach", "Tty", "ConsoleSize"))


@dataclass(frozen=True)
class ExecStart:
    """A decided exec start request; `tty` decides how the output is framed."""

    detach: bool = False
    tty: bool = False
    #: (height, width), or None where the client did not say.
    console_size: tuple[int, int] | None = None


def decide_exec_start(body: Any) -> ExecStart:
    """How a created exec is to be started; other fields are ignored (dockerode sends `hijack` and `stdin`).

    Raises InvalidParameter.
    """
    fields = EXEC_START.read("", body if body is not None else {}, [])
    size = console_size("ConsoleSize", fields.get("ConsoleSize", []))
    return ExecStart(
        detach=boolean("Detach", fields.get("Detach", False)),
        tty=boolean("Tty", fields.get("Tty", False)),
        console_size=(size[0], size[1]) if any(size) else None,
    )
