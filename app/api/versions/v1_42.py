"""Changes made in API 1.42 (Docker 23.0). Streams got a media type of their own here: see behaviours.py."""

from __future__ import annotations

import json

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


class PruneOfAnonymousVolumes(Change):
    """A prune of volumes takes those without a name alone, unless its filter `all` says so; before, it took all."""

    version = V1_42
    operations = frozenset({"volumes.prune"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        texts = query.get("filters") or [""]
        try:
            filters = json.loads(texts[0] or "{}")
        except (ValueError, RecursionError):
            return  # Whoever reads `filters` refuses it with the right words.
        if filters is None:
            filters = {}
        if not isinstance(filters, dict):
            return
        filters["all"] = ["true"] if any(isinstance(values, list) for values in filters.values()) else {"true": True}
        query["filters"] = [json.dumps(filters), *texts[1:]]


class DfTypes(Change):
    """System df takes `type`; before, it was not read, and the whole of the build cache was shown as BuilderSize."""

    version = V1_42
    operations = frozenset({"system.df"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("type", None)

    def downgrade_response(self, body: Body) -> None:
        cache = body.get("BuildCache")
        body["BuildCache"] = cache or None
        body["BuilderSize"] = sum(item.get("Size", 0) for item in cache) if isinstance(cache, list) else 0


class WebsocketStreams(Change):
    """An attach by websocket has the streams that it asks for; before, it had all three."""

    version = V1_42
    operations = frozenset({"containers.attach_websocket"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query |= {"stdin": ["1"], "stdout": ["1"], "stderr": ["1"]}


CHANGES = (
    StopSignal,
    ConsoleSize,
    MountOptionsMatchTheirType,
    KernelMemoryLeftOut,
    InfoKernelMemoryLeftOut,
    SharedSize,
    PruneOfAnonymousVolumes,
    DfTypes,
    WebsocketStreams,
)
