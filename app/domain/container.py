"""A container as the database knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.domain.container_state import ContainerState


@dataclass(frozen=True)
class Container:
    #: 64 hex digits: the instance uuid and as many random ones.
    id: str
    uuid: UUID
    account_id: UUID
    name: str
    node_id: UUID
    state: ContainerState
    #: Grows with every write; a writer that read an older one has lost.
    version: int
    image_id: str
    #: The image as the tenant typed it.
    image: str
    #: The decided create request in the tenant's own words, for inspect (see `container_view`).
    spec: dict[str, Any]
    auto_remove: bool
    tty: bool
    package: str
    memory: int
    nano_cpus: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int | None
    health: str
    #: The last inspect that was seen, as the tenant sees it; None before the first.
    inspect: dict[str, Any] | None
    engine_id: str = ""

    @property
    def engine_name(self) -> str:
        return f"c-{self.uuid}"

    @property
    def short_id(self) -> str:
        return self.id[:12]


def engine_name(container_id: str) -> str:
    """What the container of this id is called on its engine; "" for what is no id of ours.

    Labels alone say nothing: an image brings its own into what a build runs. No other container has such a name.
    """
    try:
        return f"c-{UUID(container_id[:32])}" if len(container_id) == 64 else ""
    except ValueError:
        return ""
