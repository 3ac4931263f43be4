"""Changes made in API 1.34 (Docker 17.11)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, drop

V1_34 = ApiVersion(1, 34)


class WaitError(Change):
    """The answer of wait has an Error where the removal failed."""

    version = V1_34
    operations = frozenset({"containers.wait"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "Error")


CHANGES = (WaitError,)
