"""Changes made in API 1.41 (Docker 20.10).

The default of CgroupnsMode became the daemon's own here; before, it was `host` on nodes with cgroup v1. A container of
an account never gets the host's namespace for the client's age, so the node's default counts for every version.
"""

from __future__ import annotations

import json

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop, own

V1_41 = ApiVersion(1, 41)


class CreatePlatform(Change):
    """Create takes a `platform`; before, it was not read."""

    version = V1_41
    operations = frozenset({"containers.create"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("platform", None)


class ImageFilter(Change):
    """The image list has no `filter` any more, a pattern for names, which is the `reference` of `filters` now."""

    version = V1_41
    operations = frozenset({"images.list"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        pattern = next(iter(query.pop("filter", [])), "")
        if not pattern:
            return
        texts = query.get("filters") or [""]
        try:
            filters = json.loads(texts[0] or "{}")
        except (ValueError, RecursionError):
            return  # Whoever reads `filters` refuses it with the right words.
        if not isinstance(filters, dict):
            return
        names = filters.get("reference") or {}
        if isinstance(names, list):
            names = {str(name): True for name in names}
        filters["reference"] = {**names, pattern: True} if isinstance(names, dict) else names
        query["filters"] = [json.dumps(filters), *texts[1:]]


class CgroupnsModeInInspect(Change):
    """HostConfig gains CgroupnsMode."""

    version = V1_41
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None:
            drop(host, "CgroupnsMode")


class InfoOf141(Change):
    """Info shows CgroupVersion and DefaultAddressPools."""

    version = V1_41
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "CgroupVersion", "DefaultAddressPools")


class OneShotStats(Change):
    """Statistics may be asked for without the sample before, one-shot; before, the parameter was ignored."""

    version = V1_41
    operations = frozenset({"containers.stats"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("one-shot", None)


CHANGES = (
    CreatePlatform,
    ImageFilter,
    CgroupnsModeInInspect,
    InfoOf141,
    OneShotStats,
)
