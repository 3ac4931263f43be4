"""A container's states and what a command may do in each.

The words are Docker's (`State.Status`), plus "creating" between the intent and the engine's answer. A container that
its engine has lost is "dead". `COMMANDS` is the whole truth about which command is allowed: a value is the state that
follows, a missing entry is the refusal that `refuse` words.
"""

from __future__ import annotations

from enum import StrEnum

from app.errors import Conflict, Error, NotModified


class ContainerState(StrEnum):
    CREATING = "creating"
    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    EXITED = "exited"
    REMOVING = "removing"
    DEAD = "dead"


class Command(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"
    EXEC = "exec"
    ATTACH = "attach"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    UPDATE = "update"
    REMOVE = "remove"


S, C = ContainerState, Command

COMMANDS: dict[ContainerState, dict[Command, ContainerState]] = {
    S.CREATING: {},
    S.CREATED: {
        C.START: S.RUNNING,
        C.RESTART: S.RUNNING,
        C.REMOVE: S.REMOVING,
        C.ATTACH: S.CREATED,
        C.UPDATE: S.CREATED,
    },
    S.RUNNING: {
        C.STOP: S.EXITED,
        C.RESTART: S.RUNNING,
        C.KILL: S.RUNNING,
        C.EXEC: S.RUNNING,
        C.ATTACH: S.RUNNING,
        C.PAUSE: S.PAUSED,
        C.UPDATE: S.RUNNING,
    },
    S.PAUSED: {
        C.STOP: S.EXITED,
        C.RESTART: S.RUNNING,
        C.KILL: S.PAUSED,
        C.UNPAUSE: S.RUNNING,
        C.UPDATE: S.PAUSED,
    },
    S.RESTARTING: {
        C.START: S.RUNNING,
        C.STOP: S.EXITED,
        C.RESTART: S.RUNNING,
        C.KILL: S.RESTARTING,
        C.UPDATE: S.RESTARTING,
    },
    S.EXITED: {
        C.START: S.RUNNING,
        C.RESTART: S.RUNNING,
        C.REMOVE: S.REMOVING,
        C.ATTACH: S.EXITED,
        C.UPDATE: S.EXITED,
    },
    S.REMOVING: {},
    S.DEAD: {C.REMOVE: S.REMOVING},
}

#: States in which the container's processes may live, and with them its ports.
ACTIVE = frozenset({S.RUNNING, S.PAUSED, S.RESTARTING})


def check(state: ContainerState, command: Command, container_id: str) -> ContainerState:
    """The state that follows. Raises NotModified or Conflict with dockerd's words."""
    following = COMMANDS[state].get(command)
    if following is None:
        raise refuse(state, command, container_id)
    return following


def refuse(state: ContainerState, command: Command, container_id: str) -> Error:
    """Why `command` cannot be done in `state`, as dockerd 20.10 says it."""
    if state in (S.CREATING, S.REMOVING, S.DEAD) and command is C.START:
        return Conflict("container is marked for removal and cannot be started")
    if state is S.REMOVING and command is C.REMOVE:
        return Conflict(f"removal of container {container_id} is already in progress")
    match command:
        case C.START if state is S.PAUSED:
            return Conflict("cannot start a paused container, try unpause instead")
        case C.START | C.STOP:
            return NotModified()
        case C.REMOVE:
            first = "Unpause and then stop the container" if state is S.PAUSED else "Stop the container"
            return Conflict(
                f"You cannot remove a {state} container {container_id}. "
                f"{first} before attempting removal or force remove"
            )
        case C.EXEC | C.ATTACH if state is S.PAUSED:
            if command is C.ATTACH:
                return Conflict(f"container {container_id} is paused, unpause the container before attach")
            return Conflict(f"Container {container_id} is paused, unpause the container before exec")
        case C.UPDATE:
            return Conflict(
                f'Cannot update container {container_id}: Container is marked for removal and cannot be "update".'
            )
        case C.PAUSE if state is S.PAUSED:
            return Conflict(f"Container {container_id} is already paused")
        case C.UNPAUSE:
            return Conflict(f"Container {container_id} is not paused")
        case C.EXEC | C.ATTACH | C.PAUSE if state is S.RESTARTING:
            return Conflict(f"Container {container_id} is restarting, wait until the container is running")
        case _:
            return Conflict(f"Container {container_id} is not running")
