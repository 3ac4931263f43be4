"""Changes made in API 1.22 (Docker 1.10)."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop, each, own

V1_22 = ApiVersion(1, 22)


class LxcConfRemoved(Change):
    """HostConfig has no LxcConf any more; an empty one, which CLI 1.8 and 1.9 always send, says nothing."""

    version = V1_22
    operations = frozenset({"containers.create", "containers.inspect"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None and not host.get("LxcConf"):
            drop(host, "LxcConf")

    def downgrade_response(self, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None:
            host["LxcConf"] = []


class HostConfigOf122(Change):
    """HostConfig gains the block device rates, ShmSize and Tmpfs, and OomKillDisable may be null."""

    version = V1_22
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        host = own(body, "HostConfig")
        if host is None:
            return
        drop(
            host,
            "BlkioWeightDevice",
            "BlkioDeviceReadBps",
            "BlkioDeviceWriteBps",
            "BlkioDeviceReadIOps",
            "BlkioDeviceWriteIOps",
            "ShmSize",
            "Tmpfs",
        )
        if "OomKillDisable" in host:
            host["OomKillDisable"] = bool(host["OomKillDisable"])


class EndpointDetails(Change):
    """A network in NetworkSettings.Networks shows its NetworkID, IPAMConfig, Links and Aliases."""

    version = V1_22
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        networks = own(own(body, "NetworkSettings") or {}, "Networks") or {}
        for name in networks:
            if (endpoint := own(networks, name)) is not None:
                drop(endpoint, "NetworkID", "IPAMConfig", "Links", "Aliases")


class MountPropagation(Change):
    """A mount in inspect shows its Propagation."""

    version = V1_22
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        for mount in each(body, "Mounts"):
            drop(mount, "Propagation")


class ListNetworks(Change):
    """A container in the list shows its networks, NetworkSettings.Networks."""

    version = V1_22
    operations = frozenset({"containers.list"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "NetworkSettings")


class ExecContainerId(Change):
    """Inspect of an exec names its container by ContainerID, and ExitCode is null while it runs.

    Before, `Container` held the whole container and ExitCode was always a number.
    """

    version = V1_22
    operations = frozenset({"exec.inspect"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "ContainerID")
        if body.get("ExitCode") is None:
            body["ExitCode"] = 0


class ImageLayers(Change):
    """Inspect of an image shows its layers, RootFS."""

    version = V1_22
    operations = frozenset({"images.inspect"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "RootFS")


class InfoOf122(Change):
    """Info counts containers by state and shows OSType, Architecture, Plugins and SystemStatus."""

    version = V1_22
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "ContainersRunning", "ContainersPaused", "ContainersStopped")
        drop(body, "OSType", "Architecture", "Plugins", "SystemStatus")


class EventsOfNetworksAndVolumes(Change):
    """Events tell of networks and volumes too.

    They have Type, Action and Actor since. Clients of the time pass over those, and newer ones that were told to speak
    an older version read an exit code there, so that they stay.
    """

    version = V1_22
    operations = frozenset({"system.events"})

    def downgrade_response(self, body: Body) -> None:
        if body.get("Type") in ("network", "volume"):
            body.clear()


class NamesOnNetworks(Change):
    """A container on a network is told with its Name."""

    version = V1_22
    operations = frozenset({"networks.inspect", "networks.list"})

    def downgrade_response(self, body: Body) -> None:
        attached = own(body, "Containers") or {}
        for container in attached:
            if (endpoint := own(attached, container)) is not None:
                drop(endpoint, "Name")


class EndpointAtConnect(Change):
    """Connect takes an EndpointConfig; before, it was not read."""

    version = V1_22
    operations = frozenset({"networks.connect"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "EndpointConfig")


class ForcedDisconnect(Change):
    """Disconnect takes `Force`; before, it was not read."""

    version = V1_22
    operations = frozenset({"networks.disconnect"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "Force")


class InternalNetworks(Change):
    """A network may be Internal; before, that was not read."""

    version = V1_22
    operations = frozenset({"networks.create"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        drop(body, "Internal")


CHANGES = (
    LxcConfRemoved,
    HostConfigOf122,
    EndpointDetails,
    MountPropagation,
    ListNetworks,
    ExecContainerId,
    ImageLayers,
    InfoOf122,
    EventsOfNetworksAndVolumes,
    NamesOnNetworks,
    EndpointAtConnect,
    ForcedDisconnect,
    InternalNetworks,
)
