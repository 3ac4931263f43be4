"""Changes made in API 1.29 (Docker 17.05)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop

V1_29 = ApiVersion(1, 29)


class IngressNetworks(Change):
    """A network may be a swarm's Ingress one, and shows that; before, it was not read."""

    version = V1_29
    operations = frozenset({"networks.create", "networks.inspect", "networks.list"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "Ingress")

    def downgrade_response(self, body: Body) -> None:
        drop(body, "Ingress")


CHANGES = (IngressNetworks,)
