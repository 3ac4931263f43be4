"""Changes made in API 1.23 (Docker 1.11)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import VOLUMES, Body, Change, Query, drop, own, volumes_of

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


class LoginToken(Change):
    """A login may answer with an IdentityToken, to be sent instead of the password."""

    version = V1_23
    operations = frozenset({"system.auth"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "IdentityToken")


class InfoOf123(Change):
    """Info shows CgroupDriver and KernelMemory."""

    version = V1_23
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "CgroupDriver", "KernelMemory")


class PidsInStats(Change):
    """Statistics count the processes, pids_stats."""

    version = V1_23
    operations = frozenset({"containers.stats"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "pids_stats")


class VolumeLabels(Change):
    """A volume has Labels; before, those of a create were not read."""

    version = V1_23
    operations = VOLUMES

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "Labels")

    def downgrade_response(self, body: Body) -> None:
        for volume in volumes_of(body):
            drop(volume, "Labels")


class NetworkLabels(Change):
    """A network has Labels and may have IPv6, and shows both and whether it is Internal."""

    version = V1_23
    operations = frozenset({"networks.create", "networks.inspect", "networks.list"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "Labels", "EnableIPv6")

    def downgrade_response(self, body: Body) -> None:
        drop(body, "Labels", "EnableIPv6", "Internal")


CHANGES = (
    HostConfigOf123,
    ListState,
    LoadProgress,
    LoginToken,
    InfoOf123,
    PidsInStats,
    VolumeLabels,
    NetworkLabels,
)
