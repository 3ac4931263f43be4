"""How fast the service is beside the stock engine that it uses, measured in one run.

    sudo python -m tests.bench [NAME ...] [--engine later | --home DIR] [--pairs N] [--containers N] [--json FILE]

NAME      what to measure; everything where none is named
          memory   resident memory of our processes, idle
          cli      docker run --rm busybox true, with the docker CLI
          api      create + start + wait + remove, with the time of each phase
          echo     64 bytes there and back through `exec cat`
          output   256 MiB out of an exec
          list     GET /containers/json?all=1 of one account with 1,000 containers, newest and oldest API
          calls    inspect, list of ten, create
          ages     what is done for an old client's version, as a part of its create
          archive  256 MiB into and out of a container
          transfer push of 64 MiB, and pull of what the engine does not have
          compose  compose up and down of five services, with Compose v2
          events   from a signal to the last of 100 event streams
--engine  `later` takes Docker's programs of the next Debian release, unpacked below .venv, instead of the machine's
--home    a running quickstart's state directory; without it one is started and taken down. `list` and `calls` compare
          lists of the same containers, so that no account may have any there
--pairs   rounds; what takes long has fewer, however many are asked for

Every measurement visits both sides in turn within each round, the first of a round being the second of the next, so
that a slow spell of the machine falls on both. A figure is the median of its rounds, a limit is for the ratio of the
two medians. `cli`, `api`, `calls`, `compose` and `list` compare with the engine's own socket, `ages` the service with
itself, the others with the engine behind an nginx stream TLS server that has the settings of ours and no more to do
than to pass bytes on. The service is asked in its newest version, the engine in the newest that both have, unless a row
says otherwise. The load average stands beside each: a busy machine moves single figures by a quarter, so repeat before
believing.

The account `bench` is added to the stack, and all that is measured with is removed in the end. Exits with 1 where a
limit does not hold.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import later
from tests.bench.measures import (
    ages,
    archives,
    calls,
    compose,
    containers,
    listeners,
    lists,
    memory,
    streams,
    transfers,
)
from tests.bench.report import Row, show
from tests.bench.sides import Sides, open_sides
from tests.e2e.stack import Stack, running

#: In the order in which they run: memory while nothing has happened yet, the long list last.
MEASURES: dict[str, Callable[[Sides, argparse.Namespace], list[Row]]] = {
    "memory": lambda sides, options: memory.memory(sides),
    "cli": lambda sides, options: containers.cli(sides, options.pairs),
    "api": lambda sides, options: containers.api(sides, options.pairs),
    "calls": lambda sides, options: calls.calls(sides, options.pairs),
    "ages": lambda sides, options: ages.ages(sides, options.pairs),
    "echo": lambda sides, options: streams.echo(sides, rounds=options.pairs),
    "output": lambda sides, options: streams.output(sides, rounds=min(options.pairs, 15)),
    "archive": lambda sides, options: archives.archives(sides, rounds=min(options.pairs, 9)),
    "transfer": lambda sides, options: transfers.transfers(sides, rounds=min(options.pairs, 9)),
    "compose": lambda sides, options: compose.compose(sides, rounds=min(options.pairs, 7)),
    "events": lambda sides, options: listeners.listeners(sides, rounds=options.pairs),
    "list": lambda sides, options: lists.listing(sides, options.containers, rounds=options.pairs),
}


def main() -> int:
    options = _options()
    if options.engine == "later":
        # For the quickstart and for every other engine that is started.
        os.environ["PATH"] = later.engine_path()
    rows: list[Row] = []
    with _stack(options.home) as stack, open_sides(stack) as sides:
        for name, measure in MEASURES.items():
            if not options.names or name in options.names:
                found = measure(sides, options)
                show(name, found)
                rows += found
    if options.json:
        options.json.write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")
    limited = [row for row in rows if row.limit is not None]
    if limited:
        show("limits", limited)
    return 0 if all(row.holds for row in limited) else 1


def _options() -> argparse.Namespace:
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        "python -m tests.bench", description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--engine", choices=["installed", "later"], default="installed")
    place.add_argument("--home", type=Path)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--containers", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the figures there too")
    options = parser.parse_args()
    if unknown := set(options.names) - set(MEASURES):
        parser.error(f"no measurement {', '.join(sorted(unknown))}; there are: {' '.join(MEASURES)}")
    return options


@contextlib.contextmanager
def _stack(home: Path | None) -> Iterator[Stack]:
    if home is not None:
        yield Stack(home, json.loads((home / "state.json").read_text())["port"], "")
        return
    with running(["bench"]) as stack:
        yield stack


if __name__ == "__main__":
    sys.exit(main())
