"""An operation: the intent that is committed before the first engine call, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID


class OperationKind(StrEnum):
    CREATE = "create"
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    KILL = "kill"
    RENAME = "rename"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    UPDATE = "update"
    COMMIT = "commit"
    REMOVE = "remove"
    VOLUME_CREATE = "volume-create"
    VOLUME_REMOVE = "volume-remove"
    NETWORK = "network"
    NETWORK_REMOVE = "network remove"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    PULL = "pull"
    LOAD = "load"
    IMPORT = "import"
    BUILD = "build"
    PUSH = "push"


#: What lasts as long as its content is large, its registry slow, or its Dockerfile long.
LASTING = frozenset(
    [
        OperationKind.COMMIT,
        OperationKind.PULL,
        OperationKind.LOAD,
        OperationKind.IMPORT,
        OperationKind.BUILD,
        OperationKind.PUSH,
    ]
)


class OperationState(StrEnum):
    PENDING = "pending"
    DONE = "done"
    UNDONE = "undone"


@dataclass(frozen=True)
class Operation:
    id: UUID
    kind: OperationKind
    account_id: UUID
    #: The container or network that it is about.
    target: str
    node_id: UUID
    process_id: UUID
    detail: dict[str, Any]
