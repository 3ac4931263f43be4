"""Every state with every command: what follows, or the kind of the refusal."""

from __future__ import annotations

import pytest

from app.domain.container_state import ACTIVE, COMMANDS, Command, ContainerState, check
from app.errors import Conflict, Error, NotModified

S, C = ContainerState, Command

#: One letter a state, in the order of the enum: creating created running paused restarting exited removing dead.
#: y = allowed, n = nothing to do (304), c = conflict.
TABLE = {
    C.START: "cync" + "yycc",
    C.STOP: "nnyy" + "ynnn",
    C.RESTART: "cyyy" + "yycc",
    C.KILL: "ccyy" + "yccc",
    C.EXEC: "ccyc" + "cccc",
    C.ATTACH: "cyyc" + "cycc",
    C.REMOVE: "cycc" + "cycy",
    C.PAUSE: "ccyc" + "cccc",
    C.UNPAUSE: "cccy" + "cccc",
    C.UPDATE: "cyyy" + "yycc",
}


def test_the_table_is_whole() -> None:
    assert set(COMMANDS) == set(S)
    assert set(TABLE) == set(C)


@pytest.mark.parametrize(
    ("command", "state", "verdict"),
    [(command, state, row[i]) for command, row in TABLE.items() for i, state in enumerate(S)],
)
def test_every_pair(command: Command, state: ContainerState, verdict: str) -> None:
    try:
        following = check(state, command, "abc")
    except Error as error:
        assert type(error) is {"n": NotModified, "c": Conflict, "y": None}[verdict]
        assert bool(error.message) == (verdict == "c")
    else:
        assert verdict == "y"
        assert following in S


@pytest.mark.parametrize(
    ("state", "command", "words"),
    [
        (S.PAUSED, C.START, "cannot start a paused container, try unpause instead"),
        (S.DEAD, C.START, "container is marked for removal and cannot be started"),
        (S.REMOVING, C.REMOVE, "removal of container abc is already in progress"),
        (
            S.RUNNING,
            C.REMOVE,
            "You cannot remove a running container abc. Stop the container before attempting removal or force remove",
        ),
        (
            S.PAUSED,
            C.REMOVE,
            "You cannot remove a paused container abc. Unpause and then stop the container before attempting removal "
            "or force remove",
        ),
        (S.PAUSED, C.EXEC, "Container abc is paused, unpause the container before exec"),
        (S.PAUSED, C.ATTACH, "container abc is paused, unpause the container before attach"),
        (S.RESTARTING, C.EXEC, "Container abc is restarting, wait until the container is running"),
        (S.EXITED, C.EXEC, "Container abc is not running"),
        (S.CREATED, C.KILL, "Container abc is not running"),
    ],
)
def test_words(state: ContainerState, command: Command, words: str) -> None:
    with pytest.raises(Conflict) as refused:
        check(state, command, "abc")
    assert refused.value.message == words


def test_a_stop_ends_what_is_active() -> None:
    assert {state for state in S if C.STOP in COMMANDS[state]} == ACTIVE
