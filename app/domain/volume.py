"""A volume of an account."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Volume:
    id: UUID
    account_id: UUID
    name: str
    node_id: UUID
    engine_name: str
    anonymous: bool
