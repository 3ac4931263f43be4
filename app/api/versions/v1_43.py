"""Changes made in API 1.43 (Docker 24.0)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop, own

V1_43 = ApiVersion(1, 43)


class Annotations(Change):
    """HostConfig gains Annotations; before, they were not read and not shown."""

    version = V1_43
    operations = frozenset({"containers.create", "containers.inspect"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        self.downgrade_response(body)

    def downgrade_response(self, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None:
            drop(host, "Annotations")


class NamelessImages(Change):
    """An image without names has empty RepoTags and RepoDigests in the list; before, both said `<none>`."""

    version = V1_43
    operations = frozenset({"images.list"})

    def downgrade_response(self, body: Body) -> None:
        if not body.get("RepoTags") and not body.get("RepoDigests"):
            body["RepoTags"] = ["<none>:<none>"]
            body["RepoDigests"] = ["<none>@<none>"]


CHANGES = (Annotations, NamelessImages)
