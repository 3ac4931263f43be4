"""Changes made in API 1.39 (Docker 18.09)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, drop

V1_39 = ApiVersion(1, 39)


class InfoOf139(Change):
    """Info shows Warnings and ProductLicense, and an unknown kernel or system is empty; before, it was `<unknown>`."""

    version = V1_39
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "Warnings", "ProductLicense")
        for key in ("KernelVersion", "OperatingSystem"):
            if body.get(key) == "":
                body[key] = "<unknown>"


CHANGES = (InfoOf139,)
