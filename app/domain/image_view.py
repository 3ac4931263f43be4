"""An engine's inspect of an image -> what is kept of it, and what the tenant sees at API 1.44.

Every field is named here. Names and times of naming are the account's and come from the database; where an engine
keeps the content is nobody's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.errors import InvalidParameter

Json = dict[str, Any]

_NEVER = "0001-01-01T00:00:00Z"

_CONTENT: tuple[tuple[str, Any], ...] = (
    ("Id", ""),
    ("Parent", ""),
    ("Comment", ""),
    ("Created", None),
    ("ContainerConfig", {}),
    ("DockerVersion", ""),
    ("Author", ""),
    ("Config", {}),
    ("Architecture", ""),
    ("Variant", None),
    ("Os", "linux"),
    ("OsVersion", None),
    ("Size", 0),
    ("RootFS", {}),
)


def content(seen: Json) -> Json:
    """What is the same for every account that has the image. Raises InvalidParameter where it cannot be kept."""
    kept = {key: seen.get(key) or empty for key, empty in _CONTENT}
    if _has_nul(kept):
        raise InvalidParameter("the image has a NUL character in its configuration")
    try:
        created(kept)
    except ValueError:
        kept["Created"] = None  # Go knows the year 0.
    return {key: value for key, value in kept.items() if value is not None}


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(inner) for key, inner in value.items())
    if isinstance(value, list):
        return any(map(_has_nul, value))
    return isinstance(value, str) and "\0" in value


def inspect(kept: Json, *, tags: Sequence[str], digests: Sequence[str], named_at: datetime | None) -> Json:
    """The answer of GET /images/{name}/json."""
    tagged = named_at.isoformat().replace("+00:00", "Z") if named_at else _NEVER
    return kept | {
        "RepoTags": list(tags),
        "RepoDigests": list(digests),
        # The container that a commit was made from is one of an engine.
        "Container": "",
        "GraphDriver": {"Name": "sdc", "Data": None},
        "Metadata": {"LastTagTime": tagged},
    }


def list_entry(kept: Json, *, tags: Sequence[str], digests: Sequence[str]) -> Json:
    """The image's entry of GET /images/json. dockerd counts neither shared size nor containers there unasked."""
    moment = created(kept)
    return {
        "Containers": -1,
        "Created": int(moment.timestamp()) if moment else 0,
        "Id": kept["Id"],
        "Labels": labels(kept),
        "ParentId": kept.get("Parent", ""),
        "RepoDigests": list(digests),
        "RepoTags": list(tags),
        "SharedSize": -1,
        "Size": kept.get("Size", 0),
    }


def labels(kept: Json) -> dict[str, str] | None:
    return (kept.get("Config") or {}).get("Labels")


def created(kept: Json) -> datetime | None:
    """When the image says that it was made; None where it does not."""
    text = kept.get("Created")
    return datetime.fromisoformat(text) if text else None
