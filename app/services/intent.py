"""Operations around engine calls: the intent is committed first, and ends done or undone whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from app.domain.container import Container
from app.domain.operation import LASTING, OperationKind, OperationState
from app.engine.errors import reworded
from app.errors import Error, Unavailable
from app.services.process import Process
from app.store import operations
from app.store.session import Transaction


class Intents:
    def __init__(self, process: Process) -> None:
        self._process = process

    def open(
        self, tx: Transaction, kind: OperationKind, container: Container, detail: dict[str, Any] | None = None
    ) -> UUID:
        """The intent's id. Its transaction commits before the engine is called; `ending` goes around that call."""
        return self.open_new(tx, kind, container.account_id, container.id, container.node_id, detail)

    def open_new(
        self,
        tx: Transaction,
        kind: OperationKind,
        account_id: UUID,
        container_id: str,
        node_id: UUID,
        detail: dict[str, Any] | None = None,
    ) -> UUID:
        """`open` for a container whose row this transaction has just written."""
        if not self._process.known:
            self._process.beat()
        operation_id = operations.open_(
            tx,
            kind,
            account_id=account_id,
            target=container_id,
            node_id=node_id,
            process_id=self._process.id,
            detail=detail,
        )
        if kind in LASTING:
            self._process.hold(operation_id)
        return operation_id

    def done(self, tx: Transaction, operation_id: UUID) -> None:
        """Unless another process has taken the operation over."""
        self._process.release(operation_id)
        operations.end(tx, operation_id, self._process.id, OperationState.DONE)

    def finish(self, tx: Transaction, operation_id: UUID) -> None:
        """Done, with what else the transaction writes, or not at all.

        Raises Unavailable, with the next statement, where another process has taken the operation over.
        """
        self._process.release(operation_id)
        operations.finish(tx, operation_id, self._process.id)

    def undone(self, tx: Transaction, operation_id: UUID, why: str) -> None:
        self._process.release(operation_id)
        operations.end(tx, operation_id, self._process.id, OperationState.UNDONE, why)

    @contextlib.contextmanager
    def ending(
        self, operation_id: UUID, words: Mapping[str, str], refused: Callable[[Error], object]
    ) -> Iterator[None]:
        """Around an engine call and its record: however they fail, the operation ends, or is left to an observer.

        `refused` is called with what the engine refuses, and ends the operation undone. Raises that in the tenant's
        `words`, and Unavailable as it comes: how such a call ended cannot be known now.
        """
        try:
            yield
        except Unavailable:
            self.abandon(operation_id)
            raise
        except Error as error:
            try:
                refused(error)
            except BaseException as failure:
                self.abandon(operation_id)
                if not isinstance(failure, Error):
                    raise
            raise reworded(error, words) from error
        except BaseException:
            self.abandon(operation_id)
            raise

    def abandon(self, operation_id: UUID) -> None:
        """Leave it to an observer: how it ended cannot be known now."""
        self._process.abandon(operation_id)
