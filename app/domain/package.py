"""Packages: named sizes. Every container has one; its limits are set on the engine."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.errors import Forbidden, InvalidParameter

DEFAULT_MEMORY = 1024 * 1024 * 1024

NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9]|[_.-](?![_.-]))*")


@dataclass(frozen=True)
class Package:
    id: UUID
    name: str
    #: Bytes; `swap` comes on top of `memory`.
    memory: int
    swap: int
    nano_cpus: int
    disk: int
    pids: int


def choose(packages: Sequence[Package], *, label: str, memory: int, nano_cpus: int, disk: int) -> Package:
    """The package that `label` names, else the smallest that fits (default memory 1 GiB).

    A label is a full uuid, a name, or the first 8 hex digits of a uuid, in this order. Raises InvalidParameter.
    """
    if label:
        return _named(packages, label)
    wanted = memory or (DEFAULT_MEMORY if not (nano_cpus or disk) else 0)
    for package in sorted(packages, key=lambda p: (p.memory, p.nano_cpus, p.disk)):
        if package.memory >= wanted and package.nano_cpus >= nano_cpus and package.disk >= disk:
            return package
    asked = {"memory": wanted, "cpus": nano_cpus / 1e9, "size": disk}
    words = ", ".join(f"{key}={value}" for key, value in asked.items() if value)
    raise InvalidParameter(f"no package supports the given container constraints: {words}")


def check_swap(package: Package | None, memory: int, memory_swap: int) -> None:
    """Swap may be as much again as the memory, or what the package has of it: what inspect says can be asked for again.

    Raises Forbidden.
    """
    if memory_swap > memory + max(memory, package.swap if package else 0):
        raise Forbidden("not allowed on this shared host: more swap than memory (HostConfig.MemorySwap)")


def _named(packages: Sequence[Package], label: str) -> Package:
    tests = (
        lambda p: str(p.id) == label,
        lambda p: p.name == label,
        lambda p: len(label) == 8 and p.id.hex.startswith(label),
    )
    for test in tests:
        for package in packages:
            if test(package):
                return package
    if not NAME.fullmatch(label):
        raise InvalidParameter(f"invalid value for com.joyent.package: {label}")
    raise InvalidParameter(f"no packages match parameters: com.joyent.package={label}")
