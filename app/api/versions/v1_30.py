"""Changes made in API 1.30 (Docker 17.06)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query

V1_30 = ApiVersion(1, 30)


class WaitCondition(Change):
    """Wait takes a `condition`; before, it always waited until the container was not running."""

    version = V1_30
    operations = frozenset({"containers.wait"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("condition", None)


CHANGES = (WaitCondition,)
