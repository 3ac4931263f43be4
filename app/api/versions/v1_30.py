"""Changes made in API 1.30 (Docker 17.06)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop

V1_30 = ApiVersion(1, 30)


class WaitCondition(Change):
    """Wait takes a `condition`; before, it always waited until the container was not running."""

    version = V1_30
    operations = frozenset({"containers.wait"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("condition", None)


class CopyOwner(Change):
    """A copy into a container may keep the files' owners, copyUIDGID; before, the parameter was ignored."""

    version = V1_30
    operations = frozenset({"containers.archive"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("copyUIDGID", None)


class BuildAux(Change):
    """A build tells the id of its image in a message of its own, under `aux`."""

    version = V1_30
    operations = frozenset({"images.build"})

    def downgrade_response(self, body: Body) -> None:
        body.pop("aux", None)


class NetworkConfigurations(Change):
    """A network may be made from the configuration of another one, ConfigFrom and ConfigOnly, and has a Scope."""

    version = V1_30
    operations = frozenset({"networks.create", "networks.inspect", "networks.list"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "ConfigFrom", "ConfigOnly", "Scope")

    def downgrade_response(self, body: Body) -> None:
        drop(body, "ConfigFrom", "ConfigOnly")


CHANGES = (
    BuildAux,
    WaitCondition,
    CopyOwner,
    NetworkConfigurations,
)
