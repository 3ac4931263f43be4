"""Changes made in API 1.42 (Docker 23.0). Streams got a media type of their own here: see behaviours.py."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop, each, own

V1_42 = ApiVersion(1, 42)


class StopSignal(Change):
    """Stop and restart take a `signal`; before, it was not read."""

    version = V1_42
    operations = frozenset({"containers.stop", "containers.restart"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("signal", None)


class ConsoleSize(Change):
    """ConsoleSize of a create and of an exec is honoured; before, it was not read."""

    version = V1_42
    operations = frozenset({"containers.create", "exec.create", "exec.start"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "ConsoleSize")
        if (host := own(body, "HostConfig")) is not None:
            drop(host, "ConsoleSize")


class MountOptionsMatchTheirType(Change):
    """A mount with options of another type is refused, BindOptions has CreateMountpoint; before, neither was read."""

    version = V1_42
    operations = frozenset({"containers.create"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        for mount in each(own(body, "HostConfig") or {}, "Mounts"):
            for options, kind in (("VolumeOptions", "volume"), ("TmpfsOptions", "tmpfs")):
                if mount.get("Type") != kind:
                    drop(mount, options)
            if (bind := own(mount, "BindOptions")) is not None:
                drop(bind, "CreateMountpoint")


class KernelMemoryLeftOut(Change):
    """Inspect leaves KernelMemory and KernelMemoryTCP out where they are not set."""

    version = V1_42
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None:
            host.setdefault("KernelMemory", 0)
            host.setdefault("KernelMemoryTCP", 0)


class InfoKernelMemoryLeftOut(Change):
    """Info leaves KernelMemory and KernelMemoryTCP out where they are not supported."""

    version = V1_42
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        body.setdefault("KernelMemory", False)
        body.setdefault("KernelMemoryTCP", False)


class SharedSize(Change):
    """The image list takes `shared-size`; before, it was not read."""

    version = V1_42
    operations = frozenset({"images.list"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("shared-size", None)


CHANGES = (
    StopSignal,
    ConsoleSize,
    MountOptionsMatchTheirType,
    KernelMemoryLeftOut,
    InfoKernelMemoryLeftOut,
    SharedSize,
)
