"""Changes made in API 1.31 (Docker 17.07)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import VOLUMES, Body, Change, Query, drop, volumes_of

V1_31 = ApiVersion(1, 31)


class VolumeCreatedAt(Change):
    """A volume shows when it was made, CreatedAt."""

    version = V1_31
    operations = VOLUMES

    def downgrade_response(self, body: Body) -> None:
        for volume in volumes_of(body):
            drop(volume, "CreatedAt")


class DfBuildCache(Change):
    """What the build cache takes is a part of system df."""

    version = V1_31
    operations = frozenset({"system.df"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "BuildCache", "BuilderSize")


class NetworkScope(Change):
    """Inspect of a network takes the `scope` that it is looked for in; before, it was not read."""

    version = V1_31
    operations = frozenset({"networks.inspect"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("scope", None)


CHANGES = (VolumeCreatedAt, DfBuildCache, NetworkScope)
