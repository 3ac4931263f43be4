"""The audit: rows are added and read, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select

from app.domain.audit import Entry, Recorded, Result, Source
from app.store.session import Transaction
from app.store.tables import audit

#: Characters of a text that somebody else chose.
LONGEST = 500

_COLUMNS = [column for column in audit.columns if column.name not in ("id", "at")]


def append(tx: Transaction, *entries: Entry, ages: Sequence[float] = ()) -> None:
    """`ages`: so many seconds ago each of them happened; now, where not given."""
    if entries:
        ago = func.make_interval(0, 0, 0, 0, 0, 0, bindparam("age"))
        rows = [{**_values(entry), "age": ages[n] if ages else 0.0} for n, entry in enumerate(entries)]
        tx.execute(insert(audit).values(at=func.now() - ago), rows)


def _values(entry: Entry) -> dict[str, Any]:
    values = {column.name: getattr(entry, column.name) for column in _COLUMNS}
    clean = {name: _clean(value) for name, value in values.items()}
    detail = {name: _clean(value) for name, value in entry.detail.items()}
    return {**clean, "detail": detail, "client": _address(entry.client)}


def _address(text: str) -> str | None:
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def _clean(value: Any) -> Any:
    """A text that a client chose, short and as the database takes it."""
    if not isinstance(value, str):
        return value
    return value[:LONGEST].replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def select_(
    tx: Transaction,
    *,
    account: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    verb: str = "",
    refused: bool = False,
    limit: int = 100,
) -> list[Recorded]:
    """The newest `limit` rows that fit, oldest first. `since` and `until` are by the database's clock.

    `verb` is a whole verb or a noun: "containers" stands for all that was done to containers.
    """
    query = select(audit).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    if account:
        query = query.where(audit.c.account == account)
    if since is not None:
        query = query.where(audit.c.at >= since)
    if until is not None:
        query = query.where(audit.c.at < until)
    if verb:
        query = query.where((audit.c.verb == verb) | audit.c.verb.startswith(f"{verb}.", autoescape=True))
    if refused:
        query = query.where(audit.c.result != Result.DONE)
    return [_recorded(row) for row in reversed(tx.execute(query).all())]


def count_refused(tx: Transaction, since: datetime) -> Sequence[tuple[int, str, int, datetime]]:
    """(status, reason's kind, how many, when last) of refused requests since a time, the most frequent first."""
    kind = func.split_part(audit.c.reason, ":", 1)
    query = (
        select(audit.c.status, kind, func.sum(audit.c.left_out + 1), func.max(audit.c.at))
        .where(audit.c.at >= since, audit.c.result == Result.REFUSED, audit.c.source != Source.OPERATOR)
        .group_by(audit.c.status, kind)
        .order_by(func.sum(audit.c.left_out + 1).desc())
    )
    return [(row[0] or 0, row[1], int(row[2]), row[3]) for row in tx.execute(query)]


def _recorded(row: Row) -> Recorded:
    values = {column.name: getattr(row, column.name) for column in _COLUMNS}
    client = str(values.pop("client") or "").removesuffix("/32").removesuffix("/128")
    values |= {"source": Source(row.source), "result": Result(row.result), "client": client}
    return Recorded(row.id, row.at, Entry(**values))
