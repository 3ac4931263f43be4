"""Changes made in API 1.23 (Docker 1.11)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop, own

V1_23 = ApiVersion(1, 23)


class HostConfigOf123(Change):
    """HostConfig gains PidsLimit and UsernsMode."""

    version = V1_23
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None:
            drop(host, "PidsLimit", "UsernsMode")


class ListState(Change):
    """A container in the list shows its State and its Mounts."""

    version = V1_23
    operations = frozenset({"containers.list"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "State", "Mounts")


class LoadProgress(Change):
    """Load of an image answers with JSON progress, which `quiet` shortens; before, it answered with nothing."""

    version = V1_23
    operations = frozenset({"images.load"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query["quiet"] = ["1"]


class InfoOf123(Change):
    """Info shows CgroupDriver and KernelMemory."""

    version = V1_23
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "CgroupDriver", "KernelMemory")


CHANGES = (HostConfigOf123, ListState, LoadProgress, InfoOf123)
