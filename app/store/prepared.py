"""Statements that the server plans once for each connection.

For what is asked in every request planning costs more than running: a container with its node is found in 30 us, which
took 200 to plan. The driver has no prepared statements of its own, so this uses SQL's: PREPARE at a statement's first
use on a connection, EXECUTE from then on. The driver's own rows come back, for the same reason.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ClauseElement, DateTime, Select, Uuid, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

from app.store.session import GUARDED, Transaction, send, send_alone, send_later

_DIALECT = postgresql.dialect(paramstyle="pyformat")  # type: ignore[no-untyped-call]
_PARAMETER = re.compile(r"%\((\w+)\)s")
_numbers = itertools.count(1)

Row = tuple[Any, ...]


class Prepared:
    """`statement` is one of SQLAlchemy's; its parameters are those with a name (`bindparam`, or `:name` in a `text`).

    Values go to the server as the driver writes them, and come back as it reads them: a JSON value goes as text
    (`to_json`), a state comes back as a string.
    """

    def __init__(self, statement: ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=_DIALECT)
        self._sql = sql = self._whole(str(compiled))
        if "%%" in sql:
            raise ValueError("a percent sign cannot be told from a parameter's")
        names = list(dict.fromkeys(_PARAMETER.findall(sql)))
        #: Those that the statement itself has values for.
        self._own = {name: compiled.params[name] for name in names if not compiled.binds[name].required}
        self._name = f"sdc_{next(_numbers)}"
        types = f" ({', '.join(_type(compiled.binds[name]) for name in names)})" if names else ""
        places = {name: f"${number}" for number, name in enumerate(names, 1)}
        numbered = _PARAMETER.sub(lambda match: places[match[1]], sql)
        self._prepare = f"PREPARE {self._name}{types} AS {numbered}".encode()
        values = f" ({', '.join(f'%({name})s' for name in names)})" if names else ""
        self._execute = f"EXECUTE {self._name}{values}"

    def _whole(self, sql: str) -> str:
        return sql

    def rows(self, tx: Transaction, values: Mapping[str, Any] | None = None) -> list[Row]:
        return self._run(tx, values).fetchall()

    def row(self, tx: Transaction, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first one."""
        return self._run(tx, values).fetchone()

    def count(self, tx: Transaction, values: Mapping[str, Any] | None = None) -> int:
        """How many rows it has written."""
        return self._run(tx, values).rowcount

    def later(self, tx: Transaction, values: Mapping[str, Any]) -> None:
        """With the transaction's next statement, or its end; so are its errors. Where there is none, now."""
        message = self._message(tx, values)
        if not send_later(tx, message):
            send(tx, message)

    def _run(self, tx: Transaction, values: Mapping[str, Any] | None) -> Any:
        return send(tx, self._message(tx, values or {}))

    def _message(self, tx: Transaction, values: Mapping[str, Any]) -> bytes:
        # What the pool keeps with a connection ends with it, as does what the server has prepared.
        prepared: set[str] = tx.info.setdefault("prepared", set())
        if self._name not in prepared:
            # Not with what was put off, which may be whole with what follows.
            send_alone(tx, self._prepare)
            prepared.add(self._name)
        message: bytes = tx.connection.cursor().mogrify(self._execute, {**self._own, **values})
        return message


class Guard(Prepared):
    """A statement without RETURNING that must write a row, for `later`, when nobody counts.

    Where it writes none, `error` is raised by what it is told with, and the transaction can only be undone.
    """

    def __init__(self, statement: ClauseElement, error: type[Exception]) -> None:
        self._raises = raising(error)
        super().__init__(statement)

    def _whole(self, sql: str) -> str:
        unless = f"SELECT {self._raises} WHERE NOT EXISTS (SELECT FROM written)"  # noqa: S608
        return f"WITH written AS ({sql} RETURNING 1) {unless}"


def raising(error: type[Exception]) -> str:
    """An expression of SQL that raises `error`, which takes no argument, in who told the server of it."""
    GUARDED[error.__name__] = error
    return f"nothing_written('{error.__name__}')"


class Together:
    """Several queries in one message, for who needs all of their rows: what takes time is the way there and back.

    A row comes as its query alone would give it.
    """

    def __init__(self, *queries: Select[Any]) -> None:
        columns = []
        for number, query in enumerate(queries):
            rows = query.subquery(f"q{number}")
            columns.append(select(func.json_agg(func.json_build_array(*rows.c))).scalar_subquery())
        self._prepared = Prepared(select(*columns))
        self._readers = [[_reader(column.type) for column in query.selected_columns] for query in queries]

    def rows(self, tx: Transaction, values: Mapping[str, Any]) -> list[list[Row]]:
        """The rows of each query."""
        found = self._prepared.row(tx, values) or ()
        return [[_read(readers, row) for row in rows or ()] for readers, rows in zip(self._readers, found, strict=True)]


def _read(readers: Sequence[Callable[[str], Any] | None], row: Sequence[Any]) -> Row:
    return tuple(read(value) if read and value is not None else value for read, value in zip(readers, row, strict=True))


def _reader(kind: TypeEngine[Any]) -> Callable[[str], Any] | None:
    """What makes of a JSON value what the driver would have given; None where it is the same."""
    if isinstance(kind, Uuid):
        return UUID
    return datetime.fromisoformat if isinstance(kind, DateTime) else None


def _type(bind: Any) -> str:
    """A parameter's type; of one that has none, the server finds it out. A length would cut what is too long."""
    word = "unknown" if bind.type._isnull else bind.type.compile(dialect=_DIALECT)
    return re.sub(r"\(.*\)", "", word)
