"""What the tenant sees of a volume, at API 1.44. Where an engine keeps it is nobody's business."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from app.domain.volume import Volume

Json = dict[str, Any]


def mountpoint(name: str) -> str:
    """The path that a stock engine would have; the same in a container's Mounts and in the volume itself."""
    return f"/var/lib/docker/volumes/{name}/_data"


def entry(volume: Volume, *, size: int | None = None) -> Json:
    """The volume's entry in every answer; with `size`, -1 where it is not known, also what it uses."""
    created = volume.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if volume.created_at else ""
    shown: Json = {
        "CreatedAt": created,
        "Driver": "local",
        "Labels": dict(volume.labels) or None,
        "Mountpoint": mountpoint(volume.name),
        "Name": volume.name,
        "Options": dict(volume.options) or None,
        "Scope": "local",
    }
    if size is not None:
        shown["UsageData"] = {"RefCount": volume.mounts, "Size": size}
    return shown
