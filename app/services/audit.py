"""The audit: who did what, and who was refused what.

A change by an operator or by CloudAPI is recorded in the transaction that makes it (`done`), so that there is none
without the other. Requests of the Docker API are recorded behind their answer, by a thread that writes what has come
together (`Recorder`): a request does not wait for it, and what the last second held is lost with a process that is
killed; the operations of containers are in the table `operations` then, which is written ahead.

Whoever asks without end must fill neither the disk nor the memory: refusals are recorded at a rate, one for each
account or address and one for all strangers, and beyond it they are counted; the count stands in the next row.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from app.domain.account import Account
from app.domain.audit import Entry, Recorded, Result, Source
from app.errors import Error
from app.store import audit
from app.store.session import Store, Transaction

log = structlog.get_logger()

#: Seconds between two writes of what requests left.
WRITE_SECONDS = 0.5
#: Rows that wait for the database at the most, and rows of one statement.
MOST_WAITING, BATCH = 5000, 500
#: Of each account, or stranger's address: so many refusals at once, then one in so many seconds.
BURST, EVERY_SECONDS = 30, 10.0
#: The same for all strangers together, and for what an account does with success.
STRANGERS_BURST, STRANGERS_EVERY_SECONDS = 200, 1.0
DONE_BURST, DONE_EVERY_SECONDS = 2000, 0.02
#: Accounts and addresses whose rates are remembered.
MOST_RATES = 1024
#: After so many seconds a count that no further row has taken along is recorded by itself.
COUNT_SECONDS = 60.0


@dataclass(frozen=True)
class Who:
    """Who does something that is recorded in the same transaction: an operator, or an account through CloudAPI."""

    source: Source
    actor: str
    fingerprint: str = ""
    request_id: str = ""
    client: str = ""


def operator() -> Who:
    """The person at this machine, by the account of the operating system."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = f"uid {os.getuid()}"
    if os.getuid() == 0 and os.environ.get("SUDO_USER"):
        user = f"{os.environ['SUDO_USER']} as {user}"
    return Who(Source.OPERATOR, f"{user}@{socket.gethostname()}")


def done(
    tx: Transaction,
    who: Who,
    verb: str,
    target: str,
    *,
    account: Account | None = None,
    account_id: UUID | None = None,
    login: str = "",
    **detail: Any,
) -> None:
    """Record, in the transaction that makes it, a change to `target`; `verb` is "key.add", "account.quota" and so on.

    `account` is whom it is about (or its id and login), `detail` what it was set to; nothing of it may be a secret.
    """
    about = (account.id, account.login) if account else (account_id, login)
    audit.append(tx, _entry(who, verb, target, about, detail))


def refused(store: Store, who: Who, verb: str, target: str, error: Error, *, login: str = "", **detail: Any) -> None:
    """Record a change that was refused, in a transaction of its own. Says nothing where the database is away."""
    reason = f"{type(error).__name__}: {error.message}"
    entry = replace(_entry(who, verb, target, (None, login), detail), result=Result.REFUSED, reason=reason)
    with contextlib.suppress(Error), store.autocommit() as tx:
        audit.append(tx, entry)


def _entry(who: Who, verb: str, target: str, about: tuple[UUID | None, str], detail: dict[str, Any]) -> Entry:
    shown = {name: value for name, value in detail.items() if value is not None}
    return Entry(
        who.source,
        who.actor,
        verb,
        target,
        account_id=about[0],
        account=about[1],
        fingerprint=who.fingerprint,
        detail=shown,
        request_id=who.request_id,
        client=who.client,
    )


class _Rate:
    """A bucket of `burst` tokens; one comes back every `seconds`."""

    def __init__(self, burst: int, seconds: float, now: float) -> None:
        self._burst, self._seconds = burst, seconds
        self._tokens, self._at = float(burst), now

    def take(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + (now - self._at) / self._seconds)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


#: What is counted together: the result, the HTTP status and the account's login ("" for strangers).
_Kind = tuple[Result, int | None, str]


