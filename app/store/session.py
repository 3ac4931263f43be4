"""Transactions. A service opens one, calls store functions with it, and leaves it before it calls an engine."""

from __future__ import annotations

import contextlib
import os
import re
import select
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import psycopg2
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, IntegrityError, InvalidatePoolError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.errors import Internal, Unavailable

#: A statement and the schema do not fit: the schema is older or newer than this code.
WrongSchema = ProgrammingError

Transaction = Connection

#: Connections beyond the pool's size that are opened when all are in use.
MAX_OVERFLOW = 4

#: Where a connection keeps what is to be sent before its next statement; there is none outside of transactions.
_PUT_OFF = "put off"
_BEGIN = b"BEGIN"
_NOT_LASTING = b"SET LOCAL synchronous_commit TO off"
#: The SQLSTATE of the function nothing_written(), and what its argument means.
_NOTHING_WRITTEN = "SD001"
GUARDED: dict[str, type[Exception]] = {}

#: SQLSTATEs of what is over a limit of the database, as a text that is too long for an index is.
_TOO_MUCH = frozenset({"54000", "54001", "54011", "54023"})
#: The class of SQLSTATEs of a transaction that stood in another one's way: a deadlock, say.
_ROLLED_BACK = "40"

#: A NUL as JSON has it: an odd number of backslashes before the u.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def to_json(value: Any) -> str:
    """JSON that PostgreSQL takes: jsonb has no NUL, which an engine's words may have (the output of a health check)."""
    text = orjson.dumps(value).decode()
    return _NUL.sub(r"\1\\ufffd", text) if "\\u0000" in text else text


class UniqueViolation(Exception):
    """A unique or an exclusion constraint said no. `constraint` is its name."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class _PutOff:
    """What a transaction says with its next statement; `first` goes with its first one, or is never said."""

    def __init__(self, *first: bytes, together: bool = False) -> None:
        self.statements = list(first)
        self.begun = False
        self.any = False
        self._together = together

    def add(self, statement: bytes) -> None:
        self._must_be_open()
        self.any = True
        self.statements.append(statement)

    def before(self, statement: bytes) -> bytes:
        """The next message, with `statement` as its last."""
        self._must_be_open()
        self.begun = self.any = True
        message = b"; ".join([*self.statements, statement])
        self.statements.clear()
        return message

    def tell(self, connection: Transaction) -> None:
        """Ahead of a statement that goes another way."""
        if self._together:
            raise RuntimeError("only prepared statements can be one message")
        if self.statements:
            send(connection, self.statements.pop())

    def _must_be_open(self) -> None:
        if self._together and self.begun:
            raise RuntimeError("the transaction was one message, which was sent")


class Store:
    """The database. Make it after a fork: connections must not be shared between processes."""

    def __init__(self, url: str, *, pool: int = 16) -> None:
        self._engine = create_engine(
            url,
            pool_size=pool,
            max_overflow=MAX_OVERFLOW,
            pool_timeout=10,
            # The one that was used last knows the statements.
            pool_use_lifo=True,
            # A block leaves no transaction behind, or drops its connection.
            pool_reset_on_return=None,
            # So that a connection never has to change its mode: each change is a round trip. `begin` says BEGIN itself.
            isolation_level="AUTOCOMMIT",
            connect_args={
                "connect_timeout": 5,
                "application_name": "sdc-docker",
                # A prepared statement (`prepared.py`) is planned once, and not with the values of its first five uses.
                "options": "-c plan_cache_mode=force_generic_plan",
            },
            json_serializer=to_json,
            json_deserializer=orjson.loads,
            # An error's text goes to the log, and what a tenant sent does not.
            hide_parameters=True,
        )
        #: Connections of the pool that nobody uses now: a way through the pool costs more than many a statement.
        self._free: list[Connection] = []
        self._most_free = pool
        event.listen(self._engine, "checkout", _refuse_lost)
        event.listen(self._engine, "before_cursor_execute", _send_first)

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction: commits when the block ends, rolls back when it raises.

        BEGIN goes with the first statement: each message is a round trip.
        Raises UniqueViolation with the constraint's name, and Unavailable where the database does not answer.
        """
        with self._connection() as connection:
            told = connection.info[_PUT_OFF] = _PutOff(_BEGIN)
            try:
                yield connection
                if told.any:
                    send(connection, b"COMMIT")
            except BaseException:
                # One that is lost has nothing to roll back.
                if told.begun and not connection.invalidated:
                    told.statements.clear()
                    try:
                        send(connection, b"ROLLBACK")
                    except DBAPIError:
                        connection.invalidate()
                raise
            finally:
                if not connection.invalidated:
                    del connection.info[_PUT_OFF]

    @contextmanager
    def together(self, *, lasting: bool = True) -> Iterator[Transaction]:
        """A transaction that is one message, for which nothing has to be read first: PostgreSQL takes the statements
        of a message for one. It ends with the first prepared statement that is not put off; no other kind can be used.

        Where it is not `lasting`, nobody waits for the disk: a server that dies within its next second has forgotten
        it, unless a later transaction has waited. Raises as `begin` does.
        """
        with self._connection() as connection:
            told = connection.info[_PUT_OFF] = _PutOff(*([] if lasting else [_NOT_LASTING]), together=True)
            try:
                yield connection
                if told.any and not told.begun:
                    send(connection, told.statements.pop())
            finally:
                if not connection.invalidated:
                    del connection.info[_PUT_OFF]

    @contextmanager
    def autocommit(self) -> Iterator[Transaction]:
        """For reads, and for a write of one statement: each statement is a transaction of its own.

        A transaction costs another round trip, and for reads it gives nothing: at PostgreSQL's default isolation
        every statement sees what is committed when it begins. Raises as `begin` does.
        """
        with self._connection() as connection:
            yield connection

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        with self._kinds():
            connection = self._take_free() or self._engine.connect()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            # Who waits for one waits at the pool, which lets nobody wait before all of its own are in use.
            crowded = self._pool.checkedout() > self._pool.size()
            if connection.invalidated or crowded or len(self._free) >= self._most_free:
                connection.close()
            else:
                self._free.append(connection)

    def _take_free(self) -> Connection | None:
        while connection := self._pop_free():
            if not _is_lost(connection.connection):
                return connection
            connection.invalidate()
            connection.close()
        return None

    def _pop_free(self) -> Connection | None:
        with contextlib.suppress(IndexError):
            return self._free.pop()
        return None

    @staticmethod
    @contextmanager
    def _kinds() -> Iterator[None]:
        """The database's errors as our kinds."""
        try:
            yield
        except IntegrityError as error:
            diag: Any = getattr(error.orig, "diag", None)
            if getattr(error.orig, "pgcode", "") in ("23505", "23P01"):
                raise UniqueViolation(diag.constraint_name) from error
            raise
        except (OperationalError, PoolTimeout) as error:
            code = getattr(getattr(error, "orig", None), "pgcode", None) or ""
            if code in _TOO_MUCH:
                # It is there, and says no however often it is asked.
                raise Internal("the service's database cannot keep what this comes to") from error
            if code.startswith(_ROLLED_BACK):
                raise Unavailable("somebody else changed the same at the same time", retry_after=1) from error
            raise Unavailable("the service's database cannot be reached now", retry_after=5) from error
        except DBAPIError as error:
            if error.connection_invalidated:
                raise Unavailable("the service's database cannot be reached now", retry_after=5) from error
            raise

    def listen(self, channel: str) -> Listener:
        """A connection of its own that waits for notifications. Raises Unavailable."""
        try:
            return Listener(self._engine.raw_connection(), channel)
        except (psycopg2.Error, OperationalError, PoolTimeout) as error:
            raise Unavailable("the service's database cannot be reached now", retry_after=5) from error

    def connections(self) -> tuple[int, int]:
        """How many connections are in use, and the most that there may be."""
        return max(self._pool.checkedout() - len(self._free), 0), self._pool.size() + MAX_OVERFLOW

    def close(self) -> None:
        """Close the connections that nobody uses now; the next user gets a new one."""
        self._most_free = 0
        while connection := self._pop_free():
            connection.close()
        self._engine.dispose()

    @property
    def _pool(self) -> Any:
        return self._engine.pool


