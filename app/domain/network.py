"""A network of an account."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Network:
    #: 64 hex digits, what the tenant sees.
    id: str
    uuid: UUID
    account_id: UUID
    name: str
    subnet: str
    gateway: str
    ready: bool

    @property
    def engine_name(self) -> str:
        return f"n-{self.uuid}"
