"""What every call about one container begins with: whose it is, where it runs, and its engine's errors in the tenant's
words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from app.domain.account import Account
from app.domain.container import Container
from app.domain.node import Node
from app.engine.errors import reworded
from app.errors import Error
from app.services.container_sync import engine_words
from app.store import containers
from app.store.session import Store


def find(store: Store, account: Account, id_or_name: str) -> tuple[Container, Node]:
    """Raises NotFound."""
    with store.autocommit() as tx:
        return containers.get_placed(tx, account.id, id_or_name)


@contextlib.contextmanager
def in_tenant_words(container: Container, typed: str = "") -> Iterator[None]:
    """Around an engine call. An engine repeats a container's name as it was `typed` to it."""
    try:
        yield
    except Error as error:
        words = engine_words(container)
        if typed:
            words[container.engine_name] = typed
        raise reworded(error, words) from error