def send(connection: Transaction, statement: bytes) -> Any:
    """Tell the database what was put off until now and `statement`, in one message; the driver's cursor for the last.

    Raises as SQLAlchemy does, and what a `prepared.Guard` raises.
    """
    put_off: _PutOff | None = connection.info.get(_PUT_OFF)
    return send_alone(connection, put_off.before(statement) if put_off else statement)


def send_alone(connection: Transaction, statement: bytes) -> Any:
    """Like `send`, while what was put off stays so."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
    except psycopg2.Error as error:
        if error.pgcode == _NOTHING_WRITTEN:
            raise GUARDED[str(error.diag.message_primary)] from error
        lost = connection.dialect.is_disconnect(error, connection.connection, None)
        # 0A000: a migration has changed the type of a column; a new connection plans anew.
        if lost or error.pgcode == "0A000":
            connection.invalidate()
        told: Any = DBAPIError.instance(
            None, None, error, psycopg2.Error, hide_parameters=True, connection_invalidated=lost
        )
        raise told from error
    return cursor


def send_later(connection: Transaction, statement: bytes) -> bool:
    """Put a statement off until the next one, or the end of the transaction. False where there is no transaction."""
    put_off: _PutOff | None = connection.info.get(_PUT_OFF)
    if put_off is None:
        return False
    put_off.add(statement)
    return True


def _send_first(connection: Connection, _cursor: Any, _statement: str, *_: Any) -> None:
    """Ahead of one of SQLAlchemy's statements: what was put off until now."""
    put_off: _PutOff | None = connection.info.get(_PUT_OFF)
    if put_off is not None:
        put_off.tell(connection)


def _refuse_lost(connection: Any, _record: Any, _proxy: Any) -> None:
    """On the way out of the pool, which then opens another, and drops all that are as old."""
    if _is_lost(connection):
        raise InvalidatePoolError


def _is_lost(connection: Any) -> bool:
    """A connection that has something to read between two statements was ended by the server. Asking the socket costs
    no round trip."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


class Listener:
    """LISTEN on one connection, which never goes back to the pool."""

    def __init__(self, pooled: Any, channel: str) -> None:
        self._connection = pooled.driver_connection
        pooled.detach()
        self._connection.set_isolation_level(0)
        with self._connection.cursor() as cursor:
            cursor.execute(f"LISTEN {channel}")

    def wait(self, seconds: float, wake: int) -> bool:
        """True when notified, False after `seconds` or when the eventfd `wake` was written to.

        Raises Unavailable when the connection is lost.
        """
        try:
            # Not select(): it knows no descriptor above 1023, and this process holds many streams.
            poll = select.poll()
            poll.register(self._connection, select.POLLIN)
            poll.register(wake, select.POLLIN)
            ready = {fd for fd, _ in poll.poll(seconds * 1000)}
            if wake in ready:
                os.eventfd_read(wake)
            if self._connection.fileno() not in ready:
                return False
            self._connection.poll()
        except (OSError, ValueError, psycopg2.Error) as error:
            raise Unavailable("the service's database cannot be reached now", retry_after=5) from error
        found = bool(self._connection.notifies)
        self._connection.notifies.clear()
        return found

    def close(self) -> None:
        self._connection.close()
