"""PostgreSQL: reachable, of the right schema, in time, with room."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Any

from app.errors import Error
from app.services.doctor.finding import Finding, bad, ok, size, span, warn
from app.services.doctor.look import Look
from app.settings import ProcessSettings, Settings
from app.store import health
from app.store.session import Store, WrongSchema

#: Seconds of two clocks apart that are worth a word, and that break certificates and deadlines.
CLOCK_WARN, CLOCK_BAD = 2.0, 60.0
#: Parts of a disk that are still free.
DISK_WARN, DISK_BAD = 0.15, 0.05
#: Seconds of a transaction: ours take milliseconds, and a long one keeps dead rows and holds the events back.
TRANSACTION_WARN, TRANSACTION_BAD = 60, 3600


class Database:
    def __init__(self, store: Store) -> None:
        self._store = store

    def facts(self) -> dict[str, Any]:
        """Version, size, connections and so on. Raises Unavailable."""
        with self._store.autocommit() as tx:
            return health.server(tx)


def check(look: Look) -> Iterator[Finding]:
    """Ends after the first finding where the database is away."""
    if look.store is None or look.settings is None:
        yield bad("database", "not examined: its setting cannot be read", "set SDC_DATABASE_URL")
        return
    before = time.time()
    try:
        with look.store.autocommit() as tx:
            facts = health.server(tx)
            folder = health.data_folder(tx)
    except Error as error:
        why = str(error.__cause__ or error.message).split("\n")[0]
        advice = "start PostgreSQL, or correct SDC_DATABASE_URL; processes, nodes and operations were not examined"
        yield bad("database", f"does not answer: {why}", advice)
        return
    except WrongSchema as error:
        yield bad("database", f"does not answer as it should: {str(error).splitlines()[0]}", "sdc-docker db status")
        return
    yield ok("database", f"PostgreSQL {facts['server']} answers; {size(facts['size'])}")
    yield schema(facts["revision"], look.head)
    yield clock("database clock", facts["clock"] - (before + time.time()) / 2)
    yield connections(facts, look.settings, look.process)
    yield transactions(facts["oldest_transaction_seconds"])
    if folder is not None:
        used = shutil.disk_usage(folder)
        yield disk("database disk", str(folder), used.free, used.total)


def schema(revision: str, head: str) -> Finding:
    if revision == head:
        return ok("schema", f"revision {revision}")
    if not revision:
        return bad("schema", "the database is empty", "sdc-docker db upgrade")
    advice = "sdc-docker db upgrade; where the database is the newer one, bring this machine's version up to date"
    return bad("schema", f"revision {revision}, this version needs {head}", advice)


def clock(name: str, apart: float) -> Finding:
    """`apart`: seconds that the other clock is ahead of ours."""
    if abs(apart) < CLOCK_WARN:
        return ok(name, "agrees with this machine's")
    seen = f"{span(abs(apart))} {'ahead of' if apart > 0 else 'behind'} this machine's"
    advice = "let both follow the same time servers (chrony, systemd-timesyncd)"
    return (bad if abs(apart) >= CLOCK_BAD else warn)(name, seen, advice)


def connections(facts: dict[str, Any], settings: Settings, process: ProcessSettings) -> Finding:
    used, most = facts["connections"], facts["max_connections"]
    # The API's workers, CloudAPI and an observer.
    wanted = (process.workers + 2) * (settings.database_pool + 5)
    seen = f"{used} of {most} used"
    if used > 0.9 * most:
        return bad("connections", seen, "raise max_connections, or lower SDC_DATABASE_POOL or SDC_WORKERS")
    if wanted > most:
        advice = f"raise max_connections to {wanted + 10}, or lower SDC_DATABASE_POOL or SDC_WORKERS"
        return warn("connections", f"{seen}; all processes may want {wanted}", advice)
    return ok("connections", seen)


def transactions(oldest: float) -> Finding:
    if oldest < TRANSACTION_WARN:
        return ok("transactions", "none is long")
    advice = "find it in pg_stat_activity (xact_start), and end it with pg_terminate_backend(pid) if nobody needs it"
    judge = bad if oldest >= TRANSACTION_BAD else warn
    return judge("transactions", f"one has been open for {span(oldest)}; events wait for it", advice)


def disk(name: str, where: str, free: int, total: int) -> Finding:
    part = free / total if total else 1.0
    seen = f"{where}: {size(free)} of {size(total)} free"
    if part >= DISK_WARN:
        return ok(name, seen)
    return (bad if part < DISK_BAD else warn)(name, seen, "make room, or give it a larger disk")