class Recorder:
    """Records requests without making them wait. One per process; made after the fork."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        #: Held by the one who writes: at the end of a process both its thread and the exit do.
        self._writing = threading.RLock()
        #: When each came in, and what.
        self._waiting: deque[tuple[float, Entry]] = deque()
        self._rates: OrderedDict[tuple[str, str, Result], _Rate] = OrderedDict()
        self._strangers = _Rate(STRANGERS_BURST, STRANGERS_EVERY_SECONDS, clock())
        #: How many were left out, since when, and one of them.
        self._left_out: dict[_Kind, tuple[int, float, Entry]] = {}

    def record(self, entry: Entry) -> None:
        """Keep an entry for the next write, or count it. Takes microseconds and does not raise."""
        now = self._clock()
        kind = (entry.result, entry.status, entry.account)
        with self._lock:
            if len(self._waiting) >= MOST_WAITING or not self._within_rate(entry, now):
                count, since, _ = self._left_out.get(kind, (0, now, entry))
                self._left_out[kind] = (count + 1, since, entry)
                return
            count, _, _ = self._left_out.pop(kind, (0, now, entry))
            self._waiting.append((now, replace(entry, left_out=count) if count else entry))

    def _within_rate(self, entry: Entry, now: float) -> bool:
        stranger = not entry.account
        key = (entry.account, entry.client if stranger else "", entry.result)
        rate = self._rates.get(key)
        if rate is None:
            limits = (DONE_BURST, DONE_EVERY_SECONDS) if entry.result is Result.DONE else (BURST, EVERY_SECONDS)
            rate = self._rates[key] = _Rate(*limits, now)
            if len(self._rates) > MOST_RATES:
                self._rates.popitem(last=False)
        else:
            self._rates.move_to_end(key)
        return rate.take(now) and (not stranger or self._strangers.take(now))

    def _add_counts(self, now: float) -> None:
        for kind, (count, since, last) in list(self._left_out.items()):
            if now - since >= COUNT_SECONDS and len(self._waiting) < MOST_WAITING:
                del self._left_out[kind]
                self._waiting.append((now, replace(last, left_out=count - 1)))

    def write(self) -> int:
        """Write what waits; returns how many rows that were. Raises Unavailable, and keeps them, where it cannot."""
        with self._writing:
            written = 0
            while batch := self._next_batch():
                with self._store.begin() as tx:
                    now = self._clock()
                    audit.append(tx, *(entry for _, entry in batch), ages=[max(now - at, 0.0) for at, _ in batch])
                self._forget(len(batch))
                written += len(batch)
            return written

    def _next_batch(self) -> list[tuple[float, Entry]]:
        with self._lock:
            self._add_counts(self._clock())
            return [self._waiting[i] for i in range(min(BATCH, len(self._waiting)))]

    def _forget(self, count: int) -> None:
        with self._lock:
            for _ in range(count):
                self._waiting.popleft()

    def run(self) -> None:
        """Write again and again, for a thread that ends with the process."""
        while True:
            time.sleep(WRITE_SECONDS)
            self.write_or_warn()

    def write_or_warn(self) -> None:
        with self._writing:
            try:
                self.write()
            except Error as error:
                log.warning("the audit cannot be written now", error=error.message, waiting=len(self._waiting))
            except Exception:
                # Not to stand in the way of all that comes after it.
                lost = min(BATCH, len(self._waiting))
                self._forget(lost)
                log.exception("entries of the audit were lost", entries=lost)


class Audit:
    """What an operator asks of it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def entries(
        self,
        *,
        account: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        verb: str = "",
        refused: bool = False,
        limit: int = 100,
    ) -> list[Recorded]:
        """The newest `limit` that fit, oldest first; times are by the database's clock.

        `verb` is a whole verb or a noun ("containers" stands for all that was done to containers); "" asks for all.
        """
        with self._store.autocommit() as tx:
            return audit.select_(tx, account=account, since=since, until=until, verb=verb, refused=refused, limit=limit)
