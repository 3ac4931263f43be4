"""Changes made in API 1.24 (Docker 1.12). Errors became JSON here, and start lost its body: see behaviours.py."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import VOLUMES, Body, Change, Query, drop, own, volumes_of

V1_24 = ApiVersion(1, 24)


class StartWithoutHostConfig(Change):
    """Start takes no body; before, it could hold a HostConfig, which the container's own from create outweighs."""

    version = V1_24
    operations = frozenset({"containers.start"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        body.clear()


class HealthInInspect(Change):
    """Inspect shows the health check and its state, Config.Healthcheck and State.Health."""

    version = V1_24
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (state := own(body, "State")) is not None:
            drop(state, "Health")
        if (config := own(body, "Config")) is not None:
            drop(config, "Healthcheck")


class HostConfigOf124(Change):
    """HostConfig gains StorageOpt, Sysctls and the IO maxima."""

    version = V1_24
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None:
            drop(host, "StorageOpt", "Sysctls", "IOMaximumIOps", "IOMaximumBandwidth")


class ExecDriverRemoved(Change):
    """Inspect does not name the execution driver any more, ExecDriver."""

    version = V1_24
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        body["ExecDriver"] = "native-0.2"


class ExecDetachKeys(Change):
    """Inspect of an exec shows its DetachKeys."""

    version = V1_24
    operations = frozenset({"exec.inspect"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "DetachKeys")


class ExecWithoutContainer(Change):
    """The bodies of exec create and exec start have no `Container` any more, which was never read."""

    version = V1_24
    operations = frozenset({"exec.create", "exec.start"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "Container")


class SearchOptions(Change):
    """A search takes `limit` and `filters`; before, they meant nothing."""

    version = V1_24
    operations = frozenset({"images.search"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(query, "limit", "filters")


class TagWithoutForce(Change):
    """Tagging takes no `force` any more: a name that meant another image is always moved."""

    version = V1_24
    operations = frozenset({"images.tag"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(query, "force")


class InfoOf124(Change):
    """Info shows SecurityOptions, Swarm, Runtimes and DefaultRuntime."""

    version = V1_24
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "SecurityOptions", "Swarm", "Runtimes", "DefaultRuntime")


class VolumeScope(Change):
    """A volume shows its Scope."""

    version = V1_24
    operations = VOLUMES

    def downgrade_response(self, body: Body) -> None:
        for volume in volumes_of(body):
            drop(volume, "Scope")


CHANGES = (
    StartWithoutHostConfig,
    HealthInInspect,
    HostConfigOf124,
    ExecDriverRemoved,
    ExecDetachKeys,
    ExecWithoutContainer,
    SearchOptions,
    TagWithoutForce,
    InfoOf124,
    VolumeScope,
)
