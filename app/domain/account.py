"""The tenant, and what it may use at the most."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Account:
    id: UUID
    login: str
    disabled: bool
    #: Limits and what is used of them: containers, bytes of memory, nano CPUs.
    max_containers: int
    max_memory: int
    max_nano_cpus: int
    used_containers: int
    used_memory: int
    used_nano_cpus: int


@dataclass(frozen=True)
class AccountKey:
    """A registered SSH key. `fingerprint` is OpenSSH's form, "SHA256:" and unpadded base64."""

    id: UUID
    name: str
    fingerprint: str
    public_key: str
