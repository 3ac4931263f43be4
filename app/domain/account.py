"""The tenant, and what it may use at the most."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.errors import Forbidden

_MIB = 1 << 20


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


def over_quota(now: Account, memory: int, nano_cpus: int, *, containers: int = 0) -> Forbidden:
    """Why the account may not have so much more: the first of its limits that this passes."""
    if containers and now.used_containers + containers > now.max_containers:
        return Forbidden(f"quota exceeded: containers {now.used_containers} of {now.max_containers}")
    if now.used_memory + memory > now.max_memory:
        return Forbidden(
            f"quota exceeded: memory {now.used_memory // _MIB} MiB of {now.max_memory // _MIB} MiB, "
            f"{memory // _MIB} MiB more wanted"
        )
    return Forbidden(
        f"quota exceeded: cpus {now.used_nano_cpus / 1e9:g} of {now.max_nano_cpus / 1e9:g}, "
        f"{nano_cpus / 1e9:g} more wanted"
    )


@dataclass(frozen=True)
class AccountKey:
    """A registered SSH key. `fingerprint` is OpenSSH's form, "SHA256:" and unpadded base64."""

    id: UUID
    name: str
    fingerprint: str
    public_key: str
    created_at: datetime
