"""Changes made in API 1.25 (Docker 1.13).

`HostConfig.Mounts` is new here too. It is honoured below 1.25 as the engine honours it: leaving it out would start a
container without its data.
"""

from __future__ import annotations

import json

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import VOLUMES, Body, Change, Query, drop, each, own, volumes_of

V1_25 = ApiVersion(1, 25)


class AutoRemove(Change):
    """The engine removes a container for AutoRemove; older clients remove it themselves and must find it there."""

    version = V1_25
    operations = frozenset({"containers.create"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None and "AutoRemove" in host:
            host["AutoRemove"] = False


class ListSinceAndBefore(Change):
    """The list of containers takes `since` and `before` among its filters alone; before, as parameters too."""

    version = V1_25
    operations = frozenset({"containers.list"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        named = {key: values[0] for key in ("since", "before") if (values := query.pop(key, None)) and values[0]}
        texts = query.get("filters") or [""]
        try:
            filters = json.loads(texts[0] or "{}") or {}
        except (ValueError, RecursionError):
            return  # Whoever reads `filters` refuses it with the right words.
        if not named or not isinstance(filters, dict):
            return
        listed = any(isinstance(values, list) for values in filters.values())
        for key, value in named.items():
            filters.setdefault(key, [value] if listed else {value: True})
        query["filters"] = [json.dumps(filters), *texts[1:]]


class HostConfigOf125(Change):
    """HostConfig gains Mounts, AutoRemove, Init, NanoCpus and CPU counts, Config gains StopTimeout and Shell."""

    version = V1_25
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None:
            drop(
                host, "Mounts", "AutoRemove", "Init", "NanoCpus", "CpuCount", "CpuRealtimePeriod", "CpuRealtimeRuntime"
            )
        if (config := own(body, "Config")) is not None:
            drop(config, "StopTimeout", "Shell")


class MountType(Change):
    """A mount in inspect and in the list shows its Type."""

    version = V1_25
    operations = frozenset({"containers.inspect", "containers.list"})

    def downgrade_response(self, body: Body) -> None:
        for mount in each(body, "Mounts"):
            drop(mount, "Type")


class RemovingState(Change):
    """A container that is being removed is `removing`; before, it was `exited`."""

    version = V1_25
    operations = frozenset({"containers.inspect", "containers.list"})

    def downgrade_response(self, body: Body) -> None:
        if body.get("State") == "removing":
            body["State"] = "exited"
        elif (state := own(body, "State")) is not None and state.get("Status") == "removing":
            state["Status"] = "exited"


class ExecPid(Change):
    """Inspect of an exec shows its Pid."""

    version = V1_25
    operations = frozenset({"exec.inspect"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "Pid")


class StructuredSecurityOptions(Change):
    """SecurityOptions of info are `name=...` pairs; before, they were bare names and ExecutionDriver was shown."""

    version = V1_25
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        body.setdefault("ExecutionDriver", "<not supported>")
        options = body.get("SecurityOptions")
        if isinstance(options, list):
            body["SecurityOptions"] = [_bare_name(option) for option in options]


def _bare_name(option: str) -> str:
    """The name in "name=seccomp,profile=default"."""
    for pair in option.split(","):
        key, _, value = pair.partition("=")
        if key == "name":
            return value
    return option


class VolumeOptions(Change):
    """A volume shows the Options of its driver."""

    version = V1_25
    operations = VOLUMES

    def downgrade_response(self, body: Body) -> None:
        for volume in volumes_of(body):
            drop(volume, "Options")


class VolumeRemovalByForce(Change):
    """The removal of a volume takes `force`; before, it was not read."""

    version = V1_25
    operations = frozenset({"volumes.remove"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("force", None)


class AttachableNetworks(Change):
    """A network may be Attachable, and shows that and when it was Created."""

    version = V1_25
    operations = frozenset({"networks.create", "networks.inspect", "networks.list"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "Attachable")

    def downgrade_response(self, body: Body) -> None:
        drop(body, "Attachable", "Created")


CHANGES = (
    AutoRemove,
    ListSinceAndBefore,
    HostConfigOf125,
    MountType,
    RemovingState,
    ExecPid,
    StructuredSecurityOptions,
    VolumeOptions,
    VolumeRemovalByForce,
    AttachableNetworks,
)
