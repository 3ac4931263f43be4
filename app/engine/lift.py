"""Lifts an older engine's answers to the canonical shape (API 1.44), so that nothing above asks which engine it was."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def container(inspect: Json) -> Json:
    """An inspect of API 1.40 or later. Endpoints know their DNS names from 1.44 on; before, they are the aliases."""
    for endpoint in (inspect.get("NetworkSettings", {}).get("Networks") or {}).values():
        endpoint.setdefault("DNSNames", endpoint.get("Aliases"))
    host = inspect.get("HostConfig", {})
    for gone in ("KernelMemory", "KernelMemoryTCP"):  # removed in 1.42
        host.pop(gone, None)
    return inspect


def image(inspect: Json) -> Json:
    """An image inspect. From 1.43 `<none>` never stands in RepoTags or RepoDigests; VirtualSize went away with 1.44,
    and so did Created where it is unknown."""
    inspect.pop("VirtualSize", None)
    if inspect.get("Created") == "0001-01-01T00:00:00Z":
        del inspect["Created"]
    for key in ("RepoTags", "RepoDigests"):
        inspect[key] = [ref for ref in inspect.get(key) or [] if not ref.startswith("<none>")]
    inspect.setdefault("ContainerConfig", {})
    return inspect
