"""Decide the arguments of `top`, which reach a `ps` on the node.

The engine shows the lines of the container's processes alone, which it knows by the word that stands where the title
PID does. A title of one's own (`-o etimes=PID`), a column before it whose values have more words than its title (`-o
args,pid`, `-o lstart,pid`), or no line of titles at all would have it look at another word, and show everybody's
processes. So before the PID there are only columns that are always one word, and what is not understood is refused. A
`ps` that does not understand a word as System V meant it reads all of them anew as BSD did: what is taken is harmless
both ways.
"""

from __future__ import annotations

import re
from typing import NoReturn

from app.errors import Forbidden

_LONGEST = 200
#: Options without a value that put nothing but single words before the PID. Not `h` (no titles), `Z` and `M` (labels),
#: `O`, `k` and others that take the next word for a value.
_OPTIONS = re.compile(r"-?[aAcdefFjlLmPrsSTuvwxXy]*")
#: Capital letters are names of whole sets of columns, with a PID somewhere among them.
_COLUMNS = re.compile(r"[a-z_]+(?:,[a-z_]+)*")
#: Columns whose titles and values are one word each, whatever a process does.
_ONE_WORD = frozenset(
    [
        *("pid", "ppid", "pgid", "sid", "uid", "gid", "ruid", "rgid", "user", "group", "ruser", "rgroup", "euser"),
        *("egroup", "nice", "ni", "pri", "rss", "vsz", "sz", "pcpu", "pmem", "s", "stat", "state", "tty", "tt", "time"),
        *("etime", "etimes", "cputime", "nlwp", "psr", "c"),
    ]
)
_ORDER = re.compile(r"[+-]?[a-z_]+(?:,[+-]?[a-z_]+)*")


def decide_ps(arguments: str) -> str:
    """The arguments for the engine, in which no other's processes can be seen. Raises Forbidden."""
    given = [word for word in arguments.split(" ") if word]
    words = iter(given)
    columns: list[str] = []
    for word in words:
        if word == "--sort":
            _check(_ORDER, next(words, ""))
        elif word != "--forest":
            options, is_list, listed = ("", "o", "") if word == "--format" else word.partition("o")
            _check(_OPTIONS, options)
            if is_list:
                listed = listed or next(words, "")
                _check(_COLUMNS, listed)
                columns += listed.split(",")
    before = columns[: columns.index("pid")] if "pid" in columns else []
    if len(arguments) > _LONGEST or not _ONE_WORD.issuperset(before):
        _refuse()
    return " ".join(given)


def _check(allowed: re.Pattern[str], word: str) -> None:
    if not allowed.fullmatch(word):
        _refuse()


def _refuse() -> NoReturn:
    raise Forbidden("not allowed on this shared host: these ps arguments (ps_args)")
