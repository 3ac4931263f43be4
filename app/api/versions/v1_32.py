"""Changes made in API 1.32 (Docker 17.09)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query

V1_32 = ApiVersion(1, 32)


class PullPlatform(Change):
    """Pull and build take a `platform`; before, it was not read."""

    version = V1_32
    operations = frozenset({"images.create", "images.build"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("platform", None)


CHANGES = (PullPlatform,)
