"""Statements that the server plans once for each connection.

For what is asked in every request planning costs more than running: a container with its node is found in 30 us, which
took 200 to plan. The driver has no prepared statements of its own, so this uses SQL's: PREPARE at a statement's first
use on a connection, EXECUTE from then on. The driver's own rows come back, for the same reason.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Any

import psycopg2
from sqlalchemy import ClauseElement
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError

from app.store.session import Transaction

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
        self._sql = sql = str(compiled)
        if "%%" in sql:
            raise ValueError("a percent sign cannot be told from a parameter's")
        names = list(dict.fromkeys(_PARAMETER.findall(sql)))
        #: Those that the statement itself has values for.
        self._own = {name: compiled.params[name] for name in names if not compiled.binds[name].required}
        self._name = f"sdc_{next(_numbers)}"
        types = f" ({', '.join(_type(compiled.binds[name]) for name in names)})" if names else ""
        places = {name: f"${number}" for number, name in enumerate(names, 1)}
        self._prepare = f"PREPARE {self._name}{types} AS {_PARAMETER.sub(lambda match: places[match[1]], sql)}"
        values = f" ({', '.join(f'%({name})s' for name in names)})" if names else ""
        self._execute = f"EXECUTE {self._name}{values}"

    def rows(self, tx: Transaction, values: Mapping[str, Any] | None = None) -> list[Row]:
        return self._run(tx, values).fetchall()

    def row(self, tx: Transaction, values: Mapping[str, Any] | None = None) -> Row | None:
        """The first one."""
        return self._run(tx, values).fetchone()

    def count(self, tx: Transaction, values: Mapping[str, Any] | None = None) -> int:
        """How many rows it has written."""
        return self._run(tx, values).rowcount

    def _run(self, tx: Transaction, values: Mapping[str, Any] | None) -> Any:
        # What the pool keeps with a connection ends with it, as does what the server has prepared.
        prepared: set[str] = tx.info.setdefault("prepared", set())
        cursor = tx.connection.cursor()
        try:
            if self._name not in prepared:
                cursor.execute(self._prepare)
                prepared.add(self._name)
            cursor.execute(self._execute, {**self._own, **(values or {})})
        except psycopg2.Error as error:
            raise self._told(tx, error) from error
        return cursor

    def _told(self, tx: Transaction, error: psycopg2.Error) -> Any:
        """The error as SQLAlchemy has it. A connection that is lost does not go back to the pool."""
        lost = tx.dialect.is_disconnect(error, tx.connection, None)
        told: Any = DBAPIError.instance(
            self._execute, None, error, psycopg2.Error, hide_parameters=True, connection_invalidated=lost
        )
        # A migration has changed a column's type: a new connection plans anew.
        if lost or error.pgcode == "0A000":
            tx.invalidate()
        return told


def _type(bind: Any) -> str:
    """A parameter's type; of one that has none, the server finds it out. A length would cut what is too long."""
    word = "unknown" if bind.type._isnull else bind.type.compile(dialect=_DIALECT)
    return re.sub(r"\(.*\)", "", word)
