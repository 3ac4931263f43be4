"""What a person sees: one line per step with its duration, and plain words when it cannot go on."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

out = Console(highlight=False, soft_wrap=True, markup=False)
err = Console(highlight=False, soft_wrap=True, markup=False, stderr=True)


class Stop(Exception):
    """Cannot go on; the message says why and, where there is something to be done, what."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Show `name` while its block runs, then "ok" and how long it took."""
    started = time.monotonic()
    live = out.is_terminal
    if live:
        out.print(f"  ..  {name}", end="\r")
    else:
        out.print(f"  ..  {name}", end="")
        sys.stdout.flush()
    try:
        yield
    except BaseException:
        out.print(_line("--", name, "failed", live))
        raise
    out.print(_line("ok", name, f"{time.monotonic() - started:6.1f} s", live))


def _line(mark: str, name: str, end: str, live: bool) -> str:
    # Not on a terminal the name stands there already: a reader of a log sees what is being waited for.
    return f"  {mark}  {name:<58} {end}" if live else f"  {mark} {end.strip()}"


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log file, "" where there is none."""
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join("      " + line for line in text.splitlines()[-lines:])
