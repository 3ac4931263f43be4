"""Changes made in API 1.21 (Docker 1.9): networks and volumes become objects of their own."""

from __future__ import annotations

from app.api.versions.api_version import ApiVersion
from app.api.versions.change import Body, Change, Query, drop, own

V1_21 = ApiVersion(1, 21)


class VolumeDriverInHostConfig(Change):
    """`VolumeDriver` of a create moved from the container's config to HostConfig."""

    version = V1_21
    operations = frozenset({"containers.create"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        host = own(body, "HostConfig")
        if host is None:
            if body.get("HostConfig") is not None or "VolumeDriver" not in body:
                return
            body["HostConfig"] = host = {}
        driver = body.pop("VolumeDriver", None)
        if driver and not host.get("VolumeDriver"):
            host["VolumeDriver"] = driver


class ConfigWithoutNetworkFields(Change):
    """Inspect's Config always repeated MacAddress, NetworkDisabled, ExposedPorts and VolumeDriver before."""

    version = V1_21
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        config = own(body, "Config")
        if config is None:
            return
        host = own(body, "HostConfig") or {}
        config.setdefault("MacAddress", "")
        config.setdefault("NetworkDisabled", False)
        config.setdefault("ExposedPorts", None)
        config["VolumeDriver"] = host.pop("VolumeDriver", None) or ""


class NetworksInInspect(Change):
    """Inspect shows the settings of each network in NetworkSettings.Networks beside the flat ones."""

    version = V1_21
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (settings := own(body, "NetworkSettings")) is not None:
            drop(settings, "Networks")


class StateStatus(Change):
    """Inspect shows the state in one word, State.Status."""

    version = V1_21
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (state := own(body, "State")) is not None:
            drop(state, "Status")


class InspectSize(Change):
    """Inspect takes `size` and then shows SizeRw and SizeRootFs."""

    version = V1_21
    operations = frozenset({"containers.inspect"})

    def upgrade_request(self, query: Query, body: Body) -> None:
        query.pop("size", None)

    def downgrade_response(self, body: Body) -> None:
        drop(body, "SizeRw", "SizeRootFs")


class HostConfigOf121(Change):
    """HostConfig gains KernelMemory, MemoryReservation, OomScoreAdj and DnsOptions, Config gains StopSignal."""

    version = V1_21
    operations = frozenset({"containers.inspect"})

    def downgrade_response(self, body: Body) -> None:
        if (host := own(body, "HostConfig")) is not None:
            drop(host, "KernelMemory", "MemoryReservation", "OomScoreAdj", "DnsOptions")
        if (config := own(body, "Config")) is not None:
            drop(config, "StopSignal")


class ListImageId(Change):
    """A container in the list shows the id of its image, ImageID."""

    version = V1_21
    operations = frozenset({"containers.list"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "ImageID")


class ImageNamesInInspect(Change):
    """Inspect of an image shows its RepoTags and RepoDigests."""

    version = V1_21
    operations = frozenset({"images.inspect"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "RepoTags", "RepoDigests")


class InfoOf121(Change):
    """Info shows ServerVersion, CPUShares, CPUSet and the cluster store."""

    version = V1_21
    operations = frozenset({"system.info"})

    def downgrade_response(self, body: Body) -> None:
        drop(body, "ServerVersion", "CPUShares", "CPUSet", "ClusterStore", "ClusterAdvertise")


class StatsByNetwork(Change):
    """Statistics have the counters of each network interface, networks; before they had the sum of all, network, and
    did not say whose they are."""

    version = V1_21
    operations = frozenset({"containers.stats"})

    def downgrade_response(self, body: Body) -> None:
        networks = body.pop("networks", None) or {}
        total: Body = dict.fromkeys(_COUNTERS, 0)
        for counters in networks.values():
            for key in total:
                total[key] += counters.get(key, 0)
        body["network"] = total
        drop(body, "name", "id", "preread", "num_procs", "storage_stats")


#: What an interface counts.
_COUNTERS = (
    "rx_bytes",
    "rx_packets",
    "rx_errors",
    "rx_dropped",
    "tx_bytes",
    "tx_packets",
    "tx_errors",
    "tx_dropped",
)


CHANGES = (
    VolumeDriverInHostConfig,
    ConfigWithoutNetworkFields,
    NetworksInInspect,
    StateStatus,
    InspectSize,
    HostConfigOf121,
    ListImageId,
    ImageNamesInInspect,
    InfoOf121,
    StatsByNetwork,
)
