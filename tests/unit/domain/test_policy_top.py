"""Arguments of `ps`: what shows a container's own processes, and what might show others'."""

from __future__ import annotations

import pytest

from app.domain.policy.top import decide_ps
from app.errors import Forbidden

TAKEN = [
    *("", "-ef", "aux", "-aux", "auxww", "faux", "-eLf", "-el", "axjf", "-F", "m", "-efT", "aux --sort -rss"),
    *("ax --forest", "-o pid", "-eo pid,comm", "-o pid -o args,lstart", "axo pid,args", "-opid,pid", "o pid,etimes"),
    *("--format pid,args", "-e --format pid --sort pid,-etimes", "-o comm", "-o pid,bogus", "-o pid,ppid,pid"),
    *("-eo user,pid,ppid,stat,args", "-o user -o pid"),
]
REFUSED = [
    # Another column's words where the PID's title is.
    *(
        "-eo args,pid",
        "-eoargs,pid",
        "axo lstart,etimes,ppid,sid,tty,pid",
        "-o lstart -o pid",
        "--format comm,pid",
        "-o user,comm,pid",
    ),
    # The same by the name of a set of columns.
    *("-o args,DFMT", "-o args -o DFMT", "-o SFMT"),
    # Titles of one's own, or none.
    *("-o etimes=PID", "-eo args --no-headers", "axho args", "h", "-h", "-o pid --no-heading", "--noheader"),
    # Labels have two words, and stand first.
    *("-eZ", "-M", "Z", "--context", "-Ojob", "k pid", "-bogus"),
    # A word that is a value for one reader and an option for the other.
    *("-C ho", "-p 1", "p1", "-u 0", "-t h", "-o", "--sort", "--format", "--sort h=1", "-o pid args,pid"),
    *("--", "-o pid;id", "$(id)", "-o pid --sort ../x", "a" * 201, "-\u017f", "-o p\u0131d", "x\n", "-o\tpid"),
]


@pytest.mark.parametrize("arguments", TAKEN)
def test_taken(arguments: str) -> None:
    assert decide_ps(arguments) == arguments


def test_spaces() -> None:
    assert decide_ps("  -o   pid,args  ") == "-o pid,args"


@pytest.mark.parametrize("arguments", REFUSED)
def test_refused(arguments: str) -> None:
    with pytest.raises(Forbidden, match="these ps arguments"):
        decide_ps(arguments)
