"""A volume of an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

#: As engines since 23.0 mark a volume that nobody gave a name.
ANONYMOUS_LABEL = "com.docker.volume.anonymous"


@dataclass(frozen=True)
class Volume:
    id: UUID
    account_id: UUID
    name: str
    #: None before its first use.
    node_id: UUID | None
    engine_name: str
    #: The engine made it for a container, and gave it its name.
    anonymous: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None = None
    #: By containers in any state.
    mounts: int = 0
