"""What calls about one container begin with: whose it is, where it runs, whether its state takes the call, and its
engine's errors in the tenant's words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from app.domain.account import Account
from app.domain.container import Container
from app.domain.container_state import COMMANDS, Command, ContainerState, refuse
from app.domain.node import Node
from app.engine.errors import reworded
from app.errors import Error, NotFound
from app.services.container_sync import ContainerSync, engine_words
from app.store import containers
from app.store.session import Store


def find(store: Store, account: Account, id_or_name: str) -> tuple[Container, Node]:
    """Raises NotFound."""
    with store.autocommit() as tx:
        return containers.get_placed(tx, account.id, id_or_name)


def labels(container: Container) -> dict[str, str]:
    """As the tenant gave them, with those of the image."""
    return dict(((container.inspect or {}).get("Config") or {}).get("Labels") or {})


def require(sync: ContainerSync, container: Container, command: Command, typed: str = "") -> None:
    """Raises Conflict where the container is in no state for the command, NotFound where it is gone.

    A row that says no is compared with the engine first. Engines' words have a paused one as it was `typed`, if it was.
    """
    if command in COMMANDS[container.state]:
        return
    fresh = sync.refresh(container.id)
    if fresh is None:
        raise NotFound(f"No such container: {container.id}")
    if command not in COMMANDS[fresh.state]:
        raise refuse(fresh.state, command, typed if typed and fresh.state is ContainerState.PAUSED else container.id)


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
