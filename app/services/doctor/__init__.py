"""What is wrong with this data center, and what to do about it.

Each check is a small function that says what it sees; a part that is away is a finding. None waits for longer than some
seconds, and they run side by side, so that all of them together take as long as the slowest.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial

from app.services.doctor import certificates, database, engines, environment, front, handshakes, processes
from app.services.doctor.finding import Finding, Verdict, bad
from app.services.doctor.look import Look, look_around
from app.store.session import WrongSchema

__all__ = ["Finding", "Verdict", "examine", "look_around"]

#: No check of ours takes this long.
PATIENCE = 20.0

#: In the order in which they are shown; the database's come behind the settings.
_MACHINE: tuple[tuple[str, Callable[[Look], Iterable[Finding]]], ...] = (
    ("nginx", front.nginx),
    ("docker port", front.docker_port),
    ("cloudapi port", front.cloudapi_port),
    ("certificates", certificates.check),
    ("keys", front.keys),
    ("handshakes", handshakes.check),
    ("api socket", front.api_socket),
    ("registry", front.registry),
)
#: Those that need the database.
_ROWS = (
    ("processes", processes.check),
    ("refusals", processes.refusals),
    ("nodes", engines.check),
)


def examine(look: Look) -> list[Finding]:
    """All findings. Raises nothing."""
    findings = [*_guarded("settings", partial(environment.check, look)), *_within(partial(database.check, look))]
    answers = any(f.name == "database" and f.verdict is Verdict.OK for f in findings)
    checks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [(n, partial(c, look)) for n, c in _MACHINE]
    if answers and look.store is not None:
        checks += [(name, partial(check, look, look.store)) for name, check in _ROWS]
    return findings + _side_by_side(checks)


def _within(check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    return _side_by_side([("database", check)])


def _side_by_side(checks: list[tuple[str, Callable[[], Iterable[Finding]]]]) -> list[Finding]:
    told: dict[int, list[Finding]] = {}

    def run(place: int, name: str, check: Callable[[], Iterable[Finding]]) -> None:
        told[place] = _guarded(name, check)

    threads = [threading.Thread(target=run, args=(i, *check), daemon=True) for i, check in enumerate(checks)]
    for thread in threads:
        thread.start()
    findings: list[Finding] = []
    for place, thread in enumerate(threads):
        thread.join(PATIENCE)
        late = bad(checks[place][0], f"no end of this check within {PATIENCE:.0f} seconds", "something there hangs")
        findings += told.get(place, [late])
    return findings


def _guarded(name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a check finds; what it cannot cope with is a finding too."""
    found: list[Finding] = []
    try:
        # Not list(): what was found before an error counts.
        for finding in check():
            found.append(finding)
    except WrongSchema:
        found.append(bad(name, "not examined: the schema is not that of this version", "sdc-docker db upgrade"))
    except Exception as error:
        found.append(bad(name, f"the check failed: {type(error).__name__}: {error}".split("\n")[0], "report this"))
    return found
