"""Changes made in API 1.40 (Docker 19.03)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop, each, own

V1_40 = ApiVersion(1, 40)


class PrivateIpcByDefault(Change):
    """A create without IpcMode gets a private IPC namespace; before, it got a shareable one."""

    version = V1_40
    operations = frozenset({"containers.create"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        host = own(body, "HostConfig")
        if host is None:
            if body.get("HostConfig") is not None:
                return
            body["HostConfig"] = host = {}
        if not host.get("IpcMode"):
            host["IpcMode"] = "shareable"


class CreateOf140(Change):
    """Create reads BindOptions.NonRecursive and KernelMemoryTCP; before, they were not read."""

    version = V1_40
    operations = frozenset({"containers.create"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        host = own(body, "HostConfig")
        if host is None:
            return
        drop(host, "KernelMemoryTCP")
        for mount in each(host, "Mounts"):
            if (options := own(mount, "BindOptions")) is not None:
                drop(options, "NonRecursive")


class HostConfigOf140(Change):
    """HostConfig gains DeviceRequests and KernelMemoryTCP."""

    version = V1_40
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None:
            drop(host, "DeviceRequests", "KernelMemoryTCP")


class InfoOf140(Change):
    """Info shows PidsLimit and KernelMemoryTCP."""

    version = V1_40
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "PidsLimit", "KernelMemoryTCP")


class PidsLimitInUpdate(Change):
    """An update may change PidsLimit; before, the field was ignored."""

    version = V1_40
    operations = frozenset({"containers.update"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "PidsLimit")


CHANGES = (
    PrivateIpcByDefault,
    CreateOf140,
    HostConfigOf140,
    InfoOf140,
    PidsLimitInUpdate,
)
