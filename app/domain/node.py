"""A compute node: a machine with a stock Docker Engine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Node:
    id: UUID
    name: str
    #: unix:///path or tcp://host:port of its engine.
    url: str
    #: Where its published ports are reached; "" where they are reached at the service's own address.
    public_address: str
    #: The engine's own id: another id at the same address is another machine, or an emptied one.
    engine_id: str
    engine_version: str
    #: The API version that we speak to it.
    api_version: str
    state: str
    cordoned: bool
    cpus: int
    memory: int
    containers: int = 0

    def speaks(self, major: int, minor: int) -> bool:
        """Whether its engine knows the fields of this version of the API."""
        return tuple(int(part) for part in self.api_version.split(".")) >= (major, minor)

    def runs(self, *version: int) -> bool:
        """Whether its engine is of this version or a later one. What is behind a version's numbers does not count."""
        numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", self.engine_version)
        return numbers is not None and tuple(map(int, numbers[0].split("."))) >= version
