"""Changes made in API 1.28 (Docker 17.04)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query

V1_28 = ApiVersion(1, 28)


class VerboseNetworks(Change):
    """Inspect of a network takes `verbose`; before, it was not read."""

    version = V1_28
    operations = frozenset({"networks.inspect"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("verbose", None)


CHANGES = (VerboseNetworks,)
